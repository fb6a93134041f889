"""The texts of the shipped providers: whole, true to their lifecycles, and without anything personal."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve
from tests.kit.world import CANARIES, ccv_at, ccv_request, connect_at, connect_request, order_of

from orderflow._analysis.guidance import check_guidance
from orderflow._engine.views import build_view
from orderflow._store.records import OrderRecords
from orderflow.model import PROVIDER_ID, REDACTED, Order, OrderView, Pending

PROVIDERS: list[tuple[Any, dict[str, Any]]] = [
    (ccv_at("http://x.invalid"), ccv_request()),
    (connect_at("http://x.invalid"), connect_request()),
]
by_name = {"ids": lambda value: getattr(value, "name", "")}


def look(provider: Any, order: Order, state: str) -> OrderView:
    order = evolve(order, snapshot=evolve(order.snapshot, state=state))
    return build_view(provider, OrderRecords(order, (), Pending((), None, ())))


@pytest.mark.parametrize(("provider", "request_"), PROVIDERS, **by_name)
def test_every_state_has_texts_that_fit_the_lifecycle(provider: Any, request_: dict[str, Any]) -> None:
    assert [str(problem) for problem in check_guidance(provider.table, provider.guidance, provider.guidance_values)] == []
    assert list(provider.guidance) == list(provider.table.states)


@pytest.mark.parametrize(("provider", "request_"), PROVIDERS, **by_name)
def test_texts_hold_nothing_personal(provider: Any, request_: dict[str, Any]) -> None:
    order = order_of(provider, request_, provider_id="4711")
    for state in provider.table.states:
        view = look(provider, order, state)
        for canary in CANARIES:
            assert canary not in view.customer_text + view.operator_text
        assert "{" not in view.operator_text
        assert view.needs_person == (view.in_doubt and state != "fulfillment_in_doubt"), state


@pytest.mark.parametrize(
    ("provider", "request_", "state", "name"),
    [
        (*PROVIDERS[1], "registration_in_doubt", "externalOrderId"),
        (PROVIDERS[1][0], connect_request(external_id="cart 17"), "registration_in_doubt", "externalOrderId"),
        (*PROVIDERS[0], "submission_in_doubt", "externalReference"),
        (PROVIDERS[0][0], ccv_request(external_reference="cart 17"), "submission_in_doubt", "externalReference"),
    ],
)
def test_a_doubt_says_under_which_reference_to_look(provider: Any, request_: dict[str, Any], state: str, name: str) -> None:
    order = order_of(provider, request_)
    ours = "cart 17" if "cart 17" in str(request_) else order.id
    assert f"the {name} {ours}. " in look(provider, order, state).operator_text
    redacted = evolve(order, snapshot=evolve(order.snapshot, data={REDACTED: True, PROVIDER_ID: "4711"}))
    assert f"the {name} (not known). " in look(provider, redacted, state).operator_text
