"""The demo on PostgreSQL: the same code, the same scenarios, another URL; by either dispatcher."""

from __future__ import annotations

import pytest
from tests.kit.postgres import drop_schema, make_schema

from orderflow._cli.demo.play import SCENARIOS, play_all

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("dispatch", ["local", "pgqueuer"])
async def test_every_scenario_ends_where_it_must(dispatch: str) -> None:
    name, url = await make_schema()
    endings = await play_all(url, dispatch=dispatch)
    await drop_schema(name)
    assert [(ending.scenario.name, ending.reached, ending.why) for ending in endings if not ending.ok] == []
    assert len(endings) == len(SCENARIOS)
