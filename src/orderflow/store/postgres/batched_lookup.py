"""Look-ups that share a query: what is asked while one is under way is asked with the next. Nothing here knows SQL."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class BatchedLookup(Generic[T]):
    """Asks ``fetch`` for many keys at once; it answers with those that it found."""

    def __init__(self, fetch: Callable[[Sequence[str]], Awaitable[Mapping[str, T]]]) -> None:
        self._fetch = fetch
        self._asked: dict[str, asyncio.Future[T | None]] = {}
        self._round: asyncio.Task[None] | None = None

    async def get(self, key: str) -> T | None:
        """What is found under the key, not before this was called; None: nothing."""
        if key not in self._asked:
            self._asked[key] = asyncio.get_running_loop().create_future()
        answer = self._asked[key]
        if self._round is None:
            self._round = asyncio.create_task(self._rounds())
        return await asyncio.shield(answer)

    async def _rounds(self) -> None:
        while self._asked:
            asked, self._asked = self._asked, {}
            try:
                found = await self._fetch(list(asked))
            except Exception as error:  # noqa: BLE001  handed to whoever awaits it
                for answer in asked.values():
                    answer.set_exception(error)
                    answer.exception()  # nobody may wait any more
            else:
                for key, answer in asked.items():
                    answer.set_result(found.get(key))
        self._round = None
