"""The fault harness: boundaries are listed, named alike in every run, and a process can be ended at each of them."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import httpx
import pytest
from attrs import evolve
from orderflow.testing.boundaries import Boundaries, Crash, kill
from orderflow.testing.forked import lived
from tests.kit.inline_store import InlineStore
from tests.kit.toy import FAST, Toy
from tests.kit.world import CCV_KEY, ccv_sim

from orderflow.app import Orderflow
from orderflow.provider.http import HttpResponse, send_request
from orderflow.simulators import Fault, serve

REST = ("placed", "in_doubt", "refused")
HURRIED = evolve(FAST, lease=0.25)


async def life(boundaries: Boundaries, toy: Toy, connection: sqlite3.Connection, told: list[str]) -> str:
    """Until the order rests and the host knows: where it rests, or that all are dead."""
    flow = Orderflow(boundaries.store(InlineStore(connection)), [boundaries.provider(toy)], worker=True, fetch_interval=0.02)
    flow.on_entered("toy", "preparing", boundaries.host(lambda news: told.append(news.key)))
    states: list[str] = []

    async def story(flow: Orderflow) -> None:
        order = await flow.create("toy", key="k")
        await flow.send(order.id, "order_it", key="order")
        states.append((await flow.wait(order.id, REST, 10)).state)
        while not (told or boundaries.crashed):
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)

    return states[0] if await boundaries.play(flow, story) else "dead"


def database() -> sqlite3.Connection:
    return sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)


async def counted() -> list[str]:
    counting, connection = Boundaries(), database()
    assert await life(counting, Toy(timing=FAST), connection, []) == "placed"
    connection.close()
    return list(dict.fromkeys(counting.passed))


@pytest.mark.anyio
async def test_boundaries_are_named_by_state_and_effect() -> None:
    labels = await counted()
    assert {
        "none | create | before create",
        "drafted | order_it | before commit",
        "drafted | order_it | after commit",
        "preparing | make_ready | leased",
        "preparing | prepared | before commit",
        "sending | place | leased",
        "sending | order_placed | after commit",
        "preparing | notify_listener | before the host is told",
        "preparing | notify_listener | after the host is told",
        "preparing | notify_listener | after finish_effect",
    } <= set(labels)
    own, again = ({label for label in found if "read" not in label} for found in (labels, await counted()))  # reads are a matter of time
    assert own == again


@pytest.mark.anyio
async def test_a_crash_at_each_boundary_in_turn_leaves_an_order_that_can_go_on() -> None:
    """By raising, in one process: what a kill does in another, without the fork."""
    dead = 0
    for label in await counted():
        toy, connection, told = Toy(timing=HURRIED), database(), []
        crashing = Boundaries(crash_at=label)
        assert (await life(crashing, toy, connection, told) == "dead") is crashing.crashed
        dead += crashing.crashed
        passed = len(crashing.passed)
        assert not crashing.crashed or crashing.passed[-1] == label
        restarted = Boundaries()
        state = await life(restarted, toy, connection, told)
        assert len(crashing.passed) == passed, "the dead did something"
        assert toy.called("place") <= 1, label
        assert state in ("placed", "in_doubt"), label
        assert len(set(told)) == 1, label
        connection.close()
    assert dead >= 15


@pytest.mark.anyio
async def test_the_number_of_a_passing_will_do() -> None:
    connection = database()
    third = Boundaries(crash_at=3)
    assert await life(third, Toy(timing=HURRIED), connection, []) == "dead"
    assert (third.crashed, len(third.passed)) == (True, 3)
    with pytest.raises(Crash):
        third.at("anything", "at all")
    connection.close()


@pytest.mark.anyio
async def test_a_call_has_three_boundaries_and_shows_no_id() -> None:
    counting = Boundaries()
    async with ccv_sim() as sim, serve(sim.asgi) as base:
        client = counting.client(timeout=2.0)
        headers = {"Authorization": httpx.BasicAuth(CCV_KEY, "")._auth_header}
        for path in ("/order/1234-abcd/status", "/order/7/status"):
            answer = await send_request(client, "GET", f"{base}/api/ordercompletion/reseller{path}", headers=headers)
            assert isinstance(answer, HttpResponse)
        call = "GET /api/ordercompletion/reseller/order/*/status"
        wheres = (f"before {call}", f"{call} acted on, answer unread", f"after {call}")
        assert counting.passed == 2 * [f"none | call | {where}" for where in wheres]
        counting.passed.clear()
        sim.faults.arm(Fault("GET", "reset-after-commit"))
        await send_request(client, "GET", f"{base}/api/ordercompletion/reseller/order/7/status", headers=headers)
        assert counting.passed == [f"none | call | before {call}"]
        await client.aclose()


def test_statements_need_a_kill(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'o.db'}"
    with pytest.raises(ValueError, match="by=kill"):
        Boundaries(crash_at=1).store(url, statements=True)
    with pytest.raises(ValueError, match="database URL"):
        Boundaries(crash_at=1, by=kill).store(InlineStore(), statements=True)


# ── forked ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def forked(boundaries: Boundaries, db: str) -> None:
    toy = Toy(timing=HURRIED)
    async with Orderflow(boundaries.store(db, statements=True), [boundaries.provider(toy)], worker=True, fetch_interval=0.02) as flow:
        order = await flow.create("toy", key="k")
        await flow.send(order.id, "order_it", key="order")
        await flow.wait(order.id, REST, 10)


async def broken(boundaries: Boundaries) -> None:
    raise ZeroDivisionError


def test_a_life_is_killed_inside_a_transaction_and_goes_on(tmp_path: Path) -> None:
    whole = lived(forked, f"sqlite:///{tmp_path / 'whole.db'}")
    point = "drafted | order_it | before INSERT INTO of_journal"
    assert not whole.killed
    assert point in whole.points
    db = f"sqlite:///{tmp_path / 'o.db'}"
    dead = lived(forked, db, crash_at=point)
    assert (dead.killed, dead.passed[-1]) == (True, point)
    restarted = lived(forked, db)
    assert not restarted.killed
    assert point in restarted.passed, "what was cut was rolled back, and is done again"
    assert "sending | order_placed | after commit" in restarted.passed


def test_a_life_that_fails_says_so() -> None:
    with pytest.raises(RuntimeError, match="exit code 1"):
        lived(broken)
