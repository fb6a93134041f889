"""orderflow: keeps orders that an outside provider runs in your own database.

The public API. A name is imported on first use, so that ``import orderflow`` is fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orderflow._app import Orderflow
    from orderflow._blocking import SyncOrderflow, sync
    from orderflow._engine.lanes import WorkerLimits
    from orderflow._engine.listeners import FlagHandler, Handler
    from orderflow._engine.restore import RestoreReport
    from orderflow._engine.views import OrderView
    from orderflow._engine.worker import Health
    from orderflow._flagged import FailingNotification, OrderFlagged
    from orderflow._provider.protocol import Name
    from orderflow._provider.timing import Timing
    from orderflow._providers.ccv import Ccv
    from orderflow._providers.connect import CompletionWays, Connect
    from orderflow._receiver.receiver import HttpReply
    from orderflow.errors import (
        CallerError,
        CommandRefused,
        ConfigurationError,
        DeclarationError,
        DeclarationProblem,
        InvalidInput,
        KeyReused,
        MalformedAnswer,
        NotOpen,
        NotReplayable,
        OperationalError,
        OrderflowError,
        OrderInDoubt,
        OutOfReach,
        ProviderError,
        SchemaError,
        UnknownName,
        UnreadableRow,
        WaitTimeout,
    )
    from orderflow.lifecycle import (
        Fact,
        Flag,
        Lifecycle,
        State,
        assumed,
        documented,
        edge,
        inferred,
        once,
        reading,
        repeatable,
    )
    from orderflow.model import (
        Applied,
        Cause,
        Decision,
        Event,
        Evidence,
        Ignored,
        JournalRow,
        Listener,
        Message,
        Observation,
        Order,
        OrderHistory,
        Origin,
        Pending,
        PendingEffect,
        ProviderProblem,
        ProviderStanding,
        Reason,
        RefusalRow,
        Refused,
        Snapshot,
        StateEntered,
        StepKind,
        Strength,
    )

_MODULES = {
    "orderflow._app": ("Orderflow",),
    "orderflow._blocking": ("SyncOrderflow", "sync"),
    "orderflow._engine.lanes": ("WorkerLimits",),
    "orderflow._engine.listeners": ("FlagHandler", "Handler"),
    "orderflow._engine.restore": ("RestoreReport",),
    "orderflow._engine.views": ("OrderView",),
    "orderflow._engine.worker": ("Health",),
    "orderflow._flagged": ("FailingNotification", "OrderFlagged"),
    "orderflow.errors": (
        "CallerError",
        "CommandRefused",
        "ConfigurationError",
        "DeclarationError",
        "DeclarationProblem",
        "InvalidInput",
        "KeyReused",
        "MalformedAnswer",
        "NotOpen",
        "NotReplayable",
        "OperationalError",
        "OrderInDoubt",
        "OrderflowError",
        "OutOfReach",
        "ProviderError",
        "SchemaError",
        "UnknownName",
        "UnreadableRow",
        "WaitTimeout",
    ),
    "orderflow.lifecycle": (
        "Fact",
        "Flag",
        "Lifecycle",
        "State",
        "assumed",
        "documented",
        "edge",
        "inferred",
        "once",
        "reading",
        "repeatable",
    ),
    "orderflow.model": (
        "Applied",
        "Cause",
        "Decision",
        "Event",
        "Evidence",
        "Ignored",
        "JournalRow",
        "Listener",
        "Message",
        "Observation",
        "Order",
        "OrderHistory",
        "Origin",
        "Pending",
        "PendingEffect",
        "ProviderProblem",
        "ProviderStanding",
        "Reason",
        "RefusalRow",
        "Refused",
        "Snapshot",
        "StateEntered",
        "StepKind",
        "Strength",
    ),
    "orderflow._provider.protocol": ("Name",),
    "orderflow._provider.timing": ("Timing",),
    "orderflow._providers.ccv": ("Ccv",),
    "orderflow._providers.connect": ("Connect", "CompletionWays"),
    "orderflow._receiver.receiver": ("HttpReply",),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "Applied",
    "CallerError",
    "Cause",
    "Ccv",
    "CommandRefused",
    "CompletionWays",
    "ConfigurationError",
    "Connect",
    "Decision",
    "DeclarationError",
    "DeclarationProblem",
    "Event",
    "Evidence",
    "Fact",
    "FailingNotification",
    "Flag",
    "FlagHandler",
    "Handler",
    "Health",
    "HttpReply",
    "Ignored",
    "InvalidInput",
    "JournalRow",
    "KeyReused",
    "Lifecycle",
    "Listener",
    "MalformedAnswer",
    "Message",
    "Name",
    "NotOpen",
    "NotReplayable",
    "Observation",
    "OperationalError",
    "Order",
    "OrderFlagged",
    "OrderHistory",
    "OrderInDoubt",
    "OrderView",
    "Orderflow",
    "OrderflowError",
    "Origin",
    "OutOfReach",
    "Pending",
    "PendingEffect",
    "ProviderError",
    "ProviderProblem",
    "ProviderStanding",
    "Reason",
    "RefusalRow",
    "Refused",
    "RestoreReport",
    "SchemaError",
    "Snapshot",
    "State",
    "StateEntered",
    "StepKind",
    "Strength",
    "SyncOrderflow",
    "Timing",
    "UnknownName",
    "UnreadableRow",
    "WaitTimeout",
    "WorkerLimits",
    "assumed",
    "documented",
    "edge",
    "inferred",
    "once",
    "reading",
    "repeatable",
    "sync",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'orderflow' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
