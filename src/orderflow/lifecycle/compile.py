"""From a class body to the table, and every reason to refuse. Pure; knows no provider.

Each refusal is a ``DeclarationError`` with a rule name of its own:

    name-twice        a name is assigned twice (declare.py: Python would keep the last, silently)
    bad-name          not a plain identifier: "." and "*" match prefixes, a space makes two events
    reserved-name     a name the library uses itself: the event would hide it or never fire
    name-clash        an event named like a state's value: the library deletes the state, silently
    foreign-attribute something that is not a part of a declaration (a hook, a method, a bare event)
    bare-edge         an edge that did not come through edge(): no cause, no evidence, no origin
    eventless         an edge without a name: it would fire by itself
    library-option    an edge with validators, callbacks, event=, internal=True or several targets: outside the table
    duplicate-value   two states with one value collapse silently
    subclass          a lifecycle that derives from another: they would share state objects
    origin-mixed      one event said by two origins
    origin-default    an origin for which no default answer is defined
    final-edge        an edge that leaves a final state
    dead-end          a state that is not final and that no edge leaves
    guard-unresolved  a guard that is no function of this lifecycle's facts (raised last: check looks at what is left)
    fact-unknown      an edge sets, or a guard asks for, a fact or a value that was not declared
    ambiguous         two edges of one (state, event) that can both be enabled
    once-unasked      a once-effect on an edge of a clock, claim, observation or operator
    effect-unanswered an effect whose replies are not declared
    deadline-unknown  a deadline for an event that is no clock event here, or a clock event that no deadline brings
    reading-unknown   a reading of no status, over states that are not here, or a proof without an observation edge
    property-unknown  a property over states, events or facts that are not here
    recovery-misplaced a recovery edge out of a state that is not provisional
    unproven-entry    a command, claim or clock edge into a proven state, or a claim into a provisional one
    graph             what else python-statemachine refuses: unreachable states, traps
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from attrs import evolve

from orderflow.errors import DeclarationError
from orderflow.lifecycle.cells import DEFAULTS, Ambiguous, cells_of, union_of_reads
from orderflow.lifecycle.declaration import Declared, EdgeSpec, Refusal
from orderflow.lifecycle.facts import Choice, Facts, Function, Guard, Opaque, Value
from orderflow.lifecycle.properties import Property
from orderflow.lifecycle.table import Edge, Reading, Reads, StateInfo, Table, frozen_map
from orderflow.model import Origin, Step, StepKind

UNPROVEN = "read_unproven"
"""The observation event by which a reading consistent with the state is heard, where a lifecycle declares it."""


def compile_table(declared: Declared) -> Table:
    """Freeze a declaration into its table.

    Raises:
        DeclarationError: one of the rules above is broken; ``rule`` names it.
    """
    refuse = Refusal(declared.class_name)
    states = _states(declared, refuse)
    facts = {name: fact.values for name, fact in declared.facts.items()}
    edges = _edges(declared, facts, refuse)
    table = _table(declared, states, facts, edges, refuse)
    opaque = [edge for edge in edges if edge.unchecked]
    if opaque:
        said_yes = tuple(evolve(edge, holds=Choice((), _always)) if edge.unchecked else edge for edge in edges)
        always = _table(declared, states, facts, said_yes, refuse)
        why = "; ".join(f"{edge.event}: {edge.source} -> {edge.target} has the guard {edge.guard}: {edge.unchecked}" for edge in opaque)
        raise DeclarationError(declared.class_name, "guard-unresolved", why, sketches=(table, always))
    return table


def _table(
    declared: Declared,
    states: Mapping[str, StateInfo],
    facts: Mapping[str, tuple[Value, ...]],
    edges: tuple[Edge, ...],
    refuse: Refusal,
) -> Table:
    events = _events(edges, refuse)
    out = {state: tuple(e for e in edges if e.source == state) for state in states}
    _check_edges(edges, states, refuse)
    _check_effects(declared, events, refuse)
    _check_deadlines(states, events, refuse)
    try:
        cells = cells_of(edges, events, states, facts)
    except Ambiguous as error:
        refuse("ambiguous", str(error))
    polls = {state: _any(facts, [e for e in out[state] if e.origin is Origin.OBSERVATION]) for state in states}
    moves = {state: _any(facts, [e for e in out[state] if e.origin is not Origin.OPERATOR]) for state in states}
    return Table(
        name=declared.name,
        states=MappingProxyType(states),
        events=MappingProxyType(events),
        facts=MappingProxyType(facts),
        effects=MappingProxyType({name: spec.freeze() for name, spec in declared.effects.items()}),
        edges=edges,
        cells=cells,
        out=MappingProxyType(out),
        readings=_readings(declared, states, edges, refuse),
        unproven=UNPROVEN if UNPROVEN in events else "",
        pollable=MappingProxyType(polls),
        settled=MappingProxyType({s: _negated(facts, choice) for s, choice in moves.items()}),
        legal=MappingProxyType({state: _legal(facts, out[state]) for state in states}),
        properties=_properties(declared, states, events, refuse),
    )


def _states(declared: Declared, refuse: Refusal) -> dict[str, StateInfo]:
    states: dict[str, StateInfo] = {}
    named = {id(edge) for edges in declared.events.values() for edge in edges}
    for state in declared.states.values():
        value = state.value
        if value in states:
            refuse("duplicate-value", f"two states have the value {value!r}")
        if value in declared.events:
            refuse("name-clash", f"{value!r} is a state and an event")
        states[value] = StateInfo(
            value=value,
            initial=state.initial,
            final=state.final,
            provisional=state.provisional,
            proven=state.proven,
            assumed=state.assumed,
            deadlines=state.deadlines,
            budget=state.budget,
        )
        for transition in state.transitions:
            where = f"{value} -> {transition.target and transition.target.value}"
            if not tuple(transition.events):
                refuse("eventless", f"{where} has no event")
            if id(transition) not in named:
                refuse("bare-edge", f"{where} is in the machine, but not under a name of the class body")
    return states


def _edges(declared: Declared, facts: Mapping[str, tuple[Value, ...]], refuse: Refusal) -> tuple[Edge, ...]:
    edges: list[Edge] = []
    for event, transitions in declared.events.items():
        for transition in transitions:
            where = f"{event}: {transition.source.value} -> {transition.target and transition.target.value}"
            spec: EdgeSpec | None = getattr(transition, "orderflow", None)
            if spec is None:
                refuse("bare-edge", f"{where} was not declared through edge()")
            if spec.foreign or transition.target is None:
                refuse("library-option", f"{where} has an option of the library's: edge() takes source and target only")
            _check_spec(declared, spec, where, facts, refuse)
            edges.append(_edge(declared, event, spec, transition.source.value, transition.target.value))
    return tuple(edges)


def _check_spec(declared: Declared, spec: EdgeSpec, where: str, facts: Mapping[str, tuple[Value, ...]], refuse: Refusal) -> None:
    for fact, value in spec.sets.items():
        if value not in facts.get(fact, ()):
            refuse("fact-unknown", f"{where} sets {fact} = {value!r}, which is not declared")
    if unresolved := _unresolved(declared, spec.expects):
        refuse("guard-unresolved", f"{where} has an expectation: {unresolved}")
    for guard in (spec.cond, spec.expects):
        if isinstance(guard, Guard) and guard.strays():
            refuse("fact-unknown", f"{where} asks for {sorted(map(str, guard.strays()))}, which no fact can be")
    if any(declared.effects.get(effect.name) is not effect for effect in spec.effects):
        refuse("effect-unanswered", f"{where} has an effect that is not declared in the class body")


def _unresolved(declared: Declared, guard: object) -> str:
    """Why a guard is no function of this lifecycle's facts; "" where it is one, or there is none."""
    if isinstance(guard, Function):
        try:
            guard.enumerate(declared.facts)
        except Opaque as opaque:
            return str(opaque)
    if guard is not None and not isinstance(guard, Guard):
        return "it is neither built of facts nor a function of them"
    strange = guard is not None and any(declared.facts.get(fact.name) is not fact for fact in guard.facts())
    return "it reads facts that are not declared here" if strange else ""


