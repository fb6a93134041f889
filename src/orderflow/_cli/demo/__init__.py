"""``orderflow demo``: orders of both providers live their whole lives against simulators over real sockets."""

from __future__ import annotations

import asyncio
import logging
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from orderflow._cli.exit_codes import Exit
from orderflow._cli.options import Json

if TYPE_CHECKING:
    from orderflow._cli.demo.world import Ending


def demo(*, db: str = "", all_: Annotated[bool, Parameter(name="--all")] = False, json: Json = False) -> Exit:
    """Play orders against simulated providers and show what happens.

    Three orders are explained step by step: a forged redirect, a lost answer, a
    late payment. Many more scenarios are played with them, and the exit code is 0
    only if each ended as it must.

    Example: orderflow demo --all

    Parameters
    ----------
    db:
        Database URL to keep the orders in, such as sqlite:///demo.db. If absent, they are deleted at the end.
    all_:
        Show the journals of all scenarios.
    json:
        Print one JSON list of {scenario, provider, expected, reached, ok, why, journal}.
    """
    import structlog  # noqa: PLC0415 - only when the demo runs

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with tempfile.TemporaryDirectory() as folder:
        endings, seconds = asyncio.run(_play(db or f"sqlite:///{Path(folder) / 'demo.db'}", progress=not json))
    from orderflow._cli.demo.show import print_endings, print_json  # noqa: PLC0415

    if json:
        print_json(endings)
    else:
        print_endings(endings, seconds, everything=all_, kept=bool(db))
    return Exit.OK if all(ending.ok for ending in endings) else Exit.FAILED


async def _play(db: str, *, progress: bool) -> tuple[list[Ending], float]:
    """How the scenarios ended, and the seconds that they took."""
    from orderflow._cli.demo.play import play_all  # noqa: PLC0415

    begun = time.monotonic()
    endings = await play_all(db, progress=progress)
    return endings, time.monotonic() - begun
