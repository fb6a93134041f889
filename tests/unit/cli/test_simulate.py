"""``orderflow sim`` as its user runs it: a process that serves until it is stopped."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from tests.unit.cli.conftest import SCRIPT, Orderflow

PATIENCE = 60


@contextmanager
def running(*arguments: str, lines: int = 1) -> Iterator[tuple[list[dict[str, Any]], subprocess.Popen[str]]]:
    process = subprocess.Popen(
        [str(SCRIPT), "sim", *arguments, "--port", "0", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    # a timer and no select: two lines may come at once, and the second then waits in the reader's buffer, unseen by select
    watchdog = threading.Timer(PATIENCE, process.kill)
    watchdog.start()
    try:
        told = [json.loads(process.stdout.readline() or '"said nothing"') for _ in range(lines)]
        watchdog.cancel()
        yield told, process
    finally:
        watchdog.cancel()
        process.terminate()
        process.communicate(timeout=PATIENCE)


def test_ccv_is_served_with_its_clock_switches_and_seed() -> None:
    with running("ccv", "--clock", "manual", "--seed", "3", "--set", "id_shape=reference", "--set", "step_seconds=60") as (told, process):
        (ccv,) = told
        order = {"notifyCustomerByEmail": True, "order": {"a": 1}, "externalReference": "r#pay"}
        with httpx.Client(trust_env=False, timeout=PATIENCE) as http:
            assert http.post(f"{ccv['api']}/order", json=order).status_code == 401
            made = http.post(f"{ccv['api']}/order", json=order, auth=(ccv["api_key"], "")).json()
            assert made == {"reference": "ccv-3-000001"}
            http.post(f"{ccv['base']}/_sim/clock", json={"advance": "PT2M"})
            assert "AwaitingPayment" in http.get(ccv["page"]).text
            assert http.get(ccv["openapi"]).json()["openapi"] == "3.1.0"
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0


def test_both_are_served_side_by_side() -> None:
    with running(lines=2) as (told, _):
        assert [one["name"] for one in told] == ["connect", "ccv"]
        with httpx.Client(trust_env=False, timeout=PATIENCE) as http:
            assert [http.get(one["page"]).status_code for one in told] == [200, 200]


@pytest.mark.parametrize(("which", "name"), [("connect", "fulfilled_status"), ("ccv", "id_shape")])
def test_switches_are_listed(orderflow: Orderflow, which: str, name: str) -> None:
    plain = orderflow("sim", which, "--switches")
    assert (plain.code, name in plain.out) == (0, True)
    rows = orderflow("sim", "--switches", "--json").json[which]
    assert {"name", "values", "default", "now", "question", "source"} == set(rows[0])
    assert all(row["question"] and row["source"] for row in rows)


def test_scenarios_are_listed(orderflow: Orderflow) -> None:
    listed = orderflow("sim", "connect", "--scenarios")
    assert (listed.code, "+unknown-forever" in listed.out, "timeout-after-commit" in listed.out) == (0, True, True)
    assert set(orderflow("sim", "--scenarios", "--json").json["values"]) == {"connect", "ccv"}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("ccv", "--set", "id_shape=round"), 2, "id_shape: must be"),
        (("ccv", "--set", "id_shape"), 2, "is not name=value"),
        (("ccv", "--set", "shape=round"), 3, "unknown switch: 'shape'"),
        (("paypal",), 2, "paypal"),
        (("ccv", "--port", "70000"), 2, "--port"),
    ],
)
def test_mistakes_end_in_one_line(orderflow: Orderflow, arguments: tuple[str, ...], code: int, said: str) -> None:
    ran = orderflow("sim", *arguments)
    assert (ran.code, said in ran.err) == (code, True), ran.err
    assert len(ran.err.splitlines()) == 1


def test_a_taken_port_is_said_in_one_line(orderflow: Orderflow) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ran = orderflow("sim", "ccv", "--port", str(port))
    assert (ran.code, ran.out) == (7, "")
    assert ran.err == f"orderflow: cannot listen on 127.0.0.1:{port}: another program does; choose a --port, 0 for any free one\n"
