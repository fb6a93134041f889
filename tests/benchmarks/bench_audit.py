"""The audit: sorted ints by numpy, ready tuples in pure Python, a CSV file from disk, and pm4py beside it, in million observations per
CPU second. Also its errors: false alarms, and swapped statuses that it does not find.

Everything runs in one thread, so CPU time is the time that it takes on a machine with nothing else to do.
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

from tests.kit.order_lives import RandomLives, drop_observations

from orderflow._analysis.audit import LEGAL, CaseChecker, CaseTracker, LogFile, LogRow, Summary, check_arrays
from orderflow._lifecycle.table import Table
from orderflow._providers.ccv.lifecycle import CcvLifecycle
from orderflow._providers.connect.lifecycle import ConnectLifecycle

CASES = 40_000
ROUNDS = 5
PM4PY = "pm4py==2.7.23.11"
BEGIN = datetime(2026, 11, 21, tzinfo=UTC)
Result = dict[str, object]


def make_log() -> list[LogRow]:
    """Lives of CCV orders, polled more often than they change, all cases mixed in the order of time. One status in 500 is wrong."""
    table, rng = CcvLifecycle.table, random.Random(1)
    statuses = list(table.readings)
    targets = {s: [e.target for e in table.edges if e.source == s != e.target and not e.recovery] for s in statuses}
    ends = {"Canceled", "Closed", "Failed", "Completed"}
    rows = []
    for case in range(CASES):
        status, at = "Processing", rng.random() * CASES
        while True:
            for _ in range(rng.choice((1, 1, 2, 3))):
                at += 1
                logged = rng.choice(statuses) if rng.random() < 0.002 else status
                rows.append((0, f"order-{case:06}", logged, BEGIN + timedelta(seconds=at)))
            if not targets[status]:
                break
            status = rng.choices(targets[status], [1 if to in ends else 8 for to in targets[status]])[0]
    return sorted(rows, key=lambda row: row[3])


def measure_best(call: Callable[[], object], items: int) -> float:
    """Million items per CPU second, the best of several rounds."""
    shortest = float("inf")
    for _ in range(ROUNDS):
        begun = time.process_time()
        call()
        shortest = min(shortest, time.process_time() - begun)
    return items / shortest / 1e6


def make_result(name: str, value: float | None, goal: float | None) -> Result:
    """A row of build/bench.json."""
    text = "-" if goal is None else f">= {goal:g} M/s"
    return {"name": name, "value": value, "unit": "M/CPU s", "ratio": None, "goal": text, "ok": goal is None or (value or 0) >= goal}


def measure_sorted_ints(rows: list[LogRow]) -> Result:
    """Ten million observations as two numpy arrays."""
    try:
        import numpy as np
    except ImportError:
        return make_result("audit, sorted ints (not run: numpy is not installed)", None, 50)
    checker = CaseChecker(CcvLifecycle.table)
    ordered = sorted(rows, key=lambda row: (row[1], row[3]))
    times = 10_000_000 // len(rows) + 1
    numbers = np.array([int(row[1][6:]) for row in ordered])
    cases = np.concatenate([numbers + CASES * n for n in range(times)])
    statuses = np.tile(np.array([checker.codes[row[2]] for row in ordered], dtype=np.uint8), times)
    return make_result("audit, sorted ints", measure_best(lambda: check_arrays(checker, cases, statuses), len(cases)), 50)


def measure_ready_tuples(rows: list[LogRow]) -> Result:
    """Tuples in memory, cases mixed, pure Python: as a caller with a database cursor has them."""

    def run() -> None:
        with CaseTracker(CaseChecker(CcvLifecycle.table)) as cases:
            cases.add(rows)

    return make_result("audit, ready tuples, pure Python", measure_best(run, len(rows)), 1.5)


def measure_csv_file(rows: list[LogRow]) -> Result:
    """A file on disk: opened, read, checked and counted."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.csv"
        with path.open("w") as file:
            file.write("case,status,time\n")
            file.writelines(f"{case},{status},{at.isoformat()}\n" for _, case, status, at in rows)

        def run() -> None:
            with LogFile(str(path)) as log, CaseTracker(CaseChecker(CcvLifecycle.table)) as cases:
                cases.add(log.read_rows())
                summary = Summary(cases.checker)
                for case in cases.iter_cases():
                    summary.count(case)
                assert summary.observations == len(rows)

        return make_result("audit, CSV file", measure_best(run, len(rows)), 0.5)


