"""``orderflow orders``: what an operator sees and does, on the database of a service that is not running."""

import asyncio
import json
import os
import re
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.kit.stored_orders import stored
from tests.kit.world import CANARIES, ccv_request

from orderflow._app import Orderflow as Flow
from orderflow._providers.ccv import Ccv
from orderflow._providers.connect import Connect
from orderflow.model import Applied

pytestmark = pytest.mark.usefixtures("orderflow")


@pytest.fixture
def db(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'orders.db'}"


@pytest.fixture
def in_doubt(db: str) -> str:
    """An order whose submit answer was lost; the service has a listener for Closed."""

    async def create() -> str:
        async with Flow(db, [Ccv.offline()]) as flow:
            flow.on_entered("ccv", "Closed", lambda entered: None)
            order = await flow.create("ccv", key="cart-1", **ccv_request())
            assert isinstance(await flow.send(order.id, "submit"), Applied)
            await flow.override(order.id, "submission_in_doubt", actor="test", reason="as if the answer was lost", version=1)
            return order.id

    return asyncio.run(create())


def test_show_at_a_version_rebuilds_state_and_facts_and_shows_no_data(orderflow: Any, db: str, in_doubt: str) -> None:
    at = [orderflow("orders", "show", in_doubt, "--db", db, "--version", str(version)) for version in range(3)]
    assert [ran.code for ran in at] == [0, 0, 0]
    states = ("drafted", "configuring", "submission_in_doubt")
    assert [ran.out.splitlines()[0] for ran in at] == [f"{in_doubt}: {state} at version {n}" for n, state in enumerate(states)]
    assert at[0].out.splitlines()[1].startswith("facts: ")
    assert [ran.out.count("override") > 0 for ran in at] == [False, False, True]
    as_json = orderflow("orders", "show", in_doubt, "--db", db, "--version", "1", "--json")
    assert list(as_json.json) == ["id", "state", "version", "facts", "journal"]
    assert [(row["event"], row["facts"]) for row in as_json.json["journal"]] == [("submit", {})]
    assert not any(canary in ran.out for ran in (*at, as_json) for canary in CANARIES)


def test_show_says_when_a_draft_expires(orderflow: Any, db: str) -> None:
    async def create() -> str:
        async with Flow(db, [Ccv.offline()]) as flow:
            return (await flow.create("ccv", key="cart-1", **ccv_request())).id

    ran = orderflow("orders", "show", asyncio.run(create()), "--db", db)
    assert "deadline: draft_expired at " in ran.out


def test_show_refuses_a_version_that_the_order_did_not_have(orderflow: Any, db: str, in_doubt: str) -> None:
    ran = orderflow("orders", "show", in_doubt, "--db", db, "--version", "3")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("orderflow: version: must be a whole number between 0 and 2")


