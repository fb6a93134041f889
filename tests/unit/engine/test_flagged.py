"""Listeners of flagged orders, on both stores: once for each version and thing that is wrong, at least once, in order; and what keeps failing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog
from attrs import evolve
from tests.kit.toy import Bench, Toy, open_bench, toy_id

from orderflow import FailingNotification, OrderFlagged, StateEntered
from orderflow._app import Orderflow
from orderflow._blocking import SyncOrderflow
from orderflow._engine.notifications import KEEPS_FAILING
from orderflow._flagged import ORDER_FLAGGED
from orderflow._provider.outcomes import InDoubt, Outcome, StatusRead, Succeeded
from orderflow._store.urls import make_store
from orderflow.errors import InvalidInput
from orderflow.model import REDACTED, JournalRow, Listener, Observation, Order, Origin, Reason
from orderflow.provider import Name
from orderflow.simulators import SimClock

pytestmark = pytest.mark.anyio


@pytest.fixture
async def bench(url: str, tmp_path: Path) -> AsyncIterator[Bench]:
    """An engine over an empty database of each kind, under a clock that stands still."""
    async with open_bench(tmp_path, store=make_store(url)) as opened:
        yield opened


def listen(bench: Bench) -> list[OrderFlagged]:
    """Collect what a listener of flagged orders is given."""
    flagged: list[OrderFlagged] = []
    bench.engine.listeners.add("toy", ORDER_FLAGGED, flagged.append)
    return flagged


async def make_packed(bench: Bench, *then: str | StatusRead) -> Order:
    """An order that a poll found packed; the next polls find ``then``."""
    bench.toy.show("packed", *then)
    order = await bench.create()
    await bench.work_after(10)
    return await bench.store.load(order.id)


async def poll(bench: Bench, times: int = 1) -> None:
    """Poll the order, that often."""
    for _ in range(times):
        await bench.work_after(80)


# ── what is notified ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_listener_is_given_what_is_wrong_once_however_often_it_is_seen(bench: Bench) -> None:
    flagged = listen(bench)
    order = await make_packed(bench, StatusRead("new", {"courier": "anna"}))
    await poll(bench, 3)
    assert await bench.refusals_of(order.id) == {("status_read", "anomaly"): 3}
    (first,) = flagged
    assert (first.order.id, first.order.provider, first.order.flagged) == (order.id, "toy", True)
    assert (first.state, first.version, first.event, first.origin) == ("packed", order.version, "status_read", Origin.OBSERVATION)
    assert (first.reason, first.detail, first.data) == (Reason.ANOMALY, "'new' cannot follow 'packed'", {"courier": "anna"})
    assert first.at == bench.clock.now() - 160
    assert first.key.startswith(f"{order.id}:{order.version}:")
    assert "anna" not in repr(first)


async def test_another_thing_that_is_wrong_and_another_version_are_notified_again(bench: Bench) -> None:
    flagged = listen(bench)
    await make_packed(bench, "new", "boxed", "lost", "found", StatusRead("packed", mismatch="amount"), "loaded", "new")
    await poll(bench, 7)
    assert [(one.state, one.reason, one.detail) for one in flagged] == [
        ("packed", Reason.ANOMALY, "'new' cannot follow 'packed'"),
        ("packed", Reason.ANOMALY, "'boxed' cannot follow 'packed'"),
        ("packed", Reason.UNKNOWN_STATUS, "'lost' is no status that toy declares"),
        ("packed", Reason.NOT_OURS, flagged[3].detail),
        ("loaded", Reason.ANOMALY, "'new' cannot follow 'loaded'"),
    ]
    assert len({one.key for one in flagged}) == 5


async def test_polls_without_a_usable_answer_are_notified_once(bench: Bench) -> None:
    flagged = listen(bench)
    await make_packed(bench, StatusRead(7))  # type: ignore[arg-type]
    await poll(bench, bench.toy.timing.unusable_polls + 3)
    assert [one.reason for one in flagged] == [Reason.NO_USABLE_ANSWER]


async def test_a_proof_for_an_order_that_is_over_is_notified_with_what_it_said(bench: Bench) -> None:
    flagged = listen(bench)

    async def end_meanwhile(order: Order) -> Outcome:
        await bench.override(order.id, "abandoned")
        return Succeeded("order_placed", {"number": 7}, provider_id=toy_id(order))

    bench.toy.answer("place", end_meanwhile)
    order = await bench.create()
    (one,) = flagged
    assert (one.order.state, one.state, one.event, one.origin) == ("abandoned", "abandoned", "order_placed", Origin.REPLY)
    assert (one.reason, one.data) == (Reason.ANOMALY, {"number": 7})
    assert toy_id(order) in one.detail


async def test_an_order_that_goes_into_doubt_because_of_a_foreign_id_is_notified_at_the_version_of_the_doubt(bench: Bench) -> None:
    flagged = listen(bench)
    bench.listen("in_doubt")
    await bench.create("first")
    order = await bench.create("second", state="sending")
    bench.toy.answer("place", Succeeded("order_placed", provider_id="T-first"))
    await bench.work()
    (entered,), (one,) = bench.notified, flagged
    assert (one.version, one.reason) == (entered.version, Reason.NOT_OURS)
    assert "T-first" in one.detail
    assert one.order.id == order.id


async def test_an_anomaly_beside_a_step_is_notified(bench: Bench) -> None:
    """A call that ends with an outcome that the adapter made wrong."""
    flagged = listen(bench)
    order = await bench.create(state="sending")
    bench.toy.answer("place", Succeeded("no_such_event", provider_id="T-9"))
    await bench.work()
    assert [(one.version, one.reason) for one in flagged] == [((await bench.store.load(order.id)).version, Reason.ANOMALY)]
    assert "T-9" in flagged[0].detail


async def test_nothing_personal_of_a_redacted_order_is_notified(bench: Bench) -> None:
    flagged = listen(bench)

    async def redact_meanwhile(order: Order) -> Outcome:
        """The worker's clock is behind: by that of the other process, its lease is over."""
        await bench.override(order.id, "abandoned")
        now = bench.clock.now()
        row = JournalRow(order.id, order.version + 2, "redact", Origin.OPERATOR, "abandoned", "abandoned", "redaction", now + 1000)
        standing = await bench.store.load(order.id)
        data = {REDACTED: True}
        assert await bench.store.redact(evolve(standing, snapshot=evolve(standing.snapshot, data=data, version=row.version)), row) is None
        return Succeeded("order_placed", {"name": "Kari"}, provider_id=toy_id(order), note="Kari")

    bench.toy.answer("place", redact_meanwhile)
    await bench.create()
    assert [(one.reason, one.data) for one in flagged] == [(Reason.ANOMALY, {})]


