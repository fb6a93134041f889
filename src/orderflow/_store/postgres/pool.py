"""Connections to PostgreSQL: a pool that outlives restarts of the server, and what an error says about its cause. No SQL of ours.

A broken connection leaves the outcome of its statement unknown. ``PostgresPool.run`` therefore repeats only what is idempotent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar
from urllib.parse import SplitResult, urlsplit

import asyncpg

from orderflow._store.postgres.backoff import Backoff
from orderflow._telemetry.log import get_logger
from orderflow.errors import ConfigurationError, NotOpen, OperationalError

T = TypeVar("T")
Boundary = Callable[[str], Awaitable[None]]
"""Awaited before each statement, with its text: where tests pause, reorder or kill."""

_LOST = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.exceptions.OperatorInterventionError,  # shut down, crashed, starting up, cancelled
    asyncpg.exceptions.IdleInTransactionSessionTimeoutError,
    asyncpg.exceptions.TransactionTimeoutError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InternalClientError,  # the driver, where a connection ends at an odd moment
    asyncpg.ReadOnlySQLTransactionError,  # after a fail-over the connection leads to a standby; new ones lead to the new primary
    asyncpg.FeatureNotSupportedError,  # a standby's answer where a table skips the write-ahead log, as pgqueuer's does
)
_SERVER_LOST = (  # they concern all connections to the server, not one of them
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.exceptions.AdminShutdownError,
    asyncpg.exceptions.CrashShutdownError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.FeatureNotSupportedError,
)
_COLLIDED = (
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,  # where the role has a lock_timeout
)
_SETTINGS = {
    "application_name": "orderflow",
    "default_transaction_isolation": "read committed",  # compare-and-swap settles races; stricter levels would only add failures
    # every statement looks rows up by key: a plan made while the tables were empty must not scan them when they are full
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "random_page_cost": "1.1",
    "jit": "off",
}
_PROBE = "SELECT current_setting('plan_cache_mode'), current_setting('server_encoding')"
_SIGNS_OF_A_POOLER = ("unsupported startup parameter", "prepared statement")  # in its errors
_STATEMENT_SECONDS = 30.0
_CLOSE_SECONDS = 10.0
_QUIET_SECONDS = 60.0
_log = get_logger(__name__)


class ConnectionLost(Exception):
    """The connection broke. Whether its last statement was committed is unknown."""


def is_collision(error: BaseException) -> bool:
    """Whether the statement was rolled back in favour of another one."""
    return isinstance(error, _COLLIDED)


def is_taken_id(error: BaseException) -> bool:
    """Whether the statement failed because it gave an order a provider's id that another order has."""
    return isinstance(error, asyncpg.UniqueViolationError) and error.constraint_name == "of_provider_ids_pkey"


def is_sign_of_pooler(error: BaseException) -> bool:
    """Whether an error shows that a pooler such as PgBouncer stands before the database."""
    return any(sign in str(error) for sign in _SIGNS_OF_A_POOLER)


def database_name(url: str) -> str:
    """Host and database of a URL: the part of it that may be shown.

    Raises:
        ConfigurationError: the URL is malformed. Part of a password may stand where host or database is expected; nothing is shown.
    """
    parts = _split_url(url)
    if parts is None or parts.netloc.count("@") > 1 or "@" in parts.path + parts.query or "#" in url:
        raise ConfigurationError(
            "the URL is malformed; in user name and password, percent-encode all but letters and digits: / is %2F", "db"
        )
    return f"{parts.hostname or 'postgresql'}/{parts.path.lstrip('/') or 'default'}"


def _split_url(url: str) -> SplitResult | None:
    """The parts of a URL. None: it is malformed. The exception is not kept as a cause: it quotes a part of the URL."""
    try:
        parts = urlsplit(url)
        if "," not in parts.netloc:  # asyncpg takes several hosts, each with a port
            _ = parts.port  # raises where it is no number, or too large
    except ValueError:
        return None
    return parts


def translate_error(name: str, error: BaseException) -> OperationalError:
    """A driver's error as one of ours. Details and values are left out, because they may be personal."""
    if isinstance(error, asyncpg.DataError):  # its message quotes the value
        return OperationalError(f"{name}: a value does not fit its column ({type(error).__name__})")
    if isinstance(error, asyncpg.PostgresError):
        return OperationalError(f"{name}: {error.args[0] if error.args else type(error).__name__}")
    if isinstance(error, ValueError):  # what asyncpg raises for a URL or a setting that it cannot use
        return ConfigurationError("the URL is malformed", "db")
    if isinstance(error, OSError | TimeoutError):
        return OperationalError(f"{name}: the database is not reachable ({type(error).__name__})")
    return OperationalError(f"{name}: {type(error).__name__}")


