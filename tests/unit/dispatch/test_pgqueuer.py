"""pgqueuer: jobs are only pointers. They may be lost at any time, and come and go with the rows that they point at."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from importlib.metadata import version
from pathlib import Path

import asyncpg
import pytest
from attrs import evolve
from tests.kit.commits import LEASE, NOW, SCOPE, move, new_order, scope
from tests.kit.dispatchers import Backend, flush_statistics
from tests.kit.toy import FAST, Toy

from orderflow._app import Orderflow
from orderflow._cli.main import main
from orderflow._dispatch.pgqueuer import SWEEP_DELAY, SWEEP_INTERVAL
from orderflow._dispatch.pgqueuer_tables import drop_dead
from orderflow._store.postgres.store import PostgresStore
from orderflow.errors import ConfigurationError, OperationalError, SchemaError, UnknownName
from orderflow.model import NOTIFY_LISTENER

pytestmark = pytest.mark.anyio
INSTALLED = version("pgqueuer")
SWEPT = NOW + SWEEP_DELAY + SWEEP_INTERVAL  # by then a row that has been due since NOW has a job again


async def test_a_job_comes_with_the_commit_that_owes_its_effect(pgqueuer: Backend) -> None:
    process = await pgqueuer.open_process(works=False)
    order = await process.owe("register", "announce")
    assert await pgqueuer.jobs() == [f"{order}:1:0:0", f"{order}:1:1:0"]
    assert (await pgqueuer.execute("SELECT DISTINCT status::text, queue_manager_id FROM of_pgqueuer")) == [("queued", None)]


async def test_a_commit_that_cannot_enqueue_is_rolled_back_whole(pgqueuer: Backend) -> None:
    process = await pgqueuer.open_process()
    order = await process.store.create(new_order(), "content")
    await pgqueuer.execute("ALTER TABLE of_pgqueuer RENAME TO elsewhere")
    with pytest.raises(OperationalError):
        await process.store.commit(order.id, None, move("sent", effects=["register"]))
    await pgqueuer.execute("ALTER TABLE elsewhere RENAME TO of_pgqueuer")
    assert (await process.store.load(order.id)).state == "drafted"
    assert await process.take(SWEPT) == []
    await process.store.commit(order.id, None, move("sent", effects=["register"]))
    assert await process.take_names(SWEPT) == ["register"]


async def test_the_sweep_finds_each_lost_job_once(pgqueuer: Backend) -> None:
    here, there = await pgqueuer.open_process(), await pgqueuer.open_process()
    orders = [await here.owe("register", name=f"n{n}") for n in range(3)]
    await pgqueuer.execute("TRUNCATE of_pgqueuer")  # as a crash of the server does to an unlogged table
    assert await here.take() == []
    batches = await asyncio.gather(here.take(SWEPT), there.take(SWEPT))
    taken = [effect.key.order_id for batch in (*batches, await here.take(SWEPT)) for effect in batch]
    assert sorted(taken) == orders


async def test_an_effect_whose_job_waits_gets_no_second_one(pgqueuer: Backend) -> None:
    process = await pgqueuer.open_process()
    for n in range(3):
        await process.owe("register", name=f"n{n}")
    taken = [len(await process.take(at, limit=1)) for at in (NOW, SWEPT, SWEPT + SWEEP_INTERVAL)]
    assert (taken, len(await pgqueuer.jobs())) == ([1, 1, 1], 3)


async def test_the_sweep_finds_the_effects_that_a_process_without_pgqueuer_owes(pgqueuer: Backend) -> None:
    worker = await pgqueuer.open_process()
    store = PostgresStore(pgqueuer.url)
    await store.open()
    try:
        order = await store.create(new_order(), "content")
        await store.commit(order.id, None, move("sent", effects=["register"]))
    finally:
        await store.close()
    assert await worker.take() == []
    assert await worker.take_names(SWEPT) == ["register"]


async def test_a_job_whose_worker_died_before_it_leased_the_effect_is_picked_again(pgqueuer: Backend) -> None:
    worker = await pgqueuer.open_process()
    await worker.owe("register")
    await pgqueuer.execute("UPDATE of_pgqueuer SET status = 'picked', heartbeat = now() - $1::float8 * interval '1 s'", LEASE - 1)
    assert await worker.take(SWEPT) == []
    await pgqueuer.execute("UPDATE of_pgqueuer SET heartbeat = now() - $1::float8 * interval '1 s'", LEASE + SWEEP_DELAY)
    assert await worker.take_names(SWEPT) == ["register"]


async def test_an_effect_that_is_due_a_moment_after_its_job_keeps_the_job(pgqueuer: Backend) -> None:
    worker = await pgqueuer.open_process()
    await worker.owe("register")
    await pgqueuer.execute("UPDATE of_effects SET run_at = $1", NOW + 0.2)
    assert await worker.take() == []
    assert await worker.take_names(NOW + 0.2) == ["register"]


async def test_the_effect_of_a_job_that_was_picked_when_the_database_failed_is_leased_next_time(pgqueuer: Backend) -> None:
    worker = await pgqueuer.open_process()
    assert await worker.take() == []
    await worker.owe("register")
    await pgqueuer.execute("ALTER TABLE of_effects RENAME TO elsewhere")
    with pytest.raises(OperationalError):
        await worker.take()
    await pgqueuer.execute("ALTER TABLE elsewhere RENAME TO of_effects")
    assert await worker.take_names() == ["register"]


async def test_jobs_of_effects_that_other_workers_finished_are_dropped(pgqueuer: Backend) -> None:
    here, there = await pgqueuer.open_process(), await pgqueuer.open_process()
    await here.owe("register")
    for effect in await here.store.lease_effects(NOW, scope(), 10):
        await here.store.finish_effect(effect)
    assert await there.take() == []
    await there.dispatcher.close()
    assert await pgqueuer.jobs() == []


async def test_jobs_queue_by_provider_and_notified_state(pgqueuer: Backend) -> None:
    process = await pgqueuer.open_process()
    await process.owe("register", provider="connect")
    await process.owe(NOTIFY_LISTENER, name="b", entered_state="sent")
    await process.owe("register", name="c")
    await process.take(scope=evolve(SCOPE, paused=frozenset({"toy"})))
    queued = await pgqueuer.execute("SELECT entrypoint, updated = created FROM of_pgqueuer WHERE status = 'queued' ORDER BY id")
    assert queued == [("connect", True), ("toy:sent", True), ("toy", True)]


async def test_processes_that_open_at_the_same_time_install_once(pgqueuer: Backend) -> None:
    processes = await asyncio.gather(*(pgqueuer.open_process() for _ in range(4)))
    await processes[0].owe("register")
    assert [name for process in processes for name in await process.take_names()] == ["register"]


OPEN = """
import asyncio, sys
from orderflow._app import Orderflow
async def main():
    async with Orderflow(sys.argv[1], [], dispatch="pgqueuer"):
        pass
