"""The real engine survives the hostile world; an engine broken in one rule does not, and the story says how."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping

import pytest

from orderflow.lifecycle.declare import Lifecycle, State, assumed, edge, once, reading, repeatable
from orderflow.lifecycle.facts import Value
from orderflow.model import Cause, Origin
from orderflow.testing.hostile import CCV, CONNECT, Calling, Outside, explore, valuations_of
from orderflow.testing.hostile_bugs import BUGS

command, reply, observation, claim, clock, operator = Origin
PROVIDERS = {"ccv": CCV, "connect": CONNECT}


def facts(outside: Outside, *true: str) -> Mapping[str, Value]:
    """The facts at create, of which exactly these are true."""
    return next(one for one in valuations_of(outside.table) if {name for name, value in one.items() if value is True} == set(true))


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
def test_the_engine_survives(name, true, workers):
    found = explore(PROVIDERS[name], facts(PROVIDERS[name], *true), workers=workers)
    assert found.violation is None, "\n".join(found.violation.events)
    assert found.states > 1000
    assert found.transitions > 3 * found.states


@pytest.mark.slow
@pytest.mark.parametrize("name", PROVIDERS)
def test_the_engine_survives_under_all_facts(name, capsys):
    begun, states, transitions = time.process_time(), 0, 0
    for given in valuations_of(PROVIDERS[name].table):
        found = explore(PROVIDERS[name], given, workers=2)
        assert found.violation is None, "\n".join(found.violation.events)
        states, transitions = states + found.states, transitions + found.transitions
    with capsys.disabled():
        print(f"\n{name}, W=2: {states:,} worlds, {transitions:,} steps, {time.process_time() - begun:.1f} s of CPU")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "true"), [("ccv", ()), ("connect", ("url_allowed", "to_pay", "needs_user"))])
def test_the_engine_survives_four_workers(name, true, capsys):
    begun = time.process_time()
    found = explore(PROVIDERS[name], facts(PROVIDERS[name], *true), workers=4)
    assert found.violation is None, "\n".join(found.violation.events)
    with capsys.disabled():
        print(f"\n{name}, W=4: {found.states:,} worlds, {found.transitions:,} steps, {time.process_time() - begun:.1f} s of CPU")


FOUND = {
    "no version check": {"ccv": (r"a step from Processing was written over", 14), "connect": (r"was written over cancelled", 9)},
    "effect outside the commit": {"ccv": (r"stuck.*configuring", 1), "connect": (r"stuck.*registering", 1)},
    "no dedupe": {"connect": (r"one key moved the order twice", 13)},  # no command of CCV's is legal twice
    "no read sweep": {"ccv": (r"stuck.*Processing", 7), "connect": (r"stuck.*cancelled, while the provider says fulfilled", 6)},
    "claim trusted": {"connect": (r"fulfilled is ahead of the provider, who says preliminary", 5)},  # CCV's notices claim nothing
    "stale read applied": {"ccv": (r"began before the last step", 14), "connect": (r"began before the last step", 9)},
    "blind retry": {"ccv": (r"submit_order was carried out twice", 8), "connect": (r"register_order was carried out twice", 5)},
}


@pytest.mark.parametrize(("bug", "name"), [(bug, name) for bug, shown in FOUND.items() for name in shown])
def test_a_seeded_bug_is_found_with_a_short_story(bug, name):
    wrong, longest = FOUND[bug][name]
    outside = PROVIDERS[name]
    tried = (explore(outside, given, workers=2, engine=BUGS[bug]).violation for given in valuations_of(outside.table))
    violation = next(found for found in tried if found is not None)
    assert re.search(wrong, violation.wrong), violation.wrong
    assert len(violation.events) <= longest, "\n".join(violation.events)


def test_every_bug_is_sought():
    assert FOUND.keys() == BUGS.keys()
    assert all(FOUND.values())


def test_the_story_is_told_as_events_and_as_a_diagram():
    violation = explore(CONNECT, facts(CONNECT, "url_allowed", "to_pay"), engine=BUGS["claim trusted"]).violation
    assert violation is not None
    assert violation.events == (
        "1. caller -> order: register (now registering)",
        "2. order -> worker A: takes register_order",
        "3. worker A -> provider: calls register_order: done and answered",
        "4. worker A -> order: reports register_order: answered (now registered)",
        "5. anyone -> order: claims returned_success (now fulfilled)",
    )
    head, *lines = violation.mermaid.splitlines()
    assert head == "sequenceDiagram"
    declared = {line.split()[1] for line in lines if line.split()[0] == "participant"}
    drawn = [re.fullmatch(r"    (\w+)->>(\w+): [^;#]+", line) for line in lines if "->>" in line]
    assert len(drawn) == len(violation.events)
    assert {name for arrow in drawn for name in arrow.groups()} == declared
    assert lines[-1] == f"    Note over Store: {violation.wrong}"


def test_two_workers_keep_their_names_through_a_story():
    violation = explore(CCV, facts(CCV), engine=BUGS["stale read applied"]).violation
    assert violation is not None
    reading = [event.split(". ", 1)[1] for event in violation.events if "status read" in event or "status " in event or "saw" in event]
    assert {line.split(":")[0] for line in reading} >= {"order -> worker A", "order -> worker B"}
    assert reading[-1].startswith("worker A -> order: saw Processing, read before the last step")


# ── a lifecycle that is neither provider's ───────────────────────────────────────────────────────────────────────────────────


class Warehouse(Lifecycle, name="warehouse"):
    """A parcel: booked once, then only watched."""

    # fmt: off
    packed   = State(initial=True)
    booking  = State()
    doubtful = State()
    booked   = State()
    away     = State(proven=True, final=True)
    dropped  = State(final=True)
    unknown  = State(final=True)
    book_parcel = once(kind="booking")
    print_label = repeatable()
    book                = edge(command, packed.to(booking), Cause.US, assumed("a test"), "book", effects=[book_parcel])
    parcel_booked       = edge(reply, booked.from_(booking, doubtful), Cause.PROVIDER, assumed("a test"), "booked")
    booking_refused     = edge(reply, dropped.from_(booking, doubtful), Cause.PROVIDER, assumed("a test"), "refused")
    booking_undelivered = edge(reply, booking.to(packed), Cause.US, assumed("a test"), "never sent")
    booking_answer_lost = edge(reply, booking.to(doubtful), Cause.US, assumed("a test"), "lost")
    booking_given_up    = edge(operator, doubtful.to(unknown), Cause.EMPLOYEE, assumed("a test"), "given up")
    seen_away           = edge(observation, booked.to(away), Cause.PROVIDER, assumed("a test"), "away")
    # fmt: on
    readings = {"HERE": reading(consistent=[booking, doubtful, booked]), "AWAY": reading(consistent=[away], proves=away)}


WAREHOUSE = Outside(
    Warehouse.table,
    {"book_parcel": Calling("parcel_booked", creates="HERE"), "print_label": Calling("parcel_booked")},
    {"HERE": ("AWAY",), "AWAY": ()},
    (),
)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_a_third_lifecycle_is_one_more_record(workers):
    assert explore(WAREHOUSE, {}, workers=workers).violation is None


@pytest.mark.parametrize("bug", sorted(BUGS.keys() - {"claim trusted"}))
def test_the_bugs_show_in_the_third_lifecycle_too(bug):
    violation = explore(WAREHOUSE, {}, workers=2, engine=BUGS[bug]).violation
    assert (violation is None) == (bug == "stale read applied")  # there is but one step to read, and a second is no news
