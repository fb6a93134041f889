"""Stories of registering a Connect order and of assigning its user, and the world of all Connect stories."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.kit.stories import Book, Case, Story, open_case
from tests.kit.world import CONNECT_SWITCHES, SHOP, Users, connect_request

from orderflow._providers.connect import CompletionWays
from orderflow._providers.connect.lifecycle import ConnectLifecycle
from orderflow._providers.connect.simulator import ConnectSimulator
from orderflow.simulators import Fault

_REGISTER = "POST /capi/v1/client/orde[r]"  # a pattern: the plain text is also the beginning of .../order/fulfillment
_REGISTER_AS_USER = "POST /capi/v1/orde[r]"
FULFILL = "POST /capi/v1/client/order/fulfillment"
_ASSIGN = "POST /capi/v1/client/order/*/user"
POLL = "GET /capi/v1/client/order/status"
NAME = "story-1"
_PREPAID_BY_URL = {("creditcardPayex", True): CompletionWays(url=True, api=True, source="Connect A1, A3", evidence="assumed")}

Connect = Case[ConnectSimulator]
_book = Book(ConnectLifecycle.table)
story = _book.story


@asynccontextmanager
async def open_connect(folder: Path, story: Story) -> AsyncIterator[Connect]:
    """Connect, and a logged-in user for the orders in user mode."""

    def settings(simulator: ConnectSimulator) -> dict[str, Any]:
        # no order is paid or fulfilled before the story does it: a poll must not be faster than the answer it waits for
        simulator.script(NAME, pay_outcome="never", fulfil_never=True)
        tokens = Users(simulator.issue_user_token("ola"))
        return {"tokens": tokens, "ways": _PREPAID_BY_URL, "durations": story.durations, "return_pages": (SHOP,)}

    async with open_case(folder, "connect", CONNECT_SWITCHES, settings) as case:
        yield case


# ── what stories begin with ──────────────────────────────────────────────────────────────────────────────────────────────


async def register(case: Connect, method: str = "invoice", *, until: str = "registered", **request: Any) -> None:
    await case.create("connect", **connect_request(method, external_id=NAME, **request))
    await case.send("register")
    if until:
        await case.wait_for(until)


async def lose_answer(case: Connect, match: str, command: str, until: str, **arguments: object) -> None:
    """The provider acts on the command's call, and the connection breaks before it answers."""
    case.sim.faults.arm(Fault(match, "reset-after-commit"))
    await case.send(command, **arguments)
    await case.wait_for(until)


async def prove(case: Connect) -> None:
    """The money has come, if any was due, and Connect fulfils the order; no browser and no callback reports it."""
    case.sim.script(NAME, fulfil_never=False)
    case.sim.pay(await case.provider_id())


async def _fulfil(case: Connect) -> None:
    """An order that needs a user, by invoice: nothing to pay."""
    await register(case, digital=True)
    await case.send("complete_by_api")
    await case.wait_for("confirming")
    await prove(case)
    await case.wait_for("fulfilled")


_USER = {"credential": "kari@shop.example", "is_send_message": True, "override_client_id": "no.shop"}


# ── drafts ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


@story("discarded", "drafted -discard-> discarded")
async def _(case: Connect) -> None:
    await case.create("connect", **connect_request("invoice", external_id=NAME))
    await case.send("discard")


@story("never registered", "drafted -draft_expired-> discarded", draft_timeout=0.1)
async def _(case: Connect) -> None:
    await case.create("connect", **connect_request("invoice", external_id=NAME))


# ── registering ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@story("registered", "drafted -register-> registering", "registering -order_registered-> registered")
async def _(case: Connect) -> None:
    await register(case)


@story("register refused", "registering -registration_refused-> refused")
async def _(case: Connect) -> None:
    case.sim.faults.arm(Fault(_REGISTER, "status", status=400))
    await register(case, until="")


@story("register never gets through", "registering -registration_undelivered-> drafted", registering_budget=0.0)
async def _(case: Connect) -> None:
    case.sim.faults.arm(Fault(_REGISTER, "status", status=401, times=None))
    await register(case, until="")


@story(
    "register's answer lost in user mode; a search finds the order",
    "registering -registration_answer_lost-> registration_in_doubt [user_mode]",
    "registration_in_doubt -registration_found-> registered",
)
async def _(case: Connect) -> None:
    case.sim.faults.arm(Fault(_REGISTER_AS_USER, "reset-after-commit"))
    await register(case, user_mode=True, until="")