def drop_repeats(rows: list[LogRow]) -> list[LogRow]:
    """The log without repeated statuses: pm4py replays each variant of a case once, and repeats would make many variants."""
    last: dict[str, str] = {}
    changes = []
    for row in rows:
        if last.get(row[1]) != row[2]:
            changes.append(row)
        last[row[1]] = row[2]
    return changes


def measure_pm4py(rows: list[LogRow]) -> Result:
    """Token replay by pm4py, from a frame in memory, in a temporary environment. The ratio is to ready tuples."""
    name = "audit, pm4py token replay beside it, no repetitions"
    rows = drop_repeats(rows)
    ours = float(str(measure_ready_tuples(rows)["value"]))
    lifecycle = CcvLifecycle.table
    request = {
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
        output = ""
        for step in steps:
            done = subprocess.run(step, input=json.dumps(request), capture_output=True, text=True, check=False)
            if done.returncode:
                return make_result(f"{name} (not run: {' '.join(step[1:4])} ended with {done.returncode})", None, None)
            output = done.stdout
    replay = json.loads(output)
    events, seconds = replay["events"], replay["seconds"]
    print(f"  pm4py {replay['version']}: {events:,} events in {seconds:.1f} CPU s, {replay['fit']:,} fit", file=sys.stderr)
    theirs = events / seconds / 1e6
    return {**make_result(name, theirs, None), "ratio": ours / theirs, "goal": f"orderflow is {ours / theirs:.0f} x as fast"}


def find_verdict(checker: CaseChecker, log: list[str]) -> str:
    """The verdict on one order's statuses."""
    history = checker.automaton.start_history()
    for status in log:
        history.add(status)
    return checker.find_verdict(history)


def count_false_alarms(table: Table, count: int = 5_000) -> Result:
    """Real lives of which 30 % was not observed: all of them must be legal."""
    rng, checker, alarms = random.Random(7), CaseChecker(table), 0
    lives = RandomLives(table, rng)
    for _ in range(count):
        log = drop_observations(lives.make(), 0.3, rng, keep_recovered=True)
        alarms += find_verdict(checker, log) != LEGAL
    name = f"audit, false alarms with 30 % of observations dropped, {table.name} ({count} lives)"
    return {"name": name, "value": 100 * alarms / count, "unit": "%", "ratio": None, "goal": "0 %", "ok": not alarms}


def count_swaps_caught(table: Table, count: int = 2_000) -> Result:
    """Neighbours swapped, where the swapped pair is one that can be refused: each must be wrong."""
    rng, checker, caught, swaps = random.Random(11), CaseChecker(table), 0, 0
    lives = RandomLives(table, rng)
    for _ in range(count):
        log = [status for status, _ in lives.make()]
        for at, (first, second) in enumerate(pairwise(log)):
            if first != second and first not in checker.list_successors(second):
                swaps += 1
                caught += find_verdict(checker, [*log[:at], second, first, *log[at + 2 :]]) != LEGAL
    name = f"audit, swapped neighbours caught, {table.name} ({swaps} refusable)"
    return {"name": name, "value": 100 * caught / swaps, "unit": "%", "ratio": None, "goal": "100 %", "ok": caught == swaps}


def run() -> list[Result]:
    """Every measurement of this area."""
    rows = make_log()
    print(f"  {len(rows):,} observations of {CASES:,} cases", file=sys.stderr)
    tables = (CcvLifecycle.table, ConnectLifecycle.table)
    checks = [measure(table) for measure in (count_false_alarms, count_swaps_caught) for table in tables]
    return [measure_sorted_ints(rows), measure_ready_tuples(rows), measure_csv_file(rows), measure_pm4py(rows), *checks]
