"""Facts and the guards over them: finite, declared, enumerable. Pure.

A guard is an expression over declared facts: ``url_allowed & ~by_sms``, ``claimed.is_("cancel")``. A Python function of the facts can be
one too (guard_functions.py). Either way it is asked once for every combination of the facts that it reads, while the class is made. The
table keeps the answers, so what ``check`` looks at is what ``decide`` decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import product
from math import prod
from typing import Generic, NoReturn, TypeVar

Value = bool | str
Facts = Mapping[str, Value]
Reads = tuple[tuple[str, tuple[Value, ...]], ...]
"""Facts by name with all their values: what a guard reads."""

T = TypeVar("T")

MAX_VALUATIONS = 2**10
"""The most combinations of fact values that are enumerated, for a guard or for a cell: ten flags, for example."""

_NO_TRUTH_VALUE = "a guard is neither true nor false while the lifecycle is declared: combine guards with & | ~, not with and, or, not, if"


class Guard:
    """A yes/no over facts. Combine with ``&``, ``|``, ``~``. Assigned in the class body, it is shown by that name."""

    name: str = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __and__(self, other: Guard) -> Guard:
        return _AllOf(self, _require_guard(other))

    def __or__(self, other: Guard) -> Guard:
        return _AnyOf(self, _require_guard(other))

    def __invert__(self) -> Guard:
        return _Not(self)

    def __bool__(self) -> NoReturn:
        # `paid and vip` would silently drop `paid`
        raise TypeError(_NO_TRUTH_VALUE)

    def holds(self, facts: Facts) -> bool:
        """Whether the guard is true under these facts."""
        raise NotImplementedError

    def facts(self) -> frozenset[Fact]:
        """The facts it reads."""
        raise NotImplementedError

    def unknown_values(self) -> tuple[tuple[Fact, Value], ...]:
        """The values it asks for that the fact in question cannot have."""
        raise NotImplementedError

    def describe(self) -> str:
        """The guard as prose, without its own name."""
        raise NotImplementedError

    @property
    def text(self) -> str:
        """The guard as prose: its name where it has one."""
        return self.name or self.describe()


class _Joined(Guard):
    """Two guards as one."""

    def __init__(self, left: Guard, right: Guard) -> None:
        self.left = left
        self.right = right

    def facts(self) -> frozenset[Fact]:
        return self.left.facts() | self.right.facts()

    def unknown_values(self) -> tuple[tuple[Fact, Value], ...]:
        return self.left.unknown_values() + self.right.unknown_values()


class _AllOf(_Joined):
    def holds(self, facts: Facts) -> bool:
        return self.left.holds(facts) and self.right.holds(facts)

    def describe(self) -> str:
        return f"{self.left.text} and {self.right.text}"


class _AnyOf(_Joined):
    def holds(self, facts: Facts) -> bool:
        return self.left.holds(facts) or self.right.holds(facts)

    def describe(self) -> str:
        return f"({self.left.text} or {self.right.text})"


class _Not(Guard):
    def __init__(self, negated: Guard) -> None:
        self.negated = negated

    def holds(self, facts: Facts) -> bool:
        return not self.negated.holds(facts)

    def facts(self) -> frozenset[Fact]:
        return self.negated.facts()

    def unknown_values(self) -> tuple[tuple[Fact, Value], ...]:
        return self.negated.unknown_values()

    def describe(self) -> str:
        needs_brackets = isinstance(self.negated, _AllOf) and not self.negated.name
        return f"not ({self.negated.text})" if needs_brackets else f"not {self.negated.text}"


class _HasValue(Guard):
    """A fact has one of some values."""

    def __init__(self, fact: Fact, values: tuple[Value, ...]) -> None:
        self.fact = fact
        self.values = values

    def holds(self, facts: Facts) -> bool:
        return facts[self.fact.name] in self.values

    def facts(self) -> frozenset[Fact]:
        return frozenset({self.fact})

    def unknown_values(self) -> tuple[tuple[Fact, Value], ...]:
        return tuple((self.fact, value) for value in self.values if not self.fact.accepts(value))

    def describe(self) -> str:
        return f"{self.fact.name} = {'/'.join(str(value) for value in self.values)}"


class Fact:
    """A declared fact with its finite values. An order has the first value unless another is given at create."""

    name: str = ""

    def __init__(self, *values: Value) -> None:
        self.values = values

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __str__(self) -> str:
        return self.name

    def __bool__(self) -> NoReturn:
        raise TypeError(_NO_TRUTH_VALUE)

    def accepts(self, value: object) -> bool:
        """Whether it may have this value. True and 1 are two values."""
        return any(value == known and isinstance(value, bool) == isinstance(known, bool) for known in self.values)

    def is_(self, *values: Value) -> Guard:
        """The guard that this fact has one of these values."""
        return _HasValue(self, values)


class Flag(Fact, Guard):
    """A fact that is true or false, and a guard by itself."""

    def __init__(self) -> None:
        super().__init__(False, True)

    def holds(self, facts: Facts) -> bool:
        """Whether the flag is set."""
        return bool(facts[self.name])

    def facts(self) -> frozenset[Fact]:
        """Itself."""
        return frozenset({self})

    def unknown_values(self) -> tuple[tuple[Fact, Value], ...]:
        """None."""
        return ()

    def describe(self) -> str:
        """Its name."""
        return self.name


def _require_guard(operand: object) -> Guard:
    if not isinstance(operand, Guard):
        kind = type(operand).__name__
        raise TypeError(f"a {kind} is no guard: ask for the value of a fact with fact.is_(value), not with ==")
    return operand


def count_valuations(reads: Reads) -> int:
    """How many combinations of values these facts have."""
    return prod(len(values) for _, values in reads)


def valuations(reads: Reads) -> Iterator[dict[str, Value]]:
    """Every combination of values of these facts, in declared order."""
    names = [name for name, _ in reads]
    for values in product(*(values for _, values in reads)):
        yield dict(zip(names, values, strict=True))


class Choice(Generic[T]):
    """An answer for every combination of the facts that it reads: a guard, or several, fully enumerated."""

    __slots__ = ("picks", "reads")

    def __init__(self, reads: Reads, answer: Callable[[Facts], T]) -> None:
        self.reads: tuple[str, ...] = tuple(name for name, _ in reads)
        self.picks: dict[tuple[Value, ...], T] = {tuple(facts.values()): answer(facts) for facts in valuations(reads)}

    def pick(self, facts: Facts) -> T:
        """The answer under these facts."""
        return self.picks[tuple([facts[name] for name in self.reads])]


class OnDemand(Generic[T]):
    """As ``Choice``, over facts with too many combinations: the answer is worked out each time that it is asked for."""

    __slots__ = ("_answer",)

    def __init__(self, answer: Callable[[Facts], T]) -> None:
        self._answer = answer

    def pick(self, facts: Facts) -> T:
        """The answer under these facts."""
        return self._answer(facts)


Answers = Choice[T] | OnDemand[T]
"""Answers under facts, enumerated or worked out on demand."""
