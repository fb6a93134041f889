"""What each observation is: checked against a brute-force search of real lives, and against the engine's own ``observe``."""

from __future__ import annotations

import random
import tracemalloc
from collections import Counter

import pytest
from tests.kit.order_lives import BruteForceChecker, RandomLives, drop_observations, list_statuses

from orderflow._analysis.audit import LEGAL, CaseChecker, Classification, Missed
from orderflow._lifecycle.observe import observe
from orderflow._lifecycle.table import Table
from orderflow.errors import InvalidInput, UnknownName
from orderflow.model import Applied, Ignored, Observation, Snapshot, StepKind

CASES = 20_000 // 4  # of each of the four lifecycles


def classify(checker: CaseChecker, log: list[str]) -> list[str]:
    return [checked.classification.value for checked in checker.check(log)]


def find_verdict(checker: CaseChecker, log: list[str]) -> str:
    history = checker.automaton.start_history()
    for status in log:
        history.add(status)
    return checker.find_verdict(history)


def spoil(log: list[str], statuses: list[str], rng: random.Random) -> list[str]:
    """A log with up to three faults: statuses swapped, replaced, doubled, or unknown."""
    log = list(log)
    for _ in range(rng.randrange(4)):
        if len(log) < 2:
            break
        at = rng.randrange(len(log) - 1)
        fault = rng.randrange(5)
        if fault == 0:
            log[at], log[at + 1] = log[at + 1], log[at]
        elif fault == 1:
            log[at] = rng.choice(statuses)
        elif fault == 2:
            log.insert(at, log[at])
        elif fault == 3:
            log.insert(at, "Teleported")
        else:
            log.append(rng.choice(statuses))
    return log


def test_agrees_with_brute_force_on_20000_cases(table: Table) -> None:
    rng = random.Random(table.name)
    lives, brute_force, checker, statuses = RandomLives(table, rng), BruteForceChecker(table), CaseChecker(table), list_statuses(table)
    seen: Counter[str] = Counter()
    for _ in range(CASES):
        whole = drop_observations(lives.make(12), rng.choice((0, 0.1, 0.3)), rng, keep_recovered=rng.random() < 0.5)
        log = spoil(whole, statuses, rng) if rng.random() < 0.8 else rng.choices(statuses, k=rng.randrange(7))
        expected = brute_force.classify(log)
        assert classify(checker, log) == expected, log
        seen.update(expected)
    possible = {"step", "repeat", "illegal", "unknown"} | ({"jump", "resurrected"} if table.name != "connect" else set())
    assert possible <= set(seen)


def test_raises_no_false_alarm_when_observations_are_missing(table: Table) -> None:
    rng = random.Random(7)
    lives, strict, lenient = RandomLives(table, rng), CaseChecker(table), CaseChecker(table, missed_recovery=True)
    jumps = 0
    for _ in range(3_000):
        whole = lives.make()
        log = drop_observations(whole, 0.3, rng, keep_recovered=True)
        assert find_verdict(strict, log) == LEGAL, log
        without_recovered = drop_observations(whole, 0.3, rng, keep_recovered=False)
        assert find_verdict(lenient, without_recovered) == LEGAL, without_recovered
        jumps += "jump" in classify(strict, log)
    assert jumps or table.name == "connect"  # Connect has only two statuses, so no other one can lie between


def test_catches_every_swap_of_neighbours_that_it_can_refuse(table: Table) -> None:
    rng = random.Random(11)
    lives, checker = RandomLives(table, rng), CaseChecker(table)
    swaps = 0
    for _ in range(1_000):
        log = [status for status, _ in lives.make()]
        for at in range(len(log) - 1):
            first, second = log[at], log[at + 1]
            if first == second or first in checker.list_successors(second):
                continue
            swapped = [*log[:at], second, first, *log[at + 2 :]]
            assert find_verdict(checker, swapped) != LEGAL, swapped
            swaps += 1
    assert swaps > 100


def test_agrees_with_the_engine_on_every_pair(ccv: Table) -> None:
    """Under CCV each status is one state, so ``observe`` decides on a pair of statuses."""
    checker, counts = CaseChecker(ccv), Counter()
    for before in ccv.readings:
        for status in ccv.readings:
            decision = observe(ccv, Snapshot(before, ccv.defaults(), {}, 1), Observation(status, 1))
            checked = checker.check([before, status])[1]
            counts[checked.classification] += 1
            if isinstance(decision, Ignored):
                assert checked.classification is Classification.REPEAT
            elif not isinstance(decision, Applied):
                assert checked.classification in (Classification.ILLEGAL, Classification.RESURRECTED)
            elif decision.steps[0].kind is StepKind.STEP:
                assert checked.classification is Classification.STEP
            else:
                assert checked.missed
                certain, possible = checked.missed.certain, checked.missed.possible
                if decision.steps[0].kind is StepKind.INFERRED:
                    assert (certain, possible) == (tuple(step.target for step in decision.steps[:-1]), ())
                else:
                    parts = (("certainly missed", certain), ("possibly missed", possible))
                    assert decision.steps[0].note == "; ".join(f"{how}: {', '.join(states)}" for how, states in parts if states)
    assert {classification.value: count for classification, count in counts.items()} == {
        "step": 50,
        "jump": 21,
        "repeat": 12,
        "illegal": 28,
        "resurrected": 33,
    }


