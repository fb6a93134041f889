"""``replay``: from the rows of a journal to the order at a version. Pure, so tested without a store."""

from __future__ import annotations

import pytest
from attrs import evolve

from orderflow._engine.replay import replay
from orderflow.errors import InvalidInput, NotReplayable
from orderflow.model import JournalRow, Origin, Snapshot, StepKind


def make_row(version: int, target: str, kind: StepKind = StepKind.STEP, **more: object) -> JournalRow:
    row = JournalRow("toy-1", version, "moved", Origin.REPLY, "", target, kind, 0.0, facts={}, data={})
    return evolve(row, **more)


ROWS = [
    make_row(0, "drafted", StepKind.CREATED, facts={"paid": False, "way": "none"}, data={"email": "e", "amount": 1}),
    make_row(1, "sent", data={"provider_id": "T-1"}),
    make_row(2, "paid", facts={"paid": True}),
    make_row(3, "done", facts={"way": "card"}, data={"amount": 2}),
]


@pytest.mark.parametrize(
    ("version", "snapshot"),
    [
        (0, Snapshot("drafted", {"paid": False, "way": "none"}, {"email": "e", "amount": 1}, 0)),
        (1, Snapshot("sent", {"paid": False, "way": "none"}, {"email": "e", "amount": 1, "provider_id": "T-1"}, 1)),
        (2, Snapshot("paid", {"paid": True, "way": "none"}, {"email": "e", "amount": 1, "provider_id": "T-1"}, 2)),
        (3, Snapshot("done", {"paid": True, "way": "card"}, {"email": "e", "amount": 2, "provider_id": "T-1"}, 3)),
    ],
)
def test_each_step_adds_what_it_set(version: int, snapshot: Snapshot) -> None:
    assert replay("toy-1", ROWS, version) == snapshot
    assert replay("toy-1", ROWS[: version + 1]) == snapshot  # the last version is that of the last row


def test_the_rows_stay_as_they_are() -> None:
    before = [(dict(row.facts or {}), dict(row.data or {})) for row in ROWS]
    replay("toy-1", ROWS)
    assert [(row.facts, row.data) for row in ROWS] == before


def test_a_redaction_replaces_all_data_and_keeps_the_facts() -> None:
    redaction = make_row(4, "done", StepKind.REDACTION, data={"provider_id": "T-1", "redacted": True})
    late = make_row(5, "corrected", facts={"paid": False})
    snapshot = replay("toy-1", [*ROWS, redaction, late])
    assert snapshot == Snapshot("corrected", {"paid": False, "way": "card"}, {"provider_id": "T-1", "redacted": True}, 5)


def test_an_override_may_take_the_providers_id_away() -> None:
    override = make_row(4, "drafted", StepKind.OVERRIDE, data={"provider_id": None})
    rows = [*ROWS, override, make_row(5, "sent", data={"note": None})]
    assert replay("toy-1", rows).data == {"email": "e", "amount": 2, "note": None}


@pytest.mark.parametrize("version", [-1, 4, True, "1", 1.0])
def test_a_version_that_the_order_did_not_have_is_refused(version: object) -> None:
    with pytest.raises(InvalidInput, match=r"version: must be a whole number between 0 and 3, the last of order toy-1") as raised:
        replay("toy-1", ROWS, version)  # type: ignore[arg-type]
    assert raised.value.field == "version"


@pytest.mark.parametrize(
    ("rows", "version", "missing"),
    [
        ([], None, 0),
        (ROWS[1:], None, 0),
        (ROWS[1:], 0, 0),
        ([ROWS[0], ROWS[2]], None, 1),
        ([*ROWS[:2], evolve(ROWS[2], facts=None), ROWS[3]], 3, 2),
        ([*ROWS[:3], evolve(ROWS[3], data=None)], 3, 3),
    ],
    ids=["no row", "no creation", "no creation, at 0", "a gap", "facts not recorded", "data not recorded"],
)
def test_what_is_not_in_the_journal_is_not_guessed(rows: list[JournalRow], version: int | None, missing: int) -> None:
    with pytest.raises(NotReplayable, match=f"toy-1: its journal does not hold what version {missing} set") as raised:
        replay("toy-1", rows, version)
    assert (raised.value.order_id, raised.value.version) == ("toy-1", missing)


def test_a_version_before_the_missing_row_can_be_rebuilt() -> None:
    rows = [*ROWS[:3], evolve(ROWS[3], facts=None)]
    assert replay("toy-1", rows, 2) == replay("toy-1", ROWS, 2)


def test_no_row_shows_its_data() -> None:
    assert "canary" not in repr(make_row(0, "drafted", data={"email": "canary"}))
