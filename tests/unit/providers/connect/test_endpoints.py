"""What Connect's redirects and callbacks are taken to claim: the documented words, spelled as documented, once; else nothing."""

from __future__ import annotations

import pytest

from orderflow.provider.endpoints import Endpoint
from orderflow.providers.connect import Connect
from orderflow.providers.connect.endpoints import ENDPOINTS

RETURN, ERROR, CALLBACK = ENDPOINTS
P = "fulfillmentStatus"

UNCLEAR = (
    [(P, "")],
    [(P, "Success")],
    [(P, "SUCCESS")],
    [(P, " success")],
    [(P, "success\0")],
    [(P, "paid")],
    [(P, "OK")],
    [(P, "%zz")],
    [(P, "succes\ufffd")],
    [("FulfillmentStatus", "success")],
    [("fulfillmentstatus", "success")],
    [("fulfillment\u017ftatus", "success")],  # its case folds to ours
    [(P, "success"), (P, "success")],
    [(P, "success"), (P, "cancel")],
    [(P, "success"), ("FULFILLMENTSTATUS", "cancel")],
    [(P, "success"), ("x", "y" * 200)],
    [(P, "success"), ("y" * 201, "")],
    [(P, "success"), *[("x", "y")] * 20],
    [(P, "success" * 50)],
)
"""Repeated, conflicting, misspelt, of the wrong case, unknown or oversized."""


@pytest.mark.parametrize(
    ("inlet", "said", "event"),
    [
        (RETURN, [(P, "success")], "returned_success"),
        (RETURN, [(P, "cancel")], "returned_cancel"),
        (RETURN, [(P, "error")], "returned_error"),
        (RETURN, [(P, "unknown")], "returned_unclear"),
        (RETURN, [("cart", "17"), (P, "success")], "returned_success"),
        (RETURN, [], "returned_bare"),
        (RETURN, [("status", "success")], "returned_bare"),
        (RETURN, [(P, "failed")], "returned_unclear"),
        *((RETURN, said, "returned_unclear") for said in UNCLEAR),
        (ERROR, [], "returned_error"),
        (ERROR, [(P, "success")], "returned_error"),
        (CALLBACK, [(P, "success")], "called_back_success"),
        (CALLBACK, [(P, "failed")], "called_back_failed"),
        *((CALLBACK, [(P, word)], None) for word in ("cancel", "error", "unknown")),
        (CALLBACK, [], None),
        *((CALLBACK, said, None) for said in UNCLEAR),
    ],
)
def test_what_is_claimed(inlet: Endpoint, said: list[tuple[str, str]], event: str | None) -> None:
    assert inlet.understand(said).event == event


def test_every_claim_is_one_of_the_lifecycles_claims() -> None:
    words = ("success", "cancel", "error", "unknown", "failed", "", "x")
    claimed = {inlet.understand([(P, word)] if word else []).event for inlet in ENDPOINTS for word in words} - {None}
    claims = {name for name, origin in Connect.table.events.items() if origin == "claim"}
    assert claimed == claims


def test_differing_claims_of_one_token_are_told_apart() -> None:
    said = [RETURN.understand([(P, word)]).value for word in ("success", "cancel", "error", "unknown")]
    assert len(set(said)) == 4
