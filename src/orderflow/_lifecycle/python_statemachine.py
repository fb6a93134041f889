"""The one module that knows python-statemachine. Its classes declare a lifecycle; the table compiled from them decides.

The library's engine never runs an order. It is the oracle in tests: a second opinion about every cell. What the library would misread, or
run beside the table, is refused while the class is made:

- Its event names are patterns: ``pay.now`` also fires ``pay``, ``*`` fires everything. So names are plain identifiers.
- A name that it uses itself (``send``, ``model``, ...) hides an event. A method ``on_enter_x`` is a hook; a misspelt one is never called.
- A transition without a name fires by itself. Options of ``.to()`` (``cond``, validators, callbacks, ``internal``) run outside the table.
- ``from_.any()`` copies transitions and drops what edge() recorded on them.
- A subclass shares, and changes, the states of its parent. So a lifecycle derives from ``Lifecycle`` alone.
- ``StateChart`` ignores unknown events and turns a guard that raises into "no". So the base is ``StateMachine``.
- It checks the graph itself, and stops at the first fault. The rules say the same with a line and a remedy, so they run before it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

import statemachine
from attrs import frozen
from statemachine import StateMachine
from statemachine.callbacks import CallbackPriority
from statemachine.factory import StateMachineMetaclass
from statemachine.transition import Transition
from statemachine.transition_list import TransitionList

from orderflow._lifecycle.class_body import ClassBody, SourceLine, author_line, did_you_mean
from orderflow._lifecycle.compile import compile_table
from orderflow._lifecycle.declaration import Declaration, DeclaredEdge, EdgeSpec, EffectSpec
from orderflow._lifecycle.facts import Fact, Guard
from orderflow._lifecycle.rules.text import MAX_NAME, describe
from orderflow._lifecycle.table import Table

__all__ = ["Lifecycle", "State", "TransitionList", "attach"]

# what dir() does not show: names the library fills in as parameters, sets on the class later, or reads from the body
_FILLED_IN = ("model", "state", "source", "target", "transition", "event", "event_data", "machine", "error", "table")
_SET_LATER = ("initial_state", "final_states", "state_field", "start_value", "listeners", "delay", "internal")
_RESERVED = frozenset(dir(StateMachine)).union(_FILLED_IN, _SET_LATER)
_HOOKS = ("on_", "before_", "after_", "enter_", "exit_")
_IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")


class State(statemachine.State):
    """A state. Its value is the attribute's name unless given.

    ``initial``: where orders begin; exactly one. ``final``: no edge leaves it.
    ``provisional``: an end that proof may still overrule. ``proven``: entered only on proof.
    ``assumed``: never inferred on the way to another state.
    ``deadlines``: clock event -> configuration key of its duration, armed on entry from another state.
    ``budget``: configuration key of the time after which an order here counts as stuck, and its effect is undelivered.
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
        # an enum's member becomes plain text; what is no text at all is refused by a rule, under the attribute's name
        super().__init__(value=str.__str__(value) if isinstance(value, str) else None, initial=initial, final=final)
        self.given = value
        self.line: SourceLine = author_line()
        self.provisional = provisional
        self.proven = proven
        self.assumed = assumed
        self.deadlines: Mapping[str, str] = {} if deadlines is None else deadlines
        self.budget = budget

    def __set_name__(self, owner: type, name: str) -> None:
        if self.value is None:  # the library would name it only after the rules have run
            self.value = name


# ── edges ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@frozen
class _Attached:
    """What a transition carries: what edge() was given, and whether ``.to()`` was given an option of the library's."""

    spec: EdgeSpec
    has_options: bool


class _NotATransition(Transition):
    """Stands in for what edge() was given in place of ``source.to(target)``, so that the class body goes on."""

    def __init__(self, given: object) -> None:
        super().__init__(statemachine.State())
        self.given = given


def attach(spec: EdgeSpec, transitions: object) -> TransitionList:
    """Record on each transition what edge() was given, and give the oracle its guard."""
    if not isinstance(transitions, TransitionList) or not len(transitions):
        transitions = TransitionList([_NotATransition(transitions)])
    for transition in transitions:
        has_options = bool(transition._specs.items or tuple(transition.events) or transition.internal)
        transition.orderflow = _Attached(spec, has_options)
        if isinstance(spec.cond, Guard):
            transition.cond.add(_oracle_guard(spec.cond), priority=CallbackPriority.INLINE, expected_value=True)
    return transitions


