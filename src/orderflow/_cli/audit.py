"""``orderflow audit``: check a log of observed statuses against a lifecycle.

The whole log is read before anything is printed. So a malformed log prints no half result.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from heapq import nlargest
from itertools import chain, islice
from operator import itemgetter
from textwrap import TextWrapper
from typing import Annotated, Literal

from cyclopts import Parameter

from orderflow._analysis.audit import (
    DEFAULT_COLUMNS,
    LEGAL,
    WRONG,
    CaseChecker,
    CaseTracker,
    CheckedCase,
    Classification,
    Columns,
    LogFile,
    LogRow,
    Summary,
    case_as_json,
    explain_status,
)
from orderflow._analysis.audit.report import VERDICTS, make_printable
from orderflow._cli import lifecycle_lookup, show
from orderflow._cli.exit_codes import Exit
from orderflow._lifecycle.facts import Value
from orderflow._lifecycle.table import Table
from orderflow.errors import InvalidInput, UnknownName

_BATCH = 10_000  # rows between two updates of the progress bar
_PROGRESS_AFTER = 1.0  # seconds
_EXPLAINED = 5  # wrong observations per case
_WRAPPER = TextWrapper(width=80, initial_indent="    ", subsequent_indent="      ", break_long_words=False, break_on_hyphens=False)

Flag = Parameter(negative="", show_default=False)
Pairs = Parameter(negative="", consume_multiple=False, show_default=False)


def audit(
    name: Annotated[str, Parameter(name="NAME", help="A lifecycle's name, module:Class or file.py:Class.")],
    file: Annotated[str, Parameter(name="FILE", help="The log, plain or gzip; - is standard input.", allow_leading_hyphen=True)],
    /,
    *,
    case: Annotated[str | None, Parameter(help="Column of the order's id (default: case; XES: concept:name of a trace).")] = None,
    status: Annotated[str | None, Parameter(help="Column of the status (default: status; XES: concept:name).")] = None,
    time: Annotated[
        str | None, Parameter(help="Column of the time: ISO 8601 or epoch seconds (default: time; XES: time:timestamp).")
    ] = None,
    format: Annotated[  # noqa: A002 - the option's name
        Literal["csv", "jsonl", "xes"] | None, Parameter(help="The log's format; needed if the file's suffix does not name it.")
    ] = None,
    sort: Annotated[bool, Flag] = False,
    states: Annotated[bool, Flag] = False,
    missed_recovery: Annotated[bool, Flag] = False,
    fact: Annotated[tuple[str, ...], Pairs] = (),
    means: Annotated[tuple[str, ...], Pairs] = (),
    worst: Annotated[int, Parameter(help="How many wrong cases to explain.")] = 10,
    as_json: Annotated[bool, Parameter(name="--json", negative="", help="Print one JSON document with every case.")] = False,
) -> Exit:
    """Check a log of observed statuses (CSV, JSON Lines, XES) against a lifecycle.

    Observations may be missing from the log. A status is wrong only if no
    order can show it after the statuses before it.

    Exit code 1: a status is illegal, resurrected or unknown.
    Exit code 2: the log is malformed, or holds no observation.

    Example: orderflow audit ccv log.csv --case order --time at

    Parameters
    ----------
    sort:
        Sort the log by time first, in memory. Without it the log is streamed, and each case's rows must be in order.
    states:
        The log holds the lifecycle's states, as our own journal does, and not the provider's statuses.
    missed_recovery:
        A provisional state that was left again may be missing from the log. Finds less that is wrong.
    fact:
        FACT=VALUE that is true of every order in the log; may be repeated. Other facts may have any value.
    means:
        WORD=STATUS: another word for a status; may be repeated.
    """
    table = lifecycle_lookup.find(name)
    aliases = dict(_split_pairs(means, "--means"))
    checker = CaseChecker(table, facts=_parse_facts(table, fact), states=states, missed_recovery=missed_recovery, aliases=aliases)
    with LogFile(file, format) as log, CaseTracker(checker, source=log.name) as cases:
        default = DEFAULT_COLUMNS[log.format]
        rows = log.read_rows(Columns(case or default.case, status or default.status, time or default.time))
        rows = _show_progress(rows, lambda: log.progress)
        cases.add(sorted(rows, key=itemgetter(3)) if sort else rows)
        if not cases.in_memory:
            raise InvalidInput(log.name, "holds no observation, so nothing was checked")
        summary = _print_document(cases) if as_json else _print_report(cases, worst)
    return Exit.OK if summary.all_legal else Exit.FAILED


def _split_pairs(pairs: tuple[str, ...], option: str) -> Iterator[tuple[str, str]]:
    for pair in pairs:
        left, equals, right = pair.partition("=")
        if not equals or not left or not right:
            raise InvalidInput(option, f"{pair!r} is not of the form NAME=VALUE")
        yield left, right


def _parse_facts(table: Table, pairs: tuple[str, ...]) -> dict[str, Value]:
    """Facts by name, with values of the declared type: ``true`` is True."""
    facts: dict[str, Value] = {}
    for name, text in _split_pairs(pairs, "--fact"):
        if name not in table.facts:
            raise UnknownName("fact", name, tuple(table.facts))
        values = {str(value).lower() if isinstance(value, bool) else value: value for value in table.facts[name]}
        if text not in values:
            raise InvalidInput(name, f"is one of {', '.join(values)}")
        facts[name] = values[text]
    return facts


def _show_progress(rows: Iterator[LogRow], progress: Callable[[], float | None]) -> Iterator[LogRow]:
    """Pass the rows on. On a terminal, a progress bar is shown on stderr after a second."""
    return chain.from_iterable(_show_bar(rows, progress)) if sys.stderr.isatty() else rows


def _show_bar(rows: Iterator[LogRow], progress: Callable[[], float | None]) -> Iterator[list[LogRow]]:
    from rich.console import Console  # noqa: PLC0415 - only on a terminal
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    begun, count = time.monotonic(), 0
    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[rows]:,} rows"), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = None
        while batch := list(islice(rows, _BATCH)):
            yield batch
            count += len(batch)
            done = progress()
            if task is None and time.monotonic() - begun > _PROGRESS_AFTER:
                task = bar.add_task("reading", total=None if done is None else 1.0, rows=count)
            if task is not None:
                bar.update(task, completed=done or 0.0, rows=count)


def _print_document(cases: CaseTracker) -> Summary:
    """Print one JSON document, case by case: {cases: [...], summary: {...}}."""
    summary = Summary(cases.checker)
    write = sys.stdout.write
    write('{"cases": [')
    separator = "\n  "
    for case in cases.iter_cases():
        summary.count(case)
        write(separator + json.dumps(case_as_json(case, cases.checker)))
        separator = ",\n  "
    write(f'\n],\n"summary": {json.dumps(summary.as_json(), indent=2)}}}\n')
    return summary


def _print_report(cases: CaseTracker, worst: int) -> Summary:
    summary = Summary(cases.checker)

    def iter_wrong() -> Iterator[CheckedCase]:
        for case in cases.iter_cases():
            summary.count(case)
            if case.verdict != LEGAL:
                yield case

    chosen = nlargest(max(0, worst), iter_wrong(), key=lambda case: case.severity)
    _print_summary(summary)
    _print_worst(chosen, summary)
    return summary


def _print_summary(summary: Summary) -> None:
    power = summary.checker.measure_power()
    show.line(f"{summary.checker.lifecycle}: {summary.observations:,} observations of {summary.cases:,} cases")
    show.line(f"power: the audit can refuse {power.refusable} of {power.pairs} ordered pairs of statuses ({power.share:.0%})")
    if not power.refusable:
        show.line("warning: statuses may come in any order, so only unknown words can be found")
    show.line("")
    classes = {classification.value: count for classification, count in summary.classifications.items()}
    show.table(("class", "observations", "share"), _make_rows(classes, summary.observations))
    show.line("")
    show.table(("verdict", "cases", "share"), _make_rows({verdict: summary.verdicts[verdict] for verdict in VERDICTS}, summary.cases))


def _make_rows(counts: dict[str, int], total: int) -> list[tuple[str, str, str]]:
    return [(name, f"{count:,}", f"{count / total:.2%}" if total else "-") for name, count in counts.items()]


def _print_worst(chosen: list[CheckedCase], summary: Summary) -> None:
    if not chosen:
        return
    show.line("")
    count = summary.cases - summary.verdicts[LEGAL]
    show.line(f"the worst {len(chosen)} of {count:,} wrong cases:" if len(chosen) < count else "the wrong cases:")
    for case in chosen:
        show.line(f"  {make_printable(case.name)}: {case.verdict}")
        _explain_case(case, summary.checker)


def _explain_case(case: CheckedCase, checker: CaseChecker) -> None:
    """Explain the wrong observations, and each jump directly before one: the jump may be the reason."""
    steps = case.explain(checker)
    places = [
        place
        for place, step in enumerate(steps)
        if step.classification in WRONG or (step.classification is Classification.JUMP and place + 1 in case.wrong_rows)
    ]
    for place in places[:_EXPLAINED]:
        row = case.wrong_rows.get(place)
        where = f"line {row.line}, {row.at.isoformat()}: " if row else ""
        for text in _WRAPPER.wrap(f"{where}{steps[place].classification.value}: {explain_status(steps[place], checker)}"):
            show.line(text)
    if len(places) > _EXPLAINED:
        show.line(f"    ... and {len(places) - _EXPLAINED} more")
