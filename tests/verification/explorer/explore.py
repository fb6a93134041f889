"""The exploration: every world of one order, breadth-first, then backwards from the worlds in which the order may rest."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from attrs import define, field, frozen
from tests.verification.explorer.actions import Action
from tests.verification.explorer.counterexample import Violation, describe
from tests.verification.explorer.environment import Environment
from tests.verification.explorer.model_of_engine import ModelOfEngine, Rest
from tests.verification.explorer.steps import IDLE, Steps
from tests.verification.explorer.worlds import Parts, StoredOrder, World

from orderflow._analysis.reachability import starts
from orderflow._lifecycle.facts import Value
from orderflow._lifecycle.table import Table


@frozen
class Explored:
    """The result: how many worlds there are, and steps that change something. With a violation, both are counted up to it."""

    worlds: int
    steps: int
    violation: Violation | None


def valuations_at_create(table: Table) -> Iterator[Mapping[str, Value]]:
    """The facts under which an order can be created."""
    for pair in starts(table):
        yield pair.facts(table)


def explore(
    environment: Environment, facts: Mapping[str, Value], *, workers: int = 2, engine: type[ModelOfEngine] = ModelOfEngine
) -> Explored:
    """Explore every reachable world of one order. It stops at the first violation, which is then a shortest one."""
    return _Exploration(environment, engine(environment, facts), workers).run()


@define
class _Exploration:
    environment: Environment
    engine: ModelOfEngine
    workers: int
    worlds: list[World] = field(init=False, factory=list)

    def run(self) -> Explored:
        """Forwards from the start, then backwards from rest."""
        with _garbage_collector_paused():
            try:
                return self._walk()
            finally:
                for world in self.worlds:  # these links make cycles; without them the worlds are freed at once
                    world.quiet_from.clear()

    def _walk(self) -> Explored:
        steps_after = Steps(self.environment, self.engine).after
        start: Parts = (self.engine.start, "", frozenset(), (IDLE,) * self.workers)
        worlds, reached, steps = self.worlds, {start: World(*start)}, 0
        worlds.append(reached[start])
        for world in worlds:  # grows while it is walked
            for step, parts, problem in steps_after(world):
                steps += 1
                if problem:
                    return Explored(len(worlds), steps, self._describe(problem, [*_path(world), step.action]))
                onward = reached.get(parts)
                if onward is None:
                    onward = reached[parts] = World(*parts, world, step.action)
                    worlds.append(onward)
                if step.quiet and onward is not world:
                    onward.quiet_from.append(world)
        return Explored(len(worlds), steps, self._find_stuck())

    def _find_stuck(self) -> Violation | None:
        """A world from which the order cannot come to rest: one from which nothing leads on, and the nearest of these."""
        self._mark_what_can_rest()
        stuck = [world for world in self.worlds if not world.can_rest]
        if not stuck:
            return None
        leading_on = {before for world in stuck for before in world.quiet_from}
        nearest = next((world for world in stuck if world not in leading_on), stuck[0])
        state, status = nearest.order.state, nearest.status or "none"
        problem = f"stuck: nothing moves the order any more: it is {state}, while the provider's status is {status}"
        return self._describe(problem, _path(nearest))

    def _mark_what_can_rest(self) -> None:
        """Mark every world from which the order can come to rest by the engine alone.

        Being given up counts as rest for an order that is given up already, not as a way for others to come to rest.
        """
        rests: dict[tuple[StoredOrder, str], Rest] = {}
        idle = (IDLE,) * self.workers
        todo: list[tuple[World, bool]] = []
        for world in self.worlds:
            if world.workers != idle:
                continue
            key = world.order, world.status
            if key not in rests:
                rests[key] = self.engine.rest(*key)
            if rests[key] is not Rest.NO:
                world.can_rest = True
                todo.append((world, rests[key] is Rest.GIVEN_UP))
        while todo:
            world, given_up = todo.pop()
            for before in world.quiet_from:
                if not before.can_rest and not (given_up and not _same_state(before.order, world.order)):
                    before.can_rest = True
                    todo.append((before, given_up))

    def _describe(self, problem: str, path: list[Action]) -> Violation:
        return describe(problem, path, self.environment.table.name)


@contextmanager
def _garbage_collector_paused() -> Iterator[None]:
    """An exploration makes a million records and no garbage; searching them for garbage takes a third of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _same_state(order: StoredOrder, other: StoredOrder) -> bool:
    """Whether two orders differ only in what is owed or planned."""
    return order.state == other.state and order.facts == other.facts


def _path(world: World) -> list[Action]:
    """The actions from the start to a world."""
    path: list[Action] = []
    while world.parent is not None and world.action is not None:
        path.append(world.action)
        world = world.parent
    return path[::-1]
