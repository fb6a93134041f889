"""The engine in a hostile world, explored exhaustively: every interleaving of callers, forgers, a provider, clocks, W workers and crashes.

    found = explore(CCV, facts, workers=2)
    found.states, found.violation

Claims may come at any moment, any number of times, in any order, or never: that is loss, duplication, reordering and forgery at once.
A worker may stall, lose its lease, wake up and go on, or die, between any two steps. The provider may act and its answer be lost.
What must never be is said where it would happen: nothing proven without proof, no once-effect carried out twice, no step on a stale
read, no step written over another, one step a key, no state ahead of the provider. Beside that, wherever callers, forgers and the
provider's moves stop, the order must still be able to come to rest (AG EF): with the provider's truth, or openly in doubt.
That it *can* is shown, under no fairness; that an order given up openly (its window closed) can is not asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from attrs import define, field, frozen

from orderflow.analysis.reachability import starts
from orderflow.lifecycle.facts import Value
from orderflow.lifecycle.table import Table
from orderflow.testing.hostile_engine import Engine, Rest
from orderflow.testing.hostile_outside import CCV, CONNECT, Calling, Outside
from orderflow.testing.hostile_steps import Steps, World
from orderflow.testing.hostile_story import Action, Violation, tell

__all__ = ["CCV", "CONNECT", "Calling", "Engine", "Explored", "Outside", "Violation", "explore", "valuations_of"]


@frozen
class Explored:
    """What was found. ``transitions`` counts those that change something; with a violation, both count up to it."""

    states: int
    transitions: int
    violation: Violation | None


def valuations_of(table: Table) -> Iterator[Mapping[str, Value]]:
    """The facts under which an order can be created."""
    for pair in starts(table):
        yield pair.facts(table)


def explore(outside: Outside, facts: Mapping[str, Value], *, workers: int = 2, engine: type[Engine] = Engine) -> Explored:
    """Explore every reachable world of one order, breadth-first; stops at the first violation, which is then a shortest one."""
    return _Walk(outside.table.name, Steps(outside, engine(outside, facts)), workers).run()


@define
class _Walk:
    lifecycle: str
    steps: Steps
    workers: int
    worlds: list[World] = field(init=False, factory=list)
    came: list[tuple[int, Action]] = field(init=False, factory=lambda: [(-1, ("begin",))])
    calm: list[list[int]] = field(init=False, factory=lambda: [[]])  # by world: those that lead here while everybody else is silent

    def run(self) -> Explored:
        """Forwards from the start, then backwards from where an order may rest."""
        first: World = (self.steps.engine.start, 0, 0, (0,) * self.workers)
        worlds, came, calm = self.worlds, self.came, self.calm
        worlds.append(first)
        seen: dict[World, int] = {first: 0}
        transitions = 0
        after = self.steps.after
        for n, world in enumerate(worlds):  # grows while it is walked
            for step, onward, wrong in after(world):
                transitions += 1
                if wrong:
                    return Explored(len(worlds), transitions, tell(wrong, [*self._path(n), step.action], self.lifecycle))
                m = seen.get(onward)
                if m is None:
                    m = seen[onward] = len(worlds)
                    worlds.append(onward)
                    came.append((n, step.action))
                    calm.append([])
                if step.quiet and m != n:
                    calm[m].append(n)
        return Explored(len(worlds), transitions, self._stuck())

    def _stuck(self) -> Violation | None:
        """A world from which no rest can be reached, the calmest and nearest of them."""
        fine = self._coming_to_rest()
        stuck = [n for n in range(len(self.worlds)) if not fine[n]]
        if not stuck:
            return None
        leaves = set(stuck).difference(before for n in stuck for before in self.calm[n])
        nearest = min(leaves or stuck)
        core, status, _, _ = self.worlds[nearest]
        engine, statuses = self.steps.engine, self.steps.statuses
        wrong = (
            f"stuck: nothing moves the order any more: {engine.cores[core].state}, while the provider says {statuses[status] or 'nothing'}"
        )
        return tell(wrong, self._path(nearest), self.lifecycle)

    def _coming_to_rest(self) -> bytearray:
        """By world, whether rest can be reached. Being given up is an end for those that are, no goal for those that are not yet."""
        engine, statuses, worlds = self.steps.engine, self.steps.statuses, self.worlds
        fine = bytearray(len(worlds))
        idle = (0,) * self.workers
        asked: dict[tuple[int, int], Rest] = {}
        todo: list[tuple[int, bool]] = []
        for n, (core, status, _, busy) in enumerate(worlds):
            if busy != idle:
                continue
            if (core, status) not in asked:
                asked[core, status] = engine.rest(core, statuses[status])
            if asked[core, status] is not Rest.NONE:
                fine[n] = 1
                todo.append((n, asked[core, status] is Rest.GIVEN_UP))
        while todo:
            n, given_up = todo.pop()
            for before in self.calm[n]:
                if not fine[before] and not (given_up and not engine.same_order(worlds[before][0], worlds[n][0])):
                    fine[before] = 1
                    todo.append((before, given_up))
        return fine

    def _path(self, n: int) -> list[Action]:
        path: list[Action] = []
        while n > 0:
            n, action = self.came[n]
            path.append(action)
        return path[::-1]
