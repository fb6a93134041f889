"""How orders end: only the provider's own no ends one in ``refused``, and a person or the clock can end every order. All enumerated.

What the engine itself reports of a call, ``*_undelivered`` and ``*_answer_lost``, counts as the clock's: the end of a time budget brings it.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from itertools import product

import pytest
from tests.kit.lifecycle_fixtures import lifecycles

from orderflow._analysis.reachability import Moves, Pair, pairs_that_reach, starts
from orderflow._engine.attempt import Finish, Reply, conclude, correct_outcome
from orderflow._engine.commit import CommitContext
from orderflow._engine.decider import Override, decide_and_plan
from orderflow._lifecycle.decide import is_pollable, is_settled
from orderflow._lifecycle.table import Table
from orderflow._provider.timing import Timing
from orderflow._store.records import LeasedEffect, StopPolling
from orderflow.model import Applied, Effect, EffectKey, Order, Origin
from orderflow.provider import InDoubt, NoResult, NotExecuted, Rejected, Signal

TIMING = Timing({}, retry_attempts=3)
WAITS_FOR_THE_PROVIDER = {
    "connect": {"paid"},
    "ccv": {
        "Processing",
        "Incomplete",
        "AwaitingPayment",
        "Screening",
        "New",
        "ErpInProgress",
        "FulfillmentInProgress",
        "FulfillmentDone",
    },
}
"""The states in which an order is at the provider, and only the provider or an override can end it."""


def endings(table: Table, ending: str) -> set[str]:
    """The replies with this ending that calls of a lifecycle may have."""
    return {reply for effect in table.effects.values() for reply in effect.failures if reply.endswith(ending)}


def reached_without(moves: Moves, table: Table, events: set[str]) -> set[Pair]:
    """The pairs that edges lead to, if none of these events ever happens."""
    seen = set(starts(table))
    waiting = list(seen)
    while waiting:
        new = {onward for edge, onward in moves[waiting.pop()] if edge.event not in events} - seen
        seen |= new
        waiting += new
    return seen


def test_without_the_providers_own_no_no_order_is_refused(material, say):
    table = material.table
    refusals = endings(table, "_refused")
    seen = reached_without(material.moves, table, refusals)
    assert refusals
    assert "refused" in {pair.state for pair in material.moves}
    assert "refused" not in {pair.state for pair in seen}
    say(f"{table.name}: {len(seen)} of {len(material.moves)} pairs without {len(refusals)} refusals, and none is refused")


NOT_EXECUTED = [
    NotExecuted("never sent", wait, signal, permanent, status=status)
    for wait, signal, permanent, status in product((None, 0.0, 7.0), Signal, (False, True), (None, 401, 403, 429))
]
FAILURES = [*NOT_EXECUTED, InDoubt("reset"), NoResult("no hit")]


@pytest.mark.parametrize("effect", [effect for lifecycle in lifecycles() for effect in lifecycle.table.effects.values()], ids=str)
def test_no_failure_of_a_call_but_a_rejection_is_reported_as_refused(effect: Effect) -> None:
    reported: Counter[str] = Counter()
    for failure, attempt, sent, spent in product(FAILURES, range(1, 6), (False, True), (False, True)):
        leased = LeasedEffect(EffectKey("o", 1, 0), effect.name, "p", attempt, previous_attempt_sent=False)
        concluded = conclude(leased, effect, correct_outcome(failure, sent=sent), TIMING, budget_spent=spent)
        if isinstance(concluded, Reply):
            reported[concluded.event.name] += 1
            assert not sent or concluded.event.name != f"{effect.kind}_answer_lost" or isinstance(failure, InDoubt)
            assert sent or concluded.event.name != f"{effect.kind}_answer_lost"
    assert set(reported) == {name for name in effect.failures if not name.endswith("_refused")}
    leased = LeasedEffect(EffectKey("o", 1, 0), effect.name, "p", 1, previous_attempt_sent=False)
    no = conclude(leased, effect, Rejected("its own no"), TIMING, budget_spent=False)
    assert isinstance(no, Finish) if not effect.kind else isinstance(no, Reply) and no.event.name == f"{effect.kind}_refused"


def test_a_person_or_the_clock_can_end_every_order(material, say):
    table, moves = material.table, material.moves
    ours = endings(table, "_undelivered") | endings(table, "_answer_lost")
    own_moves = {
        pair: tuple(move for move in out if move[0].event in ours or move[0].origin in (Origin.OPERATOR, Origin.CLOCK, Origin.COMMAND))
        for pair, out in moves.items()
    }
    ends = [pair for pair in moves if is_settled(table, pair.snapshot(table))]
    can_end = pairs_that_reach(own_moves, ends)
    others = [pair for pair in moves if pair not in can_end]
    assert {pair.state for pair in others} == WAITS_FOR_THE_PROVIDER.get(table.name, set())
    for pair in others:
        assert is_pollable(table, pair.snapshot(table)), pair
        assert table.states[pair.state].budget, f"{pair.state}: no person is shown an order that stays here"
    say(f"{table.name}: {len(can_end)} of {len(moves)} pairs end by a person or the clock, {len(others)} wait for the provider")


def test_an_override_ends_an_order_from_every_state_and_valuation(material, say):
    table, count = material.table, 0
    finals = [state.value for state in table.states.values() if state.final]
    context = partial(CommitContext, table, TIMING, frozenset(), 0.0, 0.0, "override", Origin.OPERATOR)
    for pair in material.moves:
        snapshot = pair.snapshot(table, version=3)
        order = Order("o", table.name, "k", snapshot, 0.0, 0.0)
        for final in finals:
            commit = decide_and_plan(context(), Override(final, 3, "by kim: ticket 7"), order)
            assert isinstance(commit.decision, Applied)
            assert is_settled(table, commit.decision.snapshot)
            assert commit.cancel_effects
            assert not commit.effects
            assert not commit.deadlines
            assert isinstance(commit.poll, StopPolling)
            count += 1
    say(f"{table.name}: {count} overrides to {', '.join(finals)}, and nothing is owed or waited for after any")
