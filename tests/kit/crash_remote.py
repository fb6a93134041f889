"""A killed shop's flow from outside: for the stories of the demo it is the flow that they were written for. No test here."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Any

from tests.kit.crash_shop import TROUBLE, Raised, Settings
from tests.kit.world import EMAIL, NAME, PHONE

from orderflow.lifecycle.table import Table
from orderflow.model import Applied, Ignored, Order, Reason
from orderflow.providers.ccv.lifecycle import CcvLifecycle
from orderflow.providers.connect.lifecycle import ConnectLifecycle
from orderflow.simulators import Simulator

TABLES: dict[str, Table] = {"connect": ConnectLifecycle.table, "ccv": CcvLifecycle.table}
PATIENCE = 30.0
_IN_DOUBT = 1.0  # seconds for a search, a callback or a read to tell still


class Doubt(Exception):
    """The order is in doubt, and stays so."""


class Remote:
    """The flow in the shop's process. Whoever is cut off asks again; whoever waits lets it take steps."""

    def __init__(self, settings: Settings, simulators: Sequence[Simulator]) -> None:
        self.settings = settings
        self.simulators = simulators
        self.course = settings.course
        self._looked_at: Order | None = None
        self.said: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Any:
        async def call(*args: Any, **named: Any) -> Any:
            return (await self.ask(name, *args, **named))[0]

        return call

    async def ask(self, name: str, *args: Any, **named: Any) -> tuple[Any, int]:
        """The answer, and how often it was asked for.

        Raises:
            Raised: what the flow raised; a trouble of the shop's own is asked about again.
        """
        tries = 0
        async with asyncio.timeout(PATIENCE):
            while True:
                tries += 1
                answer = await self._once(pickle.dumps((name, args, named)))
                answered = pickle.loads(answer) if answer else TROUBLE
                if answered == TROUBLE:
                    await asyncio.sleep(0.02)
                elif isinstance(answered, Raised):
                    raise answered
                else:
                    return answered, tries

    async def _once(self, asked: bytes) -> bytes:
        """The answer; nothing, where the shop is down or goes down."""
        try:
            reader, writer = await asyncio.open_unix_connection(self.settings.socket)
        except OSError:
            return b""
        try:
            writer.write(asked)
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
        """A command with a key of its own: asked twice because the first answer was cut, "heard already" means done."""
        arguments = {"key": f"{command}-{len(self.said)}", **arguments}
        self.said.append(("send", (order_id, command), arguments))
        decision, tries = await self.ask("send", order_id, command, **arguments)
        if tries > 1 and isinstance(decision, Ignored) and decision.reason is Reason.DUPLICATE:
            return Applied((), (await self.order(order_id)).snapshot)
        return decision

    async def create(self, provider: str, **request: Any) -> Order:
        """With somebody's data in it."""
        if provider == "ccv":
            request["order"]["companyContactPerson"] = {"lastName": NAME, "emailAddress": EMAIL, "phoneNumber": PHONE}
        else:
            request["order"]["payer"] = {"lastName": NAME, "postalCode": "0150", "emails": [EMAIL], "phoneNumbers": [PHONE]}
        self.said.append(("create", (provider,), request))
        return (await self.ask("create", provider, **request))[0]

    async def handle_request(self, *request: Any) -> Any:
        self.said.append(("handle_request", request, {}))
        return (await self.ask("handle_request", *request))[0]

    async def order(self, order_id: str) -> Order:
        """Whoever looks again and again waits."""
        order: Order = (await self.ask("order", order_id))[0]
        if order == self._looked_at:
            await self.step()
        self._looked_at = order
        return order

    async def wait(self, order_id: str, until: Any, timeout: float = 30.0) -> Order:
        wanted = {until} if isinstance(until, str) else set(until)
        doubts = {state for state in TABLES[order_id.rpartition("-")[0]].states if state.endswith("_in_doubt")}
        async with asyncio.timeout(timeout + 5):
            order = await self._reached(order_id, wanted | doubts)
            if order.state not in doubts or wanted == {order.state}:
                if self.course:
                    await self._go("read", order_id)
                return order
        try:
            async with asyncio.timeout(_IN_DOUBT):
                return await self._reached(order_id, wanted - doubts)
        except TimeoutError:
            raise Doubt(order.state) from None

    async def _reached(self, order_id: str, wanted: Collection[str]) -> Order:
        while (order := (await self.ask("order", order_id))[0]).state not in wanted:
            await self.step()
        return order

    async def step(self) -> None:
        """One thing that the shop has to do; time goes on when there is none."""
        if self.course:
            for simulator in self.simulators:
                await simulator.wait_until_idle()
        await self._go("step")

    async def _go(self, what: str, *args: str) -> None:
        seconds = (await self.ask(what, *args))[0]
        if self.course:
            self.simulators[0].clock.advance(seconds)
