"""Lanes: the demo's scenarios, played against a shop that is killed. No test lives here.

A lane has both simulators and the shop's public side, on sockets of this process, which outlives every crash. The shop itself is a forked
child. When it dies, another one is started on the same database. Callers call again with the same key, and everything that was sent before
is sent again.

On a course (crash_course.py) a life is the same each time. There is one clock for all, which stands still, and the shop takes a step when
its callers have nothing else to do. After a crash the next shop runs by itself, in real time, from when the dead one's leases have ended.
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
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from tests.kit import crash_shop
from tests.kit.crash_remote import PATIENCE, TABLES, Doubt, Remote
from tests.kit.crash_shop import Raised, Settings

from orderflow._cli.demo.world import Case, Scenario, Unmet, World
from orderflow._providers.ccv.simulator import CcvSimulator
from orderflow._providers.connect.simulator import ConnectSimulator
from orderflow._testing.crash_process import modules_to_preload
from orderflow.model import JournalRow, Order, Origin, RefusalRow, StepKind
from orderflow.simulators import SimClock, serve

ONCE = {
    "register_order": ("POST /capi/v1/client/orde[r]", "POST /capi/v1/orde[r]"),
    "assign_to_user": ("POST /capi/v1/client/order/*/user",),
    "submit_order": ("POST /api/ordercompletion/reseller/orde[r]",),
    "fulfill_by_sms": ("POST /capi/v1/client/order/fulfillment",),
}
"""The once-effects, and their calls as the simulators name them."""
_BEFORE_SENDING = ("leased", "before mark_sending", "before UPDATE of_effects", "before COMMIT")
"""Where the call of a once-effect is not sent yet. A retry has the last two as well, and passes them later."""
_SHORT_DURATIONS = {"return_timeout": 1.0, "proof_timeout": 1.0}
_SHORT = {"unknown, then proven by a later poll", "success forged while unpaid", "user never returns"}
_DURATIONS = {"completion_timeout": 60.0, "return_timeout": 60.0, "cancel_grace": 0.1, "proof_timeout": 60.0, "recovery_window": 90.0}
_LEASE, _SHORT_LEASE = 20.0, 2.5
_STEPS_AFTER = 8
Fresh = Callable[[Path], Awaitable[str]]


@frozen
class End:
    """How a scenario ended."""

    scenario: Scenario
    course: str
    crash_at: str | None
    killed: bool
    why: str  # why the scenario stopped early; "" if it did not
    orders: list[Order]
    journal: list[JournalRow]
    refusals: list[RefusalRow]
    notified: list[tuple[str, str]]  # key and state, as often as a listener ran
    executed: dict[str, int]  # once-effect -> how often its provider acted on it
    known: int  # orders that the providers have
    passed: list[str]  # labels of the crash points
    db: str

    @property
    def order(self) -> Order:
        (order,) = self.orders
        return order


class FileTokens:
    """The token of the user who is logged in, where the shop's process finds it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "current":
            self._path.write_text(value)
        else:
            super().__setattr__(name, value)


