"""Properties: what a lifecycle promises about every path, written beside its edges in the field's patterns. Pure; judged by paths.py.

    properties = {
        "paid before done": precedence(at(paying) & by(observation), at(done), before(at(failed))),
    }

A pattern is over *positions*: the step just taken (none at the start) and where it led. A scope is the stretch of a path in which the
pattern is asked; one that opens and is never closed counts too, so ``before(r)`` also asks of the paths on which r never comes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from orderflow.lifecycle.facts import Choice, Guard, Value
from orderflow.model import Origin

if TYPE_CHECKING:
    from orderflow.analysis.reachability import Moves, Pair
    from orderflow.lifecycle.table import Edge, Table

Bound = Callable[["Edge | None", "Pair"], bool]
Bind = Callable[["Table", "Moves"], Bound]
Known = tuple[Mapping[str, object], Mapping[str, object], Mapping[str, object]]
"""What a lifecycle declares: states and events by name, facts by name."""


class Unsure(Exception):
    """What is asked hangs on a guard that could not be enumerated."""


class What:
    """A yes/no about a position. Combine with ``&``, ``|``, ``~``; a guard over facts may stand on the right."""

    def __init__(
        self,
        bind: Bind,
        text: Callable[[], str],
        *,
        parts: tuple[What, ...] = (),
        joined: bool = False,
        strays: Callable[[Known], list[object]] | None = None,
    ) -> None:
        self.bind = bind
        self._text = text
        self._parts = parts
        self._joined = joined
        self._strays = strays

    @property
    def text(self) -> str:
        """As prose; only once the class is made, states have no value before."""
        return self._text()

    def conjuncts(self) -> tuple[What, ...]:
        """What is joined by ``&``: each must be possible for their never meeting to mean anything."""
        return tuple(one for part in self._parts for one in part.conjuncts()) if self._joined else (self,)

    def strays(self, known: Known) -> list[object]:
        """The names it uses that the lifecycle does not declare."""
        mine = self._strays(known) if self._strays else []
        return mine + [stray for part in self._parts for stray in part.strays(known)]

    def __and__(self, other: What | Guard) -> What:
        both = (self, _what(other))
        return What(_joined(both, all), lambda: f"{both[0].text} and {both[1].text}", parts=both, joined=True)

    def __or__(self, other: What | Guard) -> What:
        both = (self, _what(other))
        return What(_joined(both, any), lambda: f"({both[0].text} or {both[1].text})", parts=both)

    def __invert__(self) -> What:
        def bind(table: Table, moves: Moves) -> Bound:
            inner = self.bind(table, moves)
            return lambda edge, pair: not inner(edge, pair)

        return What(bind, lambda: f"not ({self.text})" if self._joined else f"not {self.text}", parts=(self,))


def _joined(both: tuple[What, What], how: Callable[[list[bool]], bool]) -> Bind:
    def bind(table: Table, moves: Moves) -> Bound:
        one, two = both[0].bind(table, moves), both[1].bind(table, moves)
        if how is all:
            return lambda edge, pair: one(edge, pair) and two(edge, pair)
        return lambda edge, pair: one(edge, pair) or two(edge, pair)

    return bind


def _what(given: What | Guard) -> What:
    return given if isinstance(given, What) else under(given)


def under(guard: Guard) -> What:
    """The guard holds under the order's facts."""

    def bind(table: Table, _moves: Moves) -> Bound:
        read = {fact.name for fact in guard.facts()}
        reads = tuple((name, values) for name, values in table.facts.items() if name in read)
        picks = Choice(reads, guard.holds).picks
        places = [n for n, name in enumerate(table.facts) if name in read]
        known: dict[tuple[Value, ...], bool] = {}

        def holds(_edge: Edge | None, pair: Pair) -> bool:
            values = pair.values
            if values not in known:
                known[values] = picks[tuple([values[n] for n in places])]
            return known[values]

        return holds

    def strays(known: Known) -> list[object]:
        return [fact.name for fact in guard.facts() if known[2].get(fact.name) is not fact] + list(guard.strays())

    return What(bind, lambda: guard.text, strays=strays)


def _states(states: tuple[Any, ...], verb: str, found: Callable[[frozenset[str]], Bound]) -> What:
    """Over states of the class body, whose values are known once the class is made."""
    return What(
        lambda _table, _moves: found(frozenset(state.value for state in states)),
        lambda: f"{verb} {'/'.join(state.value for state in states)}",
        strays=lambda known: [state.value for state in states if state.value not in known[0]],
    )


def at(*states: Any) -> What:
    """The order stands in one of the states."""
    return _states(states, "at", lambda names: lambda _edge, pair: pair.state in names)


def left(*states: Any) -> What:
    """The step just taken left one of the states for another."""
    return _states(
        states, "left", lambda names: lambda edge, _pair: edge is not None and edge.source in names and edge.target != edge.source
    )


def on(*events: str) -> What:
    """The step just taken was by one of the events."""
    return What(
        lambda _table, _moves: lambda edge, _pair: edge is not None and edge.event in events,
        lambda: f"on {'/'.join(events)}",
        strays=lambda known: [event for event in events if event not in known[1]],
    )


