"""A provider fits a command to the order as it stands, inside the decision: sums hold, whatever is sent at once and from where.

The provider is a small one for captures. Its flows stand for processes that share one database.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
from tests.kit.calls import NeverPolled
from tests.kit.store_fixtures import url

from orderflow import Orderflow
from orderflow.errors import CommandRefused, InvalidInput
from orderflow.lifecycle import Cause, Lifecycle, Origin, State, Table, assumed, edge, once
from orderflow.model import Applied, Decision, Ignored, Order, Reason, Refused
from orderflow.provider import (
    Call,
    DoesNotFit,
    Draft,
    InDoubt,
    Name,
    Outcome,
    PublicUrls,
    Timing,
    get_text,
)

pytestmark = pytest.mark.anyio
__all__ = ["url"]
command, reply, observation, claim, clock, operator = Origin
TEST = assumed("a test")


class Sums(Lifecycle, name="sums"):
    # fmt: off
    authorized = State(initial=True)
    closed     = State(final=True)
    take_money  = once(kind="capture", successes=["captured"], arguments=["amount", "reference"])

    capture             = edge(command, authorized.to(authorized), Cause.US, TEST, "capture", effects=[take_money])
    captured            = edge(reply, authorized.to(authorized), Cause.PROVIDER, TEST, "captured")
    capture_refused     = edge(reply, authorized.to(authorized), Cause.PROVIDER, TEST, "refused")
    capture_undelivered = edge(reply, authorized.to(authorized), Cause.US, TEST, "never sent")
    capture_answer_lost = edge(reply, authorized.to(authorized), Cause.US, TEST, "answer lost")
    corrected           = edge(operator, authorized.to(authorized), Cause.EMPLOYEE, TEST, "corrected")
    close               = edge(command, authorized.to(closed), Cause.US, TEST, "close")
    # fmt: on


class Captures(NeverPolled):
    """Captures no more than was authorized. The provider's id of an order is our own id of it, given by the first capture."""

    name: Name = Name("sums")
    table: Table = Sums.table
    timing: Timing = Timing({}, retry_first=0.01)

    def __init__(self) -> None:
        self.fitted: list[tuple[str, str, int]] = []  # command, key of the order, version
        self.calls: list[Call] = []

    def draft(self, request: Mapping[str, Any]) -> Draft:
        return Draft({}, {"left": request["authorized"], "limits": (request["authorized"], 0)})

    def command(self, command: str, arguments: Mapping[str, object]) -> Mapping[str, object]:
        if command == "close":
            return {}
        return {"amount": Decimal(get_text(arguments, "amount"))}

    def fit_command(self, command: str, data: Mapping[str, object], order: Order) -> Mapping[str, object] | DoesNotFit:
        self.fitted.append((command, order.key, order.version))
        if command == "close":
            return data
        left, amount = Decimal(str(order.snapshot.data["left"])), Decimal(str(data["amount"]))
        if command == "corrected":
            return {"left": left + amount}
        if amount > left:
            return DoesNotFit(f"{left} is left")
        return {"amount": amount, "left": left - amount, "reference": f"{order.key}-{order.version}", "provider_id": order.id}

    async def perform(self, call: Call, urls: PublicUrls) -> Outcome:
        self.calls.append(call)
        return InDoubt("reset")


async def capture(flow: Orderflow, order: Order, amount: str, **more: Any) -> Decision:
    return await flow.send(order.id, Name("capture"), amount=amount, **more)


async def test_captures_that_are_sent_at_once_never_take_more_than_is_left(url: str) -> None:
    async with Orderflow(url, [Captures()]) as one, Orderflow(url, [Captures()]) as two:
        order = await one.create(Name("sums"), key="cart", authorized=499)
        decisions = await asyncio.gather(*(capture(flow, order, "100.00") for _ in range(10) for flow in (one, two)))
        order = await two.order(order.id)
    assert sum(isinstance(decision, Applied) for decision in decisions) == 4
    refused = [decision for decision in decisions if isinstance(decision, Refused)]
    assert {(decision.reason, decision.detail) for decision in refused} == {(Reason.DOES_NOT_FIT, "99 is left")}
    assert len(refused) == 16
    assert order.snapshot.data == {"left": 99, "amount": 100, "reference": "cart-3", "provider_id": order.id, "limits": [499, 0]}


