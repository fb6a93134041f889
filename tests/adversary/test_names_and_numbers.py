"""A customer who edits URLs, and an application that passes on whatever it was given: ids, names, numbers and texts of any kind.

Each is answered by an error of ours, in a short line, and harms no other caller. Ids that nothing can have are ``UnknownName``.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
import uuid
from collections.abc import AsyncGenerator, Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from tests.kit.toy import Toy
from tests.kit.world import CCV_KEY, LINK_KEYS, ccv_at, ccv_request, connect_at, connect_request

import orderflow
from orderflow import Orderflow
from orderflow._cli.main import main
from orderflow._receiver.signed_urls import SignedUrls
from orderflow.errors import CallerError, ConfigurationError, InvalidInput, UnknownName

pytestmark = pytest.mark.anyio

NO_TEXT: dict[str, Any] = {"a number": 17, "nothing": None, "bytes": b"toy-1", "a list": ["toy-1"]}
NO_NAME: dict[str, Any] = {
    "a lone surrogate": "toy-\ud800",
    "a NUL": "toy-\0",
    "a megabyte": "toy-" + "x" * 1_000_000,
    "nothing in it": "",
    "white space": " ",
    "an escape sequence": "toy-\x1b[2J",
    "an unknown provider": "other-1",
    "an unknown order": "toy-0",
}
NO_NUMBER: dict[str, Any] = {
    "a bool": True,
    "negative": -1,
    "NaN": float("nan"),
    "infinite": float("inf"),
    "text": "1",
    "huge": 2**70,
    "a huge float": 1e300,
    "a Decimal": Decimal(1),
    "a list": [1],
}
WHY = {"actor": "kim", "reason": "ticket 7"}
Ask = Callable[[], Any]


def ask_about(flow: Any, order_id: Any) -> Iterator[tuple[str, Ask]]:
    """Every public method that takes the id of an order."""
    for name in ("order", "journal", "view", "refusals", "messages", "pending", "legal", "customer_url", "refresh", "replay"):
        yield name, lambda name=name: getattr(flow, name)(order_id)
    yield "send", lambda: flow.send(order_id, "order_it")
    yield "send with a key", lambda: flow.send(order_id, "order_it", key="k")
    yield "wait", lambda: flow.wait(order_id, "placed", 0.1)
    yield "resolve", lambda: flow.resolve(order_id, "placement_given_up", **WHY)
    yield "override", lambda: flow.override(order_id, "placed", version=0, **WHY)
    yield "override with an id", lambda: flow.override(order_id, "placed", version=0, provider_id="x", **WHY)
    yield "redact", lambda: flow.redact(order_id, **WHY)


def ask_with_name(flow: Any, order_id: str, name: Any) -> Iterator[tuple[str, Ask]]:
    """Every public method that takes another name: of a provider, a state, a command, an event."""
    yield "orders of a provider", lambda: flow.orders(provider=name)
    yield "orders in a state", lambda: flow.orders(state=name)
    yield "find at a provider", lambda: flow.find(name, "1")
    yield "find an id", lambda: flow.find("toy", name)
    yield "create", lambda: flow.create(name, key="x")
    yield "send", lambda: flow.send(order_id, name)
    yield "resolve", lambda: flow.resolve(order_id, name, **WHY)
    yield "override", lambda: flow.override(order_id, name, version=0, **WHY)
    yield "wait", lambda: flow.wait(order_id, name, 0.1)
    yield "wait for several", lambda: flow.wait(order_id, [name], 0.1)
    yield "states", lambda: flow.states(name)
    yield "on_entered", lambda: flow.on_entered("toy", name, print)
    yield "on_entered of a provider", lambda: flow.on_entered(name, "placed", print)
    yield "remove_listener", lambda: flow.remove_listener("toy", name, **WHY)
    yield "remove_listener of a provider", lambda: flow.remove_listener(name, "placed", **WHY)
    yield "lift_standing", lambda: flow.lift_standing(name, **WHY)
    yield "prune", lambda: collect(flow.prune(older_than=1, provider=name))


def ask_with_number(flow: Any, order_id: str, number: Any) -> Iterator[tuple[str, Ask]]:
    """Every public method that takes a number."""
    yield "orders", lambda: flow.orders(limit=number)
    yield "stuck", lambda: flow.stuck(limit=number)
    yield "wait", lambda: flow.wait(order_id, "drafted", number)
    yield "wait since", lambda: flow.wait(order_id, "drafted", 0.1, since=number)
    yield "replay", lambda: flow.replay(order_id, number)
    yield "override", lambda: flow.override(order_id, "placed", version=number, **WHY)
    yield "prune", lambda: collect(flow.prune(older_than=number))
    yield "prune in batches", lambda: collect(flow.prune(older_than=1, batch=number))


async def collect(batches: AsyncGenerator[list[str], None] | Iterator[list[str]]) -> list[list[str]]:
    """All that a generator yields, of either facade."""
    return list(batches) if inspect.isgenerator(batches) else [batch async for batch in batches]  # type: ignore[union-attr]


async def find_wrong_ends(asked: Iterator[tuple[str, Ask]], *right: type[CallerError]) -> dict[str, str]:
    """What did not end in one of the right errors, with a short message."""
    wrong = {}
    for name, ask in asked:
        try:
            result = ask()
            wrong[name] = f"answered {await result if inspect.isawaitable(result) else result!r}"
        except right as error:
            if len(str(error)) > 600:
                wrong[name] = f"a message of {len(str(error))} characters"
        except Exception as error:  # noqa: BLE001  what this test looks for
            wrong[name] = f"{type(error).__name__}: {error!s:.100}"
    return wrong


# ── ids and names ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_i_ask_for_an_order_that_cannot_exist(url: str) -> None:
    async with Orderflow(url, [Toy()]) as flow:
        for name, bad in NO_NAME.items():
            assert await find_wrong_ends(ask_about(flow, bad), UnknownName) == {}, name
        for name, bad in NO_TEXT.items():
            assert await find_wrong_ends(ask_about(flow, bad), InvalidInput) == {}, name


async def test_i_use_a_name_that_cannot_exist(url: str) -> None:
    async with Orderflow(url, [Toy()]) as flow:
        order = await flow.create("toy", key="k")
        for name, bad in {**NO_NAME, **NO_TEXT}.items():
            if bad != "":  # no filter
                assert await find_wrong_ends(ask_with_name(flow, order.id, bad), UnknownName, InvalidInput) == {}, name
        assert await flow.journal(order.id) == []


def test_the_facade_without_await_answers_me_in_the_same_way(tmp_path: Path) -> None:
    async def compare(flow: Any, order_id: str) -> None:
        for bad in (*NO_NAME.values(), *NO_TEXT.values()):
            assert await find_wrong_ends(ask_about(flow, bad), UnknownName, InvalidInput) == {}
            if bad != "":
                assert await find_wrong_ends(ask_with_name(flow, order_id, bad), UnknownName, InvalidInput) == {}
        for bad in NO_NUMBER.values():
            assert await find_wrong_ends(ask_with_number(flow, order_id, bad), InvalidInput) == {}

    with orderflow.sync(f"sqlite:///{tmp_path / 'orders.db'}", [Toy()]) as flow:
        order_id = flow.create("toy", key="k").id
        asyncio.run(compare(flow, order_id))


@pytest.mark.parametrize("bad", ["toy-\ud800", "toy-\0", "toy-" + "x" * 1_000_000])
async def test_my_bad_id_fails_no_look_up_of_others(url: str, bad: str) -> None:
    async with Orderflow(url, [Toy()]) as flow:
        orders = [await flow.create("toy", key=str(n)) for n in range(20)]
        for _ in range(5):
            mine, *others = await asyncio.gather(flow.order(bad), *(flow.order(order.id) for order in orders), return_exceptions=True)
            assert isinstance(mine, UnknownName)
            assert others == orders


async def test_a_filter_finds_what_is_stored_and_refuses_what_is_not_known(url: str) -> None:
    async with Orderflow(url, [Toy()]) as flow:
        assert await flow.orders(provider="toy", state="placed") == []  # type: ignore[call-overload]
        with pytest.raises(UnknownName, match=r"^unknown provider: 'tyo' \(known: toy\)$"):
            await flow.orders(provider="tyo")  # type: ignore[call-overload]
        with pytest.raises(UnknownName, match=r"^unknown state: 'plcaed' \(known: drafted, "):
            await flow.orders(state="plcaed")  # type: ignore[call-overload]
        order = await flow.create("toy", key="k")
    async with Orderflow(url, [ccv_at("http://127.0.0.1:1")]) as flow:  # a process without this provider
        assert await flow.orders(provider="toy", state="drafted") == [order]  # type: ignore[call-overload]


async def test_i_send_a_request_that_is_no_request(tmp_path: Path) -> None:
    async with Orderflow(f"sqlite:///{tmp_path / 'orders.db'}", [Toy()]) as flow:
        for path in ("/toy/\ud800/x", "/toy/\0", "/toy/return/k1.toy-\ud800.x", "/" + "x/" * 100_000, "", "/"):
            assert (await flow.handle_request("GET", path)).status == 404
        for request in ((b"GET", "/", b""), ("GET", b"/", b""), ("GET", None, b""), ("GET", "/", "a=b")):
            with pytest.raises(InvalidInput, match=r"^request: "):
                await flow.handle_request(*request)  # type: ignore[arg-type]


# ── numbers, keys, texts ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_i_pass_a_number_that_is_none(url: str) -> None:
    async with Orderflow(url, [Toy()]) as flow:
        order = await flow.create("toy", key="k")
        for name, bad in NO_NUMBER.items():
            assert await find_wrong_ends(ask_with_number(flow, order.id, bad), InvalidInput) == {}, name
        assert (await flow.order(order.id)).version == 0
        assert (await flow.wait(order.id, "drafted", 0)).id == order.id


@pytest.mark.parametrize("bad", [*NO_TEXT.values(), "", "\ud800", "a\0b", "x" * 201])
async def test_my_key_is_no_key(tmp_path: Path, bad: Any) -> None:
    async with Orderflow(f"sqlite:///{tmp_path / 'orders.db'}", [Toy()]) as flow:
        order = await flow.create("toy", key="k")
        with pytest.raises(InvalidInput, match=r"^key: "):
            await flow.create("toy", key=bad)
        if bad is not None:
            with pytest.raises(InvalidInput, match=r"^key: "):
                await flow.send(order.id, "order_it", key=bad)  # type: ignore[call-overload]


@pytest.mark.parametrize("field", ["actor", "reason"])
@pytest.mark.parametrize("bad", [*NO_TEXT.values(), "", " ", "\ud800", "a\0b", "x" * 4001])
async def test_my_reason_is_no_reason(tmp_path: Path, field: str, bad: Any) -> None:
    why: Any = {**WHY, field: bad}
    async with Orderflow(f"sqlite:///{tmp_path / 'orders.db'}", [Toy()]) as flow:
        order = await flow.create("toy", key="k")
        asked: list[tuple[str, Ask]] = [
            ("resolve", lambda: flow.resolve(order.id, "placement_given_up", **why)),  # type: ignore[call-overload]
            ("override", lambda: flow.override(order.id, "placed", version=0, **why)),  # type: ignore[arg-type]
            ("redact", lambda: flow.redact(order.id, **why)),
            ("declare_restored", lambda: flow.declare_restored(**why)),
            ("lift_standing", lambda: flow.lift_standing("toy", **why)),  # type: ignore[arg-type]
            ("remove_listener", lambda: flow.remove_listener("toy", "placed", **why)),  # type: ignore[call-overload]
        ]
        assert await find_wrong_ends(iter(asked), InvalidInput) == {}
        assert (await flow.order(order.id)).version == 0


@pytest.mark.parametrize("setting", ["grace", "fetch_interval"])
@pytest.mark.parametrize("bad", NO_NUMBER.values())
def test_a_setting_that_is_no_number_of_seconds(setting: str, bad: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"^{setting}: must be a number of seconds"):
        Orderflow("sqlite:///orders.db", [Toy()], **{setting: bad})


# ── the ids that we make ─────────────────────────────────────────────────────────────────────────────────────────────────


def give(*ids: Any) -> Callable[[], Any]:
    """A ``new_id`` that returns these, one after the other."""
    return itertools.cycle(ids).__next__


def open_connect(db: str, new_id: Callable[[], Any]) -> Orderflow:
    return Orderflow(db, [connect_at("http://127.0.0.1:1")], public_url="https://us.example/o", signing_keys=LINK_KEYS, new_id=new_id)


@pytest.mark.parametrize("bad", ["", "a-b", "a?1", "a#1", "a%1", "a/1", "a b", "a\n", "é", "\ud800", "a\0", "x" * 41, 17, None, b"a"])
async def test_new_id_makes_no_id(tmp_path: Path, bad: Any) -> None:
    async with Orderflow(f"sqlite:///{tmp_path / 'orders.db'}", [ccv_at("http://127.0.0.1:1")], new_id=give(bad)) as flow:
        with pytest.raises(ConfigurationError, match=r"^new_id: an id must have 1 to 40 letters") as raised:
            await flow.create("ccv", key="k", **ccv_request())
        assert raised.value.setting == "new_id"
        assert await flow.orders() == []


async def test_new_id_makes_an_id_that_is_too_long_for_connect(tmp_path: Path) -> None:
    """The whole id is sent as externalOrderId, of 40 characters at most."""
    db = f"sqlite:///{tmp_path / 'orders.db'}"
    async with open_connect(db, give("01" + uuid.uuid4().hex)) as flow:
        with pytest.raises(ConfigurationError, match=r"^new_id: an id for connect must have at most 32 characters$"):
            await flow.create("connect", key="k", **connect_request())
    async with open_connect(db, give(uuid.uuid4().hex)) as flow:
        assert len((await flow.create("connect", key="k", **connect_request())).id) == 40


async def test_new_id_makes_the_same_id_again(url: str) -> None:
    async with Orderflow(url, [ccv_at("http://127.0.0.1:1")], new_id=give("same")) as flow:
        order = await flow.create("ccv", key="a", **ccv_request())
        assert await flow.create("ccv", key="a", **ccv_request()) == order
        with pytest.raises(ConfigurationError, match=r"^new_id: returned an id that another order has$"):
            await flow.create("ccv", key="b", **ccv_request())
        assert await flow.orders() == [order]


@pytest.mark.parametrize("unique", ["a.b_c~d", "A" * 32, "..", "0"])
async def test_every_id_that_new_id_may_make_comes_back_from_its_url(tmp_path: Path, unique: str) -> None:
    async with open_connect(f"sqlite:///{tmp_path / 'orders.db'}", give(unique)) as flow:
        order = await flow.create("connect", key="k", **connect_request())
        url = str(SignedUrls("https://us.example/o", LINK_KEYS).url("connect", "return", order.id))
        assert unquote(url) == url
        assert (await flow.handle_request("GET", url.removeprefix("https://us.example/o"))).status == 200


# ── the command line ─────────────────────────────────────────────────────────────────────────────────────────────────────

WORDS = ["ccv-\udc80", "x" * 100_000, "ccv-\x1b[2J", ""]
NUMBERS = ["nan", "-1", "9" * 20, "9" * 5000, "\udc80", "9" * 5000 + "d"]
ORDER_COMMANDS = (["show"], ["draw"], ["resolve"], ["resolve", "x"], ["redact", "-y"])


def command_lines(order_id: str) -> Iterator[list[str]]:
    """Command lines that hold a word or a number which no command can use."""
    why = ["--actor", "a", "--reason", "b"]
    for word in WORDS:
        yield from (["orders", command, word, *more, *(why if more else [])] for command, *more in ORDER_COMMANDS)
        yield from (["orders", "find", "ccv", word], ["orders", "find", word, "x"], ["why", word], ["why", order_id, word])
        yield from (["orders", "list", option, word] for option in ("--state", "--provider") if word)
        yield from (["listeners", "remove", word, word, "-y", *why], ["providers", "lift", word, *why])
        yield ["orders", "resolve", order_id, word, *why]
    for number in NUMBERS:
        yield from (["orders", "list", "--limit", number], ["orders", "show", order_id, "--version", number])
        yield ["orders", "override", order_id, "New", "--version", number, "-y", *why]
        yield from (["db", "prune", "--older-than", number, "-y"], ["db", "prune", "--older-than", "1d", "--batch", number, "-y"])


async def test_my_command_line_holds_anything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    db = f"sqlite:///{tmp_path / 'orders.db'}"
    async with Orderflow(db, [ccv_at("http://127.0.0.1:1", api_key=CCV_KEY)]) as flow:
        order = await flow.create("ccv", key="k", **ccv_request())
    for line in command_lines(order.id):
        code = await asyncio.to_thread(main, [*line, "--db", db])
        shown = capsys.readouterr().err
        assert code in (2, 3, 7), line
        assert shown.startswith("orderflow: "), line
        assert (shown.count("\n"), "\x1b" in shown, len(shown) < 1200) == (1, False, True), line
