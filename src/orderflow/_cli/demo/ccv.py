"""CCV's scenarios: short and long paths, lost and early notifications, skipped statuses, ends, recoveries, a lost answer."""

from __future__ import annotations

import asyncio
from typing import Any

from orderflow._cli.demo.world import Case, Scenario, Unmet, check_executed_once
from orderflow._providers.ccv.names import State
from orderflow.model import Order
from orderflow.provider import Name
from orderflow.simulators import Fault

_SUBMIT = "POST /api/ordercompletion/reseller/order"
_LONG: tuple[State, ...] = ("Incomplete", "AwaitingPayment", "Screening", "New", "FulfillmentInProgress", "FulfillmentDone", "Completed")
_STORE = {"companyName": "Demo B.V.", "cocNumber": "12345678", "cocRegistry": "Kvk"}
_PRICE = {
    "period": "Monthly",
    "excludingTax": 10.0,
    "singleExcludingTax": 10.0,
    "includingTax": 12.1,
    "taxAmountsPerTaxRate": [{"taxRate": 21, "taxAmount": 2.1}],
}


async def _submit(case: Case, *, wait: bool = True, **expectations: bool) -> str:
    application = case.world.application
    flow = case.world.flow
    order: dict[str, Any] = {
        "orderDate": "2026-01-15T12:00:00Z",
        "cartUrl": f"{application}/cart",
        "storeUrl": application,
        "statusUrl": f"{application}/status",
        "storeInformation": _STORE,
    }
    package = {
        "kind": "sales_package",
        "isPurchased": True,
        "packageName": "Online Payments",
        "sku": "Online payments",
        "periodPricingDetails": [_PRICE],
    }
    created = await flow.create(
        Name("ccv"),
        key=case.reference,
        order=order,
        products=[package],
        external_reference=case.reference,
        notify_customer_by_email=False,
        **expectations,
    )
    await flow.send(created.id, "submit")
    if wait:
        await flow.wait(created.id, set(flow.states("ccv")) - {"drafted", "configuring", "submitting"}, 20)
    return created.id


async def _pass(case: Case, *statuses: str, notify_early: bool = False, **expectations: bool) -> Order:
    """An order that passes these statuses. Each is set when a poll has seen the one before, so that no step depends on timing."""
    case.world.ccv.script(case.reference, notify_early=notify_early)
    order_id = await _submit(case, **expectations)
    order = await case.world.flow.order(order_id)
    for status in statuses:
        case.world.ccv.transition(order.provider_id or "", status)
        order = await case.world.flow.wait(order_id, Name(status), 20)
    return order


async def _plain(case: Case) -> Order:
    return await _pass(case, "Incomplete", "New", "Completed")


async def _long_path(case: Case) -> Order:
    return await _pass(case, *_LONG, pays_now=True, screened=True, activates=True)


async def _notifications_lost(case: Case) -> Order:
    case.world.ccv.deliveries.arm("drop", times=None)
    order = await _pass(case, "Incomplete", "New", "Completed")
    case.world.ccv.deliveries.clear()
    return order


async def _statuses_skipped(case: Case) -> Order:
    case.world.ccv.script(case.reference)
    order_id = await _submit(case)
    provider_id = (await case.world.flow.order(order_id)).provider_id or ""
    for status in _LONG:
        case.world.ccv.transition(provider_id, status)
    order = await case.world.flow.wait(order_id, "Completed", 20)
    if not any(row.kind == "jump" for row in await case.world.flow.journal(order_id)):
        raise Unmet("nothing was skipped")
    return order


async def _erp_passed(case: Case) -> Order:
    return await _pass(case, "Incomplete", "New", "ErpInProgress", "Completed")


async def _notify_early(case: Case) -> Order:
    return await _pass(case, "Incomplete", "New", "Completed", notify_early=True)


async def _reject(case: Case) -> Order:
    return await _pass(case, "Incomplete", "AwaitingPayment", "Screening", "Closed", pays_now=True, screened=True)


async def _fail_payments(case: Case) -> Order:
    return await _pass(case, "Incomplete", "AwaitingPayment", "Failed", pays_now=True)


async def _recover(case: Case) -> Order:
    return await _pass(case, "Incomplete", "AwaitingPayment", "Failed", "New", "Completed", pays_now=True)


async def _cancel(case: Case) -> Order:
    return await _pass(case, "Incomplete", "Canceled")


async def _contradict(case: Case, impossible: str) -> Order:
    """CCV reports a status that cannot be: the order keeps its state and is flagged."""
    order = await _pass(case, "Incomplete", "New")
    case.world.ccv.transition(order.provider_id or "", impossible, force=True)
    for _ in range(400):
        order = await case.world.flow.order(order.id)
        if order.flagged:
            return order
        await asyncio.sleep(0.05)
    raise Unmet("the order was not flagged")


async def _regress(case: Case) -> Order:
    return await _contradict(case, "Screening")


async def _unknown_status(case: Case) -> Order:
    return await _contradict(case, "OnHold")


async def _answer_lost(case: Case) -> Order:
    case.world.ccv.faults.arm(Fault(_SUBMIT, "reset-after-commit"))
    async with check_executed_once(case.world.ccv.journal, _SUBMIT):
        order_id = await _submit(case, wait=False)
        return await case.world.flow.wait(order_id, "submission_in_doubt", 20)


SCENARIOS = (
    Scenario("plain", "ccv", "Completed", _plain),
    Scenario("long path: payment, screening, activation", "ccv", "Completed", _long_path),
    Scenario("notifications all lost", "ccv", "Completed", _notifications_lost, alone=True),
    Scenario("statuses skipped between polls", "ccv", "Completed", _statuses_skipped),
    Scenario("ErpInProgress passed", "ccv", "Completed", _erp_passed),
    Scenario("notification before the submit answer", "ccv", "Completed", _notify_early),
    Scenario("screening rejected", "ccv", "Closed", _reject),
    Scenario("payments failed", "ccv", "Failed", _fail_payments),
    Scenario("payments failed, then recovered", "ccv", "Completed", _recover),
    Scenario("canceled", "ccv", "Canceled", _cancel),
    Scenario("regress from New", "ccv", "New", _regress),
    Scenario("unknown status", "ccv", "New", _unknown_status),
    Scenario("submit answer lost", "ccv", "submission_in_doubt", _answer_lost, alone=True),
)
