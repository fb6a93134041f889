"""The samples of the store's benchmark still run: they use statements of the store directly, which no type checker compares."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest
from tests.benchmarks import bench_store
from tests.kit.postgres import drop_schema, make_schema

pytestmark = pytest.mark.anyio

Sample = Callable[[str], Awaitable[float]]


@pytest.fixture(autouse=True)
def short_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_store, "WARM", 0.01)
    monkeypatch.setattr(bench_store, "SECONDS", 0.05)


@pytest.mark.parametrize("sample", [partial(bench_store.sqlite_loop, among=2), bench_store.sqlite_raw, partial(bench_store.api, callers=2)])
async def test_the_samples_on_sqlite_make_transitions(sample: Sample, tmp_path: Path) -> None:
    assert await sample(f"sqlite:///{tmp_path / 'bench.db'}") > 0


@pytest.mark.parametrize(
    "sample", [partial(bench_store.postgres_loop, connections=1, among=2), bench_store.postgres_raw, partial(bench_store.api, callers=2)]
)
async def test_the_samples_on_postgresql_make_transitions(sample: Sample) -> None:
    schema, url = await make_schema()
    try:
        assert await sample(url) > 0
    finally:
        await drop_schema(schema)
