"""What a lifecycle is written with: ``Lifecycle``, ``State``, ``edge``, facts, effects, readings.

A declaration is a python-statemachine class (so its engine can stand as oracle in tests), compiled at class creation
into an immutable ``Table``; see compile.py for what is refused. Nothing here runs an order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import statemachine
from statemachine import StateMachine
from statemachine.callbacks import CallbackPriority
from statemachine.exceptions import InvalidDefinition
from statemachine.factory import StateMachineMetaclass
from statemachine.transition_list import TransitionList

from orderflow.errors import DeclarationError
from orderflow.lifecycle.compile import compile_table
from orderflow.lifecycle.declaration import Declared, EdgeSpec, EffectSpec, ReadingSpec
from orderflow.lifecycle.facts import Fact, Facts, Flag, Function, Guard, Value
from orderflow.lifecycle.table import Table
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


class State(statemachine.State):
    """A node. Its value is the attribute's name unless given.

    ``provisional``: an end that proof may still overrule. ``proven``: entered only on proof.
    ``assumed``: never inferred on the way.
    ``deadlines``: clock event -> configuration key of its duration, armed on entry from another state.
    ``budget``: configuration key of the time after which an order here counts as stuck.
    """

    def __init__(
        self,
        value: str | None = None,
        *,
        initial: bool = False,
        final: bool = False,
        provisional: bool = False,
        proven: bool = False,
        assumed: bool = False,
        deadlines: Mapping[str, str] | None = None,
        budget: str = "",
    ) -> None:
        super().__init__(value=value, initial=initial, final=final)
        self.provisional = provisional
        self.proven = proven
        self.assumed = assumed
        self.deadlines = tuple((deadlines or {}).items())
        self.budget = budget


def documented(page: str) -> Evidence:
    """The page states it."""
    return Evidence(Strength.DOCUMENTED, page)


def inferred(page: str) -> Evidence:
    """Concluded from what the page says."""
    return Evidence(Strength.INFERRED, page)


def assumed(page: str) -> Evidence:
    """Our assumption; ``page`` is what it leans on."""
    return Evidence(Strength.ASSUMED, page)


def once(kind: str) -> EffectSpec:
    """An effect that the provider may not be asked twice. Its replies are named by ``kind``."""
    return EffectSpec(kind=kind, once=True)


def repeatable(kind: str = "") -> EffectSpec:
    """An effect that may be carried out again."""
    return EffectSpec(kind=kind, once=False)


def reading(*, consistent: Iterable[State], proves: State | None = None) -> ReadingSpec:
    """What a provider status says: consistent with these states; elsewhere it proves ``proves``, or is an anomaly."""
    return ReadingSpec(tuple(consistent), proves)


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
    """One line of the table: who says so, from where to where, who caused it, on what evidence, what a drawing calls it;
    then under which guard, what facts it sets, and what is owed to the outside.

    Several edges of one event are joined with ``|``. A guard is an expression over facts or a function of them
    (``def ready(facts): return facts["paid"]``), which is asked here and now for all of its answers. ``expects`` is a guard
    that should hold here if the order's facts were derived rightly: breaking it warns, never refuses. ``recovery`` marks an
    edge out of a provisional state.
    """
    cond, expects = _guard(cond), _guard(expects)
    spec = EdgeSpec(origin, cond, dict(sets or {}), tuple(effects), cause, evidence, label, recovery, expects)
    for transition in transitions:
        # anything the library was told beside source and target would run outside the table
        told = transition._specs.items or tuple(transition.events) or transition.internal or len(transition.targets) != 1
        spec.foreign = spec.foreign or bool(told)
        transition.orderflow = spec
        if isinstance(cond, Guard):
            transition.cond.add(_oracle_guard(cond), priority=CallbackPriority.INLINE, expected_value=True)
    return transitions


def _guard(given: Guard | Callable[[Facts], bool] | None) -> Guard | None:
    return Function(given) if callable(given) else given


def _oracle_guard(guard: Guard) -> Any:
    def holds(model: Any) -> bool:  # python-statemachine fills ``model`` in by its name
        return guard.holds(model.facts)

    return holds


class _Body(dict[str, Any]):
    """A class body that refuses a name assigned twice: Python would silently keep the last."""

    def __init__(self, lifecycle: str) -> None:
        self._lifecycle = lifecycle
        super().__init__()

    def __setitem__(self, name: str, value: Any) -> None:
        if name in self and not name.startswith("__"):
            raise DeclarationError(self._lifecycle, "name-twice", f"{name!r} is assigned twice in the class body")
        super().__setitem__(name, value)


class LifecycleMeta(StateMachineMetaclass):
    """Collects the declaration and compiles it when the class is created."""

    table: Table

    @classmethod
    def __prepare__(cls, name: str, bases: tuple[type, ...], /, **options: Any) -> _Body:
        return _Body(name)

    def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any], /, **_options: Any) -> LifecycleMeta:
        return super().__new__(cls, name, bases, dict(body))

    def __init__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any], /, **options: Any) -> None:
        if not any(isinstance(base, LifecycleMeta) for base in bases):
            super().__init__(name, cast("tuple[type]", bases), dict(body))
            return
        declared = Declared.from_body(str(options.get("name", name.lower())), name, bases, body)
        try:
            super().__init__(name, cast("tuple[type]", bases), dict(body))
        except InvalidDefinition as error:
            raise DeclarationError(name, "graph", str(error)) from error
        cls.table = compile_table(declared)


class Lifecycle(StateMachine, metaclass=LifecycleMeta):
    """Base of every lifecycle: ``class Ccv(Lifecycle, name="ccv"): ...``.

    ``Ccv.table`` is the compiled table. Instances are python-statemachine's own and serve only as oracle in tests.

    Raises (at class creation):
        DeclarationError: a rule of compile.py is broken; ``rule`` names it.
    """

    table: Table

    def __init_subclass__(cls, *, name: str = "") -> None:
        """``name`` is the lifecycle's name; the metaclass takes it, this signature only tells type checkers."""
        super().__init_subclass__()
