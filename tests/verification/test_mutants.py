"""Faulty declarations: every single cell of both, every hidden state of CCV's. Each is killed by the suites, or proven to be equivalent."""

from __future__ import annotations

from collections import Counter

import pytest

from orderflow._analysis.check import check
from orderflow._analysis.reachability import Pair
from orderflow._providers.ccv.lifecycle import CcvLifecycle
from orderflow._testing.conformance import w_method, wp_method
from orderflow._testing.mealy import Machine, TableSubject, inputs_of, machine_of, machines_of
from orderflow._testing.mutants import Mutant, Trial, add_hidden_states, mutate_cells
from orderflow._testing.suites import all_cells

_FIRST = "the edge before it still comes first; `check` refuses the table as ambiguous"
_NEVER_READ = "an sms order's `claimed` is read only for cancel and error: none answers as success does"
EQUIVALENT = {
    "guard forgotten, registration_answer_lost: registering -> registration_in_doubt [not user_mode]": _FIRST,
    "guard forgotten, fulfillment_accepted: fulfilling -> confirming [not by_sms]": _FIRST,
    "guard forgotten, fulfillment_accepted: fulfillment_in_doubt -> confirming [not by_sms]": _FIRST,
    "guard forgotten, assignment_given_up: assignment_in_doubt -> fulfilled [needs_user]": (
        "an order gets there only while needs_user is set: a guard for the reader"
    ),
    "fact not set, complete_by_api: registered -> fulfilling [api_allowed and not by_sms]": (
        "without sms only `way = url` is ever read, and `none` answers as `api` does"
    ),
    "fact not set, fulfillment_undelivered: fulfilling -> registered [not by_url]": (
        "the next completion sets `way` anew before it is read"
    ),
    "fact not set, fulfillment_not_found: fulfillment_in_doubt -> registered": "as above",
    "fact not set, returned_bare: fulfilling -> confirming [by_url]": "`claimed` is `none` there: the edge states it for the reader",
    "fact not set, called_back_success: fulfilling -> confirming [sms_in_flight]": _NEVER_READ,
    "fact not set, called_back_success: fulfillment_in_doubt -> confirming": _NEVER_READ,
}
"""Changes that make no difference to any order: for each, the machines of all orders are equal; and why."""


def distinguishing_pair(machines: list[tuple[Pair, Machine]], mutant: Mutant) -> Pair | None:
    """How to create an order that distinguishes the mutant from the original, by comparing their machines; None: they are equal."""
    return next((pair for pair, machine in machines if machine_of(mutant.table, pair).rows != machine.rows), None)


def test_every_single_cell_mutant_is_killed_or_proven_equivalent(table, say):
    trial = Trial(table, all_cells(table))
    counts: Counter[str] = Counter()
    survivors: list[Mutant] = []
    for mutant in mutate_cells(table):
        counts[mutant.fault] += 1
        if trial.kill(mutant) is None:
            survivors.append(mutant)
    # a wrong target, an edge too many or too few: the cells alone find each of them
    assert {mutant.fault for mutant in survivors} <= {"fact not set", "guard forgotten"}
    equivalent, machines = [], list(machines_of(table))
    for mutant in survivors:
        pair = distinguishing_pair(machines, mutant)
        if pair is None:
            equivalent.append(mutant)
        else:
            assert w_method(table, 0, pair).difference(lambda pair, mutant=mutant: TableSubject(mutant.table, pair)), mutant
    assert {str(mutant) for mutant in equivalent} == (set(EQUIVALENT) if table.name == "connect" else set())
    total = sum(counts.values())
    say(
        f"{table.name}: {total} single-cell mutants ({', '.join(f'{n} {fault}' for fault, n in counts.items())}); "
        f"all cells kill {total - len(survivors)}, W {len(survivors) - len(equivalent)} more, {len(equivalent)} are equivalent"
    )


def test_where_two_edges_are_enabled_at_once_check_reports_ambiguity(table):
    rules = {
        str(mutant): {problem.rule for problem in check(mutant.table).problems}
        for mutant in mutate_cells(table)
        if str(mutant) in EQUIVALENT and "ambiguous" in EQUIVALENT[str(mutant)]
    }
    assert all("ambiguous" in rules_of_mutant for rules_of_mutant in rules.values())
    assert len(rules) == (3 if table.name == "connect" else 0)


@pytest.mark.parametrize("extra", [0, 1])
def test_every_hidden_state_of_ccv_is_found_with_one_state_more_and_hardly_one_without(extra, say):
    table = CcvLifecycle.table
    machine = machine_of(table)
    trial = Trial(table, wp_method(table, extra))
    hidden_states = list(add_hidden_states(machine))[:: 1 if extra else 20]
    survivors = [hidden for hidden in hidden_states if trial.kill_hidden(machine, hidden) is None]
    if extra:
        assert not survivors
    else:
        assert len(survivors) > len(hidden_states) / 2
    say(f"ccv: {len(hidden_states)} hidden states, Wp with n + {extra} kills {len(hidden_states) - len(survivors)}")


def test_mutants_have_names_of_their_own_and_differ_from_the_original(table):
    names = set()
    for mutant in mutate_cells(table):
        assert str(mutant) not in names
        names.add(str(mutant))
        changed = [edge for edge in mutant.table.edges if not any(edge is original for original in table.edges)]
        assert changed or len(mutant.table.edges) == len(table.edges) - 1
    assert len(names) > 150 * len(inputs_of(table))
