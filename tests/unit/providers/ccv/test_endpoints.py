"""CCV's endpoints: a notification claims nothing, whatever its parameters are."""

from __future__ import annotations

from typing import Any

import pytest

from orderflow._provider.endpoints import Claim, Endpoint
from orderflow._providers.ccv import Ccv
from orderflow._providers.ccv.endpoints import ENDPOINTS


@pytest.mark.parametrize("endpoint", [*ENDPOINTS["order"], *ENDPOINTS["shared"]], ids=lambda endpoint: endpoint.purpose)
@pytest.mark.parametrize("parameters", [[], [("orderStatus", "Completed")], [("x", "y")] * 200])
def test_a_notification_claims_nothing(endpoint: Endpoint, parameters: list[tuple[str, str]]) -> None:
    assert endpoint.parse_claim(parameters) == Claim(None)


@pytest.mark.parametrize(
    ("notifications", "expected"),
    [
        ("order", [("notification", ("POST",), False, None)]),
        ("shared", [("notifications", ("POST",), True, None)]),
        ("off", []),
    ],
)
def test_there_is_the_endpoint_that_is_configured_and_no_other(notifications: Any, expected: list[Any]) -> None:
    endpoints = Ccv("https://ccv.example", "key", notifications=notifications).endpoints
    assert [(endpoint.purpose, endpoint.methods, endpoint.shared, endpoint.find_page) for endpoint in endpoints] == expected
