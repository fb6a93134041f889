"""The ledger of the jobs that a process picked: what becomes of those whose effects could not be leased."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest
from pgqueuer.models import Job

from orderflow._dispatch.jobs import JobLedger, NewJob
from orderflow.model import EffectKey

NOW = 1000.0
KEY = EffectKey("toy-1", 2, 0)


def picked() -> Job:
    return cast(Job, SimpleNamespace(payload=b"toy-1:2:0", entrypoint="toy:placed"))


@pytest.mark.parametrize(
    ("due_at", "next_look_at"),
    [
        pytest.param(NOW + 0.2, NOW + 0.2, id="due a moment after its job"),
        pytest.param(NOW - 5.0, NOW + 0.5, id="waits for an earlier notification of its order"),
    ],
)
def test_a_job_whose_effect_is_still_owed_comes_again(due_at: float, next_look_at: float) -> None:
    job = picked()
    ledger = JobLedger(picked=[job])
    ledger.lease([], NOW)
    ledger.drop_not_leased({KEY: (3, due_at)})
    assert (ledger.finished, ledger.new) == ([job], [NewJob(KEY, 3, "toy:placed", next_look_at)])


def test_a_job_whose_effect_is_not_owed_any_more_is_finished() -> None:
    ledger = JobLedger(picked=[picked()])
    ledger.lease([], NOW)
    ledger.drop_not_leased({})
    assert (len(ledger.finished), ledger.new, ledger.unwritten()) == (1, [], ledger.finished)
