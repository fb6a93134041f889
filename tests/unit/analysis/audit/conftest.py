"""What the audit's tests share: the lifecycles they run over."""

import pytest
from tests.kit.audited_warehouse import Shelf, Warehouse

from orderflow._lifecycle.table import Table
from orderflow._providers.ccv.lifecycle import CcvLifecycle
from orderflow._providers.connect.lifecycle import ConnectLifecycle

TABLES = (CcvLifecycle.table, ConnectLifecycle.table, Warehouse.table, Shelf.table)


@pytest.fixture(params=TABLES, ids=lambda table: table.name)
def table(request: pytest.FixtureRequest) -> Table:
    """Each lifecycle in turn."""
    return request.param


@pytest.fixture
def ccv() -> Table:
    return CcvLifecycle.table


@pytest.fixture
def connect() -> Table:
    return ConnectLifecycle.table


@pytest.fixture
def warehouse() -> Table:
    return Warehouse.table
