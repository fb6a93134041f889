"""The contract of every store: an order is read with its journal and what is still to come as they were at one moment."""

from __future__ import annotations

import asyncio

import pytest
from tests.kit.commits import NOW, Another, move, new_order

from orderflow._store.ports import Store
from orderflow._store.records import PollAt
from orderflow.errors import UnknownName
from orderflow.model import Pending

pytestmark = pytest.mark.anyio


async def test_the_records_of_an_order_are_what_the_single_methods_give(store: Store) -> None:
    order = await store.create(new_order(data={"n": 1}), "content")
    assert await store.load_records(order.id) == (order, (), Pending((), None, ()))
    await store.commit(
        order.id, None, move("sent", "done", effects=["call", "ring"], deadlines=(("late", NOW + 9),), poll=PollAt(NOW + 5, 0, 1.0))
    )
    records = await store.load_records(order.id)
    assert records == (await store.load(order.id), tuple(await store.journal(order.id)), await store.pending(order.id))
    assert ([row.target for row in records.journal], len(records.pending.effects)) == (["sent", "done"], 2)


async def test_an_unknown_order_has_no_records_and_the_next_one_is_read(store: Store) -> None:
    order = await store.create(new_order(), "content")
    with pytest.raises(UnknownName):
        await store.load_records("toy-none")
    assert (await store.load_records(order.id)).order == order


async def test_no_commit_lies_between_the_records_of_an_order(another: Another) -> None:
    writer, reader = await another(), await another()
    order = await writer.create(new_order(), "content")
    done = asyncio.Event()

    async def write() -> None:
        for n in range(60):
            await writer.commit(order.id, None, move(f"s{n}", effects=["call"], deadlines=((f"late{n}", NOW),)))
        done.set()

    writing = asyncio.create_task(write())
    while not done.is_set():
        records = await reader.load_records(order.id)
        version = records.order.version
        assert [row.version for row in records.journal] == list(range(1, version + 1))
        assert [effect.key.version for effect in records.pending.effects] == list(range(1, version + 1))
        assert [name for name, _ in records.pending.deadlines] == [f"late{version - 1}"] * bool(version)
    await writing
