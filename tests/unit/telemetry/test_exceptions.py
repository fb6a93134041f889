"""What is logged of an exception: of one that is not the application's, its type and place; of a listener's, the whole traceback."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from orderflow._telemetry.exceptions import exception_fields, whole_exception
from orderflow.errors import OperationalError


def fail_in_the_driver() -> None:
    raise ConnectionError("canary")


def fail_in_orderflow() -> None:
    try:
        fail_in_the_driver()
    except ConnectionError as error:
        raise OperationalError("db: not reachable") from error


def fail_behind_orderflow() -> None:
    try:
        fail_in_orderflow()
    except OperationalError as error:
        raise RuntimeError("no mail was sent") from error


def fail_beside_orderflow() -> None:
    try:
        fail_in_orderflow()
    except OperationalError:
        raise RuntimeError("no mail was sent")  # noqa: B904


def fail_in_a_group() -> None:
    try:
        fail_in_orderflow()
    except OperationalError as error:
        raise ExceptionGroup("two mails", [error, RuntimeError("no mail was sent")]) from None


def raised_by(function: Callable[[], None]) -> Exception:
    with pytest.raises(Exception) as raised:  # noqa: PT011
        function()
    return raised.value


def test_of_other_exceptions_only_type_and_place_are_logged() -> None:
    fields = exception_fields(raised_by(fail_in_the_driver))
    assert fields["error"] == "ConnectionError"
    assert fields["where"].startswith("test_exceptions.py:")
    assert "canary" not in str(fields)


def test_the_traceback_of_the_application_is_whole() -> None:
    secret = raised_by(fail_in_the_driver)
    text = whole_exception(secret)["traceback"]
    assert "in fail_in_the_driver" in text
    assert text.endswith("ConnectionError: canary\n")


@pytest.mark.parametrize("function", [fail_in_orderflow, fail_behind_orderflow, fail_beside_orderflow, fail_in_a_group])
def test_what_caused_an_error_of_orderflow_is_left_out(function: Callable[[], None]) -> None:
    text = whole_exception(raised_by(function))["traceback"]
    assert "db: not reachable" in text
    assert "canary" not in text
