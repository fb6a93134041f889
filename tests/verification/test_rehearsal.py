"""Rehearsals: virtual days of hostility, then calm, and every order must stand where the provider says it is, or be openly in doubt."""

import logging
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator

import pytest
import structlog

from orderflow.engine import outbox as effects
from orderflow.engine.polling import Poller
from orderflow.model import StepKind
from orderflow.store.records import LeasedPoll, PollAt
from orderflow.testing.rehearsal import Rehearsed, rehearse


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Thousands of log lines would be most of the time."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


def played(first: int, count: int) -> list[Rehearsed]:
    return [rehearse(seed) for seed in range(first, first + count)]


def say(rehearsed: list[Rehearsed]) -> None:
    states = Counter(order.state for one in rehearsed for order in one.orders)
    print(f"{len(rehearsed)} seeds, {sum(one.crashes for one in rehearsed)} crashes: {dict(states)}")


@pytest.mark.parametrize("first", range(0, 50, 5))
def test_every_order_converges_once_the_faults_stop(first: int) -> None:
    rehearsed = played(first, 5)

    say(rehearsed)
    assert [problem for one in rehearsed for problem in one.problems] == []


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1000, 2000, 50))
def test_a_thousand_seeds_converge(first: int) -> None:
    rehearsed = played(first, 50)

    say(rehearsed)
    assert [problem for one in rehearsed for problem in one.problems] == []


def test_rehearsals_are_not_vacuous() -> None:
    rehearsed = played(0, 6)
    states = {order.state for one in rehearsed for order in one.orders}
    rows = [row for one in rehearsed for journal in one.journals.values() for row in journal]

    assert {"fulfilled", "Closed", "Canceled"} <= states
    assert any("in_doubt" in state for state in states)
    assert {StepKind.JUMP.value, StepKind.INFERRED.value} <= {row.kind for row in rows}
    assert {"command", "reply", "observation", "claim", "clock"} == {row.origin.value for row in rows}
    assert sum(one.crashes for one in rehearsed) > 50
    assert sum(one.told for one in rehearsed) > 100


def test_the_same_seed_gives_the_same_journals_in_another_process_with_other_hashes() -> None:
    script = (
        "import logging, structlog; structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))\n"
        "from orderflow.testing.rehearsal import rehearse\n"
        "print(rehearse(7).journals)"
    )

    def run(hashes: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", script], env={"PYTHONHASHSEED": hashes}, capture_output=True, text=True, check=True, timeout=120
        )
        return done.stdout

    first = run("1")

    assert len(first) > 1000
    assert first == run("2")


def test_an_engine_that_calls_again_after_a_takeover_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(effects, "lease", lambda effect, declared: effects.Call())

    assert any("times" in problem for seed in range(40) for problem in rehearse(seed).problems)


def test_an_engine_without_reads_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async def put_off(self: Poller, leased: LeasedPoll) -> None:
        now = self._inbox.clock.now()
        await self._inbox.store.plan_poll(leased.order_id, now, PollAt(now + 1e6, 0, 1.0))

    monkeypatch.setattr(Poller, "read", put_off)

    assert any("says" in problem for problem in rehearse(0).problems)
