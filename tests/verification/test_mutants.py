"""Faulty declarations: every single cell of both, every hidden state of CCV's; each is killed by the suites, or proven to be no fault."""

from __future__ import annotations

from collections import Counter

import pytest

from orderflow.analysis.check import check
from orderflow.analysis.reachability import Pair
from orderflow.providers.ccv.lifecycle import CcvLifecycle
from orderflow.testing.machine import Machine, TableSubject, machine, machines, words_of
from orderflow.testing.mutants import Mutant, Trial, hidden_state, single_cell
from orderflow.testing.suites import all_cells
from orderflow.testing.wmethod import w_method, wp_method

_FIRST = "the edge before it still comes first; `check` refuses the table as ambiguous"
_NEVER_ASKED = "an sms order's `claimed` is asked only for cancel and error: none answers as success does"
EQUIVALENT = {
    "guard forgotten, registration_answer_lost: registering -> registration_in_doubt [not user_mode]": _FIRST,
    "guard forgotten, fulfillment_accepted: fulfilling -> confirming [not by_sms]": _FIRST,
    "guard forgotten, assignment_given_up: assignment_in_doubt -> fulfilled [needs_user]": (
        "an order gets there only while needs_user is set: a guard for the reader"
    ),
    "fact not set, complete_by_api: registered -> fulfilling [api_allowed and not by_sms]": (
        "without sms only `way = url` is ever asked for, and `none` answers as `api` does"
    ),
    "fact not set, fulfillment_undelivered: fulfilling -> registered [not by_url]": (
        "the next completion sets `way` anew before it is asked for"
    ),
    "fact not set, returned_bare: fulfilling -> confirming [by_url]": "`claimed` is `none` there already: the edge says so for the reader",
    "fact not set, called_back_success: fulfilling -> confirming [sms_in_flight]": _NEVER_ASKED,
    "fact not set, called_back_success: fulfillment_in_doubt -> confirming": _NEVER_ASKED,
}
"""Changes that no order can ever notice: for each, the machines of all orders are equal, and why."""


def name(mutant: Mutant) -> str:
    return f"{mutant.fault}, {mutant.what}"


def apart(ways: list[tuple[Pair, Machine]], mutant: Mutant) -> Pair | None:
    """How an order is created that can tell the mutant from the original, by comparing their machines; None: equal, which is a proof."""
    return next((pair for pair, found in ways if machine(mutant.table, pair).moves != found.moves), None)


def test_every_single_cell_mutant_is_killed_or_proven_equivalent(table, say):
    trial = Trial(table, all_cells(table))
    counts: Counter[str] = Counter()
    left: list[Mutant] = []
    for mutant in single_cell(table):
        counts[mutant.fault] += 1
        if trial.of(mutant) is None:
            left.append(mutant)
    # a target, an edge too many or too few: the cells alone see each of them
    assert {mutant.fault for mutant in left} <= {"fact not set", "guard forgotten"}
    alive, ways = [], list(machines(table))
    for mutant in left:
        pair = apart(ways, mutant)
        if pair is None:
            alive.append(mutant)
        else:
            assert w_method(table, 0, pair).difference(lambda pair, m=mutant: TableSubject(m.table, pair)), name(mutant)
    assert {name(mutant) for mutant in alive} == (set(EQUIVALENT) if table.name == "connect" else set())
    total = sum(counts.values())
    say(
        f"{table.name}: {total} single-cell mutants ({', '.join(f'{n} {fault}' for fault, n in counts.items())}); "
        f"all cells kill {total - len(left)}, W {len(left) - len(alive)} more, {len(alive)} are equivalent"
    )


def test_where_two_edges_are_open_at_once_check_says_ambiguous(table):
    found = {
        name(mutant): {problem.rule for problem in check(mutant.table).problems}
        for mutant in single_cell(table)
        if name(mutant) in EQUIVALENT and "ambiguous" in EQUIVALENT[name(mutant)]
    }
    assert all("ambiguous" in rules for rules in found.values())
    assert len(found) == (2 if table.name == "connect" else 0)


@pytest.mark.parametrize("extra", [0, 1])
def test_every_hidden_state_of_ccv_is_found_with_one_state_more_and_hardly_one_without(extra, say):
    table = CcvLifecycle.table
    found = machine(table)
    trial = Trial(table, wp_method(table, extra))
    every = list(hidden_state(found))[:: 1 if extra else 20]
    alive = [hidden for hidden in every if trial.of_hidden(found, hidden) is None]
    if extra:
        assert not alive
    else:
        assert len(alive) > len(every) / 2
    say(f"ccv: {len(every)} hidden states, Wp with n + {extra} kills {len(every) - len(alive)}")


def test_mutants_have_names_of_their_own_and_differ_from_the_original(table):
    seen = set()
    for mutant in single_cell(table):
        assert name(mutant) not in seen
        seen.add(name(mutant))
        changed = [edge for edge in mutant.table.edges if not any(edge is old for old in table.edges)]
        assert changed or len(mutant.table.edges) == len(table.edges) - 1
    assert len(seen) > 150 * len(words_of(table))
