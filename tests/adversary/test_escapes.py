"""A customer, a partner or a sick provider whose texts are shown to people: on a terminal, in a log, in a picture, on a page."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from xml.etree import ElementTree as ET

import httpx
import pytest
import structlog
from tests.kit.world import ccv_at, ccv_request, ccv_sim, connect_sim

from orderflow import Orderflow
from orderflow._cli import logs
from orderflow._cli.main import main
from orderflow._lifecycle.table import Table
from orderflow._providers.ccv.lifecycle import CcvLifecycle
from orderflow.diagrams import build_drawing, render, trace_order
from orderflow.model import Message
from orderflow.simulators import serve

pytestmark = pytest.mark.anyio

ATTACKS = {
    "clipboard": "\x1b]52;c;cm0gLXJmIC8=\x07",
    "title": "\x1b]0;owned\x07",
    "clear": "\x1b[2J",
    "C1": "\x9b31m",
    "right to left": "\u202egnp.exe",
    "backspace": "ok\b\bno",
    "carriage return": "gone\rforged",
    "row": "x\nforged row",
    "line separator": "x\u2028forged row",
}
EVIL = "".join(ATTACKS.values())
WHY = ["--actor", f"kim{EVIL}", "--reason", f"ticket{EVIL}"]


def assert_harmless(shown: str) -> None:
    """No character of it controls a terminal but the line end, and no line is forged."""
    controls = {letter for letter in shown if not letter.isprintable() and letter != "\n"}
    assert controls == set()
    assert not any(line.startswith("forged") for line in shown.split("\n"))


async def store_evil_order(path: Path) -> str:
    """An order whose every stored text holds every attack. Its id."""
    async with Orderflow(f"sqlite:///{path}", [ccv_at("http://127.0.0.1:1")]) as flow:
        order = await flow.create("ccv", key=EVIL, **ccv_request())
        for _ in range(2):
            await flow.override(order.id, "submission_in_doubt", actor=f"kim{EVIL}", reason=EVIL, version=0)
        await flow.send(order.id, "submit")
        await flow.lift_standing("ccv", actor=f"kim{EVIL}", reason=EVIL)
        await flow._store.add_message(Message(order.id, f"poll{EVIL}", 200, f"text/plain{EVIL}", EVIL, False, 1.0, 1.0, 1))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE of_orders SET data = json_set(data, '$.provider_id', ?)", (EVIL,))
        connection.execute("INSERT INTO of_provider_ids (provider, provider_id, order_id) VALUES ('ccv', ?, ?)", (EVIL, order.id))
        connection.execute("UPDATE of_refusals SET detail = ?", (EVIL,))
        connection.execute(
            "INSERT INTO of_effects (order_id, provider, run_at, version, n, name, entered_state, trace, arguments, owed, why)"
            " VALUES (?, 'ccv', 1e9, 9, 0, 'submit_order', '', '', '', 1, ?)",
            (order.id, EVIL),
        )
    return order.id


# ── the terminal ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_my_texts_reach_the_operators_terminal_escaped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "orders.db"
    order_id = await store_evil_order(path)
    commands = [
        ["orders", "list"],
        ["orders", "list", "--state", EVIL],
        ["orders", "find", "ccv", order_id],
        ["orders", "show", order_id],
        ["orders", "show", order_id, "--messages"],
        ["orders", "show", order_id, "--version", "1"],
        ["orders", "show", EVIL],
        ["orders", "resolve", order_id],
        ["orders", "resolve", order_id, "submission_given_up", *WHY],
        ["orders", "resolve", order_id, EVIL, *WHY],
        ["orders", "draw", order_id, "--format", "mermaid"],
        ["orders", "draw", order_id, "--format", "plantuml"],
        ["orders", "draw", order_id, "--format", "dot"],
        ["why", order_id],
        ["why", order_id, EVIL],
        ["providers"],
        ["providers", "lift", EVIL, *WHY],
        ["listeners", "remove", "ccv", EVIL, *WHY, "-y"],
        ["db", "prune", "--older-than", EVIL, "-y"],
        [EVIL],
    ]
    for command in commands:
        await asyncio.to_thread(main, [*command, "--db", f"sqlite:///{path}"])
        captured = capsys.readouterr()
        assert captured.out + captured.err
        assert_harmless(captured.out)
        assert_harmless(captured.err)


async def test_a_text_is_shown_so_that_a_person_sees_what_was_tried(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "orders.db"
    await store_evil_order(path)
    await asyncio.to_thread(main, ["orders", "list", "--db", f"sqlite:///{path}"])
    shown = "".join(capsys.readouterr().out.split())
    assert r"\x1b]52;c;cm0gLXJmIC8=\x07\x1b]0;owned\x07\x1b[2J\x9b31m\u202egnp.exe" in shown
    await asyncio.to_thread(main, ["orders", "list", "--json", "--db", f"sqlite:///{path}"])
    document = capsys.readouterr().out
    assert_harmless(document)
    assert json.loads(document)[0]["key"] == EVIL


# ── the log ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Terminal(io.StringIO):
    """Standard error of a person."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(params=[Terminal, io.StringIO])
