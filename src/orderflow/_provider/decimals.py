"""Amounts, prices and rates as decimals, however they are written: as a number, as its text, or as a ``Decimal``.

The rule for floats: a float stands for the shortest decimal text that names it. But where it lies within a billionth of a value with at
most six places, it stands for that value. Six places are finer than any coin, and the rest is what float arithmetic left behind. So
``3 * 19.9``, which is 59.699999999999996, stands for 59.7.
"""

from __future__ import annotations

import math
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

_PLACES = Decimal("0.000001")
_COIN = Decimal("0.01")
_NOISE = 1e-9
_STEPS = 8
"""A large float is coarser than ``_NOISE``: so many steps between neighbouring floats count as noise too."""
_LARGEST = 2**53
"""Above it floats leave out whole numbers. No amount is so large."""


def read_decimal(value: object) -> Decimal | None:
    """A number, or its text, as a decimal. None where it is neither, or not finite."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    try:
        amount = Decimal(str(value))
    except (InvalidOperation, ValueError):
        return None
    if not amount.is_finite():
        return None
    return _without_noise(value, amount) if isinstance(value, float) else amount


def _without_noise(value: float, amount: Decimal) -> Decimal:
    if abs(value) >= _LARGEST:
        return amount
    rounded = amount.quantize(_PLACES, ROUND_HALF_UP)
    return rounded if abs(rounded - amount) <= Decimal(max(_NOISE, _STEPS * math.ulp(value))) else amount


def amount_as_number(value: Decimal | float) -> float:
    """An amount as it is sent, since JSON has no Decimal. The rule for floats is kept, and a whole number is written without a fraction.

    What is not a number stays as it is, because a simulator's records take whatever is sent to them.
    """
    given: object = float(value) if isinstance(value, Decimal) and value.is_finite() else value
    amount = None if isinstance(given, str) else read_decimal(given)
    if amount is None or abs(amount) >= _LARGEST:
        return value  # type: ignore[return-value]
    return int(amount) if amount == amount.to_integral_value() else float(amount)


def optional_amount_as_number(value: Decimal | float | None) -> float | None:
    """``amount_as_number``, where the amount may be absent."""
    return None if value is None else amount_as_number(value)


def is_whole_coins(value: object) -> bool:
    """Whether an amount in major units has at most two places. What is no number has none."""
    amount = read_decimal(value)
    return amount is None or amount == round_to_coins(amount)


def round_to_coins(amount: Decimal) -> Decimal:
    """An amount in major units, rounded to two places; as it is, where it is too large for an amount."""
    return amount if abs(amount) >= _LARGEST else amount.quantize(_COIN, ROUND_HALF_UP)
