"""Redaction: the personal data of a settled order is removed for good; its path stays."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from attrs import define, evolve
from tests.kit.commits import SCOPE
from tests.kit.retention import open_flow, prune_all, put_order
from tests.kit.toy import FAST, Toy, ToyLifecycle, build_toy_engine

from orderflow._app import Orderflow
from orderflow._engine.engine import Engine
from orderflow._lifecycle.decide import is_settled
from orderflow._provider.outcomes import InDoubt, NoResult, NotExecuted, Outcome, Rejected, Signal, Succeeded
from orderflow._provider.protocol import Draft
from orderflow._store.urls import make_store
from orderflow.errors import InvalidInput, UnknownName
from orderflow.model import Applied, Decision, Event, Observation, Order, Origin, Reason, Refused, StateEntered, StepKind
from orderflow.simulators import SimClock

pytestmark = pytest.mark.anyio
STATES = tuple(ToyLifecycle.table.states)
SECRET = "kari.canary@example.org"


def ignore(entered: StateEntered) -> None:
    """A listener that does nothing."""


async def dump(url: str) -> str:
    """Every row of every table."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            return repr([connection.execute(f"SELECT * FROM {name}").fetchall() for (name,) in tables])
    postgres = await asyncpg.connect(url)
    try:
        tables = await postgres.fetch("SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace")
        return repr([await postgres.fetch(f"SELECT * FROM {name}") for (name,) in tables])
    finally:
        await postgres.close()


# ── what is removed ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_settled_orders_personal_data_is_removed_and_its_path_stays(url: str) -> None:
    toy = Toy(timing=FAST)
    async with Orderflow(url, [toy], worker=True, fetch_interval=0.01) as flow:
        toy.answer("make_ready", NotExecuted(f"{SECRET} is not known here"))
        toy.answer("place", InDoubt(f"{SECRET} was cut off"))
        order = await flow.create("toy", key="k", email=SECRET)
        await flow.send(order.id, "order_it", email=SECRET)
        await flow.wait(order.id, until="in_doubt", timeout=60)
        async with asyncio.timeout(60):
            while (await flow.pending(order.id)).effects:  # look_up needs the data until it was made
                await asyncio.sleep(0.01)
        await flow.resolve(order.id, "placement_resolved", actor="kim", reason=f"{SECRET} called", number="T-7")
        toy.show(f"a status of {SECRET}")
        async with asyncio.timeout(60):
            while not (flagged := await flow.order(order.id)).flagged:
                await asyncio.sleep(0.01)
        await flow.override(order.id, "shipped", actor="kim", reason=SECRET, version=flagged.version)
    assert (await dump(url)).count(SECRET) >= 6  # data, notes, a detail, errors of effects
    async with open_flow(url) as (flow, clock):
        path = [(row.event, row.source, row.target, row.at, row.kind) for row in await flow.journal(order.id)]
        refused = [(row.reason, row.count) for row in await flow.refusals(order.id)]
        assert Reason.UNKNOWN_STATUS in dict(refused)

        decision = await flow.redact(order.id, actor="kim", reason="ticket 7")

        assert isinstance(decision, Applied)
        assert SECRET not in await dump(url)
        redacted = await flow.order(order.id)
        assert (redacted.state, redacted.version, redacted.provider_id, redacted.key) == ("shipped", len(path) + 1, "T-7", "k")
        assert redacted.snapshot == decision.snapshot
        *rows, last = await flow.journal(order.id)
        assert [(row.event, row.source, row.target, row.at, row.kind) for row in rows] == path
        assert (last.kind, last.source, last.target, last.at) == (StepKind.REDACTION, "shipped", "shipped", clock.now())
        assert (last.event, last.note) == ("redacted", "by kim: ticket 7")
        assert [(row.reason, row.count) for row in await flow.refusals(order.id)] == refused
        assert await flow.create("toy", key="k", email="another's") == redacted
        assert [listed.id for listed in await flow.orders()] == [order.id]
        clock.advance(1e10)
        assert await prune_all(flow) == [order.id]
        assert order.id not in await dump(url)


# ── when it is refused ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("state", STATES)
async def test_only_a_settled_order_is_redacted(tmp_path: Path, state: str) -> None:
    async with open_flow(f"sqlite:///{tmp_path / 'orders.db'}") as (flow, _):
        order = await put_order(flow, state)
        decision = await flow.redact(order.id, actor="kim", reason="ticket 7")
        if is_settled(ToyLifecycle.table, order.snapshot):
            assert isinstance(decision, Applied)
            return
        assert isinstance(decision, Refused)
        assert (decision.reason, "not settled" in decision.detail) == (Reason.NOT_LEGAL_HERE, True)
        assert await flow.order(order.id) == order
        (row,) = await flow.refusals(order.id)
        assert (row.event, row.reason, row.count) == ("redact", Reason.NOT_LEGAL_HERE, 1)


