"""A database is restored from a backup while the provider went on: nothing is sent twice. Real HTTP, real databases, real backups."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from attrs import define, evolve
from tests.kit.backups import make_backup
from tests.kit.dispatchers import BACKENDS, open_backend
from tests.kit.world import CONNECT_FAST, connect_at, connect_request, connect_sim

from orderflow import Orderflow
from orderflow._providers.connect.simulator import ConnectSimulator
from orderflow.simulators import serve

pytestmark = pytest.mark.anyio
TIMING = evolve(CONNECT_FAST, lease=30.0, poll_first=600.0, poll_cap=600.0)
WHO = {"actor": "anna", "reason": "disk failure, backup of 03:00"}
COUNT = 3
SETTLING_SECONDS = 1.5  # in which a worker would have sent what it holds to be owed


@define
class Site:
    """Connect on a socket, and one database with its dispatcher."""

    sim: ConnectSimulator
    base: str
    url: str
    dispatch: str

    def open(self, *, worker: bool = False) -> Orderflow:
        """A process of the service."""
        connect = connect_at(self.base, timing=TIMING)
        return Orderflow(self.url, [connect], worker=worker, dispatch=self.dispatch, fetch_interval=0.05, grace=1.0)

    async def owe_registrations(self) -> list[str]:
        """Orders whose registration is owed, and which no worker has seen."""
        async with self.open() as flow:
            orders = [await flow.create("connect", key=str(n), **connect_request()) for n in range(COUNT)]
            for order in orders:
                await flow.send(order.id, "register")
        return [order.id for order in orders]


@pytest.fixture(params=BACKENDS)
async def site(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Site]:
    async with open_backend(request.param, tmp_path) as backend, connect_sim() as sim, serve(sim.asgi) as base:
        yield Site(sim, base, backend.url, backend.dispatch)


async def states(flow: Orderflow, ids: list[str]) -> set[str]:
    return {(await flow.order(order_id)).state for order_id in ids}


async def wait_until_recognised(flow: Orderflow, *, restored: bool) -> None:
    async with asyncio.timeout(60):
        while flow.health is None or flow.health.restored is not restored:
            await asyncio.sleep(0.02)


async def test_what_was_sent_since_the_backup_is_not_sent_again(site: Site, tmp_path: Path) -> None:
    ids = await site.owe_registrations()
    restore = await make_backup(site.url, tmp_path)
    async with site.open(worker=True) as flow:
        for order_id in ids:
            await flow.wait(order_id, "registered", 60)
        found = (await flow.order(ids[0])).provider_id
    assert len(site.sim.orders) == COUNT

    await restore()
    async with site.open() as flow:
        for _ in range(2):  # once more does no harm
            report = await flow.declare_restored(**WHO)
            assert set(report.in_doubt) in (set(ids), set())
            assert await states(flow, ids) == {"registration_in_doubt"}
    async with site.open(worker=True) as flow:
        await asyncio.sleep(SETTLING_SECONDS)
        assert await states(flow, ids) == {"registration_in_doubt"}
        await flow.resolve(ids[0], "registration_resolved", order_id=found, actor="anna", reason="Connect has it")
        assert (await flow.order(ids[0])).state == "registered"
    assert len(site.sim.orders) == COUNT


async def test_an_order_that_the_provider_moved_on_is_polled_first(site: Site, tmp_path: Path) -> None:
    """Nothing is owed for it, and its next poll was minutes away."""
    (order_id, *_) = await site.owe_registrations()
    async with site.open(worker=True) as flow:
        await flow.wait(order_id, "registered", 60)
        restore = await make_backup(site.url, tmp_path)
        provider_id = (await flow.order(order_id)).provider_id
    (order,) = [order for order in site.sim.orders if str(order.order_id) == provider_id]
    site.sim.transition(str(order.order_id), "cancelled", force=True)
    await restore()
    async with site.open() as flow:
        assert order_id in (await flow.declare_restored(**WHO)).polled
    async with site.open(worker=True) as flow:
        await flow.wait(order_id, "cancelled", 60)


async def test_a_running_worker_recognises_the_restore_and_sends_nothing(site: Site, tmp_path: Path) -> None:
    ids = await site.owe_registrations()
    restore = await make_backup(site.url, tmp_path)
    async with site.open(worker=True) as flow:
        for order_id in ids:
            await flow.wait(order_id, "registered", 60)

        await restore()
        await wait_until_recognised(flow, restored=True)
        await asyncio.sleep(SETTLING_SECONDS)
        assert await states(flow, ids) == {"registering"}
        assert len(site.sim.orders) == COUNT

        async with site.open() as other:
            assert set((await other.declare_restored(**WHO)).in_doubt) == set(ids)
        await wait_until_recognised(flow, restored=False)
        await asyncio.sleep(SETTLING_SECONDS)
        assert await states(flow, ids) == {"registration_in_doubt"}
        assert len(site.sim.orders) == COUNT
        (fresh, *_) = [await flow.create("connect", key="fresh", **connect_request())]
        await flow.send(fresh.id, "register")
        await flow.wait(fresh.id, "registered", 60)  # it works again
    assert len(site.sim.orders) == COUNT + 1


async def test_an_order_that_the_backup_lacks_is_recognised_too(site: Site, tmp_path: Path) -> None:
    async with site.open(worker=True) as flow:
        restore = await make_backup(site.url, tmp_path)
        order = await flow.create("connect", key="lost", **connect_request())
        await flow.send(order.id, "register")
        await flow.wait(order.id, "registered", 60)
        await restore()
        await wait_until_recognised(flow, restored=True)
    assert len(site.sim.orders) == 1


async def test_a_prune_by_another_process_is_no_restore(site: Site) -> None:
    async with site.open(worker=True) as flow:
        order = await flow.create("connect", key="old", **connect_request())
        await flow.send(order.id, "discard")
        async with site.open() as other:
            assert [pruned async for pruned in other.prune(older_than=0.0)] == [[order.id]]
        await asyncio.sleep(SETTLING_SECONDS)
        assert flow.health is not None
        assert not flow.health.restored
