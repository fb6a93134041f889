"""Amounts: however they are written, equal values are read and sent as one; what float arithmetic leaves behind is dropped."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orderflow._provider.decimals import amount_as_number, is_whole_coins, optional_amount_as_number, read_decimal, round_to_coins

AMOUNTS = st.decimals(-(10**6), 10**6, places=2, allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize(
    ("value", "amount"),
    [
        (295, "295"),
        (295.0, "295"),
        ("295.00", "295"),
        (Decimal("295.00"), "295"),
        (59.7, "59.7"),
        (3 * 19.9, "59.7"),
        (0.1 + 0.2, "0.3"),
        (sum([0.1] * 1000), "100"),
        (3 * 33333333.3, "99999999.9"),
        (0.1 + 0.2 - 0.3, "0"),
        (0.125, "0.125"),
        (0.1234567, "0.1234567"),
        (59.695, "59.695"),
        (1e300, "1e300"),
        ("59.699999999999996", "59.699999999999996"),
        (Decimal("59.699999999999996"), "59.699999999999996"),
        ("1e999999999", "1e999999999"),
    ],
)
def test_a_number_or_its_text_is_read_as_a_decimal(value: object, amount: str) -> None:
    assert read_decimal(value) == Decimal(amount)


@pytest.mark.parametrize("value", [None, True, "", "a lot", "59,70", "NaN", "sNaN", float("inf"), Decimal("NaN"), [1], {"amount": 1}])
def test_anything_else_is_no_decimal(value: object) -> None:
    assert read_decimal(value) is None


def test_a_number_that_python_does_not_write_out_is_no_amount() -> None:
    assert read_decimal(10**5000) is None


@pytest.mark.parametrize(
    ("given_", "sent"),
    [
        (295.0, 295),
        (Decimal("295.00"), 295),
        (Decimal("59.70"), 59.7),
        (3 * 19.9, 59.7),
        (-0.0, 0),
        (1e300, 1e300),
        ("295", "295"),
        (True, True),
    ],
)
def test_an_amount_is_sent_as_a_json_number_without_noise(given_: Any, sent: object) -> None:
    assert repr(amount_as_number(given_)) == repr(sent)
    assert repr(optional_amount_as_number(given_)) == repr(sent)
    assert optional_amount_as_number(None) is None


@pytest.mark.parametrize(
    ("amount", "whole"), [(59.7, True), (3 * 19.9, True), (59.695, False), (Decimal("0.001"), False), (None, True), (1e300, True)]
)
def test_whole_coins_have_two_places(amount: object, whole: bool) -> None:
    assert is_whole_coins(amount) is whole


def test_an_absurd_amount_is_compared_as_it_is() -> None:
    assert round_to_coins(Decimal("1e999999")) == Decimal("1e999999")
    assert round_to_coins(Decimal("59.695")) == Decimal("59.70")


@given(AMOUNTS)
def test_every_spelling_of_an_amount_is_one_amount(amount: Decimal) -> None:
    spellings: list[Any] = [amount, float(amount), amount.normalize()]
    assert {json.dumps(amount_as_number(spelling)) for spelling in spellings} == {json.dumps(amount_as_number(amount))}
    assert {read_decimal(spelling) for spelling in (*spellings, str(amount))} == {amount}


@given(st.lists(AMOUNTS, max_size=200))
def test_a_sum_of_floats_is_the_sum_of_its_amounts(amounts: list[Decimal]) -> None:
    total = sum(map(float, amounts))
    assert read_decimal(float(total)) == sum(amounts, Decimal())


@given(st.floats(allow_nan=False, allow_infinity=False) | st.decimals(allow_nan=False, allow_infinity=False, places=9))
def test_reading_what_is_sent_changes_nothing_more(value: Any) -> None:
    sent = amount_as_number(value)
    if isinstance(sent, int | float):
        assert amount_as_number(sent) == sent
