"""Rules 4 to 6 and 8: readings, stale reads, notices and claims; reads suffice alone, and are never more than needed."""

from __future__ import annotations

import asyncio

import pytest
from attrs import evolve
from tests.kit.toy import Bench, number

from orderflow.model import PROVIDER_ID, Ignored, Observation, Order, Origin, Reason, Refused, StepKind
from orderflow.provider.outcomes import ReadFailed, StatusRead
from orderflow.store.records import InboxKey

pytestmark = pytest.mark.anyio
CLAIM, REPLY, OPERATOR = Origin.CLAIM, Origin.REPLY, Origin.OPERATOR


def _at(bench: Bench) -> list[float]:
    """When reads were made, in seconds since the engine started."""
    return [at - 1_000_000.0 for _, at in bench.toy.reads]


# ── reads suffice alone ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_order_is_read_again_and_again_ever_more_slowly(bench: Bench) -> None:
    await bench.new()
    for _ in range(300):
        await bench.after(1)
    assert _at(bench) == [10, 30, 70, 150, 230]  # poll_first 10, doubled, capped at 80


async def test_news_starts_the_waits_anew(bench: Bench) -> None:
    bench.toy.shows("new", "new", "packed", "packed")
    await bench.new()
    for _ in range(100):
        await bench.after(1)
    assert _at(bench) == [10, 30, 70, 80, 100]


async def test_failed_reads_are_put_off_like_reads_without_news(bench: Bench) -> None:
    bench.toy.shows(ReadFailed("500"), ValueError("a bug"), ReadFailed("429", retry_after=70.0), "packed")
    order = await bench.new()
    for _ in range(200):
        await bench.after(1)
    assert _at(bench)[:4] == [10, 30, 70, 150]
    assert await bench.state(order.id) == "packed"
    assert await bench.reasons(order.id) == {}


async def test_a_read_that_asks_for_patience_gets_it(bench: Bench) -> None:
    bench.toy.shows(ReadFailed("429", retry_after=500.0))
    await bench.new()
    for _ in range(520):
        await bench.after(1)
    assert _at(bench) == [10, 510]


async def test_a_read_that_hangs_ends_with_its_lease(bench: Bench) -> None:
    async def hangs(order: Order) -> StatusRead:
        await asyncio.Event().wait()
        raise AssertionError

    bench.toy.timing = evolve(bench.toy.timing, lease=0.05)
    bench.toy.shows(hangs, "packed")
    order = await bench.new()
    await bench.after(10)
    await bench.after(20)
    assert await bench.state(order.id) == "packed"


async def test_a_read_whose_worker_died_is_made_by_another(bench: Bench) -> None:
    bench.toy.shows("packed")
    order = await bench.new()
    bench.clock.advance(10)
    await bench.lease_poll()
    await bench.after(bench.toy.timing.lease)
    assert await bench.state(order.id) == "packed"


async def test_a_settled_order_is_read_no_more(bench: Bench) -> None:
    bench.toy.shows("delivered")
    order = await bench.new()
    await bench.after(10)
    assert await bench.state(order.id) == "delivered"
    await bench.engine.poll_requests.request(order.id)
    await bench.after(1e6)
    assert len(bench.toy.reads) == 1
    assert await bench.store.next_due(bench.scope()) is None


# ── what a status says ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_reading_consistent_with_the_state_is_no_news_and_no_row(bench: Bench) -> None:
    order = await bench.new()
    await bench.after(10)
    assert (len(bench.toy.reads), await bench.reasons(order.id), await bench.state(order.id)) == (1, {}, "placed")


async def test_the_only_way_to_what_was_seen_is_inferred_step_by_step(bench: Bench) -> None:
    bench.listen("packed", "loaded")
    order = await bench.new()
    await bench.accept(order.id, "came", CLAIM)
    bench.toy.shows("loaded")
    await bench.after(2)
    rows = (await bench.store.journal(order.id))[-2:]
    assert [(row.event, row.kind) for row in rows] == [("seen_packed", StepKind.INFERRED), ("seen_loaded", StepKind.STEP)]
    assert [(told.state, told.inferred, told.version) for told in bench.notified] == [("packed", True, 5), ("loaded", False, 6)]


async def test_one_of_several_ways_to_what_was_seen_is_a_jump(bench: Bench) -> None:
    bench.listen("packed", "boxed", "delivered")
    bench.toy.shows("delivered")
    order = await bench.new()
    await bench.after(10)
    row = (await bench.store.journal(order.id))[-1]
    assert (row.source, row.target, row.kind) == ("placed", "delivered", StepKind.JUMP)
    assert row.note == "certainly missed: loaded; possibly missed: packed, boxed"
    assert [(told.state, told.inferred) for told in bench.notified] == [("delivered", True)]


async def test_an_unexpected_step_is_taken_and_leaves_a_note(bench: Bench) -> None:
    for key, paid in (("cash", True), ("credit", False)):
        order = await bench.new(key, paid=paid)
        bench.toy.shows("packed", "loaded", "shipped")
        for _ in range(3):
            await bench.after(10)
        rows = await bench.store.journal(order.id)
        assert (rows[-1].target, rows[-1].note) == ("shipped", "" if paid else "unexpected: paid was not so")
        assert not any("unexpected" in row.note for row in rows[:-1])