def test_show_at_a_version_says_where_an_older_orderflow_recorded_too_little(orderflow: Any, db: str, in_doubt: str) -> None:
    with closing(sqlite3.connect(db.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute("DELETE FROM of_journal WHERE version = 0")
    ran = orderflow("orders", "show", in_doubt, "--db", db, "--version", "1")
    assert (ran.code, ran.out) == (1, "")
    assert "its journal does not hold what version 0 set" in ran.err
    assert orderflow("orders", "show", in_doubt, "--db", db).code == 0


def test_list_shows_orders_by_state_and_prints_json(orderflow: Any, db: str, in_doubt: str) -> None:
    assert in_doubt in orderflow("orders", "list", "--db", db).out
    assert orderflow("orders", "list", "--db", db, "--state", "Closed").out == "no order matches\n"

    (row,) = orderflow("orders", "list", "--db", db, "--state", "submission_in_doubt", "--json").json

    assert (in_doubt, "ccv", "cart-1", 2, None) == (row["id"], row["provider"], row["key"], row["version"], row["provider_id"])


def test_show_prints_path_and_legal_events_but_no_data(orderflow: Any, db: str, in_doubt: str) -> None:
    ran = orderflow("orders", "show", in_doubt, "--db", db)

    assert ran.code == 0
    assert "legal now: submission_resolved, submission_not_found, submission_given_up" in ran.out
    assert "by test: as if the answer was lost" in ran.out
    as_json = orderflow("orders", "show", in_doubt, "--db", db, "--json")
    assert [row["event"] for row in as_json.json["journal"]] == ["submit", "override"]
    for canary in CANARIES:
        assert canary not in ran.out + as_json.out


def test_resolve_names_the_providers_order_and_is_recorded_with_who_and_why(orderflow: Any, db: str, in_doubt: str) -> None:
    words = ("--db", db, "--actor", "anna", "--reason", "CCV found it")

    missing = orderflow("orders", "resolve", in_doubt, "submission_resolved", *words)
    ran = orderflow("orders", "resolve", in_doubt, "submission_resolved", *words, "--set", "order_id=77", "--json")

    assert (missing.code, missing.err) == (2, "orderflow: --set order_id: required, as non-empty text\n")
    assert (ran.code, ran.json) == (0, {"applied": True, "state": "Processing", "version": 3})
    shown = orderflow("orders", "show", in_doubt, "--db", db, "--json").json
    assert (shown["provider_id"], shown["journal"][-1]["note"]) == ("77", "by anna: CCV found it")


def test_an_order_is_found_by_its_id_at_the_provider_and_a_wrong_id_is_corrected(orderflow: Any, db: str, in_doubt: str) -> None:
    words = ("--db", db, "--actor", "anna", "--reason", "mistyped")
    orderflow("orders", "resolve", in_doubt, "submission_resolved", *words, "--set", "order_id=77")

    found = orderflow("orders", "find", "ccv", " 77 ", "--db", db)
    corrected = orderflow("orders", "override", in_doubt, "Processing", *words, "--yes", "--version", "3", "--provider-id", "78")

    assert (found.code, in_doubt in found.out, corrected.code) == (0, True, 0)
    gone = orderflow("orders", "find", "ccv", "77", "--db", db)
    assert (gone.code, gone.err) == (3, "orderflow: unknown order: '77'\n")
    assert [row["id"] for row in orderflow("orders", "find", "ccv", "78", "--db", db, "--json").json] == [in_doubt]
    assert orderflow("orders", "find", "nowhere", "78", "--db", db).code == 3
    removed = orderflow("orders", "override", in_doubt, "submission_in_doubt", *words, "--yes", "--version", "4", "--provider-id", "")
    assert removed.code == 0
    assert orderflow("orders", "show", in_doubt, "--db", db, "--json").json["provider_id"] is None


def test_show_says_what_a_person_can_do(orderflow: Any, db: str, in_doubt: str) -> None:
    shown = orderflow("orders", "show", in_doubt, "--db", db, COLUMNS="2000").out
    as_json = orderflow("orders", "show", in_doubt, "--db", db, "--json").json

    assert f"\nwhat to do: {as_json['operator_text']}\n" in shown
    assert f"ask CCV for an order with the externalReference {in_doubt}. " in as_json["operator_text"]
    assert as_json["customer_text"].startswith("We are checking")
    answers = ("settled", "proven", "provisional", "in_doubt", "needs_person")
    assert [as_json[name] for name in answers] == [False, False, False, True, True]
    assert as_json["legal"] == ["submission_resolved", "submission_not_found", "submission_given_up"]


def test_resolve_without_an_event_lists_what_can_be_done(orderflow: Any, db: str, in_doubt: str) -> None:
    ran = orderflow("orders", "resolve", in_doubt, "--db", db, COLUMNS="2000")
    as_json = orderflow("orders", "resolve", in_doubt, "--db", db, "--json").json

    head, text, *events = ran.out.splitlines()
    assert (ran.code, head, text) == (0, f"{in_doubt}: submission_in_doubt (version 2), in doubt", as_json["operator_text"])
    assert as_json["events"] == ["submission_resolved", "submission_not_found", "submission_given_up"]
    assert [line.strip() for line in events] == [
        f"orderflow orders resolve {in_doubt} {event} --actor NAME --reason TEXT" for event in as_json["events"]
    ]
    assert orderflow("orders", "show", in_doubt, "--db", db, "--json").json["version"] == 2, "nothing was changed"


def test_resolve_without_an_event_where_none_is_legal(orderflow: Any, tmp_path: Path) -> None:
    db, (order,) = stored(tmp_path, ("connect", "k", "", {}))
    ran = orderflow("orders", "resolve", order, "--db", db, COLUMNS="2000")
    assert (ran.code, ran.out.splitlines()[-1]) == (0, "no operator event is legal now")
    assert orderflow("orders", "resolve", "connect-none", "--db", db).code == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--actor", "anna"), "EVENT: required with --actor, --reason or --set"),
        (("submission_given_up", "--actor", "anna"), "--reason: required"),
        (("submission_given_up", "--reason", "r"), "--actor: required"),
    ],
)
def test_an_event_needs_an_actor_and_a_reason(orderflow: Any, db: str, in_doubt: str, words: tuple[str, ...], message: str) -> None:
    ran = orderflow("orders", "resolve", in_doubt, "--db", db, *words)
    assert (ran.code, ran.out, message in ran.err) == (2, "", True)