async def test_an_order_with_a_pending_notification_is_not_redacted(url: str) -> None:
    async with open_flow(url) as (flow, _):
        flow.on_entered("toy", "shipped", ignore)
        order = await put_order(flow, "shipped")
        decision = await flow.redact(order.id, actor="kim", reason="ticket 7")
        assert isinstance(decision, Refused)
        assert decision.detail == "notify_listener is still owed, or its call is in progress, and needs its data"


async def test_a_redaction_needs_an_actor_and_a_reason(tmp_path: Path) -> None:
    async with open_flow(f"sqlite:///{tmp_path / 'orders.db'}") as (flow, _):
        order = await put_order(flow, "shipped")
        for actor, reason in (("", "ticket 7"), ("kim", " ")):
            with pytest.raises(InvalidInput):
                await flow.redact(order.id, actor=actor, reason=reason)
        with pytest.raises(UnknownName):
            await flow.redact("toy-unknown", actor="kim", reason="ticket 7")


async def test_redactions_and_overrides_at_the_same_time_leave_one_path(url: str) -> None:
    async with open_flow(url) as (here, _), open_flow(url) as (there, _):
        order = await put_order(here, "shipped")
        await asyncio.gather(
            *(flow.redact(order.id, actor="kim", reason="ticket 7") for flow in (here, there)),
            *(flow.override(order.id, "refused", actor="kim", reason="late", version=1) for flow in (here, there)),
        )
        journal = await here.journal(order.id)
        assert [row.version for row in journal] == list(range(1, (await here.order(order.id)).version + 1))
        assert sum(row.kind == StepKind.REDACTION for row in journal) == 2


# ── calls in progress, and answers that come later ───────────────────────────────────────────────────────────────────────


ANSWERS = {
    "succeeded": Succeeded("order_placed", {"email": SECRET}, "T-77", f"{SECRET} has ordered"),
    "rejected": Rejected(f"{SECRET} is unknown"),
    "not executed": NotExecuted(f"{SECRET} is busy"),
    "in doubt": InDoubt(f"{SECRET} was cut off"),
}


@define
class OverriddenOrder:
    """An order that an operator ended while its provider was being called. ``answer`` lets that call end."""

    flow: Orderflow
    clock: SimClock
    order: Order
    answered: asyncio.Event
    call: asyncio.Task[bool]

    async def answer(self) -> None:
        self.answered.set()
        await self.call


@asynccontextmanager
async def override_during_a_call(url: str, outcome: Outcome) -> AsyncIterator[OverriddenOrder]:
    """An order that is ``abandoned``; the call that places it is in progress, and will end with this outcome."""
    clock, toy, store = SimClock(start=1_000_000.0, manual=True), Toy(), make_store(url)
    begun, answered = asyncio.Event(), asyncio.Event()

    async def place(order: Order) -> Outcome:
        begun.set()
        await answered.wait()
        return outcome

    async with Orderflow(store, [toy], clock=clock) as flow:
        engine = build_toy_engine(store, toy, clock)
        order = await flow.create("toy", key="k", email=SECRET)
        await flow.send(order.id, "order_it", email=SECRET)
        assert await run_due_effect(engine)
        toy.answer("place", place)
        call = asyncio.create_task(run_due_effect(engine))
        await begun.wait()
        decision = await flow.override(order.id, "abandoned", actor="kim", reason=f"{SECRET} called", version=2)
        assert isinstance(decision, Applied)
        yield OverriddenOrder(flow, clock, await flow.order(order.id), answered, call)


async def run_due_effect(engine: Engine) -> bool:
    """Carry out the one effect that is due, as a worker would."""
    (attempt,) = await engine.outbox.fetch(SCOPE, 10)
    return await engine.outbox.run(attempt)


@pytest.mark.parametrize("name", ANSWERS)
async def test_an_order_with_a_call_in_progress_is_not_redacted(url: str, name: str) -> None:
    """Even if the effect was cancelled: the answer would bring back what was removed."""
    async with override_during_a_call(url, ANSWERS[name]) as overridden:
        flow, order = overridden.flow, overridden.order
        assert (await flow.pending(order.id)).effects == ()  # it is not owed any more
        decision = await flow.redact(order.id, actor="kim", reason="ticket 7")
        assert isinstance(decision, Refused)
        assert decision.detail == "place is still owed, or its call is in progress, and needs its data"
        assert await flow.order(order.id) == order
        await overridden.answer()
        overridden.clock.advance(61 if name == "not executed" else 0)  # a call that was not executed ends with its lease
        assert isinstance(await flow.redact(order.id, actor="kim", reason="ticket 7"), Applied)
        assert SECRET not in await dump(url)


@pytest.mark.parametrize("name", ANSWERS)
async def test_an_answer_that_comes_after_the_redaction_writes_nothing_personal(url: str, name: str) -> None:
    async with override_during_a_call(url, ANSWERS[name]) as overridden:
        flow, order = overridden.flow, overridden.order
        overridden.clock.advance(61)  # the lease is over, the worker and its call are not
        assert isinstance(await flow.redact(order.id, actor="kim", reason="ticket 7"), Applied)
        redacted = await flow.order(order.id)
        await overridden.answer()
        assert SECRET not in await dump(url)
        assert (await flow.order(order.id)).snapshot == redacted.snapshot
        if name == "succeeded":  # by its id the order can be erased at the provider too
            details = [row.detail for row in await flow.refusals(order.id) if row.reason is Reason.ANOMALY]
            assert details == ["order_placed names the provider's order T-77, and this order is abandoned"]


