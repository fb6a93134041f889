"""Group commit on PostgreSQL: how many statements a burst takes, what a bad event does to the others, what text may hold."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from attrs import evolve
from tests.kit.commits import NOW, SCOPE, move, new_order, stay

from orderflow._store.postgres.store import PostgresStore
from orderflow._store.records import Commit, Decider, DueDeadline, InboxKey, PollAt, PollSooner, StopPolling
from orderflow.errors import OperationalError
from orderflow.model import Applied, EffectKey, Order, Reason

pytestmark = pytest.mark.anyio


@pytest.fixture
async def ran() -> list[str]:
    """Every statement that the store has run."""
    return []


@pytest.fixture
async def store(postgres_url: str, ran: list[str]) -> AsyncIterator[PostgresStore]:
    async def boundary(statement: str) -> None:
        ran.append(statement)

    store = PostgresStore(postgres_url, boundary=boundary)
    await store.open()
    yield store
    await store.close()


async def _orders(store: PostgresStore, count: int) -> list[str]:
    orders = await asyncio.gather(*(store.create(new_order(str(n)), "content") for n in range(count)))
    return [order.id for order in orders]


async def test_a_thousand_commits_at_once_share_few_statements(store: PostgresStore, ran: list[str]) -> None:
    ids = await _orders(store, 1000)
    ran.clear()
    await asyncio.gather(*(store.commit(order_id, InboxKey("reply", order_id), move("sent", effects=["call"])) for order_id in ids))
    assert len(ran) < 40
    assert {order.state for order in await store.orders(limit=2000)} == {"sent"}


async def test_one_commit_takes_two_statements(store: PostgresStore, ran: list[str]) -> None:
    (order_id,) = await _orders(store, 1)
    ran.clear()
    await store.commit(
        order_id, InboxKey("reply", "1"), move("sent", effects=["call"], poll=PollAt(NOW, 0, 1.0), deadlines=(("late", NOW),))
    )
    assert len(ran) == 2


async def test_a_decision_that_writes_nothing_takes_one(store: PostgresStore, ran: list[str]) -> None:
    (order_id,) = await _orders(store, 1)
    ran.clear()
    await store.commit(order_id, None, stay(Reason.NO_NEWS, recorded=False))
    assert len(ran) == 1


DECISIONS: tuple[tuple[Decider, str, DueDeadline | None], ...] = (  # everything that a commit can write, in several mixtures
    (move("sent", "back", effects=["call", "search"], facts={"paid": True}, data={"n": 1}), "1", None),
    (move("sent", deadlines=(("late", NOW + 1), ("later", NOW + 2)), poll=PollAt(NOW + 3, 1, 1.0)), "2", None),
    (move("sent", deadlines=(), poll=PollSooner(1.0)), "", DueDeadline("", "armed", "toy", 0)),
    (stay(Reason.ANOMALY, poll=StopPolling()), "4", None),
    (stay(Reason.LATE, keep_key=False, finished_effect=EffectKey("", 0, 0)), "5", None),
    (move("sent", cancel_effects=True), "", None),
    (move("sent"), "", DueDeadline("", "never armed", "toy", 0)),
    (stay(Reason.NO_NEWS, recorded=False), "8", None),
)
TABLES = {"of_orders": "id", "of_journal": "order_id", "of_refusals": "order_id", "of_effects": "order_id"} | {
    "of_deadlines": "order_id",
    "of_polls": "order_id",
    "of_inbox": "order_id",
}


async def _read_rows(url: str, prefix: str) -> dict[str, list[str]]:
    """Every row of the orders whose names begin with the prefix, without the prefix."""
    connection = await asyncpg.connect(url)
    try:
        return {
            table: sorted(
                str(list(row.values())).replace(prefix, "")
                for row in await connection.fetch(f"SELECT * FROM {table} WHERE {column} LIKE 'toy-{prefix}%'")
            )
            for table, column in TABLES.items()
        }
    finally:
        await connection.close()


async def test_one_by_one_or_in_a_batch_the_same_rows_are_written(store: PostgresStore, postgres_url: str, ran: list[str]) -> None:
    """One commit goes as plain values, a batch as JSON: two statements that must write the same rows."""

    async def commit_all(prefix: str, *, at_once: bool) -> None:
        ids = [(await store.create(new_order(f"{prefix}{n}"), "content")).id for n in range(len(DECISIONS))]
        for order_id in ids:
            await store.pool.fetch(
                "INSERT INTO of_effects (order_id, version, n, name, provider, run_at) VALUES ($1, 0, 0, 'old', 'toy', 0)", order_id
            )
            await store.pool.fetch("INSERT INTO of_deadlines VALUES ($1, 'armed', 'toy', 0, 0)", order_id)
        ran.clear()
        commits = []
        for order_id, (decider, key, deadline) in zip(ids, DECISIONS, strict=True):
            commits.append(
                store.commit(
                    order_id,
                    InboxKey("reply", f"{order_id} {key}") if key else None,
                    _finish_own_effect(order_id, decider),
                    evolve(deadline, order_id=order_id) if deadline else None,
                )
            )
        if at_once:
            await asyncio.gather(*commits)
        else:
            for commit in commits:
                await commit

    await commit_all("alone", at_once=False)
    assert len(ran) > len(DECISIONS)
    await commit_all("joint", at_once=True)
    assert len(ran) == 2
    alone, joint = await _read_rows(postgres_url, "alone"), await _read_rows(postgres_url, "joint")
    assert alone == joint
    assert all(alone.values())  # no table is left out


def _finish_own_effect(order_id: str, decider: Decider) -> Decider:
    """The same decision, finishing this order's own effect where it finishes one."""

    def decide(order: Order) -> Commit:
        commit = decider(order)
        return evolve(commit, finished_effect=EffectKey(order_id, 0, 0)) if commit.finished_effect else commit

    return decide


