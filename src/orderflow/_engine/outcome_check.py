"""Checks what an adapter returned, before anything is decided on it. Pure.

A wrong outcome is a bug of the adapter, and the provider may have acted all the same. So it counts as in doubt, with what is wrong as the
reason. The provider's answer is kept, and so is the id of the order that it names. Where the doubt is reported, the order is flagged.
A wrong status read counts as an unusable answer: several in a row flag the order.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from math import inf
from typing import Any

from attrs import evolve, frozen

from orderflow._inputs import MAX_ID_LENGTH, check_id, decimal_to_number
from orderflow._provider.outcomes import (
    InDoubt,
    NoResult,
    NotExecuted,
    Outcome,
    ProviderAnswer,
    ReadFailed,
    Rejected,
    Signal,
    StatusRead,
    Succeeded,
)
from orderflow.errors import InvalidInput
from orderflow.model import PROVIDER_ID, REDACTED, Effect

_MAX_SHOWN = 100  # characters of what an adapter names
_OTHER_ORDER = "the adapter's data names another provider_id than the order's"

CheckId = Callable[[str], str]
"""``Provider.check_provider_id``."""


@frozen
class InvalidOutcome(InDoubt):
    """An outcome that the adapter made wrong. ``named``: the provider's id of the order, if it names one; ``why`` ends with it."""

    named: str = ""


@frozen
class AdapterFailed(NotExecuted):
    """The adapter failed before the moment of sending: it raised, or what it returned is wrong. It shows nothing about the provider."""


@frozen
class InvalidRead(ReadFailed):
    """A poll whose result the adapter made wrong, or in which it raised; ``why`` shows nothing that the provider wrote.

    Where the adapter raised, the signal is ``NOT_CALLED``: it shows nothing about the provider.
    """


def _check_any_id(provider_id: str) -> str:
    return check_id(PROVIDER_ID, provider_id)


def check_outcome(effect: Effect, returned: Any, check_provider_id: CheckId = _check_any_id, known: str | None = None) -> Outcome:
    """The outcome of a call of this effect; ``InvalidOutcome`` where what the adapter returned is wrong. Decimals become numbers, and the
    provider's id is spelt as ``check_provider_id`` spells it. ``known``: the id that the order has."""
    if not isinstance(returned, Succeeded | NotExecuted | Rejected | InDoubt | NoResult):
        return InvalidOutcome(f"the adapter returned {type(returned).__name__}, which is not an outcome")
    answer: Any = returned.answer
    problem = _find_answer_problem(answer)
    if not problem:
        if isinstance(returned, Succeeded):
            problem = _find_problem(effect, returned, check_provider_id, known)
        elif effect.once and isinstance(returned, NoResult):  # the next look would be a second execution
            problem = f"the adapter returned NoResult for {effect.name}, which is no look-up: it is sent only once"
        else:
            problem = _find_problem_of_failure(returned)
    if not problem:
        return _normalize(returned, check_provider_id) if isinstance(returned, Succeeded) else returned
    named = _show_named(returned.provider_id) if isinstance(returned, Succeeded) else ""
    why = f"{problem}; {_describe_named(named)}" if named else problem
    return InvalidOutcome(why, named, answer=answer if isinstance(answer, ProviderAnswer) else None)


def _normalize(outcome: Succeeded, check_provider_id: CheckId) -> Succeeded:
    if outcome.data:
        outcome = evolve(outcome, data=_to_json(outcome.data))
    return outcome if outcome.provider_id is None else evolve(outcome, provider_id=check_provider_id(outcome.provider_id))


def _show_named(provider_id: Any) -> str:
    """The id as it can be stored and shown."""
    if not provider_id or _find_text_problem("", provider_id):
        return ""
    text = str(provider_id)
    return (text if text.isprintable() else ascii(text)[1:-1])[:_MAX_SHOWN]


def check_status(returned: Any, known: str | None = None) -> StatusRead | ReadFailed:
    """The result of a poll; ``InvalidRead`` where what the adapter returned is wrong. Decimals become numbers. ``known``: the provider's id
    of the order."""
    if not isinstance(returned, StatusRead | ReadFailed):
        return InvalidRead(f"the adapter returned {type(returned).__name__}, which is no result of a poll")
    answer: Any = returned.answer
    problem = _find_answer_problem(answer)
    if not problem:
        problem = _find_problem_of_status(returned, known) if isinstance(returned, StatusRead) else _find_problem_of_failure(returned)
    named = returned.data.get(PROVIDER_ID) if problem == _OTHER_ORDER and isinstance(returned, StatusRead) else None
    if isinstance(returned, StatusRead) and isinstance(named, str) and named:
        return evolve(returned, data={}, mismatch=PROVIDER_ID)  # an answer about another order, which flags ours at once
    if problem:
        return InvalidRead(problem, answer=answer if isinstance(answer, ProviderAnswer) else None)
    return evolve(returned, data=_to_json(returned.data)) if isinstance(returned, StatusRead) and returned.data else returned


