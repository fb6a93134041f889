"""``plan_commit``: from a decision to everything that it writes. Pure, so tested without a store."""

from __future__ import annotations

import pytest
from attrs import evolve
from tests.kit.toy import TIMING, ToyLifecycle

from orderflow._engine.commit import CommitContext, plan_commit, poll_backoff
from orderflow._lifecycle.decide import decide
from orderflow._lifecycle.observe import observe
from orderflow._store.records import Commit, PollAt, PollSooner, StopPolling
from orderflow.model import NOTIFY_LISTENER, PROVIDER_ID, REDACTED, Applied, Event, Message, Observation, Order, Origin, Reason, Snapshot

TABLE = ToyLifecycle.table
NOW = 1000.0


def context(event: str, origin: Origin, *, notified: tuple[str, ...] = (), without_news: int = 0) -> CommitContext:
    return CommitContext(TABLE, TIMING, frozenset(notified), NOW, 0.0, event, origin, without_news=without_news)


def order_in(state: str, *, with_id: bool = True, **facts: bool | str) -> Order:
    data = {PROVIDER_ID: "T-1"} if with_id else {}
    return Order("toy-k", "toy", "k", Snapshot(state, {**TABLE.defaults(), **facts}, data, 4), 0.0, 0.0)


def plan_event(order: Order, name: str, origin: Origin, *, notified: tuple[str, ...] = ()) -> Commit:
    return plan_commit(context(name, origin, notified=notified), order, decide(TABLE, order.snapshot, Event(name, origin)))


def plan_observation(order: Order, status: str, without_news: int = 0, notified: tuple[str, ...] = ()) -> Commit:
    decision = observe(TABLE, order.snapshot, Observation(status, order.version))
    return plan_commit(context("status_read", Origin.OBSERVATION, without_news=without_news, notified=notified), order, decision)


def test_every_step_has_a_journal_row_and_a_version_of_its_own() -> None:
    commit = plan_observation(order_in("waiting"), "delivered", notified=("packed", "delivered"))
    assert isinstance(commit.decision, Applied)
    assert [(row.version, row.target) for row in commit.journal] == [(5, "packed"), (6, "loaded"), (7, "delivered")]
    assert [(owed.version, owed.n, owed.name, owed.entered_state) for owed in commit.effects] == [
        (5, 0, NOTIFY_LISTENER, "packed"),
        (7, 0, NOTIFY_LISTENER, "delivered"),
    ]


def test_each_row_holds_what_its_step_set_and_the_last_what_was_reported() -> None:
    order = order_in("waiting")
    decision = observe(TABLE, order.snapshot, Observation("delivered", order.version, {"parcel": 2}))
    journal = plan_commit(context("status_read", Origin.OBSERVATION), order, decision).journal
    assert [row.data for row in journal] == [{}, {}, {"parcel": 2}]
    assert isinstance(decision, Applied)
    assert [row.facts for row in journal] == [step.facts for step in decision.steps]


def test_a_value_of_another_type_is_a_change_and_the_same_object_is_none() -> None:
    order = order_in("drafted", with_id=False)
    order = evolve(order, snapshot=evolve(order.snapshot, data={"n": 1, "kept": [1]}))
    (row,) = plan_commit(
        context("order_it", Origin.COMMAND), order, decide(TABLE, order.snapshot, Event("order_it", Origin.COMMAND, {"n": True}))
    ).journal
    assert repr(row.data) == "{'n': True}"
    (row,) = plan_event(order, "order_it", Origin.COMMAND).journal
    assert row.data == {}


def test_only_a_redacted_order_keeps_no_fingerprint_of_a_command() -> None:
    order = order_in("drafted", with_id=False)
    redacted = evolve(order, snapshot=evolve(order.snapshot, data={REDACTED: True}))
    assert plan_event(order, "order_it", Origin.COMMAND).keep_fingerprint
    assert not plan_event(redacted, "order_it", Origin.COMMAND).keep_fingerprint


