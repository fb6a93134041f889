"""The example shops as their readers would run them: a process each, a browser, and Connect on a socket. Nothing is imported from them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from attrs import define

from orderflow.simulators import Fault

HERE = Path(__file__).parent
COMMANDS = {
    "fastapi_shop": [sys.executable, "-m", "uvicorn", "app:app", "--port"],
    "flask_shop": [sys.executable, "app.py"],
    "django_shop": [sys.executable, "app.py"],
}
PATIENCE = 60.0


@define
class Shop:
    """A shop's process and what a customer's browser sees of it."""

    url: str
    browser: httpx.Client
    command: list[str]
    folder: Path
    env: dict[str, str]
    process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        # a suite that runs in the background ignores Ctrl-C, and its children inherit that
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self.process = subprocess.Popen(
            self.command,
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.until(lambda: self.browser.get("/thanks").status_code == 200)

    def stop(self, how: signal.Signals) -> str:
        """End the process. Returns its output."""
        assert self.process is not None
        self.process.send_signal(how)
        try:
            output, _ = self.process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise
        self.process = None
        return output

    def until(self, holds: Any) -> None:
        """Another process sends no signal: ask it again and again."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            assert self.process is not None
            assert self.process.poll() is None, self.process.communicate()[0]
            try:
                if holds():
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.02)
        raise AssertionError("the time is over: " + self.stop(signal.SIGKILL))

    def has_access(self, cart: str) -> bool:
        return bool(self.browser.get(f"/access/{cart}").json()["granted"])

    def buy(self, cart: str) -> httpx.URL:
        """Place an order. Returns the URL of its payment page."""
        page = self.browser.post(f"/buy/{cart}")
        assert page.status_code == 200, page.text
        return page.url


@pytest.fixture(params=sorted(COMMANDS))
def shop(request: pytest.FixtureRequest, tmp_path: Path, orderflow_connect: Any) -> Iterator[Shop]:
    """Each shop in turn, running."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    env = {
        **os.environ,
        "PORT": str(port),
        "SHOP_URL": url,
        "CONNECT_URL": orderflow_connect.url,
        "CONNECT_ID": "simulated-client",
        "CONNECT_SECRET": "simulated-secret",
        "DATABASE_URL": f"sqlite:///{tmp_path / 'orders.db'}",
        "SIGNING_KEY": "a-signing-key-of-tests-only",
    }
    command = COMMANDS[request.param]
    command = [*command, str(port)] if command[-1] == "--port" else command
    with httpx.Client(base_url=url, follow_redirects=True, trust_env=False, timeout=PATIENCE) as browser:
        running = Shop(url, browser, command, HERE / request.param, env)
        try:
            running.start()
            yield running
        finally:
            if running.process is not None:
                output = running.stop(signal.SIGINT)
                assert "Traceback" not in output, output


def test_a_customer_buys_and_is_given_access_once_it_is_proven(shop: Shop, orderflow_connect: Any) -> None:
    payment = shop.buy("cart-1")
    assert "/pay/" in payment.path
    assert not shop.has_access("cart-1")

    assert shop.buy("cart-1") == payment, "the button was pressed twice"

    shop.browser.get(orderflow_connect.simulator.orders[0].return_url, params={"fulfillmentStatus": "success"})
    assert not shop.has_access("cart-1"), "a redirect proves nothing"

    thanks = shop.browser.post(payment, data={"action": "pay"})
    assert str(thanks.url) == f"{shop.url}/thanks?fulfillmentStatus=success", "through our receiver, to the shop's own page"
    shop.until(lambda: shop.has_access("cart-1"))
    assert len(orderflow_connect.simulator.orders) == 1


def test_a_lost_answer_is_a_text_for_the_page_at_once(shop: Shop, orderflow_connect: Any) -> None:
    orderflow_connect.simulator.faults.arm(Fault("POST /capi/v1/client/orde[r]", "reset-after-commit"))
    begin = time.monotonic()
    page = shop.browser.post("/buy/cart-1")
    assert (page.status_code, page.json()["order"][:52]) == (202, "We are checking whether your order was placed. Pleas")
    assert time.monotonic() - begin < 9
    assert len(orderflow_connect.simulator.orders) == 1


def test_a_cart_is_bought_once_and_one_without_a_return_is_found_after_a_crash(shop: Shop, orderflow_connect: Any) -> None:
    first = shop.buy("cart-1")
    shop.stop(signal.SIGKILL)
    shop.start()
    orderflow_connect.simulator.pay(orderflow_connect.simulator.orders[0].order_id)  # and the browser was closed: only a poll can find it
    assert shop.browser.get(first).status_code == 200
    shop.until(lambda: shop.has_access("cart-1"))
    assert len(orderflow_connect.simulator.orders) == 1
    assert shop.browser.get("/orders/connect/return/forged-token").status_code == 404
