"""Look-ups that share a query."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from orderflow.store.postgres.batched_lookup import BatchedLookup

pytestmark = pytest.mark.anyio


class Shelf:
    """Answers with what is on it when it is asked, once it may."""

    def __init__(self) -> None:
        self.holds = {"a": 1, "b": 2}
        self.asked: list[list[str]] = []
        self.may = asyncio.Event()
        self.may.set()
        self.broken = False

    async def fetch(self, keys: Sequence[str]) -> Mapping[str, int]:
        self.asked.append(sorted(keys))
        found = {key: self.holds[key] for key in keys if key in self.holds}
        await self.may.wait()
        if self.broken:
            raise OSError("away")
        return found


async def test_what_is_asked_together_is_fetched_together() -> None:
    shelf = Shelf()
    shared = BatchedLookup(shelf.fetch)
    assert await asyncio.gather(*map(shared.get, "abxa")) == [1, 2, None, 1]
    assert shelf.asked == [["a", "b", "x"]]


async def test_what_is_asked_meanwhile_is_fetched_anew_and_never_older_than_the_question() -> None:
    shelf = Shelf()
    shared = BatchedLookup(shelf.fetch)
    shelf.may.clear()
    first = asyncio.create_task(shared.get("a"))
    while not shelf.asked:
        await asyncio.sleep(0)
    shelf.holds["a"] = 10
    later = [asyncio.create_task(shared.get(key)) for key in "ab"]
    await asyncio.sleep(0)
    shelf.may.set()
    assert [await first, *await asyncio.gather(*later)] == [1, 10, 2]
    assert shelf.asked == [["a"], ["a", "b"]]


async def test_a_failure_reaches_who_asked_and_nobody_after() -> None:
    shelf = Shelf()
    shared = BatchedLookup(shelf.fetch)
    shelf.broken = True
    ended = await asyncio.gather(*map(shared.get, "ab"), return_exceptions=True)
    assert [type(end) for end in ended] == [OSError, OSError]
    shelf.broken = False
    assert await shared.get("a") == 1


async def test_who_gives_up_takes_nothing_from_the_others() -> None:
    shelf = Shelf()
    shared = BatchedLookup(shelf.fetch)
    shelf.may.clear()
    one, other = asyncio.create_task(shared.get("a")), asyncio.create_task(shared.get("a"))
    while not shelf.asked:
        await asyncio.sleep(0)
    one.cancel()
    await asyncio.gather(one, return_exceptions=True)
    shelf.may.set()
    assert await other == 1