# ── how it is notified ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_where_nobody_listens_to_flags_nothing_is_owed(bench: Bench) -> None:
    bench.listen("placed")
    order = await make_packed(bench, "new")
    await poll(bench)
    assert (await bench.store.load(order.id)).flagged
    assert (await bench.store.pending(order.id)).effects == ()
    listen(bench)
    await poll(bench)  # the same anomaly again, which some process listens to by now
    assert await bench.store.pending_notifications() == {}


async def test_a_listener_that_raises_runs_again_with_the_same_key(bench: Bench) -> None:
    keys: list[str] = []

    def fail_twice(flagged: OrderFlagged) -> None:
        keys.append(flagged.key)
        if len(keys) < 3:
            raise ConnectionError("the pager is away")

    bench.engine.listeners.add("toy", ORDER_FLAGGED, fail_twice)
    await make_packed(bench, "new")
    await poll(bench, 6)
    assert len(keys) == 3
    assert len(set(keys)) == 1


async def test_a_notification_whose_worker_died_is_made_by_another(bench: Bench) -> None:
    flagged = listen(bench)
    await make_packed(bench, "new")
    bench.clock.advance(80)
    await bench.work(effects=False)
    await bench.lease()  # the worker ends before it has run the listener
    assert flagged == []
    await bench.work_after(bench.toy.timing.lease)
    assert len(flagged) == 1


