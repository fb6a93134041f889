"""Stories that together walk every edge of a Connect order's life.

Methods: ``invoice`` and ``sms`` go by API, ``creditcardPayex`` by URL, so does its prepaid form in these worlds.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from integration.stories import Book, Case, Story, world
from support import SHOP, Users, connect_at, connect_request, connect_sim

from orderflow.providers.connect import Ways
from orderflow.providers.connect.lifecycle import ConnectLifecycle
from orderflow.providers.connect.simulator import ConnectSimulator
from orderflow.simkit import Fault

_REGISTER = "POST /capi/v1/client/orde[r]"  # a pattern: the plain word is also the beginning of .../order/fulfillment
_REGISTER_AS_USER = "POST /capi/v1/orde[r]"
_FULFILL = "POST /capi/v1/client/order/fulfillment"
_ASSIGN = "POST /capi/v1/client/order/*/user"
_READ = "GET /capi/v1/client/order/status"
_NAME = "story-1"
_PREPAID_BY_URL = {("creditcardPayex", True): Ways(url=True, api=True, source="Connect A1, A3", evidence="assumed")}
_SOON = 0.1

Connect = Case[ConnectSimulator]
_book = Book(ConnectLifecycle.table)
story = _book.story


@asynccontextmanager
async def connect_world(where: Path, told: Story) -> AsyncIterator[Connect]:
    """Connect, and a logged-in user for the orders in user mode."""
    sim = connect_sim()
    sim.script(_NAME, pay_outcome="never")  # the phone's owner answers when the story says so
    settings = {"tokens": Users(sim.issue_user_token("ola")), "ways": _PREPAID_BY_URL, "durations": told.durations}
    async with world(where, sim, lambda base: connect_at(base, **settings)) as case:
        yield case


# ── what stories begin with ──────────────────────────────────────────────────────────────────────────────────────────────


async def _register(case: Connect, method: str = "invoice", *, until: str = "registered", **request: Any) -> None:
    await case.create("connect", **connect_request(method, external_id=_NAME, **request))
    await case.tell("register")
    if until:
        await case.reaches(until)


async def _answer_lost(case: Connect, match: str, command: str, until: str, **arguments: object) -> None:
    """The provider acts on the command's call, and the connection breaks before it answers."""
    case.sim.faults.arm(Fault(match, "cut_after"))
    await case.tell(command, **arguments)
    await case.reaches(until)


async def _sms(case: Connect, until: str = "awaiting_payment") -> None:
    await _register(case, "sms")
    await case.tell("complete_by_api")
    await case.reaches(until)


async def _sms_in_doubt(case: Connect) -> None:
    await _register(case, "sms")
    await _answer_lost(case, _FULFILL, "complete_by_api", "fulfillment_in_doubt")


async def _phone_answers(case: Connect, pay_outcome: str, *, callback: str = "send") -> None:
    """The customer pays by phone or does not; Connect tells by the callback URL that we gave it."""
    case.sim.script(_NAME, pay_outcome=pay_outcome, callback=callback)
    asked = [json.loads(row.body) for row in case.sim.journal.rows if row.path.endswith("/fulfillment")]
    await case.sim.sms_answered(case.sim.orders[0], asked[0]["callbackUrl"])


async def _paid(case: Connect) -> None:
    """The money comes, and neither browser nor callback tells."""
    case.sim.pay(await case.provider_id())


async def _by_url(case: Connect, *, prepaid: bool = False) -> str:
    """The customer is sent away to pay; answers with the URL."""
    await _register(case, "creditcardPayex", prepaid=prepaid)
    await case.tell("complete_by_url", return_url=f"{SHOP}/thanks")
    return await case.flow.fulfillment_url(case.id)


async def _back(case: Connect, url: str, *words: str) -> None:
    """A browser comes to our returnUrl, once for each word; nothing stands behind it. ``""`` says nothing."""
    for word in words:
        await case.http.get(httpx.URL(url).params["returnUrl"], params={"fulfillmentStatus": word} if word else {})


async def _pays(case: Connect, url: str, *, comes_back: bool) -> None:
    """The customer pays on the payment page, and follows the redirect to us or closes the window."""
    page = (await case.http.get(url)).headers["location"]
    answer = await case.http.post(page, data={"action": "pay"})
    if comes_back:
        await case.http.get(answer.headers["location"])


async def _fulfilled(case: Connect) -> None:
    """An order that needs a user, by invoice: nothing to pay."""
    await _register(case, digital=True)
    await case.tell("complete_by_api")
    await case.reaches("fulfilled")


_USER = {"credential": "kari@shop.example", "is_send_message": True, "override_client_id": "no.shop"}


