"""Paths that were not seen: as many as listing them finds, in work that does not grow with their number."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from tests.kit.counted import TooMuchWork, count_calls
from tests.kit.wide import ladder, many_states

from orderflow._lifecycle.facts import Facts
from orderflow._lifecycle.observe import observe
from orderflow._lifecycle.paths import find_ways, is_enabled
from orderflow._lifecycle.rules.guards import MAX_MOVES
from orderflow._lifecycle.table import Edge, Table
from orderflow.errors import DeclarationError
from orderflow.model import Applied, Observation, Origin, Snapshot, StepKind


def any_order(flags: int) -> str:
    """30 statuses that may follow each other in any order. Each sets a flag of its own, and one late edge reads so many of them."""
    read = " & ".join(f"was_s{n}" for n in range(2, 2 + flags))
    goal = f"goal = State(final=True)\nseen_goal = e(observation, s1.to(goal), cond={read})"
    return many_states(forward_only=False, sets=True, more=goal)


def test_flags_that_are_set_and_read_by_observations_take_a_bounded_walk(declare):
    table = declare(any_order(2)).table
    asked: list[Edge] = []

    def is_open(edge: Edge, facts: Facts) -> bool:
        asked.append(edge)
        return is_enabled(edge, facts)

    ways = find_ways(table, Snapshot("s0", table.defaults(), {}, 0), "goal", is_open)
    assert ways is not None
    assert MAX_MOVES >= len(asked) > 29 * 29
    walks: list[str] = []
    ways._reaches_end_without = lambda state: walks.append(state) or False
    certain, possible = ways.find_passed()
    assert (sorted(walks), len(certain | possible)) == (["s1", "s2", "s3"], 29)  # those of a shortest path


def test_flags_that_would_take_a_longer_walk_are_refused_by_name(declare):
    with pytest.raises(DeclarationError, match="guard-too-wide") as refused:
        declare(any_order(5))
    text = str(refused.value)
    assert "later observations read (was_s2, was_s3, was_s4, was_s5, was_s6)" in text
    assert f"at most {MAX_MOVES} moves are looked through" in text


PROMPT = 50_000
"""Calls. Listing all paths of these lifecycles takes more than a thousand million."""


def list_paths(table: Table, snapshot: Snapshot, target: str, walked: tuple[Edge, ...] = ()) -> Iterator[tuple[Edge, ...]]:
    """Every path, one by one: no state twice. The definition, in exponential time."""
    passed = {edge.source for edge in walked} | {snapshot.state}
    for edge in table.out[snapshot.state]:
        if edge.target in passed or edge.origin is not Origin.OBSERVATION or not edge.holds.pick(snapshot.facts):
            continue
        if edge.target == target:
            yield (*walked, edge)
        else:
            onward = Snapshot(edge.target, {**snapshot.facts, **edge.sets}, {}, 0)
            yield from list_paths(table, onward, target, (*walked, edge))


def random_body(rng: random.Random, *, forward_only: bool) -> str:
    """Seven states, edges between some of them, and three facts that some edges set."""
    names = [f"s{n}" for n in range(7)]
    lines = ["first = State(initial=True)", *(f"{name} = State()" for name in names), "last = State(final=True)"]
    lines += ["f0 = Flag()", "f1 = Flag()", "f2 = Flag()", "hand_over = e(command, first.to(s0))"]
    lines += [f"finish = e(operator, last.from_({', '.join(names)}))", *(f"put_{name} = e(operator, first.to({name}))" for name in names)]
    n = 0
    for a in range(7):
        for b in range(a + 1 if forward_only else 0, 7):
            if a != b and rng.random() < 0.35:
                sets = {f"f{rng.randrange(3)}": rng.random() < 0.7} if rng.random() < 0.5 else {}
                lines.append(f"seen_{n} = e(observation, s{a}.to(s{b}), sets={sets})")
                n += 1
    return "\n".join(lines)


@pytest.mark.parametrize("forward_only", [True, False])
@pytest.mark.parametrize("seed", range(25))
def test_the_answers_are_those_of_all_paths_listed_one_by_one(declare, seed, forward_only):
    table = declare(random_body(random.Random(seed), forward_only=forward_only)).table
    for source in table.states:
        for target in table.states.keys() - {source, "first"}:
            snapshot = Snapshot(source, table.defaults(), {}, 0)
            proving = list(list_paths(table, snapshot, target))
            ways = find_ways(table, snapshot, target)
            assert (ways is not None) == bool(proving)
            if ways is None:
                continue
            assert ways.shortest in proving
            assert len(ways.shortest) == min(map(len, proving))
            assert ways.is_only_path() == (len(proving) == 1), (source, target)
            passed = [{edge.target for edge in path[:-1]} for path in proving]
            certain, possible = ways.find_passed()
            assert certain == set.intersection(*passed)
            assert possible >= set.union(*passed) - certain, "paths that go in circles may pass more"
            values = {name: {facts_after(table, path)[name] for path in proving} for name in table.facts}
            for name, among in ways.find_values().items():
                assert among >= values[name]
                if forward_only:
                    assert among == values[name]
                    assert possible == set.union(*passed) - certain


def facts_after(table: Table, path: tuple[Edge, ...]) -> dict[str, object]:
    facts: dict[str, object] = dict(table.defaults())
    for edge in path:
        facts.update(edge.sets)
    return facts


@pytest.mark.parametrize("forward_only", [True, False])
@pytest.mark.parametrize("sets", [True, False])
def test_a_direct_edge_among_statuses_that_follow_in_any_order_costs_little(declare, forward_only, sets):
    table = declare(many_states(forward_only=forward_only, sets=sets)).table
    decision, _ = count_calls(lambda: observe(table, Snapshot("s0", table.defaults(), {}, 1), Observation("gone", 1)), PROMPT)
    assert [step.event for step in decision.steps] == ["seen_gone"]


def test_a_jump_over_a_million_paths_costs_little(declare):
    table = declare(ladder(20)).table
    snapshot = Snapshot("p0", {}, {}, 1)
    decision, calls = count_calls(lambda: observe(table, snapshot, Observation("p20", 1)), PROMPT)
    assert isinstance(decision, Applied)
    (jump,) = decision.steps
    assert jump.kind is StepKind.JUMP
    assert jump.note.startswith("certainly missed: p1, p2, p3, ")
    assert "possibly missed: l0, r0, l1, r1, " in jump.note
    with pytest.raises(TooMuchWork):
        count_calls(lambda: sum(1 for _ in list_paths(table, snapshot, "p20")), 20 * calls)


def test_a_jump_among_statuses_that_follow_in_any_order_costs_little(declare):
    """Two steps from drafted's successor to the end, over 28 statuses in any order; a dead end beside them is not counted."""
    body = many_states(forward_only=False, sets=True).replace("gone.from_(s0, ", "gone.from_(")
    table = declare(body).table
    decision, _ = count_calls(lambda: observe(table, Snapshot("s0", table.defaults(), {}, 1), Observation("gone", 1)), 40 * PROMPT)
    (jump,) = decision.steps
    assert jump.kind is StepKind.JUMP
    assert "certainly" not in jump.note
    assert jump.note.startswith("possibly missed: s1, s2, ")


