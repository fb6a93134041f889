"""The guide of the simulators: its tables have what the simulators have, and each row is tried by a test."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from orderflow._providers.ccv.simulator import CcvSimulator
from orderflow._providers.connect.simulator import ConnectSimulator
from orderflow._simulators.faults import MEANINGS
from orderflow._simulators.scenario import parse_fault
from orderflow.simulators import Simulator

pytestmark = pytest.mark.anyio

GUIDE = (Path(__file__).parents[3] / "docs" / "how-to" / "simulate-a-provider.md").read_text()
TESTS = Path(__file__).parents[1] / "providers"


def section(heading: str) -> str:
    return re.split(r"\n##+ ", GUIDE.split(f"# {heading}")[1])[0]


@pytest.mark.parametrize(("name", "make"), [("Connect", ConnectSimulator), ("CCV", CcvSimulator)])
async def test_every_row_of_the_table_can_be_asked_for(name: str, make: type[Simulator]) -> None:
    switches = {switch.name for switch in make.SWITCHES}
    async with make() as sim:
        rows = re.findall(r"^\| (?!behaviour)(.+?) \| (.+) \|$", section(name), re.MULTILINE)
        assert len(rows) >= 20
        for behaviour, asked in rows:
            ways = re.findall(r"`([^`]+)`", asked)
            assert ways, behaviour
            for way in ways:
                tags = [tag for tag in re.split(r"[+#]", way.replace("..", "sms").split("(")[0]) if tag]
                known = all(sim.is_tag(tag) or tag.startswith("sim-") for tag in tags)
                assert known or way in switches or parse_fault(way, sim.error_response) or hasattr(sim, tags[0]), (behaviour, way)


@pytest.mark.parametrize(("provider", "make"), [("connect", ConnectSimulator), ("ccv", CcvSimulator)])
def test_every_switch_and_every_magic_value_is_tried_by_a_test(provider: str, make: type[Simulator]) -> None:
    tests = "".join(path.read_text() for path in (TESTS / provider).glob("test_simulator*.py"))
    assert [switch.name for switch in make.SWITCHES if switch.name not in tests] == []
    values = [value for magic in make.MAGIC for value in re.split(r", ", magic.value) if value[0] in "+#"]
    plain = [value for value in values if "@Status" not in value and value not in {"#200", "#201"}]
    assert [value for value in plain if value not in tests] == []


def test_the_table_of_faults_is_that_of_the_code() -> None:
    assert dict(re.findall(r"^\| `(\S+)` \| (.+) \|$", section("Faults"), re.MULTILINE)) == MEANINGS


def test_the_table_of_calls_has_every_control_call() -> None:
    async def paths() -> set[str]:
        async with CcvSimulator() as sim:
            return {f"/_sim{route.path}" for route in sim.control_routes()}

    documented = {path.replace("{id}", "{order_id}") for path in re.findall(r"(/_sim/[^`?]*)`", section("Over HTTP: `/_sim`"))}
    pages = {"/_sim/style.css", "/_sim/order/{order_id}", "/_sim/journal", "/_sim/magic"}
    assert asyncio.run(paths()) - pages == documented