# ── registering ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@story("registered", "drafted -register-> registering", "registering -order_registered-> registered")
async def _(case: Connect) -> None:
    await _register(case)


@story("register refused", "registering -registration_refused-> refused")
async def _(case: Connect) -> None:
    case.sim.faults.arm(Fault(_REGISTER, "status", status=400))
    await _register(case, until="")


@story("register never gets through", "registering -registration_undelivered-> refused")
async def _(case: Connect) -> None:
    case.sim.faults.arm(Fault(_REGISTER, "status", status=429, times=None))
    await _register(case, until="")


@story(
    "register's answer lost in user mode; a search finds the order",
    "registering -registration_answer_lost-> registration_in_doubt [user_mode]",
    "registration_in_doubt -registration_found-> registered",
)
async def _(case: Connect) -> None:
    case.sim.faults.arm(Fault(_REGISTER_AS_USER, "cut_after"))
    await _register(case, user_mode=True, until="")


@story(
    "register's answer lost in client mode; a person finds the order",
    "registering -registration_answer_lost-> registration_in_doubt [not user_mode]",
    "registration_in_doubt -registration_resolved-> registered",
)
async def _(case: Connect) -> None:
    case.sim.faults.arm(Fault(_REGISTER, "cut_after"))
    await _register(case, until="registration_in_doubt")
    await case.resolve("registration_resolved", order_id=str(case.sim.orders[0].order_id))


@story("register's answer lost; a person finds no order", "registration_in_doubt -registration_given_up-> abandoned")
async def _(case: Connect) -> None:
    case.sim.faults.arm(Fault(_REGISTER, "cut_before"))
    await _register(case, until="registration_in_doubt")
    await case.resolve("registration_given_up")


@story("register's answer lost, then it comes", "registration_in_doubt -order_registered-> registered")
async def _(case: Connect) -> None:
    async with case.answered_late(_REGISTER, lost_in="registration_in_doubt"):
        await _register(case, until="")


@story("register's answer lost, then it is a refusal", "registration_in_doubt -registration_refused-> refused")
async def _(case: Connect) -> None:
    case.sim.faults.arm(Fault(_REGISTER, "status", status=400))
    async with case.answered_late(_REGISTER, lost_in="registration_in_doubt"):
        await _register(case, until="")


# ── completing by API ────────────────────────────────────────────────────────────────────────────────────────────────────


@story(
    "invoice",
    "registered -complete_by_api-> fulfilling [api_allowed and not by_sms]",
    "fulfilling -fulfillment_accepted-> confirming",
    "confirming -seen_fulfilled-> fulfilled",
)
async def _(case: Connect) -> None:
    await _register(case)
    await case.tell("complete_by_api")


@story("the API says ERROR; fulfilled after all", "fulfilling -fulfillment_refused-> error", "error -seen_fulfilled-> fulfilled")
async def _(case: Connect) -> None:
    case.sim.script(_NAME, api_answer="ERROR")
    await _register(case)
    await case.tell("complete_by_api")
    await case.reaches("error")
    await _paid(case)


@story("fulfilment never gets through", "fulfilling -fulfillment_undelivered-> registered")
async def _(case: Connect) -> None:
    case.sim.faults.arm(Fault(_FULFILL, "status", status=429, times=None))
    await _register(case)
    await case.tell("complete_by_api")


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
    await _phone_answers(case, "success")


@story("sms, not paid", "awaiting_payment -called_back_failed-> confirming", "confirming -read_unproven-> error")
async def _(case: Connect) -> None:
    await _sms(case)
    await _phone_answers(case, "failed")


@story("sms, not paid at first, then paid", "confirming -called_back_success-> confirming")
async def _(case: Connect) -> None:
    await _sms(case)
    case.gate.match = _READ  # a read between the two would end in error
    await _phone_answers(case, "failed")
    await _phone_answers(case, "success")
    case.gate.open()


@story("sms, paid, no callback", "awaiting_payment -seen_fulfilled-> paid")
async def _(case: Connect) -> None:
    await _sms(case)
    await _phone_answers(case, "success", callback="never")


@story("sms, no answer", "awaiting_payment -nobody_came-> unknown", return_timeout=_SOON)
async def _(case: Connect) -> None:
    await _sms(case, until="unknown")


@story("sms, the callback is faster than the answer: paid", "fulfilling -called_back_success-> confirming")
async def _(case: Connect) -> None:
    case.sim.script(_NAME, pay_outcome="success", callback="early")
    await _register(case, "sms")
    await case.tell("complete_by_api")


@story("sms, the callback is faster than the answer: not paid", "fulfilling -called_back_failed-> confirming")
async def _(case: Connect) -> None:
    case.sim.script(_NAME, pay_outcome="failed", callback="early")
    await _register(case, "sms")
    await case.tell("complete_by_api")


