"""The call that the engine would make for an effect of an order. No test lives here."""

from __future__ import annotations

from orderflow.model import Order
from orderflow.provider import Call, Provider


def call_for(provider: Provider, effect: str, order: Order) -> Call:
    """The first attempt of a call that is decided on the order as it stands."""
    data = order.snapshot.data
    declared = provider.table.effects.get(effect)
    arguments = {name: data[name] for name in declared.arguments if name in data} if declared else {}
    return Call(f"{order.id}:1:0", effect, order, arguments, version=1)
