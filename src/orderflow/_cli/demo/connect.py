"""Connect's scenarios: paid by URL, by API or by phone, cancelled, forged, timed out, in doubt. Each plays one order and returns it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from orderflow._cli.demo.world import Button, Case, Scenario, Unmet, check_executed_once
from orderflow.model import Applied, Order
from orderflow.provider import Name
from orderflow.simulators import Fault

_REGISTER = "POST /capi/v1/client/orde[r]"  # a pattern, because ".../order" is also how .../order/fulfillment begins
_FULFILL = "POST /capi/v1/client/order/fulfillment"
_LOGIN = "POST /user/oauth/token"
_OUTAGE = 3  # answers of the login server that are errors
_PATIENCE = 20.0  # seconds


async def _create(case: Case, method: str, *, prepaid: bool = False, register: bool = True, **options: object) -> str:
    order: dict[str, Any] = {
        "externalOrderId": case.reference,
        "paymentMethod": method,
        "prepaid": prepaid,
        "orderAmount": 295,
        "currency": "NOK",
        "payer": {"lastName": "Nordmann", "postalCode": "0150", "phoneNumbers": ["+4799999999"]},
        "orderLines": [{"productSpecType": "coupon", "productSpecCode": "DIGITAL", "productSpecNo": 1}],
    }
    if prepaid:
        order["paymentInfoPayex"] = {"transactionId": "demo"}
    flow = case.world.flow
    created = await flow.create(Name("connect"), key=case.reference, order=order, **options)
    await _send(case, created.id, "register")
    if register:
        await flow.wait(created.id, "registered", 20)
    return created.id


async def _send(case: Case, order_id: str, command: str, **arguments: Any) -> None:
    decision = await case.world.flow.send(order_id, Name(command), **arguments)
    if not isinstance(decision, Applied):
        raise Unmet(f"{command} was not applied: {decision.reason}")


async def _complete_by_api(case: Case, method: str, until: str = "fulfilled", *, prepaid: bool = False, **outcome: object) -> Order:
    case.world.connect.script(case.reference, **outcome)
    order_id = await _create(case, method, prepaid=prepaid)
    await _send(case, order_id, "complete_by_api")
    return await case.world.flow.wait(order_id, Name(until), 20)


async def _send_to_url(case: Case, method: str = "creditcardPayex", **options: Any) -> tuple[str, str]:
    order_id = await _create(case, method, **options)
    application = case.world.application
    await _send(case, order_id, "complete_by_url", return_url=f"{application}/thanks", error_url=f"{application}/sorry")
    return order_id, await case.world.flow.customer_url(order_id)


async def _complete_by_url(case: Case, button: Button, until: str, **options: Any) -> Order:
    order_id, url = await _send_to_url(case, **options)
    await case.world.visit(url, button)
    return await case.world.flow.wait(order_id, Name(until), 20)


async def _prepaid_by_api(case: Case) -> Order:
    return await _complete_by_api(case, "creditcardPayex", prepaid=True)


async def _prepaid_by_url(case: Case) -> Order:
    case.world.connect.script(case.reference, bare_return=True)
    return await _complete_by_url(case, "pay", "fulfilled", prepaid=True)


async def _invoice(case: Case) -> Order:
    return await _complete_by_api(case, "invoice")


async def _free(case: Case) -> Order:
    return await _complete_by_api(case, "free")


async def _log_in(case: Case) -> Order:
    case.world.tokens.current = case.world.connect.issue_user_token("ola")
    return await _complete_by_url(case, "pay", "fulfilled", user_mode=True, digital=True)


async def _sms(case: Case) -> Order:
    return await _complete_by_api(case, "sms", pay_delay=0.2, fulfil_delay=0.1)


async def _sms_without_callback(case: Case) -> Order:
    return await _complete_by_api(case, "sms", callback="never", pay_delay=0.2)


async def _too_many_requests(case: Case) -> Order:
    limits = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1"}
    case.world.connect.faults.arm(Fault(_FULFILL, "status", status=429, headers=limits))
    return await _complete_by_api(case, "invoice")


async def _token_expired(case: Case) -> Order:
    order_id = await _create(case, "invoice")
    case.world.connect.expire_tokens()
    await _send(case, order_id, "complete_by_api")
    return await case.world.flow.wait(order_id, "fulfilled", 20)


async def _unknown_then_proven(case: Case) -> Order:
    case.world.connect.script(case.reference, lost_is_paid=True, fulfil_delay=7.0)
    order = await _complete_by_url(case, "lose", "unknown")
    return await case.world.flow.wait(order.id, "fulfilled", 20)


async def _card_new_user(case: Case) -> Order:
    order = await _complete_by_url(case, "pay", "fulfilled", digital=True)
    credential = "ola@example.invalid"
    await _send(case, order.id, "assign_user", credential=credential, is_send_message=True, override_client_id="no.example")
    assigned = await case.world.flow.wait(order.id, "user_assigned", 20)
    if assigned.snapshot.data.get("is_new_user") is not True or assigned.snapshot.data.get("is_password_set") is not False:
        raise Unmet("it was not noted that the user is new and has no password")
    return assigned


async def _cancel(case: Case) -> Order:
    return await _complete_by_url(case, "cancel", "cancelled")


async def _error(case: Case) -> Order:
    return await _complete_by_url(case, "fail", "error")


async def _sms_failed(case: Case) -> Order:
    return await _complete_by_api(case, "sms", until="error", pay_outcome="failed")


async def _api_error(case: Case) -> Order:
    return await _complete_by_api(case, "invoice", until="error", api_answer="ERROR")


async def _success_forged(case: Case) -> Order:
    order_id, url = await _send_to_url(case)
    await case.world.forge_return(url, "success")
    order = await case.world.flow.wait(order_id, "unknown", 20)
    if any(row.target in ("paid", "fulfilled") for row in await case.world.flow.journal(order_id)):
        raise Unmet("a forged success led to a proven state")
    return order


async def _cancel_forged(case: Case) -> Order:
    case.world.connect.script(case.reference, fulfil_delay=0.2)
    order_id, url = await _send_to_url(case)
    await case.world.forge_return(url, "cancel")
    provider_id = (await case.world.flow.order(order_id)).provider_id
    case.world.connect.pay(provider_id or "")
    return await case.world.flow.wait(order_id, "fulfilled", 20)


async def _never_returns(case: Case) -> Order:
    return await _complete_by_url(case, "close", "unknown")


async def _login_server_down(case: Case) -> Order:
    """Calls without a token were certainly not executed. They are owed until the login server is back."""
    connect, flow = case.world.connect, case.world.flow
    connect.expire_tokens()
    connect.faults.arm(Fault(_LOGIN, "status", status=503, times=_OUTAGE))
    order_id = await _create(case, "invoice", register=False)
    why = await _wait_for_failed_call(case, order_id)
    if why:
        case.shown.append(
            f"During the outage the order is registering, and its call is owed: {why}. Nothing was sent, so nothing is in doubt."
        )
    await flow.wait(order_id, "registered", _PATIENCE)
    if connect.faults.armed:
        raise Unmet("the order was registered before the login server was back")
    case.shown.append(f"After {_OUTAGE} errors the login server is back. The worker makes the call, and the same order goes on.")
    if [row.event for row in await flow.journal(order_id)] != ["register", "order_registered"]:
        raise Unmet("the outage left a trace in the order's path")
    await _send(case, order_id, "complete_by_api")
    return await flow.wait(order_id, "fulfilled", _PATIENCE)


async def _wait_for_failed_call(case: Case, order_id: str) -> str:
    """Why the call that is owed could not be made, as soon as it has failed once; "" if the outage was over before that was seen."""
    flow = case.world.flow
    while (await flow.order(order_id)).state == "registering":
        owed = (await flow.pending(order_id)).effects
        if owed and owed[0].why:
            return owed[0].why
        await asyncio.sleep(0.02)
    return ""


async def _show_what_to_do(case: Case, order: Order) -> None:
    case.shown.append(f"The order is in doubt. What orderflow tells a person: {(await case.world.flow.view(order.id)).operator_text}")


async def _resolve_doubt_by_id(case: Case) -> Order:
    """A doubt ends one way: Connect has the order, and a person enters its id."""
    flow = case.world.flow
    order = await _answer_lost(case)
    await _show_what_to_do(case, order)
    there = next(there for there in case.world.connect.orders if there.external_order_id == case.reference)
    case.shown.append(f"Kim finds it there, and enters its orderId {there.order_id}. The order goes on; nothing was sent twice.")
    await flow.resolve(
        order.id, Name("registration_resolved"), actor="kim", reason="found by externalOrderId", order_id=str(there.order_id)
    )
    await _send(case, order.id, "complete_by_api")
    return await flow.wait(order.id, "fulfilled", _PATIENCE)


async def _not_found_and_sent_again(case: Case) -> Order:
    """A doubt ends the other way: Connect does not have the order, and the command is sent again."""
    flow = case.world.flow
    case.world.connect.faults.arm(Fault(_REGISTER, "reset"))
    async with check_executed_once(case.world.connect.journal, _REGISTER):
        order_id = await _create(case, "invoice", register=False)
        order = await flow.wait(order_id, "registration_in_doubt", _PATIENCE)
        await _show_what_to_do(case, order)
        if any(there.external_order_id == case.reference for there in case.world.connect.orders):
            raise Unmet("Connect has the order")
        case.shown.append("Kim does not find it there, and says so. The order is a draft again, and the command can be sent again.")
        await flow.resolve(order_id, Name("registration_not_found"), actor="kim", reason="no order has our externalOrderId")
        await _send(case, order_id, "register")
        await flow.wait(order_id, "registered", _PATIENCE)
    await _send(case, order_id, "complete_by_api")
    return await flow.wait(order_id, "fulfilled", _PATIENCE)


async def _read_message_of_refusal(case: Case) -> Order:
    """What Connect answered is kept with the order, and read."""
    text = "payer.postalCode is unknown"
    case.world.connect.faults.arm(Fault(_REGISTER, "status", status=400, body=json.dumps({"errorMessage": text}).encode()))
    order_id = await _create(case, "invoice", register=False)
    order = await case.world.flow.wait(order_id, "refused", _PATIENCE)
    answers = [message for message in await case.world.flow.messages(order_id) if text in message.body]
    if not answers:
        raise Unmet("what Connect answered was not kept")
    case.shown.append(f"Connect refused the order. What it answered is kept with it: {answers[0].status} {answers[0].body}")
    return order


async def _pay_after_the_end(case: Case) -> Order:
    """The order was given up, and then the customer pays by the old URL: a person has to look."""
    flow = case.world.flow
    order_id, url = await _send_to_url(case)
    version = (await flow.order(order_id)).version
    await flow.override(order_id, Name("abandoned"), actor="kim", reason="the customer called: he does not want it", version=version)
    await case.world.visit(url, "pay")

    for _ in range(int(_PATIENCE / 0.05)):
        order = await flow.order(order_id)
        if order.flagged:
            break
        await asyncio.sleep(0.05)
    seen = next((row.detail for row in await flow.refusals(order_id) if "'fulfilled'" in row.detail), "")
    if not order.flagged or not seen:
        raise Unmet("a payment after the end was not seen")
    case.shown.append(
        "The order was given up. Then the customer pays by the old URL, and the browser comes back: a claim, which brings a poll."
        f" What Connect answers contradicts the end: {seen}. The order stays as it is, and is flagged: a person has to look."
    )
    return order


async def _answer_lost(case: Case) -> Order:
    case.world.connect.faults.arm(Fault(_REGISTER, "reset-after-commit"))
    async with check_executed_once(case.world.connect.journal, _REGISTER):
        order_id = await _create(case, "invoice", register=False)
        return await case.world.flow.wait(order_id, "registration_in_doubt", 20)


SCENARIOS = (
    Scenario("prepaid by API", "connect", "fulfilled", _prepaid_by_api),
    Scenario("prepaid by URL", "connect", "fulfilled", _prepaid_by_url),
    Scenario("invoice", "connect", "fulfilled", _invoice),
    Scenario("free", "connect", "fulfilled", _free),
    Scenario("logged-in user by URL", "connect", "fulfilled", _log_in),
    Scenario("sms with callback success", "connect", "fulfilled", _sms),
    Scenario("sms without callback", "connect", "fulfilled", _sms_without_callback),
    Scenario("429 then success", "connect", "fulfilled", _too_many_requests, alone=True),
    Scenario("token expired mid-way", "connect", "fulfilled", _token_expired, alone=True),
    Scenario("unknown, then proven by a later poll", "connect", "fulfilled", _unknown_then_proven),
    Scenario("card by URL, new user without password", "connect", "user_assigned", _card_new_user),
    Scenario("cancel", "connect", "cancelled", _cancel),
    Scenario("error", "connect", "error", _error),
    Scenario("sms callback failed", "connect", "error", _sms_failed),
    Scenario("API 200 with ERROR", "connect", "error", _api_error),
    Scenario("success forged while unpaid", "connect", "unknown", _success_forged),
    Scenario("user never returns", "connect", "unknown", _never_returns),
    Scenario("cancel forged while paid", "connect", "fulfilled", _cancel_forged),
    Scenario("register answer lost", "connect", "registration_in_doubt", _answer_lost, alone=True),
    Scenario("login server down, then back", "connect", "fulfilled", _login_server_down, alone=True),
    Scenario("in doubt, then found by a person", "connect", "fulfilled", _resolve_doubt_by_id, alone=True),
    Scenario("in doubt, not found, sent again", "connect", "fulfilled", _not_found_and_sent_again, alone=True),
    Scenario("refused, and the answer is read", "connect", "refused", _read_message_of_refusal, alone=True),
    Scenario("paid after the end", "connect", "abandoned", _pay_after_the_end),
)
