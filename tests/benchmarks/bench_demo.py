"""Demo orders per second: real sockets, SQLite, deadlines and all. Shown, without a goal: most of it is waiting."""

from __future__ import annotations

import asyncio
import logging
import tempfile
import time
from pathlib import Path

import structlog


def run() -> list[dict[str, object]]:
    """One row."""
    from orderflow._cli.demo.play import SCENARIOS, play_all

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        ended = asyncio.run(play_all(f"sqlite:///{Path(folder) / 'bench.db'}"))
        seconds = time.perf_counter() - begun
    ok = all(one.ok for one in ended)
    rate = len(SCENARIOS) / seconds
    return [{"name": "demo orders", "value": rate, "unit": "orders/s", "ratio": None, "goal": "shown", "ok": ok}]
