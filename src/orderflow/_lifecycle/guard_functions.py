"""Python functions as guards: ``def ready(facts): return facts["paid"]``. Pure, as long as the function is.

A function is called for every combination of the facts that it reads, while the class is made, and never again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import cast

from orderflow._lifecycle.facts import MAX_VALUATIONS, Choice, Fact, Facts, Guard, Reads, Value, count_valuations


class NotEnumerable(Exception):
    """The function is no function of the declared facts. The message says why."""


class TooManyFacts(Exception):
    """The function reads more facts than are enumerated. The message says how many."""


class FunctionGuard(Guard):
    """A Python function of the facts, as a guard. It can be asked once ``enumerate_over`` has run."""

    def __init__(self, function: Callable[[Facts], bool]) -> None:
        self._function = function
        self._facts: tuple[Fact, ...] = ()
        self._choice: Choice[bool] | None = None

    def enumerate_over(self, declared: Mapping[str, Fact]) -> None:
        """Call the function under every combination of the facts that it reads.

        Raises:
            NotEnumerable: it reads what is no fact, or no fact at all, raises, or answers otherwise than with one True or False.
            TooManyFacts: the combinations are more than ``MAX_VALUATIONS``.
        """
        seen: set[str] = set()
        enumerated = -1
        while enumerated < len(seen):  # a call may read further facts, depending on those that it read before
            enumerated = len(seen)
            reads = tuple((name, fact.values) for name, fact in declared.items() if name in seen)
            if count_valuations(reads) > MAX_VALUATIONS:
                raise TooManyFacts(f"it reads {len(reads)} facts, which have {count_valuations(reads)} combinations or more")
            self._choice = self._ask_all(declared, reads, seen)
        if not seen:
            raise NotEnumerable("it reads no fact, so its answer depends on something else")
        self._facts = tuple(fact for name, fact in declared.items() if name in seen)

    def holds(self, facts: Facts) -> bool:
        """The answer that the function gave under these facts."""
        return cast("Choice[bool]", self._choice).pick(facts)

    def facts(self) -> frozenset[Fact]:
        """The facts that the function read."""
        return frozenset(self._facts)

    def unknown_values(self) -> tuple[tuple[Fact, Value], ...]:
        """None: what the function compares with is not known."""
        return ()

    def describe(self) -> str:
        """The function's name; of a lambda, the facts that it reads or its line."""
        name: str = getattr(self._function, "__name__", "a callable")
        if name != "<lambda>":
            return name
        if self._facts:
            return f"a function of {', '.join(fact.name for fact in self._facts)}"
        return f"the lambda of line {self._function.__code__.co_firstlineno}"

    def _ask_all(self, declared: Mapping[str, Fact], reads: Reads, seen: set[str]) -> Choice[bool]:
        defaults = {name: fact.values[0] for name, fact in declared.items()}
        return Choice(reads, lambda facts: self._ask({**defaults, **facts}, seen))

    def _ask(self, facts: Facts, seen: set[str]) -> bool:
        recorder = _ReadRecorder(facts, seen)
        try:
            answers: set[object] = {self._function(recorder), self._function(recorder)}
        except Exception as error:  # noqa: BLE001  the author's code; its message may quote anything
            raise NotEnumerable(recorder.missing or f"it raises {type(error).__name__}") from None
        if recorder.missing:
            raise NotEnumerable(recorder.missing)
        answer = answers.pop()
        if answers:
            raise NotEnumerable("it gives two answers for the same facts")
        if not isinstance(answer, bool):
            raise NotEnumerable("it answers neither True nor False")
        return answer


class _ReadRecorder(Mapping[str, Value]):
    """Facts that record which of them are read."""

    def __init__(self, facts: Facts, seen: set[str]) -> None:
        self._facts = facts
        self._seen = seen
        self.missing = ""

    def __getitem__(self, name: str) -> Value:
        if name not in self._facts:
            self.missing = f"it asks for {name!r}, which is no fact here"
        else:
            self._seen.add(name)
        return self._facts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._facts)

    def __len__(self) -> int:
        return len(self._facts)
