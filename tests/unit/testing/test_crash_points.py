"""Crash points are listed, labelled alike in every run, and a process can be ended at each of them."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import httpx
import pytest
from attrs import evolve
from tests.kit.inline_store import InlineStore, memory_connection
from tests.kit.toy import FAST, Toy
from tests.kit.world import CCV_KEY, ccv_sim

from orderflow._app import Orderflow
from orderflow._provider.http import HttpResponse, send_request
from orderflow._testing.crash_points import Crash, CrashPoints, kill
from orderflow._testing.crash_process import run_process
from orderflow.simulators import Fault, serve

BEFORE_SENDING = {"sending | place | leased", "sending | place | before mark_sending"}
BEHIND_SENDING = {"sending | place | after mark_sending", "sending | order_placed | before commit"}
ENDS = ("placed", "in_doubt", "refused")
SHORT_LEASE = evolve(FAST, lease=0.25)


async def run_story(points: CrashPoints, toy: Toy, connection: sqlite3.Connection, notified: list[str]) -> str:
    """Until the order has ended and the listener was notified: the state of the order, or that there was a crash."""
    flow = Orderflow(points.store(InlineStore(connection)), [points.provider(toy)], worker=True, fetch_interval=0.02)
    flow.on_entered("toy", "preparing", points.listener(lambda entered: notified.append(entered.key)))
    states: list[str] = []

    async def story(flow: Orderflow) -> None:
        order = await flow.create("toy", key="k")
        await flow.send(order.id, "order_it", key="order")
        states.append((await flow.wait(order.id, ENDS, 60)).state)
        while not (notified or points.crashed):
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)

    return states[0] if await points.run(flow, story) else "crashed"


async def list_points() -> list[str]:
    points, connection = CrashPoints(), memory_connection()
    assert await run_story(points, Toy(timing=FAST), connection, []) == "placed"
    connection.close()
    return list(dict.fromkeys(points.passed))


@pytest.mark.anyio
async def test_points_are_labelled_by_state_and_effect() -> None:
    labels = await list_points()
    assert {
        "none | create | before create",
        "drafted | order_it | before commit",
        "drafted | order_it | after commit",
        "preparing | make_ready | leased",
        "preparing | prepared | before commit",
        *BEFORE_SENDING,
        *BEHIND_SENDING,
        "sending | order_placed | after commit",
        "preparing | notify_listener | before the listener",
        "preparing | notify_listener | after the listener",
        "preparing | notify_listener | after finish_effect",
    } <= set(labels)
    first, second = ({label for label in run if "poll" not in label} for run in (labels, await list_points()))  # polls depend on time
    assert first == second


@pytest.mark.anyio
async def test_a_crash_at_each_point_in_turn_leaves_an_order_that_can_go_on() -> None:
    """By raising, in one process: what a kill does in another, without the fork."""
    crashes = 0
    for label in await list_points():
        toy, connection, notified = Toy(timing=SHORT_LEASE), memory_connection(), []
        crashing = CrashPoints(crash_at=label)
        assert (await run_story(crashing, toy, connection, notified) == "crashed") is crashing.crashed
        crashes += crashing.crashed
        passed = len(crashing.passed)
        assert not crashing.crashed or crashing.passed[-1] == label
        state = await run_story(CrashPoints(), toy, connection, notified)
        assert len(crashing.passed) == passed, "the crashed run did something"
        assert toy.count_calls("place") <= 1, label
        assert state in ("placed", "in_doubt"), label
        assert state == "placed" or label not in BEFORE_SENDING, label
        assert state == "in_doubt" or label not in BEHIND_SENDING, label
        assert len(set(notified)) == 1, label
        connection.close()
    assert crashes >= 15


@pytest.mark.anyio
async def test_a_point_can_be_given_by_the_number_of_its_passing() -> None:
    connection = memory_connection()
    third = CrashPoints(crash_at=3)
    assert await run_story(third, Toy(timing=SHORT_LEASE), connection, []) == "crashed"
    assert (third.crashed, len(third.passed)) == (True, 3)
    with pytest.raises(Crash):
        third.pass_point("anything", "anywhere")
    connection.close()


@pytest.mark.anyio
async def test_a_call_has_three_points_and_shows_no_id() -> None:
    points = CrashPoints()
    async with ccv_sim() as sim, serve(sim.asgi) as base:
        client = points.client(timeout=2.0)
        headers = {"Authorization": httpx.BasicAuth(CCV_KEY, "")._auth_header}
        for path in ("/order/1234-abcd/status", "/order/7/status"):
            answer = await send_request(client, "GET", f"{base}/api/ordercompletion/reseller{path}", headers=headers)
            assert isinstance(answer, HttpResponse)
        call = "GET /api/ordercompletion/reseller/order/*/status"
        places = (f"before {call}", f"{call} acted on, answer unread", f"after {call}")
        assert points.passed == 2 * [f"none | call | {place}" for place in places]
        points.passed.clear()
        sim.faults.arm(Fault("GET", "reset-after-commit"))
        await send_request(client, "GET", f"{base}/api/ordercompletion/reseller/order/7/status", headers=headers)
        assert points.passed == [f"none | call | before {call}"]
        await client.aclose()


def test_statements_need_a_kill(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'o.db'}"
    with pytest.raises(ValueError, match="by=kill"):
        CrashPoints(crash_at=1).store(url, statements=True)
    with pytest.raises(ValueError, match="database URL"):
        CrashPoints(crash_at=1, by=kill).store(InlineStore(), statements=True)


# ── in a process of its own ──────────────────────────────────────────────────────────────────────────────────────────────


async def order_with_statements(points: CrashPoints, db: str) -> None:
    toy = Toy(timing=SHORT_LEASE)
    async with Orderflow(points.store(db, statements=True), [points.provider(toy)], worker=True, fetch_interval=0.02) as flow:
        order = await flow.create("toy", key="k")
        await flow.send(order.id, "order_it", key="order")
        await flow.wait(order.id, ENDS, 60)


async def fail(points: CrashPoints) -> None:
    raise ZeroDivisionError


def test_a_process_is_killed_inside_a_transaction_and_another_one_goes_on(tmp_path: Path) -> None:
    first = run_process(order_with_statements, f"sqlite:///{tmp_path / 'first.db'}")
    point = "drafted | order_it | before INSERT INTO of_journal"
    assert not first.killed
    assert point in first.points
    db = f"sqlite:///{tmp_path / 'o.db'}"
    killed = run_process(order_with_statements, db, crash_at=point)
    assert (killed.killed, killed.passed[-1]) == (True, point)
    restarted = run_process(order_with_statements, db)
    assert not restarted.killed
    assert point in restarted.passed, "what was cut was rolled back, and is done again"
    assert "sending | order_placed | after commit" in restarted.passed


def test_a_process_that_fails_is_reported() -> None:
    with pytest.raises(RuntimeError, match="exit code 1"):
        run_process(fail)