@pytest.mark.parametrize("order_id", [(), ("--set", "order_id=77")])
def test_resolve_asks_for_no_arguments_where_the_event_is_not_legal(orderflow: Any, tmp_path: Path, order_id: tuple[str, ...]) -> None:
    db, (order,) = stored(tmp_path, ("connect", "k", "registered", {}))

    ran = orderflow("orders", "resolve", order, "registration_resolved", "--db", db, "--actor", "anna", "--reason", "b", *order_id)

    assert (ran.code, ran.err) == (4, "")
    assert ran.out == "not applied: not legal here; the order is registered, legal now: complete_by_api\n"


def test_an_argument_of_an_event_that_takes_none_is_named_as_an_option(orderflow: Any, db: str, in_doubt: str) -> None:
    words = ("--db", db, "--actor", "anna", "--reason", "b", "--set", "order_id=77")
    ran = orderflow("orders", "resolve", in_doubt, "submission_given_up", *words)
    assert (ran.code, ran.err) == (2, "orderflow: --set order_id: unknown argument (none is taken)\n")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["order_id"], "--set: must be NAME=TEXT or NAME:=JSON; who and why are --actor and --reason"),
        (["=77"], "--set: must be NAME=TEXT"),
        ([":=77"], "--set: must be NAME=TEXT"),
        (["actor=carla"], "--set: must be NAME=TEXT"),
        (["reason:=1"], "--set: must be NAME=TEXT"),
        (["order_id=77", "order_id=78"], "--set order_id: is given twice"),
        (["order_id=77", "order_id:=78"], "--set order_id: is given twice"),
        (["order_id:=seventy"], "--set order_id: is not JSON"),
        (["order_id:=77"], "--set order_id: must be text, got int"),  # a number is not a text, as in the library
        (["order_id=77", "order=7"], "--set order: unknown argument (known: order_id)"),
        (["event=77"], "--set event: unknown argument (known: order_id)"),
        (['order_id:="\\ud800"'], "--set order_id: holds characters"),
    ],
)
def test_a_malformed_argument_is_refused_and_changes_nothing(
    orderflow: Any, db: str, in_doubt: str, settings: list[str], message: str
) -> None:
    options = [word for setting in settings for word in ("--set", setting)]
    ran = orderflow("orders", "resolve", in_doubt, "submission_resolved", "--db", db, "--actor", "anna", "--reason", "b", *options)
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert ran.err.startswith(f"orderflow: {message}")
    assert orderflow("orders", "show", in_doubt, "--db", db, "--json").json["state"] == "submission_in_doubt"