async def test_a_caller_that_never_pauses_leaves_the_connection_to_others(postgres_url: str) -> None:
    """Batches keep their connection. Where there is only one, a query must get its turn between them."""
    store = PostgresStore(postgres_url, connections=1, width=1)
    await store.open()
    try:
        (order_id,) = await _orders(store, 1)
        done = 0

        async def commit_often() -> None:
            nonlocal done
            for n in range(500):
                await store.commit(order_id, None, move(f"state {n}"))
                done += 1

        committing = asyncio.create_task(commit_often())
        while not done:
            await asyncio.sleep(0)
        await store.load(order_id)
        assert done < 100
        await committing
    finally:
        await store.close()


async def test_callers_in_step_are_decided_while_others_are_written(store: PostgresStore, ran: list[str]) -> None:
    """Callers that submit again as soon as they are answered must not all end up in one batch: client and server would work in turn."""
    callers, times = 64, 20
    ids = await _orders(store, callers)

    async def commit_often(order_id: str) -> None:
        for n in range(times):
            await store.commit(order_id, None, move(f"state {n}"))

    ran.clear()
    await asyncio.gather(*map(commit_often, ids))
    batches = sum(statement.startswith("WITH commits") for statement in ran)
    assert 1.5 * times < batches < 4 * times


async def test_no_statement_of_a_commit_notifies(store: PostgresStore, ran: list[str]) -> None:
    (order_id,) = await _orders(store, 1)
    await store.commit(order_id, None, move("sent", effects=["call"]))
    assert not any("notify" in statement.lower() for statement in ran)


async def test_a_commit_that_the_database_refuses_does_not_harm_the_others(store: PostgresStore) -> None:
    """A version does not fit its column: the statement of the batch fails, and each commit is tried alone."""
    ids = await _orders(store, 30)

    def too_far(order: Order) -> Commit:
        commit = move("sent")(order)
        assert isinstance(commit.decision, Applied)
        return evolve(commit, decision=evolve(commit.decision, snapshot=evolve(commit.decision.snapshot, version=2**40)))

    deciders: list[Decider] = [too_far if n in (3, 17) else move("sent") for n in range(30)]
    commits = (store.commit(order_id, None, decider) for order_id, decider in zip(ids, deciders, strict=True))
    results = await asyncio.gather(*commits, return_exceptions=True)
    assert [n for n, result in enumerate(results) if isinstance(result, OperationalError)] == [3, 17]
    assert [(await store.load(order_id)).state for order_id in ids] == ["drafted" if n in (3, 17) else "sent" for n in range(30)]


