"""CCV's endpoints: a notification claims nothing, whatever its parameters are."""

from __future__ import annotations

import pytest

from orderflow._provider.endpoints import Claim, Endpoint
from orderflow._providers.ccv.endpoints import ENDPOINTS


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.purpose)
@pytest.mark.parametrize("parameters", [[], [("orderStatus", "Completed")], [("x", "y")] * 200])
def test_a_notification_claims_nothing(endpoint: Endpoint, parameters: list[tuple[str, str]]) -> None:
    assert endpoint.parse_claim(parameters) == Claim(None)


def test_there_is_a_url_for_each_order_and_a_shared_one_and_no_browser() -> None:
    assert [(endpoint.purpose, endpoint.methods, endpoint.shared, endpoint.find_page) for endpoint in ENDPOINTS] == [
        ("notification", ("POST",), False, None),
        ("notifications", ("POST",), True, None),
    ]
