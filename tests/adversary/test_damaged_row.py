"""One row of the database is damaged: by a torn page, by a person with an UPDATE, by a word of a newer version."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from attrs import evolve
from structlog.testing import capture_logs
from tests.kit.damage import run_sql
from tests.kit.stored_orders import stored
from tests.kit.toy import FAST, Toy

from orderflow import Orderflow
from orderflow._cli.main import main
from orderflow.errors import UnreadableRow

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("state", ["drafted", "placed"])
async def test_a_worker_names_the_damaged_order_and_serves_the_others(url: str, state: str) -> None:
    """An effect of the damaged order is owed, or a poll and a deadline are due."""
    toy = Toy(timing=evolve(FAST, durations={**FAST.durations, "patience": 0.5}, lease=0.5, poll_cap=60.0, deadline_patience=0.1))
    toy.timeout = 0.1
    async with Orderflow(url, [toy]) as flow:
        orders = [await flow.create("toy", key=str(n)) for n in range(3)]
    damaged = orders[1]
    async with Orderflow(url, [toy], worker=True, fetch_interval=0.05) as flow:
        if state == "placed":
            await flow.send(damaged.id, "order_it")
            await flow.wait(damaged.id, "placed", 60)
    async with Orderflow(url, [toy]) as flow:
        for order in orders:
            await flow.send(order.id, "order_it")
    await run_sql(url, f"UPDATE of_orders SET data = '[]' WHERE id = '{damaged.id}'")
    with capture_logs() as logs:
        async with Orderflow(url, [toy], worker=True, fetch_interval=0.05, grace=1.0) as flow:
            for order in (orders[0], orders[2]):
                assert (await flow.wait(order.id, "placed", 60)).state == "placed"
            await asyncio.sleep(1.5)
            assert {order.id for order in await flow.orders()} == {orders[0].id, orders[2].id}
            with pytest.raises(UnreadableRow, match=damaged.id):
                await flow.view(damaged.id)
    errors = [entry for entry in logs if entry["log_level"] == "error" and entry["event"] != "worker.leases_left"]
    assert errors
    assert {entry["order_id"] for entry in errors} == {damaged.id}
    assert len(errors) < 30  # a few for each lease


def test_the_command_line_names_the_damaged_order_and_lists_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    db, ids = stored(tmp_path, *(("ccv", f"k{n}", "abandoned", {}) for n in range(5)))
    asyncio.run(run_sql(db, f"UPDATE of_orders SET data = substr(data, 1, 40) WHERE id = '{ids[3]}'"))

    capsys.readouterr()
    assert main(["orders", "list", "--db", db]) == 0
    captured = capsys.readouterr()
    assert [order_id in captured.out for order_id in ids] == [True, True, True, False, True]
    assert ids[3] in captured.err

    assert main(["orders", "list", "--json", "--db", db]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 4

    assert main(["orders", "show", ids[3], "--db", db]) == 7
    assert "its row in of_orders cannot be read: mend it" in capsys.readouterr().err

    assert main(["db", "prune", "--older-than", "0d", "-y", "--db", db]) == 0
    captured = capsys.readouterr()
    assert captured.out == "deleted: 4 orders\n"
    assert ids[3] in captured.err
