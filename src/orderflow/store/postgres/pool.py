"""The way to PostgreSQL: a pool of connections that outlives restarts of the server, and whose fault an error is. No SQL of ours.

A lost connection leaves the outcome of its statement unknown; ``run`` may try again only what is idempotent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

import asyncpg

from orderflow.errors import ConfigurationError, NotOpen, OperationalError

T = TypeVar("T")
Boundary = Callable[[str], Awaitable[None]]
"""Awaited before each statement, with the statement: where tests stop, reorder or kill."""

_LOST = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.exceptions.OperatorInterventionError,  # shut down, crashed, starting up, cancelled
    asyncpg.TooManyConnectionsError,
)
_COLLIDED = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
_SETTINGS = {
    "application_name": "orderflow",
    "default_transaction_isolation": "read committed",  # compare-and-swap arbitrates; stricter levels would only add failures
    # every statement is made of look-ups by key: a plan made while the tables were empty must not scan them when they are full
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "random_page_cost": "1.1",
    "jit": "off",
}
_STATEMENT_SECONDS = 30.0
_CLOSE_SECONDS = 10.0
_FIRST_WAIT, _LONGEST_WAIT = 0.05, 1.0


class ConnectionLost(Exception):
    """The connection broke; nobody knows whether its last statement was committed."""


def is_lost(error: BaseException) -> bool:
    """Whether the connection, not the statement, is to blame."""
    if isinstance(error, asyncpg.InterfaceError):  # mostly misuse; of these only one is the connection's fault
        return "closed" in str(error)
    return isinstance(error, _LOST)


def is_collision(error: BaseException) -> bool:
    """Whether the statement was rolled back for the sake of another one."""
    return isinstance(error, _COLLIDED)


def name_of(url: str) -> str:
    """Host and database of a URL: what may be shown of it."""
    parts = urlsplit(url)
    return f"{parts.hostname or 'postgresql'}/{parts.path.lstrip('/') or 'default'}"


def translate_error(name: str, error: BaseException) -> OperationalError:
    """A foreign error as ours. Details and values are left out: they may be personal."""
    if isinstance(error, asyncpg.DataError):  # its message quotes the value
        return OperationalError(f"{name}: a value does not fit its column ({type(error).__name__})")
    if isinstance(error, asyncpg.PostgresError):
        return OperationalError(f"{name}: {error.args[0] if error.args else type(error).__name__}")
    if isinstance(error, ValueError):  # asyncpg's word for a URL or a setting that it cannot use
        return ConfigurationError("the URL is malformed", "db")
    if isinstance(error, OSError | TimeoutError):
        return OperationalError(f"{name}: the database is not reachable ({type(error).__name__})")
    return OperationalError(f"{name}: {type(error).__name__}")


class Backoff:
    """Waits between attempts, until patience ends."""

    def __init__(self, patience: float) -> None:
        self._wait = _FIRST_WAIT
        self._end = asyncio.get_running_loop().time() + patience

    async def wait(self) -> bool:
        """Wait a little; False where patience is at its end."""
        left = self._end - asyncio.get_running_loop().time()
        if left <= 0:
            return False
        await asyncio.sleep(min(self._wait, left))
        self._wait = min(_LONGEST_WAIT, 2 * self._wait)
        return True


class Session:
    """One connection, held for a moment; each statement passes the boundary."""

    __slots__ = ("_boundary", "connection")

    def __init__(self, connection: Any, boundary: Boundary | None) -> None:
        self.connection = connection
        self._boundary = boundary

    async def fetch(self, statement: str, *values: object) -> list[Any]:
        """Run one statement; its rows."""
        if self._boundary is not None:
            await self._boundary(statement)
        found: list[Any] = await self.connection.fetch(statement, *values)
        return found


class PostgresPool:
    """A pool. ``patience``: for how many seconds an unreachable database is waited for."""

    def __init__(self, url: str, *, connections: int, patience: float, boundary: Boundary | None) -> None:
        self._url = url
        self.name = name_of(url)
        self.patience = patience
        self._connections = connections
        self._boundary = boundary
        self._pool: Any = None

    async def open(self) -> None:
        """Connect.

        Raises:
            OperationalError: not reachable within the patience, or refused; ConfigurationError: the URL is malformed.
        """
        try:
            self._pool = await asyncpg.create_pool(
                self._url,
                min_size=0,  # a floor would be restored in the background, aloud, while the server is away
                max_size=self._connections,
                command_timeout=_STATEMENT_SECONDS,
                timeout=max(1.0, self.patience),  # of one attempt to connect
                reset=_nothing_to_reset,
                server_settings=_SETTINGS,
            )
            await self.fetch("SELECT 1")
        except ValueError as error:
            raise translate_error(self.name, error) from None
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Let go of all connections, the broken ones included."""
        pool, self._pool = self._pool, None
        if pool is not None:
            try:
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await pool.close()
            except Exception:  # noqa: BLE001  what does not close in order is dropped
                pool.terminate()

    async def hold(self) -> Any:
        """A connection of the pool to keep, until it is ``let_go``.

        Raises:
            asyncpg.PostgresError, OSError: not reachable.
        """
        if self._pool is None:
            raise NotOpen
        return await self._pool.acquire()

    async def let_go(self, connection: Any) -> None:
        """Give back what ``hold`` gave; it may be broken."""
        if self._pool is not None:
            await self._pool.release(connection)

    async def listener(self) -> Any:
        """A connection beside the pool, to LISTEN on; whoever asked for it closes it.

        Raises:
            OperationalError: not reachable.
        """
        try:
            return await asyncpg.connect(self._url, timeout=max(1.0, self.patience), server_settings=_SETTINGS)
        except (*_LOST, asyncpg.PostgresError) as error:
            raise translate_error(self.name, error) from None

    async def once(self, work: Callable[[Session], Awaitable[T]]) -> T:
        """Run ``work`` on a connection.

        Raises:
            Lost: the connection broke; asyncpg.PostgresError: the database refused.
        """
        kept = self.kept()
        try:
            return await kept.once(work)
        finally:
            await kept.give_back()

    def kept(self) -> BorrowedConnection:
        """A connection, borrowed when it is first needed."""
        return BorrowedConnection(self, self._boundary)

    async def run(self, work: Callable[[Session], Awaitable[T]]) -> T:
        """Run idempotent ``work``, again where the connection broke or another statement was preferred.

        Raises:
            OperationalError: not reachable within the patience, or the database refused.
        """
        backoff: Backoff | None = None
        while True:
            try:
                return await self.once(work)
            except (ConnectionLost, *_COLLIDED) as error:
                backoff = backoff or Backoff(self.patience)
                if not await backoff.wait():
                    raise OperationalError(str(error)) from None
            except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                raise translate_error(self.name, error) from None

    async def fetch(self, statement: str, *values: object) -> list[Any]:
        """One idempotent statement; its rows."""
        return await self.run(lambda session: session.fetch(statement, *values))


class BorrowedConnection:
    """A connection kept from one piece of work to the next, until it breaks or is given back: to borrow one from the pool for each
    costs as much as a short statement."""

    def __init__(self, link: PostgresPool, boundary: Boundary | None) -> None:
        self._link = link
        self._boundary = boundary
        self._session: Session | None = None

    async def once(self, work: Callable[[Session], Awaitable[T]]) -> T:
        """As ``Link.once``."""
        try:
            if self._session is None:
                self._session = Session(await self._link.hold(), self._boundary)
            return await work(self._session)
        except Exception as error:
            if is_lost(error):
                await self.give_back()
                raise ConnectionLost(str(translate_error(self._link.name, error))) from error
            raise

    async def give_back(self) -> None:
        """Let others have the connection."""
        session, self._session = self._session, None
        if session is not None:
            await self._link.let_go(session.connection)


async def _nothing_to_reset(_connection: object) -> None:
    """Our statements leave nothing behind in a session; asyncpg's own reset would cost a round trip."""
