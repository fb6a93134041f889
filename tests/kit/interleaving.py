"""Statement-level interleaving: every order in which the statements of several workers can reach a database, each tried once.

A worker's ``gate`` is awaited before each of its statements, and lets the statement pass when it is the worker's turn. One statement runs
at a time. The statements are not known beforehand, because a lost race causes more of them. So each run notes which other worker could
have had the turn, and those runs are tried next.

    PostgresStore(url, boundary=worker.gate)
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from attrs import define, field

Work = Callable[[], Awaitable[object]]
_TIMEOUT = 60.0


@define(eq=False)
class Worker:
    """One of the workers. ``statements``: what it has sent so far; ``changed`` is set when any worker is parked or has ended."""

    name: str
    changed: asyncio.Event = field(repr=False)
    turn: asyncio.Event = field(factory=asyncio.Event, repr=False)
    parked: bool = False
    ended: bool = False
    statements: list[str] = field(factory=list, repr=False)

    async def gate(self, statement: str) -> None:
        """Wait for this worker's turn."""
        self.parked = True
        self.changed.set()
        await self.turn.wait()
        self.turn.clear()
        self.parked = False
        self.statements.append(statement)

    async def run(self, work: Work) -> object:
        """Do the work; mark the worker as ended."""
        try:
            return await work()
        finally:
            self.ended = True
            self.changed.set()


class Run:
    """One interleaving.

    Attributes:
        order: the workers in the order of their turns, such as "ABBA".
        alternatives: for each turn, the workers that could have had it instead.
        outcomes: what each worker's work returned.
    """

    def __init__(self, names: str, prefix: str) -> None:
        self._changed = asyncio.Event()
        self.workers = [Worker(name, self._changed) for name in names]
        self.prefix = prefix
        self.order = ""
        self.alternatives: list[str] = []
        self.outcomes: list[object] = []

    async def play(self, works: Sequence[Work]) -> None:
        """Let one statement run after another until all workers have ended.

        Raises:
            TimeoutError: a statement waits for another worker (a lock is held across statements), or takes longer than ten seconds.
        """
        tasks = [asyncio.create_task(worker.run(work)) for worker, work in zip(self.workers, works, strict=True)]
        while True:
            await self._until_all_are_parked()
            ready = [worker for worker in self.workers if worker.parked]
            if not ready:
                break
            turn = len(self.order)
            chosen = next(worker for worker in ready if turn >= len(self.prefix) or worker.name == self.prefix[turn])
            self.order += chosen.name
            self.alternatives.append("".join(worker.name for worker in ready if worker is not chosen))
            chosen.parked = False
            chosen.turn.set()
        self.outcomes = await asyncio.gather(*tasks)

    async def _until_all_are_parked(self) -> None:
        """Until every worker is parked or has ended."""
        while not all(worker.parked or worker.ended for worker in self.workers):
            self._changed.clear()
            await asyncio.wait_for(self._changed.wait(), _TIMEOUT)


async def every_order(begin: Callable[[Run], Awaitable[Sequence[Work]]], names: str = "AB") -> AsyncIterator[Run]:
    """Every interleaving, each once. ``begin`` sets everything up anew and returns the work of each worker (a letter of ``names``)."""
    prefixes = [""]
    while prefixes:
        run = Run(names, prefixes.pop())
        await run.play(await begin(run))
        for turn in range(len(run.prefix), len(run.order)):
            prefixes += [run.order[:turn] + name for name in run.alternatives[turn]]
        yield run
