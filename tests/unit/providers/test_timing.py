"""A timing that cannot work is refused at start-up: an infinite duration, or a timeout as long as a whole call may take.

A call waits several times: for a connection, for a token, for each part of the response. With a timeout that is refused, not even the
first wait would end by itself. Then a call that was never sent would be in doubt.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from copy import copy
from math import inf, nan
from pathlib import Path
from typing import Any

import httpx
import pytest
from attrs import evolve, fields
from tests.kit.toy import TIMING, Toy
from tests.kit.world import ccv_at, connect_at

import orderflow
from orderflow._provider.protocol import Provider
from orderflow._provider.timing import CALL_SHARE, Timing, check_timing
from orderflow._providers.ccv import TIMING as CCV_TIMING
from orderflow._providers.connect import TIMING as CONNECT_TIMING
from orderflow._testing.timing import fast_timing
from orderflow.errors import ConfigurationError

pytestmark = pytest.mark.anyio

MakeProvider = Callable[..., Provider]
FACTORIES: dict[str, tuple[MakeProvider, Any]] = {"ccv": (ccv_at, CCV_TIMING), "connect": (connect_at, CONNECT_TIMING)}
LEASE = 10.0
LIMIT = CALL_SHARE * LEASE


def check(provider: Provider) -> None:
    check_timing(provider.name, provider.table, provider.timing, provider.timeout)


@pytest.fixture(params=FACTORIES)
def make(request: pytest.FixtureRequest) -> MakeProvider:
    """Makes each provider in turn, with a lease of ten seconds."""
    factory, timing = FACTORIES[request.param]
    return lambda **settings: factory("https://provider.example", timing=evolve(timing, lease=LEASE), **settings)


@pytest.mark.parametrize("timeout", [LIMIT, LIMIT + 0.001, 20.0, inf, 0.0, -1.0, nan])
async def test_a_timeout_as_long_as_a_whole_call_is_refused_at_start(make: MakeProvider, tmp_path: Path, timeout: float) -> None:
    provider = make(timeout=timeout)
    message = rf"^{provider.name}: timeout \(\S+ s\) must be > 0 and < 0\.8 x lease \(10 s\)$"
    with pytest.raises(ConfigurationError, match=message):
        async with orderflow.Orderflow(f"sqlite:///{tmp_path / 'orders.db'}", [provider]):
            raise AssertionError("it started")
    assert not os.listdir(tmp_path)  # nothing was opened
    await provider.close()


@pytest.mark.parametrize("timeout", [0.001, 5.0, LIMIT - 0.001])
async def test_a_shorter_timeout_is_accepted(make: MakeProvider, timeout: float) -> None:
    provider = make(timeout=timeout)
    check(provider)
    await provider.close()


@pytest.mark.parametrize(
    ("timeout", "accepted"),
    [
        (httpx.Timeout(5.0), True),
        (httpx.Timeout(5.0, read=LIMIT), False),
        (httpx.Timeout(5.0, connect=LIMIT), False),
        (httpx.Timeout(5.0, pool=LIMIT), False),
        (httpx.Timeout(5.0, write=LIMIT), False),
        (httpx.Timeout(5.0, read=None), False),
        (None, False),
    ],
)
async def test_with_a_client_of_the_application_its_own_timeout_counts(
    make: MakeProvider, timeout: httpx.Timeout | None, accepted: bool
) -> None:
    async with httpx.AsyncClient(timeout=timeout, trust_env=False) as client:
        provider = make(client=client, timeout=1.0)  # the argument is for the default client, and not used here
        if accepted:
            check(provider)
        else:
            with pytest.raises(ConfigurationError, match=rf"^{provider.name}: timeout "):
                check(provider)


async def test_both_providers_start_with_their_defaults(tmp_path: Path) -> None:
    providers = [orderflow.Ccv("https://ccv.example", "key"), orderflow.Connect("https://c.example", "https://l.example", "id", "secret")]
    async with orderflow.Orderflow(f"sqlite:///{tmp_path / 'orders.db'}", providers):
        pass


def test_a_provider_without_a_known_timeout_is_accepted() -> None:
    check(Toy())


NOT_FINITE = [
    (field.name, value)
    for field in fields(Timing)
    if field.name != "durations"
    for value in (inf, -inf, nan)
    if value != inf or not field.name.endswith(("_per_second", "_per_minute"))
]


@pytest.mark.parametrize(("name", "value"), NOT_FINITE)
def test_a_timing_with_a_number_that_is_not_finite_is_refused(name: str, value: float) -> None:
    with pytest.raises(ConfigurationError, match=rf"^toy: timing's {name} \({value:g}\) must be finite$"):
        check(Toy(timing=evolve(TIMING, **{name: value})))


@pytest.mark.parametrize("value", [-0.001, -1, True, "1", None])
def test_a_timing_with_something_else_than_a_number_is_refused(value: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^toy: timing's poll_first must be a number, 0 or more$"):
        check(Toy(timing=evolve(TIMING, poll_first=value)))


@pytest.mark.parametrize("name", TIMING.durations)
@pytest.mark.parametrize("value", [inf, nan])
def test_a_duration_that_is_not_finite_is_refused(name: str, value: float) -> None:
    with pytest.raises(ConfigurationError, match=rf"^toy: timing's duration '{name}' \({value:g}\) must be finite$"):
        check(Toy(timing=evolve(TIMING, durations={**TIMING.durations, name: value})))


async def test_a_timing_is_refused_before_anything_is_opened(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="must be finite"):
        async with orderflow.Orderflow(f"sqlite:///{tmp_path / 'orders.db'}", [Toy(timing=evolve(TIMING, poll_first=inf))]):
            raise AssertionError("it started")
    assert not os.listdir(tmp_path)


def test_quotas_may_be_infinite() -> None:
    check(Toy(timing=evolve(TIMING, calls_per_second=inf, calls_per_minute=inf)))


@pytest.mark.parametrize("name", FACTORIES)
def test_single_durations_replace_the_defaults_and_leave_the_others(name: str) -> None:
    factory, timing = FACTORIES[name]
    replaced = factory("https://provider.example", durations={"recovery_window": 5, "in_doubt_budget": 7.5}).timing.durations
    assert replaced == {**fast_timing(timing).durations, "recovery_window": 5, "in_doubt_budget": 7.5}


@pytest.mark.parametrize("name", FACTORIES)
def test_an_unknown_duration_is_refused_and_the_known_ones_are_named(name: str) -> None:
    factory, timing = FACTORIES[name]
    message = r"^durations: 'recovery_windw' is unknown \(did you mean 'recovery_window'\?\), 'zzz' is unknown; known: "
    with pytest.raises(ConfigurationError, match=message) as refused:
        factory("https://provider.example", durations={"recovery_windw": 5.0, "draft_timeout": 7.0, "zzz": 1.0})
    assert all(known in str(refused.value) for known in timing.durations)


@pytest.mark.parametrize("name", FACTORIES)
def test_a_misspelt_duration_in_a_timing_is_refused(name: str) -> None:
    factory, timing = FACTORIES[name]
    shared = evolve(timing, durations={**timing.durations, "in_doubt_bugdet": 5.0, "of_another_provider": 5.0})
    with pytest.raises(ConfigurationError, match=r"^durations: 'in_doubt_bugdet' is unknown \(did you mean 'in_doubt_budget'\?\); known: "):
        factory("https://provider.example", timing=shared)


def test_the_durations_of_the_shipped_providers_are_not_taken_for_misspelt_ones_of_the_other() -> None:
    both = evolve(CCV_TIMING, durations={**CCV_TIMING.durations, **CONNECT_TIMING.durations})
    for factory, timing in FACTORIES.values():
        assert factory("https://provider.example", timing=both).timing.durations.keys() == timing.durations.keys()


def test_misspelt_names_of_a_timing_are_refused_where_it_is_made_all_in_one_error() -> None:
    message = r"^timing: 'retry_frist' is unknown \(did you mean 'retry_first'\?\), 'leese' is unknown \(did you mean 'lease'\?\); known: "
    with pytest.raises(ConfigurationError, match=message):
        Timing({}, retry_frist=1.0, leese=2.0)  # type: ignore[call-arg]
    with pytest.raises(ConfigurationError, match=r"^timing: 'poll_capp' is unknown"):
        evolve(TIMING, poll_capp=1.0)
    assert pickle.loads(pickle.dumps(TIMING)) == TIMING == copy(TIMING)


def test_durations_that_the_lifecycle_does_not_name_are_refused_where_the_flow_is_made(tmp_path: Path) -> None:
    patience, *others = TIMING.durations
    durations = {"pacience": 1.0, **dict.fromkeys(others, 1.0), "window_budget": 1.0}
    message = (
        r"^toy: timing has no duration 'patience'; its lifecycle names no duration 'pacience' \(did you mean 'patience'\?\); "
        r"its lifecycle names no duration 'window_budget'"
    )
    with pytest.raises(ConfigurationError, match=message):
        orderflow.Orderflow(f"sqlite:///{tmp_path / 'orders.db'}", [Toy(timing=evolve(TIMING, durations=durations))])
    assert patience == "patience"


@pytest.mark.parametrize("name", FACTORIES)
def test_a_timing_that_providers_share_may_hold_the_durations_of_others(name: str) -> None:
    factory, timing = FACTORIES[name]
    shared = evolve(timing, durations={**timing.durations, "of_another_provider": 5.0})
    assert factory("https://provider.example", timing=shared).timing.durations == timing.durations


@pytest.mark.parametrize("value", ["5", None, True])
def test_a_duration_that_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^durations: 'recovery_window' must be a number of seconds"):
        ccv_at("https://provider.example", durations={"recovery_window": value})


NUMBERS = [field.name for field in fields(Timing) if field.name != "durations"]
RATES = {"calls_per_second", "calls_per_minute"}  # Connect's are limits of its own


@pytest.mark.parametrize("provider", FACTORIES)
@pytest.mark.parametrize("name", NUMBERS)
async def test_what_a_timing_does_not_give_is_the_providers_default(provider: str, name: str) -> None:
    factory, defaults = FACTORIES[provider]
    for given in (getattr(Timing(), name) + 0, 50):  # even where it is the default of Timing
        made = factory("https://provider.example", timing=Timing(**{name: given}))
        merged = {field: getattr(made.timing, field) for field in NUMBERS if field not in RATES}
        expected = {**{field: getattr(defaults, field) for field in merged}, name: given}
        assert merged == {field: expected[field] for field in merged}
        assert dict(made.timing.durations) == dict(defaults.durations)
        await made.close()


async def test_of_durations_too_only_those_given_are_replaced() -> None:
    made = ccv_at(
        "https://provider.example", timing=Timing({"new_budget": 7.0, "of_another_provider": 1.0}), durations={"draft_timeout": 8.0}
    )
    assert made.timing.durations == {**CCV_TIMING.durations, "new_budget": 7.0, "draft_timeout": 8.0}
    assert (made.timing.poll_first, made.timing.poll_interval) == (30.0, 10.0)
    await made.close()
