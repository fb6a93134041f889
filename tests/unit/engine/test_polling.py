"""Status polls: readings, stale observations, notices and claims. Polls suffice alone, and are never more than needed."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from attrs import evolve
from tests.kit.toy import START, Bench, toy_id

from orderflow._engine.calls import CANCELLED
from orderflow._provider.outcomes import ReadFailed, Signal, StatusRead
from orderflow._store.records import InboxKey
from orderflow.model import PROVIDER_ID, Applied, Event, Ignored, Observation, Order, Origin, Reason, StepKind

pytestmark = pytest.mark.anyio
CLAIM, OPERATOR = Origin.CLAIM, Origin.OPERATOR


def poll_times(bench: Bench) -> list[float]:
    """When the provider was polled, in seconds since the engine started."""
    return [at - START for _, at in bench.toy.polls]


# ── polls suffice alone ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_order_is_polled_ever_more_slowly(bench: Bench) -> None:
    await bench.create()
    for _ in range(300):
        await bench.work_after(1)
    assert poll_times(bench) == [10, 30, 70, 150, 230]  # poll_first 10, doubled, capped at 80


async def test_a_step_starts_the_waits_again(bench: Bench) -> None:
    bench.toy.show("new", "new", "packed", "packed")
    await bench.create()
    for _ in range(100):
        await bench.work_after(1)
    assert poll_times(bench) == [10, 30, 70, 80, 100]


async def test_a_failed_poll_is_postponed_like_one_without_news(bench: Bench) -> None:
    away, throttled = ReadFailed("500", signal=Signal.UNREACHABLE), ReadFailed("429", retry_after=70.0, signal=Signal.UNAUTHORIZED)
    bench.toy.show(away, away, throttled, "packed")
    order = await bench.create()
    for _ in range(200):
        await bench.work_after(1)
    assert poll_times(bench)[:4] == [10, 30, 70, 150]
    assert await bench.state_of(order.id) == "packed"
    assert await bench.refusals_of(order.id) == {}


async def test_the_next_poll_waits_as_long_as_the_provider_says(bench: Bench) -> None:
    bench.toy.show(ReadFailed("429", retry_after=500.0))
    await bench.create()
    for _ in range(520):
        await bench.work_after(1)
    assert poll_times(bench) == [10, 510]


async def test_a_poll_that_hangs_ends_with_its_lease(bench: Bench) -> None:
    async def hang(order: Order) -> StatusRead:
        await asyncio.Event().wait()
        raise AssertionError

    bench.toy.timing = evolve(bench.toy.timing, lease=0.05)
    bench.toy.show(hang, "packed")
    order = await bench.create()
    await bench.work_after(10)
    await bench.work_after(20)
    assert await bench.state_of(order.id) == "packed"


async def test_a_poll_whose_worker_died_is_made_by_another(bench: Bench) -> None:
    bench.toy.show("packed")
    order = await bench.create()
    bench.clock.advance(10)
    await bench.lease_poll()
    await bench.work_after(bench.toy.timing.lease)
    assert await bench.state_of(order.id) == "packed"


async def test_a_poll_that_was_not_begun_before_its_lease_ended_is_left_to_the_next_worker(bench: Bench) -> None:
    order = await bench.create()
    bench.clock.advance(10)
    poll = await bench.lease_poll()
    await bench.work_after(bench.toy.timing.lease)
    assert len(bench.toy.polls) == 1
    await bench.engine.poller.run(poll)
    assert (len(bench.toy.polls), await bench.state_of(order.id)) == (1, "placed")


async def test_a_settled_order_is_polled_no_more(bench: Bench) -> None:
    bench.toy.show("delivered")
    order = await bench.create()
    await bench.work_after(10)
    assert await bench.state_of(order.id) == "delivered"
    await bench.engine.poll_requests.request(order.id)
    await bench.work_after(1e6)
    assert len(bench.toy.polls) == 1
    assert await bench.store.next_due(bench.scope()) is None


async def test_a_claim_beyond_the_quota_is_decided_and_brings_no_poll_forward(bench: Bench) -> None:
    order = await bench.create()
    await bench.accept(order.id, "came", Origin.CLAIM)
    await bench.work()
    planned = (await bench.store.pending(order.id)).next_poll_at
    again = Event("came", Origin.CLAIM)
    receipt = await bench.engine.inbox.accept(order.id, again, may_poll=False)
    assert isinstance(receipt.decision, Ignored)
    assert (await bench.store.pending(order.id)).next_poll_at == planned
    await bench.engine.inbox.accept(order.id, again)
    assert planned is not None
    assert ((await bench.store.pending(order.id)).next_poll_at or 0.0) < planned


# ── what a status means ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_reading_that_is_consistent_with_the_state_is_no_news_and_leaves_no_row(bench: Bench) -> None:
    order = await bench.create()
    await bench.work_after(10)
    assert (len(bench.toy.polls), await bench.refusals_of(order.id), await bench.state_of(order.id)) == (1, {}, "placed")


async def test_the_only_path_to_the_observed_state_is_inferred_step_by_step(bench: Bench) -> None:
    bench.listen("packed", "loaded")
    order = await bench.create()
    await bench.accept(order.id, "came", CLAIM)
    bench.toy.show("loaded")
    await bench.work_after(2)
    rows = (await bench.store.journal(order.id))[-2:]
    assert [(row.event, row.kind) for row in rows] == [("seen_packed", StepKind.INFERRED), ("seen_loaded", StepKind.STEP)]
    notified = [(entered.state, entered.inferred, entered.version) for entered in bench.notified]
    assert notified == [("packed", True, 5), ("loaded", False, 6)]


async def test_one_of_several_paths_to_the_observed_state_is_a_jump(bench: Bench) -> None:
    bench.listen("packed", "boxed", "delivered")
    bench.toy.show("delivered")
    order = await bench.create()
    await bench.work_after(10)
    row = (await bench.store.journal(order.id))[-1]
    assert (row.source, row.target, row.kind) == ("placed", "delivered", StepKind.JUMP)
    assert row.note == "certainly missed: loaded; possibly missed: packed, boxed"
    assert [(entered.state, entered.inferred) for entered in bench.notified] == [("delivered", True)]


async def test_a_step_that_expected_other_facts_is_taken_and_leaves_a_note(bench: Bench) -> None:
    for key, paid in (("cash", True), ("credit", False)):
        order = await bench.create(key, paid=paid)
        bench.toy.show("packed", "loaded", "shipped")
        for _ in range(3):
            await bench.work_after(10)
        rows = await bench.store.journal(order.id)
        assert (rows[-1].target, rows[-1].note) == ("shipped", "" if paid else "unexpected: paid was not so")
        assert not any("unexpected" in row.note for row in rows[:-1])


@pytest.mark.parametrize(
    ("status", "reason"),
    [("new", Reason.ANOMALY), ("lost at sea", Reason.UNKNOWN_STATUS), (StatusRead("packed", mismatch="amount"), Reason.NOT_OURS)],
    ids=["backwards", "unknown status", "another order"],
)
async def test_a_status_that_cannot_be_keeps_the_state_and_flags_the_order_until_the_next_step(
    bench: Bench, status: str | StatusRead, reason: Reason
) -> None:
    bench.toy.show("packed", status, status, "loaded")
    order = await bench.create()
    await bench.work_after(10)
    version = (await bench.store.load(order.id)).version
    for _ in range(2):
        await bench.work_after(20)
    order = await bench.store.load(order.id)
    assert (order.state, order.version, order.flagged) == ("packed", version, True)
    assert await bench.refusals_of(order.id) == {("status_read", reason.value): 2}
    await bench.work_after(80)
    order = await bench.store.load(order.id)
    assert (order.state, order.flagged) == ("loaded", False)


# ── stale observations ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_observation_that_a_step_overtook_is_dropped_and_recorded_and_the_order_is_polled_again(bench: Bench) -> None:
    order = await bench.create()

    async def overtake(order: Order) -> StatusRead:
        await bench.accept(order.id, "came", CLAIM)
        return StatusRead("boxed")

    bench.toy.show(overtake, "packed")
    bench.clock.advance(10)
    await bench.engine.poller.run(await bench.lease_poll())
    assert await bench.state_of(order.id) == "waiting"  # "boxed" was observed at an older version
    assert await bench.refusals_of(order.id) == {("status_read", "stale"): 1}
    await bench.work_after(bench.toy.timing.poll_interval)  # at once, but for the interval
    assert await bench.state_of(order.id) == "packed"


async def test_after_a_failed_poll_of_an_order_that_ended_meanwhile_none_is_planned(bench: Bench) -> None:
    order = await bench.create()

    async def overtake(order: Order) -> ReadFailed:
        await bench.override(order.id, "abandoned")
        return ReadFailed("500")

    bench.toy.show(overtake)
    bench.clock.advance(10)
    await bench.engine.poller.run(await bench.lease_poll())
    assert await bench.state_of(order.id) == "abandoned"
    assert await bench.store.next_due(bench.scope()) is None


async def test_a_stale_observation_is_never_decided_again(bench: Bench) -> None:
    order = await bench.create()
    receipt = await bench.engine.inbox.accept_observation(order.id, Observation("packed", order.version - 1), 0, 1.0)
    assert isinstance(receipt.decision, Ignored)
    assert (receipt.decision.reason, await bench.state_of(order.id)) == (Reason.STALE, "placed")


# ── notices ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_many_notices_make_one_poll_per_interval(bench: Bench) -> None:
    order = await bench.create()
    for _ in range(100):
        await bench.engine.poll_requests.request(order.id)
        await bench.work()
    assert poll_times(bench) == [0]
    for _ in range(20):
        await bench.engine.poll_requests.request(order.id)
        await bench.work_after(0.25)
    assert poll_times(bench) == [0, 2, 4]  # poll_interval


async def test_a_notice_before_the_providers_id_is_remembered_until_the_id_comes(bench: Bench) -> None:
    order = await bench.create(state="sending")
    await bench.engine.poll_requests.request(order.id)
    await bench.work(effects=False)
    assert bench.toy.polls == []
    bench.toy.show("packed")
    await bench.work()
    assert (await bench.state_of(order.id), poll_times(bench)) == ("packed", [0])


async def test_a_notice_is_remembered_until_an_operator_enters_the_id(bench: Bench) -> None:
    order = await bench.create(state="in_doubt")
    await bench.engine.poll_requests.request(order.id)
    bench.toy.show("packed")
    await bench.work_after(60)
    await bench.accept(order.id, "placement_resolved", OPERATOR, data={PROVIDER_ID: "T-found"})
    await bench.work()
    assert await bench.state_of(order.id) == "packed"


async def test_a_shared_notice_brings_a_few_polls_forward_those_of_the_longest_unpolled_orders(bench: Bench) -> None:
    orders = [await bench.create(f"k{n}") for n in range(3)]
    timing = bench.toy.timing
    for n in (2, 0, 1):
        await bench.engine.poll_requests.request(orders[n].id)
        await bench.work_after(timing.poll_interval)
    bench.toy.polls.clear()
    await bench.engine.poll_requests.request_oldest(bench.toy, timing.notice_fanout)
    await bench.work()
    assert [order_id for order_id, _ in bench.toy.polls] == [orders[2].id, orders[0].id]


@pytest.mark.parametrize("kind", ["notice", "claim"])
async def test_notices_and_claims_for_a_settled_order_leave_nothing_behind(bench: Bench, kind: str) -> None:
    bench.toy.show("delivered", "new")
    order = await bench.create()
    await bench.work_after(10)
    for n in range(10):
        if kind == "notice":
            await bench.engine.poll_requests.request(order.id)
        else:
            await bench.accept(order.id, "came", CLAIM, InboxKey("claim", str(n)))
    assert await bench.store.next_due(bench.scope()) is None
    bench.clock.advance(100)
    await bench.override(order.id, "placed")
    await bench.work()
    assert poll_times(bench) == [10]  # a remembered notice would be polled at once
    await bench.work_after(10)
    assert poll_times(bench) == [10, 120]


# ── after the end ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _ask(bench: Bench, order: Order, kind: str, n: int = 0) -> None:
    if kind == "notice":
        await bench.engine.poll_requests.request(order.id)
    else:
        await bench.accept(order.id, "came", CLAIM, InboxKey("claim", str(n)))


async def over_without_proof(bench: Bench) -> Order:
    """An order that lapsed, and whose window for a late proof is closed."""
    order = await bench.create()
    for _ in range(3):
        await bench.work_after(11_000)
    assert await bench.state_of(order.id) == "lapsed"
    assert await bench.store.next_due(bench.scope()) is None
    bench.toy.polls.clear()
    return order


@pytest.mark.parametrize("kind", ["notice", "claim"])
async def test_a_proof_that_comes_after_the_end_is_kept_and_flagged(bench: Bench, kind: str) -> None:
    order = await over_without_proof(bench)
    bench.toy.show("shipped")
    await _ask(bench, order, kind)
    await bench.work()
    assert len(bench.toy.polls) == 1
    order = await bench.store.load(order.id)
    assert (order.state, order.flagged) == ("lapsed", True)
    assert (await bench.refusals_of(order.id))["status_read", "anomaly"] == 1
    assert await bench.store.next_due(bench.scope()) is None


@pytest.mark.parametrize("kind", ["notice", "claim"])
async def test_after_the_end_an_order_is_polled_rarely(bench: Bench, kind: str) -> None:
    order = await over_without_proof(bench)
    for n in range(20):
        await _ask(bench, order, kind, n)
        await bench.work_after(1)
    assert len(bench.toy.polls) == 1
    await bench.work_after(bench.toy.timing.poll_cap)  # what was asked for meanwhile is looked at then
    assert len(bench.toy.polls) == 2
    await bench.work_after(1e6)
    assert len(bench.toy.polls) == 2


async def test_a_poll_after_the_end_is_made_again_while_the_provider_is_away(bench: Bench) -> None:
    order = await over_without_proof(bench)
    bench.toy.show(ReadFailed("no connection", signal=Signal.UNREACHABLE), ReadFailed("404"), "shipped")
    await _ask(bench, order, "claim")
    for _ in range(5):
        await bench.work_after(200)
    assert len(bench.toy.polls) == 2  # it answered the second
    assert not (await bench.store.load(order.id)).flagged


@pytest.mark.parametrize("failure", [ReadFailed(CANCELLED), ReadFailed("503", signal=Signal.UNREACHABLE)], ids=["stopped", "away"])
async def test_a_poll_after_the_end_that_brought_no_answer_is_made_again(bench: Bench, failure: ReadFailed) -> None:
    order = await over_without_proof(bench)
    bench.toy.show(failure, "shipped")
    await _ask(bench, order, "claim")
    for _ in range(3):
        await bench.work_after(bench.toy.timing.poll_cap)
    assert len(bench.toy.polls) == 2
    assert (await bench.store.load(order.id)).flagged


async def test_a_poll_that_began_before_the_end_does_not_end_the_request_for_a_later_one(bench: Bench) -> None:
    order = await bench.create()
    await bench.accept(order.id, "came", CLAIM)
    poll = await bench.lease_poll()

    async def end_meanwhile(order: Order) -> StatusRead:
        await bench.override(order.id, "abandoned")
        await _ask(bench, order, "notice")
        return StatusRead("new")

    bench.toy.show(end_meanwhile, "shipped")
    await bench.engine.poller.run(poll)
    assert not (await bench.store.load(order.id)).flagged
    await bench.work_after(bench.toy.timing.lease)
    assert (await bench.store.load(order.id)).flagged


async def test_a_redacted_order_is_not_polled_after_its_end(bench: Bench) -> None:
    """The adapter compares what the provider answers with data that is gone."""
    order = await over_without_proof(bench)
    assert isinstance(await bench.engine.retention.redact(order.id, actor="kim", reason="asked"), Applied)
    for kind in ("claim", "notice"):
        await _ask(bench, order, kind)
        await bench.work_after(bench.toy.timing.poll_cap)
    assert bench.toy.polls == []


# ── claims ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_claim_that_moves_the_order_brings_the_poll_forward(bench: Bench) -> None:
    order = await bench.create()
    await bench.accept(order.id, "came", CLAIM)
    await bench.work()
    assert (await bench.state_of(order.id), poll_times(bench)) == ("waiting", [0])


@pytest.mark.parametrize("with_id", [False, True], ids=["early", "late"])
async def test_a_claim_that_moves_nothing_brings_the_poll_forward_too(bench: Bench, with_id: bool) -> None:
    order = await bench.create(state="placed" if with_id else "sending")
    if with_id:
        bench.toy.show("packed", "loaded")
        await bench.work_after(10)
        bench.clock.advance(2)
    decision = await bench.accept(order.id, "came", CLAIM, InboxKey("claim", "token:me"))
    assert isinstance(decision, Ignored)
    before = len(bench.toy.polls)
    await bench.work()
    assert len(bench.toy.polls) == before + 1
    assert await bench.refusals_of(order.id) == {("came", "late" if with_id else "early"): 1}


async def test_a_claim_that_moved_nothing_may_come_again_and_move_the_order_then(bench: Bench) -> None:
    order = await bench.create(state="sending")
    key = InboxKey("claim", "token:me")
    await bench.accept(order.id, "came", CLAIM, key)
    await bench.work(polls=False)
    await bench.accept(order.id, "came", CLAIM, key)
    assert await bench.state_of(order.id) == "waiting"
    assert (await bench.accept(order.id, "came", CLAIM, key)) == Ignored(Reason.DUPLICATE, "waiting")


async def test_a_callback_before_the_reply_is_not_lost(bench: Bench) -> None:
    order = await bench.create(state="sending")
    attempt = await bench.lease()  # the call is in flight
    await bench.accept(order.id, "came", CLAIM, InboxKey("claim", "token:me"))
    await bench.engine.outbox.run(attempt)
    bench.toy.show("packed")
    await bench.work()
    order = await bench.store.load(order.id)
    assert (order.state, order.provider_id) == ("packed", toy_id(order))


async def test_claims_alone_prove_nothing(bench: Bench) -> None:
    order = await bench.create()
    for n in range(50):
        await bench.accept(order.id, "came", CLAIM, InboxKey("claim", str(n)))
    assert await bench.state_of(order.id) == "waiting"
    assert await bench.refusals_of(order.id) == {("came", "late"): 49}


# ── provisional ends ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_order_in_a_provisional_end_is_polled_slowly_until_its_window_closes(bench: Bench) -> None:
    order = await bench.create()
    await bench.work_after(1000)
    assert await bench.state_of(order.id) == "lapsed"
    bench.toy.polls.clear()
    for _ in range(2000):
        await bench.work_after(10)
    order = await bench.store.load(order.id)
    assert (order.state, order.snapshot.facts["window"]) == ("lapsed", "closed")
    times = poll_times(bench)
    assert {round(later - earlier) for earlier, later in pairwise(times[5:-1])} == {80}
    assert times[-1] == 11_000  # behind the deadline, before the window closes
    assert await bench.store.next_due(bench.scope()) is None


async def test_proof_within_the_window_overrules_a_provisional_end(bench: Bench) -> None:
    bench.listen("lapsed", "shipped")
    order = await bench.create()
    await bench.work_after(1000)
    bench.toy.show("shipped")
    await bench.work_after(80)
    assert await bench.state_of(order.id) == "shipped"
    assert [(entered.state, entered.provisional) for entered in bench.notified] == [("lapsed", True), ("shipped", False)]


async def test_proof_after_the_window_is_an_anomaly(bench: Bench) -> None:
    order = await bench.create()
    await bench.work_after(1000)
    bench.clock.advance(10_000)
    poll = await bench.lease_poll()
    await bench.accept(order.id, "window_closed", Origin.CLOCK)  # the deadline has waited for long enough
    bench.toy.show("shipped")
    await bench.engine.poller.run(poll)
    order = await bench.store.load(order.id)
    assert (order.state, order.flagged) == ("lapsed", True)
    assert await bench.refusals_of(order.id) == {("status_read", "anomaly"): 1}
    await bench.work_after(1e6)
    assert len([at for at in poll_times(bench) if at > 11_000]) == 0
