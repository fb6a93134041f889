"""Rules about the class, its states and their deadlines."""

from __future__ import annotations

import re
from collections.abc import Mapping

from orderflow._lifecycle.class_body import did_you_mean
from orderflow._lifecycle.declaration import Declaration, DeclaredState
from orderflow._lifecycle.rules.text import MAX_NAME, describe, is_name
from orderflow.model import Origin

_LIFECYCLE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*\Z")  # also the name of its drawings' files


def check_class(declaration: Declaration) -> None:
    """lifecycle-name, name-twice, no-state."""
    name = declaration.name
    if not isinstance(name, str) or not _LIFECYCLE_NAME.match(name) or len(name) > MAX_NAME:
        remedy = f"use up to {MAX_NAME} letters, digits, _, . and -, a letter or digit first"
        explanation = f"{describe(name)} is no name for a lifecycle"
        declaration.report("lifecycle-name", declaration.class_name, explanation, remedy)
    for repeated in declaration.repeated:
        first = declaration.lines[repeated.name].line
        explanation = f"{repeated.name!r} is assigned again; the first time is line {first}"
        declaration.report("name-twice", repeated.name, explanation, "rename one; join edges of one event with |", repeated.line)
    if not declaration.states:
        remedy = "declare states, as in opened = State(initial=True)"
        declaration.report("no-state", declaration.class_name, "the class declares no state", remedy)


def check_states(declaration: Declaration) -> None:
    """state-name, duplicate-value, name-clash, no-initial, two-initials."""
    events = {edge.event for edge in declaration.edges}
    seen: dict[object, str] = {}
    for attribute, state in declaration.states.items():
        _check_value(declaration, attribute, state)
        if state.value in seen:
            explanation = f"{seen[state.value]} has the value {describe(state.value)} too"
            declaration.report("duplicate-value", attribute, explanation, "give each state a value of its own", state.line)
        elif state.value in events:
            explanation = f"{state.value!r} is the name of an event too"
            declaration.report("name-clash", attribute, explanation, "rename the event or the state", state.line)
        seen.setdefault(state.value, attribute)
    _check_initial(declaration)


def _check_value(declaration: Declaration, attribute: str, state: DeclaredState) -> None:
    given = state.value if state.given is None else state.given
    if is_name(given):
        return
    explanation = f"{describe(given)} cannot be stored, drawn and printed as the name of a state"
    remedy = f"use text: one line of 1 to {MAX_NAME} printable characters, no space at either end"
    declaration.report("state-name", attribute, explanation, remedy, state.line)


def _check_initial(declaration: Declaration) -> None:
    initials = [attribute for attribute, state in declaration.states.items() if state.initial]
    misplaced = any(problem.rule == "foreign-attribute" for problem in declaration.problems)  # one of them may be the initial state
    if declaration.states and not initials and not misplaced:
        first = next(iter(declaration.states))
        remedy = f"mark the state in which orders begin, as in {first} = State(initial=True)"
        declaration.report("no-initial", declaration.class_name, "no state is initial", remedy)
    for attribute in initials[1:]:
        explanation = f"it is initial, and so is {initials[0]}"
        declaration.report("two-initials", attribute, explanation, "let orders begin in one state", declaration.states[attribute].line)


def check_durations(declaration: Declaration) -> None:
    """duration-key."""
    for attribute, state in declaration.states.items():
        if not isinstance(state.deadlines, Mapping):
            explanation = f"deadlines is {describe(state.deadlines)}"
            declaration.report("duration-key", attribute, explanation, "write deadlines={'clock_event': 'duration_key'}", state.line)
            continue
        durations = {"budget": state.budget} if state.budget != "" else {}
        durations |= {f"the deadline {event}": key for event, key in state.deadlines.items()}
        for what, key in durations.items():
            if not is_name(key):
                explanation = f"{what} is {describe(key)}, and a duration is named by a configuration key"
                remedy = "write a key, as in 'patience'; its seconds are given in the provider's Timing"
                declaration.report("duration-key", attribute, explanation, remedy, state.line)


def check_deadlines(declaration: Declaration, origins: Mapping[str, Origin]) -> None:
    """deadline-unknown."""
    clock_events = [event for event, origin in origins.items() if origin is Origin.CLOCK]
    brought: set[str] = set()
    for attribute, state in declaration.states.items():
        for event in state.deadlines if isinstance(state.deadlines, Mapping) else ():
            brought.add(event)
            if event not in clock_events:
                explanation = f"a deadline brings {describe(event)}, which is no clock event here"
                remedy = did_you_mean(event, clock_events) or "declare it with an edge of origin clock"
                declaration.report("deadline-unknown", attribute, explanation, remedy, state.line)
    for event in clock_events:
        if event not in brought:
            remedy = f"write State(deadlines={{{event!r}: 'duration_key'}}) where it is waited for"
            declaration.report("deadline-unknown", event, "no deadline brings this clock event", remedy)
