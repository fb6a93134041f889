"""The demo on PostgreSQL: the same code, the same scenarios, another URL; by either dispatcher."""

from __future__ import annotations

import pytest
from tests.kit.postgres import drop_schema, make_schema

from orderflow.cli.demo.play import SCENARIOS, play_all

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("dispatch", ["local", "pgqueuer"])
async def test_every_scenario_ends_where_it_must(dispatch: str) -> None:
    name, url = await make_schema()
    ended = await play_all(url, dispatch=dispatch)
    await drop_schema(name)
    assert [(one.scenario.name, one.reached, one.why) for one in ended if not one.ok] == []
    assert len(ended) == len(SCENARIOS)
