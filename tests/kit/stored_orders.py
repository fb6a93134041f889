"""A database with orders of both providers in known states, made by the engine without calling anybody. No test lives here."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from tests.kit.world import ccv_request, connect_request

from orderflow._app import Orderflow
from orderflow._providers.ccv import Ccv
from orderflow._providers.connect import Connect


def stored(where: Path, *orders: tuple[str, str, str, dict[str, Any]]) -> tuple[str, list[str]]:
    """``sqlite:///...`` and the ids; an order is its provider, key, the state to put it in ("": as created), and facts-making arguments."""
    db = f"sqlite:///{where / 'orders.db'}"

    async def make() -> list[str]:
        made = []
        async with Orderflow(db, [Ccv.offline(), Connect.offline()]) as flow:
            for provider, key, state, arguments in orders:
                request = ccv_request(**arguments) if provider == "ccv" else connect_request(**arguments)
                order = await flow.create(provider, key=key, **request)
                if state:
                    await flow.override(order.id, state, actor="a test", reason="to stand there", version=order.version)
                made.append(order.id)
        return made

    return db, asyncio.run(make())
