"""The client's access token, over a socket: fetched once for all calls, refreshed early, and never confused with the call itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from attrs import define
from tests.kit.calls import call_for
from tests.kit.provider_answers import FAULT_CASES, QUOTING_BODY, FaultCase, assert_no_canary
from tests.kit.world import CONNECT_ID, CONNECT_SECRET, LINK_KEYS, connect_at, connect_request, connect_sim, order_of

from orderflow._provider.http import make_client
from orderflow._provider.oauth2 import OAuth2Client
from orderflow._provider.outcomes import NotExecuted, Outcome, ReadFailed, Signal, StatusRead, Succeeded
from orderflow._providers.connect import Connect
from orderflow._providers.connect.simulator import ConnectSimulator
from orderflow._receiver.signed_urls import SignedUrls
from orderflow.model import Order
from orderflow.simulators import Fault, SimClock, serve

pytestmark = pytest.mark.anyio

TOKEN = "POST /user/oauth/token"
REGISTER = "POST /capi/v1/client/order"
LINKS = SignedUrls("https://us.example/orders", LINK_KEYS)


@define
class Setup:
    """A simulator, and the provider against it."""

    sim: ConnectSimulator
    base: str
    connect: Connect

    def order(self) -> Order:
        return order_of(self.connect, connect_request())

    async def register(self) -> Outcome:
        return await self.connect.perform(call_for(self.connect, "register_order", self.order()), LINKS)

    @property
    def fetches(self) -> int:
        """How many tokens the simulator gave out."""
        return self.sim.journal.count_executed(TOKEN)


@asynccontextmanager
async def serving(clock: SimClock | None = None, **settings: Any) -> AsyncIterator[Setup]:
    async with connect_sim(clock=clock, token_seconds=1000.0) as sim, serve(sim.asgi) as base:
        connect = connect_at(base, clock=clock or sim.clock, **settings)
        yield Setup(sim, base, connect)
        await connect.close()


@pytest.fixture
async def setup() -> AsyncIterator[Setup]:
    async with serving() as ready:
        yield ready


async def test_fifty_calls_at_once_fetch_one_token(setup: Setup) -> None:
    outcomes = await asyncio.gather(*(setup.register() for _ in range(50)))
    assert {type(outcome) for outcome in outcomes} == {Succeeded}
    assert (setup.fetches, setup.sim.journal.count_executed(REGISTER)) == (1, 50)


async def test_fifty_calls_with_an_expired_token_fetch_one_more(setup: Setup) -> None:
    await setup.register()
    setup.sim.expire_tokens()
    outcomes = await asyncio.gather(*(setup.register() for _ in range(50)))
    assert {type(outcome) for outcome in outcomes} == {Succeeded}
    assert (setup.fetches, setup.sim.journal.count_executed(REGISTER)) == (2, 51)


async def test_fifty_calls_share_one_failure_and_the_next_call_fetches_again(setup: Setup) -> None:
    setup.sim.faults.arm(Fault(TOKEN, "status", status=503))
    outcomes = await asyncio.gather(*(setup.register() for _ in range(50)))
    assert set(outcomes) == {NotExecuted("no token: 503 from the token endpoint", signal=Signal.LOGIN_SERVER, status=503)}
    assert (setup.sim.journal.count_received(TOKEN), setup.sim.journal.count_received(REGISTER)) == (1, 0)
    assert isinstance(await setup.register(), Succeeded)


async def test_a_token_is_refreshed_before_it_ends() -> None:
    clock = SimClock(manual=True)
    async with serving(clock) as setup:
        await setup.register()
        clock.advance(899.0)
        await setup.register()
        assert setup.fetches == 1
        clock.advance(2.0)  # less than a tenth of its lifetime is left
        await setup.register()
        assert setup.fetches == 2
        assert [row.answered for row in setup.sim.journal.rows if row.path.endswith("/client/order")] == [200, 200, 200]


async def test_each_expiry_costs_one_refresh_and_no_order(setup: Setup) -> None:
    for _ in range(3):
        setup.sim.expire_tokens()
        assert isinstance(await setup.register(), Succeeded)
    assert setup.fetches == 3
    assert len(setup.sim.orders) == 3


async def test_when_the_fresh_token_is_refused_too_the_call_is_not_executed(setup: Setup) -> None:
    setup.sim.faults.arm(Fault(REGISTER, "status", status=401, times=None))
    assert await setup.register() == NotExecuted("401 from the provider", signal=Signal.UNAUTHORIZED)
    assert (setup.fetches, setup.sim.journal.count_received(REGISTER)) == (2, 2)


@pytest.mark.parametrize("place", ["basic", "body", "query"])
@pytest.mark.parametrize("secret", [CONNECT_SECRET, "s p:a%c+e&=é"])
async def test_credentials_go_to_the_configured_place_alone(place: Any, secret: str) -> None:
    async with connect_sim(client_secret=secret) as sim, serve(sim.asgi) as base:
        connect = connect_at(base, client_secret=secret, credentials_in=place)
        setup = Setup(sim, base, connect)
        assert isinstance(await setup.register(), Succeeded)
        await connect.close()
    (request,) = [row for row in sim.journal.rows if row.path == "/user/oauth/token"]
    places = {
        "basic": "authorization" in request.headers,
        "body": b"client_secret" in request.body,
        "query": "client_secret" in request.query,
    }
    assert [name for name, used in places.items() if used] == [place]


@pytest.mark.parametrize("case", FAULT_CASES, ids=lambda case: case.name)
async def test_without_a_token_the_call_is_not_sent(setup: Setup, case: FaultCase) -> None:
    setup.sim.faults.arm(case.at(TOKEN))
    outcome = await setup.register()
    assert isinstance(outcome, NotExecuted)
    assert outcome.retry_after == case.retry_after
    poll = await setup.connect.fetch_status(order_of(setup.connect, connect_request(), provider_id="14"))
    assert isinstance(poll, ReadFailed)
    assert poll.retry_after == case.retry_after
    assert setup.sim.journal.count_received("/capi") == 0
    assert_no_canary(outcome, poll)


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"access_token": ""}',
        b'{"access_token": null}',
        b'{"access_token": 7}',
        b'{"access_token": "two\\nlines"}',
        '{"access_token": "tøken"}'.encode(),
        b'{"access_token": "\\ud800"}',
    ],
)
async def test_with_an_unusable_token_the_call_is_not_sent(setup: Setup, body: bytes) -> None:
    setup.sim.faults.arm(Fault(TOKEN, "garbage", body=body, times=None))
    assert isinstance(await setup.register(), NotExecuted)
    assert setup.sim.journal.count_received("/capi") == 0


async def test_a_login_server_that_hangs_or_is_unreachable_means_not_executed(setup: Setup) -> None:
    setup.sim.faults.arm(Fault(TOKEN, "delay", seconds=30.0))
    impatient = connect_at(setup.base, timeout=0.3)
    assert await impatient.perform(call_for(impatient, "register_order", setup.order()), LINKS) == NotExecuted(
        "no token: ReadTimeout", signal=Signal.LOGIN_SERVER
    )
    await impatient.close()
    async with serve(setup.sim.asgi) as closed:
        connect = Connect(setup.base + "/capi", closed + "/user", CONNECT_ID, CONNECT_SECRET)
    assert await connect.perform(call_for(connect, "register_order", setup.order()), LINKS) == NotExecuted(
        "no token: ConnectError", signal=Signal.LOGIN_SERVER
    )
    await connect.close()
    assert setup.sim.journal.count_received("/capi") == 0


async def test_wrong_credentials_are_shown_nowhere(setup: Setup) -> None:
    wrong = connect_at(setup.base, client_secret="wrong-secret-canary")
    outcome = await wrong.perform(call_for(wrong, "register_order", setup.order()), LINKS)
    await wrong.close()
    assert outcome == NotExecuted("no token: 401 from the token endpoint", signal=Signal.UNAUTHORIZED)
    assert "canary" not in repr(wrong)


async def test_a_token_without_a_stated_lifetime_is_kept(setup: Setup) -> None:
    token = setup.sim.tokens.issue()
    setup.sim.faults.arm(Fault(TOKEN, "garbage", body=f'{{"access_token": "{token}"}}'.encode()))
    assert isinstance(await setup.register(), Succeeded)
    assert isinstance(await setup.register(), Succeeded)
    assert setup.sim.journal.count_received(TOKEN) == 1


async def test_a_poll_refreshes_the_token_too(setup: Setup) -> None:
    registered = await setup.register()
    assert isinstance(registered, Succeeded)
    setup.sim.expire_tokens()
    poll = await setup.connect.fetch_status(order_of(setup.connect, connect_request(), provider_id=registered.provider_id))
    assert (type(poll), getattr(poll, "status", "")) == (StatusRead, "preliminary")


async def test_a_cancelled_fetch_does_not_block_the_next(setup: Setup) -> None:
    setup.sim.faults.arm(Fault(TOKEN, "delay", seconds=30.0))
    client = make_client(30.0)
    tokens = OAuth2Client(client, f"{setup.base}/user/oauth/token", CONNECT_ID, CONNECT_SECRET, setup.sim.clock.now)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await tokens.token()
    assert isinstance(await tokens.token(), str)
    assert_no_canary(tokens)
    await client.aclose()


def test_the_quoting_body_quotes_the_secret() -> None:
    assert CONNECT_SECRET in QUOTING_BODY["error_description"]  # else the tests above prove nothing
