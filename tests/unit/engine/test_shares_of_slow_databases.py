"""Shares of a provider's limit hold where taking lasts, and where the clock is set back."""

from __future__ import annotations

import random
from collections.abc import Collection

from attrs import evolve
from tests.kit.toy import TIMING
from tests.unit.engine.test_manners import Timed, admission, order_all

from orderflow.app import Orderflow
from orderflow.model import EffectKey
from orderflow.provider.outcomes import Succeeded
from orderflow.store.records import LeasedEffect, WorkerScope
from tests.kit.inline_store import InlineStore
from tests.kit.virtual_time import run_virtually


class Hesitant(InlineStore):
    """Takes most of a second for its first leases, and no time for later ones."""

    slow = 1

    async def lease_effects(
        self, now: float, scope: WorkerScope, limit: int, among: Collection[EffectKey] | None = None
    ) -> list[LeasedEffect]:
        found = await super().lease_effects(now, scope, limit, among)
        if found and self.slow:
            self.slow -= 1
            await self.toy.clock.sleep(0.9)  # type: ignore[attr-defined]
        return found


def test_a_call_counts_from_when_it_begins_not_from_when_it_was_asked_for() -> None:
    timing = evolve(TIMING, calls_per_second=10, poll_first=1e6)

    async def main() -> None:
        store, toy = Hesitant(), Timed(timing=timing)
        store.toy = toy  # type: ignore[attr-defined]
        toy.now = toy.clock.now
        async with Orderflow(store, [toy], worker=True, fetch_interval=86400.0, clock=toy.clock, rng=random.Random(1)) as flow:
            for order in await order_all(flow, 30):
                await flow.wait(order.id, "placed", 1000)
        assert max(sum(one <= other < one + 1.0 for other in toy.begun) for one in toy.begun) == 10
        store.connection.close()

    run_virtually(main())


def test_a_clock_that_was_ahead_does_not_silence_a_provider() -> None:
    polite = admission(calls_per_minute=2)
    for _ in range(2):
        polite.begun("toy", 1e6)
        polite.answered("toy", Succeeded("x"), 1e6)
        polite.ended("toy")
    assert polite.paused(1e6) == {"toy"}
    assert (polite.paused(1e6 - 3600), polite.until(1e6 - 3600), polite.quotas(1e6 - 3600)) == (frozenset(), None, {"toy": 2})
