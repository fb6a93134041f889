"""No secret and no personal datum leaves orderflow: canaries are put in everywhere, and none is found in what can be read.

Every scenario of the demo is played with canaries as secrets and as the customer's data. It is played once without faults, and once with
exceptions that contain all canaries, raised by store, provider and listener. An exception of a listener contains them in local variables
only: its message is the application's own, and is logged. Then logs, output, drawings, journals and reprs are searched.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import struct
import sys
import time
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, closing
from pathlib import Path

import pytest
import structlog
from attrs import frozen
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
from tests.kit import crash_shop
from tests.kit.crash_lanes import End, Lane, lane, problems
from tests.kit.world import EMAIL, NAME, PHONE, ccv_request

from orderflow._app import Orderflow
from orderflow._cli.demo.play import SCENARIOS
from orderflow._cli.demo.world import Scenario
from orderflow._cli.main import main
from orderflow._provider.http import HttpResponse
from orderflow._provider.outcomes import StatusRead, Succeeded
from orderflow._provider.protocol import Draft
from orderflow._providers.ccv import TIMING as CCV_TIMING
from orderflow._providers.ccv import Ccv
from orderflow._providers.connect import Connect
from orderflow._store.postgres.store import PostgresStore
from orderflow._store.urls import make_store
from orderflow._telemetry.opentelemetry import OpenTelemetry
from orderflow._testing.timing import fast_timing
from orderflow.errors import OperationalError
from orderflow.model import Event, JournalRow, Observation, Origin, StateEntered
from orderflow.simulators import SimClock

LANES = 6
WITH_EXCEPTIONS = (
    "logged-in user by URL",
    "card by URL, new user without password",
    "sms with callback success",
    "cancel",
    "plain",
    "regress from New",
)
DB_PASSWORD = "db-password-canary"
CANARIES = (
    crash_shop.CLIENT_SECRET,
    crash_shop.CCV_KEY,
    b64encode(f"{crash_shop.CCV_KEY}:".encode()).decode(),
    b64encode(f"{crash_shop.CLIENT_ID}:{crash_shop.CLIENT_SECRET}".encode()).decode(),
    crash_shop.SIGNING_KEY,
    f"{crash_shop.SIGNING_KEY_ID}.connect-",  # tokens in our own URLs
    f"{crash_shop.SIGNING_KEY_ID}.ccv-",
    "simulated-client-token",
    "simulated-user-token",
    DB_PASSWORD,
    EMAIL,
    PHONE,
    PHONE.removeprefix("+"),
    NAME,
    "ola@example.invalid",  # to whom the demo assigns an order
)


def find_canaries(text: str) -> list[str]:
    """The canaries in a text."""
    return [canary for canary in CANARIES if canary in text]


@frozen
class Played:
    """What the played scenarios left behind."""

    ends: list[End]
    folder: Path  # of their databases
    log: str
    simulators: str  # repr of their journals


async def play(folder: Path, scenarios: Sequence[Scenario] = SCENARIOS, **more: object) -> Played:
    waiting, ends, reprs = list(scenarios), [], []

    async def name_database(lane_folder: Path) -> str:
        return f"sqlite:///{folder / lane_folder.name}.db"

    async def play_next(own_lane: Lane) -> None:
        while waiting:
            scenario = waiting.pop(0)
            ends.append(await own_lane.play(scenario, **more))
            reprs.extend(map(repr, (*own_lane.connect.journal.rows, *own_lane.ccv.journal.rows)))

    async with AsyncExitStack() as stack:
        lanes = [await stack.enter_async_context(lane(name_database)) for _ in range(LANES)]
        async with asyncio.TaskGroup() as group:
            for own_lane in lanes:
                group.create_task(play_next(own_lane))
    return Played(ends, folder, "".join(log for own_lane in lanes for log in own_lane.logs), "\n".join(reprs))


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """Every scenario, without faults."""
    return asyncio.run(play(tmp_path_factory.mktemp("played")))


def test_the_canaries_were_stored(played: Played) -> None:
    """Otherwise the other tests would prove nothing."""
    assert [problem for end in played.ends for problem in problems(end)] == []
    assert len(played.ends) == len(SCENARIOS)
    stored = b"".join(path.read_bytes() for path in played.folder.iterdir())
    assert all(canary.encode() in stored for canary in (EMAIL, NAME, PHONE, "ola@example.invalid"))


def test_no_canary_is_logged(played: Played) -> None:
    assert "order.transitioned" in played.log
    assert find_canaries(played.log) == []
    assert find_canaries(played.simulators) == []


@pytest.mark.anyio
@pytest.mark.parametrize("only", [("poll", "notify_listener"), ()], ids=["polls and notifications", "everything"])
async def test_no_canary_is_logged_when_everything_fails_once(tmp_path: Path, only: tuple[str, ...]) -> None:
    """Every crash point raises an exception of foreign code when it is first passed. No log is configured in the shop's process: with
    rich installed, frames would be printed with their locals. Orders whose calls fail end early, so a part of the test spares the calls."""
    scenarios = [scenario for scenario in SCENARIOS if scenario.name in WITH_EXCEPTIONS]
    played = await play(tmp_path, scenarios, canaries=CANARIES, only=only)
    events = ("poll.adapter_raised",) if only else ("effect.adapter_raised", "worker.fetch_failed")
    for event in (*events, "listener.failed", "worker.item_failed"):
        assert event in played.log, event
    assert played.log.count("error='Canary'") > 50
    assert "Canary: a bug of the listener" in played.log
    assert find_canaries(played.log) == []
    for end in played.ends:
        assert find_canaries(_dump(end.journal) + repr(end)) == [], end.scenario.name


def test_no_canary_is_in_a_journal_or_a_repr(played: Played) -> None:
    for end in played.ends:
        order = end.order
        assert find_canaries(_dump(end.journal) + repr(end.journal) + repr(end.refusals)) == []
        assert find_canaries(repr(order) + str(order)) == []
        about = {"data": order.snapshot.data}
        assert find_canaries(repr(StateEntered("key", order, order.state, 1, provisional=False, inferred=False))) == []
        for record in (Draft({}, **about), Succeeded("e", **about), StatusRead("s", **about), Event("e", Origin.REPLY, **about)):
            assert find_canaries(repr(record)) == []
        assert find_canaries(repr(Observation("s", 1, **about))) == []


def _dump(journal: Sequence[JournalRow]) -> str:
    return json.dumps([[row.event, row.source, row.target, row.kind, row.note] for row in journal])


@pytest.mark.anyio
async def test_no_canary_is_in_the_repr_of_what_holds_secrets(tmp_path: Path) -> None:
    ccv = Ccv("http://ccv.invalid", crash_shop.CCV_KEY)
    connect = Connect("http://c.invalid/capi", "http://c.invalid/user", crash_shop.CLIENT_ID, crash_shop.CLIENT_SECRET)
    flow = Orderflow(
        f"sqlite:///{tmp_path / 'o.db'}", [ccv, connect], public_url="https://s.example", signing_keys={"k": crash_shop.SIGNING_KEY}
    )
    answer = HttpResponse(200, {"Authorization": crash_shop.CCV_KEY}, EMAIL.encode())
    async with flow:
        reprs = [repr(one) for one in (ccv, connect, flow, flow.receiver(), answer, *vars(flow).values(), *vars(ccv).values())]
    assert find_canaries("\n".join(reprs)) == []


@pytest.mark.anyio
async def test_an_unreachable_database_does_not_show_its_password() -> None:
    url = f"postgresql://shop:{DB_PASSWORD}@127.0.0.1:1/orders"
    store = PostgresStore(url, patience=0.05)
    with pytest.raises(OperationalError) as raised:
        await store.open()
    assert find_canaries(f"{raised.value!r} {raised.value} {store!r} {make_store(url)!r}") == []


def test_no_canary_is_printed_or_drawn(played: Played, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The command line on every order: tables, JSON, drawings, explanations, and the audit of its journal."""
    for end in played.ends:
        order, db = end.order, end.db
        log = tmp_path / f"{order.id}.jsonl"
        states = [{"case": order.id, "status": row.target, "time": row.at} for row in end.journal]
        log.write_text("\n".join(map(json.dumps, states)))
        for command in (
            *(("orders", "list", "--db", db, *more) for more in ((), ("--json",), ("--stuck",))),
            *(("orders", "show", order.id, "--db", db, *more) for more in ((), ("--json",))),
            *(("orders", "draw", order.id, "--db", db, "--format", kind) for kind in ("mermaid", "dot", "plantuml")),
            *(("why", order.id, "--db", db, *more) for more in ((), ("--json",))),
            *(("audit", order.provider, str(log), "--states", *more) for more in ((), ("--json",))),
            ("db", "status", "--db", db),
        ):
            main(command)
        printed = "".join(capfd.readouterr())
        assert order.id in printed
        assert find_canaries(printed) == [], end.scenario.name


