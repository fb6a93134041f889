"""How a worker process logs: JSON lines on stderr, or for people's eyes on a terminal. The library itself configures nothing.

No secret is to be seen: of exceptions that others log only type and place are shown, and others' loggers speak from "warning" on
(an HTTP client's "info" lines quote URLs, and URLs may carry credentials).
"""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import Any

import structlog
from structlog.typing import EventDict, Processor

from orderflow.telemetry.exceptions import exception_fields

_log = structlog.get_logger()


def configure(level: str) -> None:
    """Say everything from ``level`` (debug, info, warning, error) on. A host's module may configure structlog itself, afterwards."""
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    said: list[Processor] = [structlog.contextvars.merge_contextvars, structlog.processors.add_log_level, stamp]
    shown: list[Processor]
    if sys.stderr.isatty():
        shown = [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]  # rich's shows what variables hold
    else:
        shown = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=[*said, *shown],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    others = logging.StreamHandler(sys.stderr)
    foreign: list[Processor] = [structlog.stdlib.add_logger_name, *said, _briefly]
    others.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=foreign, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *shown]
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[others])
    logging.captureWarnings(capture=True)


def of_loop(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """The event loop's exception handler: asyncio's own would show the exception whole."""
    error = context.get("exception")
    _log.error(
        "work.loop_error", **(exception_fields(error) if isinstance(error, BaseException) else {"error": str(context.get("message", ""))})
    )


def _briefly(_logger: Any, _method: str, said: EventDict) -> EventDict:
    found = said.pop("exc_info", None)
    error = found[1] if isinstance(found, tuple) else found
    return {**said, **exception_fields(error)} if isinstance(error, BaseException) else said
