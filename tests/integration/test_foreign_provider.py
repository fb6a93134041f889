"""A provider of which orderflow knows nothing: installed beside it, found by its entry point, an order's whole life."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from tests.kit.world import LINK_KEYS

from orderflow._analysis.check import check
from orderflow._app import Orderflow
from orderflow._provider.discovery import find_provider_factories
from orderflow.errors import InvalidInput, UnknownName
from orderflow.model import Applied, StateEntered
from orderflow.simulators import Fault, serve

pytestmark = pytest.mark.anyio

OUTSIDE = Path(__file__).parents[1] / "kit" / "packages"
PUT = "PUT /orders/"


def _install(where: Path, entry: str) -> None:
    """What installing a package leaves behind."""
    info = where / "warehouse-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: warehouse\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[orderflow.providers]\n{entry}\n")


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The warehouse package, installed for this test only."""
    _install(tmp_path, "warehouse = warehouse:Warehouse")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.syspath_prepend(str(OUTSIDE))
    monkeypatch.setenv("WAREHOUSE_URL", "http://127.0.0.1:1")
    yield tmp_path
    sys.modules.pop("warehouse", None)


class Yard:
    """The warehouse on a socket, our service on another, and what it was told."""

    def __init__(self, flow: Orderflow, sim: Any) -> None:
        self.flow = flow
        self.sim = sim
        self.told: asyncio.Queue[StateEntered] = asyncio.Queue()


@pytest.fixture
async def yard(installed: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Yard]:
    from warehouse import WarehouseSimulator

    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        sim = await enter(WarehouseSimulator())
        monkeypatch.setenv("WAREHOUSE_URL", await enter(serve(sim.asgi)))
        mounted: list[Any] = []

        async def front(scope: Any, receive: Any, send: Any) -> None:
            await mounted[0](scope, receive, send)

        public = await enter(serve(front)) + "/in"
        flow = Orderflow(f"sqlite:///{installed / 'orders.db'}", ["warehouse"], public_url=public, signing_keys=LINK_KEYS, worker=True)
        mounted.append(Starlette(routes=[Mount("/in", flow.receiver())]))
        made = Yard(flow, sim)

        async def tell(told: StateEntered) -> None:
            await made.told.put(told)

        for state in ("packed", "shipped", "refused"):
            flow.on_entered("warehouse", state, tell)
        await enter(flow)
        yield made


def test_it_is_found_beside_ours_and_gone_without_its_package(installed: Path) -> None:
    assert {"ccv", "connect", "warehouse"} <= find_provider_factories().keys()


def test_it_is_not_found_where_it_is_not_installed() -> None:
    assert find_provider_factories().keys() == {"ccv", "connect"}


async def test_an_order_lives_its_whole_life(yard: Yard) -> None:
    order = await yard.flow.create("warehouse", key="crate-1", items=["lamp"])
    assert order.id.startswith("warehouse-")
    assert isinstance(await yard.flow.send(order.id, "place"), Applied)
    order = await yard.flow.wait(order.id, "picking", 5)
    await yard.sim.move(str(order.provider_id), "packed")
    assert await yard.flow.wait(order.id, "packed", 5)
    await yard.sim.move(str(order.provider_id), "shipped")
    assert await yard.flow.wait(order.id, "shipped", 5)
    told = [await asyncio.wait_for(yard.told.get(), 5) for _ in range(2)]
    assert sorted(one.state for one in told) == ["packed", "shipped"]
    events = [row.event for row in await yard.flow.journal(order.id) if row.event != "picking_late"]
    assert events == ["place", "placed", "seen_packed", "seen_shipped"]


async def test_a_skipped_status_is_inferred_and_a_lost_answer_asked_again(yard: Yard) -> None:
    yard.sim.faults.arm(Fault(PUT, "reset-after-commit"))
    order = await yard.flow.create("warehouse", key="crate-2", items=["lamp"])
    await yard.flow.send(order.id, "place")
    order = await yard.flow.wait(order.id, "picking", 5)
    assert (yard.sim.journal.count_executed(PUT), len(yard.sim.orders)) == (2, 1)
    await yard.sim.move(str(order.provider_id), "shipped")
    await yard.flow.wait(order.id, "shipped", 5)
    assert [row.kind for row in await yard.flow.journal(order.id)][-2:] == ["inferred", "step"]


async def test_its_deadline_comes(yard: Yard) -> None:
    order = await yard.flow.create("warehouse", key="crate-3", items=["lamp"])
    await yard.flow.send(order.id, "place")
    async with asyncio.timeout(5):
        while not (await yard.flow.order(order.id)).snapshot.facts["late"]:
            await asyncio.sleep(0.005)
    assert (await yard.flow.journal(order.id))[-1].event == "picking_late"


async def test_its_refusal_and_bad_input_are_the_engines(yard: Yard) -> None:
    with pytest.raises(InvalidInput, match=r"^items: required"):
        await yard.flow.create("warehouse", key="x", items=[])
    order = await yard.flow.create("warehouse", key="crate-4", items=["lamp"])
    yard.sim.faults.arm(Fault(PUT, "status", status=422))
    await yard.flow.send(order.id, "place")
    assert await yard.flow.wait(order.id, "refused", 5)
    assert (await asyncio.wait_for(yard.told.get(), 5)).state == "refused"


def test_its_declaration_is_checked_like_ours(installed: Path) -> None:
    assert check(find_provider_factories()["warehouse"].table).problems == ()  # type: ignore[attr-defined]


async def test_the_command_line_finds_it_in_a_process_of_its_own(installed: Path) -> None:
    path = os.pathsep.join([str(installed), str(OUTSIDE)])
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "from orderflow._cli.main import run; run()",
        "lifecycles",
        "--json",
        env={**os.environ, "PYTHONPATH": path},
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0
    assert "warehouse" in json.dumps(json.loads(said))


@pytest.mark.parametrize("entry", ["warehouse = no_such_module:Warehouse", "warehouse = json:NoSuchClass"])
def test_a_broken_neighbour_does_not_keep_others_from_being_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: str) -> None:
    _install(tmp_path, entry)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert find_provider_factories().keys() == {"ccv", "connect"}
    with pytest.raises(UnknownName, match="unknown provider: 'warehouse'"):
        Orderflow(f"sqlite:///{tmp_path / 'orders.db'}", ["warehouse"])