def _oracle_guard(guard: Guard) -> Any:
    def holds(model: Any) -> bool:  # the library fills ``model`` in by its name
        return guard.holds(model.facts)

    return holds


# ── reading a class body ─────────────────────────────────────────────────────────────────────────────────────────────────────


def read_class_body(body: ClassBody, options: Mapping[str, Any]) -> Declaration:
    """Sort the class body by what its names are. What the library would misread is reported in ``problems``."""
    name = options.get("name", body.lifecycle.lower())
    declaration = Declaration(body.lifecycle, name, body.line, body.lines, tuple(body.repeated))
    for option in sorted(options.keys() - {"name"}):
        declaration.report("lifecycle-name", option, "a lifecycle has no such option", did_you_mean(option, ["name"]) or "give only name=")
    misplaced = [repeated.value for repeated in body.repeated]
    for attribute, value in body.items():
        if attribute.startswith("__"):
            continue
        is_named_well = _check_name(declaration, attribute)
        if not _sort(declaration, attribute, value):
            misplaced.append(value)
            if is_named_well:
                _report_misplaced(declaration, attribute, value)
    _read_edges(declaration, body, misplaced)
    return declaration


def _check_name(declaration: Declaration, name: str) -> bool:
    """Whether the library takes the name for what it is."""
    if name in ("readings", "properties"):
        return True
    if not _IDENTIFIER.match(name) or len(name) > MAX_NAME:
        remedy = f"use up to {MAX_NAME} letters, digits and _, a letter first"
        declaration.report("bad-name", name, f"{name[:MAX_NAME]!r} is not a plain identifier", remedy)
        return False
    if name in _RESERVED or name.startswith(_HOOKS):
        explanation = f"{name!r} is reserved: python-statemachine, which a lifecycle stands on, uses it for itself"
        declaration.report("reserved-name", name, explanation, f"rename it, as in order_{name}")
        return False
    return True


def _sort(declaration: Declaration, attribute: str, value: Any) -> bool:
    """Put a value where it belongs; False where it has no place in a declaration. Edges are read once all states are known."""
    if attribute == "readings":
        declaration.readings = value
    elif attribute == "properties":
        declaration.properties = value
    elif isinstance(value, State):
        declaration.states[attribute] = value
    elif isinstance(value, Fact):
        declaration.facts[attribute] = value
    elif isinstance(value, EffectSpec):
        declaration.effects[attribute] = value
    else:
        return isinstance(value, TransitionList | Guard)
    return True


def _report_misplaced(declaration: Declaration, attribute: str, value: object) -> None:
    explanation = f"it is {describe(value)}: no state, edge, fact, guard, effect, reading or property"
    remedy = "import State from orderflow.lifecycle" if isinstance(value, statemachine.State) else "move it out of the class body"
    declaration.report("foreign-attribute", attribute, explanation, remedy)


def _read_edges(declaration: Declaration, body: ClassBody, foreign: list[Any]) -> None:
    """Add every edge under a name of the class body; report every other transition."""
    states = [value for value in body.values() if isinstance(value, State)]
    reader = _EdgeReader(declaration, {id(state): state for state in states}, {id(value) for value in foreign})
    named: set[int] = set()
    for event, value in body.items():
        if isinstance(value, TransitionList):
            named.update(id(transition) for transition in value)
            for transition in value:
                reader.read(event, transition)
    if foreign:  # the other transitions may belong to what was refused
        declaration.whole = False
        return
    for state in states:
        for transition in state.transitions:
            if id(transition) not in named:
                reader.report_unnamed(transition)


