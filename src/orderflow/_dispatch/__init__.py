"""What brings owed effects to a worker: ``local`` (it leases the effects' rows) or ``pgqueuer`` (jobs in a queue point at the rows).

Contains only: implementations of ``ports.Dispatcher``, one per module, and the choice between them. ``local`` stays without
priorities and dashboards: a queue that has them gets a dispatcher of its own.
"""

from __future__ import annotations

from importlib.util import find_spec

from orderflow._dispatch.local import LocalDispatcher
from orderflow._dispatch.ports import Dispatcher
from orderflow._distribution import describe_install
from orderflow._store.ports import Store
from orderflow._store.urls import parse_database_url
from orderflow.errors import ConfigurationError, UnknownName

NAMES = ("local", "pgqueuer")


def make_dispatcher(name: str, store: Store) -> Dispatcher:
    """Make a dispatcher by its name, before the store is opened.

    Raises:
        UnknownName: no such dispatcher.
        ConfigurationError: a package is missing, or this store cannot serve it.
    """
    if name == "local":
        return LocalDispatcher(store)
    if name != "pgqueuer":
        raise UnknownName("dispatcher", name, NAMES)
    if find_spec("pgqueuer") is None or find_spec("asyncpg") is None:
        raise ConfigurationError(f"pgqueuer is not installed: {describe_install('postgres')}", "dispatch")
    from orderflow._dispatch.pgqueuer import PgqueuerDispatcher  # noqa: PLC0415 - needs the extra

    return PgqueuerDispatcher(store)


async def upgrade(url: str) -> None:
    """Bring the queue in a database up to date, if it has one. Opening a store with that dispatcher does it too.

    Raises:
        SchemaError: its tables are a newer release's, or cannot be converted; OperationalError: the database cannot be reached.
    """
    if parse_database_url(url)[0] == "postgresql" and find_spec("pgqueuer") is not None:
        from orderflow._dispatch.pgqueuer_tables import upgrade_at  # noqa: PLC0415 - needs the extra

        await upgrade_at(url)
