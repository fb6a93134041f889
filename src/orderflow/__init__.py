"""orderflow: the lives of orders that outside providers run.

The public API. Names are imported on first use, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orderflow.app import Orderflow
    from orderflow.blocking import SyncOrderflow, sync
    from orderflow.model import Applied, Ignored, JournalRow, Order, Reason, RefusalRow, Refused, StateEntered
    from orderflow.provider.timing import Timing
    from orderflow.providers.ccv import Ccv
    from orderflow.providers.connect import Connect

_HOMES = {
    "Applied": "orderflow.model",
    "Ccv": "orderflow.providers.ccv",
    "Connect": "orderflow.providers.connect",
    "Ignored": "orderflow.model",
    "JournalRow": "orderflow.model",
    "Order": "orderflow.model",
    "Orderflow": "orderflow.app",
    "Reason": "orderflow.model",
    "RefusalRow": "orderflow.model",
    "Refused": "orderflow.model",
    "StateEntered": "orderflow.model",
    "SyncOrderflow": "orderflow.blocking",
    "Timing": "orderflow.provider.timing",
    "sync": "orderflow.blocking",
}

__all__ = [
    "Applied",
    "Ccv",
    "Connect",
    "Ignored",
    "JournalRow",
    "Order",
    "Orderflow",
    "Reason",
    "RefusalRow",
    "Refused",
    "StateEntered",
    "SyncOrderflow",
    "Timing",
    "sync",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'orderflow' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
