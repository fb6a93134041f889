"""Playing the demo's scenarios against a shop that is killed. No test lives here.

A lane holds both simulators and the shop's public side, on sockets of this process, which outlives every crash; the shop itself is a
forked child. When it dies, another one is started on the same database, whoever was calling calls again with the same key, and
everything said before is said again.

On a course (crash_course.py) a life is the same each time: one clock, which stands still, is everybody's, and the shop takes a step when
whoever waits for it has nothing else to do. A life after a crash goes on by itself, in real time, when the dead one's leases have ended.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from attrs import define, evolve, field, frozen
from orderflow.testing.forked import PRELOAD
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from tests.kit import crash_shop
from tests.kit.crash_remote import PATIENCE, TABLES, Doubt, Remote
from tests.kit.crash_shop import Raised, Settings

from orderflow.cli.demo.world import Case, Scenario, Unmet, World
from orderflow.model import JournalRow, Order, RefusalRow, StepKind
from orderflow.providers.ccv.simulator import CcvSimulator
from orderflow.providers.connect.simulator import ConnectSimulator
from orderflow.simulators import SimClock, serve

ONCE = {
    "register_order": ("POST /capi/v1/client/orde[r]", "POST /capi/v1/orde[r]"),
    "assign_to_user": ("POST /capi/v1/client/order/*/user",),
    "submit_order": ("POST /api/ordercompletion/reseller/orde[r]",),
    "fulfill_by_sms": ("POST /capi/v1/client/order/fulfillment",),
}
"""The once-effects, and the calls by which the simulators know them."""
_HURRY = {"return_timeout": 1.0, "proof_timeout": 1.0}
_HURRIED = {"unknown, then proven by a later poll", "success forged while unpaid", "user never returns"}
_DURATIONS = {"completion_timeout": 60.0, "return_timeout": 60.0, "cancel_grace": 0.1, "proof_timeout": 60.0, "recovery_window": 90.0}
_LEASE, _SHORT_LEASE = 20.0, 2.5
_STEPS_AFTER = 8
Fresh = Callable[[Path], Awaitable[str]]


@frozen
class End:
    """What became of one order."""

    scenario: Scenario
    course: str
    crash_at: str | None
    killed: bool
    why: str  # the story stopped early
    orders: list[Order]
    journal: list[JournalRow]
    refusals: list[RefusalRow]
    told: list[tuple[str, str]]  # key and state, as often as the host was told
    executed: dict[str, int]  # once-effect -> how often its provider acted on it
    known: int  # orders that the providers have
    passed: list[str]
    db: str

    @property
    def order(self) -> Order:
        (order,) = self.orders
        return order


class FileTokens:
    """Who is logged in, where the shop's process finds it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "current":
            self._path.write_text(value)
        else:
            super().__setattr__(name, value)


