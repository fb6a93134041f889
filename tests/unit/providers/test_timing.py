"""No timing is accepted that cannot work: a duration without an end, or one silence of a call as long as all that a call may take.

A call is several waits (for a connection, for a token, for each part of an answer) and may be cut all the same: what is refused is a
timeout with which not even the first of them would end by itself, so that what was never sent would be in doubt.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from math import inf, nan
from pathlib import Path
from typing import Any

import httpx
import pytest
from attrs import evolve, fields
from tests.kit.toy import TIMING, Toy
from tests.kit.world import ccv_at, connect_at

import orderflow
from orderflow.errors import ConfigurationError
from orderflow.provider.protocol import Provider
from orderflow.provider.timing import CALL_SHARE, Timing, check_timing
from orderflow.providers.ccv import TIMING as CCV_TIMING
from orderflow.providers.connect import TIMING as CONNECT_TIMING

pytestmark = pytest.mark.anyio

Make = Callable[..., Provider]
MAKERS: dict[str, tuple[Make, Any]] = {"ccv": (ccv_at, CCV_TIMING), "connect": (connect_at, CONNECT_TIMING)}
LEASE = 10.0
BORDER = CALL_SHARE * LEASE


def check(provider: Provider) -> None:
    check_timing(provider.name, provider.table, provider.timing, getattr(provider, "timeout", None))


@pytest.fixture(params=MAKERS)
def make(request: pytest.FixtureRequest) -> Make:
    """Each provider in turn, with a lease of ten seconds."""
    maker, timing = MAKERS[request.param]
    return lambda **settings: maker("https://provider.example", timing=evolve(timing, lease=LEASE), **settings)


@pytest.mark.parametrize("timeout", [BORDER, BORDER + 0.001, 20.0, inf, 0.0, -1.0, nan])
async def test_a_timeout_as_long_as_a_whole_call_is_refused_at_start(make: Make, tmp_path: Path, timeout: float) -> None:
    provider = make(timeout=timeout)
    said = rf"^{provider.name}: timeout \(\S+ s\) must be > 0 and < 0\.8 x lease \(10 s\)$"
    with pytest.raises(ConfigurationError, match=said):
        async with orderflow.Orderflow(f"sqlite:///{tmp_path / 'orders.db'}", [provider]):
            raise AssertionError("it started")
    assert not os.listdir(tmp_path)  # nothing was opened
    await provider.close()


@pytest.mark.parametrize("timeout", [0.001, 5.0, BORDER - 0.001])
async def test_a_shorter_timeout_is_taken(make: Make, timeout: float) -> None:
    provider = make(timeout=timeout)
    check(provider)
    await provider.close()


@pytest.mark.parametrize(
    ("timeout", "taken"),
    [
        (httpx.Timeout(5.0), True),
        (httpx.Timeout(5.0, read=BORDER), False),
        (httpx.Timeout(5.0, connect=BORDER), False),
        (httpx.Timeout(5.0, pool=BORDER), False),
        (httpx.Timeout(5.0, write=BORDER), False),
        (httpx.Timeout(5.0, read=None), False),
        (None, False),
    ],
)
async def test_a_client_of_the_hosts_is_asked_for_its_own(make: Make, timeout: httpx.Timeout | None, taken: bool) -> None:
    async with httpx.AsyncClient(timeout=timeout, trust_env=False) as client:
        provider = make(client=client, timeout=1.0)  # which is the default client's, and not used
        if taken:
            check(provider)
        else:
            with pytest.raises(ConfigurationError, match=rf"^{provider.name}: timeout "):
                check(provider)


async def test_as_they_come_both_start(tmp_path: Path) -> None:
    providers = [orderflow.Ccv("https://ccv.example", "key"), orderflow.Connect("https://c.example", "https://l.example", "id", "secret")]
    async with orderflow.Orderflow(f"sqlite:///{tmp_path / 'orders.db'}", providers):
        pass


def test_a_provider_that_does_not_tell_is_not_asked() -> None:
    check(Toy())


ENDLESS = [
    (field.name, value)
    for field in fields(Timing)
    if field.name != "durations"
    for value in (inf, -inf, nan)
    if value != inf or not field.name.startswith("calls_per_")
]


@pytest.mark.parametrize(("name", "value"), ENDLESS)
def test_a_timing_that_is_no_finite_number_is_refused(name: str, value: float) -> None:
    with pytest.raises(ConfigurationError, match=rf"^toy: timing's {name} \({value:g}\) must be finite$"):
        check(Toy(timing=evolve(TIMING, **{name: value})))


@pytest.mark.parametrize("name", TIMING.durations)
@pytest.mark.parametrize("value", [inf, nan])
def test_a_duration_that_is_no_finite_number_is_refused(name: str, value: float) -> None:
    with pytest.raises(ConfigurationError, match=rf"^toy: timing's duration '{name}' \({value:g}\) must be finite$"):
        check(Toy(timing=evolve(TIMING, durations={**TIMING.durations, name: value})))


async def test_it_is_refused_before_anything_is_opened(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="must be finite"):
        async with orderflow.Orderflow(f"sqlite:///{tmp_path / 'orders.db'}", [Toy(timing=evolve(TIMING, poll_first=inf))]):
            raise AssertionError("it started")
    assert not os.listdir(tmp_path)


def test_calls_may_be_without_limit() -> None:
    check(Toy(timing=evolve(TIMING, calls_per_second=inf, calls_per_minute=inf)))
