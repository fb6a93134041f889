"""Fingerprints compare what a request means, and not how it is spelled."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orderflow._engine.fingerprint import fingerprint


class Colour(StrEnum):
    RED = "Red"


SAME: list[tuple[Any, Any]] = [
    (295, 295.0),
    (295, Decimal("295.00")),
    (0, -0.0),
    (0, Decimal("0E+7")),
    (1.5, Decimal("1.50")),
    (10**22, 1e22),
    (100, Decimal("1E+2")),
    ([1, (2,)], ([1.0, [2]])),
    ({"a": 1, "b": 2}, MappingProxyType({"b": 2.0, "a": 1})),
    ({"a": None}, {}),
    ("Red", Colour.RED),
]
OTHER: list[tuple[Any, Any]] = [
    (Decimal("1.5"), "1.5"),
    (1, True),
    (0, False),
    (1, "1"),
    (1, [1]),
    (1, -1),
    (1, 10),
    (1, Decimal("0.1")),
    (295, 295.01),
    (12, 21),
    (10**30, 10**30 + 1),
    (Decimal("0.1"), Decimal("0.1000000000000000000000000000001")),
    ("a", "A"),
    ("", {}),
    ([], {}),
    ([None], []),
    ([[1], 2], [[1, 2]]),
    ({"a": 1}, {"b": 1}),
    ({"a": {"b": 1}}, {"a": {}, "b": 1}),
    ("1e0", 1),
    ('{"a":1e0}', {"a": 1}),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_two_spellings_have_one_fingerprint(one: object, other: object) -> None:
    assert fingerprint({"x": one}) == fingerprint({"x": other})


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_two_meanings_have_two_fingerprints(one: object, other: object) -> None:
    assert fingerprint({"x": one}) != fingerprint({"x": other})


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-20, 20)
    | st.sampled_from([0.5, 1.0, Decimal("0.50"), Decimal("1.0"), "1", "1.0", "true", ""])
    | st.text(max_size=2),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", "b", '"', "{"]), inner, max_size=2),
    max_leaves=5,
)


def meaning(value: Any) -> Any:
    """What a value means, as a value that Python compares: the law, without any text."""
    if isinstance(value, Mapping):
        return ("object", frozenset((name, meaning(part)) for name, part in value.items() if part is not None))
    if isinstance(value, list | tuple):
        return ("list", tuple(map(meaning, value)))
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return ("number", Fraction(value))
    return (type(value).__name__, value)


@given(st.dictionaries(st.sampled_from(["a", "b"]), JSON, max_size=2), st.dictionaries(st.sampled_from(["a", "b"]), JSON, max_size=2))
def test_fingerprints_are_equal_exactly_where_the_meanings_are(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert (fingerprint(one) == fingerprint(other)) == (meaning(one) == meaning(other))


@given(st.dictionaries(st.text(), JSON, max_size=3))
def test_a_request_that_went_through_json_has_its_fingerprint(request: dict[str, Any]) -> None:
    through_json = json.loads(json.dumps(request, default=float))
    assert fingerprint(through_json) == fingerprint(dict(reversed(request.items())))


def test_digests_that_are_stored_in_databases_do_not_change() -> None:
    request = {"a": 1, "b": [Decimal("1.5")]}
    assert fingerprint(request) == hashlib.sha256(b'{"a":1e0,"b":[15e-1]}').hexdigest()