@define
class Lane:
    """Everything that outlives the shop's process. ``settings`` are those of the present life; ``clock`` is the simulators', and by
    the shop's steps its own."""

    fresh: Fresh
    clock: SimClock
    settings: Settings
    connect: ConnectSimulator
    ccv: CcvSimulator
    remote: Remote | None = None
    child: Any = None
    killed: bool = False
    logs: list[str] = field(factory=list)

    async def play(self, scenario: Scenario, crash_at: str | None = None, course: str = "", **more: Any) -> End:
        """One scenario on an empty database, killed at ``crash_at``, started again, looked at; ``more`` are settings. Without a
        ``course`` the shop works by itself."""
        self.connect.reset()
        self.ccv.reset()
        folder = Path(tempfile.mkdtemp(prefix="of-"))
        durations = {**_DURATIONS, **(_HURRY if scenario.name in _HURRIED else {})}
        db = await self.fresh(folder)
        lease = _SHORT_LEASE if more else _LEASE  # where nobody waits for it, a busy machine loses no answer
        self.clock.set_manual(bool(course))
        self.settings = evolve(self.settings, folder=folder, db=db, durations=durations, lease=lease, course=course)
        self.settings = evolve(self.settings, now=self.clock.now(), **({"canaries": (), "only": ()} | more))
        self.settings.log.touch()
        self.remote = Remote(self.settings, (self.connect, self.ccv))
        self.killed = False
        keeping = asyncio.create_task(self._keep(crash_at))
        telling = asyncio.create_task(self._told(scenario, crash_at))
        try:
            await asyncio.wait({keeping, telling}, return_when=asyncio.FIRST_COMPLETED)
            assert not keeping.done(), f"the shop ended: {self.settings.log.read_text()}"
            return await telling
        finally:
            keeping.cancel()
            telling.cancel()
            await asyncio.gather(keeping, telling, return_exceptions=True)
            self.child.kill()
            self.child.join()
            self.logs.append(self.settings.log.read_text())
            shutil.rmtree(folder)

    async def _told(self, scenario: Scenario, crash_at: str | None) -> End:
        remote, why, course = self.remote, "", self.settings.course
        assert remote is not None
        tokens: Any = FileTokens(self.settings.token)
        flow: Any = remote
        cut = Exception if self.settings.canaries else (Unmet, Raised, Doubt, TimeoutError)  # with canaries no story holds
        async with httpx.AsyncClient(follow_redirects=True, trust_env=False, timeout=PATIENCE) as browser:
            world = World(flow, self.connect, self.ccv, browser, self.settings.shop, [], tokens)
            try:
                await scenario.play(Case(world, scenario.name))
            except cut as error:
                why = f"{type(error).__name__} {error}"
        await self._settle()
        orders = await remote.orders()
        journal = [row for order in orders for row in await remote.journal(order.id)]
        refusals = [row for order in orders for row in await remote.refusals(order.id)]
        journals = self.connect.journal, self.ccv.journal
        executed = {effect: sum(one.executed(call) for call in calls for one in journals) for effect, calls in ONCE.items()}
        known = len(self.connect.orders) + len(self.ccv.orders)
        passed = await remote.passed()
        told, db = self.told(), self.settings.db
        return End(scenario, course, crash_at, self.killed, why, orders, journal, refusals, told, executed, known, passed, db)

    def told(self) -> list[tuple[str, str]]:
        path = self.settings.told
        return [(key, state) for key, state in (line.split() for line in path.read_text().splitlines())] if path.exists() else []

    async def _settle(self) -> None:
        """Until the host knows everything, and the last boundaries were passed."""
        assert self.remote is not None
        end = asyncio.get_running_loop().time() + PATIENCE / 2
        while asyncio.get_running_loop().time() < end:
            orders = await self.remote.orders()
            entered = {row.target for order in orders for row in await self.remote.journal(order.id) if row.source != row.target}
            if entered <= {state for _, state in self.told()}:
                break
            await self.remote.step()
        for _ in range(_STEPS_AFTER):
            await self.remote.step()

    async def _keep(self, crash_at: str | None) -> None:
        """Start the shop; start it again when it is dead, and say everything again."""
        assert self.remote is not None
        if await self._die(crash_at) != -signal.SIGKILL:
            return
        self.killed = True
        self.remote.course = ""
        self.clock.set_manual(False)
        self.settings = evolve(self.settings, course="", now=self.clock.now() + 2 * self.settings.lease)  # its clock was a little ahead
        async with asyncio.TaskGroup() as group:
            group.create_task(self._die(None))
            group.create_task(self._again(list(self.remote.said)))

    async def _die(self, crash_at: str | None) -> int | None:
        processes = multiprocessing.get_context("forkserver")
        processes.set_forkserver_preload([*PRELOAD, "tests.kit.crash_shop"])
        self.child = processes.Process(target=crash_shop.run, args=(self.settings, crash_at), daemon=True)
        self.child.start()
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(self.child.sentinel, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(self.child.sentinel)
        self.child.join()
        return self.child.exitcode

    async def _again(self, said: Sequence[Any]) -> None:
        assert self.remote is not None
        for name, args, named in said:
            await self.remote.ask(name, *args, **named)

    async def orders_app(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        assert self.remote is not None
        reply = await self.remote.handle_request(scope["method"], path, scope["query_string"])
        await Response(reply.body, reply.status, dict(reply.headers))(scope, receive, send)


@asynccontextmanager
async def lane(fresh: Fresh) -> AsyncIterator[Lane]:
    """One lane, on sockets; ``fresh`` makes an empty database."""

    async def thanks(_request: Request) -> Response:
        return PlainTextResponse("Thank you for your order.")

    shop = Starlette(routes=[Route("/thanks", thanks), Route("/sorry", thanks)])
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        client = {"client_id": crash_shop.CLIENT_ID, "client_secret": crash_shop.CLIENT_SECRET}
        clock = SimClock()
        connect_sim = await enter(ConnectSimulator(clock=clock, **client))
        ccv_sim = await enter(CcvSimulator(clock=clock, api_key=crash_shop.CCV_KEY, allow_http_notifications=True))
        urls = [await enter(serve(app)) for app in (connect_sim.asgi, ccv_sim.asgi, shop)]
        made = Lane(fresh, clock, Settings("", *urls, Path(), {}, _LEASE), connect_sim, ccv_sim)
        shop.router.routes.append(Mount("/orders", made.orders_app))
        yield made


def problems(end: End) -> list[str]:
    """What is wrong with an end; nothing, if all is well."""
    found: list[str] = []

    def want(holds: object, what: str) -> None:
        if not holds:
            found.append(what)

    want(len(end.orders) == 1, f"{len(end.orders)} orders")
    want(end.known <= 1, f"{end.known} orders at the provider")
    if not end.orders:
        return found
    order, journal, table = end.order, end.journal, TABLES[end.order.provider]
    sms = order.snapshot.facts.get("by_sms")
    for effect, count in end.executed.items():
        want(count <= 1 or (effect == "fulfill_by_sms" and not sms), f"{effect} executed {count} times")
    edges = {(edge.event, edge.origin, edge.source, edge.target) for edge in table.edges}
    want([row.version for row in journal] == list(range(1, order.version + 1)), "the journal has gaps")
    want([row.source for row in journal] == [table.initial, *(row.target for row in journal[:-1])], "the path is not joined")
    for row in journal:
        want(row.kind == StepKind.JUMP.value or (row.event, row.origin, row.source, row.target) in edges, f"illegal: {row.event}")
    if order.state.endswith("_in_doubt"):
        want(journal[-1].event.endswith("_answer_lost") and journal[-1].note, "in doubt, and no lost call is named")
        want(end.scenario.expected == order.state or _died_during_the_call(end), "in doubt without a reason")
    else:
        want(order.state == end.scenario.expected, f"ended {order.state}, not {end.scenario.expected}: {end.why}")
        want(end.known == 1, "lost at the provider")
    entered = [f"{order.id}:{row.version} {row.target}" for row in journal if row.source != row.target]
    told = {f"{key.rpartition(':')[0]} {state}" for key, state in end.told}
    want(told == set(entered), f"the host was told {sorted(told ^ set(entered))}")
    want(len(set(end.told)) == len(entered), "a key that is not stable")
    return found


def _died_during_the_call(end: End) -> bool:
    """Whether the shop died in the state in which the call whose answer is lost was owed."""
    lost = end.journal[-1]
    said = end.crash_at or ""
    there = said.startswith(f"{lost.source} | ")
    # the commit that owed the call names the state before; its worker may have taken the effect before the shop was dead
    just_there = len(end.journal) > 1 and said.startswith(f"{end.journal[-2].source} | ") and said.endswith("after commit")
    return end.killed and (there or just_there)
