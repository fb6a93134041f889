"""Playing scenarios: those that arm faults one after another, the others side by side."""

from __future__ import annotations

import asyncio
import sys

from orderflow.cli.demo import ccv, connect
from orderflow.cli.demo.world import Case, Scenario, StateEntered, Unmet, World, world
from orderflow.errors import OrderflowError
from orderflow.provider import Name

SCENARIOS: tuple[Scenario, ...] = (*connect.SCENARIOS, *ccv.SCENARIOS)


async def play_all(
    db: str, scenarios: tuple[Scenario, ...] = SCENARIOS, *, dispatch: str = "local", progress: bool = False
) -> list[StateEntered]:
    """Every scenario, in the order given, however they were played."""
    progress = progress and sys.stderr.isatty()
    ended: dict[str, StateEntered] = {}

    async def one(here: World, scenario: Scenario) -> None:
        ended[f"{scenario.provider} {scenario.name}"] = await play(here, scenario)
        if progress:
            print(f"\r{len(ended)}/{len(scenarios)} scenarios", end="", file=sys.stderr, flush=True)

    async with world(db, dispatch) as here:
        for scenario in scenarios:
            if scenario.alone:
                await one(here, scenario)
        await asyncio.gather(*(one(here, scenario) for scenario in scenarios if not scenario.alone))
    if progress:
        print(file=sys.stderr)
    return [ended[f"{scenario.provider} {scenario.name}"] for scenario in scenarios]


async def play(here: World, scenario: Scenario) -> StateEntered:
    """One scenario, with what it ended in."""
    case = Case(here, scenario.name)
    flow = here.flow
    why = ""
    try:
        order = await scenario.play(case)
    except (Unmet, OrderflowError) as error:
        why = str(error)
        mine = [one for one in await flow.orders(provider=Name(scenario.provider), limit=1000) if one.key == case.reference]
        if not mine:
            return StateEntered(scenario, "", ok=False, why=why, journal=[], refusals=[])
        order = mine[0]
    ok = not why and order.state == scenario.expected
    return StateEntered(scenario, order.state, ok, why, await flow.journal(order.id), await flow.refusals(order.id))
