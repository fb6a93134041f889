"""Deadlines: armed on entry from another state, brought to the inbox once, gone with their decision."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.kit.toy import START, TIMING, Bench, Toy, edge, open_bench

from orderflow._lifecycle.declare import Lifecycle, State, once, reading
from orderflow._provider.outcomes import NotExecuted, ReadFailed, Signal, StatusRead
from orderflow.model import Applied, Order, Origin, Reason, Snapshot, StepKind

pytestmark = pytest.mark.anyio


async def armed_of(bench: Bench, order_id: str) -> list[tuple[str, float]]:
    """Every armed deadline of an order, and the seconds until it comes."""
    pending = await bench.store.pending(order_id)
    return [(name, at - bench.clock.now()) for name, at in pending.deadlines]


async def test_a_deadline_comes_when_it_is_due(bench: Bench) -> None:
    order = await bench.create()
    await bench.work_after(999)
    assert await bench.state_of(order.id) == "placed"
    await bench.work_after(1)  # the last poll was made a second ago, and the interval is two
    assert await bench.state_of(order.id) == "placed"
    await bench.work_after(1)
    row = (await bench.store.journal(order.id))[-1]
    assert (row.event, row.origin, row.target) == ("timed_out", Origin.CLOCK, "lapsed")


async def test_deadlines_are_armed_on_entry_from_another_state_only(bench: Bench) -> None:
    order = await bench.create()
    assert await armed_of(bench, order.id) == [("timed_out", 1000)]
    bench.clock.advance(400)
    await bench.accept(order.id, "came", Origin.CLAIM)
    assert await armed_of(bench, order.id) == [("reminded", 500), ("timed_out", 1000)]
    await bench.work_after(500)  # reminded: waiting to waiting
    assert (await bench.events_of(order.id))[-1] == "reminded"
    assert await armed_of(bench, order.id) == [("timed_out", 500)]
    await bench.work_after(500)
    assert await bench.state_of(order.id) == "lapsed"
    assert await armed_of(bench, order.id) == [("window_closed", 10_000)]


async def test_leaving_a_state_disarms_its_deadlines(bench: Bench) -> None:
    bench.toy.show("packed")
    order = await bench.create()
    await bench.work_after(10)
    assert await armed_of(bench, order.id) == []
    await bench.work_after(1e5)
    assert await bench.state_of(order.id) == "packed"


async def test_an_ignored_deadline_is_gone_with_its_decision(bench: Bench) -> None:
    order = await bench.create()
    await bench.override(order.id, "lapsed")
    await bench.work_after(10_000)
    await bench.override(order.id, "lapsed")
    assert await armed_of(bench, order.id) == [("window_closed", 10_000)]
    await bench.work_after(10_000)  # its guard fails: the window is closed already
    assert await bench.refusals_of(order.id) == {("window_closed", "late"): 1}
    assert await armed_of(bench, order.id) == []


async def test_a_deadline_that_is_run_twice_moves_the_order_once(bench: Bench) -> None:
    order = await bench.create()
    await bench.accept(order.id, "came", Origin.CLAIM)
    bench.clock.advance(500)
    deadline = await bench.fetch_deadline()
    await bench.engine.deadlines.run(deadline)
    version = (await bench.store.load(order.id)).version
    await bench.engine.deadlines.run(deadline)
    assert (await bench.store.load(order.id)).version == version
    assert await bench.refusals_of(order.id) == {}


async def test_a_deadline_that_a_step_overtakes_does_not_end_the_wait_in_the_next_state(bench: Bench) -> None:
    """``placed`` and ``waiting`` both have the deadline ``timed_out``, each its own."""
    order = await bench.create()
    bench.clock.advance(1000)
    deadline = await bench.fetch_deadline()
    await bench.accept(order.id, "came", Origin.CLAIM)  # at the last moment
    await bench.engine.deadlines.run(deadline)
    assert await bench.state_of(order.id) == "waiting"
    assert await armed_of(bench, order.id) == [("reminded", 500), ("timed_out", 1000)]


async def test_a_deadline_brings_the_poll_forward(bench: Bench) -> None:
    """A lost notice may be the reason why nothing has happened."""
    await bench.create()
    for _ in range(100):
        await bench.work_after(10)
    assert [at - START for _, at in bench.toy.polls[-3:]] == [870, 950, 1000]  # without the deadline 1030


async def test_an_override_arms_the_deadlines_of_its_target(bench: Bench) -> None:
    order = await bench.create(state="in_doubt")
    await bench.override(order.id, "placed")
    assert await armed_of(bench, order.id) == [("timed_out", 1000)]
    row = (await bench.store.journal(order.id))[-1]
    assert (row.kind, row.note) == (StepKind.OVERRIDE, "by kim: ticket 7")


# ── a poll first ─────────────────────────────────────────────────────────────────────────────────────────────────────────

PATIENCE = TIMING.deadline_patience
UNREACHABLE = ReadFailed("no connection", signal=Signal.UNREACHABLE)


async def run_deadline(bench: Bench) -> None:
    await bench.engine.deadlines.run(await bench.fetch_deadline())


async def run_poll(bench: Bench) -> None:
    await bench.engine.poller.run(await bench.lease_poll())


async def let_window_close(bench: Bench, answer: StatusRead | ReadFailed) -> Order:
    """An order that lapsed, and whose window for a late proof closed while each poll ended like this."""
    order = await bench.create()
    bench.toy.show("new")
    await bench.work_after(1000)
    assert await bench.state_of(order.id) == "lapsed"
    bench.toy.show(answer)
    await bench.work_after(10_000)
    await bench.work_after(PATIENCE)
    order = await bench.store.load(order.id)
    assert (order.state, order.snapshot.facts["window"]) == ("lapsed", "closed")
    return order


async def test_what_the_provider_says_wins_over_a_deadline_that_came_while_nothing_ran(bench: Bench) -> None:
    bench.listen("lapsed", "packed")
    order = await bench.create()
    bench.toy.show("packed")  # while our service was down, for longer than the deadline and than the patience
    await bench.work_after(1000 + 2 * PATIENCE)
    assert [entered.state for entered in bench.notified] == ["packed"]
    assert await armed_of(bench, order.id) == []


async def test_a_deadline_of_an_order_that_cannot_be_polled_is_decided_at_once(bench: Bench) -> None:
    order = await bench.create(state="drafted")
    await bench.override(order.id, "placed")  # without the provider's id
    bench.clock.advance(1000)
    await run_deadline(bench)
    assert (await bench.state_of(order.id), bench.toy.polls) == ("lapsed", [])
    assert "poll" not in (await bench.store.journal(order.id))[-1].note


@pytest.mark.parametrize(
    "failure",
    [UNREACHABLE, ReadFailed("429", signal=Signal.THROTTLED), ReadFailed("a login page", signal=Signal.FOREIGN), OSError("a bug")],
    ids=["unreachable", "throttled", "foreign", "adapter raised"],
)
async def test_a_deadline_waits_while_the_provider_does_not_answer(bench: Bench, failure: ReadFailed | Exception) -> None:
    bench.toy.show(failure)
    order = await bench.create()
    for _ in range(50):
        await bench.work_after(100)
    assert await bench.state_of(order.id) == "placed"
    bench.toy.show("new")
    await bench.work_after(100)
    assert (await bench.state_of(order.id), (await bench.store.journal(order.id))[-1].note) == ("lapsed", "")


async def test_a_deadline_that_has_waited_long_enough_is_decided_without_a_poll(bench: Bench) -> None:
    bench.toy.show(UNREACHABLE)
    order = await bench.create()
    await bench.work_after(1000)
    await bench.work_after(PATIENCE - 1)
    assert await bench.state_of(order.id) == "placed"
    await bench.work_after(1)
    assert await bench.state_of(order.id) == "lapsed"
    assert (await bench.store.journal(order.id))[-1].note == "no poll was answered since it was due"


@pytest.mark.parametrize("answer", ["shipped", "new"], ids=["a proof", "no proof"])
async def test_an_order_that_a_deadline_ended_without_a_poll_is_polled_until_that_is_answered_once(bench: Bench, answer: str) -> None:
    order = await let_window_close(bench, UNREACHABLE)
    assert (await bench.store.journal(order.id))[-1].note == "no poll was answered since it was due"
    polls = len(bench.toy.polls)
    for _ in range(20):  # the outage goes on
        await bench.work_after(100)
    assert len(bench.toy.polls) > polls + 5
    bench.toy.show(answer)
    await bench.work_after(100)
    await bench.work_after(100)
    after, pending = await bench.store.load(order.id), await bench.store.pending(order.id)
    assert (after.state, after.flagged, pending.next_poll_at) == ("lapsed", answer == "shipped", None)
    details = [row.detail for row in await bench.store.refusals(order.id) if row.reason is Reason.ANOMALY]
    assert details == (["'shipped' cannot follow 'lapsed'"] if answer == "shipped" else [])
    polls = len(bench.toy.polls)
    await bench.work_after(1e6)
    assert len(bench.toy.polls) == polls


async def test_an_order_that_a_deadline_ended_after_a_poll_is_polled_no_more(bench: Bench) -> None:
    order = await let_window_close(bench, StatusRead("new"))
    assert (await bench.store.pending(order.id)).next_poll_at is None


async def test_a_redacted_order_that_a_deadline_ended_is_polled_no_more(bench: Bench) -> None:
    """The adapter compares what the provider answers with data that is gone."""
    order = await let_window_close(bench, UNREACHABLE)
    assert isinstance(await bench.engine.retention.redact(order.id, actor="kim", reason="asked"), Applied)
    bench.toy.polls.clear()
    await bench.work_after(bench.toy.timing.poll_cap)
    assert (bench.toy.polls, (await bench.store.pending(order.id)).next_poll_at) == ([], None)


async def test_an_answer_without_a_status_is_an_answer(bench: Bench) -> None:
    bench.toy.show(ReadFailed("HTTP 404"))
    order = await bench.create()
    bench.clock.advance(1000)
    await run_deadline(bench)
    await run_poll(bench)
    await run_deadline(bench)
    assert await bench.state_of(order.id) == "lapsed"


async def test_a_poll_that_began_before_the_deadline_is_not_enough(bench: Bench) -> None:
    order = await bench.create()
    bench.clock.advance(990)

    async def answer_late(_order: Order) -> StatusRead:
        bench.clock.advance(10)
        await run_deadline(bench)
        return StatusRead("new")

    bench.toy.show(answer_late, "packed")
    await run_poll(bench)
    assert await bench.engine.deadlines.fetch(bench.scope(), 10) == []
    await bench.work_after(2)
    assert await bench.state_of(order.id) == "packed"


async def test_a_poll_that_a_step_overtook_is_not_enough(bench: Bench) -> None:
    """Its answer was dropped, whatever it was."""
    order = await bench.create()
    await bench.accept(order.id, "came", Origin.CLAIM)
    bench.clock.advance(1000)
    for due in await bench.engine.deadlines.fetch(bench.scope(), 10):
        await bench.engine.deadlines.run(due)

    async def answer_late(_order: Order) -> StatusRead:
        await bench.accept(order.id, "reminded", Origin.CLOCK)  # from waiting to waiting
        return StatusRead("packed")

    bench.toy.show(answer_late, "packed")
    await run_poll(bench)
    assert await bench.engine.deadlines.fetch(bench.scope(), 10) == []
    await bench.work_after(2)
    assert await bench.state_of(order.id) == "packed"


async def test_a_process_that_ends_between_the_answer_and_the_decision_loses_nothing(bench: Bench) -> None:
    order = await bench.create()
    bench.clock.advance(1000)
    await run_deadline(bench)
    await run_poll(bench)
    assert await bench.engine.deadlines.fetch(bench.scope(), 10) == [await bench.fetch_deadline()]
    polls = len(bench.toy.polls)
    await run_deadline(bench)  # by another process
    assert (await bench.state_of(order.id), len(bench.toy.polls)) == ("lapsed", polls)


async def test_a_deadline_that_waits_wakes_no_worker(bench: Bench) -> None:
    bench.toy.show(UNREACHABLE)
    await bench.create()
    await bench.work_after(1000)
    due = await bench.store.next_due(bench.scope())
    assert due is not None
    assert due > bench.clock.now()


# ── drafts ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Draft(Lifecycle, name="toy"):
    """An order that is thrown away where nothing is done with it."""

    # fmt: off
    drafted = State(initial=True, deadlines={"thrown": "keep"})
    sending = State()
    sent    = State()
    gone    = State(final=True)
    seen    = State(final=True, proven=True)
    place   = once(kind="placement", successes=["order_placed"])
    order_it              = edge(Origin.COMMAND, drafted.to(sending), effects=[place])
    thrown                = edge(Origin.CLOCK, drafted.to(gone))
    order_placed          = edge(Origin.REPLY, sending.to(sent))
    placement_refused     = edge(Origin.REPLY, sending.to(gone))
    placement_undelivered = edge(Origin.REPLY, sending.to(drafted))
    placement_answer_lost = edge(Origin.REPLY, sending.to(gone))
    seen_sent             = edge(Origin.OBSERVATION, sent.to(seen))
    # fmt: on
    readings = {"new": reading(consistent=[sent]), "seen": reading(consistent=[seen], proves=seen)}


@pytest.fixture
async def drafts(tmp_path: Path) -> AsyncIterator[Bench]:
    """A bench whose orders expire after 500 s as drafts."""
    toy = Toy(table=Draft.table)
    async with open_bench(tmp_path, toy, durations={"keep": 500.0}) as bench:
        yield bench


async def create_draft(bench: Bench) -> Order:
    """A draft, made as an application makes it."""
    return await bench.engine.commands.create(bench.toy, "k", {})


async def test_a_draft_expires_and_needs_no_poll(drafts: Bench) -> None:
    order = await create_draft(drafts)
    assert await armed_of(drafts, order.id) == [("thrown", 500)]
    await drafts.work_after(499)
    assert await drafts.state_of(order.id) == "drafted"
    await drafts.work_after(1)
    assert await drafts.state_of(order.id) == "gone"
    assert drafts.toy.polls == []
    (row,) = await drafts.store.journal(order.id)
    assert (row.event, row.origin, row.note) == ("thrown", Origin.CLOCK, "")


async def test_the_same_key_leaves_the_deadline_of_the_draft_as_it_was(drafts: Bench) -> None:
    order = await create_draft(drafts)
    drafts.clock.advance(100)
    assert await create_draft(drafts) == order
    assert await armed_of(drafts, order.id) == [("thrown", 400)]


async def test_a_draft_that_is_sent_does_not_expire_and_one_that_comes_back_has_its_whole_time_again(drafts: Bench) -> None:
    order = await create_draft(drafts)
    drafts.clock.advance(400)
    await drafts.accept(order.id, "order_it")
    assert await armed_of(drafts, order.id) == []
    drafts.toy.answer("place", *[NotExecuted("no token")] * 3)
    for _ in range(3):
        await drafts.work_after(60)
    assert await drafts.state_of(order.id) == "drafted"
    ((name, seconds),) = await armed_of(drafts, order.id)
    assert (name, seconds > 400) == ("thrown", True)
    await drafts.work_after(500)
    assert (await drafts.state_of(order.id), drafts.toy.polls) == ("gone", [])


async def test_a_draft_without_a_deadline_gets_one_when_it_comes_back(drafts: Bench) -> None:
    """So it is with a draft that an older version created: an upgrade arms none, for it does not know the durations."""
    now = drafts.clock.now()
    order = await drafts.store.create(Order("toy-old", "toy", "old", Snapshot("drafted", {}, {}, 0), now, now), "content")
    await drafts.work_after(1e6)
    assert (await drafts.state_of(order.id), await armed_of(drafts, order.id)) == ("drafted", [])
    drafts.toy.answer("place", NotExecuted("the user is gone", permanent=True))
    await drafts.accept(order.id, "order_it")
    await drafts.work()
    assert await armed_of(drafts, order.id) == [("thrown", 500)]
