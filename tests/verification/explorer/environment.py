"""What surrounds the engine in an exploration: the statuses that a provider's order goes through, and what each call does there.

``CCV`` and ``CONNECT`` are the two providers; another provider is one more ``Environment``. Nothing is explored here.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from orderflow._lifecycle.table import Table
from orderflow._providers.ccv.lifecycle import CcvLifecycle
from orderflow._providers.connect.lifecycle import ConnectLifecycle
from orderflow.model import Origin


@frozen
class CallModel:
    """What the call of one effect does at the provider.

    Attributes:
        reply: the event that reports success.
        creates: the status of the order that the call creates at the provider; empty: it creates none.
        needs: the statuses in which the provider acts on the call; empty: it always does.
        searches: the call looks for an order and changes nothing.
        names_order: the answer carries the provider's id of the order.
    """

    reply: str
    creates: str = ""
    needs: tuple[str, ...] = ()
    searches: bool = False
    names_order: bool = True


@frozen(eq=False)
class Environment:
    """A provider as the engine sees it.

    Attributes:
        table: the lifecycle.
        calls: what the call of each effect does.
        status_moves: per status, the statuses that may follow it, whatever we do.
        naming_events: operator events that name the provider's order: sent only when there is one.
        denials: operator events by which a person says that calls had no effect, and the effects they mean. The person is truthful:
            none of these was carried out, and no worker can still send one. Without this no engine could keep a once-effect to once.
    """

    table: Table
    calls: Mapping[str, CallModel]
    status_moves: Mapping[str, tuple[str, ...]]
    naming_events: tuple[str, ...]
    denials: Mapping[str, tuple[str, ...]] = {}


def status_moves_of(table: Table) -> dict[str, tuple[str, ...]]:
    """The moves between statuses where each status proves a state of its own: the observation edges, guards left out."""
    status_of = {reading.proves: status for status, reading in table.readings.items() if reading.proves}
    edges = [edge for edge in table.edges if edge.origin is Origin.OBSERVATION]
    return {
        status: tuple(dict.fromkeys(status_of[edge.target] for edge in edges if edge.source == state and edge.target in status_of))
        for state, status in status_of.items()
    }


CCV = Environment(
    CcvLifecycle.table,
    {
        "configure_order": CallModel("order_configured", names_order=False),
        "submit_order": CallModel("order_submitted", creates="Processing"),
    },
    status_moves_of(CcvLifecycle.table),
    ("submission_resolved",),
    {"submission_not_found": ("submit_order",)},
)
"""CCV's order may take every declared status edge, out of Failed too, at any time."""

CONNECT = Environment(
    ConnectLifecycle.table,
    {
        "register_order": CallModel("order_registered", creates="preliminary"),
        "fulfill_by_sms": CallModel("fulfillment_accepted", needs=("preliminary",)),
        "fulfill_order": CallModel("fulfillment_accepted", needs=("preliminary", "fulfilled")),
        "assign_to_user": CallModel("assigned", needs=("fulfilled",)),
        "search_order": CallModel("registration_found", needs=("preliminary", "fulfilled"), searches=True),
    },
    {"preliminary": ("fulfilled",), "fulfilled": ()},
    ("registration_resolved", "assignment_resolved"),
    {
        "registration_not_found": ("register_order",),
        "fulfillment_not_found": ("fulfill_order", "fulfill_by_sms"),
        "assignment_not_found": ("assign_to_user",),
    },
)
"""Anyone who knows the URL can pay (A1), so Connect's order may become fulfilled at any time from registration on."""
