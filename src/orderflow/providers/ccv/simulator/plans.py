"""CCV's magic values: what an order's externalReference may ask for behind its ``#``. What may live here: the tags, and the
plan they make of an order's life.

``ORDER-42#screening#notify-dup``: the part before ``#`` is the caller's; tags combine with ``#`` or ``+``. At most one tag
says the way; where several do, the last wins. A tag nobody knows asks for nothing and is noted on the order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, get_args

from attrs import evolve, frozen

from orderflow.providers.ccv.simulator.moves import WAYS
from orderflow.providers.ccv.simulator.switches import CcvSwitches, IdShape
from orderflow.providers.ccv.wire import OrderStatus as S
from orderflow.simulators import Magic

Move = tuple[float, str]
ON_HOLD: Final = "OnHold"
"""Made up: a status word outside the twelve."""
STALE_SECONDS: Final = 2.0
HIDDEN_SECONDS: Final = 2.0


@frozen
class Plan:
    """What will happen to an order. ``moves``: (seconds after the one before, status); None: the usual life.

    ``notices``: how often each notification is sent. ``early``: the first move and its notification come before the submit
    is answered. ``stranger``: somebody else posts to the notification URL once. None elsewhere: as the switch has it.
    """

    moves: tuple[Move, ...] | None = None
    notices: int = 1
    early: bool = False
    stranger: bool = False
    impatient: bool = False
    tells_reference: bool = True
    stale: float | None = None
    hidden: float | None = None
    submit_status: int | None = None
    id_shape: IdShape | None = None


_FLAGS: Final[Mapping[str, Mapping[str, Any]]] = {
    "notify-lost": {"notices": 0},
    "notify-dup": {"notices": 2},
    "notify-early": {"early": True},
    "notify-stale": {"stale": STALE_SECONDS},
    "notify-slow": {"impatient": True},
    "notify-stranger": {"stranger": True},
    "hidden": {"hidden": HIDDEN_SECONDS},
    "no-reference": {"tells_reference": False},
    "200": {"submit_status": 200},
    "201": {"submit_status": 201},
    **{f"id@{shape}": {"id_shape": shape} for shape in get_args(IdShape)},
}
_ENDS: Final = {"canceled": S.CANCELED, "closed": S.CLOSED, "failed": S.FAILED}
_NAMES: Final = (
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

_REF = "externalReference"
MAGIC: Final = (
    Magic("(none), #happy", _REF, "Processing > Incomplete > New > Completed", "the happy path"),
    Magic("#pay", _REF, "... AwaitingPayment > New > FulfillmentInProgress > FulfillmentDone > Completed", "the Tap & Go path"),
    Magic("#screening", _REF, "... Screening > New > Completed", "PF/PSP contract"),
    Magic("#screening-rejected", _REF, "... Screening > Closed", "a rejected merchant"),
    Magic("#pay-failed", _REF, "... AwaitingPayment > Failed", "all payments failed"),
    Magic("#recovered", _REF, "... AwaitingPayment > Failed > New > Completed", "Failed is left again"),
    Magic("#canceled, #canceled@Status", _REF, "... Status (Incomplete) > Canceled", "the merchant's request"),
    Magic("#closed, #closed@Status", _REF, "... Status (Incomplete) > Closed", "an employee's doing"),
    Magic("#failed, #failed@Status", _REF, "... Status (Incomplete) > Failed", "a technical failure"),
    Magic("#stuck, #stuck@Status", _REF, "stays in Status (Incomplete) for ever", "time budgets"),
    Magic("#jump", _REF, "Processing, then Completed: no poll sees what lies between", "missed steps are inferred"),
    Magic("#fast", _REF, "Incomplete and New at once: two notifications, two reads of New", "dedupe"),
    Magic("#erp", _REF, "passes ErpInProgress", "no crash on the reserved status"),
    Magic("#unknown-status", _REF, f"shows {ON_HOLD}, none of the twelve, then goes on", "unknown words are flagged, not fatal"),
    Magic("#regress", _REF, "New > Screening, which CCV rules out", "backward is refused, kept and flagged"),
    Magic("#notify-lost", _REF, "no notification arrives, ever", "polling is the truth"),
    Magic("#notify-dup", _REF, "each notification arrives twice", "dedupe"),
    Magic("#notify-early", _REF, "a notification before the submit is answered", "an id that is not known yet"),
    Magic("#notify-stale", _REF, f"status calls tell the status before for {STALE_SECONDS:g} s", "read again"),
    Magic("#notify-slow", _REF, "CCV hangs up on a receiver that does not answer at once", "answer first, work later"),
    Magic("#notify-stranger", _REF, "somebody else calls the notification URL", "a notice proves nothing"),
    Magic("#hidden", _REF, f"404 for {HIDDEN_SECONDS:g} s after the submit", "not yet visible is not gone"),
    Magic("#no-reference", _REF, "status answers do not tell the reference", "an optional field"),
    Magic("#200, #201", _REF, "the submit is answered with that code", "either is success"),
    Magic("#id@id, #id@reference, #id@bare, #id@location, #id@missing", _REF, "the answer names the order so", "an id is never guessed"),
)


def known(tag: str) -> bool:
    """Whether a tag, without its ``#``, asks for something."""
    name, _, where = tag.partition("@")
    if tag in _FLAGS:
        return True
    if not where:
        return name in _NAMES
    return name in {*_ENDS, "stuck"} and where in WAYS and not (name in _ENDS and where in {S.COMPLETED, *_ENDS.values()})


def tags_of(reference: str | None) -> tuple[str, ...]:
    """The tags of an externalReference, known or not."""
    _, _, rest = (reference or "").partition("#")
    return tuple(filter(None, re.split(r"[#+]", rest)))


def plan(tags: Iterable[str], switches: CcvSwitches, base: Plan) -> Plan:
    """``base`` with what the known tags ask for."""
    made = base
    for tag in filter(known, tags):
        flags = _FLAGS.get(tag)
        made = evolve(made, **(flags if flags is not None else {"moves": _way(tag, switches)}))
    return made


def usual(switches: CcvSwitches) -> tuple[Move, ...]:
    """The life of an order nobody scripted."""
    return _way("happy", switches)


def _way(tag: str, switches: CcvSwitches) -> tuple[Move, ...]:
    name, _, where = tag.partition("@")
    step = switches.step_seconds
    if name == "jump":
        return (step, S.INCOMPLETE), (0.0, S.NEW), (0.0, S.COMPLETED)
    if name == "fast":
        return (step, S.INCOMPLETE), (0.0, S.NEW), (step, S.COMPLETED)
    if name == "stuck":
        words = WAYS[where or S.INCOMPLETE]
    elif name in _ENDS:
        words = (*WAYS[where or S.INCOMPLETE], _ENDS[name])
    else:
        words = _named(switches)[name]
    return tuple((step, word) for word in words)


def _named(switches: CcvSwitches) -> dict[str, tuple[str, ...]]:
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
