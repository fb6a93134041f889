"""``observe``: stale, mismatched, unknown, no news, direct, inferred, jumped and impossible observations."""

from __future__ import annotations

import pytest

from orderflow._lifecycle.observe import observe
from orderflow._providers.ccv.lifecycle import CcvLifecycle
from orderflow._providers.connect.lifecycle import ConnectLifecycle
from orderflow.model import Applied, Ignored, Observation, Origin, Reason, Refused, Snapshot, Step, StepKind

CCV = CcvLifecycle.table
CONNECT = ConnectLifecycle.table


def ccv(state: str, status: str, **facts: object) -> object:
    return observe(CCV, Snapshot(state, {**CCV.defaults(), **facts}, {"id": "7"}, 3), Observation(status, 3))


def connect(state: str, status: str, **facts: object) -> object:
    return observe(CONNECT, Snapshot(state, {**CONNECT.defaults(), **facts}, {"id": "7"}, 3), Observation(status, 3))


def path(decision: object) -> list[tuple[str, str, StepKind]]:
    assert isinstance(decision, Applied), decision
    return [(step.event, step.target, step.kind) for step in decision.steps]


def test_a_poll_that_began_before_the_last_move_is_dropped_even_if_it_would_prove():
    moved = Snapshot("AwaitingPayment", CCV.defaults(), {}, 5)
    assert observe(CCV, moved, Observation("New", 4)) == Ignored(Reason.STALE, "AwaitingPayment", "polled at version 4, now 5")
    assert isinstance(observe(CCV, moved, Observation("New", 5)), Applied)


def test_an_answer_about_another_order_flags_and_moves_nothing():
    decision = observe(CCV, Snapshot("New", CCV.defaults(), {}, 1), Observation("Completed", 1, mismatch="externalReference"))
    assert decision == Refused(Reason.NOT_OURS, "New", "the externalReference of the answer is not this order's")


def test_a_status_that_is_not_declared_flags_and_is_quoted_only_in_part():
    decision = ccv("New", "x" * 500)
    assert isinstance(decision, Refused)
    assert decision.reason is Reason.UNKNOWN_STATUS
    assert len(decision.detail) < 120


def test_the_same_status_again_is_no_news():
    assert ccv("New", "New") == Ignored(Reason.NO_NEWS, "New")
    assert connect("fulfilling", "preliminary") == Ignored(Reason.NO_NEWS, "fulfilling")
    assert connect("user_assigned", "fulfilled") == Ignored(Reason.NO_NEWS, "user_assigned")


def test_a_consistent_reading_may_be_the_event_that_ends_a_claimed_cancel():
    waiting = connect("confirming", "preliminary", claimed="cancel", grace="running")
    assert waiting == Ignored(Reason.NO_NEWS, "confirming")
    assert path(connect("confirming", "preliminary", claimed="cancel", grace="over")) == [("seen_unproven", "cancelled", StepKind.STEP)]


def test_a_direct_edge_wins_over_longer_paths():
    assert path(ccv("Incomplete", "Closed")) == [("seen_closed", "Closed", StepKind.STEP)]


def test_the_only_path_is_inferred_step_by_step():
    decision = ccv("Processing", "AwaitingPayment")
    assert path(decision) == [
        ("seen_incomplete", "Incomplete", StepKind.INFERRED),
        ("seen_awaiting_payment", "AwaitingPayment", StepKind.STEP),
    ]
    assert decision.snapshot.version == 5


def test_fulfilment_is_proven_through_paid_only_where_there_was_something_to_pay():
    assert path(connect("confirming", "fulfilled", to_pay=True)) == [
        ("seen_fulfilled", "paid", StepKind.INFERRED),
        ("seen_fulfilled", "fulfilled", StepKind.STEP),
    ]
    assert path(connect("confirming", "fulfilled", to_pay=False)) == [("seen_fulfilled", "fulfilled", StepKind.STEP)]


def test_a_jump_names_what_was_certainly_and_what_possibly_missed():
    decision = ccv("Processing", "Screening")
    note = "certainly missed: Incomplete; possibly missed: AwaitingPayment"
    jump = Step("seen_screening", Origin.OBSERVATION, "Processing", "Screening", StepKind.JUMP, (), note)
    assert decision == Applied((jump,), Snapshot("Screening", CCV.defaults(), {"id": "7"}, 4))


