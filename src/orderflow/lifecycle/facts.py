"""Facts and the guards over them: finite, declared, enumerable. Pure.

A guard is a small expression over declared facts (``url_allowed & ~by_sms``, ``claimed.is_("cancel")``), or a Python function of
them; either way it is enumerated over all valuations of the facts it reads, and the table keeps the answers: what ``check`` judges is
what ``decide`` decides. A guard that cannot be enumerated is opaque, and no lifecycle runs on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import product
from typing import Generic, TypeVar, cast

Value = bool | str
T = TypeVar("T")
Facts = Mapping[str, Value]


class Guard:
    """A yes/no over facts. Combine with ``&``, ``|``, ``~``; give it a name by assigning it in the class body."""

    def __init__(
        self,
        holds: Callable[[Facts], bool],
        parts: tuple[Guard | Fact, ...],
        text: Callable[[], str],
        *,
        loose: bool = False,
        strays: tuple[Value, ...] = (),
    ) -> None:
        self._holds = holds
        self._parts = parts
        self._text = text
        self._loose = loose  # an "and" without brackets: needs them behind a "not"
        self._strays = strays
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __and__(self, other: Guard) -> Guard:
        return Guard(
            lambda facts: self.holds(facts) and other.holds(facts),
            (self, other),
            lambda: f"{self.text} and {other.text}",
            loose=True,
        )

    def __or__(self, other: Guard) -> Guard:
        return Guard(
            lambda facts: self.holds(facts) or other.holds(facts),
            (self, other),
            lambda: f"({self.text} or {other.text})",
        )

    def __invert__(self) -> Guard:
        return Guard(lambda facts: not self.holds(facts), (self,), lambda: f"not {self._bracketed()}")

    def _bracketed(self) -> str:
        return f"({self.text})" if self._loose and not self.name else self.text

    def holds(self, facts: Facts) -> bool:
        """Whether the guard says yes under these facts."""
        return self._holds(facts)

    @property
    def text(self) -> str:
        """The guard as prose: its name where it has one."""
        return self.name or self._text()

    def facts(self) -> frozenset[Fact]:
        """The facts it reads."""
        return frozenset().union(*(part.facts() for part in self._parts))

    def strays(self) -> frozenset[Value]:
        """Values it asks for that the fact in question can never have: misspelt, most likely."""
        return frozenset(self._strays).union(*(part.strays() for part in self._parts))


class Fact:
    """A declared fact: its finite values, the first being what it is unless said otherwise at create."""

    def __init__(self, *values: Value) -> None:
        self.values = values
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __str__(self) -> str:
        return self.name

    def facts(self) -> frozenset[Fact]:
        """Itself: so that guards and facts can both be asked what they read."""
        return frozenset({self})

    def strays(self) -> frozenset[Value]:
        """None: a fact asks for nothing."""
        return frozenset()

    def is_(self, *values: Value) -> Guard:
        """The guard that this fact has one of these values."""
        return Guard(
            lambda facts: facts[self.name] in values,
            (self,),
            lambda: f"{self.name} = {'/'.join(str(value) for value in values)}",
            strays=tuple(value for value in values if value not in self.values),
        )


class Flag(Fact, Guard):
    """A fact that is true or false, and a guard by itself."""

    def __init__(self) -> None:
        Fact.__init__(self, False, True)
        self._loose = False

    def holds(self, facts: Facts) -> bool:
        """Whether the flag is set."""
        return bool(facts[self.name])

    @property
    def text(self) -> str:
        """Its name."""
        return self.name

    def facts(self) -> frozenset[Fact]:
        """Itself."""
        return frozenset({self})

    def strays(self) -> frozenset[Value]:
        """None."""
        return frozenset()


def valuations(facts: tuple[tuple[str, tuple[Value, ...]], ...]) -> Iterator[dict[str, Value]]:
    """Every valuation of the given facts, in declared order."""
    names = [name for name, _ in facts]
    for values in product(*(values for _, values in facts)):
        yield dict(zip(names, values, strict=True))


class Opaque(Exception):
    """A guard that is no function of the declared facts; says why."""


class Function(Guard):
    """A Python function of the facts, as a guard. It is asked while the lifecycle is made, and never again."""

    def __init__(self, function: Callable[[Facts], bool]) -> None:
        self._function = function
        self._choice: Choice[bool] | None = None
        super().__init__(self._answer, (), self._called)

    def enumerate(self, declared: Mapping[str, Fact]) -> None:
        """Ask it under every valuation of the facts that it reads, twice.

        Raises:
            Opaque: it reads what is no fact, or no fact at all, raises, or answers otherwise than with one True or False.
        """
        seen: set[str] = set()
        asked = -1
        while asked < len(seen):  # what it reads may hang on what it has read
            asked = len(seen)
            reads = tuple((name, fact.values) for name, fact in declared.items() if name in seen)
            self._choice = Choice(reads, lambda given: self._asked(declared, given, seen))
        if not seen:
            raise Opaque("it reads no fact, so its answer hangs on something else")
        self._parts = tuple(fact for name, fact in declared.items() if name in seen)

    def _asked(self, declared: Mapping[str, Fact], given: Facts, seen: set[str]) -> bool:
        facts = _Watched({name: given.get(name, fact.values[0]) for name, fact in declared.items()}, seen)
        try:
            answers: set[object] = {self._function(facts), self._function(facts)}
        except Exception as error:  # noqa: BLE001  anybody's code; its message may quote anything
            raise Opaque(facts.stray or f"it raises {type(error).__name__}") from None
        if facts.stray:
            raise Opaque(facts.stray)
        answer = answers.pop()
        if answers:
            raise Opaque("it answers the same facts in two ways")
        if not isinstance(answer, bool):
            raise Opaque("it answers neither True nor False")
        return answer

    def _answer(self, facts: Facts) -> bool:
        return cast("Choice[bool]", self._choice).pick(facts)

    def _called(self) -> str:
        name: str = getattr(self._function, "__name__", "a callable")
        if name != "<lambda>":
            return name
        reads = ", ".join(str(part) for part in self._parts)
        return f"a function of {reads}" if reads else f"the lambda of line {self._function.__code__.co_firstlineno}"


class _Watched(Mapping[str, Value]):
    """Facts that note which of them were read."""

    def __init__(self, facts: Facts, seen: set[str]) -> None:
        self._facts, self._seen = facts, seen
        self.stray = ""

    def __getitem__(self, name: str) -> Value:
        if name not in self._facts:
            self.stray = f"it asks for {name!r}, which is no fact here"
        else:
            self._seen.add(name)
        return self._facts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._facts)

    def __len__(self) -> int:
        return len(self._facts)


class Choice(Generic[T]):
    """An answer for every valuation of the facts it reads: a guard, or several, fully enumerated."""

    __slots__ = ("picks", "reads")

    def __init__(self, reads: tuple[tuple[str, tuple[Value, ...]], ...], answer: Callable[[Facts], T]) -> None:
        self.reads = tuple(name for name, _ in reads)
        self.picks = {tuple(v.values()): answer(v) for v in valuations(reads)}

    def pick(self, facts: Facts) -> T:
        """The answer under these facts."""
        return self.picks[tuple([facts[name] for name in self.reads])]