CLINIC = """
from __future__ import annotations
import json
import os
from warehouse import Warehouse
from orderflow._lifecycle.declare import Lifecycle, State, assumed, edge
from orderflow._provider.timing import Timing
from orderflow.model import Cause, Origin

class ClinicLifecycle(Lifecycle, name="clinic"):
    open = State(initial=True)
    closed = State(final=True)
    found = edge(Origin.OPERATOR, open.to(closed), Cause.EMPLOYEE, assumed("a test"), "found")

class Clinic(Warehouse):
    name = "clinic"
    table = ClinicLifecycle.table
    timing = Timing({})
    endpoints = ()
    def __init__(self): pass
    @classmethod
    def offline(cls): return cls()
    def draft(self, request): return super().draft({"items": [1]})
    def command(self, command, arguments): return {"given": json.dumps(arguments, sort_keys=True)}
    async def close(self): pass
"""


def test_an_operators_event_of_any_provider_gets_every_argument(
    orderflow: Any, db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "clinic-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: clinic\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[orderflow.providers]\nclinic = clinic:Clinic\n")
    (tmp_path / "clinic.py").write_text(CLINIC)
    outside = Path(__file__).parents[2] / "kit" / "packages"
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{outside}", prepend=os.pathsep)
    monkeypatch.syspath_prepend(str(outside))
    monkeypatch.syspath_prepend(str(tmp_path))

    async def create() -> str:
        async with Flow(db, ["clinic"]) as flow:
            return (await flow.create("clinic", key="k")).id

    async def load_given(order_id: str) -> object:
        async with Flow(db, ["clinic"]) as flow:
            return (await flow.order(order_id)).snapshot.data["given"]

    order = asyncio.run(create())
    options = (
        "--set",
        "order_id=077",
        "--set",
        "note=a=b := c",
        "--set",
        "empty=",
        "--set",
        "sure:=true",
        "--set",
        'parts:=[1, {"a": null}]',
    )
    ran = orderflow("orders", "resolve", order, "found", "--db", db, "--actor", "anna", "--reason", "b", *options, "--json")
    assert (ran.code, ran.json["state"]) == (0, "closed"), ran.err
    assert asyncio.run(load_given(order)) == json.dumps(
        {"empty": "", "note": "a=b := c", "order_id": "077", "parts": [1, {"a": None}], "sure": True}, sort_keys=True
    )
    for name in ("clinic", "warehouse"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("limit", ["-1", "0", "99999999999999999999"])
def test_a_limit_out_of_range_is_refused(orderflow: Any, db: str, in_doubt: str, limit: str) -> None:
    for stuck in ((), ("--stuck",)):
        ran = orderflow("orders", "list", "--db", db, "--limit", limit, *stuck)
        assert (ran.code, ran.err) == (2, "orderflow: --limit: must be between 1 and 1000000\n")


def test_show_lists_what_is_still_to_come(orderflow: Any, tmp_path: Path) -> None:
    db, (order,) = stored(tmp_path, ("connect", "k", "", {}))

    async def work() -> None:
        """One call, that cannot be made."""
        provider = Connect("http://127.0.0.1:9/capi", "http://127.0.0.1:9/user", "id", "secret", timeout=2.0)
        async with Flow(db, [provider], worker=True, fetch_interval=0.01) as flow:
            await flow.send(order, "register")
            async with asyncio.timeout(60):
                while not (await flow.pending(order)).effects[0].why:
                    await asyncio.sleep(0.01)

    asyncio.run(work())

    ran = orderflow("orders", "show", order, "--db", db)
    as_json = orderflow("orders", "show", order, "--db", db, "--json").json

    assert "legal now: no command and no operator event\n" in ran.out
    (owed,) = [line for line in ran.out.splitlines() if line.startswith("owed: ")]
    assert owed.startswith("owed: register_order, attempt 1 ended, due 20")
    assert owed.endswith(f"({as_json['pending']['effects'][0]['why']})")
    (effect,) = as_json["pending"]["effects"]
    assert (effect["key"], effect["name"], effect["attempt"], effect["in_flight"]) == (f"{order}:1:0", "register_order", 1, False)
    registered = orderflow(
        "orders", "override", order, "confirming", "--db", db, "--yes", "--actor", "a", "--reason", "b", "--version", "1"
    )
    assert registered.code == 0
    shown = orderflow("orders", "show", order, "--db", db).out
    assert "\nowed: " not in shown
    assert "\ndeadline: no_proof at 20" in shown
    assert [deadline["event"] for deadline in orderflow("orders", "show", order, "--db", db, "--json").json["pending"]["deadlines"]]


def test_an_order_in_a_state_that_was_removed_is_shown(orderflow: Any, db: str, in_doubt: str, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "orders.db")) as connection, connection:
        connection.execute("UPDATE of_orders SET state = 'gone'")

    ran = orderflow("orders", "show", in_doubt, "--db", db)

    assert (ran.code, "legal now: not known: its state" in ran.out) == (0, True)
    assert orderflow("orders", "show", in_doubt, "--db", db, "--json").json["legal"] is None


