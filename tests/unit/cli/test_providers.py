"""``orderflow providers``, as an operator uses it: what is wrong, why an order waits, and having calls tried at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.kit.stored_orders import stored
from tests.kit.world import connect_request
from tests.unit.cli.conftest import Orderflow

from orderflow._app import Orderflow as Flow
from orderflow._cli.provider_view import describe_problem
from orderflow._providers.ccv import Ccv
from orderflow._providers.connect import Connect
from orderflow._store.ports import Store
from orderflow._store.urls import make_store
from orderflow.model import ProviderProblem, ProviderStanding

SINCE = 1_764_495_600.0  # 2025-11-30 09:40:00 UTC


def in_store(url: str, write: Callable[[Store], Awaitable[object]]) -> None:
    async def run() -> None:
        store = make_store(url)
        await store.open()
        await write(store)
        await store.close()

    asyncio.run(run())


@pytest.fixture
def db(tmp_path: Path) -> str:
    """Connect's login server has answered 503 since 09:40, and is not called for ten minutes from now."""
    url, _ = stored(tmp_path)
    in_store(url, lambda store: store.report_problem("connect", ProviderProblem.LOGIN_FAILS, 503, SINCE, time.time() + 600))
    return url


@pytest.fixture
def waiting(db: str) -> str:
    """An order that owes a call."""

    async def create() -> str:
        async with Flow(db, [Ccv.offline(), Connect.offline()]) as flow:
            order = await flow.create("connect", key="a", **connect_request())
            await flow.send(order.id, "register")
            return order.id

    return asyncio.run(create())


def test_what_is_wrong_is_shown_and_lifted(orderflow: Orderflow, db: str) -> None:
    ran = orderflow("providers", "--db", db)
    assert (ran.code, ran.err) == (0, "")
    head, ccv, connect, seen, held = ran.out.splitlines()
    assert head.split() == ["PROVIDER", "SINCE", "(UTC)", "PROBLEM"]
    assert (ccv.split(), connect.split()[:3]) == (["ccv", "none"], ["connect", "2025-11-30", "09:40:00"])
    assert connect.endswith("connect's login server answers 503")
    assert (seen.strip(), held.strip()[:16]) == ("last seen at 2025-11-30 09:40:00", "no calls before ")
    ran = orderflow("providers", "lift", "connect", "--db", db, "--actor", "anna", "--reason", "they are back")
    assert (ran.code, ran.out, ran.err) == (0, "lifted: calls to connect are tried at once\n", "")
    ccv_json, connect_json = orderflow("providers", "--db", db, "--json").json
    assert ccv_json == {
        **dict.fromkeys(("problem", "status", "since", "seen_at", "held_until", "lifted_at")), "provider": "ccv", "lifted_by": ""
    }  # fmt: skip
    assert (connect_json["problem"], connect_json["held_until"], connect_json["lifted_by"]) == (None, None, "anna: they are back")
    assert "by anna: they are back" in orderflow("providers", "--db", db).out
    ran = orderflow("providers", "lift", "ccv", "--db", db, "--actor", "anna", "--reason", "x", "--json")
    assert ran.json == {"provider": "ccv", "lifted": True}


def test_the_table_is_readable_at_80_columns(orderflow: Orderflow, db: str) -> None:
    ran = orderflow("providers", "--db", db, COLUMNS="80")
    assert max(map(len, ran.out.splitlines())) <= 80
    assert "login server answers 503" in " ".join(ran.out.split())


def test_an_order_that_owes_a_call_says_why_it_waits(orderflow: Orderflow, db: str, waiting: str) -> None:
    shown = " ".join(orderflow("orders", "show", waiting, "--db", db).out.split())
    assert "waits since 2025-11-30 09:40:00 UTC: connect's login server answers 503; no calls before" in shown
    as_json = orderflow("orders", "show", waiting, "--db", db, "--json").json
    assert (as_json["provider_standing"]["problem"], as_json["provider_standing"]["status"]) == ("its login server fails", 503)
    orderflow("orders", "override", waiting, "refused", "--db", db, "--actor", "a", "--reason", "r", "--version", "1", "--yes")
    assert "waits" not in orderflow("orders", "show", waiting, "--db", db).out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("conect", "--actor", "anna", "--reason", "x"), 3, "did you mean 'connect'?"),
        (("nowhere", "--actor", "anna", "--reason", "x"), 3, "unknown provider: 'nowhere'"),
        (("connect", "--actor", "anna"), 2, "--reason"),
        (("connect", "--actor", " ", "--reason", "x"), 2, "--actor: required, as non-empty text"),
    ],
)
def test_a_mistake_is_reported_and_nothing_is_lifted(
    orderflow: Orderflow, db: str, words: tuple[str, ...], code: int, message: str
) -> None:
    ran = orderflow("providers", "lift", *words, "--db", db)
    assert (ran.code, ran.out) == (code, "")
    assert message in ran.err
    assert orderflow("providers", "--db", db, "--json").json[1]["problem"] == "its login server fails"


def test_a_database_that_is_not_there_is_not_made(orderflow: Orderflow, tmp_path: Path) -> None:
    ran = orderflow("providers", "--db", f"sqlite:///{tmp_path / 'none.db'}")
    assert (ran.code, ran.out) == (7, "")
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize(
    ("problem", "status", "sentence"),
    [
        (ProviderProblem.DOES_NOT_ANSWER, None, "toy does not answer"),
        (ProviderProblem.DOES_NOT_ANSWER, 503, "toy answers 503"),
        (ProviderProblem.DOES_NOT_ANSWER, 200, "toy does not answer (status 200)"),
        (ProviderProblem.LOGIN_FAILS, None, "toy's login server fails"),
        (ProviderProblem.LOGIN_FAILS, 503, "toy's login server answers 503"),
        (ProviderProblem.ANOTHER_SERVER, 403, "another server answers in toy's place (status 403)"),
        (ProviderProblem.REFUSES_CREDENTIALS, 401, "toy refuses our credentials (status 401)"),
        (ProviderProblem.UNUSABLE_ANSWERS, 404, "toy's answers cannot be used (status 404)"),
        (ProviderProblem.THROTTLED, None, "toy throttles our calls"),
        (None, None, ""),
    ],
)
def test_a_problem_is_one_sentence(problem: ProviderProblem | None, status: int | None, sentence: str) -> None:
    assert describe_problem(ProviderStanding("toy", problem, status)) == sentence
