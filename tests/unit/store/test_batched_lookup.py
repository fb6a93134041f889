"""Look-ups that share a query."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from orderflow._store.batched_lookup import BatchedLookup

pytestmark = pytest.mark.anyio


class Table:
    """Answers with its values as they were when it was asked, as soon as it is allowed to."""

    def __init__(self) -> None:
        self.values = {"a": 1, "b": 2}
        self.queries: list[list[str]] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.broken = False

    async def fetch(self, keys: Sequence[str]) -> Mapping[str, int]:
        self.queries.append(sorted(keys))
        values = {key: self.values[key] for key in keys if key in self.values}
        await self.may_answer.wait()
        if self.broken:
            raise OSError("away")
        return values


async def test_keys_that_are_asked_for_together_are_fetched_together() -> None:
    table = Table()
    lookup = BatchedLookup(table.fetch)
    assert await asyncio.gather(*map(lookup.get, "abxa")) == [1, 2, None, 1]
    assert table.queries == [["a", "b", "x"]]


async def test_an_answer_is_never_older_than_the_question() -> None:
    table = Table()
    lookup = BatchedLookup(table.fetch)
    table.may_answer.clear()
    first = asyncio.create_task(lookup.get("a"))
    while not table.queries:
        await asyncio.sleep(0)
    table.values["a"] = 10
    later = [asyncio.create_task(lookup.get(key)) for key in "ab"]
    await asyncio.sleep(0)
    table.may_answer.set()
    assert [await first, *await asyncio.gather(*later)] == [1, 10, 2]
    assert table.queries == [["a"], ["a", "b"]]


async def test_a_failure_reaches_those_that_asked_and_none_that_ask_later() -> None:
    table = Table()
    lookup = BatchedLookup(table.fetch)
    table.broken = True
    results = await asyncio.gather(*map(lookup.get, "ab"), return_exceptions=True)
    assert [type(result) for result in results] == [OSError, OSError]
    table.broken = False
    assert await lookup.get("a") == 1


async def test_a_failure_reaches_those_that_asked_while_it_was_waited_for() -> None:
    """A database that is away is waited for once, not once more by each that came later."""
    table = Table()
    lookup = BatchedLookup(table.fetch)
    table.may_answer.clear()
    first = asyncio.create_task(lookup.get("a"))
    while not table.queries:
        await asyncio.sleep(0)
    later = [asyncio.create_task(lookup.get(key)) for key in "ab"]
    await asyncio.sleep(0)
    table.broken = True
    table.may_answer.set()
    results = await asyncio.gather(first, *later, return_exceptions=True)
    assert [type(result) for result in results] == [OSError] * 3
    assert table.queries == [["a"]]
    table.broken = False
    assert await lookup.get("a") == 1


async def test_a_caller_that_gives_up_takes_nothing_from_the_others() -> None:
    table = Table()
    lookup = BatchedLookup(table.fetch)
    table.may_answer.clear()
    cancelled, other = asyncio.create_task(lookup.get("a")), asyncio.create_task(lookup.get("a"))
    while not table.queries:
        await asyncio.sleep(0)
    cancelled.cancel()
    await asyncio.gather(cancelled, return_exceptions=True)
    table.may_answer.set()
    assert await other == 1
