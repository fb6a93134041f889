"""``orderflow work``: a worker process until it is told to stop. What may live here: options, finding the host's flow, signals, the end."""

from __future__ import annotations

import asyncio
import inspect
import math
import os
import pkgutil
import signal
import sys
import threading
from contextlib import AsyncExitStack, nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal

import structlog
from cyclopts import Parameter

from orderflow.app import Orderflow
from orderflow.blocking import SyncOrderflow
from orderflow.cli import logs
from orderflow.cli.exits import Exit
from orderflow.cli.given import as_given
from orderflow.cli.health import address, probed
from orderflow.errors import ConfigurationError, InvalidInput, OrderflowError, UnknownName
from orderflow.telemetry.exceptions import exception_fields

_log = structlog.get_logger()
_LINGER = 2.0  # seconds for the threads of listeners, once all else has ended: what they hold was given back

_FLOW = (
    "module:name of an Orderflow that is not entered yet, or of a function that returns one; with its listeners. Without it no host is"
    " told, and everything comes from the environment: ORDERFLOW_DB, ORDERFLOW_PUBLIC_URL, ORDERFLOW_SIGNING_KEYS (id=secret,...),"
    " ORDERFLOW_PROVIDERS, and the providers' arguments, such as ORDERFLOW_CONNECT_API or ORDERFLOW_CCV_BASE_URL; any of them also as"
    " ..._FILE, the name of a file that holds it."
)
Flow = Annotated[str | None, Parameter(help=_FLOW)]
Health = Annotated[str | None, Parameter(env_var="ORDERFLOW_HEALTH")]
Grace = Annotated[float | None, Parameter(env_var="ORDERFLOW_GRACE")]
Level = Annotated[Literal["debug", "info", "warning", "error"], Parameter(env_var="ORDERFLOW_LOG_LEVEL")]


def work(
    flow: Flow = None,
    /,
    *,
    db: str | None = None,
    dispatch: Literal["local", "pgqueuer"] | None = None,
    health: Health = None,
    grace: Grace = None,
    log_level: Level = "info",
) -> Exit:
    """Carry out effects, reads and deadlines, until SIGTERM or SIGINT. Any number of workers may share a database.

    It then takes nothing new, lets calls under way end within the grace, gives back what is not finished, and exits with 0
    (1: the database did not take it back; leases run out by themselves). A second signal ends it at once.

    Parameters
    ----------
    db:
        Database URL, as ORDERFLOW_DB; not with FLOW.
    dispatch:
        What brings effects to this worker, as ORDERFLOW_DISPATCH; not with FLOW.
    health:
        Serve GET /live and GET /ready there: HOST:PORT, such as 127.0.0.1:8081 (port 0 takes a free one).
    grace:
        Seconds that calls under way may go on after SIGTERM. Default: FLOW's, which is 20 unless it says otherwise.
    log_level:
        What is logged on standard error, as JSON lines, or readably on a terminal.
    """
    where = address(health) if health else None
    if grace is not None and not 0 <= grace < math.inf:
        raise InvalidInput("--grace", "must be a number of seconds")
    logs.configure(log_level)
    found = _described(db, dispatch) if flow is None else _named(flow, db or dispatch)
    with as_given(os.environ, db=db, dispatch=dispatch) if flow is None else nullcontext():
        code, lingering = asyncio.run(_serve(found, where, grace))
    lingering.cancel()
    return code


# ── whose flow ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _described(db: str | None, dispatch: str | None) -> Orderflow:
    if find_spec("environ") is None:
        raise ConfigurationError("settings from the environment need environ-config: pip install 'orderflow[work]'")
    from orderflow.cli.settings import flow_of  # noqa: PLC0415 - needs the extra

    return flow_of(os.environ, db=db, dispatch=dispatch)


def _named(name: str, more: str | None) -> Orderflow:
    if more:
        raise InvalidInput("--db, --dispatch", f"are settings of {name}, which has its own")
    found = _imported(name)
    if callable(found):
        try:
            inspect.signature(found).bind()
        except TypeError:
            raise InvalidInput("FLOW", f"{name} takes arguments; what makes a flow takes none") from None
        found = _guarded(name, found)
    if isinstance(found, SyncOrderflow):
        found = found.async_flow
    if not isinstance(found, Orderflow):
        raise InvalidInput("FLOW", f"{name} is no Orderflow, nor does it return one")
    return found


def _imported(name: str) -> Any:
    where, _, attribute = name.partition(":")
    if not where or not attribute:
        raise InvalidInput("FLOW", f"{name!r} is not module:name")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    module = _guarded(name, lambda: _module(where))
    if not hasattr(module, attribute):
        raise UnknownName(f"name in {where}", attribute)
    return getattr(module, attribute)


def _module(where: str) -> Any:
    try:
        return pkgutil.resolve_name(f"{where}:")
    except ModuleNotFoundError as error:
        if f"{where}.".startswith(f"{error.name}."):
            raise UnknownName("module", where) from None
        raise


def _guarded(name: str, run: Any) -> Any:
    """The host's code runs here. Of what it raises only what cannot hold a secret is shown."""
    try:
        return run()
    except OrderflowError:
        raise
    except (Exception, SystemExit) as error:
        about = exception_fields(error)
        said = f" {error}" if isinstance(error, ImportError | KeyError) else ""  # a name: of a module, or of a missing variable
        raise ConfigurationError(f"{name}: {about['error']}{said} at {about['where']}") from error


# ── its life ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _serve(flow: Orderflow, where: tuple[str, int] | None, grace: float | None) -> tuple[Exit, threading.Timer]:
    asyncio.get_running_loop().set_exception_handler(logs.of_loop)
    stop = _told_to_stop()
    async with AsyncExitStack() as stack:
        base = await stack.enter_async_context(probed(flow, *where)) if where is not None else None
        async with flow.with_worker(grace=grace):
            _log.info("work.started", pid=os.getpid(), health=base)
            await stop.wait()
            _log.info("work.draining", in_hand=_in_hand(flow))
        left = _in_hand(flow)
    _log.info("work.ended", left=left)
    code = Exit.FAILED if left else Exit.OK
    lingering = threading.Timer(_LINGER, os._exit, (int(code),))  # a listener that blocks its thread would hold the process for ever
    lingering.daemon = True
    lingering.start()
    return code, lingering


def _told_to_stop() -> asyncio.Event:
    """Set by the first signal; a second one ends the process as if nobody listened."""
    told, loop = asyncio.Event(), asyncio.get_running_loop()
    signals = (signal.SIGTERM, signal.SIGINT)

    def tell() -> None:
        told.set()
        for one in signals:
            loop.remove_signal_handler(one)
            signal.signal(one, signal.SIG_DFL)

    for one in signals:
        loop.add_signal_handler(one, tell)
    return told


def _in_hand(flow: Orderflow) -> int:
    health = flow.health
    return health.in_flight if health is not None else 0
