"""Rules about effects: what once() and repeatable() were given, and the replies by which a call may end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orderflow._lifecycle.class_body import did_you_mean
from orderflow._lifecycle.declaration import Declaration, EffectSpec
from orderflow._lifecycle.rules.text import describe
from orderflow.model import Origin


def check_effects(declaration: Declaration, origins: Mapping[str, Origin]) -> None:
    """effect-kind, effect-arguments, effect-successes, effect-unanswered, reply-undeclared."""
    before = len(declaration.problems)
    failures = {failure for effect in declaration.effects.values() if _is_kind(effect.kind) for failure in effect.freeze().failures}
    for name, effect in declaration.effects.items():
        if not _are_names(effect.arguments):
            explanation = f"its arguments are {describe(effect.arguments)}, and each is looked up in the order's data by its name"
            declaration.report("effect-arguments", name, explanation, "write a list of different names, as in arguments=['amount']")
        _check_successes(declaration, name, effect, origins, failures)
        if not _is_kind(effect.kind):
            explanation = f"its kind is {describe(effect.kind)}, and replies are named by it"
            declaration.report("effect-kind", name, explanation, "use a plain identifier, as in kind='charge'")
        elif effect.once and not effect.kind:
            explanation = "it is a once-effect without a kind, so no reply could report a lost answer"
            declaration.report("effect-unanswered", name, explanation, f"write once(kind={name!r}) and declare its replies")
        elif effect.kind:
            _check_failures(declaration, name, effect, origins)
    if len(declaration.problems) == before:  # else it may be the same mistake, seen from its other side
        _check_orphans(declaration, origins)


def _is_kind(given: Any) -> bool:
    return isinstance(given, str) and (not given or given.isidentifier())


def _are_names(given: Any) -> bool:
    """Whether it is a list of different names."""
    if not isinstance(given, list | tuple) or not all(isinstance(name, str) and name for name in given):
        return False
    return len(set(given)) == len(given)


def _check_successes(declaration: Declaration, name: str, effect: EffectSpec, origins: Mapping[str, Origin], failures: set[str]) -> None:
    if not _are_names(effect.successes):
        example = effect.successes if isinstance(effect.successes, str) and effect.successes else "charged"
        explanation = f"its successes are {describe(effect.successes)}, and each is the name of a reply"
        declaration.report("effect-successes", name, explanation, f"write a list of different names, as in successes=[{example!r}]")
        return
    unclaimed = _list_undeclared(declaration, origins)
    if not effect.successes:
        explanation = "it declares no success, so no reply could report that the provider acted"
        choice = f"write successes={unclaimed}, or those of them that its adapter reports"
        remedy = choice if unclaimed else "declare such a reply, and name it in successes=[...]"
        declaration.report("effect-unanswered", name, explanation, remedy)
    for event in effect.successes:
        if event in failures:
            explanation = f"its success {event} is a failure, which the engine reports"
            declaration.report("effect-successes", name, explanation, "name the reply by which the adapter reports that the provider acted")
        elif event not in origins:
            close = did_you_mean(event, unclaimed) or did_you_mean(event, [each for each in origins if origins[each] is Origin.REPLY])
            explanation = f"its success {describe(event)} is no event here"
            declaration.report("effect-successes", name, explanation, close or f"declare {event} = edge(reply, state.to(other), ...)")
        elif origins[event] is not Origin.REPLY:
            explanation = f"its success {event} has the origin {origins[event]}, and an adapter reports replies"
            declaration.report("effect-successes", name, explanation, "name a reply, or make it one")


def _check_failures(declaration: Declaration, name: str, effect: EffectSpec, origins: Mapping[str, Origin]) -> None:
    endings = {"refused": "the provider said no", "undelivered": "it was certainly not carried out"}
    if not effect.safe:
        endings["answer_lost"] = "it is unknown whether it was carried out"
    missing = [f"{effect.kind}_{ending}" for ending in endings if origins.get(f"{effect.kind}_{ending}") is not Origin.REPLY]
    if not missing:
        return
    convention = ", ".join(f"{effect.kind}_{ending} ({meaning})" for ending, meaning in endings.items())
    explanation = (
        f"how a call of kind {effect.kind!r} fails is reported by events of origin reply: {convention}; missing: {', '.join(missing)}"
    )
    others = [event for event in origins if event not in missing]
    hints = [hint for hint in (did_you_mean(reply, others) for reply in missing) if hint]
    remedy = hints[0] if hints else f"declare {missing[0]} = edge(reply, state.to(other), ...) and so on"
    if missing == [f"{effect.kind}_answer_lost"] and not effect.once and not hints:
        remedy += "; or, if a call changes nothing at the provider, write repeatable(..., safe=True)"
    wrong = [reply for reply in missing if reply in origins]
    if wrong:
        remedy = f"{wrong[0]} has the origin {origins[wrong[0]]}: make it a reply"
    declaration.report("effect-unanswered", name, explanation, remedy)


def _check_orphans(declaration: Declaration, origins: Mapping[str, Origin]) -> None:
    for event in _list_undeclared(declaration, origins):
        explanation = "it is a reply, and no effect declares it: no call can end with it"
        remedy = f"write successes=[{event!r}] at the effect that reports it, or use another origin"
        declaration.report("reply-undeclared", event, explanation, remedy)


def _list_undeclared(declaration: Declaration, origins: Mapping[str, Origin]) -> list[str]:
    """The replies by which no call can end."""
    declared = [reply for effect in declaration.effects.values() for reply in effect.freeze().replies]
    return [event for event, origin in origins.items() if origin is Origin.REPLY and event not in declared]
