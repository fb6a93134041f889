"""Dead ends that edges hide: a call whose outcome has no edge, and a state that only what has ended could leave."""

from __future__ import annotations

import pytest

from orderflow._analysis.check import check

CALL = """
    a = State(initial=True)
    b = State()
    parked = State()
    c = State(final=True)
    hurry = Flag()
    ship = once(kind="shipping", successes=["shipped"])
    ask = repeatable(successes=["found"])
    order_it = e(command, a.to(b), effects=[ship])
    shipped = e(reply, c.from_(b, parked))
    found = e(reply, parked.to(c))
    shipping_refused = e(reply, b.to(c))
    shipping_undelivered = e(reply, b.to(a))
"""


def rules(lifecycle) -> set[tuple[str, str]]:
    return {(problem.rule, problem.where) for problem in check(lifecycle.table).problems}


@pytest.mark.parametrize(
    ("more", "found"),
    [
        pytest.param("shipping_answer_lost = e(reply, b.to(parked))", {("stranded", "parked")}, id="only the lost answer leads on"),
        pytest.param("shipping_answer_lost = e(reply, b.to(parked))\ngive_up = e(operator, parked.to(c))", set(), id="a person leads on"),
        pytest.param(
            "shipping_answer_lost = e(reply, b.to(parked))\ngive_up = e(operator, parked.to(c), cond=hurry)",
            {("stranded", "parked")},
            id="a person leads on under some facts",
        ),
        pytest.param("shipping_answer_lost = e(reply, b.to(parked), effects=[ask])", set(), id="a look-up leads on"),
        pytest.param("shipping_answer_lost = e(reply, b.to(c))\nhold = e(claim, b.to(parked))", set(), id="the answer is still to come"),
        pytest.param(
            "shipping_answer_lost = e(reply, b.to(c))\nhold = e(claim, a.to(parked))", {("stranded", "parked")}, id="nothing was called"
        ),
        pytest.param(
            "shipping_answer_lost = e(reply, b.to(parked))\nseen_c = e(observation, parked.to(c))\n"
            "readings = {'gone': reading(consistent=[c], proves=c)}",
            set(),
            id="a poll leads on",
        ),
        pytest.param(
            "shipping_answer_lost = e(reply, b.to(parked))\nseen_c = e(observation, parked.to(c))\n"
            "readings = {'gone': reading(consistent=[c])}",
            {("stranded", "parked")},
            id="no status brings the observation",
        ),
        pytest.param(
            "shipping_answer_lost = e(reply, b.to(parked))\nseen_unproven = e(observation, parked.to(c))\n"
            "readings = {'gone': reading(consistent=[parked])}",
            set(),
            id="a consistent status leads on",
        ),
        pytest.param(
            "shipping_answer_lost = e(reply, b.to(parked))\nseen_unproven = e(observation, parked.to(c))\n"
            "readings = {'gone': reading(consistent=[b])}",
            {("stranded", "parked")},
            id="no status is consistent there",
        ),
    ],
)
def test_an_order_is_stranded_where_only_what_has_ended_leads_on(declare, more, found):
    body = CALL + "\n".join(f"    {line}" for line in more.splitlines())
    assert rules(declare(body)) == found


def test_an_observation_that_is_the_first_of_a_path_leads_on(declare):
    table = declare(
        """
        a = State(initial=True)
        b = State()
        passed = State()
        c = State(final=True)
        go = e(command, a.to(b))
        seen_passed = e(observation, b.to(passed))
        seen_c = e(observation, passed.to(c))
        readings = {"c": reading(consistent=[c], proves=c)}
        """
    ).table
    assert check(table).problems == ()


