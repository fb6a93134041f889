"""Where the log goes: to structlog where the application configured it, else to ``logging``; never to standard output by itself."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest
import structlog

from orderflow._telemetry.log import get_logger

PROGRAM = """
import asyncio, json, logging, sys
{configure}
from orderflow import Orderflow
from orderflow.simulators import simulate

payer = {{"lastName": "Nordmann", "postalCode": "0150", "emails": ["kari@example.org"]}}
line = {{"productSpecType": "coupon", "productSpecCode": "WEB", "productSpecNo": 7}}
cart = {{"payer": payer, "orderLines": [line], "paymentMethod": "invoice", "orderAmount": 295}}

async def main():
    async with simulate("connect") as connect, Orderflow(sys.argv[1], [connect]) as flow:
        order = await flow.create(connect, key="k", order=cart)
        await flow.send(order.id, "discard")
        await flow.send(order.id, "register")

asyncio.run(main())
print(json.dumps("the program's own output"))
"""


@pytest.fixture(autouse=True)
def unconfigured():  # type: ignore[no-untyped-def]
    """Structlog as it is when the application never touched it; afterwards as it was."""
    was = structlog.get_config() if structlog.is_configured() else None
    structlog.reset_defaults()
    yield
    if was is not None:
        structlog.configure(**was)


def test_without_structlog_an_event_goes_to_logging_with_its_fields(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "orderflow"):
        get_logger("orderflow.somewhere").info("order.moved", order_id="ccv-1", why="a\nforged line")
    (record,) = caplog.records
    assert (record.name, record.levelname, record.filename) == ("orderflow.somewhere", "INFO", "test_log.py")
    assert record.getMessage() == r"order.moved order_id='ccv-1' why='a\nforged line'"
    assert record.fields == {"order_id": "ccv-1", "why": "a\nforged line"}  # type: ignore[attr-defined]


def test_a_traceback_stands_on_lines_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    get_logger("orderflow.somewhere").error("listener.failed", state="paid", traceback="Traceback:\n  line")
    assert caplog.records[0].getMessage() == "listener.failed state='paid'\nTraceback:\n  line"


def test_a_level_of_logging_silences_it(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.CRITICAL, "orderflow"):
        get_logger("orderflow.somewhere").error("worker.fetch_failed")
    assert not caplog.records


def test_where_structlog_is_configured_it_gets_the_event(caplog: pytest.LogCaptureFixture) -> None:
    log = get_logger("orderflow.somewhere")  # made before the application configures anything
    with structlog.testing.capture_logs() as captured:
        log.warning("worker.leases_left", count=2)
    assert captured == [{"event": "worker.leases_left", "count": 2, "log_level": "warning"}]
    assert not caplog.records


def run_program(database: Path, configure: str) -> subprocess.CompletedProcess[str]:
    program = PROGRAM.format(configure=configure)
    return subprocess.run([sys.executable, "-c", program, f"sqlite:///{database}"], capture_output=True, text=True, timeout=60, check=True)


@pytest.mark.parametrize(
    ("configure", "shown"),
    [
        ("", False),
        ("logging.basicConfig(level='INFO')", True),
        ("logging.basicConfig(level='INFO'); logging.getLogger('orderflow').setLevel('ERROR')", False),
    ],
)
def test_a_program_has_its_standard_output_for_itself(tmp_path: Path, configure: str, shown: bool) -> None:
    ended = run_program(tmp_path / "orders.db", configure)
    assert json.loads(ended.stdout) == "the program's own output"
    assert ("INFO:orderflow._engine.inbox:event.refused order_id=" in ended.stderr) == shown
    assert shown or not ended.stderr
