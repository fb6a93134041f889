"""Records on the wire: no field is lost, and every value of the wrong shape is refused by its path."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum

import pytest
from attrs import field, frozen
from hypothesis import given
from hypothesis import strategies as st

from orderflow._provider.wire import as_text, is_other_text, json_name, parse_input, parse_json, parse_record, strict, to_json
from orderflow.errors import InvalidInput, MalformedAnswer


class Colour(StrEnum):
    RED = "Red"
    GREEN = "Green"


@frozen
class Line:
    unit_price: float
    quantity: int = 1
    extra: Mapping[str, object] = field(factory=dict)


@frozen
class Basket:
    basket_id: str | int
    colour: Colour | str
    lines: tuple[Line, ...] = ()
    tax: float | None = field(default=None, metadata=json_name("excludingTax", "exludingTax"))
    paid: bool | None = None
    note: str | None = field(default=None, repr=False)
    free: object = None
    extra: Mapping[str, object] = field(factory=dict)


@frozen
class StrictLine:
    unit_price: float
    quantity: int = field(default=1, metadata=strict())


@frozen
class StrictBasket:
    """A basket of which every field decides."""

    basket_id: str | int
    colour: Colour | str
    lines: tuple[StrictLine, ...] = field(default=(), metadata=strict())
    tax: float | None = field(default=None, metadata=json_name("excludingTax", "exludingTax") | strict())
    paid: bool | None = field(default=None, metadata=strict())


@frozen
class Strict:
    basket: StrictBasket


@frozen
class Parcel:
    """An answer of which the number and the status decide."""

    number: int
    status: str | None = field(default=None, metadata=strict())
    reference: str | None = field(default=None, metadata=as_text())
    sent_at: int | None = None
    weight: float = field(default=1.0, metadata=json_name("weight", "wieght"))
    baskets: tuple[Basket, ...] = ()
    extra: Mapping[str, object] = field(factory=dict)


FULL = {
    "basketId": 7,
    "colour": "Red",
    "lines": [{"unitPrice": 2, "quantity": 3, "vat": [1, {"x": None}]}],
    "excludingTax": 1.5,
    "paid": False,
    "note": "hello",
    "free": [{"a": None}],
    "extra": "the provider's own",
    "newField": {"deep": None},
}


def test_names_are_translated_and_no_field_is_lost() -> None:
    basket = parse_record(Basket, FULL)
    assert basket.basket_id == 7
    assert basket.colour is Colour.RED
    assert basket.lines[0].quantity == 3
    assert basket.extra == {"extra": "the provider's own", "newField": {"deep": None}}
    assert to_json(basket) == FULL


@pytest.mark.parametrize("spelling", ["excludingTax", "exludingTax"])
def test_both_spellings_are_read_and_the_first_is_written(spelling: str) -> None:
    basket = parse_record(Basket, {"basketId": "b", "colour": "Red", spelling: 9})
    assert basket.tax == 9
    assert basket.extra == {}
    assert to_json(basket) == {"basketId": "b", "colour": "Red", "lines": [], "excludingTax": 9}


def test_an_open_enum_keeps_a_value_it_does_not_know() -> None:
    basket = parse_record(Basket, {"basketId": "b", "colour": "Mauve"})
    assert basket.colour == "Mauve"
    assert not isinstance(basket.colour, Colour)
    assert to_json(basket)["colour"] == "Mauve"


def test_null_means_absent_where_there_is_a_default() -> None:
    basket = parse_record(Basket, {"basketId": "b", "colour": "Red", "lines": None, "paid": None, "excludingTax": None})
    assert (basket.lines, basket.paid, basket.tax, basket.extra) == ((), None, None, {})


@pytest.mark.parametrize(
    ("value", "problems"),
    [
        ({"colour": "Red"}, ["basketId: missing"]),
        ({"basketId": None, "colour": None}, ["basketId: ", "colour: "]),
        ({"basketId": "b", "colour": 3}, ["colour: expected text"]),
        ({"basketId": True, "colour": "Red"}, ["basketId: "]),
        ({"basketId": "b", "colour": "Red", "lines": "secret"}, ["lines: expected a list"]),
        ({"basketId": "b", "colour": "Red", "lines": [{"unitPrice": 1}, {}]}, ["lines[1].unitPrice: missing"]),
        (
            {"basketId": "b", "colour": "Red", "lines": [{"unitPrice": "secret", "quantity": 1.5}], "paid": "secret"},
            [
                "lines[0].unitPrice: expected a number",
                "lines[0].quantity: expected a whole number",
                "paid: expected true",
            ],
        ),
        (["secret"], ["expected an object"]),
        ("secret", ["expected an object"]),
        ({"basketId": "b", "colour": "Red", "lines": [None]}, ["lines[0]: expected an object"]),
        ({"basketId": "b", "colour": "Red", "exludingTax": float("inf")}, ["excludingTax: expected a number"]),
    ],
)
def test_a_value_of_the_wrong_shape_is_named_by_its_path_and_never_quoted(value: object, problems: list[str]) -> None:
    with pytest.raises(MalformedAnswer) as caught:
        parse_record(Strict, {"basket": value})
    message = str(caught.value)
    assert message.startswith("Strict: ")
    for problem in problems:
        assert problem in message
    assert "secret" not in message
    with pytest.raises(InvalidInput):
        parse_input(Basket, value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None, "the context would carry the values into a traceback"


def test_a_callers_mistake_is_an_invalid_input_with_field_and_reason() -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_input(Basket, {"basketId": "b", "colour": "Red", "lines": [{"unitPrice": "secret"}]})
    assert (caught.value.field, caught.value.reason) == ("lines[0].unitPrice", "expected a number")
    with pytest.raises(InvalidInput) as caught:
        parse_input(Basket, "secret")
    assert (caught.value.field, caught.value.reason) == ("Basket", "expected an object")
    assert parse_input(Basket, FULL) == parse_record(Basket, FULL)


# ── what is not needed ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_of_an_answer_what_decides_nothing_is_kept_as_it_came() -> None:
    odd = {"reference": {"a": 1}, "sentAt": "2026-01-01", "wieght": "heavy", "baskets": [{}], "new": None}
    parcel = parse_record(Parcel, {"number": 7, "status": "sent", **odd})
    assert parcel == Parcel(7, "sent", extra=odd)
    assert to_json(parcel) == {"number": 7, "status": "sent", "weight": 1.0, "baskets": [{}]} | odd
    with pytest.raises(InvalidInput, match="sentAt: expected a whole number"):
        parse_input(Parcel, {"number": 7, "sentAt": "2026-01-01"})


def test_an_inner_record_keeps_what_it_does_not_need_by_itself() -> None:
    inner = {"basketId": 1, "colour": "Red", "paid": "secret"}
    (basket,) = parse_record(Parcel, {"number": 7, "baskets": [inner]}).baskets
    assert (basket.basket_id, basket.paid, basket.extra) == (1, None, {"paid": "secret"})


@pytest.mark.parametrize("body", [{"number": "7"}, {"number": 7, "status": 3}, {"number": 7, "status": ["sent"]}])
def test_of_an_answer_what_decides_has_its_type(body: dict[str, object]) -> None:
    with pytest.raises(MalformedAnswer, match="expected"):
        parse_record(Parcel, body)


@pytest.mark.parametrize(
    ("value", "text"), [(2342, "2342"), (2342.0, "2342"), (1.5, "1.5"), (0, "0"), ("007", "007"), (None, None), (True, None)]
)
def test_an_id_is_read_as_text(value: object, text: str | None) -> None:
    assert parse_record(Parcel, {"number": 7, "reference": value}).reference == text


def test_a_caller_may_give_a_decimal_where_a_number_is_expected() -> None:
    assert parse_input(Line, {"unitPrice": Decimal("1.50")}).unit_price == 1.5
    for wrong in ("NaN", "sNaN", "Infinity"):
        with pytest.raises(InvalidInput, match="unitPrice: expected a number"):
            parse_input(Line, {"unitPrice": Decimal(wrong)})


@pytest.mark.parametrize("quantity", [2, 2.0, Decimal(2), Decimal("2.00")], ids=repr)
def test_a_whole_number_may_be_written_with_a_fraction_of_0(quantity: object) -> None:
    line = parse_input(Line, {"unitPrice": 1, "quantity": quantity})
    assert (line.quantity, type(line.quantity)) == (2, int)


@pytest.mark.parametrize("quantity", [2.5, Decimal("2.5"), 1e300, float("nan"), Decimal("Infinity"), Decimal("sNaN"), "2", True], ids=repr)
def test_what_is_no_whole_number_is_refused(quantity: object) -> None:
    with pytest.raises(InvalidInput, match="quantity: expected a whole number"):
        parse_input(Line, {"unitPrice": 1, "quantity": quantity})


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"a":', b"\xff\xfe\x00", b"[" * 100_000])
@pytest.mark.parametrize("is_exact", [False, True])
def test_text_that_is_not_json_is_malformed(body: bytes, is_exact: bool) -> None:
    with pytest.raises(MalformedAnswer, match=r"^not JSON$"):
        parse_json(body, is_exact=is_exact)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"a": NaN, "b": [Infinity, -Infinity]}', {"a": None, "b": [None, None]}),
        (b'{"a": "K\xe5re"}', {"a": "K\ufffdre"}),
    ],
)
def test_what_is_almost_json_is_read_unless_it_must_be_exact(body: bytes, value: object) -> None:
    assert parse_json(body) == value
    with pytest.raises(MalformedAnswer, match=r"^not JSON$"):
        parse_json(body, is_exact=True)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_json_in_each_of_its_encodings_is_read(encoding: str) -> None:
    for is_exact in (False, True):
        assert parse_json('{"a": "Kåre"}'.encode(encoding), is_exact=is_exact) == {"a": "Kåre"}


@pytest.mark.parametrize(
    ("shown", "is_other"),
    [(None, False), ("", False), (" ", False), ("a", False), (" a\n", False), ("\ufffda", False), ("b", True), ("A", True)],
)
def test_an_id_is_another_one_where_it_can_be_read(shown: str | None, is_other: bool) -> None:
    assert is_other_text(shown, "a") is is_other


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_any_json_is_either_a_record_or_malformed(value: object) -> None:
    for attempt in (value, {"basketId": value, "colour": value, "lines": value, "exludingTax": value, "free": value}):
        try:
            basket = parse_record(Basket, attempt)
        except MalformedAnswer:
            continue
        assert parse_record(Basket, json.loads(json.dumps(to_json(basket)))) == basket


def test_a_null_does_not_hide_the_value_under_another_name() -> None:
    for value in ({"weight": None, "wieght": 0}, {"weight": 0, "wieght": None}):
        parcel = parse_record(Parcel, {"number": 7, **value})
        assert (parcel.weight, parcel.extra, to_json(parcel)["weight"]) == (0, {}, 0)


@given(st.dictionaries(st.sampled_from(["reference", "sentAt", "weight", "wieght", "baskets", "new"]), JSON))
def test_no_field_that_decides_nothing_makes_an_answer_malformed(odd: dict[str, object]) -> None:
    parcel = parse_record(Parcel, {"number": 7, "status": "sent", **odd})
    assert (parcel.number, parcel.status) == (7, "sent")
    assert parse_record(Parcel, json.loads(json.dumps(to_json(parcel)))) == parcel


@given(st.dictionaries(st.text().filter(lambda key: key not in FULL), JSON))
def test_unknown_fields_of_any_kind_are_kept(unknown: dict[str, object]) -> None:
    assert to_json(parse_record(Basket, FULL | unknown)) == FULL | unknown
