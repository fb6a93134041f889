"""The audit: sorted ints by numpy, ready tuples in pure Python, a CSV file from disk, and pm4py beside it, in million observations per
CPU second; what it never says wrongly, and never lets pass.

One thread does all of it, so CPU time is what it takes on a machine that does nothing else.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

from tests.kit.lives import Lives, dropped

from orderflow.analysis.audit import LEGAL, Cases, Judge, Seen, Source, Summary, codes, tally
from orderflow.lifecycle.table import Table
from orderflow.providers.ccv.lifecycle import CcvLifecycle
from orderflow.providers.connect.lifecycle import ConnectLifecycle

CASES = 40_000
ROUNDS = 5
PM4PY = "pm4py==2.7.23.11"
BEGIN = datetime(2026, 11, 21, tzinfo=UTC)
Result = dict[str, object]


def log() -> list[Seen]:
    """Lives of CCV orders, polled more often than they move, all cases mixed in the order of time; one status in 500 is wrong."""
    table, rng = CcvLifecycle.table, random.Random(1)
    words = list(table.readings)
    onward = {w: [e.target for e in table.edges if e.source == w != e.target and not e.recovery] for w in words}
    ends = {"Canceled", "Closed", "Failed", "Completed"}
    rows = []
    for case in range(CASES):
        status, at = "Processing", rng.random() * CASES
        while True:
            for _ in range(rng.choice((1, 1, 2, 3))):
                at += 1
                shown = rng.choice(words) if rng.random() < 0.002 else status
                rows.append((0, f"order-{case:06}", shown, BEGIN + timedelta(seconds=at)))
            if not onward[status]:
                break
            status = rng.choices(onward[status], [1 if to in ends else 8 for to in onward[status]])[0]
    return sorted(rows, key=lambda row: row[3])


def best(call: Callable[[], object], items: int) -> float:
    """Million items per CPU second, the best of several rounds."""
    shortest = float("inf")
    for _ in range(ROUNDS):
        begun = time.process_time()
        call()
        shortest = min(shortest, time.process_time() - begun)
    return items / shortest / 1e6


def result(name: str, value: float | None, goal: float | None) -> Result:
    """A row of build/bench.json."""
    shown = "-" if goal is None else f">= {goal:g} M/s"
    return {"name": name, "value": value, "unit": "M/CPU s", "ratio": None, "goal": shown, "ok": goal is None or (value or 0) >= goal}


def sorted_ints(rows: list[Seen]) -> Result:
    """Ten million observations as two numpy arrays."""
    try:
        import numpy as np
    except ImportError:
        return result("audit, sorted ints (not run: numpy is not installed)", None, 50)
    judge = Judge(CcvLifecycle.table)
    code = codes(judge)
    ordered = sorted(rows, key=lambda row: (row[1], row[3]))
    times = 10_000_000 // len(rows) + 1
    one = np.array([int(row[1][6:]) for row in ordered])
    cases = np.concatenate([one + CASES * n for n in range(times)])
    statuses = np.tile(np.array([code[row[2]] for row in ordered], dtype=np.uint8), times)
    return result("audit, sorted ints", best(lambda: tally(judge, cases, statuses), len(cases)), 50)


def ready_tuples(rows: list[Seen]) -> Result:
    """Tuples in memory, cases mixed, pure Python: what a caller with a cursor would feed."""

    def run() -> None:
        with Cases(Judge(CcvLifecycle.table)) as cases:
            cases.take(rows)

    return result("audit, ready tuples, pure Python", best(run, len(rows)), 1.5)


def csv_file(rows: list[Seen]) -> Result:
    """A file on disk, opened, read, judged and summed up."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.csv"
        with path.open("w") as file:
            file.write("case,status,time\n")
            file.writelines(f"{case},{status},{at.isoformat()}\n" for _, case, status, at in rows)

        def run() -> None:
            with Source(str(path)) as source, Cases(Judge(CcvLifecycle.table)) as cases:
                cases.take(source.rows())
                summary = Summary(cases.judge)
                for case in cases.all():
                    summary.count(case)
                assert summary.observations == len(rows)

        return result("audit, CSV file", best(run, len(rows)), 0.5)


