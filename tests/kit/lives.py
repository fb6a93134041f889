"""Random lives of orders, and an oracle: what a log may mean, by a search that shares nothing with the audit. No test here."""

from __future__ import annotations

import random
from collections.abc import Iterator

from orderflow.analysis.reachability import Moves, Pair, reachable, starts
from orderflow.lifecycle.table import Edge, Table


def speaks(table: Table, state: str) -> list[str]:
    """The statuses that a provider could answer with for an order in a state."""
    if not table.readings:
        return [state]
    return [status for status, reading in table.readings.items() if state in reading.consistent or state == reading.proves]


def vocabulary(table: Table) -> list[str]:
    """All statuses."""
    return list(table.readings or table.states)


class Lives:
    """Lives under facts and guards, as an observer who misses nothing would log them; half of them observed from the start.

    Ends are less likely than other states, or most lives would be short.
    """

    def __init__(self, table: Table, rng: random.Random) -> None:
        self.table = table
        self.rng = rng
        self._moves: Moves = reachable(table)
        self._starts = list(starts(table))
        self._amid = [pair for pair in sorted(self._moves, key=str) if speaks(table, pair.state) and not table.states[pair.state].final]

    def life(self, longest: int = 40) -> list[tuple[str, bool]]:
        """One life's statuses; with each, whether the order then left that very state by a recovery edge."""
        pair: Pair = self.rng.choice(self._starts if self.rng.random() < 0.5 else self._amid)
        log: list[tuple[str, bool]] = []
        for _ in range(longest):
            moves = self._moves[pair]
            weights = [1 if self.table.states[edge.target].final or self.table.states[edge.target].provisional else 5 for edge, _ in moves]
            edge, onward = self.rng.choices(moves, weights)[0] if moves else (None, pair)
            words = speaks(self.table, pair.state)
            if words:
                log.append((self.rng.choice(words), bool(edge and edge.recovery)))
            if edge is None:
                break
            pair = onward
        return log


def dropped(log: list[tuple[str, bool]], share: float, rng: random.Random, *, keep_recovered: bool) -> list[str]:
    """What is left of a log when a share of it was missed."""
    return [status for status, recovered in log if (recovered and keep_recovered) or rng.random() >= share]


class Oracle:
    """Searches real lives for a log, step by step over names: no masks, no closures, no memory between two logs."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self._out: dict[str, list[Edge]] = {state: [edge for edge in table.edges if edge.source == state] for state in table.states}
        self._ever = {state for state, _ in self._wander([(table.initial, False)], set(table.states))}

    def classes(self, log: list[str]) -> list[str]:
        """The class of each status of a log."""
        told: list[str] = []
        standing: list[tuple[str, bool]] | None = None  # states, and whether one was observed there; None: unborn
        last = ""
        for status in log:
            if status not in vocabulary(self.table):
                told.append("unknown")
                continue
            begin = [(self.table.initial, False)] if standing is None else standing
            meant = {state for state in self.table.states if status in speaks(self.table, state)}
            found = {state for state, _ in self._wander(begin, set(self.table.states)) if state in meant}
            if not found:
                ended = standing is not None and all(self.table.states[state].final for state, _ in standing)
                told.append("resurrected" if ended else "illegal")
                found = meant & self._ever
            elif status == last:
                told.append("repeat")
            else:
                told.append("step" if self._near(standing, status, last) & meant else "jump")
            standing, last = [(state, True) for state in found], status
        return told

    def _near(self, standing: list[tuple[str, bool]] | None, status: str, last: str) -> set[str]:
        """Where an order can get without passing a state that speaks, but neither the last nor the new status."""
        quiet = {state for state in self.table.states if not speaks(self.table, state) or {status, last} & set(speaks(self.table, state))}
        if standing is None:
            return {state for state, _ in self._wander([(self.table.initial, False)], quiet)} if self.table.initial in quiet else set()
        return {state for state, _ in self._wander(standing, quiet)}

    def _wander(self, begin: list[tuple[str, bool]], through: set[str]) -> Iterator[tuple[str, bool]]:
        """Every place a life can get to; a recovery edge is taken only out of a state that was observed just before."""
        todo, seen = list(begin), set(begin)
        yield from begin
        while todo:
            state, observed = todo.pop()
            if (state, observed) not in begin and state not in through:
                continue
            for edge in self._out[state]:
                place = (edge.target, False)
                if place not in seen and (observed or not edge.recovery):
                    seen.add(place)
                    todo.append(place)
                    yield place