@pytest.mark.parametrize(
    ("seen", "reason"),
    [("new", Reason.ANOMALY), ("lost at sea", Reason.UNKNOWN_STATUS), (StatusRead("packed", mismatch="amount"), Reason.NOT_OURS)],
    ids=["backwards", "unknown word", "another order"],
)
async def test_a_word_that_cannot_be_keeps_the_state_and_flags_until_the_next_step(
    bench: Bench, seen: str | StatusRead, reason: Reason
) -> None:
    bench.toy.shows("packed", seen, seen, "loaded")
    order = await bench.new()
    await bench.after(10)
    version = (await bench.store.load(order.id)).version
    for _ in range(2):
        await bench.after(20)
    found = await bench.store.load(order.id)
    assert (found.state, found.version, found.flagged) == ("packed", version, True)
    assert await bench.reasons(order.id) == {("status_read", reason.value): 2}
    await bench.after(80)
    found = await bench.store.load(order.id)
    assert (found.state, found.flagged) == ("loaded", False)


async def test_an_observation_cannot_be_told_by_name(bench: Bench) -> None:
    order = await bench.new()
    for origin in Origin:
        decision = await bench.accept(order.id, "seen_packed", origin)
        assert isinstance(decision, Refused)
        assert decision.reason is Reason.WRONG_ORIGIN
    assert await bench.state(order.id) == "placed"


# ── stale reads ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_read_overtaken_by_a_move_is_discarded_recorded_and_made_again(bench: Bench) -> None:
    order = await bench.new()

    async def overtaken(order: Order) -> StatusRead:
        await bench.accept(order.id, "came", CLAIM)
        return StatusRead("boxed")

    bench.toy.shows(overtaken, "packed")
    bench.clock.advance(10)
    await bench.engine.poller.run(await bench.lease_poll())
    assert await bench.state(order.id) == "waiting"  # "boxed" was read of an order that no longer was
    assert await bench.reasons(order.id) == {("status_read", "stale"): 1}
    await bench.after(bench.toy.timing.poll_interval)  # at once, but for the interval
    assert await bench.state(order.id) == "packed"


async def test_a_failed_read_of_an_order_that_ended_meanwhile_plans_no_other(bench: Bench) -> None:
    order = await bench.new()

    async def overtaken(order: Order) -> ReadFailed:
        await bench.engine.inbox.override(order.id, "abandoned", by="op", reason="test", version=order.version)
        return ReadFailed("500")

    bench.toy.shows(overtaken)
    bench.clock.advance(10)
    await bench.engine.poller.run(await bench.lease_poll())
    assert await bench.state(order.id) == "abandoned"
    assert await bench.store.next_due(bench.scope()) is None


async def test_a_stale_word_is_never_judged_again(bench: Bench) -> None:
    order = await bench.new()
    receipt = await bench.engine.inbox.accept_observation(order.id, Observation("packed", order.version - 1), 0, "r1")
    assert isinstance(receipt.decision, Ignored)
    assert (receipt.decision.reason, await bench.state(order.id)) == (Reason.STALE, "placed")


# ── notices ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_storm_of_notices_makes_one_read_per_interval(bench: Bench) -> None:
    order = await bench.new()
    for _ in range(100):
        await bench.engine.poll_requests.request(order.id)
        await bench.work()
    assert _at(bench) == [0]
    for _ in range(20):
        await bench.engine.poll_requests.request(order.id)
        await bench.after(0.25)
    assert _at(bench) == [0, 2, 4]  # poll_interval


async def test_a_notice_before_the_id_is_remembered_and_read_when_the_id_comes(bench: Bench) -> None:
    order = await bench.new(state="sending")
    await bench.engine.poll_requests.request(order.id)
    await bench.work(effects=False)
    assert bench.toy.reads == []
    bench.toy.shows("packed")
    await bench.work()
    assert (await bench.state(order.id), _at(bench)) == ("packed", [0])


async def test_a_notice_survives_until_an_operator_finds_the_id(bench: Bench) -> None:
    order = await bench.new(state="in_doubt")
    await bench.engine.poll_requests.request(order.id)
    bench.toy.shows("packed")
    await bench.after(60)
    await bench.accept(order.id, "placement_resolved", OPERATOR, data={PROVIDER_ID: "T-found"})
    await bench.work()
    assert await bench.state(order.id) == "packed"


async def test_a_shared_notice_brings_a_few_orders_forward_the_one_read_longest_ago_first(bench: Bench) -> None:
    orders = [await bench.new(f"k{n}") for n in range(3)]
    timing = bench.toy.timing
    for n in (2, 0, 1):
        await bench.engine.poll_requests.request(orders[n].id)
        await bench.after(timing.poll_interval)
    bench.toy.reads.clear()
    await bench.store.bring_polls_forward("toy", bench.clock.now(), timing.poll_interval, timing.notice_fanout)
    await bench.work()
    assert [order_id for order_id, _ in bench.toy.reads] == [orders[2].id, orders[0].id]


