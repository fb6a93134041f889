"""Statement-level interleaving: every order in which the statements of several workers can reach a database, each tried once.

A worker's ``gate`` is awaited before each of its statements (``PostgresStore(boundary=worker.gate)``, or by hand) and lets it pass when
it is its turn; one statement runs at a time. Which statements there are is not known beforehand, for a lost race makes more: each run
notes who could have gone instead, and those runs are tried next. What may live here: the search and its turns; what is right is the
caller's to say.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from attrs import define, field

Work = Callable[[], Awaitable[object]]
_PATIENCE = 10.0


@define(eq=False)
class Worker:
    """One of those that are interleaved. ``statements``: what it has sent so far."""

    name: str
    moved: asyncio.Event = field(repr=False)  # somebody was parked, or has ended
    turn: asyncio.Event = field(factory=asyncio.Event, repr=False)
    parked: bool = False
    ended: bool = False
    statements: list[str] = field(factory=list, repr=False)

    async def gate(self, statement: str) -> None:
        """Wait for this worker's turn."""
        self.parked = True
        self.moved.set()
        await self.turn.wait()
        self.turn.clear()
        self.parked = False
        self.statements.append(statement)

    async def run(self, work: Work) -> object:
        """Do it, and say when it has ended."""
        try:
            return await work()
        finally:
            self.ended = True
            self.moved.set()


class Run:
    """One interleaving: ``order`` is who went when ("ABBA"), ``outcomes`` what each worker's work returned."""

    def __init__(self, names: str, prefix: str) -> None:
        self._moved = asyncio.Event()
        self.workers = [Worker(name, self._moved) for name in names]
        self.prefix = prefix
        self.order = ""
        self.others: list[str] = []  # at each step: who could have gone instead
        self.outcomes: list[object] = []

    async def play(self, works: Sequence[Work]) -> None:
        """Let one statement run after the other until all have ended.

        Raises:
            TimeoutError: a statement waits for another worker's (a lock held across statements), or takes longer than ten seconds.
        """
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
            await asyncio.wait_for(self._moved.wait(), _PATIENCE)


async def every_order(begin: Callable[[Run], Awaitable[Sequence[Work]]], names: str = "AB") -> AsyncIterator[Run]:
    """Every interleaving, each once; ``begin`` makes everything fresh and says what each worker (a letter of ``names``) does."""
    prefixes = [""]
    while prefixes:
        run = Run(names, prefixes.pop())
        await run.play(await begin(run))
        for at in range(len(run.prefix), len(run.order)):
            prefixes += [run.order[:at] + other for other in run.others[at]]
        yield run
