"""``orderflow worker``: a worker process, until a signal stops it. Its options, its signals and its end stand here."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import threading
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from importlib.util import find_spec
from typing import Annotated, Literal

from cyclopts import Parameter

from orderflow._app import Orderflow
from orderflow._cli import logs
from orderflow._cli.application import load_application
from orderflow._cli.environment import name_settings
from orderflow._cli.exit_codes import Exit
from orderflow._cli.health import parse_address, serve_probes
from orderflow._cli.settings import load_settings
from orderflow._telemetry.log import get_logger
from orderflow._telemetry.ports import Telemetry
from orderflow.errors import InvalidInput

_log = get_logger(__name__)
_THREAD_SECONDS = 2.0  # at the very end, for threads that are left: what they held was given back
_BEYOND_GRACE = 9.0  # seconds

Flow = Annotated[
    str | None,
    Parameter(
        help="module:name of your Orderflow, not entered yet, or of a function that returns one. Without it there are no listeners, and the"
        " settings come from the environment: ORDERFLOW_DB, ORDERFLOW_PUBLIC_URL, ORDERFLOW_SIGNING_KEYS (id=key,id=key),"
        " ORDERFLOW_PROVIDERS, and ORDERFLOW_<PROVIDER>_<ARGUMENT> for the providers' arguments. Each may also be given as ..._FILE, the"
        " name of a file that holds the value."
    ),
]
Health = Annotated[str | None, Parameter(env_var="ORDERFLOW_HEALTH")]
Grace = Annotated[float | None, Parameter(env_var="ORDERFLOW_GRACE")]
Level = Annotated[Literal["debug", "info", "warning", "error"], Parameter(env_var="ORDERFLOW_LOG_LEVEL", show_default=True)]


def worker(
    flow: Flow = None,
    /,
    *,
    db: str | None = None,
    dispatch: Literal["local", "pgqueuer"] | None = None,
    health: Health = None,
    grace: Grace = None,
    log_level: Level = "info",
) -> Exit:
    """Run a worker process: effects, polls and deadlines, until SIGTERM or SIGINT.

    Any number of workers may share a database. On a signal a worker takes
    nothing new and lets calls in progress end within the grace. It gives back
    what is not finished, and exits with 0; with 1 if the database did not take
    it back, and then leases run out by themselves. A second signal ends it at
    once.

    Example: orderflow worker app.orders:flow --health 127.0.0.1:8081

    Parameters
    ----------
    db:
        Database URL; ORDERFLOW_DB if absent. Not with FLOW.
    dispatch:
        What brings effects to this worker; ORDERFLOW_DISPATCH if absent. Not with FLOW.
    health:
        HOST:PORT on which to serve GET /live and GET /ready, such as 127.0.0.1:8081. Port 0 takes a free one.
    grace:
        Seconds that calls in progress may take after a signal. If absent: FLOW's, which is 20 unless it was set.
    log_level:
        The lowest level that is logged. Logs go to standard error, as JSON lines; on a terminal they are laid out for people.
    """
    address = parse_address(health) if health else None
    if grace is not None and not 0 <= grace < math.inf:
        raise InvalidInput("--grace", "must be a number of seconds")
    if flow and (db or dispatch):
        raise InvalidInput("--db, --dispatch", f"are settings of {flow}, which has its own")
    logs.configure(log_level)
    orderflow, sources = (load_application(flow), {}) if flow else _make_from_environment(db, dispatch)
    with name_settings(sources):
        code, exit_timer = asyncio.run(_serve(orderflow, address, grace))
    exit_timer.cancel()
    return code


def _make_from_environment(db: str | None, dispatch: str | None) -> tuple[Orderflow, Mapping[str, str]]:
    settings = load_settings(os.environ, db=db, dispatch=dispatch)
    with name_settings(settings.sources):
        flow = Orderflow(
            settings.db,
            settings.providers,
            public_url=settings.public_url,
            signing_keys=settings.signing_keys,
            dispatch=settings.dispatch,
            telemetry=_make_telemetry(),
        )
    return flow, settings.sources


def _make_telemetry() -> Telemetry | None:
    """OpenTelemetry if it is installed. Its own variables configure its SDK; without one it records nothing."""
    if find_spec("opentelemetry") is None:
        return None
    from orderflow._telemetry.opentelemetry import OpenTelemetry  # noqa: PLC0415 - needs the extra

    return OpenTelemetry()


async def _serve(flow: Orderflow, address: tuple[str, int] | None, grace: float | None) -> tuple[Exit, threading.Timer]:
    asyncio.get_running_loop().set_exception_handler(logs.log_loop_error)
    stop = _stop_event(flow, flow.grace if grace is None else grace)
    async with AsyncExitStack() as stack:
        base_url = await stack.enter_async_context(serve_probes(flow, *address)) if address else None
        async with flow.with_worker(grace=grace):
            _log.info("worker.started", pid=os.getpid(), health=base_url)
            await stop.wait()
            _log.info("worker.draining", in_flight=_in_flight(flow))
        left = _in_flight(flow)
    _log.info("worker.ended", left=left)
    code = Exit.FAILED if left else Exit.OK
    return code, _start_exit_timer(_THREAD_SECONDS, lambda: os._exit(code))


def _stop_event(flow: Orderflow, grace: float) -> asyncio.Event:
    """An event that the first signal sets. A second signal ends the process by its default action.

    From the first signal on the process has the grace and ``_BEYOND_GRACE`` to end. After that it is ended, whatever a listener does: one
    that blocks the event loop would hold it for ever.
    """
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    signals = (signal.SIGTERM, signal.SIGINT)

    def end() -> None:
        _log.error("worker.ended", left=_in_flight(flow), forced=True)
        os._exit(Exit.FAILED)

    def on_signal(_number: int, _frame: object) -> None:
        for number in signals:
            signal.signal(number, signal.SIG_DFL)
        _start_exit_timer(grace + _BEYOND_GRACE, end)
        loop.call_soon_threadsafe(stop.set)

    for number in signals:
        signal.signal(number, on_signal)  # not the loop's handler: that one would wait for a loop that is blocked
    return stop


def _in_flight(flow: Orderflow) -> int:
    health = flow.health
    return health.in_flight if health is not None else 0


def _start_exit_timer(seconds: float, end: Callable[[], None]) -> threading.Timer:
    """End the process after so many seconds, whatever still runs in it."""
    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    return timer
