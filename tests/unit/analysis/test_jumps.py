"""What ``check`` proves holds after jumps: none leaves an order where edges could not have brought it, as far as anything reads that."""

from __future__ import annotations

import random

import pytest

from orderflow._analysis.check import check
from orderflow._analysis.condensed import find_readable_facts
from orderflow._analysis.reachability import reachable
from orderflow._lifecycle.decide import decide
from orderflow._lifecycle.observe import observe
from orderflow._lifecycle.table import Table
from orderflow._testing.state_machine import check_applied
from orderflow.model import Applied, Event, Observation, Origin, Snapshot, StepKind

CAPTURED = """
    created = State(initial=True)
    authorized = State(proven=True)
    part = State(proven=True)
    captured = State(proven=True)
    refunded = State(final=True)
    taken = Fact("none", "part", "all")
    seen_authorized = e(observation, created.to(authorized))
    seen_part = e(observation, authorized.to(part), sets={"taken": "part"})
    seen_captured = (e(observation, authorized.to(captured), sets={"taken": "all"})
                   | e(observation, part.to(captured), sets={"taken": "LAST"}))
    refund = e(command, captured.to(refunded), cond=taken.is_("all"))
    refund_part = e(command, captured.to(refunded), cond=taken.is_("part"))
    readings = {"captured": reading(consistent=[captured], proves=captured), "part": reading(consistent=[part], proves=part)}
    properties = {"captured can be refunded": p.universality(p.can("refund", "refund_part"), where=p.at(captured))}
"""


def test_a_promise_that_check_proves_holds_after_a_jump(declare):
    """The evidence: check said that the promise holds, and after a poll that skipped two states the refund was refused for ever."""
    table = declare(CAPTURED.replace("LAST", "all").replace('taken.is_("part")', 'taken.is_("part") & ~taken.is_("part")')).table
    assert [str(result.verdict) for result in check(table).properties] == ["holds"]
    jumped = observe(table, Snapshot("created", table.defaults(), {}, 0), Observation("captured", 0))
    assert [step.kind for step in jumped.steps] == [StepKind.JUMP]
    assert isinstance(decide(table, jumped.snapshot, Event("refund", Origin.COMMAND)), Applied)


def test_paths_that_disagree_on_a_fact_that_a_guard_can_read_are_refused_with_a_remedy(declare):
    problems = check(declare(CAPTURED.replace("LAST", "part")).table).problems
    assert [(problem.rule, problem.where) for problem in problems] == [("jump-facts", "captured in created")]
    assert problems[0].explanation == (
        "it jumps to captured, where taken may be all or part, and a guard or a property may read that: "
        "set it alike on every path, read it nowhere behind, or let the provider's status prove a state on the way"
    )


SENT = """
    created = State(initial=True)
    packed = State()
    boxed = State()
    sent = State()
    done = State(final=True)
    mail = repeatable(successes=["mailed"])
    seen_packed = e(observation, created.to(packed)FIRST)
    seen_boxed = e(observation, created.to(boxed)FIRST)
    seen_sent = e(observation, packed.to(sent)ONE) | e(observation, boxed.to(sent)OTHER)DIRECT
    mailed = e(reply, sent.to(sent)) | e(reply, packed.to(packed)) | e(reply, boxed.to(boxed))
    finish = e(command, sent.to(done))
    readings = {"sent": reading(consistent=[sent], proves=sent), "packed": reading(consistent=[packed], proves=packed),
                "boxed": reading(consistent=[boxed], proves=boxed)}
"""
OWES = ", effects=[mail]"
NOTHING, REFUSED = (), ("jump-effects",)


@pytest.mark.parametrize(
    ("owing", "kind", "owed", "rules"),
    [
        ((), StepKind.JUMP, [], NOTHING),
        (("ONE", "OTHER"), StepKind.JUMP, ["mail"], NOTHING),
        (("ONE",), StepKind.JUMP, [], REFUSED),
        (("OTHER",), StepKind.JUMP, [], REFUSED),
        (("FIRST",), StepKind.JUMP, [], REFUSED),
        (("FIRST", "DIRECT"), StepKind.STEP, ["mail"], NOTHING),
    ],
    ids=["no edge", "both last edges", "one last edge", "the other last edge", "the first edges", "declared for the jump"],
)
def test_a_jump_owes_what_all_its_last_edges_owe_and_check_refuses_what_it_would_lose(declare, owing, kind, owed, rules):
    body = SENT.replace("DIRECT", f" | e(observation, created.to(sent){OWES})" if "DIRECT" in owing else "")
    for mark in ("FIRST", "ONE", "OTHER"):
        body = body.replace(mark, OWES if mark in owing else "")
    table = declare(body).table
    moved = observe(table, Snapshot("created", table.defaults(), {}, 0), Observation("sent", 0))
    assert [(step.kind, [effect.name for effect in step.effects]) for step in moved.steps] == [(kind, owed)]
    assert ("effects not owed: mail" in moved.steps[0].note) is bool(rules)
    problems = check(table).problems
    assert tuple(problem.rule for problem in problems) == rules
    if rules:
        assert (problems[0].where, problems[0].explanation) == (
            "sent in created",
            "it jumps to sent over edges that may owe mail, which is not owed then: declare an observation edge from created to sent that "
            "owes what is owed then, or let the provider's status prove a state on the way",
        )


