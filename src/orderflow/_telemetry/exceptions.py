"""What is logged of an exception that is not ours: its type and where it was raised. Its message and frames may hold secrets.

An exception of a listener is the application's own. It is logged whole, but without the values of local variables.
"""

from __future__ import annotations

import traceback
from pathlib import Path


def exception_fields(error: BaseException) -> dict[str, str]:
    """Fields for a log line: ``error`` (the type's name) and ``where`` (file:line of the innermost frame)."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return {"error": type(error).__name__, "where": where}


def whole_exception(error: BaseException) -> dict[str, str]:
    """The fields of ``exception_fields``, and ``traceback``: the traceback as Python prints it."""
    return {**exception_fields(error), "traceback": "".join(traceback.format_exception(error))}
