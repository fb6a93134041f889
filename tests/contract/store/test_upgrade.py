"""Upgrading a database that version 0.1 made: everything that it held is still there, still owed and still due."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve
from tests.kit import version_0_1
from tests.kit.commits import Another, move, new_order, scope
from tests.kit.toy import FAST, Toy
from tests.kit.version_0_1 import THEN, THROTTLED_UNTIL

from orderflow._app import Orderflow
from orderflow._dispatch import upgrade as upgrade_queue
from orderflow._providers.connect import Connect
from orderflow._store.migrations import migrations
from orderflow._store.records import InboxKey, LeasedEffect, StoredStanding
from orderflow._store.upgrade import Schema, read_schema, upgrade
from orderflow._store.urls import make_store, parse_database_url
from orderflow.errors import OperationalError, SchemaError
from orderflow.model import NOTIFY_LISTENER, EffectKey, Ignored, Reason, StateEntered

pytestmark = pytest.mark.anyio
SCOPE = scope("toy", notifiable=[("toy", "placed")])
NEWEST = migrations("sqlite")[-1][0]
NOW = THEN + 3600


async def sql(url: str, statement: str) -> list[tuple[Any, ...]]:
    """Run one statement beside the store; its rows."""
    scheme, location = parse_database_url(url)
    if scheme == "sqlite":
        with closing(sqlite3.connect(location)) as connection, connection:
            return connection.execute(statement).fetchall()
    import asyncpg

    connection = await asyncpg.connect(url)
    try:
        return [tuple(row) for row in await connection.fetch(statement)]
    finally:
        await connection.close()


@pytest.fixture
async def old(url: str) -> str:
    """The URL of a database that version 0.1 made and filled."""
    await version_0_1.make(url)
    return url


async def test_an_upgrade_takes_the_schema_from_its_version_to_the_newest(old: str) -> None:
    assert await read_schema(old) == Schema(known=NEWEST, found=2)
    assert await upgrade(old) == Schema(known=NEWEST, found=2)
    assert (await read_schema(old)).current
    assert await upgrade(old) == Schema(known=NEWEST, found=NEWEST)  # again: nothing to do
    assert await sql(old, "SELECT version FROM of_schema ORDER BY version") == [(number,) for number in range(1, NEWEST + 1)]


async def test_every_older_version_is_upgraded_to_the_same_schema(url: str) -> None:
    await version_0_1.make(url, version=1)
    await upgrade(url)
    store = make_store(url, create=False)
    await store.open()  # refuses a schema in which a column is missing
    assert await store.next_due(SCOPE) is None
    await store.close()


async def test_processes_that_upgrade_at_once_upgrade_once(old: str) -> None:
    stores = [make_store(old) for _ in range(6)]
    await asyncio.gather(*(store.open() for store in stores))
    await asyncio.gather(*(store.close() for store in stores))
    assert await sql(old, "SELECT version FROM of_schema ORDER BY version") == [(number,) for number in range(1, NEWEST + 1)]


async def test_an_upgrade_that_fails_leaves_the_database_as_it_was(old: str) -> None:
    await sql(old, "CREATE TABLE of_polls (order_id text)")  # the new name is taken
    with pytest.raises((SchemaError, OperationalError), match="of_polls"):
        await upgrade(old)
    assert await read_schema(old) == Schema(known=NEWEST, found=2)
    assert len(await sql(old, "SELECT order_id, noticed, tries FROM of_reads")) == 3
    await sql(old, "DROP TABLE of_polls")
    await upgrade(old)
    assert len(await sql(old, "SELECT order_id, requested, without_news FROM of_polls")) == 3


async def test_owed_effects_are_leased_as_they_were_owed(old: str, another: Another) -> None:
    store = await another()
    leased = {effect.key.order_id: effect for effect in await store.lease_effects(NOW, SCOPE, 10)}
    until = NOW + SCOPE.leases["toy"]
    assert leased == {
        "toy-call": LeasedEffect(EffectKey("toy-call", 1, 0), "make_ready", "toy", 2, False, "", 1, "", until),
        "toy-doubt": LeasedEffect(EffectKey("toy-doubt", 2, 0), "place", "toy", 2, True, "", 0, "", until, None, True),
        "toy-notify": LeasedEffect(EffectKey("toy-notify", 3, 0), NOTIFY_LISTENER, "toy", 2, False, "placed", 0, "", until),
    }


async def test_notifications_belong_to_their_listeners(old: str, another: Another) -> None:
    store = await another()
    assert await store.listeners() == {("toy", "placed")}
    assert await store.pending_notifications() == {("toy", "placed"): 1}
    assert await store.remove_listener("toy", "placed", "not needed any more", 10) == 1
    assert await store.pending_notifications() == {}
    assert [effect.name for effect in (await store.pending("toy-notify")).effects] == []


async def test_polls_keep_their_plan_their_requests_and_their_count(old: str, another: Another) -> None:
    store = await another()
    assert (await store.pending("toy-poll")).next_poll_at == THEN + 2
    assert (await store.pending("toy-doubt")).next_poll_at is None
    leased = {poll.order_id: poll.without_news for poll in await store.lease_polls(NOW, SCOPE, 10)}
    assert leased == {"toy-notify": 0, "toy-poll": 2}
    assert await sql(old, "SELECT order_id FROM of_polls WHERE requested") == [("toy-doubt",)]


async def test_all_else_is_as_it_was(old: str, another: Another) -> None:
    store = await another()
    assert {order.id: (order.state, order.version) for order in await store.orders()} == {
        "toy-call": ("preparing", 1),
        "toy-doubt": ("sending", 2),
        "toy-notify": ("placed", 3),
        "toy-poll": ("waiting", 4),
    }
    assert [row.event for row in await store.journal("toy-poll")] == ["order_it", "prepared", "order_placed", "came"]
    assert {(row.event, row.reason, row.count) for row in await store.refusals("toy-poll")} == {
        ("window_closed", Reason.GUARD_FAILED, 2),
        ("reminded", Reason.NOT_LEGAL_HERE, 2),
    }
    assert await store.read_standings() == {"other": StoredStanding("other", THROTTLED_UNTIL)}
    assert [due.name for due in await store.due_deadlines(NOW, SCOPE, 10)] == ["reminded", "timed_out"]


async def test_keys_that_were_used_are_still_used(old: str, another: Another) -> None:
    for key in ("toy-poll:order_it:k", "toy-poll:pay:k:2", "toy-call:order_it:same", "toy-call:pay:same"):
        order_id, at = key.partition(":")[0], THEN + (":pay:" in key)
        await sql(old, f"INSERT INTO of_inbox VALUES ('command', '{key}', '{order_id}', '', {at})")
    store = await another()
    keys = await sql(old, "SELECT key FROM of_inbox WHERE origin = 'command' ORDER BY at, key")
    assert keys == [("toy-call same",), ("toy-poll k",), ("toy-call:pay:same",), ("toy-poll k:2",)]
    assert (await store.commit("toy-poll", InboxKey("command", "toy-poll k", "pay 7"), move("taken"))).decision == Ignored(
        Reason.DUPLICATE, "waiting"
    )
    assert (await store.create(new_order("new", key="call"), "spelled in another way")).id == "toy-call"


async def test_the_renamed_event_of_connect_is_renamed_in_connects_orders_only(old: str) -> None:
    for provider in ("connect", "other"):
        order_id = f"{provider}-1"
        journal = f"'{order_id}', 1, 'nobody_came', 'clock', 'fulfilling', 'unknown', 'step', 0, ''"
        refusal = f"'{order_id}', 'nobody_came', 'registered', 'not legal here', 'clock', '', 1, 1, 0, 0"
        await sql(old, f"INSERT INTO of_orders VALUES ('{order_id}', '{provider}', '1', 'fulfilling', 1, '{{}}', '{{}}', 0, 0)")
        await sql(old, f"INSERT INTO of_deadlines VALUES ('{order_id}', 'nobody_came', '{provider}', 1, 0)")
        await sql(old, f"INSERT INTO of_journal VALUES ({journal})")
        await sql(old, f"INSERT INTO of_refusals VALUES ({refusal})")
    await upgrade(old)
    for table, column in {"of_deadlines": "name", "of_journal": "event", "of_refusals": "event"}.items():
        rows = await sql(old, f"SELECT order_id, {column} FROM {table} WHERE order_id NOT LIKE 'toy-%' ORDER BY order_id")
        assert rows == [("connect-1", "no_return"), ("other-1", "nobody_came")]
    assert "no_return" in Connect.offline().table.events


async def test_an_id_belongs_to_the_earliest_order_that_has_it(old: str, another: Another) -> None:
    broken = """{"note":"\\\\u0000 \\u0000 \\ud800 \\ud83d\\ude00","provider_id":"T-notify"}"""
    long = '{"provider_id":"' + "".join(str(n) for n in range(5000)) + '"}'
    for order_id, data, created_at in (
        ("toy-early", broken, THEN - 1),
        ("toy-late", '{"provider_id":"T-notify"}', THEN + 1),
        ("toy-number", '{"provider_id":17}', THEN),
        ("toy-null", '{"provider_id":null}', THEN),
        ("toy-long", long, THEN),
        ("other-same", '{"provider_id":"T-notify"}', THEN),
    ):
        provider = order_id.split("-")[0]
        await sql(
            old, f"INSERT INTO of_orders VALUES ('{order_id}', '{provider}', '{order_id}', 'placed', 1, '{{}}', '{data}', {created_at}, 0)"
        )
    store = await another()
    held = await sql(old, "SELECT provider, provider_id, order_id FROM of_provider_ids WHERE length(provider_id) < 100 ORDER BY order_id")
    assert held == [
        ("other", "T-notify", "other-same"),
        ("toy", "T-notify", "toy-early"),
        ("toy", "17", "toy-number"),
        ("toy", "T-poll", "toy-poll"),
    ]
    assert (await store.find_by_provider_id("toy", "17")).provider_id == "17"


async def run_worker(url: str, dispatch: str) -> None:
    """A worker of this version takes over: what was owed is done, once; what was in doubt stays in doubt; what was due comes."""
    toy = Toy(timing=evolve(FAST, durations=dict.fromkeys(FAST.durations, 3600.0), poll_first=3600.0, poll_cap=3600.0))
    entered: dict[str, str] = {}
    all_notified = asyncio.Event()

    async def keep(event: StateEntered) -> None:
        entered[event.order.id] = event.key
        if entered.keys() == {"toy-call", "toy-notify"}:
            all_notified.set()

    flow = Orderflow(url, [toy], worker=True, dispatch=dispatch, fetch_interval=0.05)
    flow.on_entered("toy", "placed", keep)
    async with flow:
        for order_id, state in {"toy-call": "placed", "toy-doubt": "in_doubt", "toy-poll": "lapsed"}.items():
            await flow.wait(order_id, state, timeout=60)
        async with asyncio.timeout(60):
            await all_notified.wait()
    assert entered == {"toy-call": "toy-call:3:0", "toy-notify": "toy-notify:3:0"}
    assert set(toy.calls) == {("make_ready", "toy-call"), ("place", "toy-call"), ("look_up", "toy-doubt")}
    assert toy.count_calls("make_ready") == toy.count_calls("place") == 1
    assert {order_id for order_id, _ in toy.polls} >= {"toy-notify", "toy-poll"}


async def test_a_worker_goes_on_where_version_0_1_stopped(old: str) -> None:
    await run_worker(old, "local")


async def test_a_worker_goes_on_where_version_0_1_stopped_with_a_queue_in_the_same_database(postgres_url: str) -> None:
    await version_0_1.make(postgres_url)
    await _enqueue_as_version_0_1(postgres_url)
    await upgrade(postgres_url)
    await upgrade_queue(postgres_url)
    await run_worker(postgres_url, "pgqueuer")


async def _enqueue_as_version_0_1(url: str) -> None:
    """The queue's tables beside ours, and a job for each owed effect."""
    from orderflow._dispatch.pgqueuer_tables import prepare, queries
    from orderflow._store.postgres.pool import PostgresPool

    jobs = {"toy-call:1:0": "toy", "toy-doubt:2:0": "toy", "toy-notify:3:0": "toy:placed"}
    pool = PostgresPool(url, connections=1, patience=3.0, boundary=None)
    await pool.open()
    try:
        await pool.run(lambda session: prepare(session, "orders"))
        payloads = [key.encode() for key in jobs]
        at_once = [timedelta()] * len(jobs)
        await pool.run(
            lambda session: queries(session).enqueue(list(jobs.values()), payloads, [0] * len(jobs), at_once, [f"{key}:1" for key in jobs])
        )
    finally:
        await pool.close()
