"""``check`` and its properties, the seeded definition faults against python-statemachine alone, and the exploration."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from tests.kit.definition_faults import FAULTS, broken_rules, statemachine_refuses
from tests.verification.explorer import CCV, CONNECT, Environment, explore, valuations_at_create
from tests.verification.explorer.seeded_bugs import BUGS

from orderflow._analysis.check import check
from orderflow._analysis.model_checking import Verdict, verify
from orderflow._analysis.reachability import reachable
from orderflow._lifecycle.decide import decide
from orderflow._lifecycle.facts import Value, valuations
from orderflow._lifecycle.table import Table
from orderflow._providers.ccv.lifecycle import CcvLifecycle
from orderflow._providers.connect.lifecycle import ConnectLifecycle
from orderflow.model import Event, Snapshot

TABLES: tuple[Table, ...] = (CcvLifecycle.table, ConnectLifecycle.table)
ENVIRONMENTS = (CCV, CONNECT)


def result(name: str, value: float | None, unit: str, ratio: float | None, goal: str, *, ok: bool) -> dict[str, object]:
    """A row of build/bench.json."""
    return {"name": name, "value": value, "unit": unit, "ratio": ratio, "goal": goal, "ok": ok}


def best_of(call: Callable[[], object], rounds: int = 7) -> float:
    """Seconds of CPU, the best of several rounds: others may use this machine."""
    taken = []
    for _ in range(rounds):
        begun = time.process_time()
        call()
        taken.append(time.process_time() - begun)
    return min(taken)


def every_cell() -> int:
    """Decide every cell of both tables under every valuation that it reads."""
    decided = 0
    for table in TABLES:
        for state in table.states:
            for event, origin in table.events.items():
                choice = table.cells[state][event].choice
                for given in valuations(tuple((fact, table.facts[fact]) for fact in choice.reads)):
                    decide(table, Snapshot(state, {**table.defaults(), **given}, {}, 0), Event(event, origin))
                    decided += 1
    return decided


def checks() -> list[dict[str, object]]:
    """How long checking takes, and what was promised and held."""
    rows = []
    took = best_of(every_cell)
    rows.append(result("decide every cell of both lifecycles", took * 1e3, "ms", None, f"< 100 ms ({every_cell()} answers)", ok=took < 0.1))
    for table in TABLES:
        took = best_of(lambda table=table: check(table))  # type: ignore[misc]
        moves = reachable(table)
        promised = best_of(lambda table=table, moves=moves: verify(table, moves))  # type: ignore[misc]
        held = [result.verdict is Verdict.HOLDS for result in verify(table, moves)]
        rows.append(result(f"check {table.name}", took * 1e3, "ms", None, f"< 500 ms ({len(moves)} pairs)", ok=took < 0.5))
        goal = f"all hold ({sum(held)} of {len(held)})"
        rows.append(result(f"verify the properties of {table.name}", promised * 1e3, "ms", None, goal, ok=all(held)))
    return rows


def faults() -> list[dict[str, object]]:
    """The eight definition faults."""
    ours = sum(rule in broken_rules(shop) for shop, rule in FAULTS.values())
    theirs = sum(statemachine_refuses(shop) for shop, _ in FAULTS.values())
    return [
        result("definition faults found by orderflow", float(ours), "of 8", None, "8 of 8", ok=ours == len(FAULTS)),
        result("definition faults found by python-statemachine alone", float(theirs), "of 8", None, "(4)", ok=True),
    ]


def exploration() -> list[dict[str, object]]:
    """Both providers under all facts with two workers, and CCV with four."""
    rows = []
    total = 0.0
    for environment in ENVIRONMENTS:
        begun, states, transitions, violations = time.process_time(), 0, 0, 0
        for facts in valuations_at_create(environment.table):
            found = explore(environment, facts, workers=2)
            states, transitions, violations = states + found.worlds, transitions + found.steps, violations + bool(found.violation)
        took = time.process_time() - begun
        total += took
        name = f"exploration of {environment.table.name}, W=2, all facts"
        rows += make_rows(name, states, transitions, violations, took)
    rows.append(result("exploration of both, W=2, all facts", total, "s of CPU", None, "< 60 s", ok=total < 60))
    begun = time.process_time()
    found = explore(CCV, next(iter(valuations_at_create(CCV.table))), workers=4)
    took = time.process_time() - begun
    rows += make_rows("exploration of ccv, W=4, one valuation", found.worlds, found.steps, int(found.violation is not None), took)
    return rows


def make_rows(name: str, states: int, transitions: int, violations: int, took: float) -> list[dict[str, object]]:
    """The rows of one exploration; ``took`` in seconds of CPU."""
    return [
        result(f"{name}: worlds", float(states), "worlds", None, "all", ok=True),
        result(f"{name}: steps", float(transitions), "steps", None, "all", ok=True),
        result(f"{name}: violations", float(violations), "violations", None, "0", ok=not violations),
        result(f"{name}: speed", states / took, "worlds/s", None, "shown", ok=True),
    ]


def bugs() -> list[dict[str, object]]:
    """The seeded engine bugs: found in which world, in how many events."""
    rows = []
    for bug, engine in BUGS.items():
        begun = time.process_time()
        violations = {
            environment.table.name: explore(environment, busiest(environment), engine=engine).violation for environment in ENVIRONMENTS
        }
        counterexamples = [f"{name} in {len(violation.events)} events" for name, violation in violations.items() if violation]
        took = time.process_time() - begun
        goal = f"found: {', '.join(counterexamples) or 'not'}"
        rows.append(result(f"seeded engine bug found: {bug}", took, "s of CPU", None, goal, ok=bool(counterexamples)))
    return rows


def busiest(environment: Environment) -> Mapping[str, Value]:
    """Facts under which an order of this provider can do most."""
    wanted = {"url_allowed", "api_allowed", "needs_user"}
    return next(
        f
        for f in valuations_at_create(environment.table)
        if {n for n, v in f.items() if v is True} == wanted & environment.table.facts.keys()
    )


def run() -> list[dict[str, object]]:
    """Every measurement of this area."""
    return [*checks(), *faults(), *exploration(), *bugs()]
