"""Database URLs, and the store that a URL names."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from orderflow._distribution import describe_install
from orderflow._store.ports import Store
from orderflow._store.sqlite.store import SqliteStore
from orderflow.errors import ConfigurationError


def parse_database_url(url: str) -> tuple[str, str]:
    """What a database URL names: ``("sqlite", path)`` or ``("postgresql", url)``.

    Raises:
        ConfigurationError: no database that orderflow knows, or its driver is not installed.
    """
    scheme, _, rest = url.partition("://") if "\0" not in url else ("", "", "")
    if scheme == "sqlite" and len(rest) > 1 and rest.startswith("/"):
        return "sqlite", rest[1:]
    if scheme in ("postgresql", "postgres") and rest:
        if find_spec("asyncpg") is None:
            raise ConfigurationError(f"{scheme}:// needs asyncpg: {describe_install('postgres')}", "db")
        return "postgresql", url
    raise ConfigurationError("want sqlite:///relative.db, sqlite:////absolute.db or postgresql://host/database", "db")


def make_store(url: str, *, create: bool = True) -> Store:
    """The store of a database URL: ``sqlite:///orders.db`` (relative), ``sqlite:////var/lib/orders.db`` (absolute) or
    ``postgresql://user:password@host/database`` (extra ``postgres``). Without ``create`` its tables must be there.

    Raises:
        ConfigurationError: the URL names no database that orderflow knows, or its driver is not installed.
    """
    scheme, location = parse_database_url(url)
    if scheme == "sqlite":
        return SqliteStore(Path(location), create=create)
    from orderflow._store.postgres.store import PostgresStore  # noqa: PLC0415 - needs the extra

    return PostgresStore(location, create=create)
