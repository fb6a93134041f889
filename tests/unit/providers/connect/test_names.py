"""The names that editors complete are the table's."""

from typing import get_args

from orderflow.model import Origin
from orderflow.providers.connect import Connect, names


def test_states_commands_and_operator_events_are_the_tables() -> None:
    table = Connect.table

    assert tuple(table.states) == get_args(names.State)
    assert tuple(event for event, origin in table.events.items() if origin is Origin.COMMAND) == get_args(names.Command)
    assert tuple(event for event, origin in table.events.items() if origin is Origin.OPERATOR) == get_args(names.OperatorEvent)
