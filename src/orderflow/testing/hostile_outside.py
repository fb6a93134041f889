"""What is outside the engine, as small as it can be and still do its worst: which statuses a provider goes through, what its calls do.

``CCV`` and ``CONNECT`` are the two providers; another is one more record. Nothing is explored here.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from orderflow.lifecycle.table import Table
from orderflow.model import Origin
from orderflow.providers.ccv.lifecycle import CcvLifecycle
from orderflow.providers.connect.lifecycle import ConnectLifecycle


@frozen
class Calling:
    """What an effect's call does. ``answer``: the reply event of success; ``creates``: the status of the order that it makes at the
    provider; ``needs``: the statuses in which the provider acts (empty: always); ``seeks``: it finds an order, and changes nothing."""

    answer: str
    creates: str = ""
    needs: tuple[str, ...] = ()
    seeks: bool = False
    names: bool = True  # the answer carries the provider's id of the order


@frozen
class Outside:
    """A provider as seen from the engine. ``moves``: where its order may go from each status, whatever we do. ``finds``: the
    operator events that only somebody who sees the order at the provider would send."""

    table: Table
    calls: Mapping[str, Calling]
    moves: Mapping[str, tuple[str, ...]]
    finds: tuple[str, ...]


def moves_of(table: Table) -> dict[str, tuple[str, ...]]:
    """Status moves where each status proves a state of its own: along the lifecycle's observation edges, guards aside."""
    status = {reading.proves: name for name, reading in table.readings.items() if reading.proves}
    seen = [edge for edge in table.edges if edge.origin is Origin.OBSERVATION]
    return {
        name: tuple(dict.fromkeys(status[edge.target] for edge in seen if edge.source == state and edge.target in status))
        for state, name in status.items()
    }


CCV = Outside(
    CcvLifecycle.table,
    {
        "configure_order": Calling("order_configured", names=False),
        "submit_order": Calling("order_submitted", creates="Processing"),
    },
    moves_of(CcvLifecycle.table),
    ("submission_resolved",),
)
"""CCV moves along every declared status edge, out of Failed too, whenever it likes."""

CONNECT = Outside(
    ConnectLifecycle.table,
    {
        "register_order": Calling("order_registered", creates="preliminary"),
        "fulfill_by_sms": Calling("fulfillment_accepted", needs=("preliminary",)),
        "fulfill_order": Calling("fulfillment_accepted", needs=("preliminary", "fulfilled")),
        "assign_to_user": Calling("assigned", needs=("fulfilled",)),
        "search_order": Calling("registration_found", needs=("preliminary", "fulfilled"), seeks=True),
    },
    {"preliminary": ("fulfilled",), "fulfilled": ()},
    ("registration_resolved", "assignment_resolved"),
)
"""Whoever knows the URL can pay (A1), so Connect's order may be fulfilled at any moment from registration on."""