def drop_texts(outcome: NotExecuted | Rejected | InDoubt | NoResult) -> Outcome:
    """The outcome without what the provider wrote, which may be personal. The id that an invalid outcome names is kept: the order may exist
    there, and has to be erased there too."""
    named = outcome.named if isinstance(outcome, InvalidOutcome) else ""
    return evolve(outcome, why=_describe_named(named) if named else "", answer=None)


def _describe_named(provider_id: str) -> str:
    return f"it names the provider's order {provider_id}"


def _find_answer_problem(answer: Any) -> str:
    return "" if answer is None or isinstance(answer, ProviderAnswer) else f"the adapter's answer is {type(answer).__name__}"


def _find_problem_of_failure(outcome: NotExecuted | Rejected | InDoubt | NoResult | ReadFailed) -> str:
    problem = _find_text_problem("why", outcome.why)
    if problem or not isinstance(outcome, NotExecuted | ReadFailed):
        return problem
    wait: Any = outcome.retry_after
    if wait is not None and not (isinstance(wait, int | float) and 0 <= wait < inf):
        shown = wait if isinstance(wait, int | float) else type(wait).__name__
        return f"the adapter's retry_after is {shown}, not a number of seconds"
    status: Any = outcome.status
    if status is not None and not isinstance(status, int):
        return f"the adapter's status is {type(status).__name__}, not a number"
    return "" if isinstance(outcome.signal, Signal) else f"the adapter's signal is {type(outcome.signal).__name__}, not a Signal"


def _find_problem(effect: Effect, outcome: Succeeded, check_provider_id: CheckId, known: str | None) -> str:
    event: Any = outcome.event
    if not isinstance(event, str):
        return f"the adapter's event is {type(event).__name__}, not text"
    if event not in effect.successes:
        return f"the adapter reports {event[:_MAX_SHOWN]!r}, which is no success of {effect.name}: {', '.join(effect.successes)}"
    problem = _find_id_problem(outcome.provider_id, check_provider_id) or _find_text_problem("note", outcome.note)
    return problem or _find_data_problem(outcome.data, outcome.provider_id, known)


def _find_problem_of_status(read: StatusRead, known: str | None) -> str:
    texts = (("status", read.status), ("mismatch", read.mismatch), ("note", read.note))
    problem = next(filter(None, (_find_text_problem(field, value) for field, value in texts)), "")
    return problem or _find_data_problem(read.data, known)


def _find_id_problem(provider_id: Any, check_provider_id: CheckId) -> str:
    if provider_id is None:
        return ""
    if provider_id == "":
        return "the adapter's provider_id is empty"
    problem = _find_text_problem("provider_id", provider_id)
    if problem:
        return problem
    if len(provider_id) > MAX_ID_LENGTH:
        return f"the adapter's provider_id has more than {MAX_ID_LENGTH} characters"
    if provider_id != provider_id.strip():
        return "the adapter's provider_id has white space at its ends"
    try:
        check_provider_id(provider_id)
    except InvalidInput as error:
        return f"the adapter's provider_id {error.reason}"
    return ""


def _find_data_problem(data: Any, *ids: str | None) -> str:
    """What is wrong with data. It may name the provider's order only by one of the ``ids``, and no key that is ours alone."""
    if not isinstance(data, Mapping):
        return f"the adapter's data is {type(data).__name__}, not a mapping"
    try:
        if data:
            _to_json(data)
    except (TypeError, ValueError, RecursionError) as error:
        return f"the adapter's data is not JSON: {type(error).__name__}"
    if REDACTED in data:
        return f"the adapter's data has the reserved name {REDACTED}"
    if data.get(PROVIDER_ID) not in (None, *ids):
        return _OTHER_ORDER
    return ""


def _to_json(data: Mapping[str, object]) -> Mapping[str, object]:
    """The data as it can be stored: itself, if it holds no Decimal.

    Raises:
        TypeError, ValueError, RecursionError: it is not JSON.
    """
    try:
        json.dumps(dict(data), allow_nan=False)
    except TypeError:
        stored: dict[str, object] = json.loads(json.dumps(dict(data), allow_nan=False, default=_to_number))
        return stored
    return data


def _to_number(value: Any) -> float:
    if not isinstance(value, Decimal):
        raise TypeError
    return decimal_to_number(value)


def _find_text_problem(field: str, value: Any) -> str:
    if not isinstance(value, str):
        return f"the adapter's {field} is {type(value).__name__}, not text"
    try:
        value.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which no database stores
        return f"the adapter's {field} is not valid Unicode"
    return ""