def test_a_command_is_not_an_operator_event(orderflow: Any, db: str, in_doubt: str) -> None:
    ran = orderflow("orders", "resolve", in_doubt, "submit", "--db", db, "--actor", "a", "--reason", "b")
    assert (ran.code, "(not an operator: submit has origin command)" in ran.out) == (4, True)


def test_an_event_that_is_not_legal_is_refused_with_code_4_and_recorded(orderflow: Any, db: str, in_doubt: str) -> None:
    words = ("--db", db, "--actor", "anna", "--reason", "twice")
    orderflow("orders", "resolve", in_doubt, "submission_given_up", *words)

    ran = orderflow("orders", "resolve", in_doubt, "submission_given_up", *words, "--json")

    assert (ran.code, ran.json["applied"], ran.json["state"]) == (4, False, "abandoned")
    shown = orderflow("orders", "show", in_doubt, "--db", db, "--json").json
    assert [row["reason"] for row in shown["refusals"]] == ["not legal here"]


def test_override_needs_the_current_version_and_notifies_listeners_of_another_process(orderflow: Any, db: str, in_doubt: str) -> None:
    words = ("--db", db, "--yes", "--actor", "anna", "--reason", "the merchant called")

    stale = orderflow("orders", "override", in_doubt, "Closed", *words, "--version", "1")
    ran = orderflow("orders", "override", in_doubt, "Closed", *words, "--version", "2")

    assert (stale.code, ran.code) == (4, 0)
    notified: list[str] = []

    async def serve() -> None:
        async with Flow(db, [Ccv.offline()], worker=True, fetch_interval=0.02) as flow:
            flow.on_entered("ccv", "Closed", lambda entered: notified.append(entered.order.id))
            async with asyncio.timeout(60):
                while not notified:
                    await asyncio.sleep(0.01)

    asyncio.run(serve())
    assert [in_doubt] == notified


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("orders", "show", "ccv-none"), 3, "unknown order"),
        (("orders", "show", "acme-1"), 3, "unknown order"),
        (("orders", "resolve", "{order}", "submits", "--actor", "a", "--reason", "b"), 3, "unknown operator event"),
        (("orders", "resolve", "{order}", "submission_given_up", "--actor", " ", "--reason", "b"), 2, "actor:"),
        (("orders", "override", "{order}", "Nowhere", "--yes", "--actor", "a", "--reason", "b", "--version", "2"), 3, "unknown state"),
        (("orders", "override", "{order}", "Closed", "--yes", "--actor", "a", "--reason", "b", "--version", "two"), 2, "version"),
    ],
)
def test_bad_input_is_one_line_and_its_own_code(
    orderflow: Any, db: str, in_doubt: str, words: tuple[str, ...], code: int, message: str
) -> None:
    ran = orderflow(*(word.format(order=in_doubt) for word in words), "--db", db)

    assert (code, True, 1) == (ran.code, message in ran.err, ran.err.count("\n"))


