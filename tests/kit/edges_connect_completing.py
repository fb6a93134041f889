"""Stories of completing a Connect order, by API or by URL, of its proof, and of its provisional ends.

Methods: ``invoice`` and ``sms`` go by API, ``creditcardPayex`` by URL, so does its prepaid form in these worlds.
"""

from __future__ import annotations

import json

import httpx
from tests.kit.edges_connect import FULFILL, NAME, POLL, Connect, lose_answer, prove, register
from tests.kit.stories import Book
from tests.kit.world import SHOP

from orderflow._providers.connect.lifecycle import ConnectLifecycle
from orderflow._providers.connect.simulator.payments import add_status
from orderflow._providers.connect.wire import CallbackStatus
from orderflow.simulators import Fault

SUCCESS, FAILED = CallbackStatus.SUCCESS, CallbackStatus.FAILED
_SOON = 0.1

_book = Book(ConnectLifecycle.table)
story = _book.story


# ── what stories begin with ──────────────────────────────────────────────────────────────────────────────────────────────


async def _sms(case: Connect, until: str = "awaiting_payment") -> None:
    await register(case, "sms")
    await case.send("complete_by_api")
    await case.wait_for(until)


async def _sms_in_doubt(case: Connect) -> None:
    await register(case, "sms")
    await lose_answer(case, FULFILL, "complete_by_api", "fulfillment_in_doubt")


async def _invoice_in_doubt(case: Connect) -> None:
    """Connect acts on none of the calls, and answers none."""
    case.sim.faults.arm(Fault(FULFILL, "reset", times=None))
    await register(case)
    await case.send("complete_by_api")
    await case.wait_for("fulfillment_in_doubt")
    case.sim.faults.clear()


async def _answer_by_phone(case: Connect, status: CallbackStatus, *, calls_back: bool = True) -> None:
    """The customer pays by phone or does not; Connect calls the callback URL that we gave it."""
    (order,) = case.sim.orders
    if status is SUCCESS:
        case.sim.pay(order.order_id)
    if calls_back:
        requests = [json.loads(row.body) for row in case.sim.journal.rows if row.path.endswith("/fulfillment")]
        await case.sim.deliveries.send("GET", add_status(requests[0]["callbackUrl"], status))


async def _complete_by_url(case: Connect, *, prepaid: bool = False) -> str:
    """The customer is sent away to pay; returns the URL."""
    await register(case, "creditcardPayex", prepaid=prepaid)
    await case.send("complete_by_url", return_url=f"{SHOP}/thanks")
    return await case.flow.customer_url(case.id)


async def _return(case: Connect, url: str, *statuses: str) -> None:
    """A browser comes to our returnUrl, once for each status (``""``: none), without any payment."""
    for status in statuses:
        await case.http.get(httpx.URL(url).params["returnUrl"], params={"fulfillmentStatus": status} if status else {})


async def _pay(case: Connect, url: str, *, comes_back: bool) -> None:
    """The customer pays on the payment page, and follows the redirect to us or closes the window."""
    page = (await case.http.get(url)).headers["location"]
    answer = await case.http.post(page, data={"action": "pay"})
    if comes_back:
        await case.http.get(answer.headers["location"])


# ── completing by API ────────────────────────────────────────────────────────────────────────────────────────────────────


@story(
    "invoice",
    "registered -complete_by_api-> fulfilling [api_allowed and not by_sms]",
    "fulfilling -fulfillment_accepted-> confirming",
    "confirming -seen_fulfilled-> fulfilled",
)
async def _(case: Connect) -> None:
    await register(case)
    await case.send("complete_by_api")
    await case.wait_for("confirming")
    await prove(case)


@story("the API says ERROR; fulfilled after all", "fulfilling -fulfillment_refused-> error", "error -seen_fulfilled-> fulfilled")
async def _(case: Connect) -> None:
    case.sim.script(NAME, api_answer="ERROR")
    await register(case)
    await case.send("complete_by_api")
    await case.wait_for("error")
    await prove(case)


@story("fulfilment never gets through", "fulfilling -fulfillment_undelivered-> registered", fulfilling_budget=0.0)
async def _(case: Connect) -> None:
    case.sim.faults.arm(Fault(FULFILL, "status", status=401, times=None))
    await register(case)
    await case.send("complete_by_api")


@story("invoice, every answer lost; fulfilled all the same", "fulfillment_in_doubt -seen_fulfilled-> fulfilled", fulfilling_budget=0.0)
async def _(case: Connect) -> None:
    await _invoice_in_doubt(case)
    await prove(case)


