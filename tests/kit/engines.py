"""What tests ask of an engine whose worker does not run. No test lives here."""

from __future__ import annotations

from orderflow._engine.engine import Engine
from orderflow._store.records import WorkerScope


def scope_of(engine: Engine) -> WorkerScope:
    """What the engine's worker could run now."""
    return engine.worker.scope()