@pytest.mark.parametrize("how", ["notice", "claim"])
async def test_notices_and_claims_for_a_settled_order_leave_nothing_behind(bench: Bench, how: str) -> None:
    bench.toy.shows("delivered", "new")
    order = await bench.new()
    await bench.after(10)
    for n in range(10):
        if how == "notice":
            await bench.engine.poll_requests.request(order.id)
        else:
            await bench.accept(order.id, "came", CLAIM, InboxKey("claim", str(n)))
    assert await bench.store.next_due(bench.scope()) is None
    version = (await bench.store.load(order.id)).version
    bench.clock.advance(100)
    await bench.engine.inbox.override(order.id, "placed", by="op", reason="test", version=version)
    await bench.work()
    assert _at(bench) == [10]  # a remembered notice would be read at once
    await bench.after(10)
    assert _at(bench) == [10, 120]


# ── claims ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_claim_that_moves_the_order_brings_the_read_forward(bench: Bench) -> None:
    order = await bench.new()
    await bench.accept(order.id, "came", CLAIM)
    await bench.work()
    assert (await bench.state(order.id), _at(bench)) == ("waiting", [0])


@pytest.mark.parametrize("known", [False, True], ids=["early", "late"])
async def test_a_claim_that_moves_nothing_brings_the_read_forward_all_the_same(bench: Bench, known: bool) -> None:
    order = await bench.new(state="placed" if known else "sending")
    if known:
        bench.toy.shows("packed", "loaded")
        await bench.after(10)
        bench.clock.advance(2)
    decision = await bench.accept(order.id, "came", CLAIM, InboxKey("claim", "token:me"))
    assert isinstance(decision, Ignored)
    before = len(bench.toy.reads)
    await bench.work()
    assert len(bench.toy.reads) == before + 1
    assert await bench.reasons(order.id) == {("came", "late" if known else "early"): 1}


async def test_an_unmoved_claim_may_come_again_and_move_the_order_then(bench: Bench) -> None:
    order = await bench.new(state="sending")
    key = InboxKey("claim", "token:me")
    await bench.accept(order.id, "came", CLAIM, key)
    await bench.work(polls=False)
    await bench.accept(order.id, "came", CLAIM, key)
    assert await bench.state(order.id) == "waiting"
    assert (await bench.accept(order.id, "came", CLAIM, key)) == Ignored(Reason.DUPLICATE, "waiting")


async def test_a_callback_before_the_reply_is_not_lost(bench: Bench) -> None:
    order = await bench.new(state="sending")
    effect = await bench.lease()  # the call is under way
    await bench.accept(order.id, "came", CLAIM, InboxKey("claim", "token:me"))
    await bench.engine.outbox.run(effect)
    bench.toy.shows("packed")
    await bench.work()
    found = await bench.store.load(order.id)
    assert (found.state, found.provider_id) == ("packed", number(order))


async def test_claims_alone_prove_nothing(bench: Bench) -> None:
    order = await bench.new()
    for n in range(50):
        await bench.accept(order.id, "came", CLAIM, InboxKey("claim", str(n)))
    assert await bench.state(order.id) == "waiting"
    assert await bench.reasons(order.id) == {("came", "late"): 49}


# ── provisional ends ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_provisional_end_is_read_slowly_until_its_window_closes(bench: Bench) -> None:
    order = await bench.new()
    await bench.after(1000)
    assert await bench.state(order.id) == "lapsed"
    bench.toy.reads.clear()
    for _ in range(2000):
        await bench.after(10)
    found = await bench.store.load(order.id)
    assert (found.state, found.snapshot.facts["window"]) == ("lapsed", "closed")
    waits = {round(later - earlier) for earlier, later in zip(_at(bench)[5:], _at(bench)[6:], strict=False)}
    assert waits == {80}
    assert 11_000 - 80 <= _at(bench)[-1] <= 11_000
    assert await bench.store.next_due(bench.scope()) is None


async def test_proof_within_the_window_overrules_a_provisional_end(bench: Bench) -> None:
    bench.listen("lapsed", "shipped")
    order = await bench.new()
    await bench.after(1000)
    bench.toy.shows("shipped")
    await bench.after(80)
    assert await bench.state(order.id) == "shipped"
    assert [(told.state, told.provisional) for told in bench.notified] == [("lapsed", True), ("shipped", False)]


async def test_proof_after_the_window_is_an_anomaly(bench: Bench) -> None:
    order = await bench.new()
    await bench.after(1000)
    bench.clock.advance(10_000)
    read = await bench.lease_poll()  # taken a moment before the window closes
    await bench.engine.deadlines.run(await bench.due_deadline())
    bench.toy.shows("shipped")
    await bench.engine.poller.run(read)
    found = await bench.store.load(order.id)
    assert (found.state, found.flagged) == ("lapsed", True)
    assert await bench.reasons(order.id) == {("status_read", "anomaly"): 1}
    await bench.after(1e6)
    assert len([at for at in _at(bench) if at > 11_000]) == 0
