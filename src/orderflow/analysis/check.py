"""``check``: what a table's shape cannot show at a glance: everything reachable, nothing stuck, nothing unproven. Pure.

Rules are functions from the material to problems; each has a name that is stable for programs. Some repeat a refusal of
compile.py, on the table and by other means: a table may also be built by hand, and compile.py may be wrong.

    unreachable       no order ever stands in this state
    never-enabled     an edge that no reachable facts enable
    dead-end          an order stands where nothing is enabled, in a state that is no end (final, proven or provisional)
    trap              an order that can go on moving, but never to a settled state
    ambiguous         two edges of one cell are enabled at once
    unanswered        a cell without an answer, or with one that its edges do not give
    unproven-entry    a command, claim or clock edge into a proven state, or a claim into a provisional one
    final-edge        an edge out of a final state
    deadline          armed where its event does nothing, or not armed where its event has an edge
    reading           over unknown states, inconsistent with what it proves, or never able to prove it

Beside the rules, every declared property is judged over all paths (paths.py): one that fails, or that is vacuous, is a problem named
``property-fails`` or ``property-vacuous``.

A guard that cannot be enumerated does not compile, for what was not checked does not run. ``check_sketches`` judges what is left: such a
guard is a problem named ``guard-unresolved``, and whatever hangs on what it says is ``unchecked`` or ``property-unchecked``: never passed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby

from attrs import frozen

from orderflow.analysis.model_checking import Judged, Verdict, agreed, judge
from orderflow.analysis.reachability import Moves, Pair, leading_to, reachable
from orderflow.errors import UnknownName
from orderflow.lifecycle.cells import union_of_reads
from orderflow.lifecycle.decide import decide, pollable, settled
from orderflow.lifecycle.facts import Value, valuations
from orderflow.lifecycle.observe import observe
from orderflow.lifecycle.table import Edge, Table
from orderflow.model import Applied, Event, Observation, Origin, Snapshot


@frozen
class Problem:
    """A broken rule: its name, where (a state, an edge, a status), and why that is wrong."""

    rule: str
    where: str
    explanation: str


@frozen
class Figures:
    """What was looked at. ``answers``: cells times the valuations of the facts that their guards read;
    ``pairs``: reachable (state, facts) pairs."""

    states: int
    events: int
    edges: int
    cells: int
    answers: int
    pairs: int


@frozen
class Report:
    """The outcome for one lifecycle: no problems means sound. ``properties``: what was promised, each with its verdict and path."""

    lifecycle: str
    problems: tuple[Problem, ...]
    figures: Figures
    properties: tuple[Judged, ...] = ()


@frozen
class _Material:
    """What the rules look at."""

    table: Table
    moves: Moves


def check(table: Table) -> Report:
    """Check a table against every rule above, and judge its properties."""
    material = _Material(table, reachable(table))
    judged = judge(table, material.moves)
    return Report(table.name, (*_problems(material), *_broken(judged)), _figures(material), judged)


def check_sketches(never: Table, always: Table) -> Report:
    """Check what can be said in spite of opaque guards: ``never`` has them say no, ``always`` yes (``DeclarationError.sketches``)."""
    no, yes = _Material(never, reachable(never)), _Material(always, reachable(always))
    sure = {pair: tuple(move for move in out if not move[0].unchecked) for pair, out in yes.moves.items()}
    worlds = {"no": no, "yes": yes, "now yes, now no": _Material(never, sure)}
    found = {said: {(one.rule, one.where): one for one in _problems(material)} for said, material in worlds.items()}
    opaque = [edge for edge in never.edges if edge.unchecked]
    guards = " and ".join(dict.fromkeys(edge.guard for edge in opaque))
    problems = {("", _name(edge)): Problem("guard-unresolved", _name(edge), f"{edge.guard}: {edge.unchecked}") for edge in opaque}
    for said, mine in found.items():
        for key, one in mine.items():
            unsure = Problem("unchecked", one.where, f"{one.rule}, were {guards} to say {said}: {one.explanation}")
            problems.setdefault(key, one if key in found["no"] and key in found["yes"] else unsure)
    judged = agreed(judge(never, no.moves), judge(always, yes.moves))
    return Report(never.name, (*problems.values(), *_broken(judged, guards)), _figures(yes), judged)


def _problems(material: _Material) -> list[Problem]:
    return [Problem(name, where, why) for name, rule in RULES.items() for where, why in rule(material)]


def _figures(m: _Material) -> Figures:
    table = m.table
    return Figures(
        states=len(table.states),
        events=len(table.events),
        edges=len(table.edges),
        cells=len(table.states) * len(table.events),
        answers=sum(1 for _ in _answers(table)),
        pairs=len(m.moves),
    )


def _broken(judged: tuple[Judged, ...], guards: str = "") -> Iterator[Problem]:
    for one in judged:
        name, text = one.promised.name, one.promised.text
        if one.verdict is Verdict.VACUOUS:
            yield Problem("property-vacuous", name, f"{text}: {one.missing} never happens, so it says nothing")
        elif one.verdict is Verdict.FAILS:
            yield Problem("property-fails", name, f"{text}: not so on {', '.join(one.steps) or 'the very start'}")
        elif one.verdict is Verdict.UNCHECKED:
            yield Problem("property-unchecked", name, f"{text}: hangs on {guards}")


Found = Iterator[tuple[str, str]]


def _name(edge: Edge) -> str:
    return f"{edge.event}: {edge.source} -> {edge.target}"


def _first_of_each_state(pairs: list[Pair]) -> Iterator[tuple[str, Pair, int]]:
    """One example per state, and how many there are: a problem under a thousand facts is one problem."""
    for state, group in groupby(sorted(pairs, key=lambda pair: (pair.state, str(pair.values))), lambda pair: pair.state):
        alike = list(group)
        yield state, alike[0], len(alike)


def _told(table: Table, pair: Pair, count: int) -> str:
    facts = ", ".join(f"{name} = {value}" for name, value in pair.facts(table).items()) or "no facts"
    return f"under {count} of the reachable facts, as {facts}"


def _unreachable(m: _Material) -> Found:
    entered = {pair.state for pair in m.moves}
    targets = {edge.target for edge in m.table.edges}
    for state in m.table.states:
        if state not in entered:
            yield state, "its edges are never enabled on any way to it" if state in targets else "no edge enters it"


def _never_enabled(m: _Material) -> Found:
    used = {id(edge) for out in m.moves.values() for edge, _ in out}
    for edge in m.table.edges:
        if id(edge) not in used and not edge.unchecked:
            yield _name(edge), f"no order ever stands in {edge.source} with {edge.guard or 'any facts'}"


def _dead_end(m: _Material) -> Found:
    states = m.table.states
    ends = {state for state, info in states.items() if info.final or info.proven or info.provisional}
    stuck = [pair for pair, out in m.moves.items() if not out and pair.state not in ends]
    for state, pair, count in _first_of_each_state(stuck):
        yield state, f"nothing is enabled, yet it is no end, {_told(m.table, pair, count)}"


def _trap(m: _Material) -> Found:
    rest = [pair for pair in m.moves if settled(m.table, pair.snapshot(m.table))]
    trapped = list(m.moves.keys() - leading_to(m.moves, rest))
    for state, pair, count in _first_of_each_state(trapped):
        yield state, f"no settled state can be reached, {_told(m.table, pair, count)}"


def _ambiguous(m: _Material) -> Found:
    for state, event, mine, given in _answers(m.table):
        enabled = [edge for edge in mine if edge.holds.pick(given)]
        if len(enabled) > 1:
            yield f"{event} in {state}", f"edges to {' and '.join(edge.target for edge in enabled)} under {given}"


def _answers(table: Table) -> Iterator[tuple[str, str, list[Edge], dict[str, Value]]]:
    """Every state, every event, every valuation of the facts that the edges there read."""
    for state in table.states:
        for event in table.events:
            mine = [edge for edge in table.edges if edge.source == state and edge.event == event]
            for given in valuations(union_of_reads(table.facts, mine)):
                yield state, event, mine, given


def _unanswered(m: _Material) -> Found:
    defaults = m.table.defaults()
    for state, event, mine, given in _answers(m.table):
        where = f"{event} in {state}"
        snapshot = Snapshot(state, {**defaults, **given}, {}, 0)
        try:
            decision = decide(m.table, snapshot, Event(event, m.table.events[event]))
        except (UnknownName, KeyError):
            yield where, f"no answer under {given}"
            continue
        targets = [edge.target for edge in mine if edge.holds.pick(given)]
        if [decision.snapshot.state] != targets if isinstance(decision, Applied) else targets:
            yield where, f"the answer under {given} is not what its edges say"


def _unproven_entry(m: _Material) -> Found:
    for edge in m.table.edges:
        target = m.table.states[edge.target]
        if edge.source == edge.target:
            continue
        if target.proven and edge.origin in (Origin.COMMAND, Origin.CLAIM, Origin.CLOCK):
            yield _name(edge), f"a {edge.origin} enters a proven state: nothing was proven"
        if target.provisional and edge.origin is Origin.CLAIM:
            yield _name(edge), "a claim enters a provisional state: anyone could have sent it"


def _final_edge(m: _Material) -> Found:
    for edge in m.table.edges:
        if m.table.states[edge.source].final:
            yield _name(edge), f"{edge.source} is final"


def _deadline(m: _Material) -> Found:
    armed = {(state, event) for state, info in m.table.states.items() for event, _ in info.deadlines}
    heard = {(edge.source, edge.event) for edge in m.table.edges if edge.origin is Origin.CLOCK}
    for state, event in sorted(armed - heard):
        yield state, f"its deadline brings {event}, which no clock edge hears there"
    for state, event in sorted(heard - armed):
        yield state, f"a clock edge waits for {event}, but no deadline brings it there"


def _reading(m: _Material) -> Found:
    for status, reading in m.table.readings.items():
        for state in sorted((reading.consistent | {reading.proves or m.table.initial}) - m.table.states.keys()):
            yield status, f"it speaks of {state!r}, which is no state"
        if reading.proves is None:
            continue
        if reading.proves not in reading.consistent:
            yield status, f"it proves {reading.proves}, yet is inconsistent with it: a second read would be an anomaly"
        if not any(_proves(m.table, pair.snapshot(m.table), status) for pair in m.moves):
            yield status, f"no reachable order can be proven {reading.proves} by it"


def _proves(table: Table, snapshot: Snapshot, status: str) -> bool:
    asked = pollable(table, snapshot) and snapshot.state not in table.readings[status].consistent
    return asked and isinstance(observe(table, snapshot, Observation(status, snapshot.version)), Applied)


RULES: dict[str, Callable[[_Material], Found]] = {
    "unreachable": _unreachable,
    "never-enabled": _never_enabled,
    "dead-end": _dead_end,
    "trap": _trap,
    "ambiguous": _ambiguous,
    "unanswered": _unanswered,
    "unproven-entry": _unproven_entry,
    "final-edge": _final_edge,
    "deadline": _deadline,
    "reading": _reading,
}
"""Every rule by its name."""
