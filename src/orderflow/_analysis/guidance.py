"""Whether a provider's texts fit its lifecycle. Pure: table and texts in, problems out.

    guidance-missing      a state has no texts, though others have
    guidance-state        texts for a state that the lifecycle does not have
    guidance-text         an empty text, or one of several lines
    guidance-placeholder  a name in braces that stands for nothing; any in a customer's text
    guidance-event        an operator's event that is not legal there; or one that ends a doubt and is not named there

A provider without any texts is sound.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from orderflow._lifecycle.class_body import SourceLine, did_you_mean
from orderflow._lifecycle.decide import is_in_doubt
from orderflow._lifecycle.guidance import ORDER_VALUES, PLACEHOLDER, Guidance, GuidanceValues
from orderflow._lifecycle.table import Table
from orderflow.errors import DeclarationProblem
from orderflow.model import Origin

_NAME = re.compile(r"\w+")


def check_guidance(table: Table, guidance: Mapping[str, Guidance], values: GuidanceValues) -> tuple[DeclarationProblem, ...]:
    """Every broken rule, in the order of the states; none where there is no guidance at all. ``values``: the provider's placeholders."""
    if not guidance:
        return ()
    problems = [*_find_missing(table, guidance)]
    for state, texts in guidance.items():
        problems += _check_texts(table, state, texts, values)
    return tuple(problems)


def _find_missing(table: Table, guidance: Mapping[str, Guidance]) -> Iterator[DeclarationProblem]:
    first = next(iter(guidance.values())).line
    for state in table.states:
        if state not in guidance:
            yield _problem("missing", state, "the state has no texts, though other states have", "add a Guidance for it", first)


def _check_texts(table: Table, state: str, texts: Guidance, values: GuidanceValues) -> Iterator[DeclarationProblem]:
    if state not in table.states:
        yield _problem("state", state, f"{table.name} has no such state", did_you_mean(state, table.states), texts.line)
        return
    known = {"customer": set[str](), "operator": {*ORDER_VALUES, *values}}
    for person, text in (("customer", texts.customer), ("operator", texts.operator)):
        if not text.strip() or len(text.splitlines()) > 1:
            yield _problem("text", state, f"the {person}'s text must be one line", "", texts.line)
        for name in PLACEHOLDER.findall(text):
            if name not in known[person]:
                remedy = did_you_mean(name, known[person]) or f"use one of {', '.join(sorted(known[person])) or 'none'}"
                yield _problem("placeholder", state, f"{{{name}}} stands for nothing in the {person}'s text", remedy, texts.line)
        if re.search(r"[{}]", PLACEHOLDER.sub("", text)):
            yield _problem("placeholder", state, f"a single brace in the {person}'s text", "write {name}", texts.line)
    yield from _check_events(table, state, texts)


def _check_events(table: Table, state: str, texts: Guidance) -> Iterator[DeclarationProblem]:
    events = [event for event, origin in table.events.items() if origin is Origin.OPERATOR]
    legal = [event for event in events if any(edge.event == event for edge in table.out[state])]
    named = set(_NAME.findall(texts.operator))
    for event in events:
        if event in named and event not in legal:
            yield _problem("event", state, f"{event} is not legal here", f"legal are: {', '.join(legal) or 'none'}", texts.line)
    for event in legal if is_in_doubt(table, state) else ():
        if event not in named:
            yield _problem("event", state, f"{event} can end this doubt, and the operator's text does not name it", "", texts.line)


def _problem(rule: str, state: str, explanation: str, remedy: str, line: SourceLine) -> DeclarationProblem:
    return DeclarationProblem(f"guidance-{rule}", state, explanation, remedy, line.file, line.line)
