"""What an adapter returns is checked before anything is decided on it."""

from __future__ import annotations

from decimal import Decimal

import pytest
from tests.kit.toy import ToyLifecycle

from orderflow._engine.outcome_check import InvalidOutcome, InvalidRead, check_outcome, check_status, drop_texts
from orderflow._provider.outcomes import (
    InDoubt,
    NoResult,
    NotExecuted,
    ProviderAnswer,
    ReadFailed,
    Rejected,
    Signal,
    StatusRead,
    Succeeded,
)
from orderflow.errors import InvalidInput
from orderflow.model import PROVIDER_ID

PLACE = ToyLifecycle.table.effects["place"]
ANSWER = ProviderAnswer(200, "application/json", b"{}")


@pytest.mark.parametrize(
    "outcome",
    [
        Succeeded("order_placed", {"n": [1, None, {"a": "b"}]}, "T-1", "a note", answer=ANSWER),
        Succeeded("order_placed"),
        NotExecuted("no connection"),
        NotExecuted("429", 30.0, Signal.THROTTLED),
        Rejected("no"),
        InDoubt("reset"),
    ],
)
def test_a_right_outcome_is_passed_on(outcome) -> None:
    assert check_outcome(PLACE, outcome) == outcome


def test_only_an_effect_that_may_be_repeated_has_no_result() -> None:
    assert check_outcome(ToyLifecycle.table.effects["look_up"], NoResult("none")) == NoResult("none")
    wrong = check_outcome(PLACE, NoResult("none", answer=ANSWER))
    assert wrong == InvalidOutcome("the adapter returned NoResult for place, which is no look-up: it is sent only once")
    assert wrong.answer == ANSWER


@pytest.mark.parametrize(
    ("outcome", "problem"),
    [
        (None, "the adapter returned NoneType, which is not an outcome"),
        ({"event": "order_placed"}, "the adapter returned dict, which is not an outcome"),
        (Succeeded("order_plaeced", answer=ANSWER), "the adapter reports 'order_plaeced', which is no success of place: order_placed"),
        (Succeeded("came", answer=ANSWER), "the adapter reports 'came', which is no success of place: order_placed"),
        (Succeeded("prepared", answer=ANSWER), "the adapter reports 'prepared', which is no success of place: order_placed"),
        (Succeeded(None, answer=ANSWER), "the adapter's event is NoneType, not text"),
        (Succeeded(["order_placed"], answer=ANSWER), "the adapter's event is list, not text"),
        (Succeeded("x" * 500, answer=ANSWER), f"the adapter reports {'x' * 100!r}, which is no success of place: order_placed"),
        (
            Succeeded("placement_refused", answer=ANSWER),
            "the adapter reports 'placement_refused', which is no success of place: order_placed",
        ),
        (
            Succeeded("order_placed", provider_id=17, answer=ANSWER),
            "the adapter's provider_id is int, not text",
        ),
        (
            Succeeded("order_placed", provider_id="", answer=ANSWER),
            "the adapter's provider_id is empty",
        ),
        (Succeeded("order_placed", {"at": object()}, answer=ANSWER), "the adapter's data is not JSON: TypeError"),
        (Succeeded("order_placed", {"x": float("nan")}, answer=ANSWER), "the adapter's data is not JSON: ValueError"),
        (Succeeded("order_placed", None, answer=ANSWER), "the adapter's data is NoneType, not a mapping"),
        (Succeeded("order_placed", [("a", 1)], answer=ANSWER), "the adapter's data is list, not a mapping"),
        (NotExecuted("x", "30", answer=ANSWER), "the adapter's retry_after is str, not a number of seconds"),
        (NotExecuted("x", float("nan"), answer=ANSWER), "the adapter's retry_after is nan, not a number of seconds"),
        (NotExecuted("x", float("inf"), answer=ANSWER), "the adapter's retry_after is inf, not a number of seconds"),
        (NotExecuted("x", -1.0, answer=ANSWER), "the adapter's retry_after is -1.0, not a number of seconds"),
        (NotExecuted("x", signal="throttled!", answer=ANSWER), "the adapter's signal is str, not a Signal"),
        (Succeeded("order_placed", note=1, answer=ANSWER), "the adapter's note is int, not text"),
        (Succeeded("order_placed", note="\ud800", answer=ANSWER), "the adapter's note is not valid Unicode"),
        (Succeeded("order_placed", provider_id="\ud800", answer=ANSWER), "the adapter's provider_id is not valid Unicode"),
        (InDoubt("\ud800", answer=ANSWER), "the adapter's why is not valid Unicode"),
        (Rejected(None, answer=ANSWER), "the adapter's why is NoneType, not text"),
        (Rejected("no", answer=b"raw"), "the adapter's answer is bytes"),
    ],
)
def test_a_wrong_outcome_is_in_doubt_and_keeps_the_answer(outcome, problem: str) -> None:
    checked = check_outcome(PLACE, outcome)
    assert isinstance(checked, InvalidOutcome)
    assert checked.why == problem
    assert checked.answer == (ANSWER if getattr(outcome, "answer", None) is ANSWER else None)


