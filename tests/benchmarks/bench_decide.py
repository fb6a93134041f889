"""``decide`` against a floor and against python-statemachine's engine; ``--help`` against an empty interpreter."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace

from orderflow._lifecycle.decide import decide
from orderflow._lifecycle.declare import Lifecycle
from orderflow._lifecycle.facts import valuations
from orderflow._lifecycle.table import Table
from orderflow._providers.ccv.lifecycle import CcvLifecycle
from orderflow._providers.connect.lifecycle import ConnectLifecycle
from orderflow.model import Applied, Decision, Event, Refused, Snapshot, Step

LIFECYCLES: tuple[type[Lifecycle], ...] = (CcvLifecycle, ConnectLifecycle)
ROUNDS = 15
Known = Mapping[tuple[str, str], tuple[Step, Mapping[str, bool | str]] | Decision]


class Sample(SimpleNamespace):
    """One answer of one cell: snapshot and event for decide, ``known`` for the floor."""

    lifecycle: type[Lifecycle]
    table: Table
    snapshot: Snapshot
    event: Event
    known: Known
    applied: bool


def samples() -> list[Sample]:
    """Every state x event x valuation of the facts that the cell reads, of both lifecycles."""
    found = []
    for lifecycle in LIFECYCLES:
        table = lifecycle.table
        for state in table.states:
            for name, origin in table.events.items():
                choice = table.cells[state][name].choice
                for given in valuations(tuple((fact, table.facts[fact]) for fact in choice.reads)):
                    snapshot = Snapshot(state, {**table.defaults(), **given}, {"provider_id": "1"}, 3)
                    event = Event(name, origin)
                    decision = decide(table, snapshot, event)
                    edge = choice.pick(given)
                    entry = (edge.step, edge.sets) if edge else decision
                    found.append(
                        Sample(
                            lifecycle=lifecycle,
                            table=table,
                            snapshot=snapshot,
                            event=event,
                            known={(state, name): entry},
                            applied=isinstance(decision, Applied),
                        )
                    )
    return found


def floor(known: Known, snapshot: Snapshot, event: Event) -> Decision:
    """A dict look-up that builds the same result objects: no guard, no origin, no unknown name."""
    entry = known[snapshot.state, event.name]
    if isinstance(entry, tuple):
        step, sets = entry
        facts = {**snapshot.facts, **sets} if sets else snapshot.facts
        data = {**snapshot.data, **event.data} if event.data else snapshot.data
        return Applied((step,), Snapshot(step.target, facts, data, snapshot.version + 1))
    if isinstance(entry, Refused):
        return Refused(entry.reason, entry.state, entry.detail, entry.legal)
    return entry


def measure_in_turns(calls: Mapping[str, Callable[[], int]], rounds: int) -> dict[str, float]:
    """Seconds per item of each call, the best of several rounds. The calls take turns, so that none has the idle half of the time."""
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(rounds):
        for name, call in calls.items():
            begun = time.perf_counter()
            items = call()
            best[name] = min(best[name], (time.perf_counter() - begun) / items)
    return best


def against_floor(name: str, chosen: list[Sample]) -> dict[str, object]:
    """decide and the floor over the same samples."""
    ours = [(s.table, s.snapshot, s.event) for s in chosen] * 5
    theirs = [(s.known, s.snapshot, s.event) for s in chosen] * 5

    def run_ours() -> int:
        for table, snapshot, event in ours:
            decide(table, snapshot, event)
        return len(ours)

    def run_floor() -> int:
        for known, snapshot, event in theirs:
            floor(known, snapshot, event)
        return len(theirs)

    best = measure_in_turns({"decide": run_ours, "floor": run_floor}, ROUNDS)
    ratio = best["decide"] / best["floor"]
    return result(f"{name} / floor", best["decide"] * 1e6, "us", ratio, "<= 2x", ok=ratio <= 2)


def against_engine(chosen: list[Sample]) -> dict[str, object]:
    """decide and the library's engine, which loads the row and sends, over the same applied samples."""
    for sample in chosen:
        assert send(sample) == sample.known[sample.snapshot.state, sample.event.name][0].target

    def run_ours() -> int:
        for sample in chosen:
            decide(sample.table, sample.snapshot, sample.event)
        return len(chosen)

    def run_engine() -> int:
        for sample in chosen:
            send(sample)
        return len(chosen)

    best = measure_in_turns({"decide": run_ours, "engine": run_engine}, 3)
    ratio = best["engine"] / best["decide"]
    return result("python-statemachine send / decide", best["engine"] * 1e6, "us", ratio, ">= 40x", ok=ratio >= 40)


def send(sample: Sample) -> str:
    """One event through the library's engine, on a loaded row."""
    row = SimpleNamespace(state=sample.snapshot.state, facts=sample.snapshot.facts)
    sample.lifecycle(model=row).send(sample.event.name)
    return row.state


def help_against_nothing() -> dict[str, object]:
    """``orderflow --help`` and ``python -c pass``, the median of several processes started in turn."""
    name, goal = "orderflow --help / python -c pass", "<= 15x"
    command = Path(sys.executable).with_name("orderflow")
    if not command.exists():
        return result(f"{name} (not installed)", None, "ms", None, goal, ok=False)
    taken: dict[str, list[float]] = {"help": [], "pass": []}
    for _ in range(9):
        for which, argv in (("help", [str(command), "--help"]), ("pass", [sys.executable, "-c", "pass"])):
            begun = time.perf_counter()
            done = subprocess.run(argv, capture_output=True, check=False)
            taken[which].append(time.perf_counter() - begun)
            if done.returncode:
                return result(f"{name} (exit code {done.returncode})", None, "ms", None, goal, ok=False)
    helped, passed = statistics.median(taken["help"]), statistics.median(taken["pass"])
    return result(name, helped * 1e3, "ms", helped / passed, goal, ok=helped / passed <= 15)


def result(name: str, value: float | None, unit: str, ratio: float | None, goal: str, *, ok: bool) -> dict[str, object]:
    """A row of build/bench.json."""
    return {"name": name, "value": value, "unit": unit, "ratio": ratio, "goal": goal, "ok": ok}


def run() -> list[dict[str, object]]:
    """Every measurement of this area."""
    every = samples()
    applied = [sample for sample in every if sample.applied]
    return [
        against_floor("decide, applied", applied),
        against_floor("decide, every cell", every),
        against_engine(applied),
        help_against_nothing(),
    ]
