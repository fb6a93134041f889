"""CCV's notifications. They have no body and could come from anyone (D1), so they only bring polls forward."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orderflow._provider.endpoints import Claim, Endpoint

PER_ORDER = "notification"
SHARED = "notifications"


def understand_notification(_parameters: Sequence[tuple[str, str]]) -> Claim:
    """No claim: there may be a new status."""
    return Claim(None)


ENDPOINTS: Mapping[str, tuple[Endpoint, ...]] = {
    "order": (Endpoint(PER_ORDER, ("POST",), understand_notification),),
    "shared": (Endpoint(SHARED, ("POST",), understand_notification, shared=True),),
    "off": (),
}
"""By the setting ``notifications``: a URL for each order, one URL for all of them where CCV allows traffic to a single URL, or none."""
