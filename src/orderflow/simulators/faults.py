"""Faults that a test or a demo arms: what goes wrong on the way to or from the provider. What may live here: the faults
as values, which one a request takes, and the pattern language. Acting them out is the simulator's part."""

from __future__ import annotations

import random
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Literal, get_args

from attrs import evolve, field, frozen

FaultKind = Literal[
    "status",
    "status_after",
    "cut_before",
    "cut_after",
    "cut_body",
    "delay",
    "slow",
    "garbage",
    "html",
    "xml",
    "empty",
    "hang",
    "hang_after",
]
KINDS: tuple[str, ...] = get_args(FaultKind)
ACTS_FIRST = frozenset(KINDS) - {"status", "cut_before", "hang"}
"""The kinds in which the provider acts on the request although the caller may never learn it."""


def matches(pattern: str, method: str, path: str) -> bool:
    """Whether a request is meant by a pattern.

    ``"POST /v1/order"`` means every request whose ``"METHOD /path"`` begins so; with ``*``, ``?`` or ``[`` in it the
    whole must match as in a shell; a pattern beginning with ``/`` means any method; the empty one means everything.
    The query is no part of it.
    """
    subject = path if pattern.startswith("/") else f"{method} {path}"
    return fnmatchcase(subject, pattern) if any(c in pattern for c in "*?[") else subject.startswith(pattern)


def _known(_fault: Fault, _field: object, kind: str) -> None:
    if kind not in KINDS:
        raise ValueError(f"kind: {kind!r} is none of {', '.join(KINDS)}")


@frozen
class Fault:
    """One thing that goes wrong, for the next ``times`` requests that match (None: for ever).

    ``status``: answer ``status`` with ``headers`` and ``body`` *without acting*; ``status_after``: act, then the same.
    ``cut_before``: reset the connection before acting; ``cut_after``: act, then reset without an answer; ``cut_body``:
    act, then half of the body under its full Content-Length. ``delay``: wait ``seconds`` of real time, then act and
    answer; ``slow``: act, then drip the body out over ``seconds``. ``garbage``, ``html``, ``xml``, ``empty``: act, then
    answer 200 with that (``body``, where given, replaces the stock text). ``hang``: never answer, until the caller hangs
    up; ``hang_after``: act, then the same.
    ``chance`` below 1 is drawn, request by request, from the ``Faults``' seeded randomness.
    """

    match: str
    kind: FaultKind = field(validator=_known)
    status: int = 500
    headers: Mapping[str, str] = field(factory=dict)
    body: bytes = b""
    seconds: float = 0.0
    times: int | None = 1
    chance: float = 1.0


class Faults:
    """The armed faults, in the order they were armed; the first that matches is taken."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)  # noqa: S311 - reproducible trouble, not a secret
        self._armed: list[Fault] = []

    @property
    def armed(self) -> tuple[Fault, ...]:
        """What is still to happen; ``times`` counts down."""
        return tuple(self._armed)

    def arm(self, fault: Fault) -> None:
        """Let this go wrong from now on."""
        self._armed.append(fault)

    def clear(self) -> None:
        """Disarm everything."""
        self._armed.clear()

    def reset(self, seed: int) -> None:
        """Disarm everything, and draw from the beginning again."""
        self._armed.clear()
        self._random.seed(seed)

    def take(self, method: str, path: str) -> Fault | None:
        """The fault this request runs into, used up by one; None when all goes well."""
        for index, fault in enumerate(self._armed):
            if not matches(fault.match, method, path):
                continue
            if fault.chance < 1.0 and self._random.random() >= fault.chance:
                continue
            if fault.times is not None:
                self._armed[index : index + 1] = [evolve(fault, times=fault.times - 1)] if fault.times > 1 else []
            return fault
        return None
