"""What is logged of an exception that is not ours: its type and where it was raised. Its message and frames may hold secrets.

An exception of a listener is the application's own. It is logged whole, but without the values of local variables.
"""

from __future__ import annotations

import traceback
from pathlib import Path

from orderflow.errors import OrderflowError


def exception_fields(error: BaseException) -> dict[str, str]:
    """Fields for a log line: ``error`` (the type's name) and ``where`` (file:line of the innermost frame)."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return {"error": type(error).__name__, "where": where}


def whole_exception(error: BaseException) -> dict[str, str]:
    """The fields of ``exception_fields``, and ``traceback``: the traceback as Python prints it.

    Of an error of orderflow, what caused it is left out: a driver's or a client's exception, which may hold secrets.
    """
    shown = traceback.TracebackException.from_exception(error)
    _drop_causes_of_ours(shown, error)
    return {**exception_fields(error), "traceback": "".join(shown.format())}


def _drop_causes_of_ours(shown: traceback.TracebackException, error: BaseException) -> None:
    if isinstance(error, OrderflowError):
        shown.__cause__ = shown.__context__ = None
    for part, cause in ((shown.__cause__, error.__cause__), (shown.__context__, error.__context__)):
        if part is not None and cause is not None:
            _drop_causes_of_ours(part, cause)
    if shown.exceptions is not None and isinstance(error, BaseExceptionGroup):
        for part, member in zip(shown.exceptions, error.exceptions, strict=False):
            _drop_causes_of_ours(part, member)
