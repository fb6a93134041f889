"""A leased effect or poll says until when it is leased, on every store."""

from __future__ import annotations

import pytest
from tests.kit.commits import LEASE, NOW, SCOPE
from tests.kit.dispatchers import Backend

from orderflow._store.records import PollAt

pytestmark = pytest.mark.anyio


async def test_effects_and_polls_say_when_their_lease_ends(backend: Backend) -> None:
    worker = await backend.open_process()
    order_id = await worker.owe("register")
    (effect,) = await worker.take()
    assert effect.until == NOW + LEASE
    await worker.store.plan_poll(order_id, NOW, PollAt(NOW + 1, 3, 1.0))
    (poll,) = await worker.store.lease_polls(NOW + 2, SCOPE, 10)
    assert (poll.without_news, poll.until) == (3, NOW + 2 + LEASE)
