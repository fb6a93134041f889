"""A call is made from what it was decided with, and each has a key of its own. The provider is a small one for captures."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.kit.calls import NeverPolled

from orderflow import Orderflow
from orderflow.lifecycle import Cause, Lifecycle, Origin, State, Table, assumed, edge, once, repeatable
from orderflow.model import Reason
from orderflow.provider import (
    Call,
    Draft,
    InDoubt,
    Name,
    Outcome,
    ProviderAnswer,
    PublicUrls,
    Succeeded,
    Timing,
)

pytestmark = pytest.mark.anyio
command, reply, observation, claim, clock, operator = Origin
TEST = assumed("a test")
ANSWER = ProviderAnswer(200, "text/plain", b"captured")


class Payment(Lifecycle, name="payment"):
    # fmt: off
    authorized = State(initial=True)
    unclear    = State()
    closed     = State(final=True)
    take_money  = once(kind="capture", successes=["captured"], arguments=["shipment", "amount"])
    send_letter = repeatable(kind="letter", successes=["letter_sent"], arguments=["shipment"])

    capture             = edge(command, authorized.to(authorized), Cause.US, TEST, "capture a shipment", effects=[take_money, send_letter])
    captured            = edge(reply, authorized.to(authorized), Cause.PROVIDER, TEST, "captured")
    capture_refused     = edge(reply, authorized.to(authorized), Cause.PROVIDER, TEST, "refused")
    capture_undelivered = edge(reply, authorized.to(authorized), Cause.US, TEST, "never sent")
    capture_answer_lost = edge(reply, authorized.to(unclear), Cause.US, TEST, "answer lost")
    letter_sent         = edge(reply, authorized.to(authorized), Cause.US, TEST, "sent")
    letter_refused      = edge(reply, authorized.to(authorized), Cause.US, TEST, "refused")
    letter_undelivered  = edge(reply, authorized.to(authorized), Cause.US, TEST, "not sent")
    letter_answer_lost  = edge(reply, authorized.to(unclear), Cause.US, TEST, "answer lost")
    checked             = edge(operator, unclear.to(authorized), Cause.EMPLOYEE, TEST, "checked")
    close               = edge(command, authorized.to(closed), Cause.US, TEST, "close")
    # fmt: on


class Payments(NeverPolled):
    """Records its calls. Captures succeed with ``success``; each second letter is in doubt first."""

    name: Name = Name("payment")
    table: Table = Payment.table
    timing: Timing = Timing({}, retry_first=0.01)

    def __init__(self, success: str = "captured") -> None:
        self.success = success
        self.captures: list[Call] = []
        self.letters: list[Call] = []
        self.may_call = asyncio.Event()

    def draft(self, request: Mapping[str, object]) -> Draft:
        return Draft({}, {})

    def command(self, command: str, arguments: Mapping[str, object]) -> Mapping[str, object]:
        return dict(arguments)

    async def perform(self, call: Call, urls: PublicUrls) -> Outcome:
        await self.may_call.wait()
        if call.effect == "take_money":
            self.captures.append(call)
            return Succeeded(self.success, provider_id="77" if self.success != "captured" else None, answer=ANSWER)
        self.letters.append(call)
        return InDoubt("reset") if len(self.letters) % 2 else Succeeded("letter_sent")


async def _until(condition, seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def test_two_captures_in_a_row_send_two_different_captures(tmp_path: Path) -> None:
    payments = Payments()
    async with Orderflow(f"sqlite:///{tmp_path / 'orders.db'}", [payments], worker=True, fetch_interval=0.02) as flow:
        order = await flow.create(payments, key="1")
        for shipment, amount in (("s1", 100), ("s2", 399)):
            await flow.send(order.id, Name("capture"), key=shipment, shipment=shipment, amount=amount)
        assert (await flow.order(order.id)).snapshot.data["shipment"] == "s2"  # what the order says by the time of the calls
        payments.may_call.set()
        await _until(lambda: len(payments.captures) == 2 and len(payments.letters) == 4)
    captures = sorted(payments.captures, key=lambda call: call.key)
    assert [call.arguments for call in captures] == [{"shipment": "s1", "amount": 100}, {"shipment": "s2", "amount": 399}]
    assert [(call.key, call.version, call.attempt) for call in captures] == [(f"{order.id}:1:0", 1, 1), (f"{order.id}:2:0", 2, 1)]
    assert {call.order.id for call in captures} == {order.id}
    assert all(call.deadline > call.order.created_at for call in captures)


async def test_an_argument_that_a_command_leaves_out_is_not_taken_from_the_command_before(tmp_path: Path) -> None:
    payments = Payments()
    payments.may_call.set()
    async with Orderflow(f"sqlite:///{tmp_path / 'orders.db'}", [payments], worker=True, fetch_interval=0.02) as flow:
        order = await flow.create(payments, key="1")
        await flow.send(order.id, Name("capture"), shipment="s1", amount=100)
        await flow.send(order.id, Name("capture"), shipment="s2")
        await flow.send(order.id, Name("capture"))
        await _until(lambda: len(payments.captures) == 3, 60)
        assert (await flow.order(order.id)).snapshot.data == {"shipment": "s2", "amount": 100}
    captures = sorted(payments.captures, key=lambda call: call.version)
    assert [call.arguments for call in captures] == [{"shipment": "s1", "amount": 100}, {"shipment": "s2"}, {}]


async def test_the_key_and_the_arguments_of_a_call_are_the_same_in_each_attempt(tmp_path: Path) -> None:
    payments = Payments()
    payments.may_call.set()
    async with Orderflow(f"sqlite:///{tmp_path / 'orders.db'}", [payments], worker=True, fetch_interval=0.02) as flow:
        order = await flow.create(payments, key="1")
        await flow.send(order.id, Name("capture"), shipment="s1", amount=100)
        await _until(lambda: len(payments.letters) == 2)
    first, second = payments.letters
    assert (first.key, first.arguments) == (second.key, second.arguments) == (f"{order.id}:1:1", {"shipment": "s1"})
    assert (first.attempt, second.attempt) == (1, 2)


async def test_a_success_that_the_lifecycle_does_not_know_is_a_doubt_that_keeps_the_answer(tmp_path: Path) -> None:
    payments = Payments(success="captrued")
    payments.may_call.set()
    async with Orderflow(f"sqlite:///{tmp_path / 'orders.db'}", [payments], worker=True, fetch_interval=0.02) as flow:
        order = await flow.create(payments, key="1")
        await flow.send(order.id, Name("capture"), shipment="s1", amount=100)
        await flow.wait(order.id, Name("unclear"), timeout=20)
        lost = next(row for row in await flow.journal(order.id) if row.event == "capture_answer_lost")
        wrong = "the adapter reports 'captrued', which is no success of take_money: captured; it names the provider's order 77"
        assert lost.note == wrong
        assert [(row.event, row.reason, row.detail, row.version) for row in await flow.refusals(order.id)] == [
            ("capture_answer_lost", Reason.ANOMALY, wrong, lost.version)
        ]
        assert (await flow.order(order.id)).flagged
        assert [message.body for message in await flow.messages(order.id)] == ["captured"]
        assert len(payments.captures) == 1