@story(
    "invoice, every answer lost, then the first one comes", "fulfillment_in_doubt -fulfillment_accepted-> confirming", fulfilling_budget=0.0
)
async def _(case: Connect) -> None:
    await register(case)
    async with case.answer_late(FULFILL, lost_in="fulfillment_in_doubt", repeated=True):
        await case.send("complete_by_api")


@story(
    "sms, paid",
    "registered -complete_by_api-> fulfilling [api_allowed and by_sms]",
    "fulfilling -fulfillment_accepted-> awaiting_payment",
    "awaiting_payment -called_back_success-> confirming",
    "confirming -seen_fulfilled-> paid",
    "paid -seen_fulfilled-> fulfilled",
)
async def _(case: Connect) -> None:
    await _sms(case)
    await _answer_by_phone(case, SUCCESS)
    await prove(case)


@story("sms, not paid", "awaiting_payment -called_back_failed-> confirming", "confirming -seen_unproven-> error")
async def _(case: Connect) -> None:
    await _sms(case)
    await _answer_by_phone(case, FAILED)


@story("sms, not paid at first, then paid", "confirming -called_back_success-> confirming")
async def _(case: Connect) -> None:
    await _sms(case)
    case.gate.match = POLL  # a poll between the two would end in error
    await _answer_by_phone(case, FAILED)
    await _answer_by_phone(case, SUCCESS)
    case.gate.open()


@story("sms, paid, no callback", "awaiting_payment -seen_fulfilled-> paid")
async def _(case: Connect) -> None:
    await _sms(case)
    await _answer_by_phone(case, SUCCESS, calls_back=False)
    await prove(case)


@story("sms, no answer", "awaiting_payment -no_return-> unknown", return_timeout=_SOON)
async def _(case: Connect) -> None:
    await _sms(case, until="unknown")


@story("sms, the callback is faster than the answer: paid", "fulfilling -called_back_success-> confirming")
async def _(case: Connect) -> None:
    case.sim.script(NAME, pay_outcome="success", callback="early")
    await register(case, "sms")
    await case.send("complete_by_api")


@story("sms, the callback is faster than the answer: not paid", "fulfilling -called_back_failed-> confirming")
async def _(case: Connect) -> None:
    case.sim.script(NAME, pay_outcome="failed", callback="early")
    await register(case, "sms")
    await case.send("complete_by_api")


@story("sms, a callback says success, then the answer refuses", "confirming -fulfillment_refused-> error")
async def _(case: Connect) -> None:
    case.sim.script(NAME, pay_outcome="success", callback="early")
    case.sim.faults.arm(Fault(FULFILL, "status-after-commit", status=400))
    await register(case, "sms")
    await case.send("complete_by_api")


@story(
    "sms, the answer lost, paid",
    "fulfilling -fulfillment_answer_lost-> fulfillment_in_doubt",
    "fulfillment_in_doubt -called_back_success-> confirming",
)
async def _(case: Connect) -> None:
    await _sms_in_doubt(case)
    await _answer_by_phone(case, SUCCESS)


@story("sms, the answer lost, not paid", "fulfillment_in_doubt -called_back_failed-> confirming")
async def _(case: Connect) -> None:
    await _sms_in_doubt(case)
    await _answer_by_phone(case, FAILED)


@story("sms, the answer lost, paid, no callback", "fulfillment_in_doubt -seen_fulfilled-> paid")
async def _(case: Connect) -> None:
    await _sms_in_doubt(case)
    await _answer_by_phone(case, SUCCESS, calls_back=False)
    await prove(case)


@story("sms, the answer lost, given up", "fulfillment_in_doubt -fulfillment_given_up-> unknown")
async def _(case: Connect) -> None:
    await _sms_in_doubt(case)
    await case.resolve("fulfillment_given_up")


@story("sms, the answer lost; it was never sent, so it is sent again", "fulfillment_in_doubt -fulfillment_not_found-> registered")
async def _(case: Connect) -> None:
    await _sms_in_doubt(case)
    await case.resolve("fulfillment_not_found")
    await case.send("complete_by_api")


@story("sms, the answer lost, then it comes", "fulfillment_in_doubt -fulfillment_accepted-> awaiting_payment")
async def _(case: Connect) -> None:
    await register(case, "sms")
    async with case.answer_late(FULFILL, lost_in="fulfillment_in_doubt"):
        await case.send("complete_by_api")


@story("sms, the answer lost, then it is a refusal", "fulfillment_in_doubt -fulfillment_refused-> error")
async def _(case: Connect) -> None:
    case.sim.script(NAME, api_answer="ERROR")
    await register(case, "sms")
    async with case.answer_late(FULFILL, lost_in="fulfillment_in_doubt"):
        await case.send("complete_by_api")


