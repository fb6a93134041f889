"""``check``: what a table's shape does not show: everything is reachable, nothing is stuck, nothing is entered unproven. Pure.

Rules are functions from a table and its reachable pairs to problems; each has a name that is stable for programs. Some repeat a rule of
declarations, on the table and by other means: a table may also be built in other ways, and the compiler may be wrong.

    unreachable       no order ever stands in this state
    never-enabled     an edge that is enabled under no reachable facts
    dead-end          an order stands where no edge is enabled, in a state that is no end (final, proven or provisional)
    trap              an order that can go on moving, but never to a settled state
    ambiguous         two edges of one cell are enabled at once
    unanswered        a cell without an answer, or with another than its edges give
    unproven-entry    a command, claim or clock edge into a proven state, or a claim into a provisional one
    final-edge        an edge out of a final state
    deadline          armed where its event has no edge, or not armed where its event has one
    reading           over unknown states, inconsistent with what it proves, or never able to prove it
    jump-facts        a status jumps over paths that disagree on a fact which can still be read
    jump-effects      a status jumps over an edge that owes an effect, or over last edges that owe different ones
    reply-missing     an effect is owed where a reply by which its call may end has no edge that is enabled
    stranded          an order stands where all edges belong to calls that have ended, or to statuses that nothing brings

Every declared property is verified too (model_checking.py). One that fails, or that is vacuous, is a problem named ``property-fails`` or
``property-vacuous``. A lifecycle in which facts have more combinations than are explored is a problem named ``too-many-facts``: it is not
called sound.

A lifecycle with an opaque guard, one that cannot be enumerated, does not compile. ``check_sketches`` looks at what is left of it: the
guard is a problem named ``guard-unresolved``, and what depends on its answer is ``unchecked`` or ``property-unchecked``, never passed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from itertools import groupby

from attrs import frozen

from orderflow._analysis.condensed import OPEN, explore, find_readable_facts
from orderflow._analysis.model_checking import PropertyResult, Verdict, combine, verify
from orderflow._analysis.owed import find_missing_replies, find_stranded
from orderflow._analysis.reachability import MAX_PAIRS, Explored, Moves, Pair, TooManyPairs, may_hold, pairs_that_reach
from orderflow._lifecycle.cells import union_of_reads
from orderflow._lifecycle.decide import decide, find_enabled, is_pollable, is_settled
from orderflow._lifecycle.edges import is_proving
from orderflow._lifecycle.facts import Facts, Value, valuations
from orderflow._lifecycle.paths import Ways, find_ways
from orderflow._lifecycle.table import Edge, Table
from orderflow.errors import UnknownName
from orderflow.model import Applied, Event, Origin, Snapshot


@frozen
class Problem:
    """A broken rule: its name, where (a state, an edge, a status), and why that is wrong."""

    rule: str
    where: str
    explanation: str


@frozen
class Figures:
    """How much was looked at. ``answers``: cells times the combinations of facts that their guards read. ``pairs``: reachable
    (state, facts) pairs."""

    states: int
    events: int
    edges: int
    cells: int
    answers: int
    pairs: int


@frozen
class Report:
    """The outcome for one lifecycle. No problems: it is sound. ``properties``: each with its verdict and path."""

    lifecycle: str
    problems: tuple[Problem, ...]
    figures: Figures
    properties: tuple[PropertyResult, ...] = ()


@frozen
class _Material:
    """What the rules look at."""

    table: Table
    moves: Moves
    starts: tuple[Pair, ...] = ()

    @classmethod
    def of(cls, table: Table, explored: Explored) -> _Material:
        return cls(table, explored.moves, explored.starts)


def check(table: Table) -> Report:
    """Check a table against every rule above, and verify its properties."""
    try:
        material = _Material.of(table, explore(table))
    except TooManyPairs:
        return _check_unexplored(table)
    results = verify(table, material.moves, material.starts)
    return Report(table.name, (*_apply_rules(material), *_property_problems(results)), _count(material), results)


def _check_unexplored(table: Table) -> Report:
    """What can be said of a table whose pairs are too many: no more than its edges show one by one."""
    material = _Material(table, {})
    explanation = (
        f"facts that guards read later have more than {MAX_PAIRS} combinations: this lifecycle cannot be explored. Read fewer facts, "
        "read each of them sooner, or let a state say what several facts say"
    )
    results = tuple(PropertyResult(promise, Verdict.UNCHECKED, ()) for promise in table.properties)
    problems = [Problem("too-many-facts", table.name, explanation), *_apply_rules(material, _RULES_OF_EDGES)]
    return Report(table.name, (*problems, *_property_problems(results, "facts that are too many")), _count(material), results)


def check_sketches(never: Table, always: Table) -> Report:
    """Check a lifecycle in spite of its opaque guards: in ``never`` these are never true, in ``always`` always
    (``DeclarationError.tables_for_check``)."""
    try:
        no, yes = _Material.of(never, explore(never)), _Material.of(always, explore(always))
    except TooManyPairs:
        return _check_unexplored(never)
    without_opaque = {pair: tuple(move for move in out if not move[0].unchecked) for pair, out in yes.moves.items()}
    mixed = _Material(never, without_opaque, yes.starts)  # true on the way here, false now
    worlds = {"never": no, "always": yes, "sometimes": mixed}
    found = {when: {(problem.rule, problem.where): problem for problem in _apply_rules(material)} for when, material in worlds.items()}
    opaque = [edge for edge in never.edges if edge.unchecked]
    guards = " and ".join(dict.fromkeys(edge.guard for edge in opaque))
    problems = {("", _name(edge)): Problem("guard-unresolved", _name(edge), f"{edge.guard}: {edge.unchecked}") for edge in opaque}
    for when, problems_then in found.items():
        for key, problem in problems_then.items():
            sure = key in found["never"] and key in found["always"]
            explanation = f"{problem.rule}, if {guards} is {when} true: {problem.explanation}"
            problems.setdefault(key, problem if sure else Problem("unchecked", problem.where, explanation))
    results = combine(verify(never, no.moves, no.starts), verify(always, yes.moves, yes.starts))
    return Report(never.name, (*problems.values(), *_property_problems(results, guards)), _count(yes), results)


def _apply_rules(material: _Material, names: Collection[str] = ()) -> list[Problem]:
    rules = {name: RULES[name] for name in names or RULES}
    return [Problem(name, where, explanation) for name, rule in rules.items() for where, explanation in rule(material)]


def _count(m: _Material) -> Figures:
    table = m.table
    return Figures(
        states=len(table.states),
        events=len(table.events),
        edges=len(table.edges),
        cells=len(table.states) * len(table.events),
        answers=sum(1 for _ in _answers(table)),
        pairs=len(m.moves),
    )


def _property_problems(results: tuple[PropertyResult, ...], guards: str = "") -> Iterator[Problem]:
    for result in results:
        name, text = result.promise.name, result.promise.text
        match result.verdict:
            case Verdict.VACUOUS:
                yield Problem("property-vacuous", name, f"{text}: {result.missing} never happens, so it promises nothing")
            case Verdict.FAILS:
                yield Problem("property-fails", name, f"{text}: not so on {', '.join(result.steps) or 'the very start'}")
            case Verdict.UNCHECKED:
                yield Problem("property-unchecked", name, f"{text}: depends on {guards}")


Faults = Iterator[tuple[str, str]]
"""Where a rule is broken, and why that is wrong."""


def _name(edge: Edge) -> str:
    return f"{edge.event}: {edge.source} -> {edge.target}"


def _first_of_each_state(pairs: list[Pair]) -> Iterator[tuple[str, Pair, int]]:
    """One example of each state, and how many there are: a problem under a thousand facts is one problem."""
    for state, group in groupby(sorted(pairs, key=lambda pair: (pair.state, str(pair.values))), lambda pair: pair.state):
        alike = list(group)
        yield state, alike[0], len(alike)


def _describe_facts(table: Table, pair: Pair, count: int) -> str:
    facts = ", ".join(f"{name} = {value}" for name, value in pair.facts(table).items() if value is not OPEN)
    facts = facts or ("any facts" if table.facts else "no facts")
    return f"under {count} of the reachable combinations of facts, for example {facts}"


def _unreachable(m: _Material) -> Faults:
    entered = {pair.state for pair in m.moves}
    targets = {edge.target for edge in m.table.edges}
    for state in m.table.states:
        if state not in entered:
            yield state, "its edges are never enabled on any path to it" if state in targets else "no edge enters it"


def _never_enabled(m: _Material) -> Faults:
    used = {id(edge) for out in m.moves.values() for edge, _ in out}
    for edge in m.table.edges:
        if id(edge) not in used and not edge.unchecked:
            yield _name(edge), f"no order ever stands in {edge.source} with {edge.guard or 'any facts'}"


def _dead_end(m: _Material) -> Faults:
    states = m.table.states
    ends = {state for state, info in states.items() if info.final or info.proven or info.provisional}
    stuck = [pair for pair, out in m.moves.items() if not out and pair.state not in ends]
    for state, pair, count in _first_of_each_state(stuck):
        yield state, f"no edge is enabled, though it is no end, {_describe_facts(m.table, pair, count)}"


def _trap(m: _Material) -> Faults:
    settled_pairs = [pair for pair in m.moves if is_settled(m.table, pair.snapshot(m.table))]
    trapped = list(m.moves.keys() - pairs_that_reach(m.moves, settled_pairs))
    for state, pair, count in _first_of_each_state(trapped):
        yield state, f"no settled state can be reached, {_describe_facts(m.table, pair, count)}"


def _ambiguous(m: _Material) -> Faults:
    for state, event, edges, given in _answers(m.table):
        enabled = [edge for edge in edges if edge.holds.pick(given)]
        if len(enabled) > 1:
            yield f"{event} in {state}", f"edges to {' and '.join(edge.target for edge in enabled)} under {given}"


def _answers(table: Table) -> Iterator[tuple[str, str, list[Edge], dict[str, Value]]]:
    """Every state, every event, every combination of the facts that the edges there read."""
    cells: dict[tuple[str, str], list[Edge]] = {(state, event): [] for state in table.states for event in table.events}
    for edge in table.edges:
        cells[edge.source, edge.event].append(edge)
    for (state, event), edges in cells.items():
        for given in valuations(union_of_reads(table.facts, edges)):
            yield state, event, edges, given


def _find_unanswered(m: _Material) -> Faults:
    defaults = m.table.defaults()
    for state, event, edges, given in _answers(m.table):
        where = f"{event} in {state}"
        snapshot = Snapshot(state, {**defaults, **given}, {}, 0)
        try:
            decision = decide(m.table, snapshot, Event(event, m.table.events[event]))
        except (UnknownName, KeyError):
            yield where, f"no answer under {given}"
            continue
        targets = [edge.target for edge in edges if edge.holds.pick(given)]
        if [decision.snapshot.state] != targets if isinstance(decision, Applied) else targets:
            yield where, f"the answer under {given} is not that of its edges"


def _unproven_entry(m: _Material) -> Faults:
    for edge in m.table.edges:
        target = m.table.states[edge.target]
        if edge.source == edge.target:
            continue
        if target.proven and edge.origin in (Origin.COMMAND, Origin.CLAIM, Origin.CLOCK):
            yield _name(edge), f"a {edge.origin} enters a proven state: nothing was proven"
        if target.provisional and edge.origin is Origin.CLAIM:
            yield _name(edge), "a claim enters a provisional state: anyone could have sent it"


def _final_edge(m: _Material) -> Faults:
    for edge in m.table.edges:
        if m.table.states[edge.source].final:
            yield _name(edge), f"{edge.source} is final"


def _deadline(m: _Material) -> Faults:
    armed = {(state, event) for state, info in m.table.states.items() for event, _ in info.deadlines}
    expected = {(edge.source, edge.event) for edge in m.table.edges if edge.origin is Origin.CLOCK}
    for state, event in sorted(armed - expected):
        yield state, f"its deadline brings {event}, for which no clock edge leaves it"
    for state, event in sorted(expected - armed):
        yield state, f"a clock edge waits for {event}, but no deadline brings it there"


def _reading(m: _Material) -> Faults:
    for status, reading in m.table.readings.items():
        for state in sorted((reading.consistent | {reading.proves or m.table.initial}) - m.table.states.keys()):
            yield status, f"it names {state!r}, which is no state"
        if reading.proves is None:
            continue
        if reading.proves not in reading.consistent:
            yield status, f"it proves {reading.proves}, yet is inconsistent with it: a second poll would be an anomaly"
        if not _can_be_proven(m, status, reading.proves):
            yield status, f"no reachable order can be proven {reading.proves} by it"


def _can_be_proven(m: _Material, status: str, target: str) -> bool:
    """Whether some order that this status contradicts takes an edge to what it proves, or a path."""
    contradicted = [pair for pair in m.moves if pair.state not in m.table.readings[status].consistent]
    if any(edge.target == target and is_proving(edge) for pair in contradicted for edge, _ in m.moves[pair]):
        return True
    snapshots = (pair.snapshot(m.table) for pair in contradicted)
    return any(is_pollable(m.table, order) and find_ways(m.table, order, target, _may_be_taken) for order in snapshots)


def _may_be_taken(edge: Edge, facts: Facts) -> bool:
    """Whether the edge is enabled; it may be, where a fact that its guard reads is open."""
    if not edge.reads:
        return edge.holds.pick(facts)
    return may_hold(edge, {name: value for name, value in facts.items() if value is not OPEN})


def _jump_facts(m: _Material) -> Faults:
    table = m.table
    if not any(edge.sets for edge in table.edges if is_proving(edge)):
        return
    readable = find_readable_facts(table)
    reported: set[tuple[str, str]] = set()
    for pair in m.moves:
        for status, ways in _find_jumps(table, pair):
            target = ways.end[0]
            unsure = {name: values for name, values in ways.find_values().items() if len(values) > 1 and name in readable[target]}
            if unsure and (status, pair.state) not in reported:
                reported.add((status, pair.state))
                facts = " and ".join(f"{name} may be {' or '.join(sorted(map(str, values)))}" for name, values in unsure.items())
                remedy = "set it alike on every path, read it nowhere behind, or let the provider's status prove a state on the way"
                yield f"{status} in {pair.state}", f"it jumps to {target}, where {facts}, and a guard or a property may read that: {remedy}"


def _jump_effects(m: _Material) -> Faults:
    if not any(edge.effects for edge in m.table.edges if is_proving(edge)):
        return
    reported: set[tuple[str, str]] = set()
    for pair in m.moves:
        for status, ways in _find_jumps(m.table, pair):
            _, missed = ways.find_effects()
            if missed and (status, pair.state) not in reported:
                reported.add((status, pair.state))
                remedy = f"declare an observation edge from {pair.state} to {ways.end[0]} that owes what is owed then"
                explanation = f"it jumps to {ways.end[0]} over edges that may owe {' and '.join(sorted(missed))}, which is not owed then"
                yield f"{status} in {pair.state}", f"{explanation}: {remedy}, or let the provider's status prove a state on the way"


def _reply_missing(m: _Material) -> Faults:
    found = ((edge, reply, pair) for edge, _, reply, pair in find_missing_replies(m.moves))
    for (name, reply), alike in groupby(sorted(found, key=lambda each: (_name(each[0]), each[1])), lambda each: (_name(each[0]), each[1])):
        pairs = [pair for _, _, pair in alike]
        facts = _describe_facts(m.table, pairs[0], len(pairs))
        remedy = f"declare an edge of {reply} that leaves {pairs[0].state} under these facts"
        yield name, f"it owes a call that may end with {reply}, which has no edge in {pairs[0].state}, {facts}: {remedy}"


def _find_stranded(m: _Material) -> Faults:
    states = m.table.states
    ends = {state for state, info in states.items() if info.final or info.proven or info.provisional}
    try:
        pairs = [pair for pair in dict.fromkeys(find_stranded(m.table, m.moves, m.starts)) if pair.state not in ends]
    except TooManyPairs:
        yield m.table.name, "too many calls may be under way at once for this to be known: give effects that never meet one kind"
        return
    for state, pair, count in _first_of_each_state(pairs):
        remedy = "let a deadline, a command or an operator's event lead on"
        events = " and ".join(dict.fromkeys(edge.event for edge, _ in m.moves[pair]))
        yield state, f"it is left by {events} alone, and nothing brings that any more, {_describe_facts(m.table, pair, count)}: {remedy}"


def _find_jumps(table: Table, pair: Pair) -> Iterator[tuple[str, Ways]]:
    """The statuses that an order here would follow in a jump, and the ways that each jumps over."""
    snapshot = pair.snapshot(table)
    direct = {edge.target for edge in find_enabled(table, snapshot) if is_proving(edge)}
    for status, reading in table.readings.items():
        target = reading.proves
        if target is None or target in direct or pair.state in reading.consistent:
            continue
        ways = find_ways(table, snapshot, target, _may_be_taken)
        if ways is not None and (table.states[target].assumed or not ways.is_only_path()):
            yield status, ways


RULES: dict[str, Callable[[_Material], Faults]] = {
    "unreachable": _unreachable,
    "never-enabled": _never_enabled,
    "dead-end": _dead_end,
    "trap": _trap,
    "ambiguous": _ambiguous,
    "unanswered": _find_unanswered,
    "unproven-entry": _unproven_entry,
    "final-edge": _final_edge,
    "deadline": _deadline,
    "reading": _reading,
    "jump-facts": _jump_facts,
    "jump-effects": _jump_effects,
    "reply-missing": _reply_missing,
    "stranded": _find_stranded,
}
"""Every rule by its name."""

_RULES_OF_EDGES = ("ambiguous", "unanswered", "unproven-entry", "final-edge", "deadline")
"""The rules that look at no pairs."""
