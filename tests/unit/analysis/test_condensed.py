"""Lifecycles with many states and facts: everything that explores them comes to an end, and says the same as looking at each pair."""

from __future__ import annotations

import pytest
from tests.kit.counted import count_calls
from tests.kit.wide import FLAGS, chain_of_flags, flags_side_by_side, many_states

from orderflow._analysis.check import check
from orderflow._analysis.condensed import OPEN, _Condenser, explore
from orderflow._analysis.explain import explain_event
from orderflow._analysis.reachability import TooManyPairs, reachable, within_reach
from orderflow._lifecycle.decide import decide, legal
from orderflow._testing.state_machine import stateful
from orderflow.errors import InvalidInput
from orderflow.model import Applied, Event, Origin, Snapshot

PROMPT = 5_000_000
"""Calls of the interpreter: some seconds. Looking at each combination of forty flags takes a million million."""

FORTY = "\n".join(f"f{n} = Flag()" for n in range(FLAGS))


@pytest.mark.parametrize("sets", [False, True])
@pytest.mark.parametrize("forward_only", [False, True])
def test_check_of_thirty_statuses_with_thirty_flags_comes_to_an_end(declare, forward_only, sets):
    table = declare(many_states(forward_only=forward_only, sets=sets)).table
    report, _ = count_calls(lambda: check(table), PROMPT)
    assert report.problems == ()
    assert report.figures.pairs == len(table.states)


def test_check_of_forty_flags_that_are_read_one_after_the_other_comes_to_an_end_and_proves(declare):
    promise = "properties = {'ends': p.existence(p.at(done, ended)), 'on': p.precedence(p.on('go0'), p.at(done))}"
    table = declare(chain_of_flags() + "\n" + promise).table
    report, _ = count_calls(lambda: check(table), PROMPT)
    assert report.problems == ()
    assert [str(result.verdict) for result in report.properties] == ["holds", "holds"]
    assert report.figures.pairs == 2 * FLAGS + 2


def test_check_finds_a_fault_behind_forty_flags(declare):
    table = declare(chain_of_flags().replace("cond=~f17)", "cond=~f17 & f17)")).table
    problems = {(problem.rule, problem.where) for problem in check(table).problems}
    assert problems == {("never-enabled", "stop17: c17 -> ended"), ("dead-end", "c17")}


def test_flags_that_nothing_reads_cost_nothing(declare):
    table = declare(many_states(forward_only=False, facts=FORTY)).table
    assert check(table).problems == ()


def test_forty_flags_that_are_read_in_one_state_are_decided_and_not_called_sound(declare):
    """Each command has its flag. The class is made, and commands are decided; the combinations are more than are explored."""
    table = declare(flags_side_by_side() + "\nproperties = {'ends': p.existence(p.at(b))}").table
    given = Snapshot("a", table.defaults() | {"f7": True, "f31": True}, {}, 0)
    assert legal(table, given) == ("go7", "go31", "leave")
    assert isinstance(decide(table, given, Event("go31", Origin.COMMAND)), Applied)
    report, _ = count_calls(lambda: check(table), PROMPT)
    assert [(problem.rule, problem.where) for problem in report.problems] == [("too-many-facts", "seeded"), ("property-unchecked", "ends")]
    assert "cannot be explored" in report.problems[0].explanation


def test_waiting_and_explaining_come_to_an_end(declare):
    for body in (chain_of_flags(), many_states(forward_only=False, sets=True), flags_side_by_side()):
        table = declare(body).table
        snapshot = Snapshot(table.initial, table.defaults(), {}, 0)
        last = list(table.states)[-1]
        assert count_calls(lambda t=table, s=snapshot, end=last: within_reach(t, s, [end]), PROMPT)[0]  # type: ignore[misc]
        event = list(table.events)[-1]
        count_calls(lambda t=table, s=snapshot, name=event: explain_event(t, s, name), PROMPT)  # type: ignore[misc]


READ_LATER = "\n".join(f"finish{n} = e(command, gone_on.to(end), cond=was_s{n})" for n in range(20))


def test_what_cannot_be_known_in_time_is_not_ruled_out(declare):
    """Thirty statuses, each sets a flag; one state reads twenty of them: more combinations than are looked at."""
    more = (
        f"gone_on = State()\nend = State(final=True)\ngo_on = e(command, s29.to(gone_on))\nback = e(command, gone_on.to(s0))\n{READ_LATER}"
    )
    hidden = "\nnever = State(final=True)\nhide = e(command, gone_on.to(never), cond=was_s0 & ~was_s0)"
    table = declare(many_states(forward_only=True, sets=True, more=more + hidden)).table
    snapshot = Snapshot("s0", table.defaults(), {}, 0)
    reached, _ = count_calls(lambda: within_reach(table, snapshot, ["never"]), PROMPT)
    assert not reached, "no combination opens this guard, whatever else is so"
    assert count_calls(lambda: within_reach(table, snapshot, ["end"]), PROMPT)[0]
    assert not within_reach(table, snapshot, ["drafted"])


def test_the_state_machine_refuses_what_it_cannot_enumerate(declare):
    with pytest.raises(InvalidInput, match="too many combinations"):
        stateful(declare(flags_side_by_side()))


def test_condensed_or_not_the_same_states_edges_and_ends_are_found(table):
    """Of the real lifecycles: every pair that behaves otherwise is still there."""
    single, condensed = reachable(table), _Condenser.of(table).explore()
    assert {pair.state for pair in condensed.moves} == {pair.state for pair in single}
    assert {id(edge) for out in condensed.moves.values() for edge, _ in out} == {id(edge) for out in single.values() for edge, _ in out}

    def enabled_sets(moves):
        return {(pair.state, frozenset(id(edge) for edge, _ in out)) for pair, out in moves.items()}

    assert enabled_sets(condensed.moves) == enabled_sets(single)


def test_condensed_or_not_the_verdicts_are_the_same(table, monkeypatch):
    before = check(table)
    monkeypatch.setattr("orderflow._analysis.condensed.MAX_SINGLE", 1)
    after = check(table)
    assert after.figures.pairs != before.figures.pairs
    assert after.problems == before.problems == ()
    assert [(r.promise.name, r.verdict, r.leans_on) for r in after.properties] == [
        (r.promise.name, r.verdict, r.leans_on) for r in before.properties
    ]


def test_a_fact_is_open_until_a_guard_reads_it(declare):
    explored = _Condenser.of(declare(chain_of_flags(3)).table).explore()
    assert {(pair.state, pair.values) for pair in explored.starts} == {("c0", (False, OPEN, OPEN)), ("c0", (True, OPEN, OPEN))}
    assert {pair.values for pair in explored.moves if pair.state == "c1"} == {(False, False, OPEN), (False, True, OPEN)}


def test_too_many_pairs_are_an_exception_and_no_endless_loop(declare):
    with pytest.raises(TooManyPairs):
        reachable(declare(chain_of_flags()).table)
    with pytest.raises(TooManyPairs):
        explore(declare(flags_side_by_side()).table)