async def test_a_refusal_of_the_database_quotes_no_value(store: PostgresStore) -> None:
    (order_id,) = await _orders(store, 1)

    def secretive(order: Order) -> Commit:
        return evolve(move("sent")(order), journal=(evolve(move("sent")(order).journal[0], version="kari@example.org"),))  # type: ignore[arg-type]

    with pytest.raises(OperationalError) as refused:
        await store.commit(order_id, None, secretive)
    shown = "".join(str(error) for error in (refused.value, refused.value.__cause__) if error)
    assert "kari" not in shown


async def test_a_providers_text_may_hold_what_postgres_cannot_store(store: PostgresStore) -> None:
    """NUL and lone surrogates in a note, in a refusal's detail or in an effect's ``why`` must not keep a reply from being stored."""
    (order_id,) = await _orders(store, 1)
    bad = "status \0 or \ud800"

    def noted(order: Order) -> Commit:
        commit = move("sent", effects=["call"], data={"answer": bad})(order)
        return evolve(commit, journal=(evolve(commit.journal[0], note=bad),))

    def refused(order: Order) -> Commit:
        commit = stay(Reason.UNKNOWN_STATUS)(order)
        assert commit.refusal is not None
        return evolve(commit, refusal=evolve(commit.refusal, detail=bad))

    await store.commit(order_id, InboxKey("claim", bad), noted)
    await store.commit(order_id, None, refused)
    (effect,) = await store.lease_effects(NOW, SCOPE, 1)
    await store.retry_effect(effect, NOW, bad)
    assert (await store.load(order_id)).snapshot.data["answer"] == bad
    assert [row.note for row in await store.journal(order_id)] == ["status \N{REPLACEMENT CHARACTER} or ?"]
    assert (await store.commit(order_id, InboxKey("claim", bad), move("again"))).decision.reason is Reason.DUPLICATE  # type: ignore[union-attr]


async def test_closing_finishes_what_was_submitted(postgres_url: str) -> None:
    store = PostgresStore(postgres_url)
    await store.open()
    ids = await _orders(store, 50)
    commits = [asyncio.create_task(store.commit(order_id, None, move("sent"))) for order_id in ids for _ in range(3)]
    await asyncio.sleep(0)
    await store.close()
    assert all(isinstance(receipt.decision, Applied) for receipt in await asyncio.gather(*commits))
    with pytest.raises(OperationalError, match="not open"):
        await store.commit(ids[0], None, move("sent"))
    with pytest.raises(OperationalError, match="not open"):
        await store.load(ids[0])


async def test_a_commit_never_scans_a_table(store: PostgresStore, postgres_url: str) -> None:
    """The plan of the commit, made while the tables were small, must be one for tables that are large."""
    ids = await _orders(store, 100)
    await asyncio.gather(*(store.commit(order_id, InboxKey("reply", order_id), move("sent", effects=["call"])) for order_id in ids))
    connection = await asyncpg.connect(postgres_url)
    try:
        await connection.execute("INSERT INTO of_inbox SELECT 'old', n::text, '', '', 0 FROM generate_series(1, 20000) n")
        await connection.execute("SELECT pg_stat_force_next_flush()")
        await connection.fetch("SELECT pg_stat_reset()")
        await asyncio.gather(*(store.commit(order_id, InboxKey("reply", f"{order_id} again"), move("taken")) for order_id in ids))
        await asyncio.gather(*(store.pool.fetch("SELECT pg_stat_force_next_flush()") for _ in range(16)))
        statistics = "SELECT sum(seq_tup_read)::int, sum(idx_tup_fetch)::int FROM pg_stat_user_tables WHERE schemaname = current_schema()"
        scanned, fetched = (await connection.fetch(statistics))[0]
    finally:
        await connection.close()
    assert scanned == 0
    assert fetched < 2000