def _edge(declared: Declared, event: str, spec: EdgeSpec, source: str, target: str) -> Edge:
    effects = tuple(effect.freeze() for effect in spec.effects)
    unresolved = _unresolved(declared, spec.cond)
    cond = None if unresolved else spec.cond
    reads = _reads(declared, cond)
    holds = Choice(reads, cond.holds if cond else _never if unresolved else _always)
    return Edge(
        event=event,
        origin=spec.origin,
        source=source,
        target=target,
        guard="" if spec.cond is None else str(getattr(spec.cond, "text", spec.cond)) or "a nameless guard",
        reads=reads,
        holds=holds,
        sets=frozen_map(spec.sets),
        effects=effects,
        cause=spec.cause,
        evidence=spec.evidence,
        label=spec.label,
        recovery=spec.recovery,
        expects=spec.expects.text if spec.expects else "",
        expected=Choice(_reads(declared, spec.expects), spec.expects.holds if spec.expects else _always),
        step=Step(event, spec.origin, source, target, StepKind.STEP, effects),
        unchecked=unresolved,
    )


def _always(_facts: Facts) -> bool:
    return True


def _never(_facts: Facts) -> bool:
    return False


def _reads(declared: Declared, guard: Guard | None) -> Reads:
    read = guard.facts() if guard else frozenset()
    return tuple((name, fact.values) for name, fact in declared.facts.items() if fact in read)


