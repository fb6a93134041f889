"""Stories that walk edges: what a story claims, the world it is played in, and the replay of its journal. No story and no test lives here.

A story's world is one provider's simulator behind a gate, the receiver, and an ``Orderflow`` with a worker on SQLite, each on a socket.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

import httpx
from attrs import define, field, frozen
from tests.kit.world import LINK_KEYS

from orderflow._app import Orderflow
from orderflow._lifecycle.table import Edge, Table
from orderflow._providers.ccv.simulator import CcvSimulator
from orderflow._providers.connect.simulator import ConnectSimulator
from orderflow._testing.world import SimulatedWorld
from orderflow.model import JournalRow, Order, StepKind
from orderflow.simulators import Fault, matches

Sim = TypeVar("Sim", ConnectSimulator, CcvSimulator)
Play = Callable[["Case[Any]"], Awaitable[None]]
_TIMEOUT = 30.0
_AHEAD = 10.0  # more than a lease, less than any deadline that must not come


# ── stories ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


@frozen
class Story:
    """What to do, and the edges (as ``edge_name`` writes them) that the order must then have taken as steps.

    Attributes:
        durations: the deadlines that come in this story, in seconds; all others are far off.
    """

    name: str
    table: Table
    edges: tuple[str, ...]
    play: Play
    durations: Mapping[str, float]


@frozen
class Book:
    """The stories of one lifecycle."""

    table: Table
    stories: list[Story] = field(factory=list)

    def story(self, name: str, *edges: str, **durations: float) -> Callable[[Play], None]:
        """A decorator that adds a story."""

        def add(play: Play) -> None:
            self.stories.append(Story(name, self.table, edges, play, durations))

        return add


def edge_name(table: Table, edge: Edge) -> str:
    """``source -event-> target``, with the guard where the table has more than one such edge."""
    alike = [other for other in table.out[edge.source] if (other.event, other.target) == (edge.event, edge.target)]
    return f"{edge.source} -{edge.event}-> {edge.target}" + (f" [{edge.guard}]" if len(alike) > 1 else "")


def edges_taken(table: Table, created: Order, journal: Sequence[JournalRow]) -> list[str]:
    """The edges of a journal's steps, replayed from the facts with which the order was created.

    Neither a jump nor an override is a step. An inferred row counts as a step only if no status of the provider proves the
    state that it enters, such as Connect's ``paid``. The edges to such a state are always passed on the way to a proof.
    """
    proven = {reading.proves for reading in table.readings.values()}
    facts = dict(created.snapshot.facts)
    names: list[str] = []
    for row in journal:
        if row.kind == StepKind.STEP or (row.kind == StepKind.INFERRED and row.target not in proven):
            (edge,) = (e for e in table.out[row.source] if (e.event, e.target) == (row.event, row.target) and e.holds.pick(facts))
            facts.update(edge.sets)
            names.append(edge_name(table, edge))
    return names


# ── a story's world ──────────────────────────────────────────────────────────────────────────────────────────────────────


@define
class Gate:
    """A middleware in front of the simulator. It holds the requests that match, so that a story can do something meanwhile."""

    match: str = ""
    held: int = 0
    arrived: asyncio.Event = field(factory=asyncio.Event)
    opened: asyncio.Event = field(factory=asyncio.Event)

    def wrap(self, app: Any) -> Any:
        """``app`` behind the gate."""

        async def call_app(scope: Any, receive: Any, send: Any) -> None:
            if self.match and matches(self.match, scope["method"], scope["path"]):
                self.held += 1
                self.arrived.set()
                await self.opened.wait()
            await app(scope, receive, send)

        return call_app

    def open(self) -> None:
        """Let everything through, now and later."""
        self.match = ""
        self.opened.set()


class _ClockAhead:
    """The clock of a machine whose time is wrong."""

    def now(self) -> float:
        return time.time() + _AHEAD

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@define
class Case(Generic[Sim]):
    """One order and everything around it. ``http`` is a browser or anyone else; it follows no redirects."""

    flow: Orderflow
    sim: Sim
    gate: Gate
    http: httpx.AsyncClient
    _open_second_worker: Callable[[], AbstractAsyncContextManager[Orderflow]]
    created: Order = field(init=False)

    async def create(self, provider: str, **request: Any) -> None:
        """Draft the story's order."""
        self.created = await self.flow.create(provider, key="story", **request)

    @property
    def id(self) -> str:
        """The order's id."""
        return self.created.id

    async def send(self, command: str, **arguments: Any) -> None:
        """Send a command to the order."""
        await self.flow.send(self.id, command, **arguments)

    async def resolve(self, event: str, **arguments: object) -> None:
        """Send an operator's event to the order."""
        await self.flow.resolve(self.id, event, actor="kari", reason="the provider was asked", **arguments)

    async def override(self, target: str) -> None:
        """Move the order outside the table, as an operator."""
        order = await self.flow.order(self.id)
        await self.flow.override(self.id, target, actor="kari", reason="no other way leads here", version=order.version)

    async def wait_for(self, state: str) -> None:
        """Wait for a state in which the order stays until the story goes on."""
        await self.flow.wait(self.id, state, _TIMEOUT, since=(await self.flow.order(self.id)).version)

    async def provider_id(self) -> str:
        """The provider's id of the order."""
        provider_id = (await self.flow.order(self.id)).provider_id
        assert provider_id is not None
        return provider_id

    @asynccontextmanager
    async def answer_late(self, match: str, lost_in: str, *, repeated: bool = False) -> AsyncIterator[None]:
        """A call hangs in this block. A second worker takes it over and reports its answer lost: without calling, or (``repeated``) when
        its own calls were lost, too.

        Then the answer of the first worker's call comes. A worker ends a call before its own lease ends. So it takes two machines that
        disagree about the time: the clock of the second one is ahead.
        """
        self.gate.match = match
        try:
            yield
            await asyncio.wait_for(self.gate.arrived.wait(), _TIMEOUT)
            if repeated:
                self.gate.match = ""
                self.sim.faults.arm(Fault(match, "reset", times=None))
            async with self._open_second_worker():
                await self.wait_for(lost_in)
            assert self.gate.held == 1, "a once-effect was called again"
        finally:
            if repeated:
                self.sim.faults.clear()
            self.gate.open()

    async def assert_takes(self, story: Story) -> None:
        """Wait until the journal holds every edge that the story claims."""
        end = time.monotonic() + _TIMEOUT
        while True:
            journal = await self.flow.journal(self.id)
            missing: list[str] = [name for name in story.edges if name not in edges_taken(story.table, self.created, journal)]
            if not missing:
                return
            path: list[str] = [f"{row.source} -{row.event}-> {row.target} ({row.kind}) {row.note}" for row in journal]
            assert time.monotonic() < end, "\n".join(["never taken:", *missing, "the journal:", *path])
            await asyncio.sleep(0.02)  # a self-loop cannot be waited for by state


@asynccontextmanager
async def open_case(
    folder: Path, provider: str, switches: Mapping[str, Any], settings: Callable[[Any], Mapping[str, Any]]
) -> AsyncIterator[Case[Any]]:
    """A story's world: the simulator of a provider with ``switches``; ``settings`` returns the provider's, given the simulator."""
    gate = Gate()
    async with SimulatedWorld() as world, httpx.AsyncClient(timeout=_TIMEOUT, trust_env=False) as http:
        running = await world.start_simulator(provider, wrap=gate.wrap, **switches)
        db = f"sqlite:///{folder / 'orders.db'}"

        def open_flow(**more: Any) -> AbstractAsyncContextManager[Orderflow]:
            return world.open_flow(db, [running.provider(**settings(running.simulator))], signing_keys=LINK_KEYS, **more)

        async with open_flow() as flow:
            yield Case(flow, running.simulator, gate, http, lambda: open_flow(clock=_ClockAhead()))
