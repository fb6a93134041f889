"""Suites: every cell against python-statemachine's engine, the table alone, and how many seeded faults the suites kill."""

from __future__ import annotations

import time
from types import SimpleNamespace

from statemachine.exceptions import TransitionNotAllowed
from tests.benchmarks.bench_decide import result

from orderflow._analysis.reachability import Pair
from orderflow._lifecycle.decide import decide
from orderflow._lifecycle.declare import Lifecycle
from orderflow._lifecycle.facts import valuations
from orderflow._lifecycle.table import Table
from orderflow._providers.ccv.lifecycle import CcvLifecycle
from orderflow._providers.connect.lifecycle import ConnectLifecycle
from orderflow._testing.conformance import w_method, wp_method
from orderflow._testing.mealy import Machine, TableSubject, machine_of, machines_of
from orderflow._testing.mutants import Mutant, Trial, add_hidden_states, mutate_cells
from orderflow._testing.suites import all_cells
from orderflow.model import Applied, Event, Snapshot

LIFECYCLES: tuple[type[Lifecycle], ...] = (CcvLifecycle, ConnectLifecycle)
Question = tuple[type[Lifecycle], Snapshot, Event]


def questions() -> list[Question]:
    """Every state x event x valuation of the facts that the cell's guards read, of both lifecycles."""
    found: list[Question] = []
    for lifecycle in LIFECYCLES:
        table = lifecycle.table
        for state in table.states:
            for name, origin in table.events.items():
                reads = table.cells[state][name].choice.reads
                asked = valuations(tuple((fact, table.facts[fact]) for fact in reads))
                event = Event(name, origin)
                found += [(lifecycle, Snapshot(state, {**table.defaults(), **given}, {}, 0), event) for given in asked]
    return found


def oracle(lifecycle: type[Lifecycle], snapshot: Snapshot, event: Event) -> str | None:
    """Where the library's engine goes, None where it refuses."""
    row = SimpleNamespace(state=snapshot.state, facts=snapshot.facts)
    try:
        lifecycle(model=row).send(event.name)
    except TransitionNotAllowed:
        return None
    return str(row.state)


def cells() -> list[dict[str, object]]:
    """Agreement with the oracle, and the time of the table alone."""
    every = questions()
    begun = time.perf_counter()
    decided = [decide(lifecycle.table, snapshot, event) for lifecycle, snapshot, event in every]
    alone = time.perf_counter() - begun
    begun = time.perf_counter()
    targets = [oracle(*question) for question in every]
    engine = time.perf_counter() - begun
    same = sum((d.snapshot.state if isinstance(d, Applied) else None) == o for d, o in zip(decided, targets, strict=True))
    agreed = same / len(every)
    return [
        result(f"cells of both lifecycles as the oracle has them ({len(every)})", agreed * 100, "%", None, "100 %", ok=agreed == 1),
        result("all cells, the table alone (ratio: the oracle)", alone * 1e3, "ms", engine / alone, "< 100 ms", ok=alone < 0.1),
    ]


def differs(ways: list[tuple[Pair, Machine]], mutant: Mutant) -> list[Pair]:
    """The ways of creating an order that can tell, by comparing machines; none is a proof that the mutant is no fault."""
    return [pair for pair, found in ways if machine_of(mutant.table, pair).rows != found.rows]


def single_cells(table: Table) -> dict[str, object]:
    """All of them: killed by the cells, or by W, of those that differ at all."""
    begun = time.perf_counter()
    trial = Trial(table, all_cells(table))
    mutants = list(mutate_cells(table))
    left = [mutant for mutant in mutants if trial.kill(mutant) is None]
    taken = time.perf_counter() - begun
    ways = list(machines_of(table))
    distinguishing = [(mutant, differs(ways, mutant)) for mutant in left]
    same = sum(not pairs for _, pairs in distinguishing)
    alive = [mutant for mutant, pairs in distinguishing if pairs and not by_w(table, mutant, pairs)]
    real = len(mutants) - same
    name = f"{table.name}: single-cell mutants killed ({len(mutants)}, {same} of them equivalent; {taken:.1f} s)"
    return result(name, 100 * (real - len(alive)) / real, "%", None, "100 %", ok=not alive)


def by_w(table: Table, mutant: Mutant, pairs: list[Pair]) -> bool:
    """Whether the W-method sees a mutant, with as many states as there are."""
    return any(w_method(table, 0, pair).difference(lambda pair: TableSubject(mutant.table, pair)) for pair in pairs)


def hidden_states() -> list[dict[str, object]]:
    """Every hidden state of CCV's machine, against Wp with none and with one state more."""
    table = CcvLifecycle.table
    found = machine_of(table)
    every = list(add_hidden_states(found))
    rows = []
    for extra in (0, 1):
        tried = every if extra else every[::10]
        trial = Trial(table, wp_method(table, extra))
        killed = sum(trial.kill_hidden(found, hidden) is not None for hidden in tried)
        name = f"ccv: hidden states killed by Wp, n + {extra} ({len(tried)})"
        goal = "100 %" if extra else "shown: this is what n + 1 is for"
        rows.append(result(name, 100 * killed / len(tried), "%", None, goal, ok=not extra or killed == len(tried)))
    return rows


def run() -> list[dict[str, object]]:
    """Every measurement of this area."""
    return [*cells(), *(single_cells(lifecycle.table) for lifecycle in LIFECYCLES), *hidden_states()]