asyncio.run(main())
"""


async def test_table_names_do_not_depend_on_the_environment(pgqueuer: Backend) -> None:
    environment = {**os.environ, "PGQUEUER_PREFIX": "other_", "QUEUE_TABLE": "other", "PGQUEUER_DURABILITY": "durable"}
    opening = await asyncio.create_subprocess_exec(sys.executable, "-c", OPEN, pgqueuer.url, env=environment)
    assert await opening.wait() == 0
    process = await pgqueuer.open_process()
    await process.owe("register")
    assert await process.take_names() == ["register"]
    queues = "SELECT relname, relpersistence FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'"
    assert await pgqueuer.execute(f"{queues} AND relname ~ 'pgqueuer$|other'") == [("of_pgqueuer", b"u")]


async def test_another_process_is_woken_by_a_commit(pgqueuer: Backend) -> None:
    caller, worker = await pgqueuer.open_process(works=False), await pgqueuer.open_process()
    assert await worker.take() == []  # it listens from its first fetch on
    await caller.owe("register")
    async with asyncio.timeout(5):
        await worker.wake.wait()
    assert await worker.take_names() == ["register"]


async def test_a_process_does_not_wake_itself(pgqueuer: Backend) -> None:
    worker, other = await pgqueuer.open_process(), await pgqueuer.open_process()
    await worker.take()
    await other.take()
    await worker.owe("register")
    async with asyncio.timeout(5):
        await other.wake.wait()
    await asyncio.sleep(0.2)  # long enough for a wake to come
    assert not worker.wake.is_set()


async def test_a_worker_that_lost_its_listening_connection_opens_another(pgqueuer: Backend) -> None:
    caller, worker = await pgqueuer.open_process(works=False), await pgqueuer.open_process()
    await worker.take()
    channel = (await pgqueuer.execute("SELECT '%' || md5(current_schema()) || '%'"))[0][0]
    connections = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND query LIKE $1"
    (lost,) = await pgqueuer.execute(connections, channel)
    await pgqueuer.execute("SELECT pg_terminate_backend($1)", lost["pid"])
    at = NOW
    async with asyncio.timeout(10):
        while await pgqueuer.execute(connections, channel) in ([lost], []):
            at += SWEEP_INTERVAL
            await worker.take(at)
    await caller.owe("register")
    async with asyncio.timeout(5):
        await worker.wake.wait()


async def test_a_worker_that_fetches_once_a_minute_is_woken_by_another_process(pgqueuer: Backend) -> None:
    toy = Toy(timing=FAST)
    async with (
        Orderflow(pgqueuer.url, [toy], worker=True, dispatch="pgqueuer", fetch_interval=60.0),
        Orderflow(pgqueuer.url, [Toy(timing=FAST)], dispatch="pgqueuer") as caller,
    ):
        await asyncio.sleep(0.2)  # asleep: nothing is due
        order = await caller.create("toy", key="k")
        start = time.monotonic()
        await caller.send(order.id, "order_it")
        await caller.wait(order.id, "placed", timeout=60)
        assert time.monotonic() - start < 5


async def test_pgqueuers_log_stays_empty_and_its_trigger_is_off(pgqueuer: Backend) -> None:
    process = await pgqueuer.open_process()
    await process.owe("register")
    for effect in await process.take():
        await process.finish(effect)
    await process.take()
    assert await pgqueuer.execute("SELECT 1 FROM of_pgqueuer_log") == await pgqueuer.execute("SELECT 1 FROM of_pgqueuer") == []
    trigger = "SELECT tgenabled FROM pg_trigger WHERE tgname = 'of_tg_pgqueuer_changed' AND tgrelid = 'of_pgqueuer'::regclass"
    assert await pgqueuer.execute(trigger) == [(b"D",)]


# ── its tables ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("waiting", [0, 700])
async def test_the_queue_stays_small_if_all_workers_are_local(pgqueuer: Backend, waiting: int) -> None:
    """The process that enqueues jobs also clears them, since no worker takes any. Jobs of effects that are still owed stay."""
    caller = await pgqueuer.open_process(works=False)
    kept = [await caller.owe(*["announce"] * 100, name=f"kept{n}") for n in range(waiting // 100)]
    most = 0
    for n in range(50):
        order = await caller.owe(*["register"] * 100, name=f"n{n}")
        await pgqueuer.execute("UPDATE of_effects SET owed = false WHERE order_id = $1", order)  # as a local worker ends them
        await caller.owe(name=f"m{n}")  # the next commit sees that they have ended
        most = max(most, (await pgqueuer.execute("SELECT count(*) FROM of_pgqueuer"))[0][0])
    assert most <= 1200 + 2 * waiting
    left = {key.partition(":")[0] for key in await pgqueuer.jobs()}
    assert left >= set(kept)
    assert await pgqueuer.execute("SELECT count(*) FROM of_pgqueuer WHERE dedupe_key LIKE 'toy-kept%'") == [(waiting,)]


async def test_a_retry_that_is_due_much_later_waits_without_a_job_and_comes_too(pgqueuer: Backend) -> None:
    process = await pgqueuer.open_process()
    await process.owe("register", "announce")
    soon, later = await process.take()
    await process.retry(soon, NOW + 3)
    await process.retry(later, NOW + 300)
    assert await process.take(NOW + 2) == []
    assert await pgqueuer.jobs() == [f"{soon.key}:1"]
    assert later.name in await process.take_names(NOW + 300 + SWEEP_DELAY + SWEEP_INTERVAL)


async def test_taking_does_not_slow_down_with_100_000_waiting_jobs(pgqueuer: Backend) -> None:
    process = await pgqueuer.open_process()
    for n in range(8):
        await process.owe("register", name=f"n{n}")
        assert len(await process.take()) == 1
    backlog = (
        "INSERT INTO of_pgqueuer (priority, entrypoint, payload, status, created, execute_after, dedupe_key)"
        " SELECT 0, 'toy', convert_to('toy-x' || n || ':1:0', 'UTF8'), 'queued', now(), now(), 'toy-x' || n || ':1:0:0'"
        " FROM generate_series(1, 100000) n"
    )
    await pgqueuer.execute(backlog)
    await pgqueuer.execute("ANALYZE of_pgqueuer")  # as autovacuum does
    await flush_statistics(process.store)
    before = await pgqueuer.count_rows_read("of_pgqueuer")
    await process.take(limit=32)
    await flush_statistics(process.store)
    assert 32 <= await pgqueuer.count_rows_read("of_pgqueuer") - before < 1000
    picked = "SELECT count(*) FROM of_pgqueuer WHERE status = 'picked' AND dedupe_key LIKE 'toy-x%'"
    assert await pgqueuer.execute(picked) == [(32,)]


async def test_clearing_reads_no_more_than_its_page(pgqueuer: Backend) -> None:
    process = await pgqueuer.open_process()
    await pgqueuer.execute(
        "INSERT INTO of_effects (order_id, version, n, name, provider, owed, run_at)"
        " SELECT 'toy-' || n, 1, 0, 'call', 'toy', n % 2 = 0, 0 FROM generate_series(1, 10000) n"
    )
    await pgqueuer.execute(
        "INSERT INTO of_pgqueuer (priority, entrypoint, payload, status, dedupe_key)"
        " SELECT 0, 'toy', convert_to('toy-' || n || ':1:0', 'UTF8'), 'queued', 'toy-' || n || ':1:0:0' FROM generate_series(1, 10000) n"
    )
    tables = ("of_effects", "of_pgqueuer")
    await flush_statistics(process.store)
    before = [await pgqueuer.count_rows_read(table) for table in tables]
    last_id, dropped = 0, []
    while not dropped or last_id:
        last_id, count = await process.store.pool.run(lambda session, after=last_id: drop_dead(session, after, 1000))
        dropped.append(count)
    assert dropped == [*[500] * 10, 0]
    await flush_statistics(process.store)
    after = [await pgqueuer.count_rows_read(table) for table in tables]
    assert [now < then + 50_000 for now, then in zip(after, before, strict=True)] == [True, True]
    assert await pgqueuer.execute("SELECT count(*) FROM of_pgqueuer") == [(5000,)]


FOREIGN = [("\\xff00", None), ("\\xff3a313a30", "not:ours"), ("\\x613a313a30", f"a:{10**12}:0:0")]


async def test_clearing_leaves_jobs_that_are_not_ours(pgqueuer: Backend) -> None:
    """Another application's jobs may have any payload. They stay, and the jobs behind them are cleared."""
    process = await pgqueuer.open_process(works=False)
    columns, values = "priority, entrypoint, payload, status, dedupe_key", "0, 'foreign', $1::text::bytea, 'queued', $2"
    for payload, key in FOREIGN:
        await pgqueuer.execute(f"INSERT INTO of_pgqueuer ({columns}) VALUES ({values})", payload, key)
    order = await process.owe("register")
    await pgqueuer.execute("UPDATE of_effects SET owed = false WHERE order_id = $1", order)
    assert await process.store.pool.run(lambda session: drop_dead(session, 0, 1000)) == (0, 1)
    assert await pgqueuer.jobs() == [key for _, key in FOREIGN]


