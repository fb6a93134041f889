"""Rules about what a lifecycle says of the provider's statuses, and promises of every path."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from orderflow._lifecycle.class_body import did_you_mean
from orderflow._lifecycle.conditions import Names
from orderflow._lifecycle.declaration import Declaration, DeclaredEdge, ReadingSpec
from orderflow._lifecycle.properties import Property, Scope
from orderflow._lifecycle.rules.text import describe, is_name
from orderflow.model import Origin


def check_readings(declaration: Declaration, edges: list[DeclaredEdge]) -> None:
    """reading-unknown."""
    readings = declaration.readings
    if not isinstance(readings, Mapping):
        explanation = f"readings is {describe(readings)}"
        declaration.report("reading-unknown", "readings", explanation, "write readings = {'status': reading(consistent=[state])}")
        return
    observed = {edge.target for edge in edges if edge.spec.origin is Origin.OBSERVATION}
    for status, reading in readings.items():
        if not is_name(status):
            # state.value in the class body is None until the class is made, unless the state was given one
            explanation = f"{describe(status)} is no status of a provider"
            declaration.report("reading-unknown", "readings", explanation, "write the status as text, or give the state its value")
        if not isinstance(reading, ReadingSpec):
            explanation = f"the status {describe(status)} has {describe(reading)} in place of a reading"
            declaration.report("reading-unknown", "readings", explanation, "write reading(consistent=[state])")
        else:
            _check_reading(declaration, str(status), reading, observed)


def _check_reading(declaration: Declaration, status: str, reading: ReadingSpec, observed: set[str]) -> None:
    if isinstance(reading.consistent, str) or not isinstance(reading.consistent, Iterable):
        explanation = f"it is consistent with {describe(reading.consistent)}, not with a list of states"
        declaration.report("reading-unknown", status, explanation, "write consistent=[state]", reading.line)
        return
    known = [state.value for state in declaration.states.values()]
    for state in (*reading.consistent, reading.proves):
        if state is not None and getattr(state, "value", None) not in known:
            name = getattr(state, "value", state)
            remedy = (
                "write the state itself, not its name" if name in known else did_you_mean(name, known) or "name states of this class body"
            )
            declaration.report("reading-unknown", status, f"{describe(name)} is no state of this lifecycle", remedy, reading.line)
    proves = getattr(reading.proves, "value", None)
    if proves in known and proves not in observed and declaration.whole:
        remedy = f"declare an edge of origin observation that enters {proves}"
        declaration.report("reading-unknown", status, f"it proves {proves}, which no observation enters", remedy, reading.line)


def check_properties(declaration: Declaration, origins: Mapping[str, Origin]) -> None:
    """property-unknown."""
    properties = declaration.properties
    if not isinstance(properties, Mapping):
        explanation = f"properties is {describe(properties)}"
        declaration.report("property-unknown", "properties", explanation, "write properties = {'name': absence(...)}")
        return
    names = Names(frozenset(state.value for state in declaration.states.values()), frozenset(origins), declaration.facts)
    for name, promise in properties.items():
        if not is_name(name):
            explanation = f"{describe(name)} is no name for a property"
            declaration.report("property-unknown", "properties", explanation, "name it with a line of text")
        elif not isinstance(promise, Property) or not isinstance(promise.scope, Scope):
            remedy = "write it in a pattern, as in absence(at(state), after(on('event')))"
            declaration.report("property-unknown", "properties", f"{name!r} is no property", remedy)
        else:
            _check_property(declaration, name, promise, names)


def _check_property(declaration: Declaration, name: str, promise: Property, names: Names) -> None:
    for unknown in promise.unknown_names(names):
        known = [*names.states, *names.events, *names.facts]
        remedy = "write the state itself, not its name" if unknown in names.states else did_you_mean(unknown, known)
        explanation = f"it names {describe(unknown)}, which this lifecycle does not declare"
        declaration.report("property-unknown", name, explanation, remedy, promise.line)
