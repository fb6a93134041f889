"""CCV's endpoints: a notification says that there may be news, whatever it says besides."""

from __future__ import annotations

import pytest

from orderflow.provider.endpoints import Claim
from orderflow.providers.ccv.endpoints import ENDPOINTS


@pytest.mark.parametrize("inlet", ENDPOINTS, ids=lambda inlet: inlet.purpose)
@pytest.mark.parametrize("said", [[], [("orderStatus", "Completed")], [("x", "y")] * 200])
def test_a_notification_claims_nothing(inlet: object, said: list[tuple[str, str]]) -> None:
    assert inlet.understand(said) == Claim(None)  # type: ignore[attr-defined]


def test_there_is_a_url_per_order_and_a_shared_one_and_no_browser() -> None:
    assert [(inlet.purpose, inlet.methods, inlet.shared, inlet.page) for inlet in ENDPOINTS] == [
        ("notification", ("POST",), False, ""),
        ("notifications", ("POST",), True, ""),
    ]