async def make_tables_of(pgqueuer: Backend, release: str, *changes: str) -> None:
    """Tables as another release of pgqueuer left them behind, with one job."""
    process = await pgqueuer.open_process(works=False)
    await process.owe("register")
    for change in (*changes, f"COMMENT ON TABLE of_pgqueuer IS '{release}'"):
        await pgqueuer.execute(change)


OLDER = (
    "DROP INDEX of_pgqueuer_ep_prio_id_idx",
    "ALTER TABLE of_pgqueuer DROP COLUMN slot",
    "ALTER TABLE of_pgqueuer ENABLE TRIGGER of_tg_pgqueuer_changed",
)
DESCRIBE_TABLES = (
    "SELECT (SELECT count(*) FROM pg_indexes WHERE tablename = 'of_pgqueuer' AND schemaname = current_schema()),"
    " (SELECT count(*) FROM information_schema.columns WHERE table_name = 'of_pgqueuer' AND table_schema = current_schema()),"
    " (SELECT tgenabled FROM pg_trigger WHERE tgrelid = 'of_pgqueuer'::regclass AND tgname = 'of_tg_pgqueuer_changed'),"
    " obj_description('of_pgqueuer'::regclass, 'pg_class')"
)


@pytest.mark.parametrize("by", ["a process that opens", "orderflow db upgrade"])
async def test_tables_of_an_older_pgqueuer_are_upgraded(pgqueuer: Backend, by: str, capsys: pytest.CaptureFixture[str]) -> None:
    await (await pgqueuer.open_process(works=False)).store.close()
    current = await pgqueuer.execute(DESCRIBE_TABLES)
    await make_tables_of(pgqueuer, "1.5.9", *OLDER)
    assert await pgqueuer.execute(DESCRIBE_TABLES) != current
    if by == "orderflow db upgrade":
        assert await asyncio.to_thread(main, ["db", "upgrade", "--db", pgqueuer.url, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["now"] >= 2
        assert await pgqueuer.execute(DESCRIBE_TABLES) == current
    processes = await asyncio.gather(*(pgqueuer.open_process() for _ in range(3)))
    assert await pgqueuer.execute(DESCRIBE_TABLES) == current
    assert [name for process in processes for name in await process.take_names()] == ["register"]


SEQUENCES = (
    "SELECT s.relname, s.relpersistence FROM pg_class s JOIN pg_class q USING (relnamespace)"
    " WHERE q.oid = 'of_pgqueuer'::regclass AND s.relkind = 'S' ORDER BY 1"
)


async def test_sequences_are_logged_so_that_a_promoted_standby_can_use_them(pgqueuer: Backend) -> None:
    """Those that version 0.1 and earlier builds left unlogged are changed at the next opening. The tables stay unlogged."""
    await (await pgqueuer.open_process(works=False)).store.close()
    made = await pgqueuer.execute(SEQUENCES)
    assert len(made) >= 2
    assert {persistence for _, persistence in made} == {b"p"}
    for name, _ in made:
        await pgqueuer.execute(f"ALTER SEQUENCE {name} SET UNLOGGED")
    process = await pgqueuer.open_process()
    assert await pgqueuer.execute(SEQUENCES) == made
    assert await pgqueuer.execute("SELECT relpersistence FROM pg_class WHERE oid = 'of_pgqueuer'::regclass") == [(b"u",)]
    await process.owe("register")
    assert await process.take_names() == ["register"]


async def test_a_worker_listens_anew_when_all_connections_are_replaced(pgqueuer: Backend) -> None:
    """Its connection may lead to a server that is no primary any more, and stay open all the same."""
    caller, worker = await pgqueuer.open_process(works=False), await pgqueuer.open_process()
    await worker.take()
    listening = worker.dispatcher._listen_connection
    assert isinstance(worker.store, PostgresStore)
    worker.store.pool.replace_all(await worker.store.pool.acquire(), OSError())
    await worker.take(NOW + SWEEP_INTERVAL)
    assert listening.is_closed()
    await caller.owe("register")
    async with asyncio.timeout(60):
        await worker.wake.wait()


async def test_db_upgrade_makes_no_queue_if_there_is_none(postgres_url: str) -> None:
    assert await asyncio.to_thread(main, ["db", "upgrade", "--db", postgres_url]) == 0
    connection = await asyncpg.connect(postgres_url)
    try:
        assert await connection.fetchval("SELECT to_regclass('of_orders') IS NOT NULL AND to_regclass('of_pgqueuer') IS NULL")
    finally:
        await connection.close()


async def test_tables_of_a_newer_pgqueuer_are_refused_unless_they_are_the_same(pgqueuer: Backend) -> None:
    await make_tables_of(pgqueuer, "99.0.1")
    await pgqueuer.open_process(works=False)
    await make_tables_of(pgqueuer, "99.0.1", *OLDER)
    with pytest.raises(SchemaError, match=r"of pgqueuer 99\.0\.1.*pip install 'pgqueuer>=99\.0\.1'"):
        await pgqueuer.open_process(works=False)
    assert (await pgqueuer.execute(DESCRIBE_TABLES))[0][3] == "99.0.1"


async def test_tables_of_a_release_candidate_are_upgraded_by_the_final_release(pgqueuer: Backend) -> None:
    await make_tables_of(pgqueuer, f"{INSTALLED}rc1", *OLDER)
    await pgqueuer.open_process(works=False)
    assert (await pgqueuer.execute(DESCRIBE_TABLES))[0][3] == INSTALLED


async def test_a_comment_on_another_object_with_the_same_number_is_not_taken_for_the_queues(pgqueuer: Backend) -> None:
    await pgqueuer.open_process(works=False)
    other = "classoid = 'pg_proc'::regclass AND objoid = 'of_pgqueuer'::regclass"
    await pgqueuer.execute("INSERT INTO pg_description VALUES ('of_pgqueuer'::regclass, 'pg_proc'::regclass, 0, '99.0.1')")
    try:
        await pgqueuer.execute("ALTER TABLE of_pgqueuer DROP COLUMN slot")
        await pgqueuer.open_process(works=False)  # nothing to do: the comment on the queue names the installed pgqueuer
        assert await pgqueuer.execute("SELECT 1 FROM pg_attribute WHERE attrelid = 'of_pgqueuer'::regclass AND attname = 'slot'") == []
    finally:
        await pgqueuer.execute(f"DELETE FROM pg_description WHERE {other}")


async def test_tables_that_cannot_be_upgraded_raise_with_the_command_that_helps(pgqueuer: Backend) -> None:
    await make_tables_of(pgqueuer, "0.1", "DROP INDEX of_pgqueuer_priority_id_id1_idx", "ALTER TABLE of_pgqueuer ALTER priority TYPE text")
    with pytest.raises(SchemaError, match="PGQUEUER_PREFIX=of_ pgq uninstall") as error:
        await pgqueuer.open_process(works=False)
    assert "priority" in str(error.value)
    environment = {**os.environ, "PGQUEUER_PREFIX": "of_", "PGDSN": pgqueuer.url}
    pgq = Path(sys.executable).with_name("pgq")
    removing = await asyncio.create_subprocess_exec(pgq, "uninstall", env=environment, stderr=asyncio.subprocess.DEVNULL)
    assert await removing.wait() == 0
    process = await pgqueuer.open_process()
    assert await process.take_names(SWEPT) == ["register"]


def test_pgqueuer_needs_postgresql() -> None:
    with pytest.raises(ConfigurationError, match="postgresql://"):
        Orderflow("sqlite:///orders.db", [Toy()], dispatch="pgqueuer")


def test_an_unknown_dispatcher_raises_with_the_known_names() -> None:
    with pytest.raises(UnknownName, match="local, pgqueuer"):
        Orderflow("sqlite:///orders.db", [Toy()], dispatch="celery")
