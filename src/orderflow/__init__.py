"""orderflow: the lives of orders that outside providers run.

The public API. Names are imported on first use, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orderflow.app import Orderflow
    from orderflow.blocking import SyncOrderflow, sync
    from orderflow.providers.ccv import ccv
    from orderflow.providers.connect import connect
    from orderflow.records import JournalRow, Order, RefusalRow, Timing, Told
    from orderflow.vocabulary import Applied, Ignored, Reason, Refused

_HOMES = {
    "Applied": "orderflow.vocabulary",
    "Ignored": "orderflow.vocabulary",
    "JournalRow": "orderflow.records",
    "Order": "orderflow.records",
    "Orderflow": "orderflow.app",
    "Reason": "orderflow.vocabulary",
    "RefusalRow": "orderflow.records",
    "Refused": "orderflow.vocabulary",
    "SyncOrderflow": "orderflow.blocking",
    "Timing": "orderflow.records",
    "Told": "orderflow.records",
    "ccv": "orderflow.providers.ccv",
    "connect": "orderflow.providers.connect",
    "sync": "orderflow.blocking",
}

__all__ = [
    "Applied",
    "Ignored",
    "JournalRow",
    "Order",
    "Orderflow",
    "Reason",
    "RefusalRow",
    "Refused",
    "SyncOrderflow",
    "Timing",
    "Told",
    "ccv",
    "connect",
    "sync",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'orderflow' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
