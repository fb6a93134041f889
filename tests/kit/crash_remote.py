"""The flow in the shop's process, from outside: the demo's scenarios use it as if it were the flow itself. No test lives here."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Any

from tests.kit.crash_shop import FAILED, Raised, Settings
from tests.kit.world import EMAIL, NAME, PHONE

from orderflow._lifecycle.table import Table
from orderflow._providers.ccv.lifecycle import CcvLifecycle
from orderflow._providers.connect.lifecycle import ConnectLifecycle
from orderflow.model import Applied, Ignored, Order, Reason
from orderflow.simulators import Simulator

TABLES: dict[str, Table] = {"connect": ConnectLifecycle.table, "ccv": CcvLifecycle.table}
PATIENCE = 30.0
_IN_DOUBT = 1.0  # seconds in which a search, a callback or a poll may still resolve a doubt


class Doubt(Exception):
    """The order is in doubt, and stays so."""


class Remote:
    """The flow in the shop's process. A request that is cut off is sent again. A caller that waits lets the shop take steps."""

    def __init__(self, settings: Settings, simulators: Sequence[Simulator]) -> None:
        self.settings = settings
        self.simulators = simulators
        self.course = settings.course
        self._last_order: Order | None = None
        self.sent: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Any:
        async def call(*args: Any, **named: Any) -> Any:
            return (await self.request(name, *args, **named))[0]

        return call

    async def request(self, name: str, *args: Any, **named: Any) -> tuple[Any, int]:
        """Call a method of the flow, again if the shop was down. Returns its result, and how often the request was sent.

        Raises:
            Raised: what the flow raised.
        """
        tries = 0
        async with asyncio.timeout(PATIENCE):
            while True:
                tries += 1
                answer = await self._send_bytes(pickle.dumps((name, args, named)))
                result = pickle.loads(answer) if answer else FAILED
                if result == FAILED:
                    await asyncio.sleep(0.02)
                elif isinstance(result, Raised):
                    raise result
                else:
                    return result, tries

    async def _send_bytes(self, request: bytes) -> bytes:
        """The answer; empty if the shop is down or goes down."""
        try:
            reader, writer = await asyncio.open_unix_connection(self.settings.socket)
        except OSError:
            return b""
        try:
            writer.write(request)
            writer.write_eof()
            return await reader.read()
        except OSError:
            return b""
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    def states(self, provider: str) -> tuple[str, ...]:
        return tuple(TABLES[provider].states)

    async def send(self, order_id: str, command: str, **arguments: Any) -> object:
        """Send a command with a key of its own. If the first answer was cut off, a duplicate means that it was applied."""
        arguments = {"key": f"{command}-{len(self.sent)}", **arguments}
        self.sent.append(("send", (order_id, command), arguments))
        decision, tries = await self.request("send", order_id, command, **arguments)
        if tries > 1 and isinstance(decision, Ignored) and decision.reason is Reason.DUPLICATE:
            return Applied((), (await self.order(order_id)).snapshot)
        return decision

    async def create(self, provider: str, **request: Any) -> Order:
        """Create an order with personal data in it."""
        if provider == "ccv":
            request["order"]["companyContactPerson"] = {"lastName": NAME, "emailAddress": EMAIL, "phoneNumber": PHONE}
        else:
            request["order"]["payer"] = {"lastName": NAME, "postalCode": "0150", "emails": [EMAIL], "phoneNumbers": [PHONE]}
        self.sent.append(("create", (provider,), request))
        return (await self.request("create", provider, **request))[0]

    async def handle_request(self, *request: Any) -> Any:
        self.sent.append(("handle_request", request, {}))
        return (await self.request("handle_request", *request))[0]

    async def order(self, order_id: str) -> Order:
        """The order. A caller that loads it again and again waits for something, so the shop takes a step."""
        order: Order = (await self.request("order", order_id))[0]
        if order == self._last_order:
            await self.step()
        self._last_order = order
        return order

    async def wait(self, order_id: str, until: Any, timeout: float = 30.0) -> Order:
        wanted = {until} if isinstance(until, str) else set(until)
        doubts = {state for state in TABLES[order_id.rpartition("-")[0]].states if state.endswith("_in_doubt")}
        async with asyncio.timeout(timeout + 5):
            order = await self._step_until(order_id, wanted | doubts)
            if order.state not in doubts or wanted == {order.state}:
                if self.course:
                    await self._move_clock("poll", order_id)
                return order
        try:
            async with asyncio.timeout(_IN_DOUBT):
                return await self._step_until(order_id, wanted - doubts)
        except TimeoutError:
            raise Doubt(order.state) from None

    async def _step_until(self, order_id: str, wanted: Collection[str]) -> Order:
        while (order := (await self.request("order", order_id))[0]).state not in wanted:
            await self.step()
        return order

    async def step(self) -> None:
        """Let the shop do one thing that is due. If nothing is, time goes on."""
        if self.course:
            for simulator in self.simulators:
                await simulator.wait_until_idle()
        await self._move_clock("step")

    async def _move_clock(self, name: str, *args: str) -> None:
        """Call a method of the shop's worker, and move the simulators' clock as far as it moved the shop's."""
        seconds = (await self.request(name, *args))[0]
        if self.course:
            self.simulators[0].clock.advance(seconds)
