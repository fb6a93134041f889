"""What may be logged of an exception that is not ours: its type and where it was raised. Its message and frames may hold secrets."""

from __future__ import annotations

import traceback
from pathlib import Path


def exception_fields(error: BaseException) -> dict[str, str]:
    """Fields for a log line: ``error`` (the type's name) and ``where`` (file:line of the innermost frame)."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return {"error": type(error).__name__, "where": where}
