"""Group commit on PostgreSQL: how many statements a burst takes, what a bad event does to the others, what text may hold."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from attrs import evolve
from tests.store.build import NOW, SCOPE, move, new_order, stay

from orderflow.errors import OperationalError
from orderflow.records import Commit, InboxKey, Judge, Order, ReadAt
from orderflow.store.postgres import PostgresStore
from orderflow.vocabulary import Applied, Reason

pytestmark = pytest.mark.anyio


@pytest.fixture
async def ran() -> list[str]:
    """Every statement that the store ran."""
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
    made = await asyncio.gather(*(store.create(new_order(str(n)), "content") for n in range(count)))
    return [order.id for order in made]


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
        order_id, InboxKey("reply", "1"), move("sent", effects=["call"], read=ReadAt(NOW, 0, 1.0), deadlines=(("late", NOW),))
    )
    assert len(ran) == 2


async def test_a_decision_that_writes_nothing_takes_one(store: PostgresStore, ran: list[str]) -> None:
    (order_id,) = await _orders(store, 1)
    ran.clear()
    await store.commit(order_id, None, stay(Reason.NO_NEWS, recorded=False))
    assert len(ran) == 1


async def test_nothing_is_told_to_listeners_inside_the_transaction(store: PostgresStore, ran: list[str]) -> None:
    (order_id,) = await _orders(store, 1)
    await store.commit(order_id, None, move("sent", effects=["call"]))
    assert not any("notify" in statement.lower() for statement in ran)


async def test_what_the_database_refuses_hurts_nobody_else(store: PostgresStore) -> None:
    """A version that does not fit the column: the statement that they share fails, each is tried alone."""
    ids = await _orders(store, 30)

    def too_far(order: Order) -> Commit:
        commit = move("sent")(order)
        assert isinstance(commit.decision, Applied)
        return evolve(commit, decision=evolve(commit.decision, snapshot=evolve(commit.decision.snapshot, version=2**40)))

    judges: list[Judge] = [too_far if n in (3, 17) else move("sent") for n in range(30)]
    commits = (store.commit(order_id, None, judge) for order_id, judge in zip(ids, judges, strict=True))
    ended = await asyncio.gather(*commits, return_exceptions=True)
    assert [n for n, end in enumerate(ended) if isinstance(end, OperationalError)] == [3, 17]
    assert [(await store.load(order_id)).state for order_id in ids] == ["drafted" if n in (3, 17) else "sent" for n in range(30)]


async def test_a_refusal_of_the_database_quotes_no_value(store: PostgresStore) -> None:
    (order_id,) = await _orders(store, 1)

    def secretive(order: Order) -> Commit:
        return evolve(move("sent")(order), journal=(evolve(move("sent")(order).journal[0], version="kari@example.org"),))  # type: ignore[arg-type]

    with pytest.raises(OperationalError) as refused:
        await store.commit(order_id, None, secretive)
    shown = "".join(str(error) for error in (refused.value, refused.value.__cause__) if error)
    assert "kari" not in shown


async def test_a_providers_words_may_hold_what_text_cannot(store: PostgresStore) -> None:
    """NUL and lone surrogates in a note, a refusal's detail or an effect's why must not keep a reply from being stored."""
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


async def test_looking_up_never_scans(store: PostgresStore, postgres_url: str) -> None:
    """The plan of the commit, made while the tables were small, must be one for tables that are large."""
    ids = await _orders(store, 100)
    await asyncio.gather(*(store.commit(order_id, InboxKey("reply", order_id), move("sent", effects=["call"])) for order_id in ids))
    connection = await asyncpg.connect(postgres_url)
    try:
        await connection.execute("INSERT INTO of_inbox SELECT 'old', n::text, '', '', 0 FROM generate_series(1, 20000) n")
        await connection.execute("SELECT pg_stat_force_next_flush()")
        await connection.fetch("SELECT pg_stat_reset()")
        await asyncio.gather(*(store.commit(order_id, InboxKey("reply", f"{order_id} again"), move("taken")) for order_id in ids))
        await asyncio.gather(*(store._link.fetch("SELECT pg_stat_force_next_flush()") for _ in range(16)))
        statistics = "SELECT sum(seq_tup_read)::int, sum(idx_tup_fetch)::int FROM pg_stat_user_tables WHERE schemaname = current_schema()"
        scanned, fetched = (await connection.fetch(statistics))[0]
    finally:
        await connection.close()
    assert scanned == 0
    assert fetched < 2000