def _events(edges: tuple[Edge, ...], refuse: Refusal) -> dict[str, Origin]:
    events: dict[str, Origin] = {}
    for edge in edges:
        if not isinstance(edge.origin, Origin) or edge.origin not in DEFAULTS:
            refuse("origin-default", f"{edge.event}: no default answer is defined for the origin {str(edge.origin)!r}")
        if events.setdefault(edge.event, edge.origin) is not edge.origin:
            refuse("origin-mixed", f"{edge.event} is said by {events[edge.event]} and by {edge.origin}")
    return events


def _check_edges(edges: tuple[Edge, ...], states: Mapping[str, StateInfo], refuse: Refusal) -> None:
    for edge in edges:
        where = f"{edge.event}: {edge.source} -> {edge.target}"
        source, target = states[edge.source], states[edge.target]
        if edge.recovery and not source.provisional:
            refuse("recovery-misplaced", f"{where} is a recovery edge, but {edge.source} is not provisional")
        if any(effect.once for effect in edge.effects) and edge.origin not in (Origin.COMMAND, Origin.REPLY):
            refuse("once-unasked", f"{where} carries a once-effect on a {edge.origin}")
        unproven = target.proven and edge.origin in (Origin.COMMAND, Origin.CLAIM, Origin.CLOCK)
        claimed = target.provisional and edge.origin is Origin.CLAIM
        if (unproven or claimed) and source != target:
            word = "proven" if target.proven else "provisional"
            refuse("unproven-entry", f"{where}: a {edge.origin} enters a {word} state")


def _check_effects(declared: Declared, events: Mapping[str, Origin], refuse: Refusal) -> None:
    for spec in declared.effects.values():
        if spec.once and not spec.kind:
            refuse("effect-unanswered", f"{spec.name} is once and names no kind: a lost answer could not be told")
        replies = ["refused", "undelivered"] + (["answer_lost"] if spec.once else [])
        for reply in replies if spec.kind else ():
            if events.get(f"{spec.kind}_{reply}") is not Origin.REPLY:
                refuse("effect-unanswered", f"{spec.name}: no reply event {spec.kind}_{reply}")


def _check_deadlines(states: Mapping[str, StateInfo], events: Mapping[str, Origin], refuse: Refusal) -> None:
    brought = {event for info in states.values() for event, _ in info.deadlines}
    for event in brought:
        if events.get(event) is not Origin.CLOCK:
            refuse("deadline-unknown", f"a deadline brings {event!r}, which is no clock event here")
    for event, origin in events.items():
        if origin is Origin.CLOCK and event not in brought:
            refuse("deadline-unknown", f"no deadline brings the clock event {event!r}")


def _readings(declared: Declared, states: Mapping[str, StateInfo], edges: tuple[Edge, ...], refuse: Refusal) -> Mapping[str, Reading]:
    readings: dict[str, Reading] = {}
    observed = {edge.target for edge in edges if edge.origin is Origin.OBSERVATION}
    for status, spec in declared.readings.items():
        if not isinstance(status, str):
            # state.value in the class body: it is None until the class is made, unless the state was given one
            refuse("reading-unknown", f"{status!r} is no status: write the word itself, or give the state its value")
        consistent = frozenset(state.value for state in spec.consistent)
        proves = spec.proves.value if spec.proves is not None else None
        if consistent - states.keys() or (proves is not None and proves not in observed):
            refuse("reading-unknown", f"{status!r} is over states that are not here, or proves one that no read enters")
        readings[status] = Reading(consistent, proves)
    return MappingProxyType(readings)


def _properties(declared: Declared, states: Mapping[str, StateInfo], events: Mapping[str, Origin], refuse: Refusal) -> tuple[Property, ...]:
    known = (states, events, declared.facts)
    for name, promised in declared.properties.items():
        if not isinstance(name, str) or not isinstance(promised, Property):
            refuse("property-unknown", f"{name!r} is no property: name it with text and write it in one of the patterns")
        if strays := promised.strays(known):
            refuse("property-unknown", f"{name!r} speaks of {', '.join(map(repr, strays))}, which this lifecycle does not declare")
    return tuple(promised.named(name) for name, promised in declared.properties.items())


def _any(facts: Mapping[str, tuple[Value, ...]], edges: list[Edge]) -> Choice[bool]:
    """Whether any of the edges is enabled, per valuation of what they read."""
    return Choice(union_of_reads(facts, edges), lambda given: any(edge.holds.pick(given) for edge in edges))


def _legal(facts: Mapping[str, tuple[Value, ...]], out: tuple[Edge, ...]) -> Choice[tuple[str, ...]]:
    asked = [edge for edge in out if edge.origin in (Origin.COMMAND, Origin.OPERATOR)]
    return Choice(
        union_of_reads(facts, asked),
        lambda given: tuple(dict.fromkeys(edge.event for edge in asked if edge.holds.pick(given))),
    )


def _negated(facts: Mapping[str, tuple[Value, ...]], choice: Choice[bool]) -> Choice[bool]:
    return Choice(tuple((name, facts[name]) for name in choice.reads), lambda given: not choice.pick(given))
