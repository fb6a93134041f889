"""The client's access token, over a socket: fetched once however many ask, refreshed early, and never mistaken for the order call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from attrs import define
from tests.kit.provider_answers import LOUD, MISHAPS, silent
from tests.kit.world import CONNECT_ID, CONNECT_SECRET, LINK_KEYS, connect_at, connect_request, connect_sim, order_of

from orderflow.model import Order
from orderflow.provider.http import new_client
from orderflow.provider.outcomes import NotExecuted, Outcome, ReadFailed, Signal, StatusRead, Succeeded
from orderflow.providers.connect import Connect
from orderflow.providers.connect.simulator import ConnectSimulator
from orderflow.providers.connect.tokens import OAuth2Client
from orderflow.receiver.signed_urls import SignedUrls
from orderflow.simulators import Fault, SimClock, serve

pytestmark = pytest.mark.anyio

TOKEN = "POST /user/oauth/token"
REGISTER = "POST /capi/v1/client/order"
LINKS = SignedUrls("https://us.example/orders", LINK_KEYS)


@define
class One:
    sim: ConnectSimulator
    base: str
    connect: Connect

    def order(self) -> Order:
        return order_of(self.connect, connect_request())

    async def register(self) -> Outcome:
        return await self.connect.perform("register_order", self.order(), LINKS)

    @property
    def fetched(self) -> int:
        return self.sim.journal.count_executed(TOKEN)


@asynccontextmanager
async def standing(clock: SimClock | None = None, **settings: Any) -> AsyncIterator[One]:
    async with connect_sim(clock=clock, token_seconds=1000.0) as sim, serve(sim.asgi) as base:
        connect = connect_at(base, clock=clock or sim.clock, **settings)
        yield One(sim, base, connect)
        await connect.close()


@pytest.fixture
async def one() -> AsyncIterator[One]:
    async with standing() as made:
        yield made


async def test_fifty_calls_at_once_fetch_one_token(one: One) -> None:
    outcomes = await asyncio.gather(*(one.register() for _ in range(50)))
    assert {type(outcome) for outcome in outcomes} == {Succeeded}
    assert (one.fetched, one.sim.journal.count_executed(REGISTER)) == (1, 50)


async def test_fifty_calls_whose_token_ended_fetch_one_more(one: One) -> None:
    await one.register()
    one.sim.expire_tokens()
    outcomes = await asyncio.gather(*(one.register() for _ in range(50)))
    assert {type(outcome) for outcome in outcomes} == {Succeeded}
    assert (one.fetched, one.sim.journal.count_executed(REGISTER)) == (2, 51)


async def test_fifty_calls_share_one_failure_and_the_next_asks_again(one: One) -> None:
    one.sim.faults.arm(Fault(TOKEN, "status", status=503))
    outcomes = await asyncio.gather(*(one.register() for _ in range(50)))
    assert set(outcomes) == {NotExecuted("no token: 503 from the login server", signal=Signal.UNREACHABLE)}
    assert (one.sim.journal.count_received(TOKEN), one.sim.journal.count_received(REGISTER)) == (1, 0)
    assert isinstance(await one.register(), Succeeded)


async def test_refreshes_before_the_token_ends() -> None:
    clock = SimClock(manual=True)
    async with standing(clock) as one:
        await one.register()
        clock.advance(899.0)
        await one.register()
        assert one.fetched == 1
        clock.advance(2.0)  # a tenth of its life is left
        await one.register()
        assert one.fetched == 2
        assert [row.answered for row in one.sim.journal.rows if row.path.endswith("/client/order")] == [200, 200, 200]


async def test_each_expiry_costs_one_refresh_and_no_order(one: One) -> None:
    for _ in range(3):
        one.sim.expire_tokens()
        assert isinstance(await one.register(), Succeeded)
    assert one.fetched == 3
    assert len(one.sim.orders) == 3


async def test_a_fresh_token_refused_too_is_not_executed(one: One) -> None:
    one.sim.faults.arm(Fault(REGISTER, "status", status=401, times=None))
    assert await one.register() == NotExecuted("401 from the provider", signal=Signal.UNAUTHORIZED)
    assert (one.fetched, one.sim.journal.count_received(REGISTER)) == (2, 2)


@pytest.mark.parametrize("place", ["basic", "body", "query"])
@pytest.mark.parametrize("secret", [CONNECT_SECRET, "s p:a%c+e&=é"])
async def test_credentials_are_taken_wherever_they_stand(place: Any, secret: str) -> None:
    async with connect_sim(client_secret=secret) as sim, serve(sim.asgi) as base:
        connect = connect_at(base, client_secret=secret, credentials_in=place)
        one = One(sim, base, connect)
        assert isinstance(await one.register(), Succeeded)
        await connect.close()
    (asked,) = [row for row in sim.journal.rows if row.path == "/user/oauth/token"]
    shown = {"basic": "authorization" in asked.headers, "body": b"client_secret" in asked.body, "query": "client_secret" in asked.query}
    assert [name for name, there in shown.items() if there] == [place]


@pytest.mark.parametrize("mishap", MISHAPS, ids=lambda mishap: mishap.name)
async def test_without_a_token_the_order_call_is_not_sent(one: One, mishap: Any) -> None:
    one.sim.faults.arm(mishap.on(TOKEN))
    outcome = await one.register()
    assert isinstance(outcome, NotExecuted)
    assert outcome.retry_after == mishap.retry_after
    seen = await one.connect.fetch_status(order_of(one.connect, connect_request(), provider_id="14"))
    assert isinstance(seen, ReadFailed)
    assert seen.retry_after == mishap.retry_after
    assert one.sim.journal.count_received("/capi") == 0
    silent(outcome, seen)


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"access_token": ""}',
        b'{"access_token": null}',
        b'{"access_token": 7}',
        b'{"access_token": "two\\nlines"}',
        '{"access_token": "tøken"}'.encode(),
        b'{"access_token": "t", "expires_in": "soon"}',
    ],
)
async def test_an_unusable_token_is_none(one: One, body: bytes) -> None:
    one.sim.faults.arm(Fault(TOKEN, "garbage", body=body, times=None))
    assert isinstance(await one.register(), NotExecuted)
    assert one.sim.journal.count_received("/capi") == 0


async def test_a_login_server_that_hangs_or_is_away_is_not_executed(one: One) -> None:
    one.sim.faults.arm(Fault(TOKEN, "delay", seconds=30.0))
    hasty = connect_at(one.base, timeout=0.3)
    assert await hasty.perform("register_order", one.order(), LINKS) == NotExecuted("no token: ReadTimeout", signal=Signal.UNREACHABLE)
    await hasty.close()
    async with serve(one.sim.asgi) as gone:
        away = Connect(one.base + "/capi", gone + "/user", CONNECT_ID, CONNECT_SECRET)
    assert await away.perform("register_order", one.order(), LINKS) == NotExecuted("no token: ConnectError", signal=Signal.UNREACHABLE)
    await away.close()
    assert one.sim.journal.count_received("/capi") == 0


async def test_wrong_credentials_are_shown_nowhere(one: One) -> None:
    wrong = connect_at(one.base, client_secret="wrong-secret-canary")
    outcome = await wrong.perform("register_order", one.order(), LINKS)
    await wrong.close()
    assert outcome == NotExecuted("no token: 401 from the login server", signal=Signal.UNAUTHORIZED)
    assert "canary" not in repr(wrong)


async def test_a_token_without_a_stated_life_is_kept(one: One) -> None:
    token = one.sim.tokens.issue()
    one.sim.faults.arm(Fault(TOKEN, "garbage", body=f'{{"access_token": "{token}"}}'.encode()))
    assert isinstance(await one.register(), Succeeded)
    assert isinstance(await one.register(), Succeeded)
    assert one.sim.journal.count_received(TOKEN) == 1


async def test_a_read_refreshes_too(one: One) -> None:
    registered = await one.register()
    assert isinstance(registered, Succeeded)
    one.sim.expire_tokens()
    assert await one.connect.fetch_status(order_of(one.connect, connect_request(), provider_id=registered.provider_id)) == StatusRead(
        "preliminary"
    )


async def test_a_cancelled_fetch_does_not_block_the_next(one: One) -> None:
    one.sim.faults.arm(Fault(TOKEN, "delay", seconds=30.0))
    client = new_client(30.0)
    tokens = OAuth2Client(client, f"{one.base}/user", CONNECT_ID, CONNECT_SECRET, one.sim.clock.now)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await tokens.token()
    assert isinstance(await tokens.token(), str)
    silent(tokens)
    await client.aclose()


def test_the_loud_body_is_loud() -> None:
    assert CONNECT_SECRET in LOUD["error_description"]  # else the tests above prove nothing
