"""``orderflow simulate`` as its user runs it: a process that serves until it is stopped."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.unit.cli.conftest import SCRIPT, Orderflow

TIMEOUT = 60


@contextmanager
def running(*arguments: str, lines: int = 1, **environment: str) -> Iterator[tuple[list[dict[str, Any]], subprocess.Popen[str]]]:
    """A process of the command, and its first lines, as JSON."""
    process = subprocess.Popen(
        [str(SCRIPT), "simulate", *arguments, "--port", "0", "--json"],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    # a timer and no select: two lines may come at once, and the second then waits in the reader's buffer, unseen by select
    watchdog = threading.Timer(TIMEOUT, process.kill)
    watchdog.start()
    try:
        addresses = [json.loads(process.stdout.readline() or '"no line"') for _ in range(lines)]
        watchdog.cancel()
        yield addresses, process
    finally:
        watchdog.cancel()
        process.terminate()
        process.communicate(timeout=TIMEOUT)


def test_ccv_is_served_with_its_clock_switches_and_seed() -> None:
    with running("ccv", "--clock", "manual", "--seed", "3", "--set", "id_shape=reference", "--set", "step_seconds=60") as (
        addresses,
        process,
    ):
        (ccv,) = addresses
        order = {"notifyCustomerByEmail": True, "order": {"a": 1}, "externalReference": "r#pay"}
        with httpx.Client(trust_env=False, timeout=TIMEOUT) as http:
            assert http.post(f"{ccv['base_url']}/order", json=order).status_code == 401
            created = http.post(f"{ccv['base_url']}/order", json=order, auth=(ccv["api_key"], "")).json()
            assert created == {"reference": "ccv-3-000001"}
            http.post(f"{ccv['base']}/_sim/clock", json={"advance": "PT2M"})
            assert "AwaitingPayment" in http.get(ccv["page"]).text
            assert http.get(ccv["openapi"]).json()["openapi"] == "3.1.0"
        process.send_signal(signal.SIGINT)
        assert process.wait(TIMEOUT) == 0


def test_each_start_has_another_seed() -> None:
    order = {"notifyCustomerByEmail": True, "order": {"a": 1}}
    references = set()
    for _ in range(2):
        with running("ccv", "--set", "id_shape=reference") as ((ccv,), _), httpx.Client(trust_env=False, timeout=TIMEOUT) as http:
            references.add(http.post(f"{ccv['base_url']}/order", json=order, auth=(ccv["api_key"], "")).json()["reference"])
    assert len(references) == 2


def test_all_simulators_are_served_side_by_side() -> None:
    with running(lines=2) as (addresses, _):
        assert [simulator["name"] for simulator in addresses] == ["ccv", "connect"]
        assert addresses[1].keys() == {"name", "base", "api", "login", "client_id", "client_secret", "page", "openapi"}
        with httpx.Client(trust_env=False, timeout=TIMEOUT) as http:
            assert [http.get(simulator["page"]).status_code for simulator in addresses] == [200, 200]


DEPOT = """
from orderflow.simulators import Simulator
from orderflow._simulators.simulation import Simulation

class DepotSimulator(Simulator):
    NAME = "Depot"
    def __init__(self, *, clock, seed, lenient):
        super().__init__(clock=clock, seed=seed)
        self.asgi = self.wrap(None)

def arguments(base_url, simulator):
    return {"url": f"{base_url}/v1", "seed": str(simulator.seed)}

SIMULATION = Simulation("depot", DepotSimulator, lambda *_: None, arguments)
"""


def test_the_simulator_of_another_package_is_found_by_its_entry_point(tmp_path: Path) -> None:
    info = tmp_path / "depot-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: depot\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[orderflow.simulators]\ndepot = depot:SIMULATION\n")
    (tmp_path / "depot.py").write_text(DEPOT)
    path = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))
    with running("depot", "--seed", "7", PYTHONPATH=path) as (addresses, _):
        (depot,) = addresses
        assert (depot["name"], depot["url"], depot["seed"]) == ("depot", f"{depot['base']}/v1", "7")
        assert httpx.get(depot["page"], trust_env=False).status_code == 200


@pytest.mark.parametrize(("provider", "name"), [("connect", "fulfilled_status"), ("ccv", "id_shape")])
def test_switches_are_listed(orderflow: Orderflow, provider: str, name: str) -> None:
    plain = orderflow("simulate", provider, "--switches")
    assert (plain.code, name in plain.out) == (0, True)
    rows = orderflow("simulate", "--switches", "--json").json[provider]
    assert {"name", "values", "default", "now", "question", "source"} == set(rows[0])
    assert all(row["question"] and row["source"] for row in rows)


def test_scenarios_are_listed(orderflow: Orderflow) -> None:
    listed = orderflow("simulate", "connect", "--scenarios")
    assert (listed.code, "+unknown-forever" in listed.out, "timeout-after-commit" in listed.out) == (0, True, True)
    assert set(orderflow("simulate", "--scenarios", "--json").json["values"]) == {"connect", "ccv"}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("ccv", "--set", "id_shape=round"), 2, "id_shape: must be"),
        (("ccv", "--set", "id_shape"), 2, "is not name=value"),
        (("ccv", "--set", "shape=round"), 3, "unknown switch: 'shape'"),
        (("ccv", "--set", "id_shap=round"), 3, "unknown switch: 'id_shap'; did you mean 'id_shape'?"),
        (("paypal",), 3, "unknown simulator: 'paypal' (known: ccv, connect, all)"),
        (("conect",), 3, "unknown simulator: 'conect'; did you mean 'connect'?"),
        (("ccv", "--port", "70000"), 2, "--port"),
        (("ccv", "--clock", "stopped"), 2, "stopped"),
    ],
)
def test_mistakes_end_in_one_line(orderflow: Orderflow, arguments: tuple[str, ...], code: int, message: str) -> None:
    ran = orderflow("simulate", *arguments)
    assert (ran.code, message in ran.err) == (code, True), ran.err
    assert len(ran.err.splitlines()) == 1


def test_a_port_in_use_is_reported_in_one_line(orderflow: Orderflow) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ran = orderflow("simulate", "ccv", "--port", str(port))
    assert (ran.code, ran.out) == (7, "")
    assert ran.err == f"orderflow: cannot listen on 127.0.0.1:{port}: another program does; choose a --port, 0 for any free one\n"