# only an operator brings an order without anything to pay into this state: it belongs to sms, which is to be paid


@story("nothing to pay, overridden to awaiting payment", "awaiting_payment -seen_fulfilled-> fulfilled")
async def _(case: Connect) -> None:
    await register(case)
    await case.override("awaiting_payment")
    await prove(case)


# ── completing by URL ────────────────────────────────────────────────────────────────────────────────────────────────────


@story(
    "card, paid",
    "registered -complete_by_url-> fulfilling",
    "fulfilling -returned_success-> confirming",
)
async def _(case: Connect) -> None:
    await _pay(case, await _complete_by_url(case), comes_back=True)


@story("card, paid, the window closed", "fulfilling -seen_fulfilled-> paid")
async def _(case: Connect) -> None:
    await _pay(case, await _complete_by_url(case), comes_back=False)
    await prove(case)


@story("prepaid, the window closed", "fulfilling -seen_fulfilled-> fulfilled")
async def _(case: Connect) -> None:
    await case.http.get(await _complete_by_url(case, prepaid=True))  # and follows no redirect
    await prove(case)


@story(
    "back without a status, then cancel, then success",
    "fulfilling -returned_bare-> confirming",
    "confirming -returned_cancel-> confirming",
    "confirming -returned_success-> confirming",
)
async def _(case: Connect) -> None:
    await _return(case, await _complete_by_url(case), "", "cancel", "success")


@story("back without a status, then error", "confirming -returned_error-> confirming")
async def _(case: Connect) -> None:
    await _return(case, await _complete_by_url(case), "", "error")


@story("back with error; paid after all", "fulfilling -returned_error-> confirming", "error -seen_fulfilled-> paid")
async def _(case: Connect) -> None:
    await _return(case, await _complete_by_url(case), "error")
    await case.wait_for("error")
    await prove(case)


@story(
    "back with unknown; never proven",
    "fulfilling -returned_unclear-> confirming",
    "confirming -no_proof-> unknown",
    proof_timeout=_SOON,
)
async def _(case: Connect) -> None:
    await _return(case, await _complete_by_url(case), "unknown")


@story(
    "canceled; paid after all",
    "fulfilling -returned_cancel-> confirming",
    "confirming -cancel_grace_over-> confirming",
    "confirming -seen_unproven-> cancelled",
    "cancelled -seen_fulfilled-> paid",
    cancel_grace=_SOON,
)
async def _(case: Connect) -> None:
    await _return(case, await _complete_by_url(case), "cancel")
    await case.wait_for("cancelled")
    await prove(case)


@story(
    "the customer never returns; paid after all",
    "fulfilling -no_return-> unknown",
    "unknown -seen_fulfilled-> paid",
    return_timeout=_SOON,
)
async def _(case: Connect) -> None:
    await _complete_by_url(case)
    await case.wait_for("unknown")
    await prove(case)


@story("prepaid, the customer never returns; fulfilled after all", "unknown -seen_fulfilled-> fulfilled", return_timeout=_SOON)
async def _(case: Connect) -> None:
    await _complete_by_url(case, prepaid=True)
    await case.wait_for("unknown")
    await prove(case)


# ── never completed; provisional ends ────────────────────────────────────────────────────────────────────────────────


@story("paid before it was completed", "registered -seen_fulfilled-> paid")
async def _(case: Connect) -> None:
    await register(case, "creditcardPayex")
    await prove(case)


@story("fulfilled before it was completed", "registered -seen_fulfilled-> fulfilled")
async def _(case: Connect) -> None:
    await register(case)
    await prove(case)


@story(
    "never completed; fulfilled after all",
    "registered -never_completed-> cancelled",
    "cancelled -seen_fulfilled-> fulfilled",
    completion_timeout=_SOON,
)
async def _(case: Connect) -> None:
    await register(case, until="cancelled")
    await prove(case)


@story(
    "cancelled until the window closes",
    "cancelled -recovery_window_closed-> cancelled",
    completion_timeout=_SOON,
    recovery_window=_SOON,
)
async def _(case: Connect) -> None:
    await register(case, until="cancelled")


@story("error until the window closes", "error -recovery_window_closed-> error", recovery_window=_SOON)
async def _(case: Connect) -> None:
    await _return(case, await _complete_by_url(case), "error")


@story("unknown until the window closes", "unknown -recovery_window_closed-> unknown", return_timeout=_SOON, recovery_window=_SOON)
async def _(case: Connect) -> None:
    await _complete_by_url(case)


STORIES = tuple(_book.stories)