def test_the_way_into_a_circle_and_out_again_is_the_only_path(declare):
    """b -> c -> b is a circle beside the path; it leads nowhere that the path does not go."""
    table = declare(
        """
        a = State(initial=True)
        b = State()
        c = State()
        d = State(final=True)
        seen_b = e(observation, b.from_(a, c))
        seen_c = e(observation, b.to(c))
        seen_d = e(observation, b.to(d))
        end = e(command, c.to(d))
        readings = {"d": reading(consistent=[d], proves=d)}
        """
    ).table
    decision = observe(table, Snapshot("a", {}, {}, 0), Observation("d", 0))
    assert [step.target for step in decision.steps] == ["b", "d"]


def test_two_edges_between_two_states_are_two_paths(declare):
    table = declare(
        """
        a = State(initial=True)
        b = State()
        c = State(final=True)
        seen_b = e(observation, a.to(b))
        seen_b_again = e(observation, a.to(b))
        seen_c = e(observation, b.to(c))
        readings = {"c": reading(consistent=[c], proves=c)}
        """
    ).table
    (jump,) = observe(table, Snapshot("a", {}, {}, 0), Observation("c", 0)).steps
    assert (jump.kind, jump.note) == (StepKind.JUMP, "certainly missed: b")


GATED = """
    a = State(initial=True)
    left = State()
    right = State()
    b = State()
    c = State(final=True)
    d = State(final=True)
    by_left = Flag()
    seen_left = e(observation, a.to(left), sets={"by_left": True})
    seen_right = e(observation, a.to(right))
    seen_b = e(observation, b.from_(left, right))
    seen_c = e(observation, b.to(c), cond=by_left)
    seen_d = e(observation, b.to(d), cond=~by_left)
    readings = {"c": reading(consistent=[c], proves=c), "d": reading(consistent=[d], proves=d), "b": reading(consistent=[b], proves=b)}
"""


def test_a_guard_on_the_way_reads_what_the_path_has_set(declare):
    table = declare(GATED).table
    assert dict(table.tracked) == {"a": (), "left": ("by_left",), "right": ("by_left",), "b": ("by_left",), "c": (), "d": ()} | {
        "a": ("by_left",)
    }
    start = Snapshot("a", table.defaults(), {}, 0)
    assert [step.target for step in observe(table, start, Observation("c", 0)).steps] == ["left", "b", "c"]
    assert [step.target for step in observe(table, start, Observation("d", 0)).steps] == ["right", "b", "d"]
    assert [step.kind for step in observe(table, start, Observation("b", 0)).steps] == [StepKind.JUMP]


def test_a_jump_sets_the_value_on_which_all_paths_agree_though_they_share_no_edge(declare):
    """The evidence: both edges into captured set the same value; the refund needs it."""
    table = declare(
        """
        created = State(initial=True)
        authorized = State(proven=True)
        part = State(proven=True)
        captured = State(proven=True)
        refunded = State(final=True)
        taken = Fact("none", "part", "all")
        seen_authorized = e(observation, created.to(authorized))
        seen_part = e(observation, authorized.to(part), sets={"taken": "part"})
        seen_captured = (e(observation, authorized.to(captured), sets={"taken": "all"})
                       | e(observation, part.to(captured), sets={"taken": "all"}))
        refund = e(command, captured.to(refunded), cond=taken.is_("all"))
        readings = {"captured": reading(consistent=[captured], proves=captured)}
        """
    ).table
    decision = observe(table, Snapshot("created", table.defaults(), {}, 0), Observation("captured", 0))
    assert decision.snapshot.facts == {"taken": "all"}
    assert decision.steps[0].note == "certainly missed: authorized; possibly missed: part; facts set: taken = all"
