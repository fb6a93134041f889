"""Every method that takes a provider takes the object or its name."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.kit.world import ccv_request

import orderflow
from orderflow.errors import UnknownName
from orderflow.model import StateEntered

pytestmark = pytest.mark.anyio

ccv, connect = orderflow.Ccv.offline(), orderflow.Connect.offline()


def ignore(entered: StateEntered) -> None:
    """A listener."""


@pytest.mark.parametrize("provider", [ccv, "ccv"])
async def test_a_provider_may_be_the_object_or_its_name(tmp_path: Path, provider: orderflow.Ccv | str) -> None:
    async with orderflow.Orderflow(f"sqlite:///{tmp_path / 'orders.db'}", [ccv, connect]) as flow:
        order = await flow.create(provider, key="k", **ccv_request())
        assert (order.provider, order.id.partition("-")[0]) == ("ccv", "ccv")
        assert await flow.orders(provider=provider) == [order]
        assert await flow.orders(provider=connect) == []
        assert flow.states(provider) == tuple(orderflow.Ccv.table.states)
        flow.on_entered(provider, "refused", ignore)
        await flow.create(provider, key="another", **ccv_request())  # makes the listener known to the database
        assert [(listener.provider, listener.state) for listener in await flow.listeners()] == [("ccv", "refused")]
        assert await flow.remove_listener(provider, "refused", actor="anna", reason="a test") == 0
        assert [ids async for ids in flow.prune(older_than=1.0, provider=provider)] == []


@pytest.mark.parametrize("provider", [ccv, "ccv"])
def test_so_does_the_api_without_await(tmp_path: Path, provider: orderflow.Ccv | str) -> None:
    with orderflow.sync(f"sqlite:///{tmp_path / 'orders.db'}", [ccv]) as flow:
        flow.on_entered(provider, "refused", ignore)
        order = flow.create(provider, key="k", **ccv_request())
        assert flow.orders(provider=provider) == [order]
        assert flow.states(provider) == tuple(orderflow.Ccv.table.states)
        assert flow.remove_listener(provider, "refused", actor="anna", reason="a test") == 0


async def test_a_provider_that_the_flow_does_not_have_is_unknown(tmp_path: Path) -> None:
    async with orderflow.Orderflow(f"sqlite:///{tmp_path / 'orders.db'}", [connect]) as flow:
        with pytest.raises(UnknownName, match="unknown provider: 'ccv'"):
            await flow.create(ccv, key="k", **ccv_request())
        with pytest.raises(UnknownName, match="unknown provider: 'ccv'"):
            flow.on_entered(ccv, "refused", ignore)
