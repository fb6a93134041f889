"""Processes of the service come, fork and are asked to end while orders run."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import pytest
from tests.kit.calm_load import load
from tests.kit.forking_service import CHILDREN, ORDERS
from tests.kit.postgres import drop_schema, make_schema

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
DEPLOYMENTS = 6


async def test_workers_are_replaced_by_sigterm_under_load(tmp_path: Path, dispatch: str) -> None:
    """As a deployment does it: a new worker starts, then an old one is asked to end. It ends in order, with exit code 0."""
    schema, url = await make_schema()
    async with load(tmp_path, url, dispatch, f"{DEPLOYMENTS} workers replaced") as running:
        for _ in range(DEPLOYMENTS):
            await running.world.start_worker()
            oldest = running.world.workers[0]
            await oldest.wait_until_started()
            oldest.process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(60):
                assert await oldest.process.wait() == 0, oldest.log.read_text()[-2000:]
            running.world.workers.remove(oldest)
            running.world.replaced += 1
            await running.wait_for(5)
    await drop_schema(schema)


async def test_a_service_forks_while_its_flow_is_open(tmp_path: Path, dispatch: str) -> None:
    schema, url = await make_schema()
    async with load(tmp_path, url, dispatch, f"{CHILDREN} forks") as running:
        service = await asyncio.create_subprocess_exec(
            *(sys.executable, "-W", "ignore:.*use of fork:DeprecationWarning", "-m", "tests.kit.forking_service"),
            env=running.world.environment,
            stdout=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(120):
            output, _ = await service.communicate()
        placed = output.decode().split()
        assert service.returncode == 0
        assert len(set(placed)) == (CHILDREN + 2) * ORDERS
        running.placed += placed
        await running.wait_until_settled(placed)
    await drop_schema(schema)