def by(*origins: Origin) -> What:
    """The step just taken was said by one of the origins."""
    return What(
        lambda _table, _moves: lambda edge, _pair: edge is not None and edge.origin in origins,
        lambda: f"by {'/'.join(origins)}",
    )


def can(*events: str) -> What:
    """An edge of one of the events is enabled here."""

    def bind(table: Table, moves: Moves) -> Bound:
        unsure = {edge.source for edge in table.edges if edge.unchecked and edge.event in events}

        def can_now(_edge: Edge | None, pair: Pair) -> bool:
            sure = any(edge.event in events and not edge.unchecked for edge, _ in moves[pair])
            if not sure and pair.state in unsure:
                raise Unsure
            return sure

        return can_now

    return What(
        bind,
        lambda: f"can {'/'.join(events)}",
        strays=lambda known: [event for event in events if event not in known[1]],
    )


def _marked(mark: str) -> What:
    def bind(table: Table, _moves: Moves) -> Bound:
        names = {state for state, info in table.states.items() if getattr(info, mark)}
        return lambda edge, pair: pair.state in names and (edge is None or edge.source != edge.target)

    return What(bind, lambda: f"enters a {mark} state")


ENTERS_PROVEN = _marked("proven")
ENTERS_PROVISIONAL = _marked("provisional")
ENTERS_FINAL = _marked("final")


class Where(StrEnum):
    """The kinds of scope."""

    GLOBALLY = "globally"
    BEFORE = "before"
    AFTER = "after"
    BETWEEN = "between"


@frozen
class Scope:
    """The stretch of a path in which a pattern is asked: from ``opens`` (inclusive) until ``closes`` (exclusive)."""

    where: Where
    opens: What | None = None
    closes: What | None = None

    @property
    def text(self) -> str:
        """As prose."""
        ends = " and ".join(end.text for end in (self.opens, self.closes) if end)
        return f"{self.where} {ends}".strip()


globally = Scope(Where.GLOBALLY)


def before(closes: What) -> Scope:
    """Until it first happens, or for ever."""
    return Scope(Where.BEFORE, None, closes)


def after(opens: What) -> Scope:
    """From where it first happens, for ever."""
    return Scope(Where.AFTER, opens)


def between(opens: What, closes: What) -> Scope:
    """From each time that ``opens`` happens until ``closes`` does, or for ever."""
    return Scope(Where.BETWEEN, opens, closes)


class Pattern(StrEnum):
    """What is said about the positions in scope."""

    ABSENCE = "absence"
    UNIVERSALITY = "universality"
    EXISTENCE = "existence"
    PRECEDENCE = "precedence"
    RESPONSE = "response"


@frozen
class Property:
    """A promise about every path. ``first`` and ``then`` in the order in which they happen, where there are two; for a
    universality ``first`` is where it is asked. ``as_expected``: only over paths on which the edges' expectations hold."""

    pattern: Pattern
    scope: Scope
    then: What
    first: What | None = None
    as_expected: bool = False
    name: str = ""

    def named(self, name: str) -> Property:
        """The same under its name."""
        return evolve(self, name=name)

    @property
    def text(self) -> str:
        """As prose."""
        first, then = self.first.text if self.first else "", self.then.text
        said = {
            Pattern.ABSENCE: f"never {then}",
            Pattern.UNIVERSALITY: f"always {then}" + (f", where {first}" if first else ""),
            Pattern.EXISTENCE: f"at last {then}",
            Pattern.PRECEDENCE: f"{then}: only after {first}",
            Pattern.RESPONSE: f"{first}: at last followed by {then}",
        }[self.pattern]
        where = "" if self.scope.where is Where.GLOBALLY else f", {self.scope.text}"
        return said + where + (", as expected" if self.as_expected else "")

    def strays(self, known: Known) -> list[object]:
        """The names it uses that the lifecycle does not declare."""
        used = (self.then, self.first, self.scope.opens, self.scope.closes)
        return [stray for what in used if what is not None for stray in what.strays(known)]


def absence(what: What, scope: Scope = globally, *, as_expected: bool = False) -> Property:
    """It never happens."""
    return Property(Pattern.ABSENCE, scope, what, None, as_expected)


def universality(what: What, scope: Scope = globally, *, where: What | None = None, as_expected: bool = False) -> Property:
    """It is so everywhere, or everywhere where ``where`` is."""
    return Property(Pattern.UNIVERSALITY, scope, what, where, as_expected)


def existence(what: What, scope: Scope = globally, *, as_expected: bool = False) -> Property:
    """It happens at last. Fairness: an edge that is enabled again and again is taken at last."""
    return Property(Pattern.EXISTENCE, scope, what, None, as_expected)


def precedence(first: What, then: What, scope: Scope = globally, *, as_expected: bool = False) -> Property:
    """``then`` never happens without ``first`` before it, or with it."""
    return Property(Pattern.PRECEDENCE, scope, then, first, as_expected)


def response(first: What, then: What, scope: Scope = globally, *, as_expected: bool = False) -> Property:
    """Whenever ``first`` happens, ``then`` does at last, or with it. Fairness as for ``existence``."""
    return Property(Pattern.RESPONSE, scope, then, first, as_expected)
