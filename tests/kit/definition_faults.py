"""A small lifecycle and eight faults in it, as plain data: declared with orderflow, and with python-statemachine alone. No test."""

from __future__ import annotations

from functools import reduce
from operator import or_
from types import new_class
from typing import Any

import statemachine
from attrs import evolve, field, frozen
from statemachine.exceptions import InvalidDefinition

from orderflow._analysis.check import check
from orderflow._lifecycle.declare import Lifecycle, State, assumed, edge
from orderflow._lifecycle.properties import absence, after, at, can, on, precedence, universality
from orderflow.errors import DeclarationError
from orderflow.model import Cause, Origin

Edges = tuple[tuple[str, str, str], ...]


@frozen
class Shop:
    """States and edges (event, source, target); ``drafted`` is where orders begin."""

    states: tuple[str, ...]
    finals: tuple[str, ...]
    edges: Edges = field(repr=False)

    def plus(self, *edges: tuple[str, str, str], states: tuple[str, ...] = ()) -> Shop:
        """With more states and edges."""
        return evolve(self, states=self.states + states, edges=self.edges + edges)

    def minus(self, *edges: tuple[str, str, str]) -> Shop:
        """Without these edges."""
        return evolve(self, edges=tuple(each for each in self.edges if each not in edges))


SHOP = Shop(
    ("drafted", "awaiting_payment", "screening", "ready"),
    ("completed", "closed", "canceled"),
    (
        ("submit", "drafted", "awaiting_payment"),
        ("payment_seen", "awaiting_payment", "screening"),
        ("approved", "screening", "ready"),
        ("rejected", "screening", "closed"),
        ("sent", "ready", "completed"),
        ("closing", "ready", "closed"),
        ("cancel", "awaiting_payment", "canceled"),
        ("cancel", "screening", "canceled"),
        ("cancel", "ready", "canceled"),
    ),
)

FAULTS: dict[str, tuple[Shop, str]] = {
    "unreachable": (SHOP.plus(("give_up", "lost", "closed"), states=("lost",)), "unreachable"),
    "dead end": (SHOP.plus(("stick", "ready", "stuck"), states=("stuck",)), "dead-end"),
    "trap": (SHOP.plus(("turn", "ready", "left"), ("turn", "left", "right"), ("turn", "right", "left"), states=("left", "right")), "trap"),
    "edge out of a final state": (SHOP.plus(("revive", "canceled", "ready")), "final-edge"),
    "two targets for one cell": (SHOP.plus(("payment_seen", "awaiting_payment", "ready")), "ambiguous"),
    "payment bypass": (SHOP.plus(("sent", "awaiting_payment", "completed")), "property-fails"),
    "a state that cannot be cancelled": (SHOP.minus(("cancel", "screening", "canceled")), "property-fails"),
    "rejected goes on": (SHOP.minus(("rejected", "screening", "closed")).plus(("rejected", "screening", "ready")), "property-fails"),
}
"""Each fault with the rule that names it."""


def broken_rules(shop: Shop) -> tuple[str, ...]:
    """The rules that orderflow finds broken: at class creation, or in ``check``."""
    try:
        lifecycle = new_class("ShopLifecycle", (Lifecycle,), {"name": "shop"}, lambda body: _fill(body, shop))
    except DeclarationError as error:
        return tuple(problem.rule for problem in error.problems)
    return tuple(problem.rule for problem in check(lifecycle.table).problems)


def _fill(body: dict[str, Any], shop: Shop) -> None:
    states = {name: State(name, initial=name == "drafted", final=name in shop.finals) for name in shop.states + shop.finals}
    body.update(states)
    for event in dict.fromkeys(event for event, _, _ in shop.edges):
        arrows = [states[source].to(states[target]) for name, source, target in shop.edges if name == event]
        body[event] = reduce(or_, [edge(Origin.COMMAND, arrow, Cause.US, assumed("a test"), event) for arrow in arrows])
    awaiting, screening, ready, completed = (states[name] for name in ("awaiting_payment", "screening", "ready", "completed"))
    body["properties"] = {
        "completed only when paid": precedence(on("payment_seen"), at(completed)),
        "every open state can be cancelled": universality(can("cancel"), where=at(awaiting, screening, ready)),
        "rejected never goes on": absence(at(ready), after(on("rejected"))),
    }


def statemachine_refuses(shop: Shop) -> bool:
    """Whether python-statemachine alone refuses the same graph."""

    def fill(body: dict[str, Any]) -> None:
        states = {
            name: statemachine.State(name, initial=name == "drafted", final=name in shop.finals) for name in shop.states + shop.finals
        }
        body.update(states)
        for event, source, target in shop.edges:
            arrow = states[source].to(states[target])
            body[event] = body[event] | arrow if event in body else arrow

    try:
        new_class("ShopMachine", (statemachine.StateMachine,), {}, fill)
    except InvalidDefinition:
        return True
    return False