@story(
    "register's answer lost in client mode; a person finds the order",
    "registering -registration_answer_lost-> registration_in_doubt [not user_mode]",
    "registration_in_doubt -registration_resolved-> registered",
)
async def _(case: Connect) -> None:
    case.sim.faults.arm(Fault(_REGISTER, "reset-after-commit"))
    await register(case, until="registration_in_doubt")
    await case.resolve("registration_resolved", order_id=str(case.sim.orders[0].order_id))


@story("register's answer lost; a person finds no order", "registration_in_doubt -registration_given_up-> abandoned")
async def _(case: Connect) -> None:
    case.sim.faults.arm(Fault(_REGISTER, "reset"))
    await register(case, until="registration_in_doubt")
    await case.resolve("registration_given_up")


@story("register's answer lost; a person finds no order, so it is sent again", "registration_in_doubt -registration_not_found-> drafted")
async def _(case: Connect) -> None:
    case.sim.faults.arm(Fault(_REGISTER, "reset"))
    await register(case, until="registration_in_doubt")
    await case.resolve("registration_not_found")
    await case.send("register")


@story("register's answer lost, then it comes", "registration_in_doubt -order_registered-> registered")
async def _(case: Connect) -> None:
    async with case.answer_late(_REGISTER, lost_in="registration_in_doubt"):
        await register(case, until="")


@story("register's answer lost, then it is a refusal", "registration_in_doubt -registration_refused-> refused")
async def _(case: Connect) -> None:
    case.sim.faults.arm(Fault(_REGISTER, "status", status=400))
    async with case.answer_late(_REGISTER, lost_in="registration_in_doubt"):
        await register(case, until="")


# ── assigning the user ───────────────────────────────────────────────────────────────────────────────────────────────────


@story("assigned", "fulfilled -assign_user-> assigning", "assigning -assigned-> user_assigned")
async def _(case: Connect) -> None:
    await _fulfil(case)
    await case.send("assign_user", **_USER)


@story("assignment refused", "assigning -assignment_refused-> fulfilled", "fulfilled -assignment_given_up-> fulfilled")
async def _(case: Connect) -> None:
    await _fulfil(case)
    case.sim.faults.arm(Fault(_ASSIGN, "status", status=400))
    await case.send("assign_user", **_USER)
    await case.wait_for("fulfilled")
    await case.resolve("assignment_given_up")


@story("assignment never gets through", "assigning -assignment_undelivered-> fulfilled", assigning_budget=0.0)
async def _(case: Connect) -> None:
    case.sim.faults.arm(Fault(_ASSIGN, "status", status=401, times=None))
    await _fulfil(case)
    await case.send("assign_user", **_USER)


@story(
    "assignment's answer lost; a person sees it done",
    "assigning -assignment_answer_lost-> assignment_in_doubt",
    "assignment_in_doubt -assignment_resolved-> user_assigned",
)
async def _(case: Connect) -> None:
    await _fulfil(case)
    await lose_answer(case, _ASSIGN, "assign_user", "assignment_in_doubt", **_USER)
    await case.resolve("assignment_resolved")


@story("assignment's answer lost; given up", "assignment_in_doubt -assignment_given_up-> fulfilled")
async def _(case: Connect) -> None:
    await _fulfil(case)
    await lose_answer(case, _ASSIGN, "assign_user", "assignment_in_doubt", **_USER)
    await case.resolve("assignment_given_up")


@story("assignment's answer lost; a person sees that nothing was assigned", "assignment_in_doubt -assignment_not_found-> fulfilled")
async def _(case: Connect) -> None:
    await _fulfil(case)
    case.sim.faults.arm(Fault(_ASSIGN, "reset"))
    await case.send("assign_user", **_USER)
    await case.wait_for("assignment_in_doubt")
    await case.resolve("assignment_not_found")
    await case.send("assign_user", **_USER)


@story("assignment's answer lost, then it comes", "assignment_in_doubt -assigned-> user_assigned")
async def _(case: Connect) -> None:
    await _fulfil(case)
    async with case.answer_late(_ASSIGN, lost_in="assignment_in_doubt"):
        await case.send("assign_user", **_USER)


@story("assignment's answer lost, then it is a refusal", "assignment_in_doubt -assignment_refused-> fulfilled")
async def _(case: Connect) -> None:
    case.sim.faults.arm(Fault(_ASSIGN, "status", status=400))
    await _fulfil(case)
    async with case.answer_late(_ASSIGN, lost_in="assignment_in_doubt"):
        await case.send("assign_user", **_USER)


STORIES = tuple(_book.stories)