@frozen
class _EdgeReader:
    """Reads transitions over the states of one class body. ``foreign``: values that are refused already, by identity."""

    declaration: Declaration
    states: Mapping[int, State]
    foreign: set[int]

    def read(self, event: str, transition: Transition) -> None:
        """Add the transition to the declaration's edges, or report why it is none."""
        attached: _Attached | None = getattr(transition, "orderflow", None)
        ends = {id(transition.source), *(id(target) for target in transition.targets)}
        if ends & self.foreign:
            self.declaration.whole = False
        elif attached is None:
            remedy = f"write {event} = edge(origin, source.to(target), cause, evidence, label)"
            self._report("bare-edge", event, transition, "it was not declared through edge()", remedy)
        elif isinstance(transition, _NotATransition):
            self._report_given(event, transition.given, attached.spec.line)
        elif attached.has_options or len(transition.targets) != 1:
            explanation = "it has an option of python-statemachine's, which would run outside the table"
            self._report("library-option", event, transition, explanation, "give .to() states only; cond= and effects= belong to edge()")
        elif ends - self.states.keys():
            self._report_strangers(event, transition)
        else:
            edge = DeclaredEdge(event, transition.source.value, transition.targets[0].value, attached.spec)
            self.declaration.edges.append(edge)

    def report_unnamed(self, transition: Transition) -> None:
        """A transition that is in the machine, but not under a name of the class body."""
        event = str(transition.event) or "an edge"
        if tuple(transition.events):
            self._report("bare-edge", event, transition, "it is not under a name of the class body", "assign it: name = edge(...)")
        else:
            self._report("eventless", event, transition, "it has no name, so it would fire by itself", "assign it: name = edge(...)")

    def _report(self, rule: str, event: str, transition: Transition, explanation: str, remedy: str) -> None:
        attached: _Attached | None = getattr(transition, "orderflow", None)
        line = attached.spec.line if attached else self.declaration.lines.get(event)
        where = f"{event}: {self._name(transition.source)} -> {', '.join(map(self._name, transition.targets)) or 'nowhere'}"
        self.declaration.report(rule, where, explanation, remedy, line)
        self.declaration.whole = False

    def _report_given(self, event: str, given: Any, line: SourceLine) -> None:
        self.declaration.whole = False
        if isinstance(given, TransitionList):
            self.declaration.report(
                "no-target", event, ".to() is called without a state: it leads nowhere", "name the target: .to(state)", line
            )
            return
        name = self._name(given) if isinstance(given, statemachine.State) else "source"
        explanation = f"edge() is given {describe(given)} where it takes source.to(target)"
        self.declaration.report("no-transition", event, explanation, f"write {name}.to(target)", line)

    def _report_strangers(self, event: str, transition: Transition) -> None:
        known = [state.value for state in self.states.values()]
        for end in (transition.source, *transition.targets):
            if id(end) not in self.states:
                name = self._name(end)
                remedy = did_you_mean(name, known) or "name states of this class body, each by itself"
                self._report("state-unknown", event, transition, f"{name} is no state of this class body", remedy)

    def _name(self, end: Any) -> str:
        """A state as the author calls it; anything else as Python shows it."""
        return str(end.value or "an unnamed state") if isinstance(end, statemachine.State) else describe(end)


# ── the class ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


class LifecycleMeta(StateMachineMetaclass):
    """Reads and compiles the declaration when the class is created."""

    table: Table

    @classmethod
    def __prepare__(cls, name: str, bases: tuple[type, ...], /, **options: Any) -> ClassBody:
        return ClassBody(name, author_line())

    def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any], /, **_options: Any) -> LifecycleMeta:
        return super().__new__(cls, name, bases, dict(body))

    def __init__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any], /, **options: Any) -> None:
        if any(isinstance(base, LifecycleMeta) for base in bases):
            cls.table = _compile(name, bases, body, options)
        super().__init__(name, cast("tuple[type]", bases), dict(body))


def _compile(name: str, bases: tuple[type, ...], body: dict[str, Any], options: Mapping[str, Any]) -> Table:
    if not isinstance(body, ClassBody):  # made by calling the metaclass
        given = body
        body = ClassBody(name, author_line())
        body.update(given)
    if bases != (Lifecycle,):
        declaration = Declaration(name, name, body.line, body.lines)
        names = ", ".join(base.__name__ for base in bases)
        explanation = f"a lifecycle derives from Lifecycle alone, not from {names}: lifecycles would share state objects"
        declaration.report("subclass", name, explanation, f"write class {name}(Lifecycle, name=...)")
        raise declaration.error()
    return compile_table(read_class_body(body, options))


class Lifecycle(StateMachine, metaclass=LifecycleMeta):
    """Base of every lifecycle: ``class Ccv(Lifecycle, name="ccv"): ...``.

    ``Ccv.table`` is the compiled table. Instances are python-statemachine's own and serve only as oracle in tests.

    Raises (at class creation):
        DeclarationError: rules are broken (rules/); ``problems`` lists each.
    """

    table: Table

    def __init_subclass__(cls, *, name: str = "") -> None:
        """``name`` is the lifecycle's name. The metaclass takes it; this signature only informs type checkers."""
        super().__init_subclass__()
