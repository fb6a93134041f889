"""Every cell against python-statemachine's own engine: state x event x valuation of the facts that the cell's guards read."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import SimpleNamespace

from statemachine.exceptions import TransitionNotAllowed

from orderflow._lifecycle.decide import decide
from orderflow._lifecycle.declare import Lifecycle
from orderflow._lifecycle.facts import valuations
from orderflow._lifecycle.table import Table
from orderflow.model import Applied, Event, Snapshot


def cells(table: Table) -> Iterator[tuple[Snapshot, Event]]:
    """Every cell under every valuation of the facts its guards read; the other facts at their first value."""
    for state in table.states:
        for name, origin in table.events.items():
            edges = [edge for edge in table.edges if edge.source == state and edge.event == name]
            read = {fact for edge in edges for fact, _ in edge.reads}
            for given in valuations(tuple((fact, table.facts[fact]) for fact in table.facts if fact in read)):
                yield Snapshot(state, {**table.defaults(), **given}, {}, 0), Event(name, origin)


def ask_engine(lifecycle: type[Lifecycle], snapshot: Snapshot, event: Event) -> str | None:
    """The state that the library's engine goes to, None where it refuses the event."""
    # the engine matches names by prefix and pattern: only a name that is exactly declared may be asked
    assert event.name in {known.id for known in lifecycle._events}
    row = SimpleNamespace(state=snapshot.state, facts=snapshot.facts)
    machine = lifecycle(model=row)
    try:
        machine.send(event.name)
    except TransitionNotAllowed:
        assert row.state == snapshot.state
        return None
    return str(row.state)


def test_the_engine_of_the_library_agrees_with_every_cell(lifecycle, capsys):
    compared = applied = 0
    for snapshot, event in cells(lifecycle.table):
        decision = decide(lifecycle.table, snapshot, event)
        decided = decision.snapshot.state if isinstance(decision, Applied) else None
        assert decided == ask_engine(lifecycle, snapshot, event), (snapshot.state, event.name, snapshot.facts)
        compared += 1
        applied += decided is not None
    assert applied >= len(lifecycle.table.edges)
    with capsys.disabled():
        print(f"\n{lifecycle.table.name}: {compared} cells compared with the engine, {applied} of them applied")


def test_the_library_knows_the_same_states_and_events(lifecycle):
    assert {state.value for state in lifecycle.states} == set(lifecycle.table.states)
    assert {event.id for event in lifecycle._events} == set(lifecycle.table.events)
    assert lifecycle.initial_state.value == lifecycle.table.initial


def test_the_table_alone_answers_every_cell_well_under_100_ms(table):
    every = list(cells(table))
    begun = time.perf_counter()
    for snapshot, event in every:
        decide(table, snapshot, event)
    assert time.perf_counter() - begun < 0.1
