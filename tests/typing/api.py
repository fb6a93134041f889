"""Never run: how a user declares and uses a lifecycle. ``make check`` type-checks this folder with mypy and basedpyright."""

from __future__ import annotations

from typing import assert_type

from orderflow._analysis.check import Problem, Report, check
from orderflow._lifecycle.decide import decide, is_pollable, is_settled, legal
from orderflow._lifecycle.declare import Lifecycle, State, assumed, documented, edge, inferred, once, reading, repeatable
from orderflow._lifecycle.facts import Fact, Flag, Guard
from orderflow._lifecycle.observe import observe
from orderflow._lifecycle.table import Edge, Table
from orderflow.model import Applied, Cause, Decision, Event, Ignored, Observation, Origin, Reason, Refused, Snapshot, Step


class Parcel(Lifecycle, name="parcel"):
    """A lifecycle as a user declares it."""

    packed = State(initial=True, budget="packing_budget")
    sent = State("Sent", deadlines={"overdue": "patience"})
    lost = State(provisional=True, assumed=False)
    delivered = State(proven=True, final=True)

    stamped = Flag()
    size = Fact("small", "large")
    easy = stamped & ~size.is_("large") | size.is_("small")
    post_parcel = once(kind="posting", successes=["posted"])
    ring_bell = repeatable(successes=["posted"])

    post = edge(
        Origin.COMMAND,
        packed.to(sent),
        Cause.US,
        documented("page 1"),
        "posted",
        cond=easy,
        sets={"stamped": True, "size": "small"},
        effects=[post_parcel, ring_bell],
    )
    posted = edge(Origin.REPLY, sent.to(sent), cause=Cause.PROVIDER, evidence=inferred("1"), label="yes")
    posting_refused = edge(Origin.REPLY, sent.to(packed), cause=Cause.PROVIDER, evidence=inferred("1"), label="no")
    posting_undelivered = edge(Origin.REPLY, sent.to(packed), cause=Cause.US, evidence=inferred("1"), label="never sent")
    posting_answer_lost = edge(Origin.REPLY, sent.to(lost), cause=Cause.US, evidence=assumed("1"), label="who knows")
    overdue = edge(Origin.CLOCK, sent.to(lost), cause=Cause.CLOCK, evidence=assumed("1"), label="overdue")
    seen_delivered = edge(Origin.OBSERVATION, sent.to(delivered), Cause.CUSTOMER, documented("2"), "delivered") | edge(
        Origin.OBSERVATION, lost.to(delivered), Cause.CUSTOMER, documented("2"), "found", recovery=True, expects=stamped
    )

    readings = {"done": reading(consistent=[delivered], proves=delivered), "under way": reading(consistent=[sent])}


def ask(order: Snapshot) -> str:
    """Decide, and distinguish the three decisions exhaustively."""
    assert_type(Parcel.table, Table)
    assert_type(Parcel.easy, Guard)
    decision = decide(Parcel.table, order, Event("post", Origin.COMMAND, {"weight": 3}))
    assert_type(decision, Decision)
    match decision:
        case Applied(steps=steps, snapshot=after):
            assert_type(steps, tuple[Step, ...])
            assert_type(after, Snapshot)
            return after.state
        case Ignored(reason=reason):
            assert_type(reason, Reason)
            return reason
        case Refused(legal=commands):
            assert_type(commands, tuple[str, ...])
            return ", ".join(commands)


def read(order: Snapshot) -> Decision:
    """A poll that began at the version of the order."""
    if is_settled(Parcel.table, order) or not is_pollable(Parcel.table, order):
        return Ignored(Reason.NO_NEWS, order.state)
    assert_type(legal(Parcel.table, order), tuple[str, ...])
    return observe(Parcel.table, order, Observation("done", order.version))


def report() -> tuple[Problem, ...]:
    """Check the declaration, and walk its edges."""
    assert_type(check(Parcel.table), Report)
    edges: tuple[Edge, ...] = Parcel.table.edges
    assert_type(edges[0].origin, Origin)
    return check(Parcel.table).problems


def mistakes(order: Snapshot) -> None:
    """What both type checkers must refuse: an ignore that is not needed is an error."""
    # fmt: off
    decide(Parcel.table, order, "post")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    observe(Parcel.table, order, Event("seen_delivered", Origin.OBSERVATION))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    edge("command", Parcel.packed.to(Parcel.sent), Cause.US, documented("1"), "x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    edge(Origin.COMMAND, Parcel.packed.to(Parcel.sent), label="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    order.state = "lost"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    # fmt: on
