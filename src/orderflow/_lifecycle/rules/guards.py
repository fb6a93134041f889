"""Rules about facts, and about the guards over them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from orderflow._lifecycle.cells import find_overlap, union_of_reads
from orderflow._lifecycle.class_body import did_you_mean
from orderflow._lifecycle.declaration import Declaration, DeclaredEdge
from orderflow._lifecycle.edges import Edge, is_proving
from orderflow._lifecycle.facts import MAX_VALUATIONS, Fact, Guard, Reads, Value, count_valuations
from orderflow._lifecycle.guard_functions import FunctionGuard, NotEnumerable, TooManyFacts
from orderflow._lifecycle.liveness import find_tracked
from orderflow._lifecycle.rules.text import describe, is_prose

_READ_FACTS = "read facts that the class body declares, and nothing else"
_COMPARE_FACTS = "write cond=fact.is_(value): == compares while the class is made"
MAX_MOVES = 4_000
"""How many edges there may be between the places of a lifecycle that reads facts which observations set: a poll walks over all of them."""

_READ_FEWER = f"split the guard, or read fewer facts: at most {MAX_VALUATIONS} combinations of values are enumerated, as ten flags have"


def check_facts(declaration: Declaration) -> bool:
    """fact-values. Returns whether guards over these facts can be enumerated."""
    before = len(declaration.problems)
    for name, fact in declaration.facts.items():
        usable = all(isinstance(value, bool) or (value and is_prose(value)) for value in fact.values)
        if not usable or len(set(fact.values)) < max(len(fact.values), 2):
            explanation = f"its values are {', '.join(map(describe, fact.values)) or 'none'}"
            declaration.report("fact-values", name, explanation, "give two or more different texts; for yes and no use Flag()")
    return len(declaration.problems) == before


def check_guards(declaration: Declaration, edges: list[DeclaredEdge]) -> tuple[list[DeclaredEdge], dict[int, str]]:
    """guard-unresolved, guard-too-wide, fact-unknown.

    Returns the edges that can be compiled. The guards of some of these are opaque: they cannot be enumerated; why, by the id of the spec.
    """
    sound: list[DeclaredEdge] = []
    opaque: dict[int, str] = {}
    for edge in edges:
        before = len(declaration.problems)
        try:
            unresolved = why_unresolved(edge.spec.cond, declaration.facts)
            expects_unresolved = why_unresolved(edge.spec.expects, declaration.facts)
        except TooManyFacts as error:
            declaration.report("guard-too-wide", edge.where, str(error), _READ_FEWER, edge.spec.line)
            continue
        _check_values(declaration, edge)
        sound_so_far = len(declaration.problems) == before
        if expects_unresolved:
            explanation = f"its expectation is no function of the facts: {expects_unresolved}"
            declaration.report("guard-unresolved", edge.where, explanation, _READ_FACTS, edge.spec.line)
        if unresolved:
            explanation = f"the guard {describe_guard(edge.spec.cond)} is no function of the facts: {unresolved}"
            remedy = _COMPARE_FACTS if isinstance(edge.spec.cond, bool) else _READ_FACTS
            declaration.report("guard-unresolved", edge.where, explanation, remedy, edge.spec.line)
            opaque[id(edge.spec)] = unresolved
        if sound_so_far and not expects_unresolved:
            sound.append(edge)
    return sound, opaque


def why_unresolved(guard: object, facts: Mapping[str, Fact]) -> str:
    """Why a guard is no function of these facts; "" where it is one, or there is none.

    Raises:
        TooManyFacts: it reads more than are enumerated.
    """
    if guard is None:
        return ""
    if not isinstance(guard, Guard):
        return "it is neither built of facts nor a function of them"
    if isinstance(guard, FunctionGuard):
        try:
            guard.enumerate_over(facts)
        except NotEnumerable as error:
            return str(error)
    reads: Reads = tuple((fact.name, fact.values) for fact in guard.facts())
    if count_valuations(reads) > MAX_VALUATIONS:
        raise TooManyFacts(f"it reads {len(reads)} facts, which have {count_valuations(reads)} combinations")
    foreign = any(facts.get(fact.name) is not fact for fact in guard.facts())
    return "it reads facts that are not declared here" if foreign else ""


def describe_guard(guard: object) -> str:
    """A guard as prose, even where it is none."""
    return str(getattr(guard, "text", guard)) or "a nameless guard"


def _check_values(declaration: Declaration, edge: DeclaredEdge) -> None:
    guards = [guard for guard in (edge.spec.cond, edge.spec.expects) if isinstance(guard, Guard)]
    for fact, value in (unknown for guard in guards for unknown in guard.unknown_values()):
        remedy = did_you_mean(value, fact.values) or f"its values are {', '.join(map(describe, fact.values))}"
        explanation = f"it asks whether {fact.name} is {describe(value)}, a value that the fact does not have"
        declaration.report("fact-unknown", edge.where, explanation, remedy, edge.spec.line)


def check_cells(declaration: Declaration, edges: tuple[Edge, ...]) -> None:
    """guard-too-wide (of all edges of one event that leave a state, and of observations that follow one another), ambiguous."""
    facts = {name: fact.values for name, fact in declaration.facts.items()}
    _check_tracked(declaration, edges, facts)
    cells: dict[tuple[str, str], list[Edge]] = {}
    for edge in edges:
        cells.setdefault((edge.event, edge.source), []).append(edge)
    for (event, state), cell in cells.items():
        line = next(edge.spec.line for edge in declaration.edges if (edge.event, edge.source) == (event, state))
        where = f"{event} in {state}"
        reads = union_of_reads(facts, cell)
        if count_valuations(reads) > MAX_VALUATIONS:
            explanation = f"its guards there read {len(reads)} facts, which have {count_valuations(reads)} combinations"
            declaration.report("guard-too-wide", where, explanation, _READ_FEWER, line)
            continue
        given, enabled = find_overlap(facts, cell)
        if enabled:
            targets = " and ".join(edge.target for edge in enabled)
            explanation = f"edges to {targets} are enabled at once under {given or 'any facts'}"
            remedy = "give them guards of which at most one is true, as in cond=paid and cond=~paid"
            declaration.report("ambiguous", where, explanation, remedy, line)


def _check_tracked(declaration: Declaration, edges: tuple[Edge, ...], facts: Mapping[str, tuple[Value, ...]]) -> None:
    """guard-too-wide, of observations: a path of them is looked for under every combination of the facts that they set and read."""
    lines = {state.value: state.line for state in declaration.states.values()}
    out = Counter(edge.source for edge in edges if is_proving(edge))
    moves, tracked = 0, set[str]()
    for state, names in find_tracked(lines, edges, facts).items():
        count = count_valuations(tuple((name, facts[name]) for name in names))
        moves += count * out[state] if names else 0
        tracked.update(names)
        if count > MAX_VALUATIONS:
            explanation = f"{len(names)} facts that observations set are read by observations from here on, in {count} combinations"
            declaration.report("guard-too-wide", state, explanation, _READ_FEWER, lines[state])
            return
    if moves > MAX_MOVES:
        named = ", ".join(name for name in facts if name in tracked)
        explanation = f"observations set facts that later observations read ({named}): a poll would look through {moves} moves"
        remedy = f"read fewer of them in guards of observations, or set fewer there: at most {MAX_MOVES} moves are looked through"
        declaration.report("guard-too-wide", "observations", explanation, remedy, next(iter(lines.values())))
