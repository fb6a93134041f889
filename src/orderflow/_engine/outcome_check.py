"""Checks what an adapter returned, before anything is decided on it. Pure.

A wrong outcome is a bug of the adapter, and the provider may have acted all the same. So it counts as in doubt, with what is wrong as the
reason. The provider's answer is kept, and so is the id of the order that it names. Where the doubt is reported, the order is flagged.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import inf
from typing import Any

from attrs import evolve, frozen

from orderflow._provider.outcomes import InDoubt, NoResult, NotExecuted, Outcome, ProviderAnswer, Rejected, Signal, Succeeded
from orderflow.model import Effect

_MAX_SHOWN = 100  # characters of what an adapter names
_MAX_ID = 500  # characters; ids are unique, and PostgreSQL's index takes no more than 2,704 bytes


@frozen
class InvalidOutcome(InDoubt):
    """An outcome that the adapter made wrong. ``named``: the provider's id of the order, if it names one; ``why`` ends with it."""

    named: str = ""


def check_outcome(effect: Effect, returned: Any) -> Outcome:
    """The outcome of a call of this effect; ``InvalidOutcome`` where what the adapter returned is wrong."""
    if not isinstance(returned, Succeeded | NotExecuted | Rejected | InDoubt | NoResult):
        return InvalidOutcome(f"the adapter returned {type(returned).__name__}, which is not an outcome")
    answer: Any = returned.answer
    problem = "" if answer is None or isinstance(answer, ProviderAnswer) else f"the adapter's answer is {type(answer).__name__}"
    if not problem:
        problem = _find_problem(effect, returned) if isinstance(returned, Succeeded) else _find_problem_of_failure(returned)
    if not problem:
        return returned
    named = returned.provider_id if isinstance(returned, Succeeded) else ""
    named = "" if not named or _find_text_problem("", named) else named[:_MAX_SHOWN]
    why = f"{problem}; {_describe_named(named)}" if named else problem
    return InvalidOutcome(why, named, answer=answer if isinstance(answer, ProviderAnswer) else None)


def drop_texts(outcome: NotExecuted | Rejected | InDoubt | NoResult) -> Outcome:
    """The outcome without what the provider wrote, which may be personal. The id that an invalid outcome names is kept: the order may exist
    there, and has to be erased there too."""
    named = outcome.named if isinstance(outcome, InvalidOutcome) else ""
    return evolve(outcome, why=_describe_named(named) if named else "", answer=None)


def _describe_named(provider_id: str) -> str:
    return f"it names the provider's order {provider_id}"


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


def _find_problem(effect: Effect, outcome: Succeeded) -> str:
    event: Any = outcome.event
    if not isinstance(event, str):
        return f"the adapter's event is {type(event).__name__}, not text"
    if event not in effect.successes:
        return f"the adapter reports {event[:_MAX_SHOWN]!r}, which is no success of {effect.name}: {', '.join(effect.successes)}"
    if outcome.provider_id == "":
        return "the adapter's provider_id is empty"
    problem = "" if outcome.provider_id is None else _find_text_problem("provider_id", outcome.provider_id)
    problem = problem or _find_text_problem("note", outcome.note)
    if not problem and outcome.provider_id and len(outcome.provider_id) > _MAX_ID:
        problem = f"the adapter's provider_id has more than {_MAX_ID} characters"
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
