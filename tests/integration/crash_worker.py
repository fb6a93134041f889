"""A worker in a process of its own that kills itself where it is told to. Run by test_crash_sqlite.py; no test lives here.

    python crash_worker.py DATABASE_URL CCV_BASE REFERENCE BOUNDARY

BOUNDARY is ``none``, ``http:before:K`` or ``http:after:K`` (the K-th call to CCV), ``sql:K`` (before the writer's K-th statement from
the moment the order exists) or ``told:K`` (in the host's hands, the K-th time). It ends by itself when the order rests. Each time the
host is told, a line is added to DATABASE.told.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sqlite3
import sys
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, NoReturn

import structlog
from attrs import evolve

from orderflow.app import Orderflow
from orderflow.exchange import new_client
from orderflow.providers.ccv import Ccv
from orderflow.records import Told
from orderflow.store.sqlite import SqliteStore
from support import CCV_FAST, CCV_KEY, ccv_request

REST = ("Completed", "submission_in_doubt", "refused")
TIMING = evolve(CCV_FAST, lease=3.0, read_first=0.02, read_cap=0.05)


def die() -> NoReturn:
    """As by a power cut: nothing is flushed, nobody is told."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


class Fuse:
    """Burns down with each boundary of its kind, and kills at the K-th."""

    def __init__(self, boundary: str) -> None:
        self._kind, _, count = boundary.rpartition(":")
        self._left = int(count) if self._kind else 0
        self.lit = False

    def burn(self, kind: str) -> None:
        if self.lit and kind == self._kind:
            self._left -= 1
            if self._left == 0:
                die()


class FusedStore(SqliteStore):
    """SQLite, dying before a statement of the writer's."""

    def __init__(self, path: Path, fuse: Fuse) -> None:
        super().__init__(path)
        self._fuse = fuse

    def _connect(self, *, create: bool) -> sqlite3.Connection:
        connection = super()._connect(create=create)
        connection.set_trace_callback(lambda statement: self._fuse.burn("sql"))
        return connection


class FusedClient:
    """httpx, dying before or after a call."""

    def __init__(self, fuse: Fuse) -> None:
        self._fuse, self._client = fuse, new_client(5.0)

    def stream(self, method: str, url: str, **more: Any) -> AbstractAsyncContextManager[Any]:
        @asynccontextmanager
        async def streaming() -> Any:
            self._fuse.burn("http:before")
            async with self._client.stream(method, url, **more) as response:
                await response.aread()
                self._fuse.burn("http:after")
                yield response

        return streaming()

    async def aclose(self) -> None:
        await self._client.aclose()


async def main(path: Path, base: str, reference: str, boundary: str) -> None:
    """Create the order, or find it again, and work until it rests and the host knows."""
    fuse = Fuse(boundary)

    def tell(told: Told) -> None:
        with path.with_suffix(".told").open("a") as lines:
            lines.write(f"{told.key} {told.state}\n")
        fuse.burn("told")

    url = f"{base}/api/ordercompletion/reseller"
    ccv = Ccv(url, CCV_KEY, timing=TIMING, notifications="off", client=FusedClient(fuse))
    flow = Orderflow(FusedStore(path, fuse), [ccv], work=True, poll=0.05)
    for state in ("Processing", *REST):
        flow.on("ccv", entered=state, run=tell)
    async with flow:
        order = await flow.create("ccv", key=reference, **ccv_request(external_reference=reference))
        fuse.lit = True
        await flow.tell(order.id, "submit", key="submit")
        await flow.wait(order.id, REST, timeout=60)
        while await flow._store.next_due(flow._door.scope) is not None:  # the host is still to be told
            await asyncio.sleep(0.02)


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    asyncio.run(main(Path(sys.argv[1]), *sys.argv[2:]))