async def test_processes_that_see_one_anomaly_at_the_same_time_owe_it_once(url: str, tmp_path: Path) -> None:
    async with open_bench(tmp_path, store=make_store(url)) as here, open_bench(tmp_path, store=make_store(url)) as there:
        flagged = listen(here)
        await here.engine.directory.refresh()
        await there.engine.directory.refresh()
        order = await make_packed(here)
        inboxes = 8 * [here.engine.inbox, there.engine.inbox]
        lost = Observation("lost", order.version)
        await asyncio.gather(*(inbox.accept_observation(order.id, lost, 0, float(n)) for n, inbox in enumerate(inboxes)))
        assert await here.refusals_of(order.id) == {("status_read", "unknown status"): 16}
        assert await here.store.pending_notifications() == {("toy", ORDER_FLAGGED): 1}
        await here.work(polls=False)
        assert len(flagged) == 1


async def test_a_flag_is_notified_behind_the_state_that_the_order_is_in_and_before_the_next(bench: Bench) -> None:
    seen: list[str] = []
    fail = True

    def enter(entered: StateEntered) -> None:
        if entered.state == "packed" and fail:
            raise ConnectionError("the application's database is away")
        seen.append(entered.state)

    for state in ("packed", "loaded"):
        bench.engine.listeners.add("toy", state, enter)
    bench.engine.listeners.add("toy", ORDER_FLAGGED, lambda flagged: seen.append(flagged.detail))
    await make_packed(bench, "new", "boxed", "loaded")
    await poll(bench, 3)
    assert seen == []  # all wait for the first
    fail = False
    await poll(bench, 2)
    assert (seen[0], seen[-1]) == ("packed", "loaded")
    assert sorted(seen[1:3]) == ["'boxed' cannot follow 'packed'", "'new' cannot follow 'packed'"]  # of one version, in any order


async def test_a_failing_listener_of_flags_holds_back_no_other_order(bench: Bench) -> None:
    def fail(flagged: OrderFlagged) -> None:
        raise ZeroDivisionError

    bench.engine.listeners.add("toy", ORDER_FLAGGED, fail)
    bench.listen("placed")
    await make_packed(bench, "new")
    await poll(bench)
    bench.notified.clear()
    await bench.create("other")
    assert [entered.order.key for entered in bench.notified] == ["other"]


# ── the public side ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_flags_of_all_providers_are_listened_to_by_call_and_as_a_decorator(url: str) -> None:
    other = Toy(name="other")
    async with Orderflow(url, [Toy(), other], clock=SimClock(start=1e6, manual=True)) as flow:

        @flow.on_flagged
        async def page(flagged: OrderFlagged) -> None: ...

        def mail(flagged: OrderFlagged) -> None: ...

        assert flow.on_flagged(mail) is mail
        assert page.__name__ == "page"
        await flow.create("toy", key="k")  # which saves the listeners
        assert await flow.listeners() == [Listener("other", "order-flagged", 0), Listener("toy", "order-flagged", 0)]
        assert await flow.remove_listener(Name("other"), "order-flagged", actor="olga", reason="gone") == 0


def test_flags_are_listened_to_without_await(tmp_path: Path) -> None:
    with SyncOrderflow(f"sqlite:///{tmp_path / 'orders.db'}", [Toy()]) as flow:
        assert flow.on_flagged(len) is len
        flow.create("toy", key="k")
        assert [listener.state for listener in flow.listeners()] == ["order-flagged"]
        assert flow.failing_notifications() == []


def no_argument() -> None:
    """A listener that can take nothing."""


