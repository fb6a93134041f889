"""Statement-level interleaving: every order in which two workers' statements can reach the database, each tried on real connections.

A worker's ``gate`` is awaited before each of its statements (``PostgresStore(boundary=...)``) and lets it pass when it is its turn; one
statement runs at a time. Which statements there are is not known beforehand, for a lost race makes more: each run notes who could
have gone instead, and those runs are tried next. No test lives here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from attrs import define, field

Work = Callable[[], Awaitable[object]]


@define(eq=False)
class Worker:
    """One of those that are interleaved."""

    name: str
    moved: asyncio.Event  # somebody was parked, or has ended
    turn: asyncio.Event = field(factory=asyncio.Event)
    parked: bool = False
    ended: bool = False
    statements: list[str] = field(factory=list)

    async def gate(self, statement: str) -> None:
        """Wait for this worker's turn."""
        self.parked = True
        self.moved.set()
        await self.turn.wait()
        self.turn.clear()
        self.parked = False
        self.statements.append(statement)

    async def run(self, work: Work) -> object:
        """Do it, and say so."""
        try:
            return await work()
        finally:
            self.ended = True
            self.moved.set()


Gates = Sequence[Callable[[str], Awaitable[None]]]


class Run:
    """One interleaving: ``order`` is who went when, ``outcomes`` what each worker's work returned."""

    def __init__(self, names: str, prefix: str) -> None:
        self._moved = asyncio.Event()
        self.workers = [Worker(name, self._moved) for name in names]
        self.prefix = prefix
        self.order = ""
        self.others: list[str] = []  # at each step: who could have gone instead
        self.outcomes: list[object] = []

    async def play(self, works: Sequence[Work]) -> None:
        """Let one statement run after the other until all have ended."""
        tasks = [asyncio.create_task(worker.run(work)) for worker, work in zip(self.workers, works, strict=True)]
        while True:
            await self._quiet()
            ready = [worker for worker in self.workers if worker.parked]
            if not ready:
                break
            at = len(self.order)
            chosen = next(worker for worker in ready if at >= len(self.prefix) or worker.name == self.prefix[at])
            self.order += chosen.name
            self.others.append("".join(worker.name for worker in ready if worker is not chosen))
            chosen.parked = False
            chosen.turn.set()
        self.outcomes = await asyncio.gather(*tasks)

    async def _quiet(self) -> None:
        """Until every worker is parked or has ended."""
        while not all(worker.parked or worker.ended for worker in self.workers):
            self._moved.clear()
            await asyncio.wait_for(self._moved.wait(), 10)


async def every_order(begin: Callable[[Run], Awaitable[Sequence[Work]]], names: str = "AB") -> AsyncIterator[Run]:
    """Every interleaving, each once; ``begin`` makes everything fresh and says what each worker does."""
    prefixes = [""]
    while prefixes:
        run = Run(names, prefixes.pop())
        await run.play(await begin(run))
        for at in range(len(run.prefix), len(run.order)):
            prefixes += [run.order[:at] + other for other in run.others[at]]
        yield run
