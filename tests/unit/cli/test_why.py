"""``orderflow why``, as a user sees it: which events are legal, what is missing for the others, and the way there."""

from __future__ import annotations

import pytest
from tests.kit.stored_orders import stored


@pytest.fixture
def invoice(tmp_path):
    """A Connect order to be paid by invoice, registered."""
    db, (order,) = stored(tmp_path, ("connect", "k", "registered", {"method": "invoice"}))
    return db, order


def events(ran):
    """The answers by event."""
    return {answer["event"]: answer for answer in ran.json["events"]}


def test_every_event_has_an_answer(orderflow, invoice) -> None:
    db, order = invoice
    ran = orderflow("why", order, "--db", db, "--json")
    assert ran.code == 0
    answers = events(ran)
    assert len(answers) == 41
    assert (ran.json["order"], ran.json["lifecycle"], ran.json["state"]) == (order, "connect", "registered")
    legal = {name: answer["target"] for name, answer in answers.items() if answer["legal"]}
    assert legal["complete_by_api"] == "fulfilling"
    assert legal["never_completed"] == "cancelled"
    assert "assign_user" not in legal


def test_a_failing_guard_names_the_fact_and_the_events_that_set_it(orderflow, tmp_path) -> None:
    db, (order,) = stored(tmp_path, ("connect", "k", "confirming", {"method": "invoice"}))
    answers = events(orderflow("why", order, "--db", db, "--json"))
    grace = answers["cancel_grace_over"]
    assert not grace["legal"]
    assert grace["guard"] == "claimed = cancel and grace = running"
    (missing,) = grace["missing"]
    assert (missing["fact"], missing["now"], missing["needed"]) == ("claimed", "none", "cancel")
    assert {(edge["event"], edge["origin"]) for edge in missing["set_by"]} == {("returned_cancel", "claim")}


def test_an_event_that_is_not_legal_here_names_where_it_is_legal_and_the_shortest_way(orderflow, invoice) -> None:
    db, order = invoice
    (answer,) = orderflow("why", order, "recovery_window_closed", "--db", db, "--json").json["events"]
    assert (answer["origin"], answer["guard"], answer["sources"]) == ("clock", "", ["cancelled", "error", "unknown"])
    assert [step["event"] for step in answer["path"]] == ["never_completed", "recovery_window_closed"]


def test_a_fact_given_at_create_can_never_change(orderflow, invoice) -> None:
    db, order = invoice
    (answer,) = orderflow("why", order, "complete_by_url", "--db", db, "--json").json["events"]
    assert (answer["legal"], answer["guard"], answer["path"]) == (False, "url_allowed", None)
    assert answer["missing"] == [{"fact": "url_allowed", "now": False, "needed": True, "set_by": []}]
    assert "url_allowed is false, not true, which is given at create" in orderflow("why", order, "complete_by_url", "--db", db).out


def test_the_shortest_way_to_a_settled_state(orderflow, tmp_path) -> None:
    places = [("ccv", "a", "", {}), ("ccv", "b", "Completed", {}), ("connect", "c", "fulfillment_in_doubt", {"method": "sms"})]
    db, (drafted, done, in_doubt) = stored(tmp_path, *places)
    expected = {
        drafted: [("discard", "command")],
        in_doubt: [("fulfillment_refused", "reply"), ("recovery_window_closed", "clock")],
    }
    for order, steps in expected.items():
        way = orderflow("why", order, "--db", db, "--json").json["to_settled"]
        assert [(step["event"], step["origin"]) for step in way] == steps
    settled = orderflow("why", done, "--db", db)
    assert "it is settled" in settled.out
    assert orderflow("why", done, "--db", db, "--json").json["to_settled"] == []


def test_a_legal_event_is_followed_to_a_settled_state(orderflow, tmp_path) -> None:
    db, (order,) = stored(tmp_path, ("ccv", "a", "Processing", {}))
    (answer,) = orderflow("why", order, "seen_failed", "--db", db, "--json").json["events"]
    assert answer["legal"]
    assert [step["event"] for step in answer["path"]] == ["seen_failed", "seen_completed"]


def test_no_way_needs_the_reply_to_a_call_that_was_not_made(orderflow, tmp_path) -> None:
    """By URL no fulfillment call is made, so no reply can refuse it, although the table has an edge for that reply."""
    db, (by_url, by_api) = stored(
        tmp_path, ("connect", "url", "registered", {"method": "creditcardPayex"}), ("connect", "api", "registered", {"method": "invoice"})
    )
    for order, enters in ((by_url, None), (by_api, ["complete_by_api", "fulfillment_refused"])):
        (answer,) = orderflow("why", order, "fulfillment_refused", "--db", db, "--json").json["events"]
        assert answer["sources"] == ["fulfilling", "fulfillment_in_doubt", "confirming"]
        assert (answer["path"] and [step["event"] for step in answer["path"]]) == enters


def test_in_words(orderflow, invoice) -> None:
    db, order = invoice
    ran = orderflow("why", order, "--db", db)
    assert ran.code == 0
    assert ran.out.startswith(f"{order}: registered (version 1)\nshortest way to a settled state: ")
    lines = [line for line in ran.out.splitlines() if line.startswith(("complete_by_api", "assigned"))]
    assert "legal: -> fulfilling" in lines[0]
    assert "only from assigning, assignment_in_doubt" in lines[1]
    assert "canary" not in ran.out


def test_the_table_fits_80_columns_and_one_event_is_explained_in_full(orderflow, tmp_path) -> None:
    places = [("ccv", "Processing"), ("connect", "registered"), ("connect", "confirming"), ("connect", "fulfillment_in_doubt")]
    db, orders = stored(tmp_path, *((provider, str(n), state, {}) for n, (provider, state) in enumerate(places)))
    for order in orders:
        ran = orderflow("why", order, "--db", db, COLUMNS="80")
        assert max(map(len, ran.out.splitlines())) <= 80
        remedy = f"What is missing for one of them, and the way there: orderflow why {order} EVENT"
        assert " ".join(ran.out.split()).endswith(remedy)
    full = orderflow("why", orders[1], "called_back_success", "--db", db).out
    assert "\nbecause: only from awaiting_payment, fulfillment_in_doubt, fulfilling, confirming\nway: complete_by_api (command) > " in full
    no_way = orderflow("why", orders[1], "registration_undelivered", "--db", db).out
    assert no_way.endswith("\nregistration_undelivered (reply): no\nbecause: only from registering\nway: none\n")
    legal = orderflow("why", orders[1], "never_completed", "--db", db).out
    assert "\nnever_completed (clock): legal: -> cancelled\nway: never_completed (clock) > " in legal


def test_an_unknown_order_event_or_database(orderflow, invoice) -> None:
    db, order = invoice
    assert orderflow("why", "connect-none", "--db", db).code == 3
    assert orderflow("why", order, "fly", "--db", db).code == 3
    assert orderflow("why", order, "--db", "sqlite:///nowhere.db").code == 7
