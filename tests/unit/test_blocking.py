"""``orderflow.sync``: the engine for code that does not await, with real calls to a simulator in the event loop of another thread."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError
from pathlib import Path

import pytest
from tests.kit.world import CCV_FAST, CCV_KEY, PATIENCE, ccv_request

import orderflow
from orderflow._providers.ccv.simulator import CcvSimulator
from orderflow.errors import ConfigurationError, InvalidInput, NotOpen, OperationalError, SchemaError, UnknownName
from orderflow.simulators import serve


@pytest.fixture
def ccv_url() -> Iterator[str]:
    """The CCV simulator on a socket, in a thread of its own."""
    ready, done = threading.Event(), threading.Event()
    urls: list[str] = []

    async def simulate() -> None:
        async with CcvSimulator(api_key=CCV_KEY, step_seconds=0.03) as sim, serve(sim.asgi) as url:
            urls.append(url + "/api/ordercompletion/reseller")
            ready.set()
            await asyncio.to_thread(done.wait)

    thread = threading.Thread(target=lambda: asyncio.run(simulate()))
    thread.start()
    assert ready.wait(10)
    yield urls[0]
    done.set()
    thread.join()


def test_a_whole_life_without_await(ccv_url: str, tmp_path: Path) -> None:
    notified: list[str] = []
    provider = orderflow.Ccv(ccv_url, CCV_KEY, timing=CCV_FAST, timeout=PATIENCE)
    with orderflow.sync(f"sqlite:///{tmp_path / 'orders.db'}", [provider], worker=True, fetch_interval=0.05) as flow:
        flow.on_entered("ccv", "Completed", lambda entered: notified.append(entered.order.id))
        order = flow.create("ccv", key="cart-1", **ccv_request())

        assert isinstance(flow.send(order.id, "submit"), orderflow.Applied)
        assert flow.wait(order.id, until="Completed", timeout=60).state == "Completed"

        assert [row.event for row in flow.journal(order.id)][:3] == ["submit", "order_configured", "order_submitted"]
        assert {"configure_order", "submit_order"} <= {message.source for message in flow.messages(order.id)}
        refused = flow.send(order.id, "submit")
        assert isinstance(refused, orderflow.Refused)
        assert flow.stuck() == []
        with pytest.raises(InvalidInput):
            flow.customer_url(order.id)
    assert notified == [order.id]


def test_a_flow_that_is_not_open_or_closed_says_so(tmp_path: Path) -> None:
    flow = orderflow.sync(f"sqlite:///{tmp_path / 'orders.db'}", [orderflow.Ccv("http://x")])
    with pytest.raises(NotOpen, match="inside its `with` block"):
        flow.orders()
    with flow:
        assert flow.orders() == []
    with pytest.raises(NotOpen, match="event loop has ended"):
        flow.orders()
    with pytest.raises(ConfigurationError, match="single-use"), flow:
        pass


def test_a_call_on_the_flows_own_event_loop_is_refused_instead_of_waiting_for_itself(tmp_path: Path) -> None:
    with orderflow.sync(f"sqlite:///{tmp_path / 'orders.db'}", [orderflow.Ccv("http://x")]) as flow:

        async def listen() -> None:
            flow.orders()

        with pytest.raises(NotOpen, match="own event loop"):
            asyncio.run_coroutine_threadsafe(listen(), flow._loop).result(10)


FORK = """
import os, sys
import orderflow
with orderflow.sync(sys.argv[1], [orderflow.Ccv("http://x")]) as flow:
    if os.fork() == 0:
        try:
            flow.orders()
        except orderflow.NotOpen as error:
            print(error, flush=True)
            os._exit(0)
        os._exit(1)
    _, status = os.wait()
    print(flow.orders(), status)
"""


def test_after_a_fork_the_child_is_told_to_open_its_own_flow(tmp_path: Path) -> None:
    """As under gunicorn --preload."""
    done = subprocess.run(
        [sys.executable, "-c", FORK, f"sqlite:///{tmp_path / 'orders.db'}"], capture_output=True, text=True, timeout=60, check=True
    )
    told, parent = done.stdout.splitlines()
    assert "enter the flow in each process" in told
    assert parent == "[] 0"


def test_a_call_ends_though_the_thread_that_runs_it_has_died(tmp_path: Path) -> None:
    flow = orderflow.sync(f"sqlite:///{tmp_path / 'orders.db'}", [orderflow.Ccv("http://x")])
    with flow:
        flow._loop.call_soon_threadsafe(flow._loop.stop)
        flow._thread.join()
        with pytest.raises(NotOpen, match="has ended"):
            flow.orders()
        flow._thread = threading.Thread(target=flow._loop.run_forever)  # so that the block can close it
        flow._thread.start()


def test_orders_are_pruned_and_redacted_without_await(tmp_path: Path) -> None:
    with orderflow.sync(f"sqlite:///{tmp_path / 'orders.db'}", [orderflow.Ccv("http://x")]) as flow:
        order_ids = [flow.create("ccv", key=str(n), **ccv_request()).id for n in range(5)]
        for order_id in order_ids:
            assert [name for name, _ in flow.pending(order_id).deadlines] == ["draft_expired"]
            assert isinstance(flow.redact(order_id, actor="kim", reason="asked"), orderflow.Refused)
            flow.override(order_id, "Closed", actor="kim", reason="a test", version=0)
        assert isinstance(flow.redact(order_ids[0], actor="kim", reason="asked"), orderflow.Applied)
        for _ in flow.prune(older_than=0, batch=2):
            break  # an application may stop after any batch
        left = {order.id for order in flow.orders()}
        assert len(left) == 3
        exported: list[str] = []
        batches = list(flow.prune(older_than=0, export=lambda orders: exported.extend(history.order.id for history in orders)))
        assert {order_id for batch in batches for order_id in batch} == set(exported) == left
        with pytest.raises(InvalidInput):
            next(flow.prune(older_than=-1))


def test_a_thread_that_waits_when_the_flow_ends_does_not_wait_for_ever(tmp_path: Path) -> None:
    errors: list[BaseException] = []
    with orderflow.sync(f"sqlite:///{tmp_path / 'orders.db'}", [orderflow.Ccv("http://x")]) as flow:
        order = flow.create("ccv", key="cart-1", **ccv_request())

        def wait() -> None:
            try:
                flow.wait(order.id, until="Completed", timeout=60)
            except (CancelledError, OperationalError) as error:
                errors.append(error)

        thread = threading.Thread(target=wait, daemon=True)
        thread.start()
        while not asyncio.all_tasks(flow._loop):
            pass
    thread.join(10)
    assert not thread.is_alive()
    assert isinstance(errors[0], CancelledError | OperationalError)


def test_errors_are_raised_in_the_calling_thread_and_the_background_thread_ends(tmp_path: Path) -> None:
    (tmp_path / "not.db").write_text("not a database, whatever its name says" * 10)
    before = [thread.name for thread in threading.enumerate()]

    with pytest.raises(SchemaError), orderflow.sync(f"sqlite:///{tmp_path / 'not.db'}", [orderflow.Ccv("http://x")]):
        pass
    with orderflow.sync(f"sqlite:///{tmp_path / 'fine.db'}", [orderflow.Ccv("http://x")]) as flow, pytest.raises(UnknownName):
        flow.order("ccv-unknown")

    assert [thread.name for thread in threading.enumerate()] == before