def test_names_what_a_jump_missed(ccv: Table) -> None:
    first, jump = CaseChecker(ccv).check(["Processing", "FulfillmentDone"])
    assert (first.classification, first.missed) == (Classification.STEP, None)
    assert (jump.classification, jump.after) == (Classification.JUMP, "Processing")
    assert jump.missed == Missed(
        certain=("Incomplete", "New"), possible=("AwaitingPayment", "Screening", "FulfillmentInProgress"), at_least=2
    )


def test_a_first_observation_may_come_late(ccv: Table) -> None:
    (only,) = CaseChecker(ccv).check(["New"])
    assert (only.classification, only.after) == (Classification.JUMP, "")
    assert only.missed
    assert only.missed.certain == ("Processing", "Incomplete")


def test_goes_on_from_a_wrong_status_and_ignores_an_unknown_one(ccv: Table) -> None:
    log = ["Processing", "Completed", "New", "Nwe", "New", "FulfillmentDone"]
    assert classify(CaseChecker(ccv), log) == ["step", "jump", "resurrected", "unknown", "repeat", "step"]


def test_unknown_words_take_no_memory(ccv: Table) -> None:
    checker = CaseChecker(ccv)

    def check_unknown(words: range) -> None:
        for number in words:
            checker.check([f"word {number}"])

    check_unknown(range(100))
    tracemalloc.start()
    try:
        check_unknown(range(100, 5_100))
        assert tracemalloc.get_traced_memory()[0] < 10_000, "bytes, for 5,000 words"
    finally:
        tracemalloc.stop()


def test_a_status_of_several_states_depends_on_the_statuses_before(warehouse: Table) -> None:
    checker = CaseChecker(warehouse)
    assert classify(checker, ["in house", "waiting", "in house"]) == ["step", "step", "step"]
    assert classify(checker, ["on its way", "waiting", "in house"])[2] == "illegal"


def test_recovery_counts_only_from_a_provisional_state_that_was_observed(ccv: Table) -> None:
    assert classify(CaseChecker(ccv), ["New", "Failed", "Screening"]) == ["jump", "step", "step"]
    assert classify(CaseChecker(ccv), ["New", "Screening"]) == ["jump", "illegal"]
    lenient = CaseChecker(ccv, missed_recovery=True).check(["New", "Screening"])[1]
    assert lenient.missed
    assert lenient.missed.certain == ("Failed",)


def test_measures_its_power(ccv: Table, connect: Table) -> None:
    power = CaseChecker(ccv).measure_power()
    assert (power.pairs, power.refusable) == (132, 61)
    power = CaseChecker(connect).measure_power()
    assert (power.pairs, power.refusable) == (2, 1)
    assert CaseChecker(ccv, missed_recovery=True).measure_power().refusable == 33


def test_states_can_be_checked_instead_of_readings(connect: Table) -> None:
    journal = ["drafted", "registering", "registered", "fulfilling", "confirming", "paid", "fulfilled"]
    assert classify(CaseChecker(connect, states=True), journal) == ["step"] * 7
    assert classify(CaseChecker(connect), journal[-2:]) == ["unknown", "jump"]


def test_a_status_may_have_aliases(connect: Table) -> None:
    checker = CaseChecker(connect, aliases={"DELIVERED": "fulfilled"})
    assert classify(checker, ["preliminary", "DELIVERED", "fulfilled", "preliminary"]) == ["step", "step", "repeat", "illegal"]


def test_a_given_fact_removes_the_edges_that_its_guard_forbids(warehouse: Table) -> None:
    log = ["in house", "packed", "waiting", "on its way"]
    assert classify(CaseChecker(warehouse), log) == ["step"] * 4
    assert classify(CaseChecker(warehouse, facts={"abroad": False}), log)[2] == "illegal"
    assert classify(CaseChecker(warehouse, facts={"abroad": True}), log) == ["step"] * 4


def test_a_stored_history_goes_on_where_it_ended(table: Table) -> None:
    statuses = list_statuses(table)
    checker = CaseChecker(table)
    whole = checker.automaton.start_history()
    resumed = checker.automaton.start_history()
    for status in [*statuses, "Teleported", *statuses]:
        whole.add(status)
        resumed = checker.automaton.start_history(bytes(resumed))
        resumed.add(status)
    assert resumed == whole


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"facts": {"nonesuch": True}}, UnknownName),
        ({"facts": {"abroad": "maybe"}}, InvalidInput),
        ({"facts": {"searched": "no"}}, InvalidInput),  # an edge changes it
        ({"aliases": {"X": "nonesuch"}}, UnknownName),
        ({"aliases": {"packed": "lost"}}, InvalidInput),
    ],
)
def test_refuses_what_the_lifecycle_does_not_declare(warehouse: Table, options: dict, error: type[Exception]) -> None:
    with pytest.raises(error):
        CaseChecker(warehouse, **options)
