"""The header ``X-Sim-Scenario``: what one request is to run into. What may live here: its language, and the count of how
often each was played.

``X-Sim-Scenario: 429;times=2, cancel`` holds items with commas between. An item is a mishap of HTTP (below), or a tag of
the provider's own magic values, which then overrides those in the request's data. A mishap happens to the first request
as sent (same method, path and body), so that a repeat goes through; ``;times=n`` to the first n, ``;times=always`` to all.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping

from attrs import frozen

from orderflow.simulators.faults import Fault, FaultKind

HEADER = "x-sim-scenario"
TAGS = "orderflow.tags"
"""ASGI scope: the header's items that are the provider's tags, as a tuple of text."""

HTTP_SCENARIOS: Mapping[str, str] = {
    "<status>": "that status, in the provider's error body, nothing acted on: 400, 401, 403, 404, 429, 500, 503, ...",
    "<status>-html": "that status with a page of HTML as its body",
    "<status>-empty": "that status with no body",
    "<status>-after-commit": "acted on, then that status",
    "timeout": "never answered, nothing acted on",
    "timeout-after-commit": "acted on, never answered",
    "reset": "the connection is reset, nothing acted on",
    "reset-after-commit": "acted on, then the connection is reset",
    "cut": "acted on, half of the answer's body, then the connection closes",
    "slow=5s": "acted on, the answer dripped out over so long",
    "delay=5s": "acted on after so long, then answered",
    "garbage": "acted on, 200 with a body that is not JSON",
    "html": "acted on, 200 with a page of HTML",
    "xml": "acted on, 200 with XML",
    "empty": "acted on, 200 with no body",
}

_PLAIN: Mapping[str, FaultKind] = {
    "timeout": "hang",
    "timeout-after-commit": "hang_after",
    "reset": "cut_before",
    "reset-after-commit": "cut_after",
    "cut": "cut_body",
    "garbage": "garbage",
    "html": "html",
    "xml": "xml",
    "empty": "empty",
}
_STATUS = re.compile(r"([1-5]\d\d)(-after-commit|-html|-empty)?")
_SLOW = re.compile(r"(slow|delay)=(\d+(?:\.\d+)?)(ms|s)?")

Refusal = Callable[[int], tuple[Mapping[str, str], bytes]]
"""How a provider words a refusal: headers and body for a status."""


class UnknownScenario(ValueError):
    """The header names something that neither HTTP nor the provider's simulator has."""


@frozen
class Told:
    """What the header asks for this one request."""

    fault: Fault | None = None
    tags: tuple[str, ...] = ()


def http_fault(name: str, refusal: Refusal) -> Fault | None:
    """The mishap of HTTP that a name means; None when it is none."""
    if kind := _PLAIN.get(name):
        return Fault("", kind)
    if slow := _SLOW.fullmatch(name):
        scale = 0.001 if slow[3] == "ms" else 1.0
        return Fault("", "slow" if slow[1] == "slow" else "delay", seconds=float(slow[2]) * scale)
    if not (status := _STATUS.fullmatch(name)):
        return None
    headers, body = refusal(int(status[1]))
    if status[2] == "-html":
        headers, body = {**headers, "content-type": "text/html; charset=utf-8"}, b"<!doctype html><title>Error</title><h1>Error</h1>"
    if status[2] == "-empty":
        body = b""
    return Fault("", "status_after" if status[2] == "-after-commit" else "status", int(status[1]), headers, body)


class HeaderScenarios:
    """Reads the header, request by request."""

    def __init__(self, refusal: Refusal, knows: Callable[[str], bool]) -> None:
        self._refusal = refusal
        self._knows = knows
        self._played: Counter[tuple[str, str, bytes, str]] = Counter()

    def clear(self) -> None:
        """Forget what was played."""
        self._played.clear()

    def read(self, text: str, method: str, path: str, body: bytes) -> Told:
        """What this request is to run into. Raises UnknownScenario."""
        fault: Fault | None = None
        tags: list[str] = []
        for item in filter(None, (part.strip() for part in text.split(","))):
            name, _, option = (part.strip() for part in item.partition(";"))
            found = http_fault(name, self._refusal)
            if found is None:
                if option or not self._knows(name.lstrip("+#")):
                    raise UnknownScenario(item)
                tags.append(name.lstrip("+#"))
            elif self._due((method, path, body, item), option, item) and fault is None:
                fault = found
        return Told(fault, tuple(tags))

    def _due(self, key: tuple[str, str, bytes, str], option: str, item: str) -> bool:
        times = option.removeprefix("times=") if option else "1"
        if times == "always":
            return True
        if not times.isdigit():
            raise UnknownScenario(item)
        self._played[key] += 1
        return self._played[key] <= int(times)
