"""Malformed input raises an error with field and reason before anything is stored or sent. What is not legal now is refused."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from tests.kit.provider_answers import assert_no_canary
from tests.kit.world import CCV_KEY, EMAIL, SHOP, World, ccv_at, ccv_request, connect_at, connect_request, running

from orderflow._app import Orderflow
from orderflow._providers.ccv import wire
from orderflow.errors import CallerError, ConfigurationError, InvalidInput, KeyReused, SchemaError, UnknownName, WaitTimeout
from orderflow.model import Applied, Decision, Ignored, Order, Reason, Refused

pytestmark = pytest.mark.anyio

Request = Callable[[Orderflow], Coroutine[Any, Any, Any]]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with running(tmp_path, ccv={"allow_http": False}) as opened:
        yield opened


def rows(where: Path) -> dict[str, int]:
    """The tables that hold anything."""
    with closing(sqlite3.connect(where / "orders.db")) as connection:
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        counted = {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in names}
    return {name: count for name, count in counted.items() if count and name not in ("of_schema", "of_listeners")}


def create(provider: str, key: object = "k", **request: Any) -> Request:
    return lambda flow: flow.create(provider, key=key, **request)  # type: ignore[arg-type]


def nest(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = [value]
    return value


CIRCULAR: dict[str, Any] = {}
CIRCULAR["self"] = CIRCULAR

MALFORMED: dict[str, tuple[Request, type[CallerError], str]] = {
    "unknown provider": (create("warehouse"), UnknownName, r"unknown provider: 'warehouse' \(known: ccv, connect\)"),
    "unknown method": (create("connect", **connect_request("barter")), UnknownName, "unknown payment method: 'barter'"),
    "key empty": (create("ccv", "", **ccv_request()), InvalidInput, r"^key: "),
    "key too long": (create("ccv", "x" * 201, **ccv_request()), InvalidInput, r"^key: .*200"),
    "key no text": (create("ccv", 17, **ccv_request()), InvalidInput, r"^key: must be text, got int"),
    "order instead of its id": (lambda flow: flow.send(Order, "submit"), InvalidInput, r"^order_id: must be text, got type"),  # type: ignore[call-overload]
    "key NUL": (create("ccv", "a\0b", **ccv_request()), InvalidInput, r"^key: "),
    "key surrogate": (create("ccv", "\ud800", **ccv_request()), InvalidInput, r"^key: "),
    "no payload": (create("connect"), InvalidInput, r"^order: "),
    "payload no object": (create("connect", order="an order"), InvalidInput, r"^order: "),
    "unknown argument": (create("ccv", **ccv_request(), prio=1), InvalidInput, r"^prio: unknown argument"),
    "missing field": (create("connect", order={"paymentMethod": "invoice"}), InvalidInput, r"^payer: required"),
    "wrong type": (create("connect", **connect_request(orderLines={})), InvalidInput, r"^orderLines: expected a list"),
    "not JSON": (create("connect", **connect_request(custom=object())), InvalidInput, r"^order\.custom: is no JSON value"),
    "bytes": (create("connect", **connect_request(custom=[b"x"])), InvalidInput, r"^order\.custom\[0\]: is no JSON value"),
    "NaN": (create("connect", **connect_request(amount=float("nan"))), InvalidInput, r"^order\.\S+: must be a finite number"),
    "huge": (create("connect", **connect_request(custom=[2**5000])), InvalidInput, r"^order\.custom\[0\]: is too large"),
    "too fine": (create("connect", **connect_request(amount=59.695)), InvalidInput, r"^orderAmount: at most 2 decimals"),
    "infinite": (create("connect", **connect_request(custom=Decimal("Infinity"))), InvalidInput, r"^order\.custom: must be a finite"),
    "name no text": (create("connect", **connect_request(custom={1: 2})), InvalidInput, r"^order\.custom: has a name that is no text"),
    "surrogate": (create("connect", **connect_request(custom="\ud800")), InvalidInput, r"^order\.custom: holds characters"),
    "NUL": (create("connect", **connect_request(custom={"a": "\0"})), InvalidInput, r"^order\.custom\.a: holds characters"),
    "too deep": (create("connect", **connect_request(custom=nest(10_000))), InvalidInput, r"^order\.custom.*: nested more"),
    "circular": (create("connect", **connect_request(custom=CIRCULAR)), InvalidInput, r"^order\.custom.*: nested more"),
    "external id over 40": (create("connect", **connect_request(external_id="x" * 41)), InvalidInput, r"^externalOrderId: at most 40"),
    "http notification": (create("ccv", **ccv_request(notification_url="http://us.example/n")), InvalidInput, r"Url: must be https"),
    "unknown status": (create("ccv", **ccv_request(notify_on_status=["Done"])), InvalidInput, r"notifyOnStatus\[0\]: must be one of"),
    "unknown order": (lambda flow: flow.send("ccv-0", "submit"), UnknownName, "unknown order: 'ccv-0'"),
    "order of no provider": (lambda flow: flow.send("nonsense", "submit"), UnknownName, "unknown order: 'nonsense'"),
    "look up": (lambda flow: flow.order("ccv-0"), UnknownName, "unknown order"),
    "journal": (lambda flow: flow.journal("ccv-0"), UnknownName, "unknown order"),
    "refusals": (lambda flow: flow.refusals("ccv-0"), UnknownName, "unknown order"),
    "legal": (lambda flow: flow.legal("ccv-0"), UnknownName, "unknown order"),
    "url": (lambda flow: flow.customer_url("connect-0"), UnknownName, "unknown order"),
    "refresh": (lambda flow: flow.refresh("connect-0"), UnknownName, "unknown order"),
    "wait": (lambda flow: flow.wait("connect-0", "fulfilled"), UnknownName, "unknown order"),
    "resolve": (lambda flow: flow.resolve("connect-0", "registration_given_up", actor="me", reason="why"), UnknownName, "unknown order"),
    "override": (lambda flow: flow.override("connect-0", "paid", actor="me", reason="why", version=0), UnknownName, "unknown order"),
}


@pytest.mark.parametrize("name", MALFORMED)
async def test_malformed_input_raises_and_leaves_no_trace(world: World, tmp_path: Path, name: str) -> None:
    request, error, match = MALFORMED[name]
    with pytest.raises(error, match=match) as raised:
        await request(world.flow)
    assert_no_canary(raised.value)
    assert rows(tmp_path) == {}
    assert world.connect.journal.rows == world.ccv.journal.rows == ()


async def create_order(world: World, method: str = "invoice", **request: Any) -> Order:
    return await world.flow.create("connect", key=method, **connect_request(method, **request))


async def register_order(world: World, method: str = "invoice", **request: Any) -> Order:
    order = await create_order(world, method, **request)
    await world.flow.send(order.id, "register")
    return await world.flow.wait(order.id, "registered", 60)


ON_AN_ORDER: dict[str, tuple[Callable[[Orderflow, str], Coroutine[Any, Any, Any]], type[CallerError], str]] = {
    "unknown event": (lambda flow, order_id: flow.send(order_id, "pay"), UnknownName, "event of connect: 'pay'"),
    "unknown operator event": (lambda flow, order_id: flow.resolve(order_id, "pay", actor="me", reason="why"), UnknownName, "'pay'"),
    "unknown state to wait for": (lambda flow, order_id: flow.wait(order_id, "Completed"), UnknownName, "state of connect: 'Completed'"),
    "unknown state to override to": (
        lambda flow, order_id: flow.override(order_id, "Done", actor="me", reason="why", version=0),
        UnknownName,
        "'Done'",
    ),
    "argument of another event": (
        lambda flow, order_id: flow.send(order_id, "register", order=1),
        InvalidInput,
        r"^order: unknown argument",
    ),
    "key empty": (lambda flow, order_id: flow.send(order_id, "register", key=""), InvalidInput, r"^key: "),
    "key too long": (lambda flow, order_id: flow.send(order_id, "register", key="x" * 201), InvalidInput, r"^key: "),
    "return_url missing": (lambda flow, order_id: flow.send(order_id, "complete_by_url"), InvalidInput, r"^return_url: required"),
    "return_url relative": (
        lambda flow, order_id: flow.send(order_id, "complete_by_url", return_url="/thanks"),
        InvalidInput,
        r"^return_url: ",
    ),
    "return_url unlisted": (
        lambda flow, order_id: flow.send(order_id, "complete_by_url", return_url="https://e.example/"),
        InvalidInput,
        r"^return_url: ",
    ),
    "return_url no scheme": (
        lambda flow, order_id: flow.send(order_id, "complete_by_url", return_url="//shop.example/"),
        InvalidInput,
        r"^return_url: ",
    ),
    "return_url user": (
        lambda flow, order_id: flow.send(order_id, "complete_by_url", return_url="https://a@shop.example/"),
        InvalidInput,
        r"^return_url: ",
    ),
    "error_url unlisted": (
        lambda flow, order_id: flow.send(order_id, "complete_by_url", return_url=SHOP, error_url="https://e.example/"),
        InvalidInput,
        r"^error_url: ",
    ),
    "credential over 60": (
        lambda flow, order_id: flow.send(order_id, "assign_user", credential="x" * 61),
        InvalidInput,
        r"^credential: at most 60",
    ),
    "overrideClientId missing": (
        lambda flow, order_id: flow.send(order_id, "assign_user", credential=EMAIL, is_send_message=True),
        InvalidInput,
        r"^overrideClientId: required",
    ),
    "assignment NUL": (lambda flow, order_id: flow.send(order_id, "assign_user", credential="a\0"), InvalidInput, r"^credential: "),
    "operator unnamed": (
        lambda flow, order_id: flow.resolve(order_id, "registration_given_up", actor=" ", reason="why"),
        InvalidInput,
        r"^actor: ",
    ),
    "reason missing": (
        lambda flow, order_id: flow.override(order_id, "paid", actor="me", reason="", version=0),
        InvalidInput,
        r"^reason: ",
    ),
    "reason NUL": (lambda flow, order_id: flow.override(order_id, "paid", actor="me", reason="\0", version=0), InvalidInput, r"^reason: "),
    "found id no number": (
        lambda flow, order_id: flow.resolve(order_id, "registration_resolved", actor="me", reason="why", order_id="A-1"),
        InvalidInput,
        r"^order_id: must be a whole number",
    ),
    "no url to go to": (lambda flow, order_id: flow.customer_url(order_id), InvalidInput, r"^order: is drafted"),
}


@pytest.mark.parametrize("name", ON_AN_ORDER)
async def test_malformed_input_on_an_order_changes_nothing(world: World, tmp_path: Path, name: str) -> None:
    order = await create_order(world)
    before = rows(tmp_path)
    request, error, match = ON_AN_ORDER[name]
    with pytest.raises(error, match=match) as raised:
        await request(world.flow, order.id)
    assert_no_canary(raised.value)
    assert rows(tmp_path) == before
    assert await world.flow.order(order.id) == order
    assert world.connect.journal.rows == ()


async def test_a_wait_that_times_out_names_the_state(world: World) -> None:
    order = await create_order(world)
    with pytest.raises(WaitTimeout, match="is 'drafted', not 'fulfilled'"):
        await world.flow.wait(order.id, "fulfilled", 0.01)


# ── the caller's key ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_same_key_with_the_same_content_is_the_same_order(world: World, tmp_path: Path) -> None:
    request = connect_request(custom={"b": (1, 2), "a": Decimal("1.50")})
    again = connect_request(custom=MappingProxyType({"a": Decimal("1.50"), "b": [1, 2]}))
    orders = await asyncio.gather(*(world.flow.create("connect", key="cart-17", **body) for body in (request, again) for _ in range(10)))
    assert len({order.id for order in orders}) == 1
    assert rows(tmp_path)["of_orders"] == 1
    assert orders[0].snapshot.data["request"]["custom"] == {"a": 1.5, "b": [1, 2]}  # type: ignore[index]


async def test_the_same_key_with_other_content_is_refused(world: World, tmp_path: Path) -> None:
    order = await create_order(world)
    with pytest.raises(KeyReused, match="'invoice'"):
        await world.flow.create("connect", key="invoice", **connect_request(amount=296))
    assert await world.flow.order(order.id) == order
    assert rows(tmp_path)["of_orders"] == 1


SAME_AT_CONNECT: dict[str, dict[str, Any]] = {
    "whole number as float": connect_request("creditcardPayex", amount=295.0),
    "whole number as Decimal": connect_request("creditcardPayex", amount=Decimal("295.00")),
    "default given": {"order": connect_request("creditcardPayex")["order"], "user_mode": False},
    "default left out": {"order": connect_request("creditcardPayex")["order"]},
    "null argument": {"order": connect_request("creditcardPayex")["order"], "digital": None},
    "null field": connect_request("creditcardPayex", currency=None),
    "null in a new field": connect_request("creditcardPayex", giftWrap=None),
}
OTHER_AT_CONNECT: dict[str, dict[str, Any]] = {
    "amount": connect_request("creditcardPayex", amount=295.01),
    "digital": connect_request("creditcardPayex", digital=True),
    "field": connect_request("creditcardPayex", currency="NOK"),
    "new field": connect_request("creditcardPayex", giftWrap=False),
}


@pytest.mark.parametrize("name", SAME_AT_CONNECT)
async def test_another_spelling_of_a_connect_order_is_the_same_order(world: World, name: str) -> None:
    first = await world.flow.create("connect", key="k", **connect_request("creditcardPayex"))
    assert (await world.flow.create("connect", key="k", **SAME_AT_CONNECT[name])).id == first.id


@pytest.mark.parametrize("name", OTHER_AT_CONNECT)
async def test_another_connect_order_with_a_used_key_is_refused(world: World, name: str) -> None:
    await world.flow.create("connect", key="k", **connect_request("creditcardPayex"))
    with pytest.raises(KeyReused):
        await world.flow.create("connect", key="k", **OTHER_AT_CONNECT[name])


async def test_text_is_never_a_number_and_truth_never_one(world: World) -> None:
    await world.flow.create("connect", key="k", **connect_request(custom=Decimal("1.5"), gift=True))
    assert await world.flow.create("connect", key="k", **connect_request(custom=1.5, gift=True))
    for other in ({"custom": "1.5", "gift": True}, {"custom": 1.5, "gift": 1}, {"custom": 1.5, "gift": "true"}):
        with pytest.raises(KeyReused):
            await world.flow.create("connect", key="k", **connect_request(**other))


def ccv_terminal(*, fee: Any = 0.05, **more: Any) -> dict[str, Any]:
    request = ccv_request("terminal_package", **more)
    return {**request, "products": [{**request["products"][0], "transactionFee": fee}]}


SAME_AT_CCV: dict[str, dict[str, Any]] = {
    "Decimal": ccv_terminal(fee=Decimal("0.050")),
    "noise": ccv_terminal(fee=0.05 + 0.1 + 0.2 - 0.3),
    "defaults given": ccv_terminal(pays_now=False, screened=True, activates=False, notify_on_status=[*wire.ORDER_STATUSES]),
    "nulls": ccv_terminal(pays_now=None, notify_on_status=None, notification_url=None, external_reference=None),
}


@pytest.mark.parametrize("name", SAME_AT_CCV)
async def test_another_spelling_of_a_ccv_order_is_the_same_order(world: World, name: str) -> None:
    first = await world.flow.create("ccv", key="k", **ccv_terminal())
    assert (await world.flow.create("ccv", key="k", **SAME_AT_CCV[name])).id == first.id
    for other in (ccv_terminal(fee=0.06), ccv_terminal(screened=False), ccv_terminal(notify_on_status=["New"])):
        with pytest.raises(KeyReused):
            await world.flow.create("ccv", key="k", **other)


async def test_a_default_page_that_is_given_is_the_same_command(world: World) -> None:
    order = await register_order(world, "creditcardPayex")
    pages = {"return_url": f"{SHOP}/thanks"}
    assert isinstance(await world.flow.send(order.id, "complete_by_url", key="go", **pages), Applied)
    again = await world.flow.send(order.id, "complete_by_url", key="go", **pages, error_url=f"{SHOP}/thanks")
    assert isinstance(again, Ignored)
    with pytest.raises(KeyReused, match="'go'"):
        await world.flow.send(order.id, "complete_by_url", key="go", return_url=f"{SHOP}/other")
    with pytest.raises(KeyReused, match="'go'"):
        await world.flow.send(order.id, "register", key="go")


async def test_two_providers_may_use_one_key(world: World) -> None:
    ours = await world.flow.create("ccv", key="invoice", **ccv_request())
    assert ours.id != (await create_order(world)).id


async def test_a_command_with_a_key_is_carried_out_once(world: World) -> None:
    order = await create_order(world)
    decisions = await asyncio.gather(*(world.flow.send(order.id, "register", key="r") for _ in range(10)))
    assert sum(isinstance(decision, Applied) for decision in decisions) == 1
    assert {decision.reason for decision in decisions if isinstance(decision, Ignored)} == {Reason.DUPLICATE}
    await world.flow.wait(order.id, "registered", 60)
    assert world.connect.journal.count_executed("POST /capi/v1/client/order") == 1


# ── well-formed, but not now ─────────────────────────────────────────────────────────────────────────────────────────────


async def assert_refused(world: World, order: Order, decision: Decision, reason: Reason, legal: tuple[str, ...]) -> None:
    """The decision names what is legal instead, it is recorded, and the order has not moved."""
    assert isinstance(decision, Refused), decision
    assert (decision.reason, decision.state, decision.legal) == (reason, order.state, legal)
    row = (await world.flow.refusals(order.id))[-1]
    assert (row.reason, row.state, row.version) == (reason, order.state, order.version)
    now = await world.flow.order(order.id)
    assert (now.state, now.version) == (order.state, order.version)


async def test_a_command_that_is_not_legal_yet_is_refused(world: World) -> None:
    order = await create_order(world)
    for n in (1, 2):
        decision = await world.flow.send(order.id, "complete_by_url", return_url=f"{SHOP}/thanks")
        await assert_refused(world, order, decision, Reason.NOT_LEGAL_HERE, ("register", "discard"))
        (row,) = await world.flow.refusals(order.id)
        assert row.count == n
    assert world.connect.journal.rows == ()


@pytest.mark.parametrize(
    ("method", "prepaid", "command", "legal"),
    [
        ("invoice", False, "complete_by_url", ("complete_by_api",)),
        ("creditcardPayex", False, "complete_by_api", ("complete_by_url",)),
        ("creditcardPayex", True, "complete_by_url", ("complete_by_api",)),
        ("sms", False, "complete_by_url", ("complete_by_api",)),
        ("other", False, "complete_by_url", ()),
        ("other", False, "complete_by_api", ()),
    ],
)
async def test_a_way_that_the_payment_method_does_not_allow_is_refused(
    world: World, method: str, prepaid: bool, command: str, legal: tuple[str, ...]
) -> None:
    order = await register_order(world, method, prepaid=prepaid)
    arguments = {"return_url": f"{SHOP}/thanks"} if command == "complete_by_url" else {}
    decision = await world.flow.send(order.id, command, **arguments)
    await assert_refused(world, order, decision, Reason.GUARD_FAILED, legal)
    assert world.connect.journal.count_received("POST /capi/v1/client/order/fulfillment") == 0


@pytest.mark.parametrize("event", ["seen_fulfilled", "returned_success", "order_registered", "no_proof", "registration_given_up"])
async def test_a_caller_cannot_send_events_of_other_origins(world: World, event: str) -> None:
    order = await create_order(world)
    await assert_refused(world, order, await world.flow.send(order.id, event), Reason.WRONG_ORIGIN, ("register", "discard"))


async def test_an_operator_cannot_send_events_of_other_origins(world: World) -> None:
    order = await create_order(world)
    for event in ("register", "seen_fulfilled"):
        decision = await world.flow.resolve(order.id, event, actor="me", reason="why")
        await assert_refused(world, order, decision, Reason.WRONG_ORIGIN, ("register", "discard"))


async def test_an_override_from_an_earlier_version_is_refused(world: World) -> None:
    order = await register_order(world)
    decision = await world.flow.override(order.id, "paid", actor="me", reason="why", version=0)
    await assert_refused(world, order, decision, Reason.STALE, ("complete_by_api",))


# ── configuration ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("providers", "settings", "kind", "match"),
    [
        (["warehouse"], {}, UnknownName, "unknown provider: 'warehouse'"),
        (["connect"], {}, ConfigurationError, r"^providers: connect needs to be configured"),
        ([ccv_at(SHOP), ccv_at(SHOP)], {}, ConfigurationError, r"^providers: ccv is given twice"),
        ([ccv_at(SHOP)], {"public_url": SHOP}, ConfigurationError, r"^signing_keys: needed"),
        ([ccv_at(SHOP)], {"signing_keys": {"k": "short"}}, ConfigurationError, r"^signing_keys: "),
    ],
)
async def test_a_contradiction_in_the_configuration_raises(
    tmp_path: Path, providers: list[Any], settings: dict[str, Any], kind: type[Exception], match: str
) -> None:
    with pytest.raises(kind, match=match):
        async with Orderflow(f"sqlite:///{tmp_path / 'orders.db'}", providers, **settings):
            raise AssertionError
    assert not (tmp_path / "orders.db").exists()


async def test_a_negative_duration_is_named(tmp_path: Path) -> None:
    wrong = connect_at(SHOP, durations={"cancel_grace": -1.0})
    with pytest.raises(ConfigurationError, match=r"^connect: timing's duration 'cancel_grace' must be a number, 0 or more$"):
        async with Orderflow(f"sqlite:///{tmp_path / 'orders.db'}", [wrong]):
            raise AssertionError
    assert not (tmp_path / "orders.db").exists()


# ── databases ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def run_script(path: Path, script: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)


DATABASES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no database": (lambda path: path.write_bytes(b"To whom it may concern, " * 100), "not a database"),
    "cut short": (lambda path: path.write_bytes(path.read_bytes()[:5000]), "."),
    "overwritten": (lambda path: path.write_bytes(path.read_bytes()[:100] + b"\xff" * 4000 + path.read_bytes()[4100:]), "."),
    "newer": (lambda path: run_script(path, "UPDATE of_schema SET version = 99"), "schema version 99 is newer"),
    "a column missing": (lambda path: run_script(path, "ALTER TABLE of_orders DROP COLUMN entered_at"), "of_orders lacks entered_at"),
    "a table missing": (lambda path: run_script(path, "DROP TABLE of_inbox"), "of_inbox lacks"),
    "no version": (lambda path: run_script(path, "DELETE FROM of_schema"), "schema version is missing"),
    "of another program": (lambda path: run_script(path, "DROP TABLE of_schema"), "not ours"),
}


@pytest.mark.parametrize("name", DATABASES)
async def test_a_damaged_or_foreign_database_is_not_changed(tmp_path: Path, name: str) -> None:
    path = tmp_path / "orders.db"
    async with Orderflow(f"sqlite:///{path}", [ccv_at(SHOP)]) as flow:
        await flow.create("ccv", key="1", **ccv_request())
    damage, reason = DATABASES[name]
    damage(path)
    before = path.read_bytes()
    with pytest.raises(SchemaError, match=reason) as raised:
        async with Orderflow(f"sqlite:///{path}", [ccv_at(SHOP)], worker=True):
            raise AssertionError
    assert path.read_bytes() == before
    assert str(tmp_path) not in str(raised.value)
    assert CCV_KEY not in repr(raised.value)
