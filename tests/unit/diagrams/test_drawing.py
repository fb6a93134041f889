"""Drawings: which edges are merged, which keep an arrow of their own, and that no edge is lost."""

from orderflow._diagrams.drawing import Arrow, Drawing, GroupKind, NodeKind, build_drawing
from orderflow._lifecycle.table import Table
from orderflow.model import Strength

ANY = GroupKind.OPEN


def find_arrows(drawing: Drawing, source: str, target: str) -> list[Arrow]:
    return [arrow for arrow in drawing.arrows if (arrow.source, arrow.target) == (source, target)]


def list_labels(drawing: Drawing, source: str, target: str) -> list[str]:
    return [label for arrow in find_arrows(drawing, source, target) for label in arrow.labels]


def test_every_edge_is_in_exactly_one_arrow_or_stays(registered: Table, small: dict[str, Table]) -> None:
    for table in (registered, *small.values()):
        drawing = build_drawing(table)
        drawn = [id(edge) for arrow in drawing.arrows for edge in arrow.edges] + [id(edge) for edge in drawing.stays]
        assert sorted(drawn) == sorted(id(edge) for edge in table.edges)


def test_no_line_looks_better_documented_than_an_edge_behind_it(registered: Table) -> None:
    for arrow in build_drawing(registered).arrows:
        strengths = {edge.evidence.strength for edge in arrow.edges}
        assert arrow.solid == (strengths == {Strength.DOCUMENTED})
        assert arrow.solid or Strength.DOCUMENTED not in strengths


def test_every_label_is_on_its_arrow(registered: Table) -> None:
    for arrow in build_drawing(registered).arrows:
        for edge in arrow.edges:
            assert any(edge.label in label for label in arrow.labels)


def test_fans_of_ccv_leave_any_open_state(ccv: Table) -> None:
    drawing = build_drawing(ccv)
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
    assert list_labels(drawing, ANY, "Canceled") == ["merchant cancels"]
    assert list_labels(drawing, ANY, "Closed") == ["CCV closes"]
    assert list_labels(drawing, ANY, "Failed") == ["technical failure"]
    assert list_labels(drawing, "Screening", "Closed") == ["rejected or closed"], "it has another label"
    assert not find_arrows(drawing, "New", "Canceled")
    assert len(drawing.arrows) < 0.6 * len(ccv.edges)


def test_recovery_is_one_arrow_whose_label_names_the_exception(ccv: Table) -> None:
    drawing = build_drawing(ccv)
    assert list_labels(drawing, "Failed", ANY) == ["recovered: to any status but ErpInProgress"]
    assert [arrow.target for arrow in drawing.arrows if arrow.source == "Failed"] == [ANY]


def test_late_proof_of_connect_leaves_any_provisional_end(connect: Table) -> None:
    drawing = build_drawing(connect)
    assert {group.kind: set(group.members) for group in drawing.groups}[GroupKind.PROVISIONAL] == {
        "cancelled",
        "error",
        "unknown",
    }
    assert list_labels(drawing, GroupKind.PROVISIONAL, "paid") == ["paid after all"]
    assert list_labels(drawing, GroupKind.PROVISIONAL, "fulfilled") == ["fulfilled after all"]


def test_a_fan_needs_its_share_of_the_group_and_its_label_names_the_other_states(small: dict[str, Table]) -> None:
    drawing = build_drawing(small["fan"])
    assert list_labels(drawing, ANY, "lost") == ["lose it (not from five)"], "four of five"
    assert find_arrows(drawing, ANY, "found") == [], "two of five"
    assert list_labels(drawing, "four", "found") == list_labels(drawing, "five", "found") == ["find it"]
    assert list_labels(drawing, ANY, "odd") == ["turn odd"]
    (arrow,) = find_arrows(drawing, "five", "odd")
    assert arrow.labels == ("odd at last",)
    assert arrow.solid
    assert list_labels(drawing, "odd", ANY) == ["back: to any status but lost"]


def test_parallels_are_one_arrow_per_kind_of_line(connect: Table) -> None:
    arrows = find_arrows(build_drawing(connect), "fulfilling", "confirming")
    assert sorted(arrow.solid for arrow in arrows) == [False, True]
    (documented,) = (arrow for arrow in arrows if arrow.solid)
    assert set(documented.labels) >= {"accepted", "returned: success", "returned: cancel"}


def test_every_state_has_its_kind(ccv: Table, connect: Table) -> None:
    kinds = {node.value: node.kind for table in (ccv, connect) for node in build_drawing(table).nodes}
    assert kinds["drafted"] is NodeKind.INITIAL
    assert kinds["Processing"] is NodeKind.OPEN
    assert kinds["ErpInProgress"] is NodeKind.ASSUMED
    assert kinds["FulfillmentDone"] is NodeKind.PROVEN
    assert kinds["Failed"] is kinds["unknown"] is NodeKind.PROVISIONAL
    assert kinds["Completed"] is kinds["user_assigned"] is NodeKind.PROVEN_END
    assert kinds["Canceled"] is kinds["abandoned"] is NodeKind.END


def test_edges_that_stay_in_their_state_are_kept_apart(ccv: Table) -> None:
    assert [(edge.source, edge.label) for edge in build_drawing(ccv).stays] == [("Failed", "recovery window closed")]
