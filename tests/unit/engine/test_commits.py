"""From a decision to everything that it writes: pure, so tried without a store."""

from __future__ import annotations

import pytest
from attrs import evolve
from tests.kit.toy import TIMING, ToyLifecycle

from orderflow.engine.commit import CommitContext, plan_commit, poll_wait
from orderflow.lifecycle.decide import decide
from orderflow.lifecycle.observe import observe
from orderflow.model import NOTIFY_LISTENER, PROVIDER_ID, Applied, Event, Observation, Order, Origin, Reason, Snapshot
from orderflow.store.records import Commit, PollAt, PollSooner, StopPolling

TABLE = ToyLifecycle.table
NOW = 1000.0


def given(event: str, origin: Origin, *, listens: tuple[str, ...] = (), without_news: int = 0, jitter: float = 0.0) -> CommitContext:
    return CommitContext(TABLE, TIMING, lambda state: state in listens, NOW, jitter, event, origin, without_news=without_news)


def order(state: str, *, known: bool = True, **facts: bool | str) -> Order:
    data = {PROVIDER_ID: "T-1"} if known else {}
    return Order("toy-k", "toy", "k", Snapshot(state, {**TABLE.defaults(), **facts}, data, 4), 0.0, 0.0)


def told(at: Order, name: str, origin: Origin, *, listens: tuple[str, ...] = ()) -> Commit:
    return plan_commit(given(name, origin, listens=listens), at, decide(TABLE, at.snapshot, Event(name, origin)))


def seen(at: Order, status: str, without_news: int = 0, listens: tuple[str, ...] = ()) -> Commit:
    decision = observe(TABLE, at.snapshot, Observation(status, at.version))
    return plan_commit(given("status_read", Origin.OBSERVATION, without_news=without_news, listens=listens), at, decision)


def test_every_step_has_a_journal_row_and_a_version_of_its_own() -> None:
    commit = seen(order("waiting"), "delivered", listens=("packed", "delivered"))
    assert isinstance(commit.decision, Applied)
    assert [(row.version, row.target) for row in commit.journal] == [(5, "packed"), (6, "loaded"), (7, "delivered")]
    assert [(owed.version, owed.n, owed.name, owed.entered_state) for owed in commit.effects] == [
        (5, 0, NOTIFY_LISTENER, "packed"),
        (7, 0, NOTIFY_LISTENER, "delivered"),
    ]


def test_the_host_is_told_behind_the_effects_of_the_step() -> None:
    commit = told(order("drafted", known=False), "order_it", Origin.COMMAND, listens=("preparing",))
    assert [(owed.n, owed.name, owed.entered_state) for owed in commit.effects] == [
        (0, "make_ready", ""),
        (1, NOTIFY_LISTENER, "preparing"),
    ]


@pytest.mark.parametrize(
    ("state", "event", "origin", "deadlines"),
    [
        ("sending", "order_placed", Origin.REPLY, (("nobody_came", NOW + 1000),)),
        ("placed", "came", Origin.CLAIM, (("nobody_came", NOW + 1000), ("reminded", NOW + 500))),
        ("waiting", "reminded", Origin.CLOCK, None),  # the same state: what is armed stays
        ("drafted", "order_it", Origin.COMMAND, None),  # nothing to arm, nothing to disarm
        ("in_doubt", "came", Origin.CLAIM, None),  # ignored
    ],
)
def test_deadlines_follow_the_state(state: str, event: str, origin: Origin, deadlines: object) -> None:
    assert told(order(state), event, origin).deadlines == deadlines


def test_leaving_for_a_state_without_deadlines_disarms() -> None:
    assert seen(order("placed"), "packed").deadlines == ()


@pytest.mark.parametrize(
    ("at", "event", "origin", "plan"),
    [
        (order("sending"), "order_placed", Origin.REPLY, PollAt(NOW + 10, 0, 2.0)),
        (order("sending", known=False), "order_placed", Origin.REPLY, None),  # no id: nothing to read, a notice is kept
        (order("placed"), "came", Origin.CLAIM, PollAt(NOW, 0, 2.0)),  # a claim: at once
        (order("placed", known=False), "came", Origin.CLAIM, PollSooner(2.0)),  # a claim without an id: remembered
        (order("placed"), "nobody_came", Origin.CLOCK, PollAt(NOW, 0, 2.0)),
        (order("lapsed"), "window_closed", Origin.CLOCK, StopPolling()),
        (order("sending", known=False), "came", Origin.CLAIM, PollSooner(2.0)),  # early
        (order("packed"), "came", Origin.CLAIM, PollSooner(2.0)),  # late
        (order("delivered"), "came", Origin.CLAIM, None),  # settled: no read can move it
        (order("drafted", known=False), "order_it", Origin.COMMAND, None),
        (order("in_doubt"), "placement_given_up", Origin.OPERATOR, StopPolling()),
        (order("packed"), "nobody_came", Origin.CLOCK, None),  # late: the read stands as planned
    ],
)
def test_reads_follow_the_decision(at: Order, event: str, origin: Origin, plan: object) -> None:
    assert told(at, event, origin).poll == plan


@pytest.mark.parametrize(
    ("at", "status", "plan"),
    [
        (order("placed"), "new", PollAt(NOW + 40, 2, 2.0)),
        (order("packed"), "new", PollAt(NOW + 40, 2, 2.0)),  # an anomaly: read on
        (order("placed"), "packed", PollAt(NOW + 10, 0, 2.0)),
        (order("placed"), "delivered", StopPolling()),
        (order("lapsed", window="closed"), "shipped", StopPolling()),
    ],
)
def test_reads_follow_what_was_read(at: Order, status: str, plan: object) -> None:
    assert seen(at, status, without_news=1).poll == plan


def test_a_stale_read_is_brought_forward() -> None:
    at = order("placed")
    commit = plan_commit(given("status_read", Origin.OBSERVATION), at, observe(TABLE, at.snapshot, Observation("packed", at.version - 1)))
    assert commit.poll == PollSooner(2.0)
    assert commit.refusal is not None
    assert commit.refusal.reason is Reason.STALE


def test_no_news_leaves_no_row() -> None:
    assert seen(order("placed"), "new").refusal is None


@pytest.mark.parametrize(
    ("event", "origin", "remembered"),
    [
        ("order_it", Origin.COMMAND, False),
        ("order_placed", Origin.REPLY, True),
        ("nobody_came", Origin.CLOCK, True),
        ("came", Origin.CLAIM, False),
    ],
)
def test_what_moved_nothing_is_remembered_unless_it_may_move_later(event: str, origin: Origin, remembered: bool) -> None:
    assert told(order("boxed"), event, origin).keep_key is remembered


def test_waits_grow_to_the_cap_and_are_spread() -> None:
    timing = evolve(TIMING, poll_jitter=0.2)
    assert [poll_wait(timing, without_news, 0.0) for without_news in (0, 1, 2, 3, 4, 10_000)] == [10, 20, 40, 80, 80, 80]
    assert [poll_wait(timing, 0, jitter) for jitter in (-1.0, 1.0)] == [8, 12]
