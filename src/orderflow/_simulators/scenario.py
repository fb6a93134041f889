"""The header ``X-Sim-Scenario``: what happens to one request. Contains only: its language, and how often each item was used.

``X-Sim-Scenario: status=429;times=2, cancel`` holds items, separated by commas. An item is one of:

* A fault: its kind, with ``=`` and a status code or a time for the kinds that have one: ``reset``, ``status=429``, ``delay=10ms``.
* A tag of the provider's magic values, which overrides the tags in the request's data.

A fault happens once to a request (same method, path and body), so that a repeat succeeds. ``;times=n`` makes it happen n times,
``;times=always`` always.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

from attrs import frozen

from orderflow._simulators.faults import KINDS, MEANINGS, WITH_SECONDS, WITH_STATUS, Fault, FaultKind

HEADER: Final = "x-sim-scenario"
TAGS: Final = "orderflow.tags"
"""ASGI scope: the header's items that are the provider's tags, as a tuple of text."""

_EXAMPLES: Final = {**dict.fromkeys(WITH_STATUS, "=429"), **dict.fromkeys(WITH_SECONDS, "=5s")}
HTTP_SCENARIOS: Final[Mapping[str, str]] = {f"{kind}{_EXAMPLES.get(kind, '')}": meaning for kind, meaning in MEANINGS.items()}
"""Each kind of fault as an item of the header, with its meaning. Any status code and any time may stand behind ``=``."""

_STATUS: Final = re.compile(r"[1-5]\d\d")
_SECONDS: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s)?")

ErrorResponse = Callable[[int], tuple[Mapping[str, str], bytes]]
"""A provider's error response for a status code: headers and body."""


class UnknownScenario(ValueError):
    """The header has an item that is neither a fault nor a tag of the provider."""


@frozen
class Scenario:
    """What the header asks for one request."""

    fault: Fault | None = None
    tags: tuple[str, ...] = ()


def make_fault(kind: FaultKind, status: int, error_response: ErrorResponse) -> Fault:
    """A fault for any request; a ``status`` kind gets the headers and the body of the provider's error response."""
    if kind not in WITH_STATUS:
        return Fault("", kind)
    headers, body = error_response(status)
    if kind == "status-html":
        return Fault("", kind, status, {**headers, "content-type": "text/html; charset=utf-8"})
    return Fault("", kind, status, headers, b"" if kind == "status-empty" else body)


def parse_fault(item: str, error_response: ErrorResponse) -> Fault | None:
    """The fault that an item such as ``reset`` or ``status=429`` stands for, for any request; None if it is no fault."""
    name, equals, value = item.partition("=")
    kind = next((kind for kind in KINDS if kind == name), None)
    if kind is None:
        return None
    if kind in WITH_STATUS:
        return make_fault(kind, int(value), error_response) if _STATUS.fullmatch(value) else None
    if kind in WITH_SECONDS:
        time = _SECONDS.fullmatch(value)
        return Fault("", kind, seconds=float(time[1]) * (0.001 if time[2] == "ms" else 1.0)) if time else None
    return None if equals else Fault("", kind)


class HeaderScenarios:
    """Reads the header of each request, and counts the faults that were used."""

    def __init__(self, error_response: ErrorResponse, is_tag: Callable[[str], bool]) -> None:
        self._error_response = error_response
        self._is_tag = is_tag
        self._used: Counter[tuple[str, str, bytes, str]] = Counter()

    def clear(self) -> None:
        """Restart all counts."""
        self._used.clear()

    def read(self, header: str, method: str, path: str, body: bytes) -> Scenario:
        """What happens to this request; a fault that is returned is counted.

        Raises:
            UnknownScenario: an item means nothing; the exception's text is the item.
        """
        fault: Fault | None = None
        tags: list[str] = []
        for item in filter(None, (part.strip() for part in header.split(","))):
            name, _, option = (part.strip() for part in item.partition(";"))
            parsed = parse_fault(name, self._error_response)
            if parsed is not None:
                if self._count((method, path, body, item), option) and fault is None:
                    fault = parsed
                continue
            tag = name.lstrip("+#")
            if option or not self._is_tag(tag):
                raise UnknownScenario(item)
            tags.append(tag)
        return Scenario(fault, tuple(tags))

    def _count(self, key: tuple[str, str, bytes, str], option: str) -> bool:
        """Count a use of the item; whether it still happens."""
        times = option.removeprefix("times=") if option else "1"
        if times == "always":
            return True
        if not times.isdigit():
            raise UnknownScenario(key[-1])
        self._used[key] += 1
        return self._used[key] <= int(times)
