"""What is taken says until when it is ours, on every store."""

from __future__ import annotations

import pytest

from dispatch.lines import Line
from orderflow.records import ReadAt
from store.build import LEASE, NOW, SCOPE

pytestmark = pytest.mark.anyio


async def test_effects_and_reads_say_when_their_lease_ends(line: Line) -> None:
    worker = await line.process()
    order_id = await worker.owe("register")
    (effect,) = await worker.take()
    assert effect.until == NOW + LEASE
    await worker.store.plan_read(order_id, NOW, ReadAt(NOW + 1, 3, 1.0))
    (read,) = await worker.store.lease_reads(NOW + 2, SCOPE, 10)
    assert (read.tries, read.until) == (3, NOW + 2 + LEASE)
