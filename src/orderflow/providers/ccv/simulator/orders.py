"""The simulator's orders: how they live, what they tell and to whom. What may live here: no HTTP but what is sent out."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from attrs import define, field

from orderflow.providers.ccv import wire
from orderflow.providers.ccv.simulator.moves import ENDS, MOVES, ROWS, legal, must_be_legal
from orderflow.providers.ccv.simulator.plans import Move, Plan, known, plan, tags_of, usual
from orderflow.providers.ccv.wire import OrderStatus as S
from orderflow.simulators.views import OrderView, flow

if TYPE_CHECKING:
    from orderflow.providers.ccv.simulator.ccv import CcvSimulator

IMPATIENT_SECONDS = 0.05


@define
class SimOrder:
    """An order as CCV has it. ``history`` holds (simulator time, status), oldest first."""

    id: str
    external_reference: str | None
    history: list[tuple[float, str]]
    submitted: wire.Submit = field(repr=False)
    plan: Plan = field(factory=Plan, repr=False)
    by_hand: bool = False

    @property
    def status(self) -> str:
        """The newest status, whatever a stale read shows."""
        return self.history[-1][1]


class OrderBook:
    """All orders, the scripts told, and the moving of orders along them."""

    def __init__(self, sim: CcvSimulator) -> None:
        self._sim = sim
        self._orders: dict[str, SimOrder] = {}
        self._by_key: dict[str, SimOrder] = {}
        self._scripts: dict[str | None, Plan] = {}
        self._changed = asyncio.Event()

    def forget(self) -> None:
        """No orders any more; scripts stay."""
        self._orders.clear()
        self._by_key.clear()

    def all(self) -> tuple[SimOrder, ...]:
        """Every order, oldest first."""
        return tuple(self._orders.values())

    def find(self, order_id: str) -> SimOrder | None:
        """The order as a status call finds it: not while it is hidden, not once it is forgotten."""
        order = self._orders.get(order_id)
        if order is None:
            return None
        hidden = self._sim.visible_after if order.plan.hidden is None else order.plan.hidden
        now, kept = self._sim.clock.now(), self._sim.forget_after
        gone = kept is not None and order.status in ENDS and now >= order.history[-1][0] + kept
        return None if gone or now < order.history[0][0] + hidden else order

    def script(self, reference: str | None, moves: tuple[Move, ...], *, force: bool, early: bool) -> None:
        """See ``CcvSimulator.script``."""
        here: str = S.PROCESSING
        for seconds, status in moves:
            if seconds < 0:
                raise ValueError("moves: seconds must not be negative")
            if not force:
                must_be_legal(here, status, self._sim)
            here = status
        self._scripts[reference] = Plan(moves, early=early)

    def move(self, order_id: str, status: str, force: bool) -> None:
        """See ``CcvSimulator.move``."""
        order = self._orders[order_id]
        if not force:
            must_be_legal(order.status, status, self._sim)
        order.by_hand = True
        self._enter(order, status, self._sim.clock.now())
        self._announce(order, status)

    async def reached(self, order_id: str, status: str) -> None:
        """See ``CcvSimulator.reached``."""
        while status not in {past for _, past in self._orders[order_id].history}:
            self._changed.clear()
            await self._changed.wait()

    # ---------------------------------------------------------------- an order's life

    def known_as(self, submitted: wire.Submit, key: str) -> SimOrder | None:
        """An order that this submit repeats, as the switch ``duplicate_submit`` has it."""
        if self._sim.duplicate_submit == "by key":
            return self._by_key.get(key) if key else None
        reference = submitted.external_reference
        if self._sim.duplicate_submit == "new" or reference is None:
            return None
        return next((order for order in self._orders.values() if order.external_reference == reference), None)

    async def create(self, submitted: wire.Submit, key: str, header_tags: Iterable[str]) -> SimOrder:
        """Take an order in; with an early notification, return when that was answered."""
        reference, now = submitted.external_reference, self._sim.clock.now()
        made = self._plan(reference, header_tags)
        order = SimOrder(f"ccv-{self._sim.seed}-{len(self._orders) + 1:06d}", reference, [], submitted, made)
        self._orders[order.id] = order
        if key:
            self._by_key[key] = order
        self._enter(order, S.PROCESSING, now)
        if self._sim.notify_creation:
            self._announce(order, S.PROCESSING)
        if made.stranger and (url := self._url(order)) is not None:
            self._sim.deliveries.start("POST", url)
        moves = made.moves if made.moves is not None else usual(self._sim)
        if made.early and moves:
            status, moves = moves[0][1], moves[1:]
            self._enter(order, status, now)
            if (url := self._subscriber(order, status)) is not None:
                await self._sim.deliveries.send("POST", url)
        self._sim.spawn(self._live(order, moves, now))
        return order

    def _plan(self, reference: str | None, header_tags: Iterable[str]) -> Plan:
        """Header over script over magic value over default."""
        script = self._scripts.get(reference) if reference is not None else None
        base = self._scripts.get(None, Plan())
        made = script if script is not None else plan(tags_of(reference), self._sim, base)
        return plan(header_tags, self._sim, made)

    async def _live(self, order: SimOrder, moves: tuple[Move, ...], at: float) -> None:
        for seconds, status in moves:
            at += seconds
            await self._sim.clock.sleep_until(at)
            if order.by_hand:
                return
            self._enter(order, status, at)
            self._announce(order, status)

    def _enter(self, order: SimOrder, status: str, at: float) -> None:
        order.history.append((at, status))
        self._changed.set()
        self._sim.tell("order", id=order.id, reference=order.external_reference, status=status)

    # ---------------------------------------------------------------- what it tells

    def _announce(self, order: SimOrder, status: str) -> None:
        url = self._subscriber(order, status)
        if url is None:
            return
        patience = IMPATIENT_SECONDS if order.plan.impatient else self._sim.patience_seconds
        for _ in range(order.plan.notices):
            self._sim.deliveries.start("POST", url, patience=patience)

    def _subscriber(self, order: SimOrder, status: str) -> str | None:
        """The URL to call about this status, if there is one, it was asked for, and CCV lets the call out."""
        notice = order.submitted.status_notification_information
        if notice is None:
            return None
        wanted = status in notice.notify_on_status if notice.notify_on_status else self._sim.empty_filter_notifies_all
        url = self._url(order)
        return url if wanted and url is not None and self._let_out(url) else None

    def _url(self, order: SimOrder) -> str | None:
        notice = order.submitted.status_notification_information
        return None if notice is None else notice.notification_url

    def _let_out(self, url: str) -> bool:
        allowed = self._sim.allow_list
        if allowed is None:
            return True
        match self._sim.allow_list_match:
            case "url":
                return url in allowed
            case "prefix":
                return any(url.startswith(entry) for entry in allowed)
        listeners = {urlsplit(entry).hostname or entry for entry in allowed}
        return urlsplit(url).hostname in listeners

    # ---------------------------------------------------------------- how it is shown

    def shown(self, order: SimOrder) -> str:
        """What the status call tells, which may lag behind."""
        stale = self._sim.stale_seconds if order.plan.stale is None else order.plan.stale
        if not stale:
            return order.status
        fresh_until = self._sim.clock.now() - stale
        return next((status for at, status in reversed(order.history) if at <= fresh_until), order.history[0][1])

    def view(self, order: SimOrder) -> OrderView:
        """The order as pages and control calls show it."""
        next_ones = legal(order.status, self._sim)
        passed = {status for _, status in order.history}
        strange = [tag for tag in tags_of(order.external_reference) if not known(tag)]
        return OrderView(
            id=order.id,
            reference=order.external_reference,
            status=self.shown(order),
            stage=order.status,
            since=order.history[-1][0],
            history=tuple(order.history),
            legal=next_ones,
            forced=tuple(status for status in MOVES if status not in next_ones and status != order.status),
            flow=flow(ROWS, order.status, passed, next_ones),
            notes=tuple(f"The tag #{tag} means nothing here." for tag in strange),
        )