def test_an_id_is_spelt_as_the_provider_spells_it() -> None:
    assert check_outcome(PLACE, Succeeded("order_placed", provider_id="0T"), lambda text: text.lstrip("0")).provider_id == "T"


def test_an_id_that_the_provider_cannot_have_given_is_a_wrong_outcome_that_names_it() -> None:
    def refuse(text: str) -> str:
        raise InvalidInput("provider_id", "must be a number")

    why = "the adapter's provider_id must be a number; it names the provider's order T"
    assert check_outcome(PLACE, Succeeded("order_placed", provider_id="T"), refuse) == InvalidOutcome(why, "T")


@pytest.mark.parametrize(
    ("provider_id", "problem", "named"),
    [
        ("  ", "has white space at its ends", "  "),
        (" A ", "has white space at its ends", " A "),
        ("A\0B", "holds characters that no text can carry", "A\\x00B"),
        ("A B", "must be one id, without white space or control characters in it", "A B"),
    ],
)
def test_an_id_with_white_space_or_control_characters_is_a_wrong_outcome(provider_id: str, problem: str, named: str) -> None:
    why = f"the adapter's provider_id {problem}; it names the provider's order {named}"
    assert check_outcome(PLACE, Succeeded("order_placed", provider_id=provider_id)) == InvalidOutcome(why, named)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"provider_id": "B"}, "the adapter's data names another provider_id than the order's"),
        ({"provider_id": 7}, "the adapter's data names another provider_id than the order's"),
        ({"redacted": False}, "the adapter's data has the reserved name redacted"),
    ],
)
def test_data_names_no_other_order_and_nothing_that_is_ours(data: dict[str, object], problem: str) -> None:
    outcome = check_outcome(PLACE, Succeeded("order_placed", data, "A"), known="A")
    assert isinstance(outcome, InvalidOutcome)
    assert outcome.why == f"{problem}; it names the provider's order A"
    about_another = StatusRead("packed", mismatch=PROVIDER_ID)
    expected = about_another if data.get(PROVIDER_ID) == "B" else InvalidRead(problem)
    assert check_status(StatusRead("packed", data), "A") == expected


def test_data_may_name_the_order_itself() -> None:
    for outcome in (Succeeded("order_placed", {"provider_id": "A"}, "A"), Succeeded("order_placed", {"provider_id": "A"})):
        assert check_outcome(PLACE, outcome, known="A" if outcome.provider_id is None else None) == outcome
    read = StatusRead("packed", {"provider_id": "A"})
    assert check_status(read, "A") == read


@pytest.mark.parametrize(("length", "expected"), [(500, ""), (501, "the adapter's provider_id has more than 500 characters")])
def test_an_id_is_bounded_because_an_index_takes_no_longer_one(length: int, expected: str) -> None:
    checked = check_outcome(PLACE, Succeeded("order_placed", provider_id="\u00e5" * length))
    assert isinstance(checked, InvalidOutcome) == bool(expected)
    assert not expected or (isinstance(checked, InvalidOutcome) and checked.why.startswith(expected))


def test_a_wrong_outcome_keeps_the_id_that_it_names() -> None:
    wrong = Succeeded("order_plaeced", provider_id="T-1")
    why = "the adapter reports 'order_plaeced', which is no success of place: order_placed; it names the provider's order T-1"
    assert check_outcome(PLACE, wrong) == InvalidOutcome(why, "T-1")
    checked = check_outcome(PLACE, Succeeded("order_plaeced", provider_id="T" * 500))
    assert isinstance(checked, InvalidOutcome)
    assert checked.named == "T" * 100


def test_without_its_texts_an_invalid_outcome_still_names_the_id() -> None:
    checked = check_outcome(PLACE, Succeeded("order_plaeced", provider_id="T-1", answer=ANSWER))
    assert isinstance(checked, InvalidOutcome)
    dropped = drop_texts(checked)
    assert (dropped, dropped.answer) == (InvalidOutcome("it names the provider's order T-1", "T-1"), None)
    assert drop_texts(Rejected("Mr. Doe is unknown", answer=ANSWER)) == Rejected("")


