"""What a pgqueuer worker leaves behind when it lets go."""

from __future__ import annotations

import pytest
from tests.kit.commits import NOW
from tests.kit.dispatchers import Line

from orderflow.dispatch.pgqueuer import GRACE, SWEEP
from orderflow.errors import OperationalError

pytestmark = pytest.mark.anyio


async def test_jobs_picked_and_never_leased_are_not_kept_from_others(pgqueuer: Line) -> None:
    """The database failed between the two, and the worker stopped; nobody should have to wait as for one that was killed."""
    worker, other = await pgqueuer.process(), await pgqueuer.process()
    assert await worker.take() == await other.take() == []
    await worker.owe("register")
    await pgqueuer.sql("ALTER TABLE of_effects RENAME TO elsewhere")
    with pytest.raises(OperationalError):
        await worker.take()
    await pgqueuer.sql("ALTER TABLE elsewhere RENAME TO of_effects")
    await worker.dispatcher.close()
    assert await other.names(NOW + GRACE + SWEEP) == ["register"]