def test_the_longest_jump_names_them_in_the_order_of_the_lifecycle():
    (jump,) = ccv("Processing", "Completed").steps
    assert jump.note == (
        "certainly missed: Incomplete, New; possibly missed: AwaitingPayment, Screening, FulfillmentInProgress, FulfillmentDone"
    )


def test_an_assumed_state_is_entered_by_a_jump_and_never_passed():
    assert [step.kind for step in ccv("Screening", "ErpInProgress").steps] == [StepKind.JUMP]
    assert path(ccv("New", "ErpInProgress")) == [("seen_erp_in_progress", "ErpInProgress", StepKind.STEP)]
    for state in CCV.readings:
        for status in CCV.readings:
            decision = ccv(state, status)
            for step in decision.steps if isinstance(decision, Applied) else ():
                assert "ErpInProgress" not in step.note
                assert step.kind is not StepKind.INFERRED or step.target != "ErpInProgress"


@pytest.mark.parametrize("status", [status for status in CCV.readings if status not in ("Failed", "ErpInProgress")])
def test_recovery_out_of_failed_is_direct_while_the_window_is_open_and_an_anomaly_after(status):
    (step,) = ccv("Failed", status).steps
    assert (step.source, step.target, step.kind) == ("Failed", status, StepKind.STEP)
    late = ccv("Failed", status, window="closed")
    assert isinstance(late, Refused)
    assert late.reason is Reason.ANOMALY
    assert late.detail == f"{status!r} cannot follow 'Failed'"


def test_a_recovery_edge_is_only_ever_the_first_step(declare):
    """fell -> up is a recovery: from start, through fell, it may not be part of a path."""
    table = declare(
        """
        start = State(initial=True)
        fell = State(provisional=True)
        up = State(final=True)
        seen_fell = e(observation, start.to(fell))
        seen_up = e(observation, fell.to(up), recovery=True)
        readings = {"fell": reading(consistent=[fell], proves=fell), "up": reading(consistent=[up], proves=up)}
        """
    ).table
    assert observe(table, Snapshot("start", {}, {}, 0), Observation("up", 0)).reason is Reason.ANOMALY
    assert path(observe(table, Snapshot("fell", {}, {}, 0), Observation("up", 0))) == [("seen_up", "up", StepKind.STEP)]


def test_the_event_of_a_consistent_reading_is_no_part_of_a_proof(declare):
    table = declare(
        """
        waiting = State(initial=True)
        doubted = State()
        done = State(final=True)
        seen_unproven = e(observation, waiting.to(doubted))
        seen_done = e(observation, doubted.to(done))
        readings = {"pending": reading(consistent=[waiting]), "done": reading(consistent=[done], proves=done)}
        """
    ).table
    start = Snapshot("waiting", {}, {}, 0)
    assert path(observe(table, start, Observation("pending", 0))) == [("seen_unproven", "doubted", StepKind.STEP)]
    assert observe(table, start, Observation("done", 0)).reason is Reason.ANOMALY


CAPTURED = """
    authorized = State(initial=True)
    captured = State(proven=True)
    closed = State(final=True)
    refunded = Fact("no", "yes")
    seen_captured = e(observation, authorized.to(captured))
    seen_changed = e(observation, captured.to(captured), cond=refunded.is_("no"))
    close = e(command, captured.to(closed))
    refund = e(command, captured.to(captured), sets={"refunded": "yes"})
    readings = {"AUTHORIZED": reading(consistent=[authorized]), "CAPTURED": reading(consistent=[captured], proves=captured)}
"""