def test_the_decimals_of_an_outcome_and_of_a_poll_become_numbers() -> None:
    given = {"sum": Decimal("59.70"), "whole": Decimal("295.00"), "lines": [{"price": Decimal("0.1")}], "text": "1.0"}
    kept = {"sum": 59.7, "whole": 295, "lines": [{"price": 0.1}], "text": "1.0"}
    assert check_outcome(PLACE, Succeeded("order_placed", given, "T-1", answer=ANSWER)) == Succeeded("order_placed", kept, "T-1")
    assert check_status(StatusRead("packed", given, answer=ANSWER)) == StatusRead("packed", kept)


@pytest.mark.parametrize("number", ["Infinity", "-Infinity", "NaN", "sNaN", "1E+999999999"])
def test_a_decimal_that_is_no_number_makes_an_outcome_invalid(number: str) -> None:
    checked = check_outcome(PLACE, Succeeded("order_placed", {"sum": Decimal(number)}, "T-1", answer=ANSWER))
    assert isinstance(checked, InvalidOutcome)
    assert (checked.named, checked.answer) == ("T-1", ANSWER)


@pytest.mark.parametrize(
    "read",
    [
        StatusRead("packed", {"n": [1, None], PROVIDER_ID: "T-1"}, "amount", "a note", answer=ANSWER),
        StatusRead(""),
        ReadFailed("429", 30.0, Signal.THROTTLED, status=429),
        ReadFailed("not JSON", answer=ANSWER),
    ],
)
def test_a_right_result_of_a_poll_is_passed_on(read) -> None:
    checked = check_status(read, "T-1")
    assert (checked, checked.answer) == (read, read.answer)


@pytest.mark.parametrize(
    ("read", "problem"),
    [
        (None, "the adapter returned NoneType, which is no result of a poll"),
        ("packed", "the adapter returned str, which is no result of a poll"),
        (NotExecuted("no connection"), "the adapter returned NotExecuted, which is no result of a poll"),
        (StatusRead(5, answer=ANSWER), "the adapter's status is int, not text"),
        (StatusRead(None, answer=ANSWER), "the adapter's status is NoneType, not text"),
        (StatusRead("\ud800", answer=ANSWER), "the adapter's status is not valid Unicode"),
        (StatusRead("packed", mismatch=None, answer=ANSWER), "the adapter's mismatch is NoneType, not text"),
        (StatusRead("packed", note=7, answer=ANSWER), "the adapter's note is int, not text"),
        (StatusRead("packed", None, answer=ANSWER), "the adapter's data is NoneType, not a mapping"),
        (StatusRead("packed", {"x": object()}, answer=ANSWER), "the adapter's data is not JSON: TypeError"),
        (StatusRead("packed", {"x": Decimal("NaN")}, answer=ANSWER), "the adapter's data is not JSON: ValueError"),
        (StatusRead("packed", {"x": float("inf")}, answer=ANSWER), "the adapter's data is not JSON: ValueError"),
        *(
            (StatusRead("packed", {"x": Decimal(number)}, answer=ANSWER), "the adapter's data is not JSON: ValueError")
            for number in ("Infinity", "sNaN", "1E+999999999")
        ),
        (StatusRead("packed", {PROVIDER_ID: {"id": 1}}, answer=ANSWER), "the adapter's data names another provider_id than the order's"),
        (StatusRead("packed", {PROVIDER_ID: ""}, answer=ANSWER), "the adapter's data names another provider_id than the order's"),
        (StatusRead("packed", answer=b"raw"), "the adapter's answer is bytes"),
        (ReadFailed(None, answer=ANSWER), "the adapter's why is NoneType, not text"),
        (ReadFailed("x", "soon", answer=ANSWER), "the adapter's retry_after is str, not a number of seconds"),
        (ReadFailed("x", float("nan"), answer=ANSWER), "the adapter's retry_after is nan, not a number of seconds"),
        (ReadFailed("x", signal="unreachable!", answer=ANSWER), "the adapter's signal is str, not a Signal"),
        (ReadFailed("x", status="404", answer=ANSWER), "the adapter's status is str, not a number"),
    ],
)
def test_a_wrong_result_of_a_poll_is_unusable_and_keeps_the_answer(read, problem: str) -> None:
    checked = check_status(read)
    assert isinstance(checked, InvalidRead)
    assert checked.why == problem
    assert checked.answer == (ANSWER if getattr(read, "answer", None) is ANSWER else None)
