"""CCV's magic values: what an order's externalReference may ask for after its ``#``.

Contains only: the tags, and the plan of an order's life that they make. In ``ORDER-42#screening#notify-dup`` the part before
``#`` is the caller's; tags are joined by ``#`` or ``+``. One tag decides the moves; of several, the last. An unknown tag asks for
nothing, and the order's page notes it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, get_args

from attrs import evolve, frozen

from orderflow._providers.ccv.simulator.moves import SHORTEST_WAYS
from orderflow._providers.ccv.simulator.switches import CcvSwitches, IdShape
from orderflow._providers.ccv.wire import OrderStatus as S
from orderflow.simulators import Magic

Move = tuple[float, str]
"""Seconds after the move before, and the next status."""
ON_HOLD: Final = "OnHold"
"""Made up: a status outside the twelve."""
STALE_SECONDS: Final = 2.0
HIDDEN_SECONDS: Final = 2.0
SHORT_TIMEOUT_SECONDS: Final = 0.05


@frozen
class Plan:
    """What will happen to an order.

    Attributes:
        moves: None for the usual life.
        notifications: how often each notification is sent.
        early: the first move and its notification come before the submit is answered.
        foreign_notification: the notification URL gets a request that CCV did not send.
        shows_reference: whether status calls answer with the externalReference.
        notification_timeout, stale, hidden, submit_status, id_shape: None for the switch of the simulator.
    """

    moves: tuple[Move, ...] | None = None
    notifications: int = 1
    early: bool = False
    foreign_notification: bool = False
    shows_reference: bool = True
    notification_timeout: float | None = None
    stale: float | None = None
    hidden: float | None = None
    submit_status: int | None = None
    id_shape: IdShape | None = None


_FIELDS: Final[Mapping[str, Mapping[str, Any]]] = {
    "notify-lost": {"notifications": 0},
    "notify-dup": {"notifications": 2},
    "notify-early": {"early": True},
    "notify-stale": {"stale": STALE_SECONDS},
    "notify-slow": {"notification_timeout": SHORT_TIMEOUT_SECONDS},
    "notify-stranger": {"foreign_notification": True},
    "hidden": {"hidden": HIDDEN_SECONDS},
    "no-reference": {"shows_reference": False},
    "200": {"submit_status": 200},
    "201": {"submit_status": 201},
    **{f"id@{shape}": {"id_shape": shape} for shape in get_args(IdShape)},
}
"""Tags that set fields of the plan."""
_ENDS: Final = {"canceled": S.CANCELED, "closed": S.CLOSED, "failed": S.FAILED}
_MOVES: Final = (
    "happy",
    "pay",
    "screening",
    "screening-rejected",
    "pay-failed",
    "recovered",
    "jump",
    "fast",
    "erp",
    "unknown-status",
    "regress",
    *_ENDS,
    "stuck",
)
"""Tags that decide the moves."""

_REF = "externalReference"
MAGIC: Final = (
    Magic("(none), #happy", _REF, "Processing > Incomplete > New > Completed", "the usual life"),
    Magic("#pay", _REF, "... AwaitingPayment > New > FulfillmentInProgress > FulfillmentDone > Completed", "the Tap & Go life"),
    Magic("#screening", _REF, "... Screening > New > Completed", "a PF/PSP contract"),
    Magic("#screening-rejected", _REF, "... Screening > Closed", "a rejected merchant"),
    Magic("#pay-failed", _REF, "... AwaitingPayment > Failed", "all payments failed"),
    Magic("#recovered", _REF, "... AwaitingPayment > Failed > New > Completed", "Failed is not the end"),
    Magic("#canceled, #canceled@Status", _REF, "... Status (Incomplete) > Canceled", "canceled by the merchant"),
    Magic("#closed, #closed@Status", _REF, "... Status (Incomplete) > Closed", "closed by an employee"),
    Magic("#failed, #failed@Status", _REF, "... Status (Incomplete) > Failed", "a technical failure"),
    Magic("#stuck, #stuck@Status", _REF, "stays in Status (Incomplete) for ever", "time budgets"),
    Magic("#jump", _REF, "Processing, then Completed: no poll sees the statuses between", "missed steps are inferred"),
    Magic("#fast", _REF, "Incomplete and New at once: two notifications, both polls answer New", "deduplication"),
    Magic("#erp", _REF, "passes ErpInProgress", "the reserved status"),
    Magic("#unknown-status", _REF, f"shows {ON_HOLD}, none of the twelve, then goes on", "unknown statuses are flagged, not fatal"),
    Magic("#regress", _REF, "New > Screening, which CCV rules out", "a step back is refused, kept and flagged"),
    Magic("#notify-lost", _REF, "no notification arrives, ever", "polling alone is enough"),
    Magic("#notify-dup", _REF, "each notification arrives twice", "deduplication"),
    Magic("#notify-early", _REF, "a notification before the submit is answered", "an id that is not known yet"),
    Magic("#notify-stale", _REF, f"status calls answer the status before for {STALE_SECONDS:g} s", "polling again"),
    Magic("#notify-slow", _REF, "CCV hangs up on a receiver that does not answer at once", "answering first, working later"),
    Magic("#notify-stranger", _REF, "the notification URL gets a request that CCV did not send", "a notification proves nothing"),
    Magic("#hidden", _REF, f"404 for {HIDDEN_SECONDS:g} s after the submit", "not visible yet does not mean gone"),
    Magic("#no-reference", _REF, "status answers lack the reference", "an optional field"),
    Magic("#200, #201", _REF, "the submit is answered with that code", "both mean success"),
    Magic("#id@id, #id@reference, #id@bare, #id@location, #id@missing", _REF, "the answer names the order so", "an id is never guessed"),
)


def is_known_tag(tag: str) -> bool:
    """Whether a tag, without its ``#``, asks for something."""
    name, _, status = tag.partition("@")
    if tag in _FIELDS:
        return True
    if not status:
        return name in _MOVES
    return name in {*_ENDS, "stuck"} and status in SHORTEST_WAYS and not (name in _ENDS and status in {S.COMPLETED, *_ENDS.values()})


