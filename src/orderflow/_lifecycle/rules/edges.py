"""Rules about single edges: what edge() was given, and what an edge of this origin may do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from enum import StrEnum

from orderflow._lifecycle.class_body import did_you_mean
from orderflow._lifecycle.declaration import Declaration, DeclaredEdge, DeclaredState, EdgeSpec, EffectSpec
from orderflow._lifecycle.rules.text import describe, is_prose
from orderflow.model import Cause, Evidence, Origin

_SENT_BY_PEOPLE = (Origin.COMMAND, Origin.REPLY)  # the origins behind which stands one caller, once
_CANNOT_PROVE = (Origin.COMMAND, Origin.CLAIM, Origin.CLOCK)


def check_arguments(declaration: Declaration) -> list[DeclaredEdge]:
    """edge-origin, edge-cause, edge-evidence, edge-label, edge-effects, edge-sets. Returns the edges that break none of them."""
    refused: set[int] = set()  # one edge() call may declare several edges: its arguments are reported once
    sound: list[DeclaredEdge] = []
    for edge in declaration.edges:
        spec = edge.spec
        if id(spec) in refused:
            continue
        before = len(declaration.problems)
        _check_member(declaration, edge, "edge-origin", spec.origin, Origin)
        _check_member(declaration, edge, "edge-cause", spec.cause, Cause)
        _check_evidence(declaration, edge)
        _check_effects(declaration, edge)
        _check_sets(declaration, edge)
        if len(declaration.problems) > before:
            refused.add(id(spec))
        else:
            sound.append(edge)
    return sound


def _check_member(declaration: Declaration, edge: DeclaredEdge, rule: str, given: object, kind: type[StrEnum]) -> None:
    if isinstance(given, kind):
        return
    members = {member.value: f"{kind.__name__}.{member.name}" for member in kind}
    close = get_close_matches(str(given).lower(), members, n=1)
    remedy = f"write {members[close[0]]}" if close else f"write one of {', '.join(members.values())}"
    explanation = f"its {kind.__name__.lower()} is {describe(given)}, not a member of {kind.__name__}"
    declaration.report(rule, edge.where, explanation, remedy, edge.spec.line)


def _check_evidence(declaration: Declaration, edge: DeclaredEdge) -> None:
    evidence, label = edge.spec.evidence, edge.spec.label
    if not isinstance(evidence, Evidence):
        page = evidence if isinstance(evidence, str) else "page"
        remedy = f"say how sure it is: documented({page!r}), inferred({page!r}) or assumed({page!r})"
        declaration.report("edge-evidence", edge.where, f"its evidence is {describe(evidence)}", remedy, edge.spec.line)
    elif not is_prose(evidence.page):
        explanation = f"the page of its evidence is {describe(evidence.page)}"
        declaration.report("edge-evidence", edge.where, explanation, "use printable text", edge.spec.line)
    if not is_prose(label):
        declaration.report("edge-label", edge.where, f"its label is {describe(label)}", "use printable text", edge.spec.line)


def _check_effects(declaration: Declaration, edge: DeclaredEdge) -> None:
    effects = edge.spec.effects
    if isinstance(effects, str) or not isinstance(effects, Iterable):
        name = effects.name if isinstance(effects, EffectSpec) else "charge"
        explanation = f"its effects are {describe(effects)}, not a list"
        declaration.report("edge-effects", edge.where, explanation, f"write effects=[{name}]", edge.spec.line)
        return
    for effect in effects:
        if not isinstance(effect, EffectSpec) or declaration.effects.get(effect.name) is not effect:
            closest = did_you_mean(effect, declaration.effects) if isinstance(effect, str) else ""
            remedy = closest or "declare it in the class body, as in charge = once(kind='charge'), and write effects=[charge]"
            explanation = f"{describe(effect)} is no effect that is declared in the class body"
            declaration.report("edge-effects", edge.where, explanation, remedy, edge.spec.line)


def _check_sets(declaration: Declaration, edge: DeclaredEdge) -> None:
    if not isinstance(edge.spec.sets, Mapping):
        explanation = f"it sets {describe(edge.spec.sets)}"
        declaration.report("edge-sets", edge.where, explanation, "write sets={'fact': value}", edge.spec.line)
        return
    for name, value in edge.spec.sets.items():
        fact = declaration.facts.get(name)
        if fact is None:
            remedy = did_you_mean(name, declaration.facts) or "declare it in the class body, as in paid = Flag()"
            declaration.report("fact-unknown", edge.where, f"it sets {describe(name)}, which is no fact here", remedy, edge.spec.line)
        elif not fact.accepts(value):
            remedy = did_you_mean(value, fact.values) or f"its values are {', '.join(map(repr, fact.values))}"
            explanation = f"it sets {name} to {describe(value)}, a value that the fact does not have"
            declaration.report("fact-unknown", edge.where, explanation, remedy, edge.spec.line)


def check_origins(declaration: Declaration) -> dict[str, Origin]:
    """origin-mixed. Returns the origin of each event."""
    origins: dict[str, Origin] = {}
    for edge in declaration.edges:
        origin = origins.setdefault(edge.event, edge.spec.origin)
        if origin is not edge.spec.origin:
            explanation = f"its origin is {edge.spec.origin}, that of another edge of {edge.event} is {origin}"
            declaration.report("origin-mixed", edge.where, explanation, "name one event for each origin", edge.spec.line)
    return origins


def check_proof(declaration: Declaration, edges: list[DeclaredEdge]) -> None:
    """recovery-misplaced, once-unasked, unproven-entry."""
    states = {state.value: state for state in declaration.states.values()}
    for edge in edges:
        source, target, spec = states[edge.source], states[edge.target], edge.spec
        if spec.recovery and not source.provisional:
            explanation = f"it is a recovery edge, but {edge.source} is not provisional"
            remedy = f"drop recovery=True, or declare {edge.source} with provisional=True"
            declaration.report("recovery-misplaced", edge.where, explanation, remedy, spec.line)
        if any(effect.once for effect in spec.effects) and spec.origin not in _SENT_BY_PEOPLE:
            explanation = f"it owes a once-effect, but a {spec.origin} may come twice"
            declaration.report("once-unasked", edge.where, explanation, "owe it on an edge of origin command or reply", spec.line)
        mark = _unproven_mark(spec, source, target)
        if mark:
            explanation = f"a {spec.origin} enters a {mark} state: it proves nothing"
            remedy = "lead to a state in which a poll is waited for, and enter this one on the observation"
            declaration.report("unproven-entry", edge.where, explanation, remedy, spec.line)


def _unproven_mark(spec: EdgeSpec, source: DeclaredState, target: DeclaredState) -> str:
    """The mark of the target that this origin may not enter, "" where it may."""
    if source is target:
        return ""
    if target.proven and spec.origin in _CANNOT_PROVE:
        return "proven"
    return "provisional" if target.provisional and spec.origin is Origin.CLAIM else ""
