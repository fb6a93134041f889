"""What is taken says until when it is ours, on every store."""

from __future__ import annotations

import pytest
from tests.kit.commits import LEASE, NOW, SCOPE
from tests.kit.dispatchers import Line

from orderflow.store.records import PollAt

pytestmark = pytest.mark.anyio


async def test_effects_and_reads_say_when_their_lease_ends(line: Line) -> None:
    worker = await line.process()
    order_id = await worker.owe("register")
    (effect,) = await worker.take()
    assert effect.until == NOW + LEASE
    await worker.store.plan_poll(order_id, NOW, PollAt(NOW + 1, 3, 1.0))
    (read,) = await worker.store.lease_polls(NOW + 2, SCOPE, 10)
    assert (read.without_news, read.until) == (3, NOW + 2 + LEASE)
