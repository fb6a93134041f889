"""Which option, variable or file an error about a setting names; which types a variable can give."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import pytest

from orderflow._cli.environment import name_settings, option_sources
from orderflow._cli.text_values import parse_keys, parse_text, takes_text
from orderflow.errors import ConfigurationError


@pytest.mark.parametrize(
    ("environment", "option", "source"),
    [
        ({}, None, "ORDERFLOW_DB"),
        ({"ORDERFLOW_DB": "x"}, None, "ORDERFLOW_DB"),
        ({"ORDERFLOW_DB": "x"}, "x", "ORDERFLOW_DB"),  # cyclopts fills the option from the variable
        ({"ORDERFLOW_DB": "x"}, "y", "--db"),
        ({"ORDERFLOW_DB_FILE": "/x"}, None, "ORDERFLOW_DB_FILE"),
        ({"ORDERFLOW_DB_FILE": "/x"}, "y", "--db"),
    ],
)
def test_a_setting_is_named_as_it_was_given(environment: dict[str, str], option: str | None, source: str) -> None:
    with pytest.raises(ConfigurationError) as raised, name_settings(option_sources(environment, db=option)):
        raise ConfigurationError("no such database: db: at all", "db")
    assert (str(raised.value), raised.value.setting) == (f"{source}: no such database: db: at all", source)


@pytest.mark.parametrize("setting", ["", "dispatch"])
def test_an_error_about_something_else_stays_as_it_is(setting: str) -> None:
    error = ConfigurationError("db: is only how this text begins", setting)
    with pytest.raises(ConfigurationError) as raised, name_settings({"db": "--db"}):
        raise error
    assert raised.value is error


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (str, " as it is ", " as it is "),
        (int, "3", 3),
        (float, "1.5", 1.5),
        (float | None, "2", 2.0),
        (bool, "Yes", True),
        (bool, "0", False),
        (Literal["order", "off"], "off", "off"),
        (Sequence[str], "a, b\nc,,", ("a", "b", "c")),
    ],
)
def test_text_gives_a_value_of_the_type(kind: Any, text: str, value: object) -> None:
    assert takes_text(kind)
    parsed = parse_text(text, kind)
    assert (parsed, type(parsed)) == (value, type(value))


@pytest.mark.parametrize(
    ("kind", "must_be"), [(int, "a number"), (float, "a number"), (bool, "one of true, 1"), (Literal["a", "b"], "one of a, b")]
)
def test_a_text_that_gives_no_value_is_not_shown(kind: Any, must_be: str) -> None:
    with pytest.raises(ValueError, match=f"^must be {must_be}") as raised:
        parse_text("canary", kind)
    assert "canary" not in str(raised.value)


@pytest.mark.parametrize("kind", [Callable[[], int], dict[str, str], int | str, Sequence[int], object])
def test_types_that_text_cannot_give(kind: Any) -> None:
    assert not takes_text(kind)


def test_keys_keep_their_order_and_their_equals_signs() -> None:
    assert list(parse_keys("k2=b=,k1=a").items()) == [("k2", "b="), ("k1", "a")]
    for text in ("canary", "=canary", "k=", "k=a,canary"):
        with pytest.raises(ValueError, match=r"^must be id=key,id=key$"):
            parse_keys(text)