def test_a_missing_database_is_not_made(orderflow: Any, tmp_path: Path) -> None:
    ran = orderflow("orders", "list", "--db", "sqlite:///nowhere.db")

    assert (ran.code, list(tmp_path.iterdir())) == (7, [])


def test_stuck_lists_orders_that_are_longer_in_their_state_than_its_budget(orderflow: Any, db: str, in_doubt: str, tmp_path: Path) -> None:
    assert in_doubt not in orderflow("orders", "list", "--db", db, "--stuck").out
    with sqlite3.connect(tmp_path / "orders.db") as connection:
        connection.execute("UPDATE of_orders SET entered_at = entered_at - 90000")  # a day and an hour
    connection.close()

    assert in_doubt in orderflow("orders", "list", "--db", db, "--stuck").out


def test_stuck_lists_orders_whose_notifications_keep_failing_with_listener_time_and_failure(
    orderflow: Any, db: str, in_doubt: str, tmp_path: Path
) -> None:
    async def owe() -> None:
        async with Flow(db, [Ccv.offline()]) as flow:
            await flow.override(in_doubt, "Closed", actor="anna", reason="a test", version=2)

    asyncio.run(owe())
    assert in_doubt not in orderflow("orders", "list", "--db", db, "--stuck").out  # it has not failed yet
    with sqlite3.connect(tmp_path / "orders.db") as connection:
        values = "attempt = 3, why = 'the listener raised ValueError'"
        connection.execute(f"UPDATE of_effects SET {values} WHERE name = 'notify_listener'")
        ((since,),) = connection.execute("SELECT at FROM of_journal WHERE target = 'Closed'").fetchall()
    connection.close()

    ran, as_json = (orderflow("orders", "list", "--db", db, "--stuck", *more) for more in ((), ("--json",)))
    assert in_doubt in ran.out
    text = " ".join(ran.out.split())
    assert "its listener of Closed fails, 3 times since" in text
    assert "UTC: the listener raised ValueError" in text
    (listed,) = as_json.json
    failing = {"order_id": in_doubt, "provider": "ccv", "state": "Closed", "since": since, "failures": 3}
    assert listed["failing_notifications"] == [failing | {"why": "the listener raised ValueError"}]
    assert "no order matches" in orderflow("orders", "list", "--db", db, "--stuck", "--state", "New").out
    assert "failing_notifications" not in orderflow("orders", "list", "--db", db, "--json").out


def test_draw_shows_the_path_on_the_lifecycle(orderflow: Any, db: str, in_doubt: str, tmp_path: Path) -> None:
    ran = orderflow("orders", "draw", in_doubt, "--db", db)
    assert ran.code == 0
    assert f'<title id="ccv-t">Order {in_doubt}: submission_in_doubt</title>' in ran.out
    assert "override</text>" in ran.out, "the operator's move is an arrow of its own"
    assert orderflow("orders", "draw", in_doubt, "--db", db, "--out", "here.png").code == 0
    assert (tmp_path / "here.png").read_bytes().startswith(b"\x89PNG")
    text = orderflow("orders", "draw", in_doubt, "--db", db, "--format", "mermaid").out
    assert "style s_submission_in_doubt fill:#4f46e5" in text