def two_arguments(flagged: OrderFlagged, more: int) -> None:
    """A listener that needs more than it is given."""


async def named_only(*, flagged: OrderFlagged) -> None:
    """A listener that takes no positional argument."""


def test_the_error_about_a_listeners_signature_shows_no_default(tmp_path: Path) -> None:
    def with_default(flagged: OrderFlagged, more: int, *, token: str = "s3cret") -> None:
        """A listener of two arguments."""

    flow = Orderflow(f"sqlite:///{tmp_path / 'orders.db'}", [Toy()])
    with pytest.raises(InvalidInput, match=r"it takes flagged, more, token$"):
        flow.on_flagged(with_default)  # type: ignore[type-var]


@pytest.mark.parametrize("handler", [no_argument, two_arguments, named_only, "page", None])
def test_a_listener_with_another_signature_is_refused_where_it_is_declared(handler: object, tmp_path: Path) -> None:
    flow = Orderflow(f"sqlite:///{tmp_path / 'orders.db'}", [Toy()])
    with pytest.raises(InvalidInput, match=r"^handler: must "):
        flow.on_flagged(handler)  # type: ignore[type-var]
    if handler is not None:
        with pytest.raises(InvalidInput, match=r"^handler: must "):
            flow.on_entered(Name("toy"), "placed", handler)  # type: ignore[call-overload]
    assert flow._engine.listeners.pairs() == frozenset()


# ── notifications that keep failing ──────────────────────────────────────────────────────────────────────────────────────


async def test_notifications_that_keep_failing_are_listed_until_they_succeed_and_logged_once(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    structlog.reset_defaults()  # the log goes to ``logging`` where structlog is not configured
    works = False

    def fail(notified: StateEntered | OrderFlagged) -> None:
        if not works:
            raise ConnectionError("secret")

    for state in ("packed", ORDER_FLAGGED):
        bench.engine.listeners.add("toy", state, fail)
    order = await make_packed(bench)  # the first failure
    packed_at = bench.clock.now()
    with caplog.at_level(logging.INFO):
        for failures in range(2, KEEPS_FAILING + 3):
            listed = await bench.engine.lookups.failing_notifications(100)
            assert (listed != []) == (failures > KEEPS_FAILING)
            await bench.work_after(60)
    failing = FailingNotification(order.id, "toy", "packed", packed_at, KEEPS_FAILING + 2, "the listener raised ConnectionError")
    assert await bench.engine.lookups.failing_notifications(100) == [failing]
    logged = [record for record in caplog.records if "notification.keeps_failing" in record.getMessage()]
    assert len(logged) == 1
    assert "secret" not in logged[0].getMessage()
    works = True
    await bench.work_after(60)
    assert await bench.engine.lookups.failing_notifications(100) == []


async def test_a_flag_that_keeps_failing_is_listed_since_the_order_was_flagged(bench: Bench) -> None:
    bench.engine.listeners.add("toy", ORDER_FLAGGED, lambda flagged: 1 / 0 and None)
    order = await make_packed(bench, "new")
    await poll(bench)
    flagged_at = bench.clock.now()
    await poll(bench, KEEPS_FAILING)
    (failing,) = await bench.engine.lookups.failing_notifications(1)
    assert (failing.order_id, failing.state, failing.since) == (order.id, "order-flagged", flagged_at)
    assert failing.why == "the listener raised ZeroDivisionError"


async def test_a_lease_that_a_worker_gave_back_is_no_failure(bench: Bench) -> None:
    bench.listen("in_doubt")
    bench.toy.answer("place", InDoubt("reset"))
    await bench.create(state="sending")
    await bench.engine.outbox.run(await bench.lease())
    for _ in range(KEEPS_FAILING + 1):
        attempts = [attempt for attempt in await bench.lease_all() if attempt.effect.entered_state]
        await bench.engine.outbox.give_back(attempts[0])
    assert await bench.engine.lookups.failing_notifications(100) == []
