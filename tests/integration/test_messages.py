"""What the simulators answer is there when a person has to resolve a doubt, and nowhere else."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from tests.kit.world import CCV_KEY, CONNECT_SECRET, World, ccv_request, connect_request, running

from orderflow._cli.main import main
from orderflow.model import Message, OrderHistory
from orderflow.simulators import Fault

pytestmark = pytest.mark.anyio

CONFIGURE = "PATCH /api/ordercompletion/reseller"
SUBMIT = "POST /api/ordercompletion/reseller/order"
SEARCH = "POST /capi/v1/order/status"
REFERENCE = b'{"orderReference":"A1","checkoutUrl":"https://pay.example/A1"}'
SECRETS = (CCV_KEY, CONNECT_SECRET, "simulated-client-token", "simulated-user-token")


async def submit(world: World, until: str, key: str = "k") -> str:
    order = await world.flow.create("ccv", key=key, **ccv_request(external_reference=key))
    await world.flow.send(order.id, "submit")
    await world.flow.wait(order.id, until, timeout=60)
    return order.id


async def register(world: World, until: str, key: str = "k", *, user_mode: bool = False) -> str:
    world.users.now = world.connect.issue_user_token()
    order = await world.flow.create("connect", key=key, **connect_request(user_mode=user_mode))
    await world.flow.send(order.id, "register")
    await world.flow.wait(order.id, until, timeout=60)
    return order.id


async def bodies(world: World, order_id: str, source: str) -> list[str]:
    return [message.body for message in await world.flow.messages(order_id) if message.source == source]


def read_all(folder: Path) -> bytes:
    """The bytes of every file."""
    return b"".join(path.read_bytes() for path in folder.iterdir())


async def test_an_order_in_doubt_shows_the_id_that_the_answer_had_under_another_name(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        world.ccv.faults.arm(Fault(SUBMIT, "status-after-commit", status=201, body=REFERENCE))
        order_id = await submit(world, "submission_in_doubt")
        last = (await world.flow.messages(order_id))[-1]
        assert (last.source, last.status, last.body, last.count, last.truncated) == ("submit_order", 201, REFERENCE.decode(), 1, False)
        assert "A1" not in repr((await world.flow.journal(order_id), await world.flow.refusals(order_id), last))


async def test_with_that_name_configured_the_next_order_is_not_in_doubt(tmp_path: Path) -> None:
    async with running(tmp_path, ccv={"id_names": ["orderReference"]}) as world:
        world.ccv.faults.arm(Fault(SUBMIT, "status-after-commit", status=201, body=REFERENCE))
        order_id = await submit(world, "Processing")
        assert (await world.flow.order(order_id)).provider_id == "A1"
        assert await bodies(world, order_id, "submit_order") == [REFERENCE.decode()]


async def test_an_answer_that_broke_off_shows_its_part(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        world.ccv.faults.arm(Fault(SUBMIT, "cut-body"))
        order_id = await submit(world, "submission_in_doubt")
        last = (await world.flow.messages(order_id))[-1]
        assert (last.source, last.status, last.truncated) == ("submit_order", 201, True)
        assert last.body.startswith("{")


@pytest.mark.parametrize(("match", "source"), [(CONFIGURE, "configure_order"), (SUBMIT, "submit_order")])
async def test_a_refused_order_shows_the_text_of_the_refusal(tmp_path: Path, match: str, source: str) -> None:
    text = '{"message":"cocNumber is not known at KvK","field":"cocNumber"}'
    async with running(tmp_path) as world:
        world.ccv.faults.arm(Fault(match, "status", status=400, body=text.encode()))
        assert await bodies(world, await submit(world, "refused"), source) == [text]


async def test_the_error_message_of_connect_is_kept(tmp_path: Path) -> None:
    text = '{"exceptionType":"no.unite.OrderException","errorMessage":"mobile phone number not accepted"}'
    async with running(tmp_path) as world:
        world.connect.faults.arm(Fault("POST /capi/v1/client/order", "status", status=400, body=text.encode()))
        assert await bodies(world, await register(world, "refused"), "register_order") == [text]


async def test_both_hits_of_a_search_are_there_for_the_person_who_chooses(tmp_path: Path) -> None:
    hits = json.dumps({"orders": [{"orderId": 14, "orderStatus": "new"}, {"orderId": 15, "orderStatus": "new"}]})
    async with running(tmp_path) as world:
        world.connect.faults.arm(Fault("POST /capi/v1/order", "reset-after-commit"))
        world.connect.faults.arm(Fault(SEARCH, "garbage", body=hits.encode(), times=None))
        order_id = await register(world, "registration_in_doubt", user_mode=True)
        async with asyncio.timeout(60):
            while (await world.flow.pending(order_id)).effects:
                await asyncio.sleep(0.01)
        assert await bodies(world, order_id, "search_order") == [hits]
        assert await bodies(world, order_id, "register_order") == []  # nothing was answered


async def test_a_whole_life_keeps_each_answer_once_and_no_secret(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        completed, registered = await submit(world, "Completed"), await register(world, "registered")
        messages = [*await world.flow.messages(completed), *await world.flow.messages(registered)]
        sources = [message.source for message in messages]
        assert {"configure_order", "submit_order", "register_order", "poll"} <= set(sources)
        assert len({(message.order_id, message.source, message.status, message.body) for message in messages}) == len(messages)
    stored = read_all(tmp_path)
    assert b"orderStatus" in stored
    assert [secret for secret in SECRETS if secret.encode() in stored] == []


async def test_an_answer_of_the_token_endpoint_is_never_kept(tmp_path: Path) -> None:
    """Whether it grants or refuses: it may quote the credentials."""
    async with running(tmp_path) as world:
        world.connect.faults.arm(Fault("POST /user/oauth/token", "status", status=401, body=f'{{"secret":"{CONNECT_SECRET}"}}'.encode()))
        order_id = await register(world, "registered")
        assert {message.source for message in await world.flow.messages(order_id)} <= {"register_order", "poll"}
    assert CONNECT_SECRET.encode() not in read_all(tmp_path)


async def test_no_body_reaches_logs_notes_health_or_a_repr(tmp_path: Path) -> None:
    body = b'{"orderReference":"body-canary","errorMessage":"body-canary"}'
    with capture_logs() as logs:
        async with running(tmp_path) as world:
            for match, kind, status in ((CONFIGURE, "status", 503), (CONFIGURE, "status", 401), (SUBMIT, "status-after-commit", 201)):
                world.ccv.faults.arm(Fault(match, kind, status=status, body=body))  # type: ignore[arg-type]
            world.connect.faults.arm(Fault("POST /capi/v1/client/order", "status", status=400, body=body))
            orders = [await submit(world, "submission_in_doubt"), await register(world, "refused")]
            world.ccv.faults.arm(Fault("GET /api", "status", status=404, body=body, times=None))
            orders.append(await submit(world, "Processing", "polled"))
            async with asyncio.timeout(60):
                while "poll" not in {message.source for message in await world.flow.messages(orders[-1])}:
                    await asyncio.sleep(0.01)
            shown: list[object] = [world.flow.health, world.flow]
            for order_id in orders:
                messages = await world.flow.messages(order_id)
                assert "body-canary" in "".join(message.body for message in messages)
                shown += [await world.flow.order(order_id), await world.flow.journal(order_id), await world.flow.refusals(order_id)]
                shown += [await world.flow.pending(order_id), messages]
    assert {"effect.attempted", "poll.failed"} <= {log["event"] for log in logs}
    assert "body-canary" not in repr(shown)
    assert "body-canary" not in repr(logs)


async def test_redaction_removes_the_messages_of_an_order_alone(tmp_path: Path) -> None:
    text = '{"message":"kari.canary@example.org is not known"}'
    async with running(tmp_path) as world:
        world.ccv.faults.arm(Fault(SUBMIT, "status", status=400, body=text.encode(), times=2))
        redacted, other = await submit(world, "refused"), await submit(world, "refused", "other")
        await world.flow.redact(redacted, actor="kim", reason="ticket 7")
        assert await world.flow.messages(redacted) == []
        assert await bodies(world, other, "submit_order") == [text]


async def test_prune_exports_the_messages_and_deletes_them(tmp_path: Path) -> None:
    exported: list[OrderHistory] = []
    async with running(tmp_path) as world:
        world.ccv.faults.arm(Fault(SUBMIT, "status", status=400, body=b'{"message":"no"}'))
        order_id = await submit(world, "refused")
        messages = await world.flow.messages(order_id)
        await asyncio.sleep(0.01)
        async for _ in world.flow.prune(older_than=0.0, export=exported.extend):
            pass
        assert [history.messages for history in exported] == [tuple(messages)]
    with closing(sqlite3.connect(tmp_path / "orders.db")) as connection:
        assert connection.execute("SELECT * FROM of_messages").fetchall() == []


async def test_prune_exports_the_messages_to_a_file(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        world.ccv.faults.arm(Fault(SUBMIT, "status", status=400, body=b'{"message":"no"}'))
        await submit(world, "refused")
        await asyncio.sleep(0.01)
        async for _ in world.flow.prune(older_than=0.0, export=tmp_path / "settled.jsonl"):
            pass
    (history,) = map(json.loads, (tmp_path / "settled.jsonl").read_text().splitlines())
    assert history["messages"][-1]["body"] == '{"message":"no"}'


# ── the command line ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


@pytest.mark.usefixtures("terminal")
async def test_orders_show_tells_that_there_are_answers_and_shows_them_on_request(tmp_path: Path, capsys: Any) -> None:
    async with running(tmp_path) as world:
        body = b'{"orderReference":"A1","note":"\x1b[31mred\\u001b"}\r\n\ttab\xff ' + b"x" * 200
        world.ccv.faults.arm(Fault(SUBMIT, "status-after-commit", status=201, body=body))
        order_id = await submit(world, "submission_in_doubt")
        messages = await world.flow.messages(order_id)
    db = ("--db", f"sqlite:///{tmp_path / 'orders.db'}")

    async def show(*more: str) -> str:
        assert await asyncio.to_thread(main, ("orders", "show", order_id, *db, *more)) == 0
        return str(capsys.readouterr().out)

    plain = await show()
    assert f"answers of the provider: {len(messages)}, shown with --messages" in plain
    assert "A1" not in plain
    shown = await show("--messages")
    assert "submit_order answered 201" in shown
    assert '    {"orderReference":"A1","note":"\\x1b[31mred\\u001b"}\n        tab\ufffd xxxx' in shown
    assert "\x1b" not in shown
    assert max(map(len, shown.splitlines())) <= 80
    as_json = json.loads(await show("--json"))
    assert (as_json["message_count"], "messages" in as_json) == (len(messages), False)
    (last,) = (row for row in json.loads(await show("--json", "--messages"))["messages"] if row["source"] == "submit_order")
    assert Message(order_id, **last) == messages[-1]


@pytest.mark.usefixtures("terminal")
async def test_orders_show_says_nothing_of_answers_where_there_are_none(tmp_path: Path, capsys: Any) -> None:
    async with running(tmp_path) as world:
        order = await world.flow.create("ccv", key="k", **ccv_request())
    for more in ((), ("--messages",)):
        await asyncio.to_thread(main, ("orders", "show", order.id, "--db", f"sqlite:///{tmp_path / 'orders.db'}", *more))
        assert "answer" not in capsys.readouterr().out
