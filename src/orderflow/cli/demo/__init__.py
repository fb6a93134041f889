"""``orderflow demo``: real orders of both providers live their whole lives over real sockets; each journal is printed."""

from __future__ import annotations

import asyncio
import logging
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from orderflow.cli.exits import Exit

if TYPE_CHECKING:
    from orderflow.cli.demo.world import StateEntered

DEFAULT_DB = "a new SQLite file in a temporary folder"


def demo(*, db: Annotated[str, Parameter(show_default=lambda _: DEFAULT_DB)] = "", json: bool = False) -> int:
    """Play every scenario against the simulators.

    Parameters
    ----------
    db:
        Database URL to keep the orders in, e.g. sqlite:///demo.db.
    json:
        Print one JSON list of {scenario, provider, expected, reached, ok, why, journal}.
    """
    import structlog  # noqa: PLC0415 - only when the demo runs

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with tempfile.TemporaryDirectory() as folder:
        ended, seconds = asyncio.run(_timed(db or f"sqlite:///{Path(folder) / 'demo.db'}", progress=not json))
    from orderflow.cli.demo.show import document, summary, tables  # noqa: PLC0415

    if json:
        document(ended)
    else:
        tables(ended)
        summary(ended, seconds)
    return Exit.OK if all(one.ok for one in ended) else Exit.FAILED


async def _timed(db: str, *, progress: bool) -> tuple[list[StateEntered], float]:
    from orderflow.cli.demo.play import play_all  # noqa: PLC0415

    begun = time.monotonic()
    ended = await play_all(db, progress=progress)
    return ended, time.monotonic() - begun
