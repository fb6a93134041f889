"""Every way in which an HTTP call can end, and what it proves (DESIGN rule 9): one table for each effect and poll of each provider."""

from __future__ import annotations

import json
from typing import Any

from attrs import evolve, frozen
from tests.kit.world import CANARIES, EMAIL, NAME, PHONE

from orderflow._provider.outcomes import InDoubt, NotExecuted, Outcome, ReadFailed, Rejected
from orderflow.simulators import Fault

QUOTING_BODY = {"exceptionType": "SomeException", "errorMessage": f"{NAME} {EMAIL} {PHONE}", "error_description": " ".join(CANARIES)}
"""A body that quotes what we sent, as providers do."""


@frozen
class FaultCase:
    """A fault, the outcome that an effect must have with it, and how often the provider acted."""

    name: str
    fault: dict[str, Any]
    outcome: type[NotExecuted | Rejected | InDoubt]
    executed: int
    retry_after: float | None = None

    def at(self, match: str, times: int | None = None) -> Fault:
        """The fault at the requests that match."""
        return Fault(match, **{"times": times, "body": json.dumps(QUOTING_BODY).encode(), **self.fault})

    def assert_answer_kept(self, outcome: Outcome | ReadFailed) -> None:
        """The outcome carries what the fault answered, or nothing where nothing was answered."""
        if self.name.startswith("reset"):
            assert outcome.answer is None
            return
        assert outcome.answer is not None
        assert outcome.answer.status in ((200, 201) if self.name == "cut-body" else (self.fault.get("status", 200),))
        assert outcome.answer.whole == (not self.name.startswith(("cut-body", "not-gzip")))
        if outcome.answer.whole and self.name != "204":
            assert outcome.answer.body == self.at("").body


def _status(status: int, outcome: type[NotExecuted | Rejected | InDoubt], **headers: str) -> FaultCase:
    name = "-".join([str(status), *headers])
    real_headers = {header.replace("_", "-"): value for header, value in headers.items()}
    seconds = next((float(value) for value in headers.values() if value.isdigit()), None)
    fault = {"kind": "status", "status": status, "headers": real_headers}
    return FaultCase(name, fault, outcome, 0, seconds if status == 429 else None)


def _page(status: int, outcome: type[NotExecuted | InDoubt]) -> FaultCase:
    """The page of a firewall or proxy: the provider was not reached."""
    return FaultCase(f"{status}-html", {"kind": "status-html", "status": status, "body": f"<h1>{NAME}</h1>".encode()}, outcome, 0)


def _garbled(status: int) -> FaultCase:
    """A status that proves enough, with a body that cannot be decoded."""
    return FaultCase(f"not-gzip-{status}", {"kind": "status", "status": status, "headers": {"Content-Encoding": "gzip"}}, NotExecuted, 0)


def _after_acting(kind: str, **fault: Any) -> FaultCase:
    """A fault of the answer alone: the provider acted."""
    return FaultCase(kind, {"kind": kind, **fault}, InDoubt, 1)


def _body(name: str, body: bytes) -> FaultCase:
    """A 200 with an unusable body."""
    return FaultCase(name, {"kind": "garbage", "body": body}, InDoubt, 1)


FAULT_CASES = (
    _status(400, Rejected),
    _status(401, NotExecuted),
    _status(403, Rejected),
    _status(404, Rejected),
    _status(405, Rejected),
    _status(407, NotExecuted),
    _status(408, InDoubt),
    _status(409, Rejected),
    _status(425, NotExecuted),
    *(_page(status, NotExecuted) for status in (400, 403, 404, 405, 413)),
    _page(503, InDoubt),
    _status(429, NotExecuted),
    _status(429, NotExecuted, X_RateLimit_Reset="7"),
    _status(429, NotExecuted, Retry_After="9"),
    FaultCase("429-odd", {"kind": "status", "status": 429, "headers": {"Retry-After": "soon"}}, NotExecuted, 0),
    _status(500, InDoubt),
    _status(502, InDoubt),
    _status(503, InDoubt),
    _status(302, InDoubt, Location="/elsewhere"),
    _status(204, InDoubt),
    _after_acting("status-after-commit", status=500),
    _after_acting("garbage", body=f"<<{NAME}".encode()),
    _after_acting("html", body=f"<p>{EMAIL}</p>".encode()),
    _after_acting("xml", body=f"<message>{PHONE}</message>".encode()),
    _after_acting("empty", body=b""),
    _after_acting("cut-body"),
    _after_acting("reset-after-commit"),
    FaultCase("reset", {"kind": "reset"}, InDoubt, 0),
    _body("no-object", json.dumps([EMAIL]).encode()),
    _body("no-id", b"{}"),
    _body("nulls", b'{"orderId": null, "fulfillmentStatus": null, "orders": null}'),
    _body("not-finite", b'{"orderId": NaN}'),
    _body("not-unicode", b'{"orderId": "\xff\xfe"}'),
    _body("too-deep", b"[" * 200_000),
    evolve(_status(302, NotExecuted, Location="https://sso.example/login"), name="302-to-another-host"),
    _status(511, NotExecuted),
    *(_garbled(status) for status in (401, 403, 404, 407, 425, 429, 511)),
    FaultCase("not-gzip", {"kind": "status-after-commit", "status": 200, "headers": {"Content-Encoding": "gzip"}}, InDoubt, 1),
)


def assert_no_canary(*objects: object) -> None:
    """Neither ``str`` nor ``repr`` of any object shows a secret or personal data."""
    for shown in objects:
        for text in (str(shown), repr(shown)):
            assert not [canary for canary in CANARIES if canary in text], text
