"""What the stories of every edge are told with: what a story claims, a world of its own for each, and the replay of a journal.

A story's world is one provider's simulator behind a gate, the receiver and a working ``Orderflow`` on SQLite, each on a socket.
No story and no test lives here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

import httpx
from attrs import define, field, frozen
from starlette.applications import Starlette
from starlette.routing import Mount
from tests.kit.world import LINK_KEYS, MOUNT

from orderflow.app import Orderflow
from orderflow.lifecycle.table import Edge, Table
from orderflow.model import JournalRow, Order, StepKind
from orderflow.provider.protocol import Provider
from orderflow.providers.ccv.simulator import CcvSimulator
from orderflow.providers.connect.simulator import ConnectSimulator
from orderflow.simulators import matches, serve

Sim = TypeVar("Sim", ConnectSimulator, CcvSimulator)
_PATIENCE = 5.0
_AHEAD = 10.0  # more than a lease, less than any deadline that is not to come


# ── stories ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


@frozen
class Story:
    """What to do, and the edges (as ``edge_name`` writes them) that the order must then have walked as steps of its own."""

    name: str
    table: Table
    walks: tuple[str, ...]
    play: Callable[[Case[Any]], Awaitable[None]]
    durations: Mapping[str, float]


@frozen
class Book:
    """The stories of one lifecycle, told by decorating what to do."""

    table: Table
    stories: list[Story] = field(factory=list)

    def story(self, name: str, *walks: str, **durations: float) -> Callable[[Callable[[Case[Any]], Awaitable[None]]], None]:
        """``durations`` are the deadlines that come in this story, in seconds; all others are far off."""

        def tell(play: Callable[[Case[Any]], Awaitable[None]]) -> None:
            self.stories.append(Story(name, self.table, walks, play, durations))

        return tell


def edge_name(table: Table, edge: Edge) -> str:
    """``source -event-> target``, with the guard where the table has more than one such edge."""
    alike = [one for one in table.out[edge.source] if (one.event, one.target) == (edge.event, edge.target)]
    return f"{edge.source} -{edge.event}-> {edge.target}" + (f" [{edge.guard}]" if len(alike) > 1 else "")


def walked(table: Table, created: Order, journal: Sequence[JournalRow]) -> list[str]:
    """The edges that a journal's steps are, replayed from the facts that the order was created with.

    Neither a jump nor an override is a step. An inferred row is one only where nothing else can be: no status of the provider
    proves the state that it enters (Connect's ``paid``), so its edges are always passed on the way to a proof.
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
    """The slow way to the simulator: holds the requests that match, so that a story can do something meanwhile."""

    app: Any
    match: str = ""
    held: int = 0
    arrived: asyncio.Event = field(factory=asyncio.Event)
    opened: asyncio.Event = field(factory=asyncio.Event)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self.match and matches(self.match, scope["method"], scope["path"]):
            self.held += 1
            self.arrived.set()
            await self.opened.wait()
        await self.app(scope, receive, send)

    def open(self) -> None:
        """Let everything through that came or will come."""
        self.match = ""
        self.opened.set()


class _ClockAhead:
    """The clock of a machine that is set wrong."""

    def now(self) -> float:
        return time.time() + _AHEAD

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@define
class Case(Generic[Sim]):
    """One order and everything around it. ``http`` is a browser or anybody else; it follows no redirects."""

    flow: Orderflow
    sim: Sim
    gate: Gate
    http: httpx.AsyncClient
    _another: Callable[[], Orderflow]
    created: Order = field(init=False)

    async def create(self, provider: str, **request: Any) -> None:
        """Draft the story's order."""
        self.created = await self.flow.create(provider, key="story", **request)

    @property
    def id(self) -> str:
        """The order's."""
        return self.created.id

    async def tell(self, command: str, **arguments: Any) -> None:
        """A command to the order."""
        await self.flow.send(self.id, command, **arguments)

    async def resolve(self, event: str, **arguments: object) -> None:
        """An operator's event."""
        await self.flow.resolve(self.id, event, by="kari", reason="the provider was asked", **arguments)

    async def override(self, target: str) -> None:
        """An operator moves the order outside the table."""
        order = await self.flow.order(self.id)
        await self.flow.override(self.id, target, by="kari", reason="no other way leads here", version=order.version)

    async def reaches(self, state: str) -> None:
        """Wait for a state in which the order stays until the story goes on."""
        await self.flow.wait(self.id, state, _PATIENCE)

    async def provider_id(self) -> str:
        """The provider's id of the order."""
        found = (await self.flow.order(self.id)).provider_id
        assert found is not None
        return found

    @asynccontextmanager
    async def answered_late(self, match: str, lost_in: str) -> AsyncIterator[None]:
        """What the block does leads to a call that hangs; a second worker takes it over and reports its answer lost, not calling.

        Then the answer of the first worker's call comes. A worker gives a call up before its own lease ends, so it takes two
        machines that disagree about the time: the second one's clock is ahead.
        """
        self.gate.match = match
        try:
            yield
            await asyncio.wait_for(self.gate.arrived.wait(), _PATIENCE)
            async with self._another():
                await self.reaches(lost_in)
            assert self.gate.held == 1, "what may be done only once was done again"
        finally:
            self.gate.open()

    async def must_walk(self, story: Story) -> None:
        """Wait until the journal holds every edge that the story claims."""
        end = time.monotonic() + _PATIENCE
        while True:
            journal = await self.flow.journal(self.id)
            missing: list[str] = [name for name in story.walks if name not in walked(story.table, self.created, journal)]
            if not missing:
                return
            path: list[str] = [f"{row.source} -{row.event}-> {row.target} ({row.kind}) {row.note}" for row in journal]
            assert time.monotonic() < end, "\n".join(["never walked:", *missing, "the journal:", *path])
            await asyncio.sleep(0.02)  # a self-loop cannot be waited for by state


@asynccontextmanager
async def world(where: Path, sim: Sim, provider: Callable[[str], Provider]) -> AsyncIterator[Case[Sim]]:
    """Open a story's world; ``provider`` makes one for the base URL at which the simulator stands."""
    mounted: list[Any] = []

    async def front(scope: Any, receive: Any, send: Any) -> None:
        await mounted[0](scope, receive, send)

    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(httpx.AsyncClient(timeout=_PATIENCE, trust_env=False))
        await stack.enter_async_context(sim)
        gate = Gate(sim.asgi)
        base = await stack.enter_async_context(serve(gate))
        public = await stack.enter_async_context(serve(front)) + MOUNT

        def orderflow(**settings: Any) -> Orderflow:
            db = f"sqlite:///{where / 'orders.db'}"
            return Orderflow(db, [provider(base)], public_url=public, signing_keys=LINK_KEYS, worker=True, **settings)

        flow = orderflow()
        mounted.append(Starlette(routes=[Mount(MOUNT, flow.receiver())]))
        await stack.enter_async_context(flow)
        yield Case(flow, sim, gate, http, lambda: orderflow(clock=_ClockAhead()))