def test_a_call_gets_a_copy_of_the_arguments_that_it_declares() -> None:
    step = decide(TABLE, order_in("drafted", with_id=False).snapshot, Event("order_it", Origin.COMMAND, {"amount": 3, "note": "n"}))
    assert isinstance(step, Applied)
    effect = evolve(step.steps[0].effects[0], arguments=("amount", "unknown"))
    decision = evolve(step, steps=(evolve(step.steps[0], effects=(effect, *step.steps[0].effects)),))
    commit = plan_commit(context("order_it", Origin.COMMAND), order_in("drafted", with_id=False), decision)
    assert [owed.arguments for owed in commit.effects] == ['{"amount":3}', ""]
    without = evolve(effect, arguments=("unknown",))
    decision = evolve(step, steps=(evolve(step.steps[0], effects=(without,)),))
    (owed,) = plan_commit(context("order_it", Origin.COMMAND), order_in("drafted", with_id=False), decision).effects
    assert owed.arguments == "{}"  # what comes later must not be taken for it


def test_a_command_gives_the_arguments_of_its_calls_and_any_other_event_takes_them_from_the_order() -> None:
    order = order_in("drafted", with_id=False)
    order = evolve(order, snapshot=evolve(order.snapshot, data={"amount": 3, "note": "n", "provider_id": "T-1"}))
    command = Event("order_it", Origin.COMMAND, {"note": "m"})
    step = decide(TABLE, order.snapshot, command)
    assert isinstance(step, Applied)
    effect = evolve(step.steps[0].effects[0], arguments=("amount", "note", "provider_id"))
    step = evolve(step, steps=(evolve(step.steps[0], effects=(effect,)),))
    (owed,) = plan_commit(context("order_it", Origin.COMMAND), order, step, command).effects
    assert owed.arguments == '{"note":"m","provider_id":"T-1"}'
    (owed,) = plan_commit(context("order_it", Origin.REPLY), order, step).effects
    assert owed.arguments == '{"amount":3,"note":"m","provider_id":"T-1"}'


def test_the_notification_is_numbered_after_the_effects_of_the_step() -> None:
    commit = plan_event(order_in("drafted", with_id=False), "order_it", Origin.COMMAND, notified=("preparing",))
    assert [(owed.n, owed.name, owed.entered_state) for owed in commit.effects] == [
        (0, "make_ready", ""),
        (1, NOTIFY_LISTENER, "preparing"),
    ]


@pytest.mark.parametrize(
    ("state", "event", "origin", "deadlines"),
    [
        ("sending", "order_placed", Origin.REPLY, (("timed_out", NOW + 1000),)),
        ("placed", "came", Origin.CLAIM, (("timed_out", NOW + 1000), ("reminded", NOW + 500))),
        ("waiting", "reminded", Origin.CLOCK, None),  # the same state: its deadlines stay
        ("drafted", "order_it", Origin.COMMAND, None),  # nothing to arm, nothing to disarm
        ("in_doubt", "came", Origin.CLAIM, None),  # ignored
    ],
)
def test_deadlines_follow_the_state(state: str, event: str, origin: Origin, deadlines: object) -> None:
    assert plan_event(order_in(state), event, origin).deadlines == deadlines


def test_a_step_to_a_state_without_deadlines_disarms() -> None:
    assert plan_observation(order_in("placed"), "packed").deadlines == ()


