"""The simulator's orders: their plans and their lives. Contains only: orders, their moves and their views; no endpoint."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from attrs import define, field

from orderflow._providers.ccv import wire
from orderflow._providers.ccv.simulator.moves import ENDS, MOVES, ROWS, check_move, legal_moves
from orderflow._providers.ccv.simulator.notifications import Notifier
from orderflow._providers.ccv.simulator.plans import Move, Plan, apply_tags, is_known_tag, tags_of, usual_moves
from orderflow._providers.ccv.simulator.switches import CcvSwitches
from orderflow._providers.ccv.wire import OrderStatus as S
from orderflow._simulators.background import BackgroundTasks
from orderflow.simulators import EventLog, OrderView, SimClock, draw_flow


@define
class SimulatedOrder:
    """An order as CCV has it. ``history`` holds (simulator time, status), oldest first."""

    id: str
    external_reference: str | None
    history: list[tuple[float, str]]
    submitted: wire.Submit = field(repr=False)
    plan: Plan = field(factory=Plan, repr=False)
    moved_by_hand: bool = False

    @property
    def status(self) -> str:
        """The newest status, even if status calls still answer an older one."""
        return self.history[-1][1]


class OrderBook:
    """All orders, their scripts, and the moving of orders along their plans. ``seed`` is a part of each order id."""

    def __init__(
        self, switches: CcvSwitches, clock: SimClock, notifier: Notifier, background: BackgroundTasks, events: EventLog, *, seed: int
    ) -> None:
        self._switches = switches
        self._clock = clock
        self._notifier = notifier
        self._background = background
        self._events = events
        self._seed = seed
        self._orders: dict[str, SimulatedOrder] = {}
        self._by_key: dict[str, SimulatedOrder] = {}
        self._scripts: dict[str | None, Plan] = {}
        self._changed = asyncio.Event()

    def clear(self) -> None:
        """Delete all orders; scripts stay."""
        self._orders.clear()
        self._by_key.clear()

    def all(self) -> tuple[SimulatedOrder, ...]:
        """Every order, oldest first."""
        return tuple(self._orders.values())

    def find(self, order_id: str) -> SimulatedOrder | None:
        """The order as a status call finds it: not while it is hidden, and not after the retention of ended orders."""
        order = self._orders.get(order_id)
        if order is None:
            return None
        hidden = self._switches.visible_after if order.plan.hidden is None else order.plan.hidden
        now, retention = self._clock.now(), self._switches.retention_seconds
        gone = retention is not None and order.status in ENDS and now >= order.history[-1][0] + retention
        return None if gone or now < order.history[0][0] + hidden else order

    def script(self, reference: str | None, moves: tuple[Move, ...], *, force: bool, early: bool) -> None:
        """See ``CcvSimulator.script``."""
        status: str = S.PROCESSING
        for seconds, target in moves:
            if seconds < 0:
                raise ValueError("moves: seconds must not be negative")
            if not force:
                check_move(status, target, self._switches)
            status = target
        self._scripts[reference] = Plan(moves, early=early)

    def move(self, order_id: str, status: str, *, force: bool) -> None:
        """See ``CcvSimulator.transition``."""
        order = self._orders[order_id]
        if not force:
            check_move(order.status, status, self._switches)
        order.moved_by_hand = True
        self._enter(order, status, self._clock.now())
        self._notifier.notify(order.submitted, order.plan, status)

    async def wait_for_status(self, order_id: str, status: str) -> None:
        """See ``CcvSimulator.wait_for_status``."""
        while status not in {past for _, past in self._orders[order_id].history}:
            self._changed.clear()
            await self._changed.wait()

    # ---------------------------------------------------------------- an order's life

    def find_duplicate(self, submitted: wire.Submit, key: str) -> SimulatedOrder | None:
        """The order that this submit repeats, by the switch ``duplicate_submit``."""
        if self._switches.duplicate_submit == "by key":
            return self._by_key.get(key) if key else None
        reference = submitted.external_reference
        if self._switches.duplicate_submit == "new" or reference is None:
            return None
        return next((order for order in self._orders.values() if order.external_reference == reference), None)

    async def create(self, submitted: wire.Submit, key: str, header_tags: Iterable[str]) -> SimulatedOrder:
        """Add an order and start its life. With an early notification, return when that was answered."""
        reference, now = submitted.external_reference, self._clock.now()
        plan = self._make_plan(reference, header_tags)
        order = SimulatedOrder(f"ccv-{self._seed}-{len(self._orders) + 1:06d}", reference, [], submitted, plan)
        self._orders[order.id] = order
        if key:
            self._by_key[key] = order
        self._enter(order, S.PROCESSING, now)
        if self._switches.notify_creation:
            self._notifier.notify(submitted, plan, S.PROCESSING)
        if plan.foreign_notification:
            self._notifier.send_foreign(submitted)
        moves = plan.moves if plan.moves is not None else usual_moves(self._switches)
        if plan.early and moves:
            status, moves = moves[0][1], moves[1:]
            self._enter(order, status, now)
            await self._notifier.notify_now(submitted, status)
        self._background.spawn(self._live(order, moves, now))
        return order

    def _make_plan(self, reference: str | None, header_tags: Iterable[str]) -> Plan:
        """The header overrides the script, which overrides the magic values, which override the script for all orders."""
        plan = self._scripts.get(reference) if reference is not None else None
        if plan is None:
            plan = apply_tags(tags_of(reference), self._switches, self._scripts.get(None, Plan()))
        return apply_tags(header_tags, self._switches, plan)

    async def _live(self, order: SimulatedOrder, moves: tuple[Move, ...], at: float) -> None:
        for seconds, status in moves:
            at += seconds
            await self._clock.sleep_until(at)
            if order.moved_by_hand:
                return
            self._enter(order, status, at)
            self._notifier.notify(order.submitted, order.plan, status)

    def _enter(self, order: SimulatedOrder, status: str, at: float) -> None:
        order.history.append((at, status))
        self._changed.set()
        self._events.record("order", id=order.id, reference=order.external_reference, status=status)

    # ---------------------------------------------------------------- how it is shown

    def visible_status(self, order: SimulatedOrder) -> str:
        """The status that a status call answers, which may be stale."""
        stale = self._switches.stale_seconds if order.plan.stale is None else order.plan.stale
        if not stale:
            return order.status
        fresh_until = self._clock.now() - stale
        return next((status for at, status in reversed(order.history) if at <= fresh_until), order.history[0][1])

    def view(self, order: SimulatedOrder) -> OrderView:
        """The order as pages and control calls show it."""
        legal = legal_moves(order.status, self._switches)
        passed = {status for _, status in order.history}
        unknown = [tag for tag in tags_of(order.external_reference) if not is_known_tag(tag)]
        return OrderView(
            id=order.id,
            reference=order.external_reference,
            status=self.visible_status(order),
            stage=order.status,
            since=order.history[-1][0],
            history=tuple(order.history),
            legal=legal,
            forced=tuple(status for status in MOVES if status not in legal and status != order.status),
            flow=draw_flow(ROWS, order.status, passed, legal),
            notes=tuple(f"The tag #{tag} means nothing here." for tag in unknown),
        )
