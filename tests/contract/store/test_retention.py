"""The contract of every store, third part: what is still to come for an order, which old orders are deleted, how they are redacted."""

from __future__ import annotations

import asyncio

import pytest
from attrs import evolve
from tests.kit.commits import LEASE, NOW, SCOPE, Another, move, new_order, stay

from orderflow._store.ports import Store
from orderflow._store.records import InboxKey, PollAt, Receipt
from orderflow.errors import KeyReused, UnknownName
from orderflow.model import NOTIFY_LISTENER, Applied, Ignored, JournalRow, Order, Origin, Reason, StepKind

pytestmark = pytest.mark.anyio
LATER = NOW + 1000


async def _make_done(store: Store, name: str = "a", *, at: float = NOW, provider: str = "toy") -> Order:
    """An order that was moved once, at ``at``."""
    order = await store.create(new_order(name, provider=provider), "content")
    await store.commit(order.id, InboxKey("command", f"{order.id}:{name}"), move("done", at=at))
    return await store.load(order.id)


async def _inactive(store: Store, before: float = LATER, limit: int = 10, provider: str = "") -> list[str]:
    """Every inactive order, walked in pages."""
    inactive: list[str] = []
    after, more = "", True
    while more:
        page, after = await store.list_inactive(before, after, limit, provider)
        assert len(page) <= limit
        inactive += [order.id for order in page]
        more = bool(after)
    return inactive


# ── inactive orders ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 100])
async def test_a_walk_in_pages_of_any_size_lists_every_inactive_order_once(store: Store, limit: int) -> None:
    orders = [await _make_done(store, str(n), provider="toy" if n % 2 else "other") for n in range(4)]
    assert await _inactive(store, limit=limit) == sorted(order.id for order in orders)
    assert await _inactive(store, limit=limit, provider="other") == [orders[0].id, orders[2].id]


async def test_the_walk_returns_the_orders_as_they_stand(store: Store) -> None:
    order = await _make_done(store)
    await store.commit(order.id, None, stay(Reason.ANOMALY, at=NOW))
    assert (await store.list_inactive(LATER, "", 10))[0] == [await store.load(order.id)]


async def test_an_order_is_inactive_from_the_last_thing_that_happened_to_it(store: Store) -> None:
    order = await _make_done(store, at=NOW + 5)
    assert await _inactive(store, NOW + 5) == []
    assert await _inactive(store, NOW + 6) == [order.id]
    await store.commit(order.id, None, move("done", at=NOW + 7))  # moved, and still in its state
    assert await _inactive(store, NOW + 7) == []
    assert await _inactive(store, NOW + 8) == [order.id]
    await store.commit(order.id, None, stay(at=NOW + 9))
    assert await _inactive(store, NOW + 9) == []
    assert await _inactive(store, NOW + 10) == [order.id]


async def test_an_order_for_which_something_is_owed_is_not_inactive(store: Store) -> None:
    order = await _make_done(store)
    await store.commit(order.id, None, move("done", effects=["call"]))
    assert await _inactive(store) == []
    (effect,) = await store.lease_effects(NOW, SCOPE, 10)
    assert await _inactive(store) == []
    await store.finish_effect(effect)
    assert await _inactive(store) == [order.id]


async def test_a_call_under_way_that_is_not_wanted_any_more_still_counts_until_its_lease_ends(store: Store) -> None:
    order = await _make_done(store)
    await store.commit(order.id, None, move("done", effects=["call"]))
    await store.lease_effects(NOW, SCOPE, 10)
    await store.commit(order.id, None, move("done", cancel_effects=True))
    assert await _inactive(store, NOW + LEASE) == []
    assert await _inactive(store, NOW + LEASE + 1) == [order.id]


# ── deletion ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_deleted_order_leaves_nothing_but_the_keys_that_a_sweep_deletes(store: Store) -> None:
    order = await _make_done(store)
    deadlines = (("late", NOW + 1),)
    await store.commit(order.id, InboxKey("claim", "any token:value"), move("done", deadlines=deadlines, poll=PollAt(NOW, 0, 1.0)))
    await store.commit(order.id, None, stay())
    kept = await _make_done(store, "b")
    order, kept = await store.load(order.id), await store.load(kept.id)
    assert await store.delete([order], LATER) == [order.id]
    with pytest.raises(UnknownName):
        await store.load(order.id)
    with pytest.raises(UnknownName):
        await store.commit(order.id, None, move("on"))
    assert await store.journal(order.id) == [] == await store.refusals(order.id)
    pending = await store.pending(order.id)
    assert (pending.effects, pending.next_poll_at, pending.deadlines) == ((), None, ())
    assert await store.next_due(SCOPE) is None
    assert (await store.load(kept.id), len(await store.journal(kept.id))) == (kept, 1)
    again = await store.create(evolve(new_order("c"), key=order.key), "other content")  # the key is free
    assert again.id == "toy-c"
    assert await _sweep(store, 2) == 2  # of five: two creates, two of the deleted order, one of the kept
    assert await _sweep(store, 1) == 3
    duplicate = await store.commit(kept.id, InboxKey("command", f"{kept.id}:b"), move("on"))
    assert duplicate.decision == Ignored(Reason.DUPLICATE, "done")
    taken = await store.commit(kept.id, InboxKey("claim", "any token:value"), move("on"))
    assert isinstance(taken.decision, Applied)