def test_other_data_with_the_same_status_is_a_step_where_the_lifecycle_declares_it(declare):
    table = declare(CAPTURED).table
    captured = Snapshot("captured", {"refunded": "no"}, {"sum": 100, "id": "7"}, 4)
    decision = observe(table, captured, Observation("CAPTURED", 4, {"sum": 300}))
    assert path(decision) == [("seen_changed", "captured", StepKind.STEP)]
    assert decision.snapshot == Snapshot("captured", {"refunded": "no"}, {"sum": 300, "id": "7"}, 5)
    for same in ({}, {"sum": 100}, {"sum": 100, "id": "7"}):
        assert observe(table, captured, Observation("CAPTURED", 4, same)) == Ignored(Reason.NO_NEWS, "captured")
    assert path(observe(table, captured, Observation("CAPTURED", 4, {"note": None}))) == [("seen_changed", "captured", StepKind.STEP)]
    refunded = Snapshot("captured", {"refunded": "yes"}, {"sum": 100}, 4)
    assert observe(table, refunded, Observation("CAPTURED", 4, {"sum": 300})) == Ignored(Reason.NO_NEWS, "captured")
    authorized = Snapshot("authorized", {"refunded": "no"}, {}, 4)
    assert observe(table, authorized, Observation("AUTHORIZED", 4, {"sum": 300})) == Ignored(Reason.NO_NEWS, "authorized")


def test_the_event_of_other_data_is_no_part_of_a_proof_and_comes_after_the_one_of_a_missing_proof(declare):
    table = declare(
        """
        waiting = State(initial=True)
        doubted = State()
        done = State(final=True)
        asked = Flag()
        seen_unproven = e(observation, waiting.to(doubted), cond=asked)
        seen_changed = e(observation, waiting.to(done))
        seen_done = e(observation, doubted.to(done))
        readings = {"pending": reading(consistent=[waiting]), "done": reading(consistent=[done], proves=done)}
        """
    ).table
    asked, calm = (Snapshot("waiting", {"asked": asked}, {}, 0) for asked in (True, False))
    assert path(observe(table, asked, Observation("pending", 0, {"n": 1}))) == [("seen_unproven", "doubted", StepKind.STEP)]
    assert path(observe(table, calm, Observation("pending", 0, {"n": 1}))) == [("seen_changed", "done", StepKind.STEP)]
    assert observe(table, calm, Observation("done", 0, {"n": 1})).reason is Reason.ANOMALY


def test_facts_are_set_by_every_inferred_step_and_in_a_jump_where_all_paths_agree(declare):
    table = declare(
        """
        a = State(initial=True)
        b = State()
        left = State()
        right = State()
        end = State(final=True)
        by_b = Flag()
        by_left = Flag()
        seen_b = e(observation, a.to(b), sets={"by_b": True})
        seen_left = e(observation, b.to(left), sets={"by_left": True})
        seen_right = e(observation, b.to(right))
        seen_end = e(observation, end.from_(left, right))
        readings = {"left": reading(consistent=[left], proves=left), "end": reading(consistent=[end], proves=end)}
        """
    ).table
    start = Snapshot("a", table.defaults(), {}, 0)
    inferred = observe(table, start, Observation("left", 0))
    assert [step.kind for step in inferred.steps] == [StepKind.INFERRED, StepKind.STEP]
    assert inferred.snapshot.facts == {"by_b": True, "by_left": True}
    jumped = observe(table, start, Observation("end", 0))
    assert [step.note for step in jumped.steps] == [
        "certainly missed: b; possibly missed: left, right; facts set: by_b = True; facts left as they were: by_left"
    ]
    assert jumped.snapshot.facts == {"by_b": True, "by_left": False}


def test_late_proof_of_connect_is_an_anomaly_once_the_window_is_closed():
    for state in ("cancelled", "error", "unknown"):
        assert path(connect(state, "fulfilled", to_pay=True))[-1] == ("seen_fulfilled", "fulfilled", StepKind.STEP)
        assert connect(state, "fulfilled", window="closed").reason is Reason.ANOMALY


def test_a_status_that_takes_proof_back_is_an_anomaly():
    for state in ("paid", "fulfilled", "user_assigned"):
        assert connect(state, "preliminary").reason is Reason.ANOMALY


def test_data_of_the_read_is_kept_only_if_it_moves_the_order():
    before = Snapshot("New", CCV.defaults(), {"id": "7"}, 0)
    moved = observe(CCV, before, Observation("Completed", 0, {"seen": 1}))
    assert moved.snapshot.data == {"id": "7", "seen": 1}
    assert before.data == {"id": "7"}