class _Connection(asyncpg.Connection):  # type: ignore[misc]
    """A connection that knows its generation: how often all connections had been replaced when it was made."""

    generation = 0


class Session:
    """A borrowed connection on which statements are run. Each statement passes the boundary first."""

    __slots__ = ("_boundary", "connection", "generation")

    def __init__(self, connection: Any, boundary: Boundary | None, generation: int = 0) -> None:
        self.connection = connection
        self.generation = generation
        self._boundary = boundary

    async def fetch(self, statement: str, *values: object) -> list[Any]:
        """Run one statement; its rows."""
        if self._boundary is not None:
            await self._boundary(statement)
        rows: list[Any] = await self.connection.fetch(statement, *values)
        return rows

    def is_lost(self, error: BaseException) -> bool:
        """Whether the connection, not the statement, is the cause of an error."""
        if not isinstance(error, asyncpg.InterfaceError):
            return isinstance(error, _LOST)
        try:
            return bool(self.connection.is_closed())  # else it is misuse
        except asyncpg.InterfaceError:
            return True  # the pool has taken it back

    def terminate(self) -> None:
        """Close the connection at once: what is left of it is not to be used again."""
        with suppress(asyncpg.InterfaceError):  # the pool has taken it back
            self.connection.terminate()


class PostgresPool:
    """A pool of connections.

    Args:
        url: ``postgresql://user:password@host/database``.
        connections: the most connections that are open at once.
        patience: for how many seconds an unreachable database is waited for.
        boundary: awaited before each statement; for tests.
    """

    def __init__(self, url: str, *, connections: int, patience: float, boundary: Boundary | None) -> None:
        self._url = url
        self.name = database_name(url)
        self.patience = patience
        self._connections = connections
        self._boundary = boundary
        self._pool: Any = None
        self.is_pooled = False  # whether a pooler stands before the database
        self.generation = 0  # how often all connections were replaced
        self._quiet_until = float("-inf")  # on the event loop's clock: a fail-over that takes long is logged once a minute

    async def open(self) -> None:
        """Connect.

        Raises:
            OperationalError: not reachable within the patience, or refused; ConfigurationError: the URL is malformed, or the encoding of
            the database is not UTF8.
        """
        try:
            if not await self._open(pooled=False):
                await self.close()
                self._check_no_settings_in_url()
                await self._open(pooled=True)
                _log.info("store.pooler", database=self.name)
        except ValueError as error:
            raise translate_error(self.name, error) from None
        except BaseException:
            await self.close()
            raise

    async def _open(self, *, pooled: bool) -> bool:
        """Connect. Returns False if a pooler stands before the database and ``pooled`` does not say so.

        A pooler refuses or ignores our settings. They are for plans that are kept. Behind a pooler none is kept: each statement is prepared
        anew, without a name. asyncpg leaves no gap between that and its execution, so the pooler gives both the same server.
        """
        self.is_pooled = pooled
        kind: dict[str, Any] = {"server_settings": _SETTINGS}
        if pooled:
            kind = {"statement_cache_size": 0}
        self._pool = await asyncpg.create_pool(
            self._url,
            min_size=0,  # a minimum would be restored in the background, with log lines, while the server is away
            max_size=self._connections,
            command_timeout=_STATEMENT_SECONDS,
            timeout=max(1.0, self.patience),  # of one attempt to connect
            reset=_skip_reset,
            connection_class=_Connection,
            init=self._set_generation,
            **kind,
        )
        try:
            ((mode, encoding),) = await self.fetch(_PROBE)
        except OperationalError as error:
            if pooled or not is_sign_of_pooler(error):
                raise
            return False
        if encoding != "UTF8":
            raise ConfigurationError(
                f"{self.name}: the database's encoding is {encoding}, and orderflow needs UTF8, as providers send any letter: make one with"
                " CREATE DATABASE name ENCODING 'UTF8' TEMPLATE template0",
                "db",
            )
        return pooled or mode == _SETTINGS["plan_cache_mode"]

    async def _set_generation(self, connection: Any) -> None:
        connection.generation = self.generation

    def _check_no_settings_in_url(self) -> None:
        if "search_path" in urlsplit(self._url).query:
            raise ConfigurationError(
                "search_path in the URL does not pass through a pooler: set it at the database or the role, as in"
                " ALTER ROLE name SET search_path = ...",
                "db",
            )

    async def close(self) -> None:
        """Close all connections, broken ones included."""
        pool, self._pool = self._pool, None
        if pool is not None:
            try:
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await pool.close()
            except Exception:  # noqa: BLE001  what does not close in order is dropped
                pool.terminate()

    async def acquire(self) -> Session:
        """A connection of the pool, until it is given back by ``release``.

        Raises:
            NotOpen: the pool is closed; asyncpg.PostgresError, OSError: the database is not reachable.
        """
        while self._pool is not None:
            connection = await self._pool.acquire()
            session = Session(connection, self._boundary, connection.generation)
            if session.generation == self.generation:
                return session
            session.terminate()
            await self.release(session)
        raise NotOpen

    async def release(self, session: Session) -> None:
        """Give a connection back, broken or not. If the driver cannot take it back, it is closed: what was done on it stays done."""
        if self._pool is None:
            return
        try:
            await self._pool.release(session.connection)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, *_LOST) as error:
            _log.warning("store.connection_not_released", database=self.name, error=type(error).__name__)
            session.terminate()

    def replace_all(self, session: Session, error: Exception) -> None:
        """This connection's server is lost, or is no primary any more: use no connection that is as old. Each is closed before it would be
        used again."""
        if session.generation == self.generation:
            self.generation += 1
            now = asyncio.get_running_loop().time()
            if now >= self._quiet_until:
                self._quiet_until = now + _QUIET_SECONDS
                _log.warning("store.connections_replaced", database=self.name, error=type(error).__name__)

    def borrow(self) -> BorrowedConnection:
        """A connection that is acquired when it is first needed."""
        return BorrowedConnection(self)

    async def connect(self) -> Any:
        """A connection outside the pool, to LISTEN on. The caller closes it.

        Raises:
            OperationalError: not reachable, or behind a pooler, which passes no notices on.
        """
        if self.is_pooled:
            raise OperationalError(f"{self.name}: a pooler passes no notices on")
        try:
            return await asyncpg.connect(self._url, timeout=max(1.0, self.patience), server_settings=_SETTINGS)
        except (*_LOST, asyncpg.PostgresError) as error:
            raise translate_error(self.name, error) from None

    async def run_once(self, work: Callable[[Session], Awaitable[T]]) -> T:
        """Run ``work`` on a connection, once.

        Raises:
            ConnectionLost: the connection broke; asyncpg.PostgresError: the database refused.
        """
        connection = self.borrow()
        try:
            return await connection.run_once(work)
        finally:
            await connection.release()

    async def run(self, work: Callable[[Session], Awaitable[T]]) -> T:
        """Run idempotent ``work``, again where the connection broke or the database preferred another statement.

        Raises:
            OperationalError: not reachable within the patience, or the database refused.
        """
        backoff: Backoff | None = None
        while True:
            try:
                return await self.run_once(work)
            except (ConnectionLost, *_COLLIDED) as error:
                backoff = backoff or Backoff(self.patience)
                if not await backoff.wait():
                    raise OperationalError(str(error)) from None
            except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                raise translate_error(self.name, error) from None

    async def fetch(self, statement: str, *values: object) -> list[Any]:
        """Run one idempotent statement; its rows."""
        return await self.run(lambda session: session.fetch(statement, *values))


