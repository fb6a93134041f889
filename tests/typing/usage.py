"""Never run: how an application uses orderflow with the shipped providers, and with one of its own. All of it must pass."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, assert_type

from orderflow import Ccv, Connect, Message, Order, OrderFlagged, Orderflow, OrderView, StateEntered, SyncOrderflow, sync
from orderflow._lifecycle.declare import Lifecycle
from orderflow._lifecycle.table import Table
from orderflow._providers.ccv.names import State as CcvState
from orderflow._providers.connect.names import State as ConnectState
from orderflow.model import Decision
from orderflow.provider import (
    BaseProvider,
    Call,
    Claim,
    Draft,
    Endpoint,
    Guidance,
    Name,
    NotExecuted,
    Outcome,
    Provider,
    PublicUrls,
    ReadFailed,
    StatusRead,
    Succeeded,
    Timing,
    check_base_url,
    check_poll_response,
    get_text,
    make_client,
    outcome_of_response,
    reject_unknown,
    send_request,
)

connect = Connect("https://api.example/capi", "https://login.example/user", "id", "secret", fulfilled_literals=["fulfilled"])
ccv = Ccv("https://ccv.example", "key", notifications="shared")


async def grant_access(entered: StateEntered) -> None:
    """A listener."""
    assert_type(entered.order, Order)


def send_mail(entered: StateEntered) -> None:
    """A listener that does not await."""


async def page_someone(flagged: OrderFlagged) -> None:
    """A listener of flagged orders."""
    assert_type(flagged.order, Order)


# ── the shipped providers, given as objects or by name ─────────────────────────────────────────────────────────────────


async def use_connect(payload: dict[str, Any]) -> None:
    """Every method that takes a name of Connect's."""
    async with Orderflow("sqlite:///orders.db", [connect, "ccv"], worker=True, public_url="https://shop.example/orders") as flow:
        flow.on_entered(connect, "fulfilled", grant_access)
        flow.on_entered("connect", state="cancelled", handler=send_mail)
        flow.on_flagged(page_someone)
        await flow.remove_listener(connect, "order-flagged", actor="anna", reason="gone")
        order = await flow.create(connect, key="cart-17", order={"paymentMethod": "invoice"})
        assert_type(order, Order)
        await flow.create("connect", key="cart-18", order=payload, user_mode=True, digital=False)
        await flow.create("connect", key="cart-19", **payload)
        assert_type(await flow.send(order.id, "register", key="once"), Decision)
        await flow.send(order.id, "discard")
        await flow.send(order.id, "complete_by_api")
        await flow.send(order.id, "complete_by_url", return_url="https://shop.example/thanks")
        await flow.send(order.id, "complete_by_url", return_url="https://shop.example/thanks", error_url="https://shop.example/sorry")
        await flow.send(order.id, "assign_user", credential="a@b.example", is_send_message=True, override_client_id="x", link_lifetime=2)
        assert_type(await flow.resolve(order.id, "registration_resolved", actor="anna", reason="found it", order_id="14"), Decision)
        await flow.resolve(order.id, "registration_given_up", actor="anna", reason="found none")
        await flow.override(order.id, "fulfilled", actor="anna", reason="paid by post", version=3)
        assert_type(await flow.wait(order.id, "registered"), Order)
        await flow.wait(order.id, {"fulfilled", "cancelled"}, timeout=60)
        await flow.wait(order.id, until=["user_assigned"], since=order.version)
        view = await flow.view(order.id)
        assert_type(view, OrderView)
        assert_type(view.has_passed("paid"), bool)
        assert_type(view.operator_events, tuple[str, ...])
        assert_type(await flow.messages(order.id), list[Message])
        assert_type(flow.states(connect), tuple[ConnectState, ...])
        await flow.wait(order.id, set(flow.states("connect")) - {"drafted", "registering"})
        assert_type(await flow.orders(provider=connect, state="paid"), list[Order])
        await flow.orders(provider="connect")
        await flow.orders(state="drafted", limit=5)
        await flow.orders()
        assert_type(await flow.remove_listener(connect, "fulfilled", actor="anna", reason="gone"), int)
        async for ids in flow.prune(older_than=86400, provider=connect, export=Path("old.jsonl")):
            assert_type(ids, list[str])


async def use_ccv(flow: Orderflow, order_id: str) -> None:
    """Every method that takes a name of CCV's."""
    flow.on_entered(ccv, "Completed", grant_access)
    await flow.create(ccv, key="k", order={}, products=[{"kind": "psp_standalone"}], pays_now=True, notify_on_status=["Completed"])
    await flow.create("ccv", key="k", order={}, products=(), external_reference="r", notify_customer_by_email=False)
    await flow.send(order_id, "submit")
    await flow.resolve(order_id, "submission_resolved", actor="anna", reason="CCV says so", order_id="A-1")
    await flow.resolve(order_id, "submission_given_up", actor="anna", reason="CCV knows none")
    await flow.wait(order_id, ["Closed", "Canceled"])
    assert_type(flow.states("ccv"), tuple[CcvState, ...])
    await flow.orders(provider=ccv, state="AwaitingPayment")
    await flow.remove_listener("ccv", "Failed", actor="anna", reason="gone")


