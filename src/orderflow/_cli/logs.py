"""How a worker process logs: JSON lines on standard error, or laid out for people on a terminal. The library itself configures nothing.

No secret is shown. Of exceptions in the logs of others only type and place appear. Their loggers are shown from "warning" on, because an
HTTP client's "info" lines show URLs, and URLs may carry credentials.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from io import StringIO
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, ExcInfo, Processor

from orderflow._cli.show import printable
from orderflow._telemetry.exceptions import exception_fields
from orderflow._telemetry.log import get_logger

_OF_SEVERAL_LINES = ("exception", "stack")
_log = get_logger(__name__)


def configure(level: str) -> None:
    """Log everything from ``level`` (debug, info, warning, error) on. The application's module may configure structlog again."""
    timestamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    common: list[Processor] = [structlog.contextvars.merge_contextvars, structlog.processors.add_log_level, timestamp]
    render: list[Processor]
    if sys.stderr.isatty():
        render = [_escape_texts, structlog.dev.ConsoleRenderer(exception_formatter=_write_traceback)]
    else:
        render = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=[*common, *render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    _configure_others(common, render)


def configure_errors() -> None:
    """Log only errors, on standard error: for a command that prints an answer."""
    structlog.configure(
        processors=[structlog.processors.add_log_level, _escape_texts, structlog.dev.ConsoleRenderer(colors=False)],
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=lambda *_names: structlog.PrintLogger(sys.stderr),  # as it is when something is logged
    )


def _configure_others(common: list[Processor], render: list[Processor]) -> None:
    """Bring the logs of ``logging`` and ``warnings`` into the same form."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *common, _shorten_exception],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.captureWarnings(capture=True)


def _escape_texts(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Escape what could control the terminal: any value may hold texts of others. Values that are no text are shown by ``repr``."""
    return {name: _escape(name, value) if isinstance(value, str) else value for name, value in event.items()}


def _escape(name: str, text: str) -> str:
    return "\n".join(map(printable, text.split("\n"))) if name in _OF_SEVERAL_LINES else printable(text)


def _write_traceback(out: TextIO, exc_info: ExcInfo) -> None:
    """Write a traceback. The default formatter, of rich, would show the values of local variables."""
    traceback = StringIO()
    structlog.dev.plain_traceback(traceback, exc_info)
    out.write(_escape("exception", traceback.getvalue()))


def log_loop_error(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """The event loop's exception handler. asyncio's own would show the whole exception."""
    error = context.get("exception")
    fields = exception_fields(error) if isinstance(error, BaseException) else {"error": str(context.get("message", ""))}
    _log.error("event_loop.failed", **fields)


def _shorten_exception(_logger: Any, _method: str, event: EventDict) -> EventDict:
    exc_info = event.pop("exc_info", None)
    error = exc_info[1] if isinstance(exc_info, tuple) else exc_info
    return {**event, **exception_fields(error)} if isinstance(error, BaseException) else event
