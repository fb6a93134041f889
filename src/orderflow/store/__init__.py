"""Where orders are kept. ``open_store`` picks the store that a database URL names."""

from __future__ import annotations

from pathlib import Path

from orderflow.errors import ConfigurationError
from orderflow.ports import Store
from orderflow.store.sqlite import SqliteStore


def store_at(url: str, *, create: bool = True) -> Store:
    """The store of a database URL: ``sqlite:///orders.db`` (relative) or ``sqlite:////var/lib/orders.db`` (absolute).

    Raises:
        ConfigurationError: the URL names no database that orderflow knows.
    """
    scheme, separator, path = url.partition(":///")
    if scheme != "sqlite" or not separator or not path:
        raise ConfigurationError("db: want sqlite:///relative.db or sqlite:////absolute.db")
    return SqliteStore(Path(path), create=create)