def test_no_canary_is_in_a_picture(played: Played, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """Pixels cannot be searched. A png is drawn from the same texts as the svg, and its chunks besides the pixels are searched."""
    for end in _one_per_state(played):
        for kind in ("svg", "png"):
            main(("orders", "draw", end.order.id, "--db", end.db, "--format", kind))
        printed = b"".join(capfdbinary.readouterr())
        svg, mark, png = printed.partition(b"\x89PNG\r\n\x1a\n")
        assert end.order.id.encode() in svg
        assert find_canaries(svg.decode()) == [], end.scenario.name
        assert mark
        other_chunks = [body.decode("latin-1") for kind, body in _chunks(png) if kind != b"IDAT"]  # "zTXt" would be no text to search
        assert find_canaries("".join(other_chunks)) == []
        assert {kind for kind, _ in _chunks(png)} <= {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"pHYs", b"sRGB", b"gAMA", b"tEXt"}


def _one_per_state(played: Played) -> list[End]:
    """One order for each state that orders ended in."""
    found = {(end.order.provider, end.order.state): end for end in played.ends}
    assert len(found) > 6
    return list(found.values())


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The chunks of a png behind its signature: types and bodies."""
    at = 0
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        yield png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        at += 12 + length
    assert at == len(png)


@pytest.mark.anyio
async def test_what_prune_exports_is_in_its_file_and_nowhere_else(
    played: Played, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    structlog.reset_defaults()
    caplog.set_level(logging.DEBUG, "orderflow")
    exports = tmp_path / "commands.jsonl", tmp_path / "api.jsonl"
    offline, later = [Ccv.offline(), Connect.offline()], SimClock(start=time.time() + 60, manual=True)
    for source in {Path(end.db.removeprefix("sqlite:///")) for end in _one_per_state(played)}:
        databases = [f"sqlite:///{tmp_path / kind}-{source.name}" for kind in ("commands", "api")]
        for url in databases:
            with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as copy:
                old.backup(copy)
        async with Orderflow(databases[1], offline, clock=later) as flow:  # no log is configured
            async for _ in flow.prune(older_than=0.0, export=exports[1]):
                pass
        command = ("db", "prune", "--yes", "--db", databases[0], "--older-than", "0s", "--export", str(exports[0]))
        for more in (("--dry-run",), ("--json",), ()):
            await asyncio.to_thread(main, (*command, *more))
        structlog.reset_defaults()
    shown = "".join(capfd.readouterr()) + caplog.text
    assert "orders.pruned" in shown
    assert "deleted: " in shown
    assert find_canaries(shown) == []
    for export in exports:
        assert set(find_canaries(export.read_text())) >= {EMAIL, NAME, PHONE}
        assert export.stat().st_mode & 0o777 == 0o600


class Broken:
    """An HTTP client with a bug of its own."""

    def stream(self, *args: object, **options: object) -> object:
        raise RuntimeError(f"could not send {options} with {CANARIES}")

    async def aclose(self) -> None: ...


@pytest.mark.anyio
async def test_an_exception_of_the_application_leaves_no_canary_in_the_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Nor in exported spans and metrics, which are printed here as text."""
    structlog.reset_defaults()
    tracers = TracerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(BatchSpanProcessor(ConsoleSpanExporter(out=sys.stdout)))
    meters = MeterProvider([PeriodicExportingMetricReader(ConsoleMetricExporter(out=sys.stdout))], shutdown_on_exit=False)
    telemetry = OpenTelemetry(tracer_provider=tracers, meter_provider=meters)
    notified = asyncio.Event()

    async def fail(entered: StateEntered) -> None:
        data = str(entered.order.snapshot.data)
        notified.set()
        raise RuntimeError(f"cannot read {len(data)} letters")

    timing = fast_timing(CCV_TIMING, durations={"configuring_budget": 0.0})  # the least number of attempts, before the circuit opens
    provider = Ccv("http://ccv.invalid", crash_shop.CCV_KEY, timing=timing, client=Broken())
    async with Orderflow(f"sqlite:///{tmp_path / 'orders.db'}", [provider], worker=True, fetch_interval=0.02, telemetry=telemetry) as flow:
        flow.on_entered("ccv", "configuring", fail)
        order = await flow.create("ccv", key="k", **ccv_request())
        await flow.send(order.id, "submit")
        await flow.wait(order.id, "drafted", 10, since=1)
        await asyncio.wait_for(notified.wait(), 10)
    tracers.shutdown()
    meters.shutdown()
    shown = "".join(capsys.readouterr()) + caplog.text
    assert "effect.adapter_raised" in shown
    assert "listener.failed" in shown
    assert "RuntimeError: cannot read " in shown
    assert '"name": "orderflow effect"' in shown
    assert "orderflow.effect.duration" in shown
    assert find_canaries(shown) == []