def use_without_await() -> None:
    """The same, without ``await``."""
    with sync("sqlite:///orders.db", [connect, ccv], worker=True, grace=5.0, signing_keys={"k1": "secret"}) as flow:
        assert_type(flow, SyncOrderflow)
        flow.on_entered(connect, "fulfilled", send_mail)
        order = flow.create(connect, key="cart-17", order={})
        assert_type(order, Order)
        assert_type(flow.send(order.id, "complete_by_url", return_url="https://shop.example/thanks"), Decision)
        assert_type(flow.resolve(order.id, "registration_resolved", actor="anna", reason="found it", order_id="14"), Decision)
        flow.override(order.id, "fulfilled", actor="anna", reason="paid by post", version=3)
        assert_type(flow.wait(order.id, {"fulfilled", "error"}, since=2), Order)
        assert_type(flow.view(order.id).customer_text, str)
        assert_type(flow.states("ccv"), tuple[CcvState, ...])
        assert_type(flow.orders(provider="ccv", state="New"), list[Order])
        assert_type(flow.remove_listener(connect, "fulfilled", actor="anna", reason="gone"), int)
        for ids in flow.prune(older_than=86400, provider="ccv", dry_run=True):
            assert_type(ids, list[str])


# ── names that a type checker cannot know ──────────────────────────────────────────────────────────────────────────────


class ParcelLifecycle(Lifecycle, name="parcel"):
    """Declared in api.py."""


class Carrier(BaseProvider):
    """A provider of the application's own."""

    name: Name = Name("parcel")
    table: Table = ParcelLifecycle.table
    timing: Timing = Timing({"packing_budget": 60.0})
    endpoints: tuple[Endpoint, ...] = (Endpoint("news", ("POST",), lambda parameters: Claim(None)),)
    needs_public_url = ("collect",)
    guidance = {"packed": Guidance("We are packing.", "Look at the shelf {shelf}.")}
    guidance_values = {"shelf": lambda order: order.snapshot.data.get("shelf")}

    def __init__(self, api: str) -> None:
        self._api = check_base_url("api", api)
        self._client = make_client(10.0)

    @property
    def warnings(self) -> tuple[str, ...]:
        """One warning."""
        return ("parcel: a test",)

    @classmethod
    def offline(cls) -> Carrier:
        """One that cannot call."""
        return cls("http://offline.invalid")

    def draft(self, request: Mapping[str, object]) -> Draft:
        """See ``Provider``."""
        reject_unknown(request, ("weight",))
        return Draft(self.table.defaults(), {"weight": get_text(request, "weight")})

    def command(self, command: str, arguments: Mapping[str, object]) -> Mapping[str, object]:
        """See ``Provider``."""
        return {}

    async def perform(self, call: Call, urls: PublicUrls) -> Outcome:
        """See ``Provider``."""
        if call.effect != "post_parcel":
            return NotExecuted("unknown")
        result = await send_request(self._client, "POST", f"{self._api}/parcels", headers={})
        return outcome_of_response(result, lambda response: Succeeded("posted", provider_id=str(response.json())))

    def customer_url(self, order: Order, urls: PublicUrls) -> str | None:
        """See ``Provider``."""
        return urls.url(self.name, "news", order.id)

    async def fetch_status(self, order: Order) -> StatusRead | ReadFailed:
        """See ``Provider``."""
        response = check_poll_response(await send_request(self._client, "GET", self._api, headers={}))
        return response if isinstance(response, ReadFailed) else StatusRead(str(response.json()))

    async def close(self) -> None:
        """See ``Provider``."""
        await self._client.aclose()


async def use_own_provider(carrier: Carrier, command: str, state: str) -> None:
    """Nothing is checked where the name is a ``Name``."""
    async with Orderflow("sqlite:///orders.db", [carrier, Name("warehouse")]) as flow:
        order = await flow.create(carrier, key="k", weight="3 kg")
        await flow.create(Name("warehouse"), key="k", items=["lamp"])
        await flow.send(order.id, Name(command), anything=1)
        await flow.resolve(order.id, Name("found"), actor="anna", reason="r", number=7)
        await flow.override(order.id, Name(state), actor="anna", reason="r", version=1)
        await flow.wait(order.id, Name("lost"))
        await flow.wait(order.id, [Name("lost"), Name("delivered")])
        await flow.wait(order.id, flow.states(carrier))
        await flow.orders(provider=carrier, state=state)
        flow.on_entered(carrier, "delivered", grant_access)
        await flow.remove_listener(Name(order.provider), state, actor="anna", reason="r")


def list_providers(carrier: Carrier) -> list[Provider]:
    """All of them are providers."""
    return [connect, ccv, carrier]