async def _sweep(store: Store, limit: int) -> int:
    """Sweep the inbox in pages; how many were full."""
    pages, last = 0, ("", "")
    while (end := await store.sweep_inbox(last, limit)) is not None:
        assert end != last
        pages, last = pages + 1, end
    return pages


@pytest.mark.parametrize("what", ["moved", "refused", "owes"])
async def test_an_order_to_which_something_happened_meanwhile_stays(store: Store, what: str) -> None:
    order = await _make_done(store)
    deciders = {
        "moved": move("on", at=LATER),
        "refused": stay(at=LATER),
        "owes": move("done", effects=[NOTIFY_LISTENER], entered_state="done"),
    }
    await store.commit(order.id, None, deciders[what])
    before = await store.load(order.id), await store.journal(order.id), await store.refusals(order.id)
    assert await store.delete([order], LATER) == []
    now = order if what == "refused" else before[0]
    assert await store.delete([now], LATER) == []
    assert (await store.load(order.id), await store.journal(order.id), await store.refusals(order.id)) == before


async def test_a_version_that_was_looked_at_too_long_ago_does_not_count(store: Store) -> None:
    order = await _make_done(store)
    await store.commit(order.id, None, move("on"))
    moved = await store.load(order.id)  # as old as the first
    assert await store.delete([order], LATER) == []
    assert await store.delete([moved], LATER) == [order.id]
    assert await store.delete([moved], LATER) == [order.id]  # it is gone, whichever process deleted it


async def test_two_that_delete_and_many_that_commit_do_not_disturb_each_other(another: Another) -> None:
    here, there = await another(), await another()
    orders = [await _make_done(here, str(n)) for n in range(30)]
    moves = [store.commit(order.id, None, move("on", at=LATER)) for store in (here, there) for order in orders[::3]]
    deletes = [store.delete(batch, LATER) for store in (here, there) for batch in (orders[:20], orders[10:])]
    results = await asyncio.gather(*deletes, *moves, return_exceptions=True)
    assert {type(result) for result in results[len(deletes) :]} <= {UnknownName, Receipt}
    gone = {order_id for deleted in results[: len(deletes)] for order_id in deleted}  # type: ignore[union-attr]
    for order in orders:
        rows = await here.journal(order.id)
        if order.id in gone:
            assert rows == []
            with pytest.raises(UnknownName):
                await here.load(order.id)
        else:
            assert (await here.load(order.id)).version == len(rows) == 3


# ── redaction ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _redact(order: Order) -> tuple[Order, JournalRow]:
    after = evolve(order, snapshot=evolve(order.snapshot, data={"provider_id": "P-1"}, version=order.version + 1), flagged=False)
    row = JournalRow(order.id, after.version, "redacted", Origin.OPERATOR, order.state, order.state, StepKind.REDACTION, LATER, "by kim: 7")
    return after, row


async def test_a_redacted_order_keeps_its_path_and_nothing_personal(store: Store) -> None:
    secret = "kari.canary@example.org"
    order = await store.create(new_order(data={"email": secret, "provider_id": "P-1"}), "hash of personal data")

    def decide(order: Order):
        commit = move("done", effects=["call"], data={"phone": secret})(order)
        return evolve(commit, journal=tuple(evolve(row, note=f"by {secret}") for row in commit.journal))

    await store.commit(order.id, None, decide)
    (effect,) = await store.lease_effects(NOW, SCOPE, 10)
    await store.retry_effect(effect, NOW, f"{secret} is unknown")
    refuse = stay(Reason.ANOMALY, recorded=True)
    await store.commit(order.id, None, lambda order: evolve(refuse(order), refusal=evolve(refuse(order).refusal, detail=secret)))
    (effect,) = await store.lease_effects(NOW, SCOPE, 10)
    await store.finish_effect(effect, f"{secret} is unknown")
    before = await store.load(order.id)

    after, row = _redact(before)
    assert await store.redact(after, row) is None

    stored = await store.load(order.id)
    assert stored == after
    assert (stored.snapshot.data, stored.snapshot.facts, stored.entered_at) == ({"provider_id": "P-1"}, {"paid": False}, before.entered_at)
    first, last = await store.journal(order.id)
    assert (first.event, first.source, first.target, first.at, first.note) == ("moved", "drafted", "done", NOW, "")
    assert last == row
    assert [(row.reason, row.count, row.detail) for row in await store.refusals(order.id)] == [(Reason.ANOMALY, 1, "")]
    late = await store.create(new_order("late", key=order.key), "any content")
    assert late == stored
    with pytest.raises(KeyReused):  # of others the fingerprint stays
        await store.create(await _other(store), "any content")
    await store.commit(order.id, None, move("on"))
    assert (await store.load(order.id)).version == 3