@story("sms, a callback says success, then the answer refuses", "confirming -fulfillment_refused-> error")
async def _(case: Connect) -> None:
    case.sim.script(_NAME, pay_outcome="success", callback="early", fulfil_never=True)
    case.sim.faults.arm(Fault(_FULFILL, "status_after", status=400))
    await _register(case, "sms")
    await case.tell("complete_by_api")


@story(
    "sms, the answer lost, paid",
    "fulfilling -fulfillment_answer_lost-> fulfillment_in_doubt",
    "fulfillment_in_doubt -called_back_success-> confirming",
)
async def _(case: Connect) -> None:
    await _sms_in_doubt(case)
    await _phone_answers(case, "success")


@story("sms, the answer lost, not paid", "fulfillment_in_doubt -called_back_failed-> confirming")
async def _(case: Connect) -> None:
    await _sms_in_doubt(case)
    await _phone_answers(case, "failed")


@story("sms, the answer lost, paid, no callback", "fulfillment_in_doubt -seen_fulfilled-> paid")
async def _(case: Connect) -> None:
    await _sms_in_doubt(case)
    await _phone_answers(case, "success", callback="never")


@story("sms, the answer lost, given up", "fulfillment_in_doubt -fulfillment_given_up-> unknown")
async def _(case: Connect) -> None:
    await _sms_in_doubt(case)
    await case.resolve("fulfillment_given_up")


@story("sms, the answer lost, then it comes", "fulfillment_in_doubt -fulfillment_accepted-> awaiting_payment")
async def _(case: Connect) -> None:
    await _register(case, "sms")
    async with case.answered_late(_FULFILL, lost_in="fulfillment_in_doubt"):
        await case.tell("complete_by_api")


@story("sms, the answer lost, then it is a refusal", "fulfillment_in_doubt -fulfillment_refused-> error")
async def _(case: Connect) -> None:
    case.sim.script(_NAME, api_answer="ERROR")
    await _register(case, "sms")
    async with case.answered_late(_FULFILL, lost_in="fulfillment_in_doubt"):
        await case.tell("complete_by_api")


# only an operator brings an order without anything to pay into these two states: both belong to sms, which is to be paid


@story("nothing to pay, overridden to awaiting payment", "awaiting_payment -seen_fulfilled-> fulfilled")
async def _(case: Connect) -> None:
    await _register(case)
    await case.override("awaiting_payment")
    await _paid(case)


@story("nothing to pay, overridden to in doubt", "fulfillment_in_doubt -seen_fulfilled-> fulfilled")
async def _(case: Connect) -> None:
    await _register(case)
    await case.override("fulfillment_in_doubt")
    await _paid(case)


# ── completing by URL ────────────────────────────────────────────────────────────────────────────────────────────────────


@story(
    "card, paid",
    "registered -complete_by_url-> fulfilling",
    "fulfilling -returned_success-> confirming",
)
async def _(case: Connect) -> None:
    await _pays(case, await _by_url(case), comes_back=True)


@story("card, paid, the window closed", "fulfilling -seen_fulfilled-> paid")
async def _(case: Connect) -> None:
    await _pays(case, await _by_url(case), comes_back=False)


@story("prepaid, the window closed", "fulfilling -seen_fulfilled-> fulfilled")
async def _(case: Connect) -> None:
    await case.http.get(await _by_url(case, prepaid=True))


@story(
    "back without a word, then cancel, then success",
    "fulfilling -returned_bare-> confirming",
    "confirming -returned_cancel-> confirming",
    "confirming -returned_success-> confirming",
)
async def _(case: Connect) -> None:
    await _back(case, await _by_url(case), "", "cancel", "success")


@story("back without a word, then error", "confirming -returned_error-> confirming")
async def _(case: Connect) -> None:
    await _back(case, await _by_url(case), "", "error")


@story("back with error; paid after all", "fulfilling -returned_error-> confirming", "error -seen_fulfilled-> paid")
async def _(case: Connect) -> None:
    await _back(case, await _by_url(case), "error")
    await case.reaches("error")
    await _paid(case)


@story(
    "back with unknown; never proven",
    "fulfilling -returned_unclear-> confirming",
    "confirming -no_proof-> unknown",
    proof_timeout=_SOON,
)
async def _(case: Connect) -> None:
    await _back(case, await _by_url(case), "unknown")


