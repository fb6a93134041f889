"""What a lifecycle is written with: ``Lifecycle``, ``State``, ``edge``, facts, effects, readings.

A declaration is compiled at class creation into an immutable ``Table``; rules/ lists what is refused. Nothing here runs an order, and
nothing here refuses: a wrong argument is kept as it was given, so that one error can list every problem of the class.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from orderflow._lifecycle.class_body import author_line
from orderflow._lifecycle.declaration import EdgeSpec, EffectSpec, ReadingSpec
from orderflow._lifecycle.facts import Fact, Facts, Flag, Guard, Value
from orderflow._lifecycle.guard_functions import FunctionGuard
from orderflow._lifecycle.python_statemachine import Lifecycle, State, TransitionList, attach
from orderflow.model import Cause, Evidence, Origin, Strength

__all__ = [
    "Fact",
    "Flag",
    "Lifecycle",
    "State",
    "assumed",
    "documented",
    "edge",
    "inferred",
    "once",
    "reading",
    "repeatable",
]


documented: Callable[[str], Evidence] = partial(Evidence, Strength.DOCUMENTED)
"""``documented(page)``: the page states it."""

inferred: Callable[[str], Evidence] = partial(Evidence, Strength.INFERRED)
"""``inferred(page)``: concluded from what the page says."""

assumed: Callable[[str], Evidence] = partial(Evidence, Strength.ASSUMED)
"""``assumed(page)``: our assumption; ``page`` is what it leans on."""


def once(kind: str, *, successes: Sequence[str] = (), arguments: Sequence[str] = ()) -> EffectSpec:
    """An effect that the provider may not be asked twice. Its failures are named by ``kind``: ``<kind>_refused``, ``<kind>_undelivered``
    and ``<kind>_answer_lost``.

    ``successes``: the replies with which the adapter may report that the provider acted, at least one. Any other is a bug of the adapter:
    the call is then in doubt, and the order is flagged.

    ``arguments``: names in the order's data, such as those that a command brings. Each call gets a copy of their values, as they are
    when the call is decided. A later command does not change it.
    """
    return EffectSpec(kind, once=True, successes=successes, arguments=arguments)


def repeatable(kind: str = "", *, successes: Sequence[str] = (), arguments: Sequence[str] = (), safe: bool = False) -> EffectSpec:
    """An effect that may be carried out again, with the same key. Its failures are those of ``once``; without a kind it reports only
    success. It is ``<kind>_answer_lost`` where its attempts are spent, and one of them may have been executed.

    ``safe``: a call changes nothing at the provider, so a lost answer leaves no doubt: it is ``<kind>_undelivered`` then, and there is no
    ``<kind>_answer_lost``. ``successes`` and ``arguments``: as for ``once``.
    """
    return EffectSpec(kind, once=False, successes=successes, arguments=arguments, safe=safe)


def reading(*, consistent: Iterable[State], proves: State | None = None) -> ReadingSpec:
    """What a provider status says: consistent with these states; elsewhere it proves ``proves``, or is an anomaly."""
    return ReadingSpec(author_line(), consistent, proves)


def edge(
    origin: Origin,
    transitions: TransitionList,
    cause: Cause,
    evidence: Evidence,
    label: str,
    *,
    cond: Guard | Callable[[Facts], bool] | None = None,
    sets: Mapping[str, Value] | None = None,
    effects: Iterable[EffectSpec] = (),
    recovery: bool = False,
    expects: Guard | Callable[[Facts], bool] | None = None,
) -> TransitionList:
    """One line of the table: who says so, from where to where, who caused it, on what evidence, and the label of its drawing. Then the
    guard under which it is enabled, the facts it sets, and the effects that are owed when it is applied.

    Several edges of one event are joined with ``|``. A guard is an expression over facts or a function of them
    (``def ready(facts): return facts["paid"]``), which is called for every combination of facts while the class is made. ``expects`` is a
    guard that should hold here if the order's facts are right: an order that breaks it gets a note, and is not refused. ``recovery`` marks
    an edge out of a provisional state.
    """
    spec = EdgeSpec(
        line=author_line(),
        origin=origin,
        cause=cause,
        evidence=evidence,
        label=label,
        cond=_as_guard(cond),
        sets={} if sets is None else sets,
        effects=effects if isinstance(effects, EffectSpec | str) or not isinstance(effects, Iterable) else tuple(effects),
        recovery=recovery,
        expects=_as_guard(expects),
    )
    return attach(spec, transitions)


def _as_guard(given: object) -> object:
    return FunctionGuard(given) if callable(given) else given
