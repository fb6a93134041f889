"""All formats of both lifecycles: in a new process (imports and WebAssembly included), and again in a warm one."""

from __future__ import annotations

import subprocess
import sys
import time

from orderflow.diagrams import FORMATS, place, render
from orderflow.providers.ccv.lifecycle import CcvLifecycle
from orderflow.providers.connect.lifecycle import ConnectLifecycle

TABLES = (CcvLifecycle.table, ConnectLifecycle.table)
FIRST = "from tests.benchmarks.bench_diagrams import draw_all; draw_all()"


def draw_all() -> int:
    """Every format of both lifecycles, laid out anew; answers with the bytes drawn."""
    place.forget()
    return sum(len(render(table, kind)) for table in TABLES for kind in FORMATS)


def run() -> list[dict[str, object]]:
    """Every measurement of this area."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", FIRST], check=True)
    first = time.perf_counter() - begun
    draw_all()
    warm = min(_seconds() for _ in range(5))
    name = f"{len(FORMATS)} formats x {len(TABLES)} lifecycles"
    return [_result(f"{name}, first (new process)", first, 5), _result(f"{name}, warm (laid out anew)", warm, 1)]


def _seconds() -> float:
    begun = time.perf_counter()
    draw_all()
    return time.perf_counter() - begun


def _result(name: str, seconds: float, goal: float) -> dict[str, object]:
    return {"name": f"diagrams: {name}", "value": seconds, "unit": "s", "ratio": None, "goal": f"< {goal:g} s", "ok": seconds < goal}
