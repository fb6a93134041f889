"""Draws all formats of both lifecycles: in a new process, with imports and WebAssembly, and again in a warm one."""

from __future__ import annotations

import subprocess
import sys
import time

from orderflow._diagrams.place import clear_cache
from orderflow._providers.ccv.lifecycle import CcvLifecycle
from orderflow._providers.connect.lifecycle import ConnectLifecycle
from orderflow.diagrams import FORMATS, render

TABLES = (CcvLifecycle.table, ConnectLifecycle.table)
FIRST = "from tests.benchmarks.bench_diagrams import draw_all; draw_all()"


def draw_all() -> int:
    """Draw all formats of both lifecycles, with new layouts. Returns the number of bytes."""
    clear_cache()
    return sum(len(render(table, kind)) for table in TABLES for kind in FORMATS)


def run() -> list[dict[str, object]]:
    """Return all measurements of this area."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", FIRST], check=True)
    first = time.perf_counter() - begun
    draw_all()
    warm = min(_measure_warm() for _ in range(5))
    name = f"{len(FORMATS)} formats x {len(TABLES)} lifecycles"
    return [_make_result(f"{name}, first (new process)", first, 5), _make_result(f"{name}, warm (new layouts)", warm, 1)]


def _measure_warm() -> float:
    begun = time.perf_counter()
    draw_all()
    return time.perf_counter() - begun


def _make_result(name: str, seconds: float, goal: float) -> dict[str, object]:
    return {"name": f"diagrams: {name}", "value": seconds, "unit": "s", "ratio": None, "goal": f"< {goal:g} s", "ok": seconds < goal}
