"""What a view answers, from the records of an order: for every kind of state, and where another version of the lifecycle wrote them."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

import pytest
from attrs import evolve
from tests.kit.toy import Bench, Toy, open_bench

from orderflow._engine.views import build_view, describe_overdue
from orderflow._lifecycle.guidance import Guidance
from orderflow._provider.outcomes import InDoubt
from orderflow.errors import UnknownName
from orderflow.model import NOTIFY_LISTENER, EffectKey, OrderView, Pending, PendingEffect

pytestmark = pytest.mark.anyio
KEY = EffectKey("toy-k", 1, 0)


async def look(bench: Bench, order_id: str = "toy-k") -> OrderView:
    return build_view(bench.toy, await bench.store.load_records(order_id))


async def test_an_open_order_offers_its_commands(tmp_path: Path) -> None:
    async with open_bench(tmp_path) as bench:
        order = await bench.create(state="drafted")
        view = await look(bench)
    assert (view.order, view.journal, view.pending) == (order, (), Pending((), None, ()))
    assert (view.commands, view.operator_events) == (("order_it",), ())
    assert (view.known, view.settled, view.proven, view.provisional, view.in_doubt, view.needs_person) == (True, *[False] * 5)
    assert (view.customer_text, view.operator_text) == ("", "")


async def test_a_doubt_offers_what_ends_it(tmp_path: Path) -> None:
    async with open_bench(tmp_path) as bench:
        await bench.create(state="sending")
        bench.toy.answer("place", InDoubt("reset"))
        await bench.engine.outbox.run(await bench.lease())
        searching = await look(bench)
        for _ in range(3):
            await bench.work_after(100.0)
        view = await look(bench)
    assert ([effect.name for effect in searching.pending.effects], searching.needs_person) == (["look_up"], False)
    assert (view.pending.effects, view.in_doubt, view.needs_person, view.settled) == ((), True, True, False)
    assert (view.commands, view.operator_events) == ((), ("placement_resolved", "placement_given_up"))


async def test_an_owed_notification_does_not_end_a_doubt(tmp_path: Path) -> None:
    async with open_bench(tmp_path) as bench:
        bench.listen("in_doubt")
        await bench.create(state="drafted")
        await bench.override("toy-k", "in_doubt")
        view = await look(bench)
    assert ([effect.name for effect in view.pending.effects], view.needs_person) == ([NOTIFY_LISTENER], True)


@pytest.mark.parametrize(
    ("state", "window", "settled", "proven", "provisional"),
    [
        ("placed", "open", False, False, False),
        ("lapsed", "open", False, False, True),
        ("lapsed", "closed", True, False, False),
        ("shipped", "open", True, True, False),
        ("abandoned", "open", True, False, False),
    ],
)
async def test_an_end_is_provisional_while_a_proof_may_overrule_it(
    tmp_path: Path, state: str, window: str, settled: bool, proven: bool, provisional: bool
) -> None:
    async with open_bench(tmp_path) as bench:
        await bench.create(state="drafted", window=window)
        await bench.override("toy-k", state)
        view = await look(bench)
    assert (view.settled, view.proven, view.provisional, view.in_doubt) == (settled, proven, provisional, False)


async def test_passed_states_are_those_of_the_journal(tmp_path: Path) -> None:
    async with open_bench(tmp_path) as bench:
        await bench.create(state="placed")
        view = await look(bench)
    assert [state for state in view.states if view.has_passed(state)] == ["drafted", "preparing", "sending", "placed"]
    assert [state for state in view.states if view.has_passed(state, since=2)] == ["sending", "placed"]
    assert [state for state in view.states if view.has_passed(state, since=99)] == ["placed"], "it stands there"
    with pytest.raises(UnknownName, match="unknown state of toy: 'payd'"):
        view.has_passed("payd")


async def test_an_order_of_another_version_of_the_lifecycle_is_shown(tmp_path: Path) -> None:
    async with open_bench(tmp_path) as bench:
        await bench.create(state="placed")
        records = await bench.store.load_records("toy-k")
    snapshot = records.order.snapshot
    for other in (evolve(snapshot, state="removed"), evolve(snapshot, state="lapsed", facts={})):
        view = build_view(bench.toy, records._replace(order=evolve(records.order, snapshot=other)))
        assert (view.known, view.settled, view.commands, view.operator_events, view.in_doubt) == (False, True, (), (), False)
    assert view.has_passed("lapsed")


async def test_the_operators_text_holds_values_of_the_order(tmp_path: Path) -> None:
    toy = Toy()
    toy.guidance = {"placed": Guidance("Placed.", "Look for {provider_id}, {key}, {colour}, {order_id} or {size}; {other}.")}
    toy.guidance_values = MappingProxyType({"colour": lambda order: "red\n and  green", "size": lambda order: None})
    async with open_bench(tmp_path, toy) as bench:
        await bench.create(state="placed")
        view = await look(bench)
    assert view.customer_text == "Placed."
    assert view.operator_text == "Look for T-k, k, red and green, toy-k or (not known); {other}."


@pytest.mark.parametrize(
    ("pending", "says"),
    [
        (Pending((), None, ()), ""),
        (Pending((PendingEffect(KEY, "place", "", 0, False, 95.0, ""),), 99.0, ()), "place has been due for 5 s"),
        (Pending((PendingEffect(KEY, "place", "", 1, True, 95.0, ""),), None, ()), "place has been due for 5 s"),  # its lease is over
        (Pending((PendingEffect(KEY, "place", "", 1, True, 101.0, ""),), None, ()), ""),
        (Pending((PendingEffect(KEY, NOTIFY_LISTENER, "placed", 0, False, 1.0, ""),), None, ()), ""),
        (Pending((), 96.0, (("late", 97.0),)), "a poll has been due for 4 s"),
        (Pending((), 99.0, (("late", 90.0), ("later", 91.0))), "late has been due for 10 s"),
        (Pending((), 98.0, ()), ""),
    ],
)
def test_what_is_overdue_is_what_was_due_first(pending: Pending, says: str) -> None:
    assert describe_overdue(pending, 100.0) == says