def log_of_worker(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """The log of a worker process, on a terminal and in a file."""
    out: io.StringIO = request.param()
    root = logging.getLogger()
    handlers, root.handlers = root.handlers, []
    monkeypatch.setattr(sys, "stderr", out)
    monkeypatch.setenv("NO_COLOR", "1")
    logs.configure("info")
    yield out
    root.handlers = handlers
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def test_my_texts_reach_the_log_escaped(log_of_worker: io.StringIO) -> None:
    log = structlog.get_logger()
    log.info("provider.standing_lifted", provider="ccv", by=f"kim{EVIL}", all=[EVIL], more={EVIL: EVIL})
    log.warning(EVIL)
    logging.getLogger("another.library").error("it failed: %s", EVIL)
    try:
        int(EVIL)
    except ValueError as error:
        error.args = (EVIL,)
        log.exception("failed")
    coloured = log_of_worker.getvalue()
    shown = coloured.replace("\x1b[0m", "").replace("\x1b[1m", "")
    for colour in range(30, 38):
        shown = shown.replace(f"\x1b[{colour}m", "").replace(f"\x1b[2m\x1b[{colour}m", "").replace("\x1b[2m", "")
    assert "owned" in shown
    assert {letter for letter in shown if not letter.isprintable() and letter != "\n"} == set()
    if isinstance(log_of_worker, Terminal):
        assert sum(line.startswith("forged row") for line in shown.split("\n")) == 1  # in a traceback, lines stay
    else:
        assert all(isinstance(json.loads(line), dict) for line in shown.splitlines())


# ── pictures ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["svg", "mermaid", "dot", "plantuml"])
def test_my_id_reaches_a_picture_escaped(kind: str) -> None:
    table: Table = CcvLifecycle.table
    evil = f"ccv-{EVIL}<script>alert(1)</script>\"'&]]>--><!--`${{x}}|[a](javascript:b)\\"
    path = trace_order(build_drawing(table), evil, "Processing", [])
    picture = render(table, kind, path=path).decode()  # type: ignore[arg-type]
    assert_harmless(picture)
    assert "<script" not in picture
    if kind == "svg":
        (title,) = ET.fromstring(picture.partition("\n")[2]).findall("{http://www.w3.org/2000/svg}title")
        assert "<script>alert(1)</script>" in (title.text or "")


# ── pages ────────────────────────────────────────────────────────────────────────────────────────────────────────────────

HEADERS = {"referrer-policy": "no-referrer", "x-content-type-options": "nosniff"}


@pytest.mark.parametrize("make", [ccv_sim, connect_sim])
async def test_every_page_of_a_simulator_keeps_the_browser_to_itself(make: type) -> None:
    async with make() as sim, serve(sim.asgi) as base, httpx.AsyncClient(trust_env=False, base_url=base) as http:
        replies = [
            await http.get(path)
            for path in (
                "/_sim/",
                "/_sim/orders",
                "/_sim/requests",
                "/_sim/nothing",
                "/_sim/style.css",
                "/_sim/openapi.json",
                "/_sim/clock",
            )
        ]
        replies += [
            await http.post("/_sim/reset", headers={"Origin": "http://evil.example"}),
            await http.get("/_sim/", headers={"Host": "evil.example"}),
        ]
    for reply in replies:
        headers = dict(reply.headers)
        assert HEADERS.items() <= headers.items(), reply.url
        assert headers["content-security-policy"].startswith("default-src 'none'"), reply.url
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["cache-control"] in ("no-store", "no-cache")


async def test_my_texts_reach_the_pages_of_a_simulator_escaped() -> None:
    evil = "<script>alert(1)</script>\"'&"
    async with ccv_sim() as sim, serve(sim.asgi) as base, httpx.AsyncClient(trust_env=False, base_url=base) as http:
        await http.get(f"/{evil}", params={"q": evil}, headers={"X-Evil": evil})
        await http.post("/api/ordercompletion/reseller/order", content=evil)
        for path in ("/_sim/", "/_sim/requests", f"/_sim/order/{evil}", f"/_sim/{evil}"):
            reply = await http.get(path)
            if "html" in reply.headers.get("content-type", ""):
                assert "<script" not in reply.text, path
