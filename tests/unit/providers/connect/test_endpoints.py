"""The claims of Connect's redirects and callbacks: only the documented values, spelled as documented, and only once."""

from __future__ import annotations

import pytest

from orderflow._provider.endpoints import Claim, Endpoint
from orderflow._providers.connect import Connect
from orderflow._providers.connect.endpoints import ENDPOINTS, find_error_page, find_return_page
from orderflow.model import Order, Snapshot

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
    ("endpoint", "parameters", "event"),
    [
        (RETURN, [(P, "success")], "returned_success"),
        (RETURN, [(P, "cancel")], "returned_cancel"),
        (RETURN, [(P, "error")], "returned_error"),
        (RETURN, [(P, "unknown")], "returned_unclear"),
        (RETURN, [("cart", "17"), (P, "success")], "returned_success"),
        (RETURN, [], "returned_bare"),
        (RETURN, [("status", "success")], "returned_bare"),
        (RETURN, [(P, "failed")], "returned_unclear"),
        *((RETURN, parameters, "returned_unclear") for parameters in UNCLEAR),
        (ERROR, [], "returned_error"),
        (ERROR, [(P, "success")], "returned_error"),
        (CALLBACK, [(P, "success")], "called_back_success"),
        (CALLBACK, [(P, "failed")], "called_back_failed"),
        *((CALLBACK, [(P, value)], None) for value in ("cancel", "error", "unknown")),
        (CALLBACK, [], None),
        *((CALLBACK, parameters, None) for parameters in UNCLEAR),
    ],
)
def test_what_a_request_claims(endpoint: Endpoint, parameters: list[tuple[str, str]], event: str | None) -> None:
    assert endpoint.parse_claim(parameters).event == event


def test_the_claims_are_those_of_the_lifecycle() -> None:
    values = ("success", "cancel", "error", "unknown", "failed", "", "x")
    claimed = {endpoint.parse_claim([(P, value)] if value else []).event for endpoint in ENDPOINTS for value in values} - {None}
    claims = {name for name, origin in Connect.table.events.items() if origin == "claim"}
    assert claimed == claims


def test_different_claims_at_one_url_are_no_duplicates() -> None:
    claims = {RETURN.parse_claim([(P, value)]).value for value in ("success", "cancel", "error", "unknown")}
    assert len(claims) == 4


# ── the page that the browser is sent on to ─────────────────────────────────────────────────────────────────────────────

PAID = set(Connect.table.readings["fulfilled"].consistent) | {"paid"}
THANKS, OOPS = "https://shop.example/thanks?cart=17#top", "https://shop.example/oops"


def make_order(state: str, **facts: str) -> Order:
    snapshot = Snapshot(state, {**Connect.table.defaults(), **facts}, {"return_page": THANKS, "error_page": OOPS}, 3)
    return Order("connect-1", "connect", "k", snapshot, 0.0, 0.0)


@pytest.mark.parametrize(
    ("parameters", "status"),
    [
        *(([(P, value)], value) for value in ("success", "cancel", "error", "unknown")),
        *((parameters, "unknown") for parameters in UNCLEAR),
    ],
)
def test_the_page_gets_the_claimed_status_in_the_documented_spelling(parameters: list[tuple[str, str]], status: str) -> None:
    page = find_return_page(make_order("confirming"), RETURN.parse_claim(parameters))
    assert page == f"https://shop.example/thanks?cart=17&{P}={status}#top"


def test_a_return_without_the_parameter_adds_none() -> None:
    assert find_return_page(make_order("confirming"), RETURN.parse_claim([])) == THANKS


def test_the_error_page_gets_an_error() -> None:
    assert find_error_page(make_order("confirming"), ERROR.parse_claim([(P, "success")])) == f"{OOPS}?{P}=error"


@pytest.mark.parametrize("claimed", ["success", "cancel", "error", "unknown", ""])
def test_what_is_known_goes_before_the_claim(claimed: str) -> None:
    claim = RETURN.parse_claim([(P, claimed)] if claimed else [])
    proven = {find_return_page(make_order(state), claim) for state in PAID}
    assert proven == {f"https://shop.example/thanks?cart=17&{P}=success#top"}
    over = [make_order("refused"), make_order("abandoned"), make_order("cancelled", window="closed")]
    assert {find_return_page(order, claim) for order in over} == {f"https://shop.example/thanks?cart=17&{P}=unknown#top"}


def test_an_order_without_a_page_has_none() -> None:
    order = Order("connect-1", "connect", "k", Snapshot("drafted", Connect.table.defaults(), {}, 0), 0.0, 0.0)
    assert find_return_page(order, Claim("returned_success", "success")) is None
