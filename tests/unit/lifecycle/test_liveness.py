"""Which facts can still matter, by state."""

from __future__ import annotations

from orderflow._lifecycle.liveness import find_live_facts

BODY = """
    a = State(initial=True)
    b = State()
    c = State()
    d = State(final=True)
    early = Flag()
    late = Flag()
    reset = Flag()
    never = Flag()
    go = e(command, a.to(b), cond=early)
    stay = e(command, a.to(a), sets={"never": True})
    on = e(command, b.to(c), sets={"reset": False})
    back = e(command, c.to(b))
    end = e(command, c.to(d), cond=late & reset)
"""


def test_a_fact_is_live_up_to_the_last_guard_that_reads_it_and_not_before_it_is_set(declare):
    table = declare(BODY).table
    assert find_live_facts(table.states, table.edges) == {
        "a": {"early", "late"},
        "b": {"late"},
        "c": {"late", "reset"},
        "d": frozenset(),
    }


def test_only_facts_that_observations_set_and_read_tell_places_apart(declare):
    table = declare(
        """
        a = State(initial=True)
        b = State()
        c = State(final=True)
        given = Flag()
        seen = Flag()
        only_set = Flag()
        seen_b = e(observation, a.to(b), cond=given, sets={"seen": True, "only_set": True})
        seen_c = e(observation, b.to(c), cond=seen & given)
        pay = e(command, b.to(c), cond=only_set)
        """
    ).table
    assert dict(table.tracked) == {"a": (), "b": ("seen",), "c": ()}
