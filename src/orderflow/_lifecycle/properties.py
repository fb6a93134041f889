"""Properties: what a lifecycle promises about every path, written beside its edges in the field's patterns. Pure.

    properties = {
        "paid before done": precedence(at(paying) & by(observation), at(done), before(at(failed))),
    }

A pattern is asked at the positions of a path (conditions.py). A scope is the stretch of the path in which it is asked. A scope that opens
and is never closed counts too, so ``before(r)`` also asks of the paths on which r never comes. ``orderflow check`` verifies them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from attrs import evolve, field, frozen

from orderflow._lifecycle.class_body import SourceLine, author_line
from orderflow._lifecycle.conditions import At, By, Can, Condition, Enters, Left, Names, On, Under, as_condition
from orderflow._lifecycle.facts import Guard
from orderflow.model import Origin


def _as_optional_condition(given: Condition | Guard | None) -> Condition | None:
    return None if given is None else as_condition(given)


# ── conditions ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

ENTERS_PROVEN = Enters("proven")
ENTERS_PROVISIONAL = Enters("provisional")
ENTERS_FINAL = Enters("final")


def at(*states: Any) -> At:
    """The order stands in one of the states."""
    return At(states)


def leaving(*states: Any) -> Left:
    """The edge just taken led from one of the states to another state."""
    return Left(states)


def on(*events: str) -> On:
    """The edge just taken was one of the events."""
    return On(events)


def by(*origins: Origin) -> By:
    """The edge just taken had one of the origins."""
    return By(origins)


def can(*events: str) -> Can:
    """An edge of one of the events is enabled here."""
    return Can(events)


def under(guard: Guard) -> Under:
    """The guard is true under the order's facts."""
    return Under(guard)


# ── scopes ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@frozen
class Scope:
    """The stretch of a path in which a pattern is asked: from ``opens`` (inclusive; None: from the start) until ``closes`` (exclusive;
    None: for ever). ``repeats``: it may open again after it was closed."""

    name: str
    opens: Condition | None = field(default=None, converter=_as_optional_condition)
    closes: Condition | None = field(default=None, converter=_as_optional_condition)
    repeats: bool = False

    @property
    def text(self) -> str:
        """As prose."""
        return f"{self.name} {' and '.join(end.text for end in (self.opens, self.closes) if end is not None)}".strip()


globally: Scope = Scope("globally")


def before(closes: Condition) -> Scope:
    """Until it first happens, or for ever."""
    return Scope("before", closes=closes)


def after(opens: Condition) -> Scope:
    """From where it first happens, for ever."""
    return Scope("after", opens)


def between(opens: Condition, closes: Condition) -> Scope:
    """From each time that ``opens`` happens until ``closes`` does, or for ever."""
    return Scope("between", opens, closes, repeats=True)


# ── patterns ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Pattern(StrEnum):
    """What a property says about the positions in its scope."""

    ABSENCE = "absence"
    UNIVERSALITY = "universality"
    EXISTENCE = "existence"
    PRECEDENCE = "precedence"
    RESPONSE = "response"


@frozen
class Property:
    """A promise about every path. Of the two conditions of a precedence or response, ``first`` happens before ``then``; of a
    universality, ``first`` is where it is asked. ``as_expected``: only paths on which the edges' expectations hold count."""

    pattern: Pattern
    scope: Scope
    then: Condition = field(converter=as_condition)
    first: Condition | None = field(default=None, converter=_as_optional_condition)
    as_expected: bool = False
    name: str = ""
    line: SourceLine = field(factory=author_line, repr=False, eq=False)

    def with_name(self, name: str) -> Property:
        """The same under a name."""
        return evolve(self, name=name)

    @property
    def text(self) -> str:
        """As prose."""
        first = "" if self.first is None else self.first.text
        then = self.then.text
        sentence = {
            Pattern.ABSENCE: f"never {then}",
            Pattern.UNIVERSALITY: f"always {then}" + (f", where {first}" if first else ""),
            Pattern.EXISTENCE: f"at last {then}",
            Pattern.PRECEDENCE: f"{then}: only after {first}",
            Pattern.RESPONSE: f"{first}: at last followed by {then}",
        }[self.pattern]
        scope = "" if self.scope == globally else f", {self.scope.text}"
        return sentence + scope + (", as expected" if self.as_expected else "")

    def unknown_names(self, names: Names) -> list[object]:
        """The names it uses that the lifecycle does not declare."""
        return [name for condition in self._conditions for name in condition.unknown_names(names)]

    def facts(self) -> frozenset[str]:
        """The names of the facts that it reads."""
        return frozenset(name for condition in self._conditions for name in condition.facts())

    @property
    def _conditions(self) -> tuple[Condition, ...]:
        conditions = (self.then, self.first, self.scope.opens, self.scope.closes)
        return tuple(condition for condition in conditions if condition is not None)


def absence(what: Condition, scope: Scope = globally, *, as_expected: bool = False) -> Property:
    """It never happens."""
    return Property(Pattern.ABSENCE, scope, what, None, as_expected)


def universality(what: Condition, scope: Scope = globally, *, where: Condition | None = None, as_expected: bool = False) -> Property:
    """It is so everywhere, or everywhere where ``where`` is."""
    return Property(Pattern.UNIVERSALITY, scope, what, where, as_expected)


def existence(what: Condition, scope: Scope = globally, *, as_expected: bool = False) -> Property:
    """It happens at last. Fairness: an edge that is enabled again and again is taken at last."""
    return Property(Pattern.EXISTENCE, scope, what, None, as_expected)


def precedence(first: Condition, then: Condition, scope: Scope = globally, *, as_expected: bool = False) -> Property:
    """``then`` never happens without ``first`` before it, or with it."""
    return Property(Pattern.PRECEDENCE, scope, then, first, as_expected)


def response(first: Condition, then: Condition, scope: Scope = globally, *, as_expected: bool = False) -> Property:
    """Whenever ``first`` happens, ``then`` does at last, or with it. Fairness as for ``existence``."""
    return Property(Pattern.RESPONSE, scope, then, first, as_expected)