async def test_a_redacted_order_keeps_no_fingerprint_of_its_commands(store: Store) -> None:
    """A digest of a phone number is a phone number: there are few enough to try them all."""
    redacted, other = await _make_done(store), await _make_done(store, "b")
    for order in (redacted, other):
        await store.commit(order.id, InboxKey("command", f"{order.id} k", "digest of a number"), move("done"))
    assert await store.redact(*_redact(await store.load(redacted.id))) is None
    late = move("done", keep_fingerprint=False)
    await store.commit(redacted.id, InboxKey("command", f"{redacted.id} late", "digest of a number"), late)
    for key in ("k", "late"):
        receipt = await store.commit(redacted.id, InboxKey("command", f"{redacted.id} {key}", "any other"), move("on"))
        assert receipt.decision == Ignored(Reason.DUPLICATE, "done")
    with pytest.raises(KeyReused):
        await store.commit(other.id, InboxKey("command", f"{other.id} k", "any other"), move("on"))


async def _other(store: Store) -> Order:
    return await store.create(new_order("b"), "content")


async def test_an_order_that_moved_or_owes_something_is_not_redacted(store: Store) -> None:
    order = await _make_done(store)
    await store.commit(order.id, None, move("on", data={"email": "e"}))
    moved = await store.load(order.id)
    assert await store.redact(*_redact(order)) == ""
    await store.commit(order.id, None, move("done", effects=[NOTIFY_LISTENER], entered_state="done"))
    owing = await store.load(order.id)
    assert await store.redact(*_redact(owing)) == NOTIFY_LISTENER
    assert await store.load(order.id) == owing
    assert (owing.snapshot.data, len(await store.journal(order.id))) == (moved.snapshot.data, 3)


async def test_an_order_for_which_a_call_is_under_way_is_not_redacted_until_its_lease_ends(store: Store) -> None:
    order = await _make_done(store)
    await store.commit(order.id, None, move("done", effects=["call"]))
    (effect,) = await store.lease_effects(LATER - LEASE, SCOPE, 10)
    assert await store.redact(*_redact(await store.load(order.id))) == "call"
    await store.commit(order.id, None, move("done", cancel_effects=True))
    dropped = await store.load(order.id)
    after, row = _redact(dropped)
    assert await store.redact(after, evolve(row, at=LATER - 1)) == "call"
    assert (await store.load(order.id), len(await store.journal(order.id))) == (dropped, 3)
    assert await store.redact(after, row) is None  # by then another worker would take over
    await store.retry_effect(effect, LATER, "the answer names a person")
    await store.finish_effect(effect, "the answer names a person")
    assert (await store.load(order.id), (await store.pending(order.id)).effects) == (after, ())


async def test_an_answered_call_that_is_not_wanted_any_more_does_not_stand_in_the_way(store: Store) -> None:
    order = await _make_done(store)
    await store.commit(order.id, None, move("done", effects=["call"]))
    (effect,) = await store.lease_effects(LATER, SCOPE, 10)
    await store.commit(order.id, None, move("done", cancel_effects=True))
    await store.commit(order.id, InboxKey("reply", "1"), stay(finished_effect=effect.key))
    answered = await store.load(order.id)
    assert await store.redact(*_redact(answered)) is None


# ── what is still to come ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_is_still_to_come_is_listed(store: Store) -> None:
    order = await store.create(new_order(), "content")
    assert (await store.pending(order.id)).effects == ()
    deadlines = (("late", NOW + 20), ("soon", NOW + 10))
    await store.commit(order.id, None, move("sent", effects=["call", "search"], deadlines=deadlines, poll=PollAt(NOW + 5, 0, 1.0)))
    call, _ = await store.lease_effects(NOW, SCOPE, 10)
    await store.retry_effect(call, NOW + 30, "the connection was refused")

    pending = await store.pending(order.id)

    assert [(effect.name, effect.attempt, effect.in_flight, effect.run_at, effect.why) for effect in pending.effects] == [
        ("call", 1, False, NOW + 30, "the connection was refused"),
        ("search", 1, True, NOW + LEASE, ""),
    ]
    assert (pending.next_poll_at, pending.deadlines) == (NOW + 5, (("soon", NOW + 10), ("late", NOW + 20)))
    assert [str(effect.key) for effect in pending.effects] == [f"{order.id}:1:0", f"{order.id}:1:1"]
    await store.finish_effect((await store.lease_effects(NOW + 30, SCOPE, 1))[0])
    assert [effect.name for effect in (await store.pending(order.id)).effects] == ["search"]
