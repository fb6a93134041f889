"""The checks of what callers give: each names the field and the reason, and quotes no value."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from orderflow._inputs import (
    check_json,
    check_name,
    check_order_id,
    check_seconds,
    check_whole,
    get_flag,
    get_id,
    get_object,
    get_text,
    reject_unknown,
    require_text,
    to_json_data,
)
from orderflow.errors import InvalidInput, UnknownName


@pytest.mark.parametrize(
    ("check", "given", "reason"),
    [
        (get_text, {}, "required, as non-empty text"),
        (get_text, {"x": None}, "required, as non-empty text"),
        (get_text, {"x": " "}, "required, as non-empty text"),
        (get_text, {"x": 77}, "must be text, got int"),
        (get_text, {"x": b"canary"}, "must be text, got bytes"),
        (get_flag, {"x": "canary"}, "must be true or false, got str"),
        (get_flag, {"x": 1}, "must be true or false, got int"),
        (get_id, {}, "required, as non-empty text"),
        (get_id, {"x": " \t"}, "required, as non-empty text"),
        (get_id, {"x": 77}, "must be text, got int"),
        (get_id, {"x": "can\0ary"}, "holds characters that no text can carry"),
        (get_id, {"x": "canary" * 84}, "must have at most 500 characters"),
        *[
            (get_id, {"x": f"can{inside}ary"}, "must be one id, without white space or control characters in it")
            for inside in (" ", "\t", "\n", "\u00a0", "\u2003", "\u200b", "\ufeff", "\x1b[31m", "\x7f")
        ],
        (get_object, {}, "required, as a JSON object"),
        (get_object, {"x": ["canary"]}, "must be a JSON object, got list"),
        (lambda given, name: require_text(name, given[name]), {"x": 7}, "must be text, got int"),
        (lambda given, name: require_text(name, given[name]), {"x": ""}, "required, as non-empty text"),
        (lambda given, name: require_text(name, given[name]), {"x": "can\0ary"}, "holds characters that no text can carry"),
        (lambda given, name: require_text(name, given[name]), {"x": "canary" * 1000}, "must have at most 4000 characters"),
    ],
)
def test_a_wrong_value_is_refused_by_name_and_type(check: Callable[..., Any], given: dict[str, object], reason: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        check(given, "x")
    assert (raised.value.field, raised.value.reason) == ("x", reason)


def test_a_right_value_is_returned() -> None:
    assert get_text({"x": " a "}, "x") == " a "
    assert require_text("x", " a ") == "a"
    assert get_id({"x": "\t ORD-1\u00a0\r\n"}, "x") == "ORD-1"
    assert get_id({"x": "Bjørk/7:é"}, "x") == "Bjørk/7:é"
    assert get_flag({"x": True}, "x") is True
    assert get_flag({}, "x", default=True) is True
    assert get_flag({"x": None}, "x", default=True) is True
    assert get_object({"x": {"y": 1}}, "x") == {"y": 1}
    reject_unknown({"x": 1}, ("x", "y"))


@pytest.mark.parametrize(("known", "hint"), [(("x", "y"), "known: x, y"), ((), "none is taken")])
def test_an_unknown_argument_is_refused_with_the_known_ones(known: tuple[str, ...], hint: str) -> None:
    with pytest.raises(InvalidInput, match=rf"^z: unknown argument \({hint}\)$"):
        reject_unknown({"z": 1}, known)


@pytest.mark.parametrize("value", [None, True, 1, 1.5, Decimal("1.5"), Decimal("295.00"), 10**300, "text", [1, ("a",)], {"a": {"b": []}}])
def test_json_and_decimals_pass(value: object) -> None:
    check_json("x", value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (float("nan"), "x: must be a finite number"),
        (Decimal("Infinity"), "x: must be a finite number"),
        (Decimal("sNaN"), "x: must be a finite number"),
        (Decimal("0.10000000000000000001"), "x: has more digits than a JSON number carries: round it"),
        (Decimal(1) / 3, "x: has more digits than a JSON number carries: round it"),
        (2**1023, "x: is too large for a JSON number"),
        ("\ud800", "x: holds characters that no text can carry"),
        ({"a": [1, {"b": object()}]}, "x.a[1].b: is no JSON value"),
        ({"a": {7: 1}}, "x.a: has a name that is no text"),
        ({"a\0": 1}, "x: has a name that is no text"),
        (b"bytes", "x: is no JSON value"),
    ],
)
def test_any_other_value_is_refused_by_its_path(value: object, message: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        check_json("x", value)
    assert str(raised.value) == message


def test_an_integer_that_python_does_not_write_out_is_refused() -> None:
    with pytest.raises(InvalidInput, match="x: is too large for a JSON number"):
        check_json("x", 10**5000)


def test_deep_nesting_is_refused_with_a_short_path() -> None:
    value: object = 1
    for _ in range(60):
        value = {"name": value}
    with pytest.raises(InvalidInput, match="nested more than 50 deep") as raised:
        check_json("x", value)
    assert len(raised.value.field) <= 100


def test_data_of_a_provider_is_stored_as_json() -> None:
    given = {"sum": Decimal("295.00"), "rate": Decimal("0.1"), "lines": ({"price": Decimal(7)}, [True, None]), "text": "1.50", "real": 1.0}
    stored = to_json_data(given)
    assert json.loads(json.dumps(stored)) == stored
    assert stored == {"sum": 295, "rate": 0.1, "lines": [{"price": 7}, [True, None]], "text": "1.50", "real": 1.0}
    assert [type(stored[name]) for name in ("sum", "rate", "text", "real")] == [int, float, str, float]


@pytest.mark.parametrize(
    "value", [object(), b"bytes", {"canary"}, float("nan"), Decimal("NaN"), Decimal("0.1234567890123456789"), "can\0ary", 2**1024]
)
def test_data_of_a_provider_that_cannot_be_stored_is_named(value: object) -> None:
    with pytest.raises(InvalidInput) as caught:
        to_json_data({"order": {"lines": [value]}})
    assert caught.value.field == "order.lines"
    assert "canary" not in str(caught.value)


# ── what is looked for, and numbers ──────────────────────────────────────────────────────────────────────────────────────


def test_an_id_that_an_order_may_have_is_returned_as_it_was_given() -> None:
    assert check_order_id("ccv- é\x1b") == "ccv- é\x1b"  # it is only looked up
    assert check_name("state", "state", "x" * 255) == "x" * 255


@pytest.mark.parametrize("bad", ["a\0", "\ud800", "x" * 256])
def test_what_nothing_can_have_is_unknown_and_shown_in_short(bad: str) -> None:
    with pytest.raises(UnknownName, match=r"^unknown order: ") as raised:
        check_order_id(bad)
    assert raised.value.name == bad
    assert len(str(raised.value)) < 250


@pytest.mark.parametrize("bad", [None, 17, b"x", ["x"]])
def test_what_is_no_text_is_no_id(bad: object) -> None:
    with pytest.raises(InvalidInput, match=r"^order_id: must be text, got \w+: pass order\.id$"):
        check_order_id(bad)


@pytest.mark.parametrize("good", [1, 7, 10])
def test_a_whole_number_within_its_bounds_is_returned(good: int) -> None:
    assert check_whole("x", good, 1, 10) == good


@pytest.mark.parametrize(("bad", "reason"), [(0, "between 1 and 10"), (11, "between 1 and 10"), (True, "got bool"), (1.0, "got float")])
def test_any_other_number_is_refused(bad: object, reason: str) -> None:
    with pytest.raises(InvalidInput, match=f"^x: must be .*{reason}$"):
        check_whole("x", bad, 1, 10)


@pytest.mark.parametrize("good", [0, 0.5, 1e9])
def test_seconds_are_returned_as_a_float(good: float) -> None:
    assert check_seconds("x", good) == good


@pytest.mark.parametrize("bad", [-0.1, 1.1e9, math.nan, math.inf, 10**400, True, "1", None])
def test_other_seconds_are_refused(bad: object) -> None:
    with pytest.raises(InvalidInput, match=r"^x: must be a number of seconds(, got \w+| between 0 and 1000000000)$"):
        check_seconds("x", bad)