@define
class Lane:
    """Everything that outlives the shop's process.

    ``settings`` are those of the present shop. ``clock`` is the simulators'; on a course the shop's steps move it.
    """

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
        """Play a scenario on an empty database. The shop is killed at ``crash_at`` and started again. ``more`` are settings.

        Without a ``course`` its worker runs by itself.
        """
        self.connect.reset()
        self.ccv.reset()
        folder = Path(tempfile.mkdtemp(prefix="of-"))
        durations = {**_DURATIONS, **(_SHORT_DURATIONS if scenario.name in _SHORT else {})}
        db = await self.fresh(folder)
        lease = _SHORT_LEASE if more else _LEASE  # long, unless a test has to wait for its end: a busy machine must lose no answer
        self.clock.set_manual(bool(course))
        self.settings = evolve(self.settings, folder=folder, db=db, durations=durations, lease=lease, course=course)
        self.settings = evolve(self.settings, now=self.clock.now(), **({"canaries": (), "only": ()} | more))
        self.settings.log.touch()
        self.remote = Remote(self.settings, (self.connect, self.ccv))
        self.killed = False
        running = asyncio.create_task(self._run_shop(crash_at))
        playing = asyncio.create_task(self._play(scenario, crash_at))
        try:
            await asyncio.wait({running, playing}, return_when=asyncio.FIRST_COMPLETED)
            assert not running.done(), f"the shop ended: {self.settings.log.read_text()}"
            return await playing
        finally:
            running.cancel()
            playing.cancel()
            await asyncio.gather(running, playing, return_exceptions=True)
            self.child.kill()
            self.child.join()
            self.logs.append(self.settings.log.read_text())
            shutil.rmtree(folder)

    async def _play(self, scenario: Scenario, crash_at: str | None) -> End:
        remote, why, course = self.remote, "", self.settings.course
        assert remote is not None
        tokens: Any = FileTokens(self.settings.token)
        flow: Any = remote
        # with canaries any exception may end a scenario
        early_ends = Exception if self.settings.canaries else (Unmet, Raised, Doubt, TimeoutError)
        async with httpx.AsyncClient(follow_redirects=True, trust_env=False, timeout=PATIENCE) as browser:
            world = World(flow, self.connect, self.ccv, browser, self.settings.shop, [], tokens)
            try:
                await scenario.play(Case(world, scenario.name))
            except early_ends as error:
                why = f"{type(error).__name__} {error}"
        await self._settle()
        orders = await remote.orders()
        journal = [row for order in orders for row in await remote.journal(order.id)]
        refusals = [row for order in orders for row in await remote.refusals(order.id)]
        journals = self.connect.journal, self.ccv.journal
        executed = {effect: sum(rows.count_executed(call) for call in calls for rows in journals) for effect, calls in ONCE.items()}
        known = len(self.connect.orders) + len(self.ccv.orders)
        passed = await remote.passed()
        notified, db = self.list_notifications(), self.settings.db
        return End(scenario, course, crash_at, self.killed, why, orders, journal, refusals, notified, executed, known, passed, db)

    def list_notifications(self) -> list[tuple[str, str]]:
        """Key and state of each notification, in order."""
        path = self.settings.notifications
        return [(key, state) for key, state in (line.split() for line in path.read_text().splitlines())] if path.exists() else []

    async def _settle(self) -> None:
        """Wait until every notification was made and the last crash points were passed."""
        assert self.remote is not None
        end = asyncio.get_running_loop().time() + PATIENCE / 2
        while asyncio.get_running_loop().time() < end:
            orders = await self.remote.orders()
            entered = {row.target for order in orders for row in await self.remote.journal(order.id) if row.source != row.target}
            if entered <= {state for _, state in self.list_notifications()}:
                break
            await self.remote.step()
        for _ in range(_STEPS_AFTER):
            await self.remote.step()

    async def _run_shop(self, crash_at: str | None) -> None:
        """Run the shop. When it was killed, run it again, and send everything again."""
        assert self.remote is not None
        if await self._run_once(crash_at) != -signal.SIGKILL:
            return
        self.killed = True
        self.remote.course = ""
        self.clock.set_manual(False)
        self.settings = evolve(self.settings, course="", now=self.clock.now() + 2 * self.settings.lease)  # its clock was a little ahead
        async with asyncio.TaskGroup() as group:
            group.create_task(self._run_once(None))
            group.create_task(self._send_again(list(self.remote.sent)))

    async def _run_once(self, crash_at: str | None) -> int | None:
        """Run the shop to its end. Returns the exit code."""
        processes = multiprocessing.get_context("forkserver")
        processes.set_forkserver_preload([*modules_to_preload(), "tests.kit.crash_shop"])
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

    async def _send_again(self, requests: Sequence[Any]) -> None:
        assert self.remote is not None
        for name, args, named in requests:
            await self.remote.request(name, *args, **named)

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
        opened = Lane(fresh, clock, Settings("", *urls, Path(), {}, _LEASE), connect_sim, ccv_sim)
        shop.router.routes.append(Mount("/orders", opened.orders_app))
        yield opened


def problems(end: End) -> list[str]:
    """What is wrong with an end; empty if all is well."""
    wrong: list[str] = []

    def expect(holds: object, problem: str) -> None:
        if not holds:
            wrong.append(problem)

    expect(len(end.orders) == 1, f"{len(end.orders)} orders")
    expect(end.known <= 1, f"{end.known} orders at the provider")
    if not end.orders:
        return wrong
    order, journal, table = end.order, end.journal, TABLES[end.order.provider]
    sms = order.snapshot.facts.get("by_sms")
    for effect, count in end.executed.items():
        expect(count <= 1 or (effect == "fulfill_by_sms" and not sms), f"{effect} executed {count} times")
    edges = {(edge.event, edge.origin, edge.source, edge.target) for edge in table.edges}
    expect([row.version for row in journal] == list(range(1, order.version + 1)), "the journal has gaps")
    expect([row.source for row in journal] == [table.initial, *(row.target for row in journal[:-1])], "the path is not joined")
    for row in journal:
        by_operator = row.kind == StepKind.OVERRIDE.value and row.origin == Origin.OPERATOR.value and row.note.startswith("by kim: ")
        expect(
            by_operator or row.kind == StepKind.JUMP.value or (row.event, row.origin, row.source, row.target) in edges,
            f"illegal: {row.event}",
        )
    if order.state.endswith("_in_doubt"):
        expect(journal[-1].event.endswith("_answer_lost") and journal[-1].note, "in doubt, and the journal names no lost call")
        expect(end.scenario.expected == order.state or _crashed_during_call(end), "in doubt without a reason")
    else:
        expect(order.state == end.scenario.expected, f"ended {order.state}, not {end.scenario.expected}: {end.why}")
        expect(end.known == (end.scenario.expected != "refused"), "lost at the provider")
    entered = [f"{order.id}:{row.version} {row.target}" for row in journal if row.source != row.target]
    notified = {f"{key.rpartition(':')[0]} {state}" for key, state in end.notified}
    expect(notified == set(entered), f"entered states and notifications differ: {sorted(notified ^ set(entered))}")
    expect(len(set(end.notified)) == len(entered), "a key that is not stable")
    return wrong


def _crashed_during_call(end: End) -> bool:
    """Whether the shop died in the state in which the call whose answer is lost was owed, and behind the moment of sending."""
    state, action, where = (end.crash_at or " |  | ").split(" | ")
    unsent = action == "notify_listener" or (action in ONCE and where in _BEFORE_SENDING)
    return end.killed and state == end.journal[-1].source and not unsent
