"""Checks what an adapter returned, before anything is decided on it. Pure.

A wrong outcome is a bug of the adapter, and the provider may have acted all the same. So it counts as in doubt, with what is wrong as the
reason, and the provider's answer is kept.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import inf
from typing import Any

from orderflow._lifecycle.table import Table
from orderflow._provider.outcomes import InDoubt, NoResult, NotExecuted, Outcome, ProviderAnswer, Rejected, Signal, Succeeded
from orderflow.model import Origin

_MAX_SHOWN = 100  # characters of what an adapter names


def check_outcome(table: Table, returned: Any) -> tuple[Outcome, str]:
    """The outcome, and what is wrong with what the adapter returned ("": nothing). A wrong one is replaced by ``InDoubt``."""
    if not isinstance(returned, Succeeded | NotExecuted | Rejected | InDoubt | NoResult):
        problem = f"the adapter returned {type(returned).__name__}, which is not an outcome"
        return InDoubt(problem), problem
    answer: Any = returned.answer
    problem = "" if answer is None or isinstance(answer, ProviderAnswer) else f"the adapter's answer is {type(answer).__name__}"
    if not problem:
        problem = _find_problem(table, returned) if isinstance(returned, Succeeded) else _find_problem_of_failure(returned)
    if not problem:
        return returned, ""
    named = returned.provider_id if isinstance(returned, Succeeded) else None
    names = "" if not named or _find_text_problem("", named) else f"; it names the provider's order {named[:_MAX_SHOWN]}"
    return InDoubt(f"{problem}{names}", answer=answer if isinstance(answer, ProviderAnswer) else None), problem


def _find_problem_of_failure(outcome: NotExecuted | Rejected | InDoubt | NoResult) -> str:
    problem = _find_text_problem("why", outcome.why)
    if problem or not isinstance(outcome, NotExecuted):
        return problem
    wait: Any = outcome.retry_after
    if wait is not None and not (isinstance(wait, int | float) and 0 <= wait < inf):
        shown = wait if isinstance(wait, int | float) else type(wait).__name__
        return f"the adapter's retry_after is {shown}, not a number of seconds"
    status: Any = outcome.status
    if status is not None and not isinstance(status, int):
        return f"the adapter's status is {type(status).__name__}, not a number"
    return "" if isinstance(outcome.signal, Signal) else f"the adapter's signal is {type(outcome.signal).__name__}, not a Signal"


def _find_problem(table: Table, outcome: Succeeded) -> str:
    event: Any = outcome.event
    if not isinstance(event, str):
        return f"the adapter's event is {type(event).__name__}, not text"
    if table.events.get(event) is not Origin.REPLY:
        return f"the adapter reports {event[:_MAX_SHOWN]!r}, which is not a reply of {table.name}"
    if any(event in effect.failures for effect in table.effects.values()):
        return f"the adapter reports the failure {event!r} as a success"
    if outcome.provider_id == "":
        return "the adapter's provider_id is empty"
    problem = "" if outcome.provider_id is None else _find_text_problem("provider_id", outcome.provider_id)
    problem = problem or _find_text_problem("note", outcome.note)
    if problem:
        return problem
    data: Any = outcome.data
    if not isinstance(data, Mapping):
        return f"the adapter's data is {type(data).__name__}, not a mapping"
    try:
        json.dumps(dict(data), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        return f"the adapter's data is not JSON: {type(error).__name__}"
    return ""


def _find_text_problem(field: str, value: Any) -> str:
    if not isinstance(value, str):
        return f"the adapter's {field} is {type(value).__name__}, not text"
    try:
        value.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which no database stores
        return f"the adapter's {field} is not valid Unicode"
    return ""