@story(
    "canceled; paid after all",
    "fulfilling -returned_cancel-> confirming",
    "confirming -cancel_grace_over-> confirming",
    "confirming -read_unproven-> cancelled",
    "cancelled -seen_fulfilled-> paid",
    cancel_grace=_SOON,
)
async def _(case: Connect) -> None:
    await _back(case, await _by_url(case), "cancel")
    await case.reaches("cancelled")
    await _paid(case)


@story(
    "nobody comes back; paid after all",
    "fulfilling -nobody_came-> unknown",
    "unknown -seen_fulfilled-> paid",
    return_timeout=_SOON,
)
async def _(case: Connect) -> None:
    await _by_url(case)
    await case.reaches("unknown")
    await _paid(case)


@story("prepaid, nobody comes back; fulfilled after all", "unknown -seen_fulfilled-> fulfilled", return_timeout=_SOON)
async def _(case: Connect) -> None:
    await _by_url(case, prepaid=True)
    await case.reaches("unknown")
    await _paid(case)


# ── completed by nobody; provisional ends ────────────────────────────────────────────────────────────────────────────────


@story("paid before anybody asked for it", "registered -seen_fulfilled-> paid")
async def _(case: Connect) -> None:
    await _register(case, "creditcardPayex")
    await _paid(case)


@story("fulfilled before anybody asked for it", "registered -seen_fulfilled-> fulfilled")
async def _(case: Connect) -> None:
    await _register(case)
    await _paid(case)


@story(
    "never completed; fulfilled after all",
    "registered -never_completed-> cancelled",
    "cancelled -seen_fulfilled-> fulfilled",
    completion_timeout=_SOON,
)
async def _(case: Connect) -> None:
    await _register(case, until="cancelled")
    await _paid(case)


@story(
    "cancelled for good",
    "cancelled -recovery_window_closed-> cancelled",
    completion_timeout=_SOON,
    recovery_window=_SOON,
)
async def _(case: Connect) -> None:
    await _register(case, until="cancelled")


@story("an error for good", "error -recovery_window_closed-> error", recovery_window=_SOON)
async def _(case: Connect) -> None:
    await _back(case, await _by_url(case), "error")


@story("unknown for good", "unknown -recovery_window_closed-> unknown", return_timeout=_SOON, recovery_window=_SOON)
async def _(case: Connect) -> None:
    await _by_url(case)


# ── assigning the user ───────────────────────────────────────────────────────────────────────────────────────────────────


@story("assigned", "fulfilled -assign_user-> assigning", "assigning -assigned-> user_assigned")
async def _(case: Connect) -> None:
    await _fulfilled(case)
    await case.tell("assign_user", **_USER)


@story("assignment refused", "assigning -assignment_refused-> fulfilled", "fulfilled -assignment_given_up-> fulfilled")
async def _(case: Connect) -> None:
    await _fulfilled(case)
    case.sim.order(await case.provider_id()).user_mode = True  # meanwhile somebody else's, as Connect sees it
    await case.tell("assign_user", **_USER)
    await case.reaches("fulfilled")
    await case.resolve("assignment_given_up")


@story("assignment never gets through", "assigning -assignment_undelivered-> fulfilled")
async def _(case: Connect) -> None:
    case.sim.faults.arm(Fault(_ASSIGN, "status", status=429, times=None))
    await _fulfilled(case)
    await case.tell("assign_user", **_USER)


@story(
    "assignment's answer lost; a person sees it done",
    "assigning -assignment_answer_lost-> assignment_in_doubt",
    "assignment_in_doubt -assignment_resolved-> user_assigned",
)
async def _(case: Connect) -> None:
    await _fulfilled(case)
    await _answer_lost(case, _ASSIGN, "assign_user", "assignment_in_doubt", **_USER)
    await case.resolve("assignment_resolved")


@story("assignment's answer lost; given up", "assignment_in_doubt -assignment_given_up-> fulfilled")
async def _(case: Connect) -> None:
    await _fulfilled(case)
    await _answer_lost(case, _ASSIGN, "assign_user", "assignment_in_doubt", **_USER)
    await case.resolve("assignment_given_up")


@story("assignment's answer lost, then it comes", "assignment_in_doubt -assigned-> user_assigned")
async def _(case: Connect) -> None:
    await _fulfilled(case)
    async with case.answered_late(_ASSIGN, lost_in="assignment_in_doubt"):
        await case.tell("assign_user", **_USER)


@story("assignment's answer lost, then it is a refusal", "assignment_in_doubt -assignment_refused-> fulfilled")
async def _(case: Connect) -> None:
    case.sim.faults.arm(Fault(_ASSIGN, "status", status=400))
    await _fulfilled(case)
    async with case.answered_late(_ASSIGN, lost_in="assignment_in_doubt"):
        await case.tell("assign_user", **_USER)


STORIES = tuple(_book.stories)
