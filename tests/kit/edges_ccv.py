"""Stories that together take every edge of CCV's lifecycle. The simulated employee moves orders by hand; nothing is timed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

from tests.kit.stories import Book, Case, Story, open_case
from tests.kit.world import CCV_SWITCHES, ccv_request

from orderflow._providers.ccv.lifecycle import CcvLifecycle
from orderflow._providers.ccv.simulator import CcvSimulator
from orderflow._providers.ccv.wire import PREFIX, START_ORDER, SUBMIT
from orderflow.simulators import Fault

_CONFIGURE = f"PATCH {PREFIX}{START_ORDER}"
_SUBMIT = f"POST {PREFIX}{SUBMIT}"

Ccv = Case[CcvSimulator]
_book = Book(CcvLifecycle.table)
story = _book.story


@asynccontextmanager
async def open_ccv(folder: Path, story: Story) -> AsyncIterator[Ccv]:
    """CCV, and an order that is drafted."""
    async with open_case(folder, "ccv", CCV_SWITCHES, lambda _simulator: {"durations": story.durations}) as case:
        case.sim.script(None)  # orders stay in Processing until they are moved by hand
        await case.create("ccv", **ccv_request())
        yield case


# ── drafts ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


@story("discarded", "drafted -discard-> discarded")
async def _(case: Ccv) -> None:
    await case.send("discard")


@story("never submitted", "drafted -draft_expired-> discarded", draft_timeout=0.1)
async def _(case: Ccv) -> None:
    del case


# ── ordering ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@story(
    "submitted",
    "drafted -submit-> configuring",
    "configuring -order_configured-> submitting",
    "submitting -order_submitted-> Processing",
)
async def _(case: Ccv) -> None:
    await case.send("submit")


@story("configuration refused", "configuring -configuration_refused-> refused")
async def _(case: Ccv) -> None:
    case.sim.faults.arm(Fault(_CONFIGURE, "status", status=400))
    await case.send("submit")


@story("configuration never gets through", "configuring -configuration_undelivered-> drafted", configuring_budget=0.0)
async def _(case: Ccv) -> None:
    case.sim.faults.arm(Fault(_CONFIGURE, "status", status=401, times=None))
    await case.send("submit")


@story("submit refused", "submitting -submission_refused-> refused")
async def _(case: Ccv) -> None:
    case.sim.faults.arm(Fault(_SUBMIT, "status", status=403))
    await case.send("submit")


@story("submit never gets through", "submitting -submission_undelivered-> drafted", submitting_budget=0.0)
async def _(case: Ccv) -> None:
    case.sim.faults.arm(Fault(_SUBMIT, "status", status=401, times=None))
    await case.send("submit")


@story(
    "submit's answer lost; CCV names the order",
    "submitting -submission_answer_lost-> submission_in_doubt",
    "submission_in_doubt -submission_resolved-> Processing",
)
async def _(case: Ccv) -> None:
    case.sim.faults.arm(Fault(_SUBMIT, "reset-after-commit"))
    await case.send("submit")
    await case.wait_for("submission_in_doubt")
    await case.resolve("submission_resolved", order_id=case.sim.orders[0].id)


@story("submit's answer lost; CCV knows no such order", "submission_in_doubt -submission_given_up-> abandoned")
async def _(case: Ccv) -> None:
    case.sim.faults.arm(Fault(_SUBMIT, "reset"))
    await case.send("submit")
    await case.wait_for("submission_in_doubt")
    await case.resolve("submission_given_up")


@story("submit's answer lost; CCV knows no such order, so it is sent again", "submission_in_doubt -submission_not_found-> drafted")
async def _(case: Ccv) -> None:
    case.sim.faults.arm(Fault(_SUBMIT, "reset"))
    await case.send("submit")
    await case.wait_for("submission_in_doubt")
    await case.resolve("submission_not_found")
    await case.send("submit")


@story("submit's answer lost, then it comes", "submission_in_doubt -order_submitted-> Processing")
async def _(case: Ccv) -> None:
    async with case.answer_late(_SUBMIT, lost_in="submission_in_doubt"):
        await case.send("submit")


@story("submit's answer lost, then it is a refusal", "submission_in_doubt -submission_refused-> refused")
async def _(case: Ccv) -> None:
    case.sim.faults.arm(Fault(_SUBMIT, "status", status=400))
    async with case.answer_late(_SUBMIT, lost_in="submission_in_doubt"):
        await case.send("submit")


# ── observed paths ───────────────────────────────────────────────────────────────────────────────────────────────────────

_BEGINNINGS = (
    "Processing",
    "Processing Incomplete",
    "Processing Incomplete AwaitingPayment",
    "Processing Incomplete Screening",
    "Processing Incomplete New",
    "Processing Incomplete New ErpInProgress",
    "Processing Incomplete New FulfillmentInProgress",
    "Processing Incomplete New FulfillmentDone",
)
_PATHS = (
    "Processing Incomplete New Completed",
    "Processing Incomplete AwaitingPayment Screening New FulfillmentInProgress FulfillmentDone Completed",
    "Processing Incomplete AwaitingPayment New FulfillmentDone Completed",
    "Processing Incomplete Screening New ErpInProgress Completed",
    "Processing Incomplete New ErpInProgress FulfillmentInProgress",
    "Processing Incomplete New ErpInProgress FulfillmentDone",
    # closed and canceled from every open status
    *(f"{beginning} {end}" for beginning in _BEGINNINGS for end in ("Closed", "Canceled")),
    # failed in every open status; an employee puts it back where it was, in the end somewhere else
    "Processing Failed Processing Incomplete Failed Incomplete AwaitingPayment Failed AwaitingPayment Screening Failed Screening"
    " New Failed New FulfillmentInProgress Failed FulfillmentInProgress FulfillmentDone Failed FulfillmentDone Failed Completed",
    "Processing Incomplete New ErpInProgress Failed Closed",
    "Processing Failed Canceled",
)
"""Statuses in the order in which CCV shows them. Each is polled before the next one comes, so each pair is an edge taken."""


def _edges(statuses: list[str]) -> tuple[str, ...]:
    return tuple(f"{source} -seen_{_snake(target)}-> {target}" for source, target in pairwise(statuses))


def _snake(status: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in status).lstrip("_")


def _follow(moves: list[str]) -> Callable[[Ccv], Awaitable[None]]:
    async def play(case: Ccv) -> None:
        await case.send("submit")
        await case.wait_for("Processing")
        provider_id = await case.provider_id()
        for status in moves:
            case.sim.transition(provider_id, status)
            await case.wait_for(status)

    return play


for _path in _PATHS:
    _first, *_moves = _path.split()
    story(_path, *_edges([_first, *_moves]))(_follow(_moves))


@story("failed, and never recovered", "Failed -recovery_window_closed-> Failed", recovery_window=0.1)
async def _(case: Ccv) -> None:
    await case.send("submit")
    await case.wait_for("Processing")
    case.sim.transition(await case.provider_id(), "Failed")


STORIES = tuple(_book.stories)
