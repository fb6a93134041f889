"""Who in the host wants to be told of which entered state. Only registration and calling; when to call is effects.py."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable

from orderflow.records import Told

Run = Callable[[Told], Awaitable[None] | None]


class Hosts:
    """The host's subscriptions, by provider and state."""

    def __init__(self) -> None:
        self._runs: dict[tuple[str, str], list[Run]] = {}
        self._elsewhere: frozenset[tuple[str, str]] = frozenset()
        self.unsaved: set[tuple[str, str]] = set()

    def on(self, provider: str, state: str, run: Run) -> None:
        """Tell ``run`` whenever an order of the provider enters the state."""
        self._runs.setdefault((provider, state), []).append(run)
        self.unsaved.add((provider, state))

    def know(self, pairs: frozenset[tuple[str, str]]) -> None:
        """What other processes want to be told of."""
        self._elsewhere = pairs

    def heard(self) -> frozenset[tuple[str, str]]:
        """What this process can tell of."""
        return frozenset(self._runs)

    def listens(self, provider: str, state: str) -> bool:
        """Whether anyone, here or in another process, wants to be told."""
        return (provider, state) in self._runs or (provider, state) in self._elsewhere

    async def tell(self, told: Told) -> None:
        """Tell everyone who listens; a plain function runs in a thread. All are told, then what the first one raised comes out."""
        raised: list[Exception] = []
        for run in self._runs.get((told.order.provider, told.state), ()):
            try:
                await _call(run, told)
            except Exception as error:  # noqa: BLE001  one listener's trouble must not deafen the others
                raised.append(error)
        if raised:
            raise raised[0]


async def _call(run: Run, told: Told) -> None:
    if inspect.iscoroutinefunction(run):
        await run(told)
    else:
        answer = await asyncio.to_thread(run, told)
        if answer is not None:
            await answer
