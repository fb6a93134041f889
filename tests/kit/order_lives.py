"""Random lives of orders, and a brute-force checker of logs that shares nothing with the audit. No test here."""

from __future__ import annotations

import random
from collections.abc import Iterator

from orderflow._analysis.reachability import Moves, Pair, reachable, starts
from orderflow._lifecycle.table import Edge, Table

Place = tuple[str, bool]
"""A state, and whether the order was observed there."""


def list_statuses(table: Table) -> list[str]:
    """All statuses of a lifecycle."""
    return list(table.readings or table.states)


def list_statuses_of_state(table: Table, state: str) -> list[str]:
    """The statuses that a provider may report for an order in a state."""
    if not table.readings:
        return [state]
    return [status for status, reading in table.readings.items() if state in reading.consistent or state == reading.proves]


class RandomLives:
    """Random lives under facts and guards, as a log without gaps shows them. Half of the logs begin in the middle of a life.

    Final and provisional states are chosen less often than others, or most lives would be short.
    """

    def __init__(self, table: Table, rng: random.Random) -> None:
        self.table = table
        self.rng = rng
        self._moves: Moves = reachable(table)
        self._starts = list(starts(table))
        self._middles = [
            pair
            for pair in sorted(self._moves, key=str)
            if list_statuses_of_state(table, pair.state) and not table.states[pair.state].final
        ]

    def make(self, longest: int = 40) -> list[tuple[str, bool]]:
        """The statuses of one life. With each: whether the order then left that very state by a recovery edge."""
        pair: Pair = self.rng.choice(self._starts if self.rng.random() < 0.5 else self._middles)
        log: list[tuple[str, bool]] = []
        for _ in range(longest):
            moves = self._moves[pair]
            weights = [1 if self.table.states[edge.target].final or self.table.states[edge.target].provisional else 5 for edge, _ in moves]
            edge, next_pair = self.rng.choices(moves, weights)[0] if moves else (None, pair)
            statuses = list_statuses_of_state(self.table, pair.state)
            if statuses:
                log.append((self.rng.choice(statuses), bool(edge and edge.recovery)))
            if edge is None:
                break
            pair = next_pair
        return log


def drop_observations(log: list[tuple[str, bool]], share: float, rng: random.Random, *, keep_recovered: bool) -> list[str]:
    """The statuses that are left when a share of a log is lost."""
    return [status for status, recovered in log if (recovered and keep_recovered) or rng.random() >= share]


class BruteForceChecker:
    """Searches the lives of orders for a log, step by step, over names of states. It keeps nothing between two logs."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self._out: dict[str, list[Edge]] = {state: [edge for edge in table.edges if edge.source == state] for state in table.states}
        self._reachable = {state for state, _ in self._search([(table.initial, False)], set(table.states))}

    def classify(self, log: list[str]) -> list[str]:
        """The class of each status of a log."""
        classes: list[str] = []
        places: list[Place] | None = None  # None: before the first observation
        last = ""
        for status in log:
            if status not in list_statuses(self.table):
                classes.append("unknown")
                continue
            start = [(self.table.initial, False)] if places is None else places
            meant = {state for state in self.table.states if status in list_statuses_of_state(self.table, state)}
            states = {state for state, _ in self._search(start, set(self.table.states)) if state in meant}
            if not states:
                ended = places is not None and all(self.table.states[state].final for state, _ in places)
                classes.append("resurrected" if ended else "illegal")
                states = meant & self._reachable
            elif status == last:
                classes.append("repeat")
            else:
                classes.append("step" if self._reach_without_other_status(places, status, last) & meant else "jump")
            places, last = [(state, True) for state in states], status
        return classes

    def _reach_without_other_status(self, places: list[Place] | None, status: str, last: str) -> set[str]:
        """The states that can be reached without passing a state that shows another status than the last or the new one."""
        passable = set()
        for state in self.table.states:
            statuses = list_statuses_of_state(self.table, state)
            if not statuses or {status, last} & set(statuses):
                passable.add(state)
        if places is None:
            return (
                {state for state, _ in self._search([(self.table.initial, False)], passable)} if self.table.initial in passable else set()
            )
        return {state for state, _ in self._search(places, passable)}

    def _search(self, start: list[Place], through: set[str]) -> Iterator[Place]:
        """Every place that can be reached. A recovery edge is taken only from a state that was observed directly before it."""
        todo, seen = list(start), set(start)
        yield from start
        while todo:
            state, observed = todo.pop()
            if (state, observed) not in start and state not in through:
                continue
            for edge in self._out[state]:
                place = (edge.target, False)
                if place not in seen and (observed or not edge.recovery):
                    seen.add(place)
                    todo.append(place)
                    yield place
