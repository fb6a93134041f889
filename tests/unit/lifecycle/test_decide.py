"""``decide``: the answer of every kind of cell, and what an answer carries."""

from __future__ import annotations

import pytest
from attrs import evolve

from orderflow._lifecycle.decide import decide, find_enabled, is_pollable, is_settled, legal
from orderflow._lifecycle.declare import Lifecycle, State, documented, edge, once
from orderflow._lifecycle.facts import Flag
from orderflow.errors import UnknownName
from orderflow.model import Applied, Cause, Effect, Event, Ignored, Origin, Reason, Refused, Snapshot, Step, StepKind

WHY = {"cause": Cause.US, "evidence": documented("page 1"), "label": "moves"}


class Parcel(Lifecycle, name="parcel"):
    """A parcel: packed, sent, perhaps lost, delivered."""

    packed = State(initial=True)
    sent = State(deadlines={"overdue": "patience"})
    lost = State(provisional=True)
    delivered = State(proven=True, final=True)
    returned = State(final=True)

    stamped = Flag()
    rung = Flag()
    post_it = once("posting", successes=["posted"])

    post = edge(Origin.COMMAND, packed.to(sent), cond=stamped, sets={"rung": False}, effects=[post_it], **WHY)
    posted = edge(Origin.REPLY, sent.to(sent), **WHY)
    posting_refused = edge(Origin.REPLY, sent.to(packed), **WHY)
    posting_undelivered = edge(Origin.REPLY, sent.to(packed), **WHY)
    posting_answer_lost = edge(Origin.REPLY, sent.to(lost), **WHY)
    bell_rang = edge(Origin.CLAIM, sent.to(sent), cond=~rung, sets={"rung": True}, **WHY)
    seen_delivered = edge(Origin.OBSERVATION, delivered.from_(sent, lost), **WHY)
    overdue = edge(Origin.CLOCK, sent.to(lost), **WHY)
    recalled = edge(Origin.OPERATOR, returned.from_(packed, lost), **WHY)


TABLE = Parcel.table


def at(state: str, **facts: bool) -> Snapshot:
    return Snapshot(state, {**TABLE.defaults(), **facts}, {"to": "me"}, 4)


def decide_in(state: str, event: str, origin: Origin | None = None, **facts: bool) -> object:
    return decide(TABLE, at(state, **facts), Event(event, origin or TABLE.events[event]))


def test_an_enabled_edge_is_applied_with_its_effects_and_facts_and_the_events_data():
    before = at("packed", stamped=True, rung=True)
    decision = decide(TABLE, before, Event("post", Origin.COMMAND, {"weight": 3}))
    effects = (Effect("post_it", "posting", once=True, successes=("posted",)),)
    assert decision == Applied(
        (Step("post", Origin.COMMAND, "packed", "sent", StepKind.STEP, effects, facts={"rung": False}),),
        Snapshot("sent", {"stamped": True, "rung": False}, {"to": "me", "weight": 3}, 5),
    )
    assert before == at("packed", stamped=True, rung=True)


def test_a_command_refused_by_its_guard_names_what_it_needs_and_what_is_legal():
    assert decide_in("packed", "post") == Refused(Reason.GUARD_FAILED, "packed", "needs stamped", ("recalled",))


def test_a_command_that_is_not_legal_here_is_refused():
    assert decide_in("sent", "post") == Refused(Reason.NOT_LEGAL_HERE, "sent", "", ())


def test_an_operators_event_that_is_not_legal_here_is_refused():
    assert decide_in("sent", "recalled") == Refused(Reason.NOT_LEGAL_HERE, "sent", "", ())


@pytest.mark.parametrize(
    ("state", "event", "answer"),
    [
        ("packed", "bell_rang", Reason.LATE),  # sent reaches packed again: the bell may ring late
        ("sent", "bell_rang", Reason.LATE),  # the guard failed: it rang before
        ("delivered", "bell_rang", Reason.LATE),
        ("delivered", "overdue", Reason.LATE),
        ("delivered", "posting_refused", Reason.LATE),
        ("packed", "seen_delivered", Reason.NO_NEWS),
    ],
)
def test_what_was_not_asked_for_is_ignored(state, event, answer):
    assert decide_in(state, event, rung=True) == Ignored(answer, state)


def test_a_claim_before_its_time_is_early_but_a_reply_or_clock_is_refused(declare):
    table = declare(
        """
        a = State(initial=True)
        b = State(deadlines={"overdue": "patience"})
        c = State(final=True)
        go = e(command, a.to(b))
        bell_rang = e(claim, b.to(c))
        call = repeatable(successes=["answered"])
        answered = e(reply, b.to(c))
        overdue = e(clock, b.to(c))
        """
    ).table
    start = Snapshot("a", {}, {}, 0)
    assert decide(table, start, Event("bell_rang", Origin.CLAIM)) == Ignored(Reason.EARLY, "a")
    for event in ("answered", "overdue"):
        assert decide(table, start, Event(event, table.events[event])) == Refused(Reason.NOT_LEGAL_HERE, "a", "", ("go",))


def test_the_wrong_origin_is_refused_whatever_the_state():
    for state, commands in (("packed", ("recalled",)), ("sent", ())):
        decision = decide_in(state, "seen_delivered", Origin.CLAIM)
        assert decision == Refused(Reason.WRONG_ORIGIN, state, "not a claim: seen_delivered has origin observation", commands)


def test_the_wrong_origin_is_named_in_plain_english():
    details = [decide_in("packed", "seen_delivered", origin).detail for origin in Origin if origin is not Origin.OBSERVATION]
    assert {detail.partition(":")[0] for detail in details} == {
        "not a command",
        "not a reply",
        "not a claim",
        "not a clock",
        "not an operator",
    }
    assert decide_in("packed", "post", Origin.OBSERVATION).detail.startswith("not an observation: ")


def test_unknown_events_and_states_are_errors_that_name_what_is_known():
    with pytest.raises(UnknownName, match="unknown event of parcel: 'fly'") as event:
        decide(TABLE, at("sent"), Event("fly", Origin.COMMAND))
    assert "post" in event.value.known
    with pytest.raises(UnknownName, match="unknown state of parcel: 'limbo'") as state:
        decide(TABLE, evolve(at("sent"), state="limbo"), Event("post", Origin.COMMAND))
    assert "sent" in state.value.known


def test_what_can_be_asked_of_a_snapshot():
    assert legal(TABLE, at("packed")) == ("recalled",)
    assert legal(TABLE, at("packed", stamped=True)) == ("post", "recalled")
    assert [edge.event for edge in find_enabled(TABLE, at("packed"))] == ["recalled"]
    assert is_settled(TABLE, at("packed"))  # only an operator can move it
    assert not is_settled(TABLE, at("packed", stamped=True))
    assert is_settled(TABLE, at("delivered"))
    assert is_pollable(TABLE, at("lost"))
    assert not is_pollable(TABLE, at("packed", stamped=True))


def test_legal_is_what_would_be_applied_in_every_cell(table):
    """What a refusal offers is exactly what decide would apply."""
    asked = [name for name, origin in table.events.items() if origin in (Origin.COMMAND, Origin.OPERATOR)]
    for state in table.states:
        snapshot = Snapshot(state, {name: values[-1] for name, values in table.facts.items()}, {}, 0)
        applied = [n for n in asked if isinstance(decide(table, snapshot, Event(n, table.events[n])), Applied)]
        assert set(legal(table, snapshot)) == set(applied)
