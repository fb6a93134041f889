"""A worker in a process of its own that kills itself. Run by test_takeover.py; no test lives here.

    python killed_worker.py DATABASE_URL DISPATCHER EFFECT
    python killed_worker.py DATABASE_URL DISPATCHER sql:TEXT

It dies while it carries out the effect, or before the first statement that contains the text.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from typing import NoReturn

import structlog
from attrs import evolve
from tests.kit.toy import FAST, Toy

from orderflow._app import Orderflow
from orderflow._store.ports import Store
from orderflow._store.urls import make_store
from orderflow.model import Order

LEASE = 2.0
TIMING = evolve(FAST, lease=LEASE)


def die() -> NoReturn:
    """Die as in a power cut."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


async def main(url: str, dispatch: str, place: str) -> None:
    """Work until death."""
    toy = Toy(timing=TIMING)
    kind, _, text = place.partition(":")
    store: Store = make_store(url)
    if kind == "sql":
        from orderflow._store.postgres.store import PostgresStore

        async def boundary(statement: str) -> None:
            if text in statement:
                die()

        store = PostgresStore(url, boundary=boundary)
    else:

        async def perform(order: Order) -> NoReturn:
            die()

        toy.answer(place, perform)
    async with Orderflow(store, [toy], dispatch=dispatch, worker=True, fetch_interval=0.1):
        await asyncio.Event().wait()


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    asyncio.run(main(*sys.argv[1:]))
