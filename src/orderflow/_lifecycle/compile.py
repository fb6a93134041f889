"""From a declaration to the table: the rules (rules/) first, then immutable records. Pure; knows no provider."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeVar

from attrs import evolve

from orderflow._lifecycle.cells import build_cells, union_of_reads
from orderflow._lifecycle.declaration import Declaration, DeclaredEdge, DeclaredState, ReadingSpec
from orderflow._lifecycle.edges import STILL_UNPROVEN, Edge, StateInfo
from orderflow._lifecycle.facts import MAX_VALUATIONS, Answers, Choice, Facts, Guard, OnDemand, Reads, Value, count_valuations
from orderflow._lifecycle.liveness import find_tracked
from orderflow._lifecycle.rules.edges import check_arguments, check_origins, check_proof
from orderflow._lifecycle.rules.effects import check_effects
from orderflow._lifecycle.rules.graph import check_graph
from orderflow._lifecycle.rules.guards import check_cells, check_facts, check_guards, describe_guard
from orderflow._lifecycle.rules.readings_and_properties import check_properties, check_readings
from orderflow._lifecycle.rules.states import check_class, check_deadlines, check_durations, check_states
from orderflow._lifecycle.table import Reading, Table, frozen_map
from orderflow.model import Origin, Step, StepKind

T = TypeVar("T")


def compile_table(declaration: Declaration) -> Table:
    """Freeze a declaration into its table.

    Raises:
        DeclarationError: rules are broken; it lists all problems.
    """
    edges = _check(declaration)
    if not declaration.problems:
        return _build_table(declaration, edges)
    if len(edges) < len(declaration.edges) or any(problem.rule != "guard-unresolved" for problem in declaration.problems):
        raise declaration.error()
    always = tuple(evolve(edge, holds=Choice((), _always)) if edge.unchecked else edge for edge in edges)
    raise declaration.error(tables_for_check=(_build_table(declaration, edges), _build_table(declaration, always)))


def _check(declaration: Declaration) -> tuple[Edge, ...]:
    """Apply every rule. Returns the edges that could be compiled: all, where there are no problems."""
    check_class(declaration)
    check_states(declaration)
    check_durations(declaration)
    check_graph(declaration)
    sound = check_arguments(declaration)
    if declaration.whole and all(isinstance(edge.spec.origin, Origin) for edge in declaration.edges):
        origins = check_origins(declaration)
        check_effects(declaration, origins)
        check_deadlines(declaration, origins)
        check_properties(declaration, origins)
    check_proof(declaration, sound)
    check_readings(declaration, sound)
    if not check_facts(declaration):
        return ()
    sound, opaque = check_guards(declaration, sound)
    edges = tuple(_compile_edge(declaration, edge, opaque.get(id(edge.spec), "")) for edge in sound)
    check_cells(declaration, edges)
    return edges


def _compile_edge(declaration: Declaration, edge: DeclaredEdge, unchecked: str) -> Edge:
    spec = edge.spec
    effects = tuple(effect.freeze() for effect in spec.effects)
    guard: Guard | None = None if unchecked else spec.cond
    expects: Guard | None = spec.expects
    reads = _reads(declaration, guard)
    holds = _never if unchecked else _always if guard is None else guard.holds
    return Edge(
        event=edge.event,
        origin=spec.origin,
        source=edge.source,
        target=edge.target,
        guard="" if spec.cond is None else describe_guard(spec.cond),
        reads=reads,
        holds=Choice(reads, holds),
        sets=frozen_map(spec.sets),
        effects=effects,
        cause=spec.cause,
        evidence=spec.evidence,
        label=spec.label,
        recovery=spec.recovery,
        expects="" if expects is None else expects.text,
        expected=Choice(_reads(declaration, expects), _always if expects is None else expects.holds),
        step=Step(edge.event, spec.origin, edge.source, edge.target, StepKind.STEP, effects, facts=dict(spec.sets)),
        unchecked=unchecked,
    )


def _always(_facts: Facts) -> bool:
    return True


def _never(_facts: Facts) -> bool:
    return False


def _reads(declaration: Declaration, guard: Guard | None) -> Reads:
    read = frozenset() if guard is None else guard.facts()
    return tuple((name, fact.values) for name, fact in declaration.facts.items() if fact in read)


def _build_table(declaration: Declaration, edges: tuple[Edge, ...]) -> Table:
    facts = {name: fact.values for name, fact in declaration.facts.items()}
    events = {edge.event: edge.origin for edge in edges}
    states = {state.value: _freeze_state(state) for state in declaration.states.values()}
    out = {state: tuple(edge for edge in edges if edge.source == state) for state in states}
    observed = {state: [edge for edge in leaving if edge.origin is Origin.OBSERVATION] for state, leaving in out.items()}
    unasked = {state: [edge for edge in leaving if edge.origin is not Origin.OPERATOR] for state, leaving in out.items()}
    return Table(
        name=declaration.name,
        states=MappingProxyType(states),
        events=MappingProxyType(events),
        facts=MappingProxyType(facts),
        effects=MappingProxyType({name: effect.freeze() for name, effect in declaration.effects.items()}),
        edges=edges,
        cells=build_cells(out, events, facts),
        out=MappingProxyType(out),
        readings=MappingProxyType({status: _freeze_reading(reading) for status, reading in declaration.readings.items()}),
        still_unproven_event=STILL_UNPROVEN if STILL_UNPROVEN in events else "",
        pollable=MappingProxyType({state: _choose(facts, leaving, _any_enabled) for state, leaving in observed.items()}),
        settled=MappingProxyType({state: _choose(facts, leaving, _none_enabled) for state, leaving in unasked.items()}),
        legal=MappingProxyType({state: _choose(facts, _pick_sendable(leaving), _events_enabled) for state, leaving in out.items()}),
        tracked=MappingProxyType(find_tracked(states, edges, facts)),
        properties=tuple(promise.with_name(name) for name, promise in declaration.properties.items()),
    )


def _freeze_state(state: DeclaredState) -> StateInfo:
    return StateInfo(
        value=state.value,
        initial=state.initial,
        final=state.final,
        provisional=state.provisional,
        proven=state.proven,
        assumed=state.assumed,
        deadlines=tuple(state.deadlines.items()),
        budget=state.budget,
    )


def _freeze_reading(reading: ReadingSpec) -> Reading:
    return Reading(frozenset(state.value for state in reading.consistent), None if reading.proves is None else reading.proves.value)


def _pick_sendable(edges: tuple[Edge, ...]) -> list[Edge]:
    return [edge for edge in edges if edge.origin in (Origin.COMMAND, Origin.OPERATOR)]


def _choose(facts: Mapping[str, tuple[Value, ...]], leaving: list[Edge], answer: Callable[[list[Edge]], T]) -> Answers[T]:
    """The answer over those of the edges that are enabled, for every combination of the facts that they read, if these are not too many.

    Guards that read different facts have as many combinations together as all of them multiplied.
    """
    edges = tuple(leaving)
    reads = union_of_reads(facts, edges)

    def answer_under(given: Facts) -> T:
        return answer([edge for edge in edges if edge.holds.pick(given)])

    return Choice(reads, answer_under) if count_valuations(reads) <= MAX_VALUATIONS else OnDemand(answer_under)


def _any_enabled(enabled: list[Edge]) -> bool:
    return bool(enabled)


def _none_enabled(enabled: list[Edge]) -> bool:
    return not enabled


def _events_enabled(enabled: list[Edge]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(edge.event for edge in enabled))
