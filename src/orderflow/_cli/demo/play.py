"""Playing scenarios. Those that arm faults run one after another, the others side by side."""

from __future__ import annotations

import asyncio
import sys

from orderflow._cli.demo import ccv, connect
from orderflow._cli.demo.world import Case, Ending, Scenario, Unmet, World, open_world
from orderflow.errors import OrderflowError
from orderflow.provider import Name

SCENARIOS: tuple[Scenario, ...] = (*connect.SCENARIOS, *ccv.SCENARIOS)


async def play_all(
    db: str, scenarios: tuple[Scenario, ...] = SCENARIOS, *, dispatch: str = "local", progress: bool = False
) -> list[Ending]:
    """How every scenario ended, in the order of ``scenarios``. ``progress``: count them on standard error, if that is a terminal."""
    endings: dict[Scenario, Ending] = {}
    shown = progress and sys.stderr.isatty()

    async def play_one(world: World, scenario: Scenario) -> None:
        endings[scenario] = await play(world, scenario)
        if shown:
            print(f"\rplayed {len(endings)} of {len(scenarios)} scenarios", end="", file=sys.stderr, flush=True)

    async with open_world(db, dispatch) as world:
        for scenario in scenarios:
            if scenario.alone:
                await play_one(world, scenario)
        await asyncio.gather(*(play_one(world, scenario) for scenario in scenarios if not scenario.alone))
    if shown:
        print(file=sys.stderr)
    return [endings[scenario] for scenario in scenarios]


async def play(world: World, scenario: Scenario) -> Ending:
    """Play one scenario; what goes wrong in it is its ending."""
    case = Case(world, scenario.name)
    flow, why = world.flow, ""
    try:
        order = await scenario.play(case)
    except (Unmet, OrderflowError) as error:
        why = str(error)
        matching = [stored for stored in await flow.orders(provider=Name(scenario.provider), limit=1000) if stored.key == case.reference]
        if not matching:
            return Ending(scenario, "", ok=False, why=why, journal=[], refusals=[], shown=case.shown)
        order = matching[0]
    ok = not why and order.state == scenario.expected
    return Ending(scenario, order.state, ok, why, await flow.journal(order.id), await flow.refusals(order.id), case.shown)
