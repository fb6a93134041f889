"""The log of orderflow: what the application uses. It writes to structlog where that is configured, and otherwise to ``logging``.

It configures nothing. An event is a constant name and fields. The loggers of ``logging`` are named after the modules, so all are below
``orderflow``. There the message is the event and its fields, and each record has the fields as its attribute ``fields``.
"""

from __future__ import annotations

import logging
from typing import Any

import structlog

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_WHOLE = "traceback"  # shown as it is, on lines of its own
_STACKLEVEL = 3  # the record names the line that logs, two calls above


class Log:
    """Writes the events of one module."""

    def __init__(self, module: str) -> None:
        self._structlog = structlog.get_logger()
        self._logging = logging.getLogger(module)

    def debug(self, event: str, **fields: object) -> None:
        """For those who look for a fault in orderflow."""
        self._write("debug", event, fields)

    def info(self, event: str, **fields: object) -> None:
        """What happens when all is well."""
        self._write("info", event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """What somebody may want to know soon."""
        self._write("warning", event, fields)

    def error(self, event: str, **fields: object) -> None:
        """What somebody has to look at."""
        self._write("error", event, fields)

    def _write(self, level: str, event: str, fields: dict[str, object]) -> None:
        if structlog.is_configured():
            getattr(self._structlog, level)(event, **fields)
        elif self._logging.isEnabledFor(number := _LEVELS[level]):
            self._logging.log(number, "%s", _Text(event, fields), extra={"fields": fields}, stacklevel=_STACKLEVEL)


class _Text:
    """An event as one line of text, made only where it is shown. Values are shown by ``repr``, which escapes line breaks."""

    def __init__(self, event: str, fields: dict[str, Any]) -> None:
        self._event = event
        self._fields = fields

    def __str__(self) -> str:
        line = " ".join([self._event, *(f"{name}={value!r}" for name, value in self._fields.items() if name != _WHOLE)])
        return f"{line}\n{self._fields[_WHOLE]}" if _WHOLE in self._fields else line


def get_logger(module: str) -> Log:
    """The log of a module, whose name is ``module``."""
    return Log(module)
