"""A provider that is not part of orderflow: it is installed beside it, found by its entry point, and runs whole orders."""

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
    """Write what the installation of a package leaves behind."""
    info = where / "warehouse-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: warehouse\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[orderflow.providers]\n{entry}\n")


@pytest.fixture
def install_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The warehouse package, installed for this test only."""
    _install(tmp_path, "warehouse = warehouse:Warehouse")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.syspath_prepend(str(OUTSIDE))
    monkeypatch.setenv("WAREHOUSE_URL", "http://127.0.0.1:1")
    yield tmp_path
    sys.modules.pop("warehouse", None)


class Service:
    """Our service and the warehouse's simulator, each on a socket. ``notified``: what the listeners were given."""

    def __init__(self, flow: Orderflow, sim: Any) -> None:
        self.flow = flow
        self.sim = sim
        self.notified: asyncio.Queue[StateEntered] = asyncio.Queue()


@pytest.fixture
async def service(install_folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Service]:
    from warehouse import WarehouseSimulator

    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        sim = await enter(WarehouseSimulator())
        monkeypatch.setenv("WAREHOUSE_URL", await enter(serve(sim.asgi)))
        app = Starlette()
        public = await enter(serve(app)) + "/in"
        flow = Orderflow(f"sqlite:///{install_folder / 'orders.db'}", ["warehouse"], public_url=public, signing_keys=LINK_KEYS, worker=True)
        app.mount("/in", flow.receiver())
        opened = Service(flow, sim)
        for state in ("packed", "shipped", "refused"):
            flow.on_entered("warehouse", state, opened.notified.put)
        await enter(flow)
        yield opened


def test_it_is_found_beside_ours_while_its_package_is_installed(install_folder: Path) -> None:
    assert {"ccv", "connect", "warehouse"} <= find_provider_factories().keys()


def test_it_is_not_found_where_it_is_not_installed() -> None:
    assert find_provider_factories().keys() == {"ccv", "connect"}


async def test_an_order_reaches_its_end_and_listeners_are_notified(service: Service) -> None:
    order = await service.flow.create("warehouse", key="crate-1", items=["lamp"])
    assert order.id.startswith("warehouse-")
    assert isinstance(await service.flow.send(order.id, "place"), Applied)
    order = await service.flow.wait(order.id, "picking", 60)
    await service.sim.move(str(order.provider_id), "packed")
    assert await service.flow.wait(order.id, "packed", 60)
    await service.sim.move(str(order.provider_id), "shipped")
    assert await service.flow.wait(order.id, "shipped", 60)
    notified = [await asyncio.wait_for(service.notified.get(), 5) for _ in range(2)]
    assert sorted(entered.state for entered in notified) == ["packed", "shipped"]
    events = [row.event for row in await service.flow.journal(order.id) if row.event != "picking_late"]
    assert events == ["place", "placed", "seen_packed", "seen_shipped"]


async def test_a_skipped_status_is_inferred_and_a_lost_answer_is_requested_again(service: Service) -> None:
    service.sim.faults.arm(Fault(PUT, "reset-after-commit"))
    order = await service.flow.create("warehouse", key="crate-2", items=["lamp"])
    await service.flow.send(order.id, "place")
    order = await service.flow.wait(order.id, "picking", 60)
    assert (service.sim.journal.count_executed(PUT), len(service.sim.orders)) == (2, 1)
    await service.sim.move(str(order.provider_id), "shipped")
    await service.flow.wait(order.id, "shipped", 60)
    assert [row.kind for row in await service.flow.journal(order.id)][-2:] == ["inferred", "step"]


async def test_its_deadline_comes(service: Service) -> None:
    order = await service.flow.create("warehouse", key="crate-3", items=["lamp"])
    await service.flow.send(order.id, "place")
    async with asyncio.timeout(60):
        while not (await service.flow.order(order.id)).snapshot.facts["late"]:
            await asyncio.sleep(0.005)
    assert (await service.flow.journal(order.id))[-1].event == "picking_late"


async def test_its_refusals_and_its_bad_input_are_handled_like_ours(service: Service) -> None:
    with pytest.raises(InvalidInput, match=r"^items: required"):
        await service.flow.create("warehouse", key="x", items=[])
    order = await service.flow.create("warehouse", key="crate-4", items=["lamp"])
    service.sim.faults.arm(Fault(PUT, "status", status=422))
    await service.flow.send(order.id, "place")
    assert await service.flow.wait(order.id, "refused", 60)
    assert (await asyncio.wait_for(service.notified.get(), 5)).state == "refused"


def test_its_lifecycle_is_checked_like_ours(install_folder: Path) -> None:
    assert check(find_provider_factories()["warehouse"].table).problems == ()  # type: ignore[attr-defined]


async def test_the_command_line_finds_it_in_a_process_of_its_own(install_folder: Path) -> None:
    path = os.pathsep.join(filter(None, [str(install_folder), str(OUTSIDE), os.environ.get("PYTHONPATH")]))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "from orderflow._cli.main import run; run()",
        "lifecycles",
        "--json",
        env={**os.environ, "PYTHONPATH": path},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    assert "warehouse" in json.dumps(json.loads(output))


@pytest.mark.parametrize("entry", ["warehouse = no_such_module:Warehouse", "warehouse = json:NoSuchClass"])
def test_a_broken_package_does_not_hide_other_providers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: str) -> None:
    _install(tmp_path, entry)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert find_provider_factories().keys() == {"ccv", "connect"}
    with pytest.raises(UnknownName, match="unknown provider: 'warehouse'"):
        Orderflow(f"sqlite:///{tmp_path / 'orders.db'}", ["warehouse"])
