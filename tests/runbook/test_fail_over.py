"""A streaming standby becomes the primary while orders run: the old primary crashes, or goes on and takes no more writes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.kit.calm_load import load
from tests.kit.cluster import Cluster, cluster
from tests.kit.pgbouncer import bouncer

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
HOW = ["the old primary crashes", "the old primary becomes read-only"]


async def fail_over(servers: Cluster, how: str) -> None:
    """The standby takes over."""
    if how == HOW[0]:
        await servers.primary.control("-m", "immediate", "stop")
        await asyncio.sleep(2.0)  # until somebody notices
    else:
        await servers.make_primary_read_only()
    await servers.promote()


@pytest.mark.parametrize("how", HOW)
async def test_the_standby_takes_over_under_load(tmp_path: Path, dispatch: str, how: str) -> None:
    async with cluster() as servers:
        async with load(tmp_path, servers.url, dispatch, how) as running:
            await fail_over(servers, how)
            await running.wait_for(20)
        assert (await servers.standby.execute("SELECT count(*) FROM of_orders"))[0][0] == len(running.placed)


@pytest.mark.parametrize("how", HOW)
async def test_the_standby_takes_over_behind_pgbouncer(tmp_path: Path, dispatch: str, how: str) -> None:
    async with (
        cluster() as servers,
        bouncer(tmp_path, f"host=127.0.0.1 port={servers.primary.port} user=postgres", "postgres") as pooler,
        load(tmp_path, pooler.url, dispatch, f"behind PgBouncer, {how}") as running,
    ):
        await fail_over(servers, how)
        await pooler.lead_to(servers.standby.port)
        await running.wait_for(20)