async def test_each_call_has_what_its_own_command_was_fitted_to(url: str) -> None:
    provider = Captures()
    async with Orderflow(url, [provider], worker=True, fetch_interval=0.02) as flow:
        order = await flow.create(Name("sums"), key="cart", authorized=Decimal("99.90"))
        for amount in ("10.25", "20"):
            await capture(flow, order, amount)
        async with asyncio.timeout(60):
            while len(provider.calls) < 2:
                await asyncio.sleep(0.01)
        kept = [(row.version, row.data["left"]) for row in await flow.journal(order.id) if row.event == "capture" and row.data]
    calls = sorted(provider.calls, key=lambda call: call.version)
    assert [call.arguments["amount"] for call in calls] == [10.25, 20]
    assert [call.arguments["reference"] for call in calls] == [f"cart-{call.version - 1}" for call in calls]
    assert kept == [(call.version, left) for call, left in zip(calls, (89.65, 69.65), strict=True)]


async def test_a_command_that_does_not_fit_changes_nothing_and_is_recorded(url: str) -> None:
    async with Orderflow(url, [Captures()]) as flow:
        order = await flow.create(Name("sums"), key="cart", authorized=50)
        with pytest.raises(CommandRefused, match="refuses capture: does not fit the order: 50 is left; legal: capture"):
            await capture(flow, order, "51", check=True)
        assert (await flow.order(order.id)).snapshot == order.snapshot
        assert [(row.event, row.reason, row.detail) for row in await flow.refusals(order.id)] == [
            ("capture", Reason.DOES_NOT_FIT, "50 is left")
        ]
        assert not (await flow.order(order.id)).flagged


async def test_a_command_with_a_used_key_is_a_duplicate_whatever_the_order_has_become(url: str) -> None:
    provider = Captures()
    async with Orderflow(url, [provider]) as flow:
        order = await flow.create(Name("sums"), key="cart", authorized=50)
        assert isinstance(await capture(flow, order, "30", key="k"), Applied)
        again = await capture(flow, order, "30.00", key="k")  # it would not fit a second time
        assert isinstance(again, Ignored)
        assert again.reason is Reason.DUPLICATE
        assert isinstance(await capture(flow, order, "30", key="late"), Refused)  # a refused key may be used again
        await flow.resolve(order.id, Name("corrected"), actor="kim", reason="refunded", amount="30")
        assert isinstance(await capture(flow, order, "30", key="late"), Applied)
    assert provider.fitted == [
        (name, "cart", version) for name, version in (("capture", 0), ("capture", 1), ("corrected", 1), ("capture", 2))
    ]


async def test_the_lifecycle_decides_before_the_provider(url: str) -> None:
    provider = Captures()
    async with Orderflow(url, [provider]) as flow:
        order = await flow.create(Name("sums"), key="cart", authorized=50)
        await flow.send(order.id, Name("close"))
        decision = await capture(flow, order, "10")
    assert isinstance(decision, Refused)
    assert decision.reason is Reason.NOT_LEGAL_HERE
    assert provider.fitted == [("close", "cart", 0)]


async def test_a_provider_that_raises_as_it_fits_harms_no_other_command(url: str) -> None:
    class Broken(Captures):
        def fit_command(self, command: str, data: Mapping[str, object], order: Order) -> Mapping[str, object] | DoesNotFit:
            if data.get("amount") == 13:
                raise InvalidInput("amount", "must not be 13")
            return {"amount": object()} if data.get("amount") == 14 else data

    async with Orderflow(url, [Broken()]) as flow:
        orders = [await flow.create(Name("sums"), key=str(n), authorized=50) for n in range(8)]
        sent = [capture(flow, order, amount) for order, amount in zip(orders, ["1", "13", "1", "14"] * 2, strict=True)]
        ends = await asyncio.gather(*sent, return_exceptions=True)
        versions = [(await flow.order(order.id)).version for order in orders]
    assert [type(end) for end in ends] == [Applied, InvalidInput, Applied, InvalidInput] * 2
    assert {str(end) for end in ends if isinstance(end, InvalidInput)} == {"amount: must not be 13", "amount: is no JSON value"}
    assert versions == [1, 0, 1, 0] * 2
