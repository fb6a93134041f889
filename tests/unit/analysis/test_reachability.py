"""Which states an order can still reach: exact for every reachable order of every lifecycle, True where that is unknown."""

from __future__ import annotations

from attrs import evolve

from orderflow._analysis.reachability import pairs_that_reach, reachable, within_reach
from orderflow._lifecycle.observe import observe
from orderflow.model import Applied, Observation, Snapshot


def test_a_state_is_within_reach_where_edges_lead_there_and_nowhere_else(table) -> None:
    moves = reachable(table)
    leading = {state: pairs_that_reach(moves, [pair for pair in moves if pair.state == state]) for state in table.states}
    for pair in moves:
        reached = {state for state in table.states if within_reach(table, pair.snapshot(table), [state])}
        assert reached == {state for state in table.states if pair in leading[state]}, pair


def test_several_states_are_within_reach_where_one_of_them_is(table) -> None:
    assert within_reach(table, Snapshot(table.initial, table.defaults(), {}, 0), table.states)
    end = next(state for state, info in table.states.items() if info.final)
    others = table.states.keys() - {end}
    assert not within_reach(table, Snapshot(end, table.defaults(), {}, 0), others)
    assert within_reach(table, Snapshot(end, table.defaults(), {}, 0), {end, *others})


def test_an_operators_event_counts(declare) -> None:
    table = declare(
        """
        a = State(initial=True)
        b = State()
        c = State(final=True)
        go = e(command, a.to(b))
        give_up = e(operator, b.to(c))
        call = repeatable(successes=["done"])
        done = e(reply, a.to(c))
        """
    ).table
    assert within_reach(table, Snapshot("b", {}, {}, 0), ["c"])
    assert not within_reach(table, Snapshot("b", {}, {}, 0), ["a"])


JUMPED = """
    a = State(initial=True)
    b = State()
    c = State()
    d = State()
    last = State(final=True)
    by_b = Flag()
    by_c = Flag()
    seen_b = e(observation, a.to(b), sets={"by_b": True})
    seen_c = e(observation, a.to(c), sets={"by_c": True})
    seen_d = e(observation, b.to(d)) | e(observation, c.to(d))
    end = e(command, d.to(last), cond=~by_b & ~by_c)
    rest = State(final=True)
    away = e(command, d.to(rest), cond=by_b | by_c)
    readings = {status: reading(consistent=[state], proves=state) for status, state in (("b", b), ("c", c), ("d", d))}
"""


def test_where_only_a_jump_leads_is_within_reach(declare) -> None:
    """A jump to d sets neither fact, for it is unknown which path it was; each path sets one."""
    table = declare(JUMPED).table
    jump = observe(table, Snapshot("a", table.defaults(), {}, 0), Observation("d", 0))
    assert isinstance(jump, Applied)
    assert (jump.snapshot.state, jump.snapshot.facts) == ("d", table.defaults())
    assert "last" not in {pair.state for pair in reachable(table)}
    assert within_reach(table, Snapshot("a", table.defaults(), {}, 0), ["last"])
    assert not within_reach(table, Snapshot("b", table.defaults() | {"by_b": True}, {}, 0), ["last"])


def test_of_an_order_that_this_lifecycle_does_not_know_nothing_is_ruled_out(table) -> None:
    """A removed state; a fact that was added since, or whose value was removed."""
    end = next(state for state, info in table.states.items() if info.final)
    known = Snapshot(end, table.defaults(), {}, 0)
    assert not within_reach(table, known, [table.initial])
    assert within_reach(table, evolve(known, state="gone"), [table.initial])
    for fact in table.facts:
        assert within_reach(table, evolve(known, facts={**known.facts, fact: "removed"}), [table.initial])
        assert within_reach(
            table, evolve(known, facts={name: value for name, value in known.facts.items() if name != fact}), [table.initial]
        )