def test_draw_names_what_it_cannot_draw(orderflow: Any, db: str, in_doubt: str) -> None:
    assert orderflow("orders", "draw", "nope", "--db", db).code == 3
    unknown = orderflow("orders", "draw", in_doubt, "--db", db, "--out", "here.txt")
    assert (unknown.code, "none of mermaid, svg, png, dot, plantuml" in unknown.err) == (2, True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--provider", "conect"), "unknown provider: 'conect'; did you mean 'connect'?"),
        (("--provider", "acme"), "unknown provider: 'acme' (known: ccv, connect)"),
        (("--state", "fullfilled"), "unknown state: 'fullfilled'; did you mean 'fulfilled'?"),
        (("--state", "closed"), "unknown state: 'closed'; did you mean 'Closed'?"),
        (("--provider", "ccv", "--state", "fulfilled"), "unknown state of ccv: 'fulfilled'"),
        (("--provider", "conect", "--stuck"), "unknown provider: 'conect'"),
    ],
)
def test_a_filter_that_names_nothing_is_an_error(orderflow: Any, db: str, in_doubt: str, words: tuple[str, ...], message: str) -> None:
    ran = orderflow("orders", "list", "--db", db, *words)
    assert (ran.code, ran.out, ran.err.count("\n")) == (3, "", 1)
    assert ran.err.startswith(f"orderflow: {message}")


def test_an_order_of_a_provider_that_is_not_installed_is_listed(orderflow: Any, db: str, in_doubt: str, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "orders.db")) as connection, connection:
        connection.execute("UPDATE of_orders SET provider = 'acme', state = 'shipped'")
    (row,) = orderflow("orders", "list", "--db", db, "--provider", "acme", "--state", "shipped", "--json").json
    assert row["id"] == in_doubt
    shown = orderflow("orders", "show", in_doubt, "--db", db)
    assert (shown.code, "unknown provider: 'acme'" in shown.err) == (3, True)


def test_an_empty_list_says_so(orderflow: Any, db: str, in_doubt: str) -> None:
    assert orderflow("orders", "list", "--db", db, "--stuck").out == "no order matches\n"
    assert orderflow("orders", "list", "--db", db, "--state", "New", "--json").json == []
    asyncio.run(_open_and_close("sqlite:///" + db.removeprefix("sqlite:///").replace("orders.db", "empty.db")))
    assert orderflow("orders", "list", "--db", db.replace("orders.db", "empty.db")).out == "no orders\n"


async def _open_and_close(db: str) -> None:
    async with Flow(db, [Ccv.offline()]):
        pass


def test_text_of_others_cannot_control_the_terminal(orderflow: Any, tmp_path: Path) -> None:
    db, (order,) = stored(tmp_path, ("ccv", "k\x1b[31m", "", {}))
    for words in (("list",), ("show", order)):
        ran = orderflow("orders", *words, "--db", db)
        assert ("\x1b" in ran.out, r"k\x1b[31m" in ran.out) == (False, True)


NAME = re.compile(r"[A-Za-z_]{4,}")


@pytest.mark.parametrize("words", [("list",), ("show", "{order}"), ("show", "{other}")], ids=" ".join)
def test_80_columns_are_enough_and_no_word_is_cut(orderflow: Any, tmp_path: Path, words: tuple[str, ...]) -> None:
    orders = [("ccv", "n" * 60, "FulfillmentInProgress", {}), ("connect", "a key of words", "registration_in_doubt", {})]
    db, (order, other) = stored(tmp_path, *orders)
    orderflow("orders", "resolve", other, "registration_given_up", "--db", db, "--actor", "anna", "--reason", "nothing there")
    orderflow("orders", "resolve", other, "registration_given_up", "--db", db, "--actor", "anna", "--reason", "nothing there, again")
    arguments = [word.format(order=order, other=other) for word in words]
    narrow, wide = (orderflow("orders", *arguments, "--db", db, COLUMNS=columns).out for columns in ("80", "400"))
    assert max(map(len, narrow.splitlines())) <= 80
    assert sorted(NAME.findall(narrow.lower())) == sorted(NAME.findall(wide.lower())), "the same words, only in other lines"
    assert narrow.count("(UTC)") == 1, "the date once"
