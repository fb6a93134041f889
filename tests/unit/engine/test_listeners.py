"""Listeners of this process, and the directory by which each process knows the listeners of all.

A listener that could not be saved, or was added later, is notified all the same. One that the code no longer has is removed by an
operator.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Collection
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from tests.kit.commits import move
from tests.kit.toy import Toy, open_bench

from orderflow._app import Orderflow
from orderflow._blocking import SyncOrderflow
from orderflow._engine.listener_threads import ListenerThreads
from orderflow._engine.listeners import LISTENER_REFRESH_SECONDS, ListenerFailed, Listeners
from orderflow._receiver.signed_urls import SignedUrls
from orderflow._store.sqlite.store import SqliteStore
from orderflow.errors import InvalidInput, OperationalError, UnknownName
from orderflow.model import NOTIFY_LISTENER, Applied, Listener, Order, Snapshot, StateEntered
from orderflow.simulators import SimClock

pytestmark = pytest.mark.anyio

ORDER = Order("toy-k", "toy", "k", Snapshot("placed", {}, {}, 3), 0.0, 0.0)
ENTERED = StateEntered("toy-k:3:0", ORDER, "placed", 3, provisional=False, inferred=False)


def make_listeners() -> Listeners:
    return Listeners(ListenerThreads(lambda: None))


def ignore(entered: StateEntered) -> None:
    """A listener that does nothing."""


# ── listeners of this process ────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_listener_is_a_function_a_coroutine_function_or_a_callable_that_returns_an_awaitable() -> None:
    listeners, called = make_listeners(), []

    async def coroutine_function(entered: StateEntered) -> None:
        await asyncio.sleep(0)
        called.append("coroutine")

    def function(entered: StateEntered) -> None:
        assert threading.current_thread() is not threading.main_thread()
        called.append("function")

    class Callable:
        async def __call__(self, entered: StateEntered) -> None:
            called.append("callable")

    for handler in (coroutine_function, function, Callable(), partial(coroutine_function)):
        listeners.add("toy", "placed", handler)
    await listeners.notify(ENTERED)
    assert called == ["coroutine", "function", "callable", "coroutine"]


async def test_a_listener_that_raises_does_not_keep_the_others_from_running() -> None:
    listeners, notified = make_listeners(), []

    def fail(entered: StateEntered) -> None:
        raise ZeroDivisionError

    listeners.add("toy", "placed", fail)
    listeners.add("toy", "placed", notified.append)
    with pytest.raises(ListenerFailed) as failed:
        await listeners.notify(ENTERED)
    assert isinstance(failed.value.error, ZeroDivisionError)
    assert notified == [ENTERED]


@pytest.mark.parametrize("error", [StopIteration, StopAsyncIteration, asyncio.CancelledError, SystemExit, GeneratorExit, ZeroDivisionError])
@pytest.mark.parametrize("plain", [True, False], ids=["plain", "async"])
async def test_whatever_a_listener_raises_is_its_own_failure(error: type[BaseException], *, plain: bool) -> None:
    listeners = make_listeners()

    def fail(entered: StateEntered) -> None:
        raise error

    async def fail_async(entered: StateEntered) -> None:
        raise error

    listeners.add("toy", "placed", fail if plain else fail_async)
    with pytest.raises(ListenerFailed) as failed:
        await asyncio.wait_for(listeners.notify(ENTERED), 5)
    cause = failed.value.error
    assert isinstance(cause, error) or isinstance(cause.__cause__, error)  # a coroutine turns StopIteration into RuntimeError


async def test_a_thread_that_ends_as_its_time_ends_is_not_counted() -> None:
    threads, called = ListenerThreads(lambda: None), threading.Event()
    running = asyncio.create_task(threads.run(("toy", "placed"), called.set))
    await asyncio.sleep(0)
    assert called.wait(10)
    time.sleep(0.2)  # noqa: ASYNC251  blocks the loop, so that the thread's end waits in it
    asyncio.get_running_loop().call_soon(running.cancel)
    with pytest.raises(asyncio.CancelledError):
        await running
    assert threads.count_given_up(("toy", "placed")) == 0


async def test_a_thread_that_does_not_return_is_given_up_and_counted_until_it_does() -> None:
    ended, release = threading.Event(), threading.Event()
    threads = ListenerThreads(ended.set)
    listeners = Listeners(threads)
    listeners.add("toy", "placed", lambda entered: release.wait(30) and None)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(listeners.notify(ENTERED), 0.05)
    assert threads.count_given_up(("toy", "placed")) == 1
    release.set()
    while not ended.is_set():
        await asyncio.sleep(0.01)
    assert threads.count_given_up(("toy", "placed")) == 0


async def test_only_listeners_of_the_entered_state_run() -> None:
    listeners, notified = make_listeners(), []
    listeners.add("toy", "packed", notified.append)
    listeners.add("other", "placed", notified.append)
    await listeners.notify(ENTERED)
    assert notified == []


def test_the_states_of_a_provider_are_those_with_a_listener_here_or_elsewhere() -> None:
    listeners = make_listeners()
    listeners.add("toy", "packed", ignore)
    listeners.add("other", "placed", ignore)
    listeners.set_elsewhere(frozenset({("toy", "shipped")}))
    listeners.add("toy", "loaded", ignore)
    assert listeners.states_of("toy") == {"packed", "shipped", "loaded"}
    assert listeners.states_of("third") == frozenset()
    assert listeners.pairs() == {("toy", "packed"), ("other", "placed"), ("toy", "loaded")}
    listeners.set_elsewhere(frozenset())
    assert listeners.states_of("toy") == {"packed", "loaded"}


# ── listeners of other processes ─────────────────────────────────────────────────────────────────────────────────────────


class AwayStore(SqliteStore):
    """Cannot save listeners while it is ``away``."""

    away = False

    async def add_listeners(self, pairs: Collection[tuple[str, str]]) -> None:
        if self.away:
            raise OperationalError("orders.db: away")
        await super().add_listeners(pairs)


async def test_a_listener_that_the_database_did_not_take_is_saved_later(tmp_path: Path) -> None:
    store = AwayStore(tmp_path / "orders.db")
    async with open_bench(tmp_path, store=store) as bench:
        bench.listen("placed")
        store.away = True
        with pytest.raises(OperationalError):
            await bench.engine.directory.refresh()
        store.away = False
        await bench.engine.directory.refresh()
        assert await store.listeners() == {("toy", "placed")}


async def test_the_directory_is_refreshed_once_an_interval_and_at_once_for_a_new_listener(tmp_path: Path) -> None:
    async with open_bench(tmp_path) as bench:
        directory, listeners = bench.engine.directory, bench.engine.listeners
        await directory.refresh(10.0)
        await bench.store.add_listeners([("toy", "packed")])
        bench.clock.advance(9.9)
        await directory.refresh(10.0)
        assert listeners.states_of("toy") == frozenset()
        bench.clock.advance(0.1)
        await directory.refresh(10.0)
        assert listeners.states_of("toy") == {"packed"}
        bench.listen("placed")
        await directory.refresh(10.0)
        assert await bench.store.listeners() == {("toy", "packed"), ("toy", "placed")}


@pytest.mark.parametrize("by", ["command", "claim"])
async def test_a_process_that_creates_nothing_learns_of_listeners_elsewhere(tmp_path: Path, by: str) -> None:
    """It started before there was any listener. All that it does is accept commands and claims."""
    url, clock, keys = f"sqlite:///{tmp_path / 'orders.db'}", SimClock(start=1e6, manual=True), {"k": "a key of sixteen bytes"}
    settings = {"clock": clock, "public_url": "https://shop.example/orders", "signing_keys": keys}
    async with Orderflow(url, [Toy()], **settings) as caller, Orderflow(url, [Toy()], **settings) as listening:
        order = await caller.create("toy", key="k")
        state = "preparing" if by == "command" else "waiting"
        listening.on_entered("toy", state, ignore)
        await listening.create("toy", key="k")  # which saves the listener
        if by == "claim":
            await listening.override(order.id, "placed", actor="a test", reason="so that a claim can move it", version=0)
        clock.advance(LISTENER_REFRESH_SECONDS)
        if by == "command":
            await caller.send(order.id, "order_it")
        else:
            claim_url = str(SignedUrls("https://shop.example/orders", keys).url("toy", "came", order.id))
            await caller.handle_request("GET", claim_url.removeprefix("https://shop.example/orders"))
        assert (await caller.order(order.id)).state == state
        assert [row.entered_state for row in (await listening.pending(order.id)).effects if row.entered_state] == [state]


# ── removed listeners ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'orders.db'}"


async def leave_notifications(url: str, count: int = 1) -> list[Order]:
    """Settled orders, each with a pending notification for a listener that the code no longer has."""
    async with Orderflow(url, [Toy()]) as flow:
        flow.on_entered("toy", "abandoned", ignore)
        orders = [await flow.create("toy", key=str(n)) for n in range(count)]
        for order in orders:
            await flow.override(order.id, "abandoned", actor="a test", reason="to be in this state", version=0)
    return orders


async def test_once_a_listener_is_removed_its_orders_can_be_redacted_and_pruned(url: str) -> None:
    kept, gone = await leave_notifications(url, 2)
    async with Orderflow(url, [Toy()], clock=SimClock(start=4e9, manual=True)) as flow:
        assert await flow.listeners() == [Listener("toy", "abandoned", 2)]
        assert not isinstance(await flow.redact(kept.id, actor="dpo", reason="asked"), Applied)
        assert [batch async for batch in flow.prune(older_than=0.0)] == []
        assert await flow.remove_listener("toy", "abandoned", actor="olga", reason="we do not ship any more") == 2
        assert await flow.listeners() == []
        assert isinstance(await flow.redact(kept.id, actor="dpo", reason="asked"), Applied)
        assert [batch async for batch in flow.prune(older_than=0.0)] == [[gone.id]]
        with pytest.raises(UnknownName, match="unknown listener: 'toy abandoned'"):
            await flow.remove_listener("toy", "abandoned", actor="olga", reason="again")


async def test_a_removal_ends_every_notification_and_records_who_and_why_with_each(url: str, tmp_path: Path) -> None:
    """More notifications than one transaction ends."""
    store = SqliteStore(tmp_path / "orders.db")
    async with Orderflow(store, [Toy()]) as flow:
        flow.on_entered("toy", "abandoned", ignore)
        order = await flow.create("toy", key="k")
        await store.commit(order.id, None, move("abandoned", effects=[NOTIFY_LISTENER] * 2500, entered_state="abandoned"))
    async with Orderflow(url, [Toy()]) as flow:
        assert await flow.remove_listener("toy", "abandoned", actor=" olga ", reason="gone") == 2500
    with closing(sqlite3.connect(tmp_path / "orders.db")) as connection:
        assert connection.execute("SELECT why, count(*) FROM of_effects WHERE owed = 0 GROUP BY 1").fetchall() == [
            ("removed by olga: gone", 2500)
        ]


@pytest.mark.parametrize(("actor", "reason", "field"), [("", "gone", "actor"), ("olga", "  ", "reason")])
async def test_a_removal_needs_an_actor_and_a_reason(url: str, actor: str, reason: str, field: str) -> None:
    await leave_notifications(url)
    async with Orderflow(url, [Toy()]) as flow:
        with pytest.raises(InvalidInput) as error:
            await flow.remove_listener("toy", "abandoned", actor=actor, reason=reason)
        assert error.value.field == field
        assert await flow.listeners() == [Listener("toy", "abandoned", 1)]


async def test_what_other_processes_owe_after_a_removal_is_listed_and_a_second_removal_ends_it(url: str, tmp_path: Path) -> None:
    """Another process learns only seconds later that the listener is gone."""
    await leave_notifications(url)
    async with open_bench(tmp_path) as other, Orderflow(url, [Toy()]) as flow:
        await other.engine.directory.refresh(LISTENER_REFRESH_SECONDS)
        order = await other.create("late", "drafted")
        await flow.remove_listener("toy", "abandoned", actor="olga", reason="gone")
        await other.override(order.id, "abandoned")
        assert await flow.listeners() == [Listener("toy", "abandoned", 1)]
        assert await flow.remove_listener("toy", "abandoned", actor="olga", reason="gone") == 1
        other.clock.advance(LISTENER_REFRESH_SECONDS)
        await other.engine.directory.refresh(LISTENER_REFRESH_SECONDS)
        await other.override(order.id, "placed")
        await other.override(order.id, "abandoned")
        assert await flow.listeners() == []


async def test_the_process_that_removes_a_listener_owes_no_notification_from_then_on(url: str) -> None:
    async with Orderflow(url, [Toy()]) as flow:
        flow.on_entered("toy", "preparing", ignore)
        await flow.create("toy", key="j")  # which saves the listener
    async with Orderflow(url, [Toy()]) as flow:
        order = await flow.create("toy", key="k")
        await flow.remove_listener("toy", "preparing", actor="olga", reason="gone")
        await flow.send(order.id, "order_it")
        assert await flow.listeners() == []


async def test_a_process_that_still_has_the_listener_adds_it_again_when_it_starts(url: str) -> None:
    await leave_notifications(url)
    async with Orderflow(url, [Toy()]) as flow:
        await flow.remove_listener("toy", "abandoned", actor="olga", reason="gone")
        await leave_notifications(url, 2)
        assert await flow.listeners() == [Listener("toy", "abandoned", 1)]  # of the order that entered the state since


def test_listeners_are_listed_and_removed_without_await(tmp_path: Path) -> None:
    with SyncOrderflow(f"sqlite:///{tmp_path / 'orders.db'}", [Toy()]) as flow:
        assert flow.listeners() == []
        with pytest.raises(UnknownName):
            flow.remove_listener("toy", "placed", actor="olga", reason="gone")


def test_a_listener_must_be_a_function() -> None:
    with pytest.raises(InvalidInput, match=r"^handler: must be a function, got str"):
        make_listeners().add("toy", "placed", "grant_access")  # type: ignore[arg-type]