def tags_of(reference: str | None) -> tuple[str, ...]:
    """The tags of an externalReference, known or not."""
    _, _, tags = (reference or "").partition("#")
    return tuple(filter(None, re.split(r"[#+]", tags)))


def apply_tags(tags: Iterable[str], switches: CcvSwitches, plan: Plan) -> Plan:
    """``plan``, changed by the known tags."""
    for tag in filter(is_known_tag, tags):
        fields = _FIELDS.get(tag)
        plan = evolve(plan, **(fields if fields is not None else {"moves": _moves_of(tag, switches)}))
    return plan


def usual_moves(switches: CcvSwitches) -> tuple[Move, ...]:
    """The life of an order without a script or tag."""
    return _moves_of("happy", switches)


def _moves_of(tag: str, switches: CcvSwitches) -> tuple[Move, ...]:
    name, _, status = tag.partition("@")
    step = switches.step_seconds
    if name == "jump":
        return (step, S.INCOMPLETE), (0.0, S.NEW), (0.0, S.COMPLETED)
    if name == "fast":
        return (step, S.INCOMPLETE), (0.0, S.NEW), (step, S.COMPLETED)
    if name == "stuck":
        statuses = SHORTEST_WAYS[status or S.INCOMPLETE]
    elif name in _ENDS:
        statuses = (*SHORTEST_WAYS[status or S.INCOMPLETE], _ENDS[name])
    else:
        statuses = _ways(switches)[name]
    return tuple((step, target) for target in statuses)


def _ways(switches: CcvSwitches) -> dict[str, tuple[str, ...]]:
    begin = (S.INCOMPLETE,) if switches.passes_incomplete else ()
    end = (S.COMPLETED,) if switches.new_to_completed else (S.FULFILLMENT_DONE, S.COMPLETED)
    rejected = (S.CLOSED,) if switches.rejection_closes else ()
    return {
        "happy": (*begin, S.NEW, *end),
        "pay": (*begin, S.AWAITING_PAYMENT, S.NEW, S.FULFILLMENT_IN_PROGRESS, S.FULFILLMENT_DONE, S.COMPLETED),
        "screening": (*begin, S.SCREENING, S.NEW, *end),
        "screening-rejected": (*begin, S.SCREENING, *rejected),
        "pay-failed": (*begin, S.AWAITING_PAYMENT, S.FAILED),
        "recovered": (*begin, S.AWAITING_PAYMENT, S.FAILED, S.NEW, *end),
        "erp": (*begin, S.NEW, S.ERP_IN_PROGRESS, S.COMPLETED),
        "unknown-status": (*begin, ON_HOLD, S.NEW, S.COMPLETED),
        "regress": (*begin, S.NEW, S.SCREENING),
    }