def test_a_fact_that_only_a_property_reads_counts(declare):
    body = CAPTURED.replace("LAST", "part").replace(', cond=taken.is_("all")', "").replace("    refund_part", "    # refund_part")
    body = body.replace(', "refund_part"', "")
    assert check(declare(body).table).problems == ()
    asked = body.replace("p.can(", "~p.under(taken.is_('none')) & p.can(")
    assert {problem.rule for problem in check(declare(asked).table).problems} == {"jump-facts"}


def test_a_fact_that_the_next_edge_sets_before_a_guard_reads_it_does_not_count(declare):
    body = CAPTURED.replace("LAST", "part").replace("captured.to(refunded), cond", "settled.to(refunded), cond")
    settled = '    settled = State()\n    settle = e(command, captured.to(settled), sets={"taken": "all"})\n'
    body = body.replace('    refund_part = e(command, settled.to(refunded), cond=taken.is_("part"))\n', "")
    body = body.replace("    refund =", settled + "    refund =").replace(
        'p.can("refund", "refund_part"), where=p.at(captured)', "p.can('refund'), where=p.at(settled)"
    )
    assert check(declare(body).table).problems == ()


def random_body(rng: random.Random) -> str:
    """Statuses in a line, with short cuts that set facts, and commands whose guards read them."""
    names = [f"s{n}" for n in range(6)]
    lines = ["first = State(initial=True)", *(f"{name} = State()" for name in names), "last = State(final=True)"]
    lines += ["f0 = Flag()", "f1 = Flag()", "hand_over = e(command, first.to(s0))", f"finish = e(operator, last.from_({', '.join(names)}))"]
    for a in range(6):
        for b in range(a + 1, min(a + 3, 6)):
            sets = {f"f{rng.randrange(2)}": rng.random() < 0.7} if rng.random() < 0.5 else {}
            guard = f", cond={rng.choice(['f0', '~f0', 'f1', '~f1'])}" if rng.random() < 0.2 else ""
            lines.append(f"seen_{a}_{b} = e(observation, s{a}.to(s{b}), sets={sets}{guard})")
    n, fact = rng.randrange(3, 6), rng.choice(["f0", "f1", "~f0"])
    lines.append(f"pay = e(command, s{n}.to(last), cond={fact})")
    readings = ", ".join(f"'{name}': reading(consistent=[{name}], proves={name})" for name in names[1:])
    return "\n".join([*lines, f"readings = {{{readings}}}"])


def find_strange_ends(table: Table) -> set[str]:
    """The states that a jump enters under facts which no path of edges brings there, as far as something reads them."""
    moves = reachable(table)
    readable = find_readable_facts(table)

    def seen_from(state: str, facts) -> tuple[object, ...]:
        return state, *(facts[name] for name in sorted(readable[state]))

    known = {seen_from(pair.state, pair.facts(table)) for pair in moves}
    strange: set[str] = set()
    for pair in moves:
        for status in table.readings:
            decision = observe(table, pair.snapshot(table), Observation(status, 0))
            if isinstance(decision, Applied) and seen_from(decision.snapshot.state, decision.snapshot.facts) not in known:
                strange.add(decision.snapshot.state)
    return strange


@pytest.mark.parametrize("seed", range(60))
def test_after_a_jump_everything_that_is_read_is_as_after_some_path(declare, seed):
    table = declare(random_body(random.Random(seed))).table
    if not any(problem.rule == "jump-facts" for problem in check(table).problems):
        assert find_strange_ends(table) == set()


def test_the_random_lifecycles_are_of_both_kinds(declare):
    found = [
        any(problem.rule == "jump-facts" for problem in check(declare(random_body(random.Random(seed))).table).problems)
        for seed in range(60)
    ]
    assert 5 < sum(found) < 55


def test_the_state_machine_accepts_a_jump_that_leaves_what_nothing_reads(declare):
    """Each path sets one of two flags, and the jump neither. No path brings that, and nothing can tell; a guard could."""
    body = """
        a = State(initial=True)
        b = State()
        c = State()
        d = State()
        last = State(final=True)
        by_b = Flag()
        by_c = Flag()
        seen_b = e(observation, a.to(b), sets={"by_b": True})
        seen_c = e(observation, a.to(c), sets={"by_c": True})
        seen_d = e(observation, d.from_(b, c))
        end = e(command, d.to(last))
        readings = {"d": reading(consistent=[d], proves=d)}
    """
    table = declare(body).table
    assert check(table).problems == ()
    before = Snapshot("a", table.defaults(), {}, 0)
    jumped = observe(table, before, Observation("d", 0))
    check_applied(table, reachable(table), before, jumped)
    read = declare(body.replace("d.to(last)", "d.to(last), cond=by_b") + "    leave = e(command, d.to(last), cond=~by_b)\n").table
    with pytest.raises(AssertionError, match="d: it cannot have these facts"):
        check_applied(read, {pair: out for pair, out in reachable(read).items() if pair.facts(read)["by_b"]}, before, jumped)
