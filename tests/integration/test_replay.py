"""The demo's orders, replayed: each version of each order is rebuilt as its decision made it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.kit.store_fixtures import DATABASES

from orderflow._app import Orderflow
from orderflow._cli.demo.play import SCENARIOS, play_all
from orderflow._providers.ccv import Ccv
from orderflow._providers.connect import Connect
from orderflow._store.ports import Store
from orderflow._store.rows import dump
from orderflow._store.urls import make_store
from orderflow.model import PROVIDER_ID, REDACTED, Applied, Order, Snapshot, StepKind

pytestmark = pytest.mark.anyio


class RecordedStore:
    """A store, and the snapshots that were decided: of each order's creation, and of each decision that moved it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.decided: dict[tuple[str, int], Snapshot] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    async def create(self, order: Order, *arguments: Any) -> Order:
        created = await self.store.create(order, *arguments)
        self.decided.setdefault((created.id, 0), created.snapshot)
        return created

    async def commit(self, order_id: str, *arguments: Any, **more: Any) -> Any:
        receipt = await self.store.commit(order_id, *arguments, **more)
        if isinstance(receipt.decision, Applied):
            self.decided[order_id, receipt.version] = receipt.decision.snapshot
        return receipt


def as_stored(snapshot: Snapshot) -> tuple[str, int, Any, str]:
    """As JSON, in which 1, 1.0 and true differ."""
    return snapshot.state, snapshot.version, snapshot.facts, dump(dict(sorted(snapshot.data.items())))


@pytest.mark.parametrize("database", DATABASES)
async def test_each_version_of_each_order_of_the_demo_is_rebuilt(database: str, tmp_path: Path) -> None:
    async with DATABASES[database](tmp_path) as url:
        await _play_and_replay(url)


async def _play_and_replay(url: str) -> None:
    store = RecordedStore(make_store(url))
    endings = await play_all(store, SCENARIOS)  # type: ignore[arg-type]
    assert [(ending.scenario.name, ending.why) for ending in endings if not ending.ok] == []
    kinds: set[str] = set()
    redacted = 0
    async with Orderflow(url, [Connect.offline(), Ccv.offline()]) as flow:
        orders = await flow.orders(limit=1000)
        assert len(orders) >= len(SCENARIOS)
        for order in orders:
            journal = await flow.journal(order.id)
            kinds.update(row.kind for row in journal)
            assert as_stored(await flow.replay(order.id)) == as_stored(order.snapshot)
            for version in range(order.version + 1):
                replayed = await flow.replay(order.id, version)
                if (order.id, version) in store.decided:
                    assert as_stored(replayed) == as_stored(store.decided[order.id, version])
                else:  # an inferred step: its decision went further
                    assert journal[version - 1].kind == StepKind.INFERRED
                    assert (replayed.state, replayed.version) == (journal[version - 1].target, version)
            if isinstance(await flow.redact(order.id, actor="kim", reason="ticket 7"), Applied):
                redacted += 1
                await _check_redacted(flow, order)
    assert kinds >= {StepKind.STEP, StepKind.INFERRED, StepKind.JUMP, StepKind.OVERRIDE}
    assert redacted > 3


async def _check_redacted(flow: Orderflow, before: Order) -> None:
    order = await flow.order(before.id)
    assert set(order.snapshot.data) <= {PROVIDER_ID, REDACTED}
    assert as_stored(await flow.replay(order.id)) == as_stored(order.snapshot)
    for version in range(before.version + 1):
        assert (await flow.replay(order.id, version)).data == {}