# ── a redacted order stays redacted ──────────────────────────────────────────────────────────────────────────────────────


async def test_an_order_stays_redacted_whatever_happens_to_it_afterwards(url: str) -> None:
    """An operator reopens it. It takes commands, replies, claims and observations, and keeps nothing personal of them."""
    toy, clock, store = Toy(), SimClock(start=1_000_000.0, manual=True), make_store(url)
    async with Orderflow(store, [toy], clock=clock) as flow:
        inbox = build_toy_engine(store, toy, clock).inbox
        order = await put_order(flow, "shipped")
        assert isinstance(await flow.redact(order.id, actor="kim", reason="ticket 7"), Applied)

        async def override(target: str) -> None:
            version = (await flow.order(order.id)).version
            assert isinstance(await flow.override(order.id, target, actor="kim", reason="ticket 8", version=version), Applied)

        async def accept(name: str, origin: Origin, **more: Any) -> Decision:
            event = Event(name, origin, {"email": SECRET}, note=f"a note on {SECRET}", **more)
            return (await inbox.accept(order.id, event)).decision

        await override("drafted")
        assert isinstance(await flow.send(order.id, "order_it", email=SECRET), Applied)
        assert isinstance(await accept("prepared", Origin.REPLY), Applied)
        assert isinstance(await accept("order_placed", Origin.REPLY, provider_id="T-77"), Applied)
        assert isinstance(await accept("came", Origin.CLAIM), Applied)
        for status in ("packed", f"a status of {SECRET}", "new"):
            version = (await flow.order(order.id)).version
            observation = Observation(status, version, {"email": SECRET}, note=f"a note on {SECRET}")
            await inbox.accept_observation(order.id, observation, 0, float(version))
        await override("in_doubt")
        assert isinstance(await flow.resolve(order.id, "placement_given_up", actor="kim", reason="ticket 9"), Applied)
        assert SECRET not in await dump(url)
        order = await flow.order(order.id)
        assert (order.provider_id, dict(order.snapshot.data)) == ("T-77", {"provider_id": "T-77", "redacted": True})
        events = [(row.event, row.note) for row in await flow.journal(order.id)]
        assert ("seen_packed", "") in events
        assert ("placement_given_up", "by kim: ticket 9") in events
        assert {row.reason for row in await flow.refusals(order.id)} >= {Reason.UNKNOWN_STATUS, Reason.ANOMALY}


@pytest.mark.parametrize("effect", ["place", "look_up"])
@pytest.mark.parametrize(
    "answer",
    [NotExecuted(SECRET), NotExecuted(SECRET, 50.0, signal=Signal.THROTTLED), InDoubt(SECRET), Rejected(SECRET), NoResult(SECRET)],
    ids=["not executed", "throttled", "in doubt", "rejected", "no result"],
)
async def test_the_reason_why_a_call_of_a_redacted_order_ended_is_not_kept(url: str, effect: str, answer: Outcome) -> None:
    """It would be written on the effect's row, without the inbox."""
    toy = Toy(timing=evolve(FAST, retry_attempts=2))
    toy.answer(effect, answer, answer)
    if effect == "look_up":
        toy.answer("place", InDoubt(SECRET))
    async with Orderflow(url, [toy], worker=True, fetch_interval=0.01) as flow:
        order = await put_order(flow, "shipped")
        assert isinstance(await flow.redact(order.id, actor="kim", reason="ticket 7"), Applied)
        version = (await flow.order(order.id)).version
        await flow.override(order.id, "drafted", actor="kim", reason="ticket 8", version=version)
        assert isinstance(await flow.send(order.id, "order_it"), Applied)
        async with asyncio.timeout(60):
            while not toy.count_calls(effect) or any(row.in_flight for row in (await flow.pending(order.id)).effects):
                await asyncio.sleep(0.01)
        assert SECRET not in await dump(url)


async def test_a_provider_cannot_mark_an_order_as_redacted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy, marked = Toy(timing=FAST), {"redacted": True}
    async with Orderflow(f"sqlite:///{tmp_path / 'orders.db'}", [toy]) as flow:
        order = await flow.create("toy", key="k")
        monkeypatch.setattr(Toy, "command", lambda *_: marked)
        with pytest.raises(InvalidInput, match="redacted: is a reserved name"):
            await flow.send(order.id, "order_it")
        monkeypatch.setattr(Toy, "draft", lambda *_: Draft(ToyLifecycle.table.defaults(), marked))
        with pytest.raises(InvalidInput, match="redacted: is a reserved name"):
            await flow.create("toy", key="other")
        assert (await flow.order(order.id)).version == 0
