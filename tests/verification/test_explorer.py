"""The real engine keeps its promises in every explored world. An engine broken in one rule does not, and a counterexample shows how."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping

import pytest
from tests.verification.explorer import CCV, CONNECT, CallModel, Environment, explore, valuations_at_create
from tests.verification.explorer.real_engine import Mark, PollFirst, Retry, real_engine
from tests.verification.explorer.seeded_bugs import BUGS
from tests.verification.explorer.worlds import Doubt

from orderflow._lifecycle.declare import Lifecycle, State, assumed, edge, once, reading, repeatable
from orderflow._lifecycle.facts import Value
from orderflow.model import Cause, Origin

command, reply, observation, claim, clock, operator = Origin
PROVIDERS = {"ccv": CCV, "connect": CONNECT}


def facts(environment: Environment, *true: str) -> Mapping[str, Value]:
    """The facts at create, of which exactly these are true."""
    valuations = valuations_at_create(environment.table)
    return next(facts for facts in valuations if {name for name, value in facts.items() if value is True} == set(true))


@pytest.mark.parametrize(
    ("name", "true", "workers"),
    [
        ("ccv", (), 2),
        ("connect", ("url_allowed", "to_pay", "needs_user"), 2),
        ("connect", ("api_allowed", "by_sms", "to_pay"), 2),
        ("connect", ("api_allowed", "user_mode"), 2),
        ("connect", ("api_allowed", "url_allowed", "to_pay", "by_sms"), 2),
        ("connect", ("api_allowed", "url_allowed", "user_mode", "needs_user", "by_sms"), 1),
    ],
)
def test_the_engine_has_no_violation(name, true, workers):
    found = explore(PROVIDERS[name], facts(PROVIDERS[name], *true), workers=workers)
    assert found.violation is None, "\n".join(found.violation.events)
    assert found.worlds > 1000
    assert found.steps > 3 * found.worlds


def test_effects_that_share_their_replies_are_known_as_one_kind():
    same_kind = real_engine(CONNECT).same_kind
    assert same_kind["fulfill_order"] == same_kind["fulfill_by_sms"] == ("fulfill_by_sms", "fulfill_order")
    assert same_kind["search_order"] == ("search_order",)  # it has no kind


@pytest.mark.parametrize("environment", [CCV, CONNECT], ids=["ccv", "connect"])
def test_the_real_engine_marks_each_once_effect_before_its_call_and_before_a_failure_that_was_not_sent(environment):
    engine, effects = real_engine(environment), environment.table.effects
    assert engine.marks == {name for name, effect in effects.items() if effect.once}
    for name, effect in effects.items():
        assert engine.unsent[name, False][0] == Retry(may_be_executed=False)
        assert (engine.unsent[name, False][1] == Mark()) == (bool(effect.kind) and not effect.safe)


def test_the_real_engine_lets_a_deadline_wait_where_a_poll_is_planned_and_plans_those_of_a_draft():
    engine = real_engine(CONNECT)
    assert {name for name, _ in engine.deadlines} == {name for name, origin in CONNECT.table.events.items() if origin is clock}
    assert all((request == PollFirst()) == is_poll_planned for (_, is_poll_planned), request in engine.deadlines.items())
    assert engine.deadlines_at_create == ("draft_expired",)


def test_the_real_engine_sends_no_repeatable_call_that_may_be_reported_undelivered():
    may_call = real_engine(CONNECT).may_call
    assert [may_call["fulfill_order", doubt] for doubt in Doubt] == [True, True, False]
    assert [may_call["register_order", doubt] for doubt in Doubt] == [True, False, False]
    assert [may_call["search_order", doubt] for doubt in Doubt] == [True, True, True]  # it changes nothing


@pytest.mark.slow
@pytest.mark.parametrize("name", PROVIDERS)
def test_the_engine_has_no_violation_under_any_facts(name, capsys):
    started, worlds, steps = time.process_time(), 0, 0
    for valuation in valuations_at_create(PROVIDERS[name].table):
        found = explore(PROVIDERS[name], valuation, workers=2)
        assert found.violation is None, "\n".join(found.violation.events)
        worlds, steps = worlds + found.worlds, steps + found.steps
    with capsys.disabled():
        print(f"\n{name}, W=2: {worlds:,} worlds, {steps:,} steps, {time.process_time() - started:.1f} s of CPU")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "true"), [("ccv", ()), ("connect", ("url_allowed", "to_pay", "needs_user"))])
def test_the_engine_has_no_violation_with_four_workers(name, true, capsys):
    started = time.process_time()
    found = explore(PROVIDERS[name], facts(PROVIDERS[name], *true), workers=4)
    assert found.violation is None, "\n".join(found.violation.events)
    with capsys.disabled():
        print(f"\n{name}, W=4: {found.worlds:,} worlds, {found.steps:,} steps, {time.process_time() - started:.1f} s of CPU")


FOUND = {
    "no version check": {"ccv": (r"a step from Processing was written over", 15), "connect": (r"was written over cancelled", 11)},
    "effect outside the commit": {"ccv": (r"stuck.*configuring", 1), "connect": (r"stuck.*registering", 1)},
    "no deduplication": {"connect": (r"one key moved the order twice", 14)},  # no command of CCV's is legal twice
    "no poll schedule": {
        "ccv": (r"stuck.*Processing", 8),
        "connect": (r"stuck.*cancelled, while the provider's status is fulfilled", 7),
    },
    "claim trusted": {"connect": (r"fulfilled is ahead of the provider, whose status is preliminary", 6)},  # CCV's notices claim nothing
    "stale poll applied": {"ccv": (r"began before the last step", 15), "connect": (r"began before the last step", 11)},
    "blind retry": {"ccv": (r"submit_order was carried out twice", 10), "connect": (r"register_order was carried out twice", 7)},
    "no mark": {"ccv": (r"submit_order was carried out twice", 8), "connect": (r"register_order was carried out twice", 5)},
    "mark without fence": {"ccv": (r"submit_order was carried out twice", 10), "connect": (r"register_order was carried out twice", 7)},
    "mark forgotten": {"ccv": (r"submit_order was carried out twice", 12), "connect": (r"register_order was carried out twice", 9)},
    "failure without fence": {
        "ccv": (r"submit_order was reported undelivered, and was carried out", 10),
        "connect": (r"register_order was reported undelivered, and was carried out", 7),
    },
    "doubt forgotten": {"connect": (r"fulfill_order was reported undelivered, and was carried out", 12)},  # CCV's repeatable call is safe
    "deadline without a poll": {
        "ccv": (r"recovery_window_closed was decided, and no poll behind it was answered", 13),
        "connect": (r"never_completed was decided, and no poll behind it was answered", 6),
    },
    "deadline behind an old poll": {
        "ccv": (r"recovery_window_closed was decided, and no poll behind it was answered", 17),
        "connect": (r"never_completed was decided, and no poll behind it was answered", 10),
    },
}
"""By bug and provider: what the counterexample says, and the most events that it has."""


@pytest.mark.parametrize(("bug", "name"), [(bug, name) for bug, providers in FOUND.items() for name in providers])
def test_a_seeded_bug_has_a_short_counterexample(bug, name):
    problem, longest = FOUND[bug][name]
    environment = PROVIDERS[name]
    violations = (explore(environment, facts, engine=BUGS[bug]).violation for facts in valuations_at_create(environment.table))
    violation = next(violation for violation in violations if violation is not None)
    assert re.search(problem, violation.problem), violation.problem
    assert len(violation.events) <= longest, "\n".join(violation.events)


def test_every_seeded_bug_is_looked_for():
    assert FOUND.keys() == BUGS.keys()
    assert all(FOUND.values())


def test_a_counterexample_is_a_list_of_events_and_a_diagram():
    violation = explore(CONNECT, facts(CONNECT, "url_allowed", "to_pay"), engine=BUGS["claim trusted"]).violation
    assert violation is not None
    assert violation.events == (
        "1. caller -> order: register (now registering)",
        "2. order -> worker A: leases register_order",
        "3. worker A -> order: marks the sending of register_order",
        "4. worker A -> provider: calls register_order: done and answered",
        "5. worker A -> order: reports register_order: answered (now registered)",
        "6. anyone -> order: claims returned_success (now fulfilled)",
    )
    head, *lines = violation.mermaid.splitlines()
    assert head == "sequenceDiagram"
    declared = {line.split()[1] for line in lines if line.split()[0] == "participant"}
    drawn = [re.fullmatch(r"    (\w+)->>(\w+): [^;#]+", line) for line in lines if "->>" in line]
    assert len(drawn) == len(violation.events)
    assert {name for arrow in drawn for name in arrow.groups()} == declared
    assert lines[-1] == f"    Note over Store: {violation.problem}"


def test_two_workers_keep_their_letters_through_a_counterexample():
    violation = explore(CCV, facts(CCV), engine=BUGS["stale poll applied"]).violation
    assert violation is not None
    polls = [event.split(". ", 1)[1] for event in violation.events if any(part in event for part in ("the poll", "status ", "observes"))]
    assert {line.split(":")[0] for line in polls} >= {"order -> worker A", "order -> worker B"}
    assert polls[-1].startswith("worker A -> order: observes Processing, polled before the last step")


# ── a lifecycle that is neither provider's ───────────────────────────────────────────────────────────────────────────────────


class Warehouse(Lifecycle, name="warehouse"):
    """A parcel: booked once, given a label, then only polled."""

    # fmt: off
    packed   = State(initial=True)
    booking  = State()
    doubtful = State()
    booked   = State(deadlines={"waited": "patience"})
    printing = State()
    labelled = State()
    away     = State(proven=True, final=True)
    dropped  = State(final=True)
    unknown  = State(final=True)
    book_parcel = once(kind="booking", successes=["parcel_booked"])
    print_label = repeatable(kind="printing", successes=["label_printed"])
    book                 = edge(command, packed.to(booking), Cause.US, assumed("a test"), "book", effects=[book_parcel])
    parcel_booked        = edge(reply, booked.from_(booking, doubtful), Cause.PROVIDER, assumed("a test"), "booked")
    booking_refused      = edge(reply, dropped.from_(booking, doubtful), Cause.PROVIDER, assumed("a test"), "refused")
    booking_undelivered  = edge(reply, booking.to(packed), Cause.US, assumed("a test"), "never sent")
    booking_answer_lost  = edge(reply, booking.to(doubtful), Cause.US, assumed("a test"), "lost")
    booking_given_up     = edge(operator, doubtful.to(unknown), Cause.EMPLOYEE, assumed("a test"), "given up")
    print_it             = edge(command, booked.to(printing), Cause.US, assumed("a test"), "print", effects=[print_label])
    label_printed        = edge(reply, printing.to(labelled), Cause.PROVIDER, assumed("a test"), "printed")
    printing_refused     = edge(reply, printing.to(labelled), Cause.PROVIDER, assumed("a test"), "refused")
    printing_undelivered = edge(reply, printing.to(booked), Cause.US, assumed("a test"), "never sent")
    printing_answer_lost = edge(reply, printing.to(doubtful), Cause.US, assumed("a test"), "lost")
    waited               = edge(clock, booked.to(booked), Cause.CLOCK, assumed("a test"), "waited long")
    seen_away            = edge(observation, away.from_(booked, printing, labelled), Cause.PROVIDER, assumed("a test"), "away")
    # fmt: on
    readings = {
        "HERE": reading(consistent=[booking, doubtful, booked, printing, labelled]),
        "AWAY": reading(consistent=[away], proves=away),
    }


WAREHOUSE = Environment(
    Warehouse.table,
    {
        "book_parcel": CallModel("parcel_booked", creates="HERE"),
        "print_label": CallModel("label_printed", needs=("HERE",), names_order=False),
    },
    {"HERE": ("AWAY",), "AWAY": ()},
    (),
)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_a_third_lifecycle_is_one_more_environment(workers):
    assert explore(WAREHOUSE, {}, workers=workers).violation is None


@pytest.mark.parametrize("bug", sorted(BUGS.keys() - {"claim trusted"}))
def test_the_bugs_are_found_in_the_third_lifecycle_too(bug):
    assert explore(WAREHOUSE, {}, workers=2, engine=BUGS[bug]).violation is not None
