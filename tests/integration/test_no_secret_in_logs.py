"""What is logged when code that is not ours raises: where and what type, no message, no frame; those hold secrets and customers' data."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import structlog
from tests.support import CANARIES, CCV_FAST, CCV_KEY, ccv_request

from orderflow.app import Orderflow
from orderflow.providers.ccv import Ccv
from orderflow.records import Told

pytestmark = pytest.mark.anyio


class Broken:
    """An HTTP client with a bug of its own, and a secret in its message."""

    def stream(self, *args: Any, **options: Any) -> Any:
        raise RuntimeError(f"could not send {options} with {CCV_KEY}")

    async def aclose(self) -> None: ...


async def test_an_adapters_and_a_hosts_exception_show_no_canary(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    structlog.reset_defaults()  # as in a service that configured nothing: with rich installed, frames would be printed with their locals
    told = asyncio.Event()

    async def raising(news: Told) -> None:
        told.set()
        raise RuntimeError(str(news.order.snapshot.data))

    provider = Ccv("http://ccv.invalid", CCV_KEY, timing=CCV_FAST, client=Broken())
    async with Orderflow(f"sqlite:///{tmp_path / 'orders.db'}", [provider], work=True, poll=0.02) as flow:
        flow.on("ccv", entered="configuring", run=raising)
        order = await flow.create("ccv", key="k", **ccv_request())
        await flow.tell(order.id, "submit")
        await flow.wait(order.id, "refused", 10)
        await asyncio.wait_for(told.wait(), 10)

    shown = "".join(capsys.readouterr())
    assert "effect.adapter_raised" in shown
    assert "host.raised" in shown
    assert [canary for canary in CANARIES if canary in shown] == []
