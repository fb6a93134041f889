"""Whether every order ended as promised: its journal is a path, and its state agrees with what the simulator knows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from tests.verification.simulation.world import VirtualWorld

from orderflow._lifecycle.table import Table
from orderflow._providers.ccv.lifecycle import CcvLifecycle
from orderflow._providers.connect.lifecycle import ConnectLifecycle
from orderflow.model import JournalRow, Order, StepKind

_TABLES: dict[str, Table] = {"ccv": CcvLifecycle.table, "connect": ConnectLifecycle.table}
_FULFILLED = {"fulfilled", "assigning", "assignment_in_doubt", "user_assigned"}
_NEVER_SENT = {"refused", "abandoned", "discarded"}


def problems_of(world: VirtualWorld, order: Order, journal: list[JournalRow]) -> list[str]:
    """What is wrong with an order; empty: nothing."""
    disagreement = _disagreement_with_connect if order.provider == "connect" else _disagreement_with_ccv
    return [*disagreement(world, order), *_gaps(_TABLES[order.provider], order, journal)]


def find_shared_ids(orders: Iterable[Order]) -> list[str]:
    """The provider's ids that several orders of one provider have."""
    counts = Counter((order.provider, order.provider_id) for order in orders if order.provider_id is not None)
    return [f"{provider}'s {provider_id} belongs to {count} orders" for (provider, provider_id), count in counts.items() if count > 1]


def _disagreement_with_ccv(world: VirtualWorld, order: Order) -> list[str]:
    reference = order.snapshot.data["external_reference"]
    submitted = [known for known in world.ccv.orders if known.external_reference == reference]
    if len(submitted) > 1:
        return [f"submitted {len(submitted)} times"]
    if order.state in _NEVER_SENT:
        return ["given up as never submitted, but it was submitted"] if submitted else []
    if order.state in ("submission_in_doubt", "drafted"):
        return []
    if order.provider_id is None:
        return ["neither submitted nor in doubt"]
    status = submitted[0].status if submitted else "none"
    return [] if status == order.state else [f"CCV's status is {status}"]


def _disagreement_with_connect(world: VirtualWorld, order: Order) -> list[str]:
    reference = order.snapshot.data["request"]["externalOrderId"]  # type: ignore[index]
    registered = [known for known in world.connect.orders if known.external_order_id == reference]
    if len(registered) > 1:
        return [f"registered {len(registered)} times"]
    if order.state in _NEVER_SENT:
        return ["given up as never registered, but it was registered"] if registered else []
    if order.state in ("registration_in_doubt", "drafted"):
        return []
    if order.provider_id is None:
        return ["neither registered nor in doubt"]
    is_fulfilled = bool(registered) and registered[0].status != "preliminary"
    if is_fulfilled == (order.state in _FULFILLED):
        return []
    return [f"Connect's order is {'' if is_fulfilled else 'not '}fulfilled"]


def _gaps(table: Table, order: Order, journal: list[JournalRow]) -> list[str]:
    """Where the journal is not a path of edges and marked jumps, without a gap, that ends in the order's state."""
    edges = {(edge.event, edge.source, edge.target) for edge in table.edges}
    state, gaps = table.initial, []
    for version, row in enumerate(journal, 1):
        is_legal = row.kind in (StepKind.JUMP, StepKind.OVERRIDE) or (row.event, row.source, row.target) in edges
        if row.version != version or row.source != state or not is_legal:
            gaps.append(f"row {row.version} ({row.event}: {row.source} -> {row.target}) is not a step from {state}")
        state = row.target
    return gaps if state == order.state else [*gaps, f"the journal ends in {state}"]
