"""A lifecycle as a machine that answers: what an order says to every word, and where it then stands. Pure; knows no provider.

A *word* is what may be said to an order: the name of an event, said by its own origin, or ``read <status>``. An *answer* is the
decision as text, with the state after it: all that a user of an engine can see. Facts and versions are not in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from attrs import field, frozen

from orderflow.analysis.reachability import Pair, starts
from orderflow.lifecycle.decide import decide
from orderflow.lifecycle.observe import observe
from orderflow.lifecycle.table import Table
from orderflow.model import Applied, Decision, Event, Observation, Origin, Refused, Snapshot, StepKind

READ = "read "
STRANGE = "a word of no vocabulary"

Words = tuple[str, ...]
Moves = Mapping[str, tuple[str, int]]


class Subject(Protocol):
    """What is tested or learned: a table, an engine, a simulator. Deterministic, and one order at a time."""

    def start(self) -> None:
        """Begin again with a fresh order."""

    def say(self, word: str) -> str:
        """Say a word to the order; its answer."""


def words_of(table: Table, *, by_name: bool = False) -> Words:
    """Everything that can be said to an order of this lifecycle, and one status that no lifecycle knows.

    ``by_name`` adds the observation events, which no engine lets in by name: for suites that test a table, cell by cell.
    """
    events = tuple(name for name, origin in table.events.items() if by_name or origin is not Origin.OBSERVATION)
    return (*events, *(READ + status for status in (*table.readings, STRANGE)))


def judge(table: Table, snapshot: Snapshot, word: str) -> Decision:
    """What the lifecycle decides about a word.

    Raises:
        UnknownName: the lifecycle has no such event.
    """
    if word.startswith(READ):
        return observe(table, snapshot, Observation(word.removeprefix(READ), snapshot.version))
    return decide(table, snapshot, Event(word, table.events.get(word, Origin.COMMAND)))


def answer(decision: Decision) -> str:
    """A decision as it can be seen from outside: ``applied, submit -> configuring [configure_order]``,
    ``refused, not legal here; legal: submit | drafted``."""
    if isinstance(decision, Applied):
        return "applied, " + ", ".join(_step(step.event, step.target, step.kind, step.effects) for step in decision.steps)
    said = f"{'refused' if isinstance(decision, Refused) else 'ignored'}, {decision.reason}"
    legal = f"; legal: {' '.join(decision.legal)}" if isinstance(decision, Refused) and decision.legal else ""
    return f"{said}{legal} | {decision.state}"


def _step(event: str, target: str, kind: StepKind, effects: tuple[object, ...]) -> str:
    marked = "" if kind is StepKind.STEP else f" ({kind})"
    owed = f" [{' '.join(getattr(effect, 'name', '') for effect in effects)}]" if effects else ""
    return f"{event} -> {target}{marked}{owed}"


class TableSubject:
    """An order that only a table decides: the reference, or a mutant of it."""

    def __init__(self, table: Table, pair: Pair) -> None:
        self._table = table
        self._fresh = pair.snapshot(table)
        self._now = self._fresh

    @property
    def state(self) -> str:
        """Where the order stands."""
        return self._now.state

    def start(self) -> None:
        """Begin again."""
        self._now = self._fresh

    def say(self, word: str) -> str:
        """Decide, and move where the order moves."""
        decision = judge(self._table, self._now, word)
        if isinstance(decision, Applied):
            self._now = decision.snapshot
        return answer(decision)


@frozen
class Machine:
    """A deterministic machine with the fewest states. State 0 is the start; ``access`` is a shortest way to each; ``stands`` names
    the lifecycle's states that are folded into each (only facts that no answer depends on tell them apart)."""

    words: Words
    moves: tuple[Moves, ...] = field(repr=False)
    access: tuple[Words, ...] = field(repr=False)
    stands: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.moves)

    def answers(self, words: Words) -> tuple[str, ...]:
        """What the machine says to a sequence from the start."""
        here, said = 0, []
        for word in words:
            answered, here = self.moves[here][word]
            said.append(answered)
        return tuple(said)


class MachineSubject:
    """A machine as a subject; ``moves`` may be a mutant's."""

    def __init__(self, moves: tuple[Moves, ...] | list[Moves]) -> None:
        self._moves = moves
        self._here = 0

    def start(self) -> None:
        """Begin again."""
        self._here = 0

    def say(self, word: str) -> str:
        """Answer and move."""
        answered, self._here = self._moves[self._here][word]
        return answered


def machine(table: Table, pair: Pair | None = None, words: Words = ()) -> Machine:
    """The machine of an order that is created as ``pair`` (default: every fact at its first value)."""
    pair = pair or Pair(table.initial, tuple(table.defaults().values()))
    words = words or words_of(table)
    index, raw = {pair: 0}, list[dict[str, tuple[str, int]]]()
    todo = [pair]
    for here in todo:  # grows as it goes: breadth first
        row: dict[str, tuple[str, int]] = {}
        for word in words:
            decision = judge(table, here.snapshot(table), word)
            onward = here
            if isinstance(decision, Applied):
                onward = Pair(decision.snapshot.state, tuple(decision.snapshot.facts[name] for name in table.facts))
            if onward not in index:
                index[onward] = len(todo)
                todo.append(onward)
            row[word] = answer(decision), index[onward]
        raw.append(row)
    return folded(words, raw, tuple(pair.state for pair in todo))


def machines(table: Table, words: Words = ()) -> Iterator[tuple[Pair, Machine]]:
    """One machine for every way an order can be created; those that no answer tells apart are given once."""
    seen: set[object] = set()
    for pair in starts(table):
        found = machine(table, pair, words)
        shape = tuple(tuple(row.items()) for row in found.moves)
        if shape not in seen:
            seen.add(shape)
            yield pair, found


def folded(words: Words, raw: list[dict[str, tuple[str, int]]], stands: Words) -> Machine:
    """The smallest machine that answers the same: states that no sequence of words tells apart become one."""
    block = [0] * len(raw)
    while True:
        keys: dict[object, int] = {}
        finer = [keys.setdefault((block[n], *((row[w][0], block[row[w][1]]) for w in words)), len(keys)) for n, row in enumerate(raw)]
        if max(finer) == max(block):
            break
        block = finer
    first = {found: n for n, found in reversed(list(enumerate(block)))}
    access: dict[int, Words] = {0: ()}
    for here in (todo := [block[0]]):
        for word in words:
            onward = block[raw[first[here]][word][1]]
            if onward not in access:
                access[onward] = (*access[here], word)
                todo.append(onward)
    number = {found: n for n, found in enumerate(todo)}
    moves = tuple({word: (said, number[block[to]]) for word, (said, to) in raw[first[here]].items()} for here in todo)
    return Machine(words, moves, tuple(access[here] for here in todo), tuple(stands[first[here]] for here in todo))