@pytest.mark.parametrize(
    ("order", "event", "origin", "plan"),
    [
        (order_in("sending"), "order_placed", Origin.REPLY, PollAt(NOW + 10, 0, 2.0)),
        (order_in("sending", with_id=False), "order_placed", Origin.REPLY, None),  # no id: nothing to poll, a notice is kept
        (order_in("placed"), "came", Origin.CLAIM, PollAt(NOW, 0, 2.0)),  # a claim: at once
        (order_in("placed", with_id=False), "came", Origin.CLAIM, PollSooner(2.0)),  # a claim without an id: remembered
        (order_in("placed"), "timed_out", Origin.CLOCK, PollAt(NOW, 0, 2.0)),
        (order_in("lapsed"), "window_closed", Origin.CLOCK, StopPolling()),
        (order_in("sending", with_id=False), "came", Origin.CLAIM, PollSooner(2.0)),  # early
        (order_in("packed"), "came", Origin.CLAIM, PollSooner(2.0)),  # late
        (order_in("delivered"), "came", Origin.CLAIM, None),  # settled: no poll can move it
        (order_in("drafted", with_id=False), "order_it", Origin.COMMAND, None),
        (order_in("in_doubt"), "placement_given_up", Origin.OPERATOR, StopPolling()),
        (order_in("packed"), "timed_out", Origin.CLOCK, None),  # late: the poll stays as planned
    ],
)
def test_polls_follow_the_decision_on_an_event(order: Order, event: str, origin: Origin, plan: object) -> None:
    assert plan_event(order, event, origin).poll == plan


@pytest.mark.parametrize(
    ("order", "status", "plan"),
    [
        (order_in("placed"), "new", PollAt(NOW + 40, 2, 2.0)),
        (order_in("packed"), "new", PollAt(NOW + 40, 2, 2.0)),  # an anomaly: polling goes on
        (order_in("placed"), "packed", PollAt(NOW + 10, 0, 2.0)),
        (order_in("placed"), "delivered", StopPolling()),
        (order_in("lapsed", window="closed"), "shipped", StopPolling(remember=True)),
    ],
)
def test_polls_follow_the_decision_on_an_observation(order: Order, status: str, plan: object) -> None:
    assert plan_observation(order, status, without_news=1).poll == plan


def test_a_stale_observation_brings_the_next_poll_forward() -> None:
    order = order_in("placed")
    decision = observe(TABLE, order.snapshot, Observation("packed", order.version - 1))
    commit = plan_commit(context("status_read", Origin.OBSERVATION), order, decision)
    assert commit.poll == PollSooner(2.0)
    assert commit.refusal is not None
    assert commit.refusal.reason is Reason.STALE


def test_an_observation_without_news_leaves_no_row() -> None:
    assert plan_observation(order_in("placed"), "new").refusal is None


@pytest.mark.parametrize(
    ("event", "origin", "kept"),
    [
        ("order_it", Origin.COMMAND, False),
        ("order_placed", Origin.REPLY, True),
        ("timed_out", Origin.CLOCK, True),
        ("came", Origin.CLAIM, False),
    ],
)
def test_the_inbox_key_of_an_event_that_was_not_applied_is_kept_unless_it_may_be_applied_later(
    event: str, origin: Origin, kept: bool
) -> None:
    assert plan_event(order_in("boxed"), event, origin).keep_key is kept


def test_poll_waits_grow_to_the_cap_and_have_jitter() -> None:
    timing = evolve(TIMING, poll_jitter=0.2)
    assert [poll_backoff(timing, without_news, 0.0) for without_news in (0, 1, 2, 3, 4, 10_000)] == [10, 20, 40, 80, 80, 80]
    assert [poll_backoff(timing, 0, jitter) for jitter in (-1.0, 1.0)] == [8, 12]


@pytest.mark.parametrize("redacted", [False, True])
def test_the_answer_that_brought_an_event_is_kept_with_the_decision_but_not_for_a_redacted_order(redacted: bool) -> None:
    answer = Message("toy-k", "place", 201, "", "A1", False, NOW, NOW)
    data = {REDACTED: True} if redacted else {}
    sending, lapsed = (Order("toy-k", "toy", "k", Snapshot(state, TABLE.defaults(), data, 4), 0.0, 0.0) for state in ("sending", "lapsed"))
    for order in (sending, lapsed):  # it moves, it stays
        reply = evolve(context("order_placed", Origin.REPLY), message=answer)
        commit = plan_commit(reply, order, decide(TABLE, order.snapshot, Event("order_placed", Origin.REPLY)))
        assert isinstance(commit.decision, Applied) == (order is sending)
        assert commit.message == (None if redacted else answer)
