"""What brings owed effects to a worker: ``local`` (the effect row is the job) or ``pgqueuer`` (a job points at the row).

What may live here: implementations of ``ports.Dispatcher``, one a module, and the choice between them. A wish for more features
(priorities, dashboards) is answered by an engine's adapter, never by growing ``local``.
"""

from __future__ import annotations

from importlib.util import find_spec

from orderflow.dispatch.local import LocalDispatcher
from orderflow.dispatch.ports import Dispatcher
from orderflow.errors import ConfigurationError, UnknownName
from orderflow.store.ports import Store
from orderflow.store.urls import parse_database_url

NAMES = ("local", "pgqueuer")


def dispatcher_of(name: str, store: Store) -> Dispatcher:
    """The dispatcher of a name, made before the store is opened.

    Raises:
        UnknownName: no such dispatcher.
        ConfigurationError: what it needs is not installed, or this store cannot serve it.
    """
    if name == "local":
        return LocalDispatcher(store)
    if name != "pgqueuer":
        raise UnknownName("dispatcher", name, NAMES)
    if find_spec("pgqueuer") is None or find_spec("asyncpg") is None:
        raise ConfigurationError("pgqueuer is not installed: pip install 'orderflow[postgres]'", "dispatch")
    from orderflow.dispatch.pgqueuer import PgqueuerDispatcher  # noqa: PLC0415 - needs the extra

    return PgqueuerDispatcher(store)


async def upgrade(url: str) -> None:
    """Bring the queue in a database up to date, where it has one. Whoever opens the database with that dispatcher does it otherwise.

    Raises:
        SchemaError: its tables are a newer release's, or cannot be converted; OperationalError: not reachable.
    """
    if parse_database_url(url)[0] == "postgresql" and find_spec("pgqueuer") is not None:
        from orderflow.dispatch.pgqueuer_tables import upgrade_at  # noqa: PLC0415 - needs the extra

        await upgrade_at(url)
