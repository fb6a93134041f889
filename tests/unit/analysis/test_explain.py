"""The paths that ``why`` shows could happen: no reply without a call, none twice."""

from __future__ import annotations

from orderflow._analysis.explain import explain_event, shortest_path_to_settled
from orderflow._analysis.reachability import reachable
from orderflow._lifecycle.table import Edge, Table
from orderflow._providers.connect.lifecycle import ConnectLifecycle
from orderflow.model import Snapshot


def kind_of(table: Table, edge: Edge) -> str:
    """The kind of effect that a reply names, by the three names that are prescribed."""
    for effect in table.effects.values():
        if effect.kind and edge.event in {f"{effect.kind}_{end}" for end in ("refused", "undelivered", "answer_lost")}:
            return effect.kind
    return ""


def test_no_path_of_a_new_order_has_a_reply_to_a_call_that_was_not_made_or_is_answered(table) -> None:
    """To every event, from everything that an order can be created as: checked edge by edge."""
    steps = 0
    for here in reachable(table):
        if here.state != table.initial:
            continue
        for event in table.events:
            under_way: set[str] = set()
            for edge in explain_event(table, here.snapshot(table), event).path or ():
                if kind := kind_of(table, edge):
                    assert kind in under_way, f"{edge.event} in {edge.source}"
                    under_way -= {kind} if not edge.event.endswith("_answer_lost") else set()
                under_way |= {effect.kind for effect in edge.effects}
                steps += 1
    assert steps > 100


def at(state: str, **facts: bool | str) -> Snapshot:
    return Snapshot(state, {**ConnectLifecycle.table.defaults(), "url_allowed": True, "api_allowed": True, **facts}, {}, 3)


def test_a_path_from_a_state_has_only_replies_to_calls_that_may_be_under_way_there() -> None:
    table = ConnectLifecycle.table
    by_browser = explain_event(table, at("fulfilling", way="url", api_allowed=False), "recovery_window_closed").path
    after_api = explain_event(table, at("fulfilling", way="url"), "recovery_window_closed").path  # an earlier call's answer was lost
    by_api = explain_event(table, at("fulfilling", way="api"), "recovery_window_closed").path
    assert [edge.event for edge in by_browser or ()] == ["no_return", "recovery_window_closed"]
    for path in (after_api, by_api):
        assert [edge.event for edge in path or ()] == ["fulfillment_refused", "recovery_window_closed"]


def test_an_answer_that_was_lost_may_still_come() -> None:
    table = ConnectLifecycle.table
    order = at("fulfilling", way="api", by_sms=True)
    assert explain_event(table, order, "fulfillment_given_up").path is not None
    path = explain_event(table, at("fulfillment_in_doubt", way="api", by_sms=True), "no_return").path
    assert [edge.event for edge in path or ()] == ["fulfillment_accepted", "no_return"]


def test_where_an_operator_put_an_order_any_call_may_be_under_way() -> None:
    """No path of edges leads to `fulfilling` while the fact `way` is none."""
    path = explain_event(ConnectLifecycle.table, at("fulfilling"), "recovery_window_closed").path
    assert [edge.event for edge in path or ()] == ["fulfillment_refused", "recovery_window_closed"]


def test_a_kind_whose_name_begins_anothers_does_not_answer_for_it(declare) -> None:
    table = declare(
        """
        new = State(initial=True)
        a = State()
        b = State()
        c = State(final=True)
        d = State(final=True)
        pay_back = Flag()
        ask = once(kind="pay", successes=["paid"])
        hand_out = once(kind="pay_out", successes=["paid_out"])
        begin = e(command, new.to(a))
        go = e(command, a.to(b), effects=[ask])
        pay_refused = e(reply, b.to(a))
        pay_undelivered = e(reply, b.to(a))
        pay_answer_lost = e(reply, b.to(b))
        pay_out_refused = e(reply, b.to(c))
        pay_out_undelivered = e(reply, b.to(c))
        pay_out_answer_lost = e(reply, b.to(b))
        paid = e(reply, b.to(d), cond=pay_back)
        paid_out = e(reply, b.to(d), cond=pay_back)
        seen = e(observation, b.to(d), cond=pay_back)
        settle = e(command, b.to(a), cond=pay_back, effects=[hand_out])
        done = e(operator, b.to(d))
        """
    ).table
    assert shortest_path_to_settled(table, Snapshot("new", {"pay_back": False}, {}, 0)) is not None
    assert explain_event(table, Snapshot("new", {"pay_back": False}, {}, 0), "pay_out_refused").path is None
    path = explain_event(table, Snapshot("new", {"pay_back": True}, {}, 0), "pay_out_refused").path
    assert [edge.event for edge in path or ()] == ["begin", "go", "settle", "go", "pay_out_refused"]
