"""Pruning: settled orders are deleted when they are old, whole, and exported first."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from tests.kit.retention import open_flow, prune_all, put_order, run_worker_until
from tests.kit.toy import FAST, Toy, ToyLifecycle

from orderflow._app import Orderflow
from orderflow._engine.export import JsonLines
from orderflow._lifecycle.decide import is_settled
from orderflow.errors import InvalidInput, UnknownName
from orderflow.model import Applied, Order, OrderHistory, Snapshot, StateEntered
from orderflow.simulators import SimClock

pytestmark = pytest.mark.anyio
STATES = tuple(ToyLifecycle.table.states)


def ignore(entered: StateEntered) -> None:
    """A listener that does nothing."""


# ── which orders are deleted ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_of_all_states_only_settled_orders_are_deleted(url: str) -> None:
    async with open_flow(url) as (flow, clock):
        orders = {
            (state, window, paid): (await put_order(flow, state, f"{state} {window} {paid}", window=window, paid=paid)).id
            for state in STATES
            for window in ("open", "closed")
            for paid in (True, False)
        }
        clock.advance(11)
        deleted = set(await prune_all(flow))
        facts = {order_id: {"window": window, "paid": paid} for (_, window, paid), order_id in orders.items()}
        expected = {
            order_id
            for (state, _, _), order_id in orders.items()
            if is_settled(ToyLifecycle.table, Snapshot(state, facts[order_id], {}, 1))
        }
        assert deleted == expected
        assert {order.id for order in await flow.orders(limit=1000)} == set(orders.values()) - expected
        ends = {"shipped", "delivered", "refused", "abandoned"}
        assert {state for (state, _, _), order_id in orders.items() if order_id in deleted} == {*ends, "lapsed"}
        assert {window for (state, window, _), order_id in orders.items() if order_id in deleted and state == "lapsed"} == {"closed"}


async def test_an_order_in_a_provisional_end_is_kept_until_its_window_is_closed_and_it_is_old(url: str) -> None:
    async with open_flow(url) as (flow, clock):
        order = await put_order(flow, "lapsed")
        clock.advance(1_000_000)
        assert await prune_all(flow) == []

        async def is_closed(worker: Orderflow) -> bool:
            return (await worker.order(order.id)).snapshot.facts["window"] == "closed"

        await run_worker_until(url, clock, is_closed)
        assert await prune_all(flow, 10.0) == []  # closing the window was a step, and is recent
        clock.advance(11)
        assert await prune_all(flow, 10.0) == [order.id]


async def test_an_order_is_kept_until_its_listeners_were_notified(url: str) -> None:
    async with open_flow(url) as (flow, clock):
        flow.on_entered("toy", "shipped", ignore)
        order = await put_order(flow, "shipped")
        clock.advance(1_000_000)
        assert await prune_all(flow) == []
        notified: list[str] = []

        async def is_notified(worker: Orderflow) -> bool:
            return not (await worker.pending(order.id)).effects

        await run_worker_until(url, clock, is_notified, on_shipped=lambda entered: notified.append(entered.order.id))
        assert notified == [order.id]
        assert await prune_all(flow) == [order.id]


async def test_the_age_counts_from_the_last_step(url: str) -> None:
    async with open_flow(url) as (flow, clock):
        order = await put_order(flow, "shipped")
        clock.advance(10)
        assert await prune_all(flow, 10.0) == []
        clock.advance(0.5)
        assert await prune_all(flow, 10.0) == [order.id]


async def test_orders_of_one_provider_are_deleted_in_batches_of_the_given_size(url: str) -> None:
    clock = SimClock(start=1_000_000.0, manual=True)
    async with Orderflow(url, [Toy(), Toy("other")], clock=clock) as flow:
        own = [(await put_order(flow, "shipped", str(n))).id for n in range(7)]
        other = await flow.create("other", key="0")
        await flow.override(other.id, "shipped", actor="kim", reason="a test", version=0)
        clock.advance(11)
        assert await prune_all(flow, provider="other", dry_run=True) == [other.id]
        batches = [batch async for batch in flow.prune(older_than=10, provider="toy", batch=3)]
        assert sorted(order_id for batch in batches for order_id in batch) == sorted(own)
        assert max(map(len, batches)) <= 3
        assert [order.id for order in await flow.orders()] == [other.id]
        with pytest.raises(UnknownName, match="provider"):
            flow.prune(older_than=10, provider="unknown")


async def test_a_process_without_the_provider_leaves_the_order_alone(url: str) -> None:
    async with open_flow(url) as (flow, clock):
        await put_order(flow, "shipped")
        clock.advance(11)
    async with Orderflow(url, [Toy("other")], clock=clock) as without_provider:
        assert await prune_all(without_provider) == []


async def test_an_order_in_a_state_that_this_version_lacks_is_redacted_and_deleted(url: str) -> None:
    """Nothing but an operator can move it any more, so it is settled."""
    async with open_flow(url) as (flow, clock):
        order = await put_order(flow, "shipped")
        clock.advance(11)
    states = {name: state for name, state in ToyLifecycle.table.states.items() if name != "shipped"}
    newer = Toy(table=evolve(ToyLifecycle.table, states=states))
    async with Orderflow(url, [newer], clock=clock) as without_state:
        assert isinstance(await without_state.redact(order.id, actor="kim", reason="asked"), Applied)
        clock.advance(11)
        assert await prune_all(without_state) == [order.id]


@pytest.mark.parametrize("age", [-1.0, float("nan"), float("inf")])
async def test_age_and_batch_size_are_checked_before_anything_is_loaded(tmp_path: Path, age: float) -> None:
    async with open_flow(f"sqlite:///{tmp_path / 'orders.db'}") as (flow, _):
        with pytest.raises(InvalidInput, match="older_than"):
            flow.prune(older_than=age)
        for size in (0, -1, 5001):
            with pytest.raises(InvalidInput, match="batch"):
                flow.prune(older_than=1.0, batch=size)


async def test_a_dry_run_lists_the_orders_and_does_nothing(url: str, tmp_path: Path) -> None:
    async with open_flow(url) as (flow, clock):
        order = await put_order(flow, "shipped")
        clock.advance(11)
        assert await prune_all(flow, dry_run=True, export=tmp_path / "old.jsonl") == [order.id]
        assert (await flow.order(order.id), (tmp_path / "old.jsonl").exists()) == (order, False)


async def test_the_key_of_a_deleted_order_can_create_a_new_one(url: str) -> None:
    async with open_flow(url) as (flow, clock):
        order = await put_order(flow, "shipped", paid=False)
        clock.advance(11)
        await prune_all(flow)
        again = await flow.create("toy", key="k", facts={"paid": True})
        assert (again.id != order.id, again.state) == (True, "drafted")


async def test_workers_run_while_old_orders_are_deleted(url: str) -> None:
    async with Orderflow(url, [Toy(timing=FAST, status="delivered")], worker=True, fetch_interval=0.01) as flow:
        created: list[str] = []
        deleted: set[str] = set()

        async def send(n: int) -> None:
            order = await flow.create("toy", key=str(n))
            created.append(order.id)
            await flow.send(order.id, "order_it")

        async def prune() -> None:
            while len(deleted) < 60:
                deleted.update(await prune_all(flow, 0.0, batch=7))

        async with asyncio.timeout(60):
            await asyncio.gather(prune(), *(send(n) for n in range(60)))
        assert deleted == set(created)
        assert await flow.orders() == []


# ── export ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def load_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


async def test_whole_orders_are_exported_before_they_are_deleted(url: str, tmp_path: Path) -> None:
    path = tmp_path / "old.jsonl"
    async with open_flow(url) as (flow, clock):
        order = await put_order(flow, "shipped", paid=True)
        await flow.send(order.id, "order_it")  # refused
        journal, refusals = await flow.journal(order.id), await flow.refusals(order.id)
        clock.advance(11)
        assert await prune_all(flow, export=path) == [order.id]
    (line,) = load_lines(path)
    assert line["order"] == {
        "id": order.id,
        "provider": "toy",
        "key": "k",
        "state": "shipped",
        "version": 1,
        "facts": {"paid": True, "window": "open"},
        "data": {},
        "created_at": order.created_at,
        "entered_at": order.entered_at,
        "flagged": False,
    }
    creation, *steps = line["journal"]
    assert (creation["event"], creation["version"], creation["facts"]) == ("create", 0, {"paid": True, "window": "open"})
    assert [(row["event"], row["at"], row["note"], row["kind"]) for row in steps] == [
        (row.event, row.at, row.note, row.kind) for row in journal
    ]
    assert [(row["event"], row["reason"], row["count"]) for row in line["refusals"]] == [("order_it", "not legal here", 1)]
    assert len(refusals) == 1
    assert path.stat().st_mode & 0o777 == 0o600


async def test_an_order_that_cannot_be_exported_is_not_deleted(url: str, tmp_path: Path) -> None:
    async with open_flow(url) as (flow, clock):
        order = await put_order(flow, "shipped")
        clock.advance(11)
        with pytest.raises(FileNotFoundError):
            await prune_all(flow, export=tmp_path / "nowhere" / "old.jsonl")

        async def fail(orders: Sequence[OrderHistory]) -> None:
            raise OSError("no space left")

        with pytest.raises(OSError, match="no space"):
            await prune_all(flow, export=fail)
        assert await flow.order(order.id) == order


@pytest.mark.parametrize("what", ["a step", "a refusal", "an owed effect"])
async def test_an_order_to_which_something_happens_during_the_export_is_kept(url: str, what: str) -> None:
    async with open_flow(url) as (flow, clock):
        order, other = await put_order(flow, "abandoned"), await put_order(flow, "abandoned", "other")
        exported: list[list[str]] = []

        async def export(orders: Sequence[OrderHistory]) -> None:
            exported.append(sorted(history.order.id for history in orders))
            if len(exported) > 1:
                return
            if what == "a refusal":
                await flow.send(order.id, "order_it")
            else:
                await flow.override(order.id, "shipped" if what == "an owed effect" else "refused", actor="kim", reason="late", version=1)

        flow.on_entered("toy", "shipped", ignore)
        clock.advance(11)
        assert await prune_all(flow, export=export) == [other.id]
        assert (await flow.order(order.id)).version == (1 if what == "a refusal" else 2)
        clock.advance(11)
        assert await prune_all(flow, export=export) == ([] if what == "an owed effect" else [order.id])
        assert exported[0] == sorted([order.id, other.id])


async def test_a_line_that_a_crash_cut_off_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "old.jsonl"
    path.write_text('{"order": {"id": "toy-torn')
    order = Order("toy-a", "toy", "k", Snapshot("shipped", {}, {"name": "Åse \ud800"}, 1), 0.0, 0.0)
    JsonLines(path)([OrderHistory(order, (), ())])
    JsonLines(path)([OrderHistory(order, (), ())] * 2)
    torn, *lines = path.read_text().splitlines()
    assert torn == '{"order": {"id": "toy-torn'
    assert [json.loads(line)["order"]["data"] for line in lines] == [{"name": "Åse \ud800"}] * 3


def prune_and_die(url: str, path: Path, when: str) -> None:
    """Runs in a process of its own, which is killed right after the export, or right after the deletion, of the second batch."""

    async def prune() -> None:
        clock = SimClock(start=2_000_000.0, manual=True)
        async with Orderflow(url, [Toy()], clock=clock) as flow:
            write, batches = JsonLines(path), 0

            def export(orders: Sequence[OrderHistory]) -> None:
                nonlocal batches
                write(orders)
                batches += 1
                if when == "exported" and batches == 2:
                    os.kill(os.getpid(), signal.SIGKILL)

            async for _ in flow.prune(older_than=10, batch=3, export=export):
                if when == "deleted" and batches == 2:
                    os.kill(os.getpid(), signal.SIGKILL)

    asyncio.run(prune())


@pytest.mark.parametrize("when", ["exported", "deleted"])
async def test_a_process_killed_between_export_and_deletion_exports_twice_and_loses_nothing(url: str, tmp_path: Path, when: str) -> None:
    path = tmp_path / "old.jsonl"
    async with open_flow(url) as (flow, _):
        order_ids = sorted([(await put_order(flow, "shipped", str(n))).id for n in range(9)])
    process = multiprocessing.get_context("spawn").Process(target=prune_and_die, args=(url, path, when))
    process.start()
    await asyncio.to_thread(process.join)
    assert process.exitcode == -signal.SIGKILL
    clock = SimClock(start=2_000_000.0, manual=True)
    async with Orderflow(url, [Toy()], clock=clock) as flow:
        left = {order.id for order in await flow.orders()}
        exported = [line["order"]["id"] for line in load_lines(path)]
        assert len(exported) == 6
        assert set(exported) | left == set(order_ids)
        await prune_all(flow, export=path, batch=3)
        assert await flow.orders() == []
    exported = [line["order"]["id"] for line in load_lines(path)]
    assert sorted(set(exported)) == order_ids
    assert len(exported) == (12 if when == "exported" else 9)
