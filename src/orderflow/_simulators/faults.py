"""Faults: what goes wrong with a request on its way to or from the provider.

Contains only: a fault as a value, the names of all kinds, the pattern that selects requests, and the list of armed faults.
The kinds have the same names everywhere: in Python, in the header ``X-Sim-Scenario``, in ``/_sim/faults`` and on the pages.
playback.py carries a fault out on the connection.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, Final, Literal, get_args

from attrs import Attribute, evolve, field, frozen

FaultKind = Literal[
    "status",
    "status-html",
    "status-empty",
    "status-after-commit",
    "reset",
    "reset-after-commit",
    "timeout",
    "timeout-after-commit",
    "cut-body",
    "slow",
    "delay",
    "garbage",
    "html",
    "xml",
    "empty",
]
KINDS: Final[tuple[FaultKind, ...]] = get_args(FaultKind)
WITH_STATUS: Final = frozenset({"status", "status-html", "status-empty", "status-after-commit"})
"""The kinds that answer with the status code ``Fault.status``."""
STATUS_CODES: Final = range(100, 600)
WITH_SECONDS: Final = frozenset({"slow", "delay"})
"""The kinds that last ``Fault.seconds``."""
MEANINGS: Final[Mapping[FaultKind, str]] = {
    "status": "not acted on; that status code, with the provider's error body",
    "status-html": "not acted on; that status code, with a page of HTML",
    "status-empty": "not acted on; that status code, without a body",
    "status-after-commit": "acted on; that status code, with the provider's error body",
    "reset": "not acted on; the connection is reset",
    "reset-after-commit": "acted on; the connection is reset without an answer",
    "timeout": "not acted on; never answered",
    "timeout-after-commit": "acted on; never answered",
    "cut-body": "acted on; half of the answer's body, then the connection closes",
    "slow": "acted on; the answer's body is sent in small pieces over that time",
    "delay": "acted on after that time, then answered",
    "garbage": "acted on; 200 with a body that is not JSON",
    "html": "acted on; 200 with a page of HTML",
    "xml": "acted on; 200 with XML",
    "empty": "acted on; 200 without a body",
}


def matches(pattern: str, method: str, path: str) -> bool:
    """Whether ``pattern`` selects a request.

    ``"POST /v1/order"`` selects each request whose ``"METHOD /path"`` begins with it. A pattern with ``*``, ``?`` or ``[`` must match
    the whole, as in a shell. A pattern that begins with ``/`` is for any method; the empty pattern selects every request.
    The query is not part of the path.
    """
    subject = path if pattern.startswith("/") else f"{method} {path}"
    return fnmatchcase(subject, pattern) if any(c in pattern for c in "*?[") else subject.startswith(pattern)


def _check_kind(_fault: Fault, attribute: Attribute[Any], kind: object) -> None:
    if kind not in KINDS:
        raise ValueError(f"{attribute.name}: {kind!r} is none of {', '.join(KINDS)}")


@frozen
class Fault:
    """One thing that goes wrong with the next ``times`` requests that match (None: with all of them).

    Attributes:
        match: which requests; see ``matches``.
        kind: what goes wrong; ``MEANINGS`` explains each kind.
        status: the status code of the ``status`` kinds.
        headers: more headers of the answer that the fault makes.
        body: the body of that answer. For ``html``, ``status-html``, ``xml`` and ``garbage``, empty means a stock text.
        seconds: real seconds that ``slow`` and ``delay`` last.
        times: how many requests.
        chance: the share of matching requests, drawn from the seeded randomness of ``Faults``.

    Raises ValueError for an unknown kind.
    """

    match: str
    kind: FaultKind = field(validator=_check_kind)
    status: int = 500
    headers: Mapping[str, str] = field(factory=dict)
    body: bytes = b""
    seconds: float = 0.0
    times: int | None = 1
    chance: float = 1.0


class Faults:
    """The armed faults, in the order in which they were armed. A request takes the first one that matches."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)  # noqa: S311 - reproducible faults, not a secret
        self._armed: list[Fault] = []

    @property
    def armed(self) -> tuple[Fault, ...]:
        """The faults still to come; ``times`` counts down."""
        return tuple(self._armed)

    def arm(self, fault: Fault) -> None:
        """Add a fault."""
        self._armed.append(fault)

    def clear(self) -> None:
        """Remove all faults."""
        self._armed.clear()

    def reset(self, seed: int) -> None:
        """Remove all faults and restart the randomness."""
        self._armed.clear()
        self._random.seed(seed)

    def take(self, method: str, path: str) -> Fault | None:
        """The fault for this request, counted down by one; None if there is none."""
        for index, fault in enumerate(self._armed):
            if not matches(fault.match, method, path):
                continue
            if fault.chance < 1.0 and self._random.random() >= fault.chance:
                continue
            if fault.times is not None:
                self._armed[index : index + 1] = [evolve(fault, times=fault.times - 1)] if fault.times > 1 else []
            return fault
        return None
