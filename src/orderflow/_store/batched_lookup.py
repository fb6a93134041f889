"""Look-ups that share a statement: keys that are asked for while one is under way go with the next one. Nothing here knows SQL."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class BatchedLookup(Generic[K, T]):
    """Asks ``fetch`` for many keys at once. Its answer holds those that exist."""

    def __init__(self, fetch: Callable[[Sequence[K]], Awaitable[Mapping[K, T]]]) -> None:
        self._fetch = fetch
        self._asked: dict[K, asyncio.Future[T | None]] = {}
        self._task: asyncio.Task[None] | None = None

    async def get(self, key: K) -> T | None:
        """The value of a key, as it is after this was called; None: there is none."""
        if key not in self._asked:
            self._asked[key] = asyncio.get_running_loop().create_future()
        answer = self._asked[key]
        if self._task is None:
            self._task = asyncio.create_task(self._answer_all())
        return await asyncio.shield(answer)

    async def _answer_all(self) -> None:
        while self._asked:
            asked, self._asked = self._asked, {}
            try:
                values = await self._fetch(list(asked))
            except Exception as error:  # noqa: BLE001  raised where the key was asked for
                # the database was waited for: what was asked meanwhile must not wait for it as long once more
                meanwhile, self._asked = self._asked, {}
                for answer in (*asked.values(), *meanwhile.values()):
                    answer.set_exception(error)
                    answer.exception()  # its callers may all have given up: no "never retrieved" in the log
            else:
                for key, answer in asked.items():
                    answer.set_result(values.get(key))
        self._task = None
