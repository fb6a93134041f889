"""What each observation is: against an oracle that searches real lives, and against the engine's own ``observe``."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from tests.kit.lives import Lives, Oracle, dropped, vocabulary

from orderflow.analysis.audit import LEGAL, Class, Judge
from orderflow.errors import InvalidInput, UnknownName
from orderflow.lifecycle.observe import observe
from orderflow.lifecycle.table import Table
from orderflow.model import Applied, Ignored, Observation, Snapshot, StepKind

CASES = 20_000 // 4  # of each of the four lifecycles


def classes(judge: Judge, log: list[str]) -> list[str]:
    return [judged.kind.value for judged in judge.judge(log)]


def spoilt(log: list[str], words: list[str], rng: random.Random) -> list[str]:
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
            log[at] = rng.choice(words)
        elif fault == 2:
            log.insert(at, log[at])
        elif fault == 3:
            log.insert(at, "Teleported")
        else:
            log.append(rng.choice(words))
    return log


def test_agrees_with_brute_force_on_20000_cases(table: Table) -> None:
    rng = random.Random(table.name)
    lives, oracle, judge, words = Lives(table, rng), Oracle(table), Judge(table), vocabulary(table)
    seen: Counter[str] = Counter()
    for _ in range(CASES):
        whole = dropped(lives.life(12), rng.choice((0, 0.1, 0.3)), rng, keep_recovered=rng.random() < 0.5)
        log = spoilt(whole, words, rng) if rng.random() < 0.8 else rng.choices(words, k=rng.randrange(7))
        expected = oracle.classes(log)
        assert classes(judge, log) == expected, log
        seen.update(expected)
    possible = {"step", "repeat", "illegal", "unknown"} | ({"jump", "resurrected"} if table.name != "connect" else set())
    assert possible <= set(seen)


def test_raises_no_false_alarm_when_observations_are_missed(table: Table) -> None:
    rng = random.Random(7)
    lives, strict, lenient = Lives(table, rng), Judge(table), Judge(table, missed_recovery=True)
    jumps = 0
    for _ in range(3_000):
        whole = lives.life()
        seen = dropped(whole, 0.3, rng, keep_recovered=True)
        assert strict.verdict(strict.history(seen)) == LEGAL, seen
        anything = dropped(whole, 0.3, rng, keep_recovered=False)
        assert lenient.verdict(lenient.history(anything)) == LEGAL, anything
        jumps += Class.JUMP in {judged.kind for judged in strict.judge(seen)}
    assert jumps or table.name == "connect"  # Connect's two statuses leave nothing to miss


def test_catches_every_swap_of_neighbours_that_it_can_refuse(table: Table) -> None:
    rng = random.Random(11)
    lives, judge = Lives(table, rng), Judge(table)
    swaps = 0
    for _ in range(1_000):
        log = [status for status, _ in lives.life()]
        for at in range(len(log) - 1):
            first, second = log[at], log[at + 1]
            if first == second or first in judge.follows(second):
                continue
            swapped = [*log[:at], second, first, *log[at + 2 :]]
            assert judge.verdict(judge.history(swapped)) != LEGAL, swapped
            swaps += 1
    assert swaps > 100


def test_says_what_the_engine_says_of_every_pair(ccv: Table) -> None:
    """Under CCV each status is one state, so a pair of statuses is what ``observe`` decides on."""
    judge, counts = Judge(ccv), Counter()
    for before in ccv.readings:
        for status in ccv.readings:
            decision = observe(ccv, Snapshot(before, ccv.defaults(), {}, 1), Observation(status, 1))
            judged = judge.judge([before, status])[1]
            counts[judged.kind] += 1
            if isinstance(decision, Ignored):
                assert judged.kind is Class.REPEAT
            elif not isinstance(decision, Applied):
                assert judged.kind in (Class.ILLEGAL, Class.RESURRECTED)
            elif decision.steps[0].kind is StepKind.STEP:
                assert judged.kind is Class.STEP
            elif decision.steps[0].kind is StepKind.INFERRED:
                assert judged.certain == tuple(step.target for step in decision.steps[:-1])
                assert judged.possible == ()
            else:
                named = (("certainly missed", judged.certain), ("possibly missed", judged.possible))
                assert decision.steps[0].note == "; ".join(f"{how}: {', '.join(states)}" for how, states in named if states)
    assert counts == {Class.STEP: 50, Class.JUMP: 21, Class.REPEAT: 12, Class.ILLEGAL: 28, Class.RESURRECTED: 33}


def test_names_what_a_jump_missed(ccv: Table) -> None:
    first, jump = Judge(ccv).judge(["Processing", "FulfillmentDone"])
    assert (first.kind, jump.kind, jump.after) == (Class.STEP, Class.JUMP, "Processing")
    assert jump.certain == ("Incomplete", "New")
    assert jump.possible == ("AwaitingPayment", "Screening", "FulfillmentInProgress")
    assert jump.least == 2


def test_a_first_observation_may_come_late(ccv: Table) -> None:
    (only,) = Judge(ccv).judge(["New"])
    assert (only.kind, only.after, only.certain) == (Class.JUMP, "", ("Processing", "Incomplete"))


def test_goes_on_from_a_refused_status_and_past_an_unknown_one(ccv: Table) -> None:
    log = ["Processing", "Completed", "New", "Nwe", "New", "FulfillmentDone"]
    assert classes(Judge(ccv), log) == ["step", "jump", "resurrected", "unknown", "repeat", "step"]


def test_unknown_words_are_not_collected(ccv: Table) -> None:
    judge = Judge(ccv)
    judge.judge(f"word {n}" for n in range(1_000))
    assert sum(map(len, judge.after.values())) == 0


def test_a_status_that_stands_for_several_states_is_judged_by_what_came_before(warehouse: Table) -> None:
    judge = Judge(warehouse)
    assert classes(judge, ["in house", "waiting", "in house"]) == ["step", "step", "step"]
    assert classes(judge, ["on its way", "waiting", "in house"])[2] == "illegal"
    assert judge.pairs() is None


def test_recovery_counts_from_a_provisional_end_that_was_seen(ccv: Table) -> None:
    assert classes(Judge(ccv), ["New", "Failed", "Screening"]) == ["jump", "step", "step"]
    assert classes(Judge(ccv), ["New", "Screening"]) == ["jump", "illegal"]
    lenient = Judge(ccv, missed_recovery=True).judge(["New", "Screening"])[1]
    assert (lenient.kind, lenient.certain) == (Class.JUMP, ("Failed",))


def test_tells_its_power(ccv: Table, connect: Table) -> None:
    assert (Judge(ccv).power().pairs, Judge(ccv).power().refusable) == (132, 61)
    assert (Judge(connect).power().pairs, Judge(connect).power().refusable) == (2, 1)
    assert Judge(ccv, missed_recovery=True).power().refusable == 33


def test_states_can_be_judged_instead_of_readings(connect: Table) -> None:
    journal = ["drafted", "registering", "registered", "fulfilling", "confirming", "paid", "fulfilled"]
    assert classes(Judge(connect, states=True), journal) == ["step"] * 7
    assert classes(Judge(connect), journal[-2:]) == ["unknown", "jump"]


def test_other_words_for_a_status(connect: Table) -> None:
    judge = Judge(connect, means={"DELIVERED": "fulfilled"})
    assert classes(judge, ["preliminary", "DELIVERED", "fulfilled", "preliminary"]) == ["step", "step", "repeat", "illegal"]


def test_a_known_fact_removes_the_edges_that_its_guard_forbids(warehouse: Table) -> None:
    log = ["in house", "packed", "waiting", "on its way"]
    assert classes(Judge(warehouse), log) == ["step"] * 4
    assert classes(Judge(warehouse, facts={"abroad": False}), log)[2] == "illegal"
    assert classes(Judge(warehouse, facts={"abroad": True}), log) == ["step"] * 4


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"facts": {"nonesuch": True}}, UnknownName),
        ({"facts": {"abroad": "maybe"}}, InvalidInput),
        ({"facts": {"searched": "no"}}, InvalidInput),  # an edge changes it
        ({"means": {"X": "nonesuch"}}, UnknownName),
        ({"means": {"packed": "lost"}}, InvalidInput),
    ],
)
def test_refuses_what_the_lifecycle_does_not_declare(warehouse: Table, options: dict, error: type[Exception]) -> None:
    with pytest.raises(error):
        Judge(warehouse, **options)
