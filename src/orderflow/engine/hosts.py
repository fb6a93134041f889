"""Who in the host wants to be told of which entered state. Only registration and calling; when to call is dispatch.py."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable

from orderflow.ports import Told

Run = Callable[[Told], Awaitable[None] | None]


class Hosts:
    """The host's subscriptions, by provider and state."""

    def __init__(self) -> None:
        self._runs: dict[tuple[str, str], list[Run]] = {}

    def on(self, provider: str, state: str, run: Run) -> None:
        """Tell ``run`` whenever an order of the provider enters the state."""
        self._runs.setdefault((provider, state), []).append(run)

    def listens(self, provider: str, state: str) -> bool:
        """Whether anyone wants to be told."""
        return (provider, state) in self._runs

    async def tell(self, told: Told) -> None:
        """Tell everyone who listens; a plain function runs in a thread. Whatever one of them raises comes out."""
        for run in self._runs.get((told.order.provider, told.state), ()):
            if inspect.iscoroutinefunction(run):
                await run(told)
            else:
                answer = await asyncio.to_thread(run, told)
                if answer is not None:
                    await answer