def changes(rows: list[Seen]) -> list[Seen]:
    """The log without repetitions: pm4py replays each variant once, and how often a status was read makes variants."""
    last: dict[str, str] = {}
    kept = []
    for row in rows:
        if last.get(row[1]) != row[2]:
            kept.append(row)
        last[row[1]] = row[2]
    return kept


def pm4py_replay(rows: list[Seen]) -> Result:
    """Token replay by pm4py, from a frame in memory, in an environment of its own that is thrown away; the ratio is to ready tuples."""
    name = "audit, pm4py token replay beside it, no repetitions"
    rows = changes(rows)
    ours = float(str(ready_tuples(rows)["value"]))
    lifecycle = CcvLifecycle.table
    given = {
        "edges": sorted({(e.source, e.target) for e in lifecycle.edges if {e.source, e.target} <= set(lifecycle.readings)}),
        "start": "Processing",
        "ends": [status for status in lifecycle.readings if not lifecycle.out[status] or lifecycle.states[status].provisional],
        "rows": [(case, status, at.timestamp()) for _, case, status, at in rows],
    }
    with tempfile.TemporaryDirectory() as folder:
        python = Path(folder) / "bin" / "python"
        steps = [
            [sys.executable, "-m", "venv", folder],
            [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", PM4PY],
            [str(python), str(Path(__file__).with_name("pm4py_replay.py"))],
        ]
        said = ""
        for step in steps:
            done = subprocess.run(step, input=json.dumps(given), capture_output=True, text=True, check=False)
            if done.returncode:
                return result(f"{name} (not run: {' '.join(step[1:4])} ended with {done.returncode})", None, None)
            said = done.stdout
    told = json.loads(said)
    theirs = told["events"] / told["seconds"] / 1e6
    print(f"  pm4py {told['version']}: {told['events']:,} events in {told['seconds']:.1f} CPU s, {told['fit']:,} fit", file=sys.stderr)
    return {**result(name, theirs, None), "ratio": ours / theirs, "goal": f"orderflow is {ours / theirs:.0f} x as fast"}


def false_alarms(table: Table, lives: int = 5_000) -> Result:
    """Real lives of which 30 % was not observed: none may be called illegal."""
    rng, judge, alarms = random.Random(7), Judge(table), 0
    alive = Lives(table, rng)
    for _ in range(lives):
        seen = dropped(alive.life(), 0.3, rng, keep_recovered=True)
        alarms += judge.verdict(judge.history(seen)) != LEGAL
    name = f"audit, false alarms with 30 % of observations dropped, {table.name} ({lives} lives)"
    return {"name": name, "value": 100 * alarms / lives, "unit": "%", "ratio": None, "goal": "0 %", "ok": not alarms}


def swaps_caught(table: Table, lives: int = 2_000) -> Result:
    """Neighbours swapped, where the swapped pair is one that can be refused: each must be called illegal."""
    rng, judge, caught, swaps = random.Random(11), Judge(table), 0, 0
    alive = Lives(table, rng)
    for _ in range(lives):
        log = [status for status, _ in alive.life()]
        for at, (first, second) in enumerate(pairwise(log)):
            if first != second and first not in judge.follows(second):
                swaps += 1
                caught += judge.verdict(judge.history([*log[:at], second, first, *log[at + 2 :]])) != LEGAL
    name = f"audit, swapped neighbours caught, {table.name} ({swaps} refusable)"
    return {"name": name, "value": 100 * caught / swaps, "unit": "%", "ratio": None, "goal": "100 %", "ok": caught == swaps}


def run() -> list[Result]:
    """Every measurement of this area."""
    rows = log()
    print(f"  {len(rows):,} observations of {CASES:,} cases", file=sys.stderr)
    tables = (CcvLifecycle.table, ConnectLifecycle.table)
    judged = [measure(table) for measure in (false_alarms, swaps_caught) for table in tables]
    return [sorted_ints(rows), ready_tuples(rows), csv_file(rows), pm4py_replay(rows), *judged]
