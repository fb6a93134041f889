"""What a pgqueuer worker leaves behind when it is closed."""

from __future__ import annotations

import pytest
from tests.kit.commits import NOW
from tests.kit.dispatchers import Backend

from orderflow._dispatch.pgqueuer import SWEEP_DELAY, SWEEP_INTERVAL
from orderflow.errors import OperationalError

pytestmark = pytest.mark.anyio


async def test_jobs_that_were_picked_and_never_leased_are_free_for_others(pgqueuer: Backend) -> None:
    """The database failed between the two, and the worker stopped. Another one must not have to wait as for a killed worker."""
    worker, other = await pgqueuer.open_process(), await pgqueuer.open_process()
    assert await worker.take() == await other.take() == []
    await worker.owe("register")
    await pgqueuer.execute("ALTER TABLE of_effects RENAME TO elsewhere")
    with pytest.raises(OperationalError):
        await worker.take()
    await pgqueuer.execute("ALTER TABLE elsewhere RENAME TO of_effects")
    await worker.dispatcher.close()
    assert await other.take_names(NOW + SWEEP_DELAY + SWEEP_INTERVAL) == ["register"]
