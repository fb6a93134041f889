"""Every way an HTTP answer can go, and what it proves (DESIGN rule 7): one table for every effect and read of every provider."""

from __future__ import annotations

import json
from typing import Any

from attrs import frozen
from tests.kit.world import CANARIES, EMAIL, NAME, PHONE

from orderflow.provider.outcomes import InDoubt, NotExecuted, Rejected
from orderflow.simulators import Fault

LOUD = {"exceptionType": "SomeException", "errorMessage": f"{NAME} {EMAIL} {PHONE}", "error_description": " ".join(CANARIES)}
"""A body that quotes what we sent, as providers do."""


@frozen
class Mishap:
    """A fault, the outcome it must have, and whether the provider acted."""

    name: str
    fault: dict[str, Any]
    outcome: type[NotExecuted | Rejected | InDoubt]
    executed: int
    retry_after: float | None = None

    def on(self, match: str, times: int | None = None) -> Fault:
        return Fault(match, **{"times": times, "body": json.dumps(LOUD).encode(), **self.fault})


def _status(status: int, outcome: type[NotExecuted | Rejected | InDoubt], **headers: str) -> Mishap:
    name = "-".join([str(status), *headers])
    spelled = {header.replace("_", "-"): value for header, value in headers.items()}
    wait = next((float(value) for value in headers.values() if value.isdigit()), None)
    return Mishap(name, {"kind": "status", "status": status, "headers": spelled}, outcome, 0, wait if status == 429 else None)


def _acted(name: str, **fault: Any) -> Mishap:
    return Mishap(name, {"kind": name, **fault}, InDoubt, 1)


MISHAPS = (
    _status(400, Rejected),
    _status(401, NotExecuted),
    _status(403, Rejected),
    _status(404, Rejected),
    _status(405, Rejected),
    _status(408, InDoubt),
    _status(429, NotExecuted),
    _status(429, NotExecuted, X_RateLimit_Reset="7"),
    _status(429, NotExecuted, Retry_After="9"),
    Mishap("429-odd", {"kind": "status", "status": 429, "headers": {"Retry-After": "soon"}}, NotExecuted, 0),
    _status(500, InDoubt),
    _status(502, InDoubt),
    _status(503, InDoubt),
    _status(302, InDoubt, Location="/elsewhere"),
    _status(204, InDoubt),
    _acted("status-after-commit", status=500),
    _acted("garbage", body=f"<<{NAME}".encode()),
    _acted("html", body=f"<p>{EMAIL}</p>".encode()),
    _acted("xml", body=f"<message>{PHONE}</message>".encode()),
    _acted("empty", body=b""),
    _acted("cut-body"),
    _acted("reset-after-commit"),
    Mishap("reset", {"kind": "reset"}, InDoubt, 0),
    Mishap("no-object", {"kind": "garbage", "body": json.dumps([EMAIL]).encode()}, InDoubt, 1),
    Mishap("no-id", {"kind": "garbage", "body": b"{}"}, InDoubt, 1),
    Mishap("nulls", {"kind": "garbage", "body": b'{"orderId": null, "fulfillmentStatus": null, "orders": null}'}, InDoubt, 1),
    Mishap("not-finite", {"kind": "garbage", "body": b'{"orderId": NaN}'}, InDoubt, 1),
    Mishap("not-unicode", {"kind": "garbage", "body": b'{"orderId": "\xff\xfe"}'}, InDoubt, 1),
    Mishap("too-deep", {"kind": "garbage", "body": b"[" * 200_000}, InDoubt, 1),
    Mishap("not-gzip", {"kind": "status-after-commit", "status": 200, "headers": {"Content-Encoding": "gzip"}}, InDoubt, 1),
)


def silent(*shown: object) -> None:
    """Nothing shown quotes a secret, personal data or a body."""
    for one in shown:
        for text in (str(one), repr(one)):
            assert not [canary for canary in CANARIES if canary in text], text