class BorrowedConnection:
    """A connection that stays borrowed from one piece of work to the next, until it breaks or is released. To acquire one from the pool
    for each costs as much as a short statement."""

    def __init__(self, pool: PostgresPool) -> None:
        self._pool = pool
        self._session: Session | None = None

    async def run_once(self, work: Callable[[Session], Awaitable[T]]) -> T:
        """As ``PostgresPool.run_once``."""
        if self._session is not None and self._session.generation != self._pool.generation:
            self._session.terminate()
            await self.release()
        try:
            session = self._session = self._session or await self._pool.acquire()
        except _LOST as error:
            if is_sign_of_pooler(error):  # to try again would not help
                raise translate_error(self._pool.name, error) from error
            raise self._translate_loss(error) from error
        try:
            return await work(session)
        except Exception as error:
            if session.is_lost(error):
                if isinstance(error, _SERVER_LOST):
                    self._pool.replace_all(session, error)
                session.terminate()
                await self.release()
                raise self._translate_loss(error) from error
            raise

    def _translate_loss(self, error: Exception) -> ConnectionLost:
        return ConnectionLost(str(translate_error(self._pool.name, error)))

    async def release(self) -> None:
        """Give the connection back, for others to use."""
        session, self._session = self._session, None
        if session is not None:
            await self._pool.release(session)


async def _skip_reset(_connection: object) -> None:
    """Our statements leave nothing behind in a session, and asyncpg's own reset would cost a round trip."""
