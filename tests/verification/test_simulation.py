"""Deterministic simulation: virtual days with faults, then none. Every order must end where the provider says it is, or openly in doubt."""

import logging
import subprocess
import sys
from collections import Counter
from collections.abc import Collection, Iterator

import pytest
import structlog
from attrs import evolve
from tests.kit.inline_store import InlineStore
from tests.verification.simulation import Simulated, simulate

from orderflow._store.records import LeasedEffect, LeasedPoll, WorkerScope
from orderflow.model import EffectKey, StepKind


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Thousands of log lines would take most of the time."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


def simulate_seeds(first: int, count: int) -> list[Simulated]:
    return [simulate(seed) for seed in range(first, first + count)]


def assert_no_problems(runs: list[Simulated]) -> None:
    states = Counter(order.state for run in runs for order in run.orders)
    print(f"{len(runs)} seeds, {sum(run.crashes for run in runs)} crashes: {dict(states)}")
    assert [problem for run in runs for problem in run.problems] == []


@pytest.mark.parametrize("first", range(0, 50, 5))
def test_every_order_converges_once_the_faults_stop(first: int) -> None:
    assert_no_problems(simulate_seeds(first, 5))


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1000, 2000, 50))
def test_a_thousand_seeds_converge(first: int) -> None:
    assert_no_problems(simulate_seeds(first, 50))


def test_simulations_reach_what_they_are_meant_to_reach() -> None:
    runs = simulate_seeds(0, 6)
    states = {order.state for run in runs for order in run.orders}
    rows = [row for run in runs for journal in run.journals.values() for row in journal]

    assert {"fulfilled", "Closed", "Canceled"} <= states
    assert any("in_doubt" in state for state in states)
    assert {StepKind.JUMP.value, StepKind.INFERRED.value} <= {row.kind for row in rows}
    assert {"command", "reply", "observation", "claim", "clock"} == {row.origin.value for row in rows}
    assert sum(run.crashes for run in runs) > 50
    assert sum(run.notifications for run in runs) > 100


def test_the_same_seed_gives_the_same_journals_in_another_process_with_other_hashes() -> None:
    script = (
        "import logging, structlog; structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))\n"
        "from tests.verification.simulation import simulate\n"
        "print(simulate(7).journals)"
    )

    def journals(hash_seed: str) -> str:
        environment = {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": ":".join(path for path in sys.path if path)}
        done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True, timeout=120)
        return done.stdout

    first = journals("1")

    assert len(first) > 1000
    assert first == journals("2")


# ── engines that are broken on purpose ───────────────────────────────────────────────────────────────────────────────────


class ForgetsAttempts(InlineStore):
    """A store that does not know whether an attempt was begun: the engine calls again after a take-over."""

    async def lease_effects(
        self, now: float, scope: WorkerScope, limit: int, among: Collection[EffectKey] | None = None
    ) -> list[LeasedEffect]:
        return [evolve(effect, previous_attempt_sent=False) for effect in await super().lease_effects(now, scope, limit, among)]


class NeverPolls(InlineStore):
    """A store with which no poll is ever due."""

    async def lease_polls(self, now: float, scope: WorkerScope, limit: int) -> list[LeasedPoll]:
        return []


def test_an_engine_that_calls_again_after_a_take_over_is_found() -> None:
    assert any("times" in problem for seed in range(40) for problem in simulate(seed, make_store=ForgetsAttempts).problems)


def test_an_engine_without_polls_is_found() -> None:
    assert any("status is" in problem for problem in simulate(0, make_store=NeverPolls).problems)