@pytest.mark.parametrize("reply", ["shipping_refused", "shipping_undelivered", "shipping_answer_lost"])
def test_each_way_in_which_a_call_can_fail_needs_an_edge_where_the_call_is_owed(declare, reply):
    lost = "    shipping_answer_lost = e(reply, b.to(c))\n"
    sound = CALL + lost + "    rest = e(operator, c.from_(a, parked))\n    wait = e(command, b.to(parked))\n"
    assert rules(declare(sound)) == set()
    line = next(line for line in sound.splitlines() if line.strip().startswith(reply))
    moved = sound.replace(line, line.replace("b.to(", "parked.to("))
    assert rules(declare(moved)) == {("reply-missing", "order_it: a -> b")}
    guarded = sound.replace(line, line.replace(")", "), cond=hurry", 1))
    (problem,) = check(declare(guarded).table).problems
    assert problem.explanation == (
        f"it owes a call that may end with {reply}, which has no edge in b, under 1 of the reachable combinations of facts, "
        f"for example hurry = False: declare an edge of {reply} that leaves b under these facts"
    )


SHIPPING = """
    a = State(initial=True)
    b = State()
    c = State(final=True)
    ship = repeatable(kind="shipping", successes=["shipped"])
    look = repeatable(successes=["shipped"])
    order_it = e(command, a.to(b), effects=[ship, look])
    shipped = e(reply, b.to(c))
    shipping_refused = e(reply, b.to(c))
    shipping_undelivered = e(reply, b.to(a))
    """


def test_a_safe_effect_needs_no_edge_for_a_lost_answer_and_one_without_a_kind_none_at_all(declare):
    safe = SHIPPING.replace('["shipped"])', '["shipped"], safe=True)', 1)
    assert check(declare(safe).table).problems == ()


def test_a_repeatable_effect_needs_an_edge_for_a_lost_answer_where_it_is_owed(declare):
    """Its attempts may be spent after one of them was sent."""
    lost = "shipping_answer_lost = e(reply, {}.to(c))"
    assert check(declare(SHIPPING + lost.format("b")).table).problems == ()
    (problem,) = check(declare(SHIPPING + lost.format("a")).table).problems
    assert (problem.rule, problem.where) == ("reply-missing", "order_it: a -> b")
    assert problem.explanation.startswith("it owes a call that may end with shipping_answer_lost, which has no edge in b")


def test_a_call_that_no_later_edge_answers_is_forgotten_so_that_long_chains_of_calls_can_be_walked(declare):
    """Eleven kinds, each lost and behind the order: together they would be more places than are walked."""
    lines = ["s0 = State(initial=True)", *(f"s{n} = State()" for n in range(1, 23)), "z = State(final=True)"]
    for n in range(11):
        here, calling, after = f"s{2 * n}", f"s{2 * n + 1}", f"s{2 * n + 2}"
        lines += [
            f"call{n} = once(kind='k{n}', successes=['done{n}'])",
            f"go{n} = e(command, {here}.to({calling}), effects=[call{n}])",
            f"done{n} = e(reply, {calling}.to({after}))",
            f"k{n}_refused = e(reply, {calling}.to(z))",
            f"k{n}_undelivered = e(reply, {calling}.to({here}))",
            f"k{n}_answer_lost = e(reply, {calling}.to({after}))",
        ]
    lines.append("end = e(command, s22.to(z))")
    assert check(declare("\n".join(lines)).table).problems == ()


def test_a_success_needs_an_edge_where_the_call_is_owed(declare):
    """Without one, what the provider did would be ignored as late."""
    table = declare(
        """
        a = State(initial=True)
        capturing = State()
        c = State(final=True)
        capture_it = repeatable(successes=["captured", "captured_in_part"])
        capture = e(command, a.to(capturing), effects=[capture_it])
        captured = e(reply, capturing.to(c))
        captured_in_part = e(reply, a.to(c))
        """
    ).table
    (problem,) = check(table).problems
    assert (problem.rule, problem.where) == ("reply-missing", "capture: a -> capturing")
    assert problem.explanation.startswith("it owes a call that may end with captured_in_part, which has no edge in capturing")


def test_a_reply_of_a_call_that_was_not_made_leads_nowhere(declare):
    """``found`` does not begin with a kind, and ends only the call that declares it."""
    lifecycle = declare(
        """
        a = State(initial=True)
        b = State()
        c = State(final=True)
        look = repeatable(successes=["found"])
        call = repeatable(successes=["called"])
        go = e(command, a.to(b), effects=[call])
        called = e(reply, b.to(b))
        found = e(reply, b.to(c))
        """
    )
    assert rules(lifecycle) == {("stranded", "b")}
