"""What is folded, what keeps an arrow of its own, and that nothing is lost on the way."""

from orderflow.diagrams.model import Arrow, Drawing, GroupKind, NodeKind, draw
from orderflow.lifecycle.table import Table
from orderflow.model import Strength

ANY = GroupKind.OPEN


def between(drawing: Drawing, source: str, target: str) -> list[Arrow]:
    return [arrow for arrow in drawing.arrows if (arrow.source, arrow.target) == (source, target)]


def labels(drawing: Drawing, source: str, target: str) -> list[str]:
    return [label for arrow in between(drawing, source, target) for label in arrow.labels]


def test_every_edge_is_in_exactly_one_arrow_or_stays(registered: Table, small: dict[str, Table]) -> None:
    for table in (registered, *small.values()):
        drawing = draw(table)
        drawn = [id(edge) for arrow in drawing.arrows for edge in arrow.edges] + [id(edge) for edge in drawing.stays]
        assert sorted(drawn) == sorted(id(edge) for edge in table.edges)


def test_no_line_looks_better_documented_than_an_edge_behind_it(registered: Table) -> None:
    for arrow in draw(registered).arrows:
        strengths = {edge.evidence.strength for edge in arrow.edges}
        assert arrow.solid == (strengths == {Strength.DOCUMENTED})
        assert arrow.solid or Strength.DOCUMENTED not in strengths


def test_every_label_is_on_its_arrow(registered: Table) -> None:
    for arrow in draw(registered).arrows:
        for edge in arrow.edges:
            assert any(edge.label in label for label in arrow.labels)


def test_fans_of_ccv_leave_any_open_state(ccv: Table) -> None:
    drawing = draw(ccv)
    (group,) = drawing.groups
    assert set(group.members) == {
        "Processing",
        "Incomplete",
        "AwaitingPayment",
        "Screening",
        "New",
        "ErpInProgress",
        "FulfillmentInProgress",
        "FulfillmentDone",
    }
    assert labels(drawing, ANY, "Canceled") == ["merchant cancels"]
    assert labels(drawing, ANY, "Closed") == ["CCV closes"]
    assert labels(drawing, ANY, "Failed") == ["technical failure"]
    assert labels(drawing, "Screening", "Closed") == ["rejected or closed"], "says something of its own"
    assert not between(drawing, "New", "Canceled")
    assert len(drawing.arrows) < 0.6 * len(ccv.edges)


def test_recovery_is_one_arrow_that_names_the_exception(ccv: Table) -> None:
    drawing = draw(ccv)
    assert labels(drawing, "Failed", ANY) == ["recovered: to any status but ErpInProgress"]
    assert [arrow.target for arrow in drawing.arrows if arrow.source == "Failed"] == [ANY]


def test_late_proof_of_connect_leaves_any_provisional_end(connect: Table) -> None:
    drawing = draw(connect)
    assert {group.kind: set(group.members) for group in drawing.groups}[GroupKind.PROVISIONAL] == {
        "cancelled",
        "error",
        "unknown",
    }
    assert labels(drawing, GroupKind.PROVISIONAL, "paid") == ["paid after all"]
    assert labels(drawing, GroupKind.PROVISIONAL, "fulfilled") == ["fulfilled after all"]


def test_a_fan_needs_its_share_and_names_whom_it_leaves_out(small: dict[str, Table]) -> None:
    drawing = draw(small["fan"])
    assert labels(drawing, ANY, "lost") == ["lose it (not from five)"], "four of five"
    assert between(drawing, ANY, "found") == [], "two of five"
    assert labels(drawing, "four", "found") == labels(drawing, "five", "found") == ["find it"]
    assert labels(drawing, ANY, "odd") == ["turn odd"]
    (own,) = between(drawing, "five", "odd")
    assert own.labels == ("odd at last",)
    assert own.solid
    assert labels(drawing, "odd", ANY) == ["back: to any status but lost"]


def test_parallels_are_one_arrow_per_kind_of_line(connect: Table) -> None:
    arrows = between(draw(connect), "fulfilling", "confirming")
    assert sorted(arrow.solid for arrow in arrows) == [False, True]
    (documented,) = (arrow for arrow in arrows if arrow.solid)
    assert set(documented.labels) >= {"accepted", "returned: success", "returned: cancel"}


def test_states_show_what_they_are(ccv: Table, connect: Table) -> None:
    kinds = {node.value: node.kind for table in (ccv, connect) for node in draw(table).nodes}
    assert kinds["drafted"] is NodeKind.INITIAL
    assert kinds["Processing"] is NodeKind.OPEN
    assert kinds["ErpInProgress"] is NodeKind.ASSUMED
    assert kinds["FulfillmentDone"] is NodeKind.PROVEN
    assert kinds["Failed"] is kinds["unknown"] is NodeKind.PROVISIONAL
    assert kinds["Completed"] is kinds["user_assigned"] is NodeKind.PROVEN_END
    assert kinds["Canceled"] is kinds["abandoned"] is NodeKind.END


def test_what_stays_is_told_apart(ccv: Table) -> None:
    assert [(edge.source, edge.label) for edge in draw(ccv).stays] == [("Failed", "recovery window closed")]
