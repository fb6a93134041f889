"""What brings owed effects to a worker: ``local`` (the effect row is the job) or ``pgqueuer`` (a job points at the row).

What may live here: implementations of ``ports.Dispatcher``, one a module, and the choice between them. A wish for more features
(priorities, dashboards) is answered by an engine's adapter, never by growing ``local``.
"""

from __future__ import annotations

from orderflow.dispatch.local import LocalDispatcher
from orderflow.errors import UnknownName
from orderflow.ports import Dispatcher, Store

NAMES = ("local",)


def dispatcher_of(name: str, store: Store) -> Dispatcher:
    """The dispatcher of a name.

    Raises:
        UnknownName: no such dispatcher.
    """
    if name == "local":
        return LocalDispatcher(store)
    raise UnknownName("dispatcher", name, NAMES)
