"""``orderflow audit``: judge a log of observed statuses. Reads the whole log before it prints, so that nothing is half told."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from heapq import nlargest
from itertools import chain, islice
from operator import itemgetter
from typing import Annotated, Literal

from cyclopts import Parameter

from orderflow.analysis.audit import DEFAULTS, LEGAL, WRONG, Case, Cases, Class, Columns, Judge, Seen, Source, Summary, case_json, explained
from orderflow.analysis.audit.report import VERDICTS, safe
from orderflow.cli import finding, show
from orderflow.cli.exits import Exit
from orderflow.errors import InvalidInput, UnknownName
from orderflow.lifecycle.facts import Value
from orderflow.lifecycle.table import Table

_BATCH = 10_000  # observations between two looks at the clock
_PATIENCE = 1.0  # seconds without a progress bar
_SHOWN = 5  # wrong observations explained per case

Flag = Parameter(negative="", show_default=False)
Pairs = Parameter(negative="", consume_multiple=False, show_default=False)


def audit(
    name: Annotated[str, Parameter(name="NAME", help="A lifecycle's name, module:Class or file.py:Class.")],
    file: Annotated[str, Parameter(name="FILE", help="The log; - is standard input. gzip is recognised.", allow_leading_hyphen=True)],
    /,
    *,
    case: Annotated[str | None, Parameter(help="Column of the case (default: case; XES: concept:name of a trace).")] = None,
    status: Annotated[str | None, Parameter(help="Column of the status (default: status; XES: concept:name).")] = None,
    time: Annotated[
        str | None, Parameter(help="Column of the time: ISO 8601, or epoch seconds (default: time; XES: time:timestamp).")
    ] = None,
    format: Annotated[  # noqa: A002 - the option's name
        Literal["csv", "jsonl", "xes"] | None, Parameter(help="Needed where the file's name does not tell.")
    ] = None,
    sort: Annotated[bool, Flag] = False,
    states: Annotated[bool, Flag] = False,
    missed_recovery: Annotated[bool, Flag] = False,
    fact: Annotated[tuple[str, ...], Pairs] = (),
    means: Annotated[tuple[str, ...], Pairs] = (),
    worst: Annotated[int, Parameter(help="How many wrong cases to explain.")] = 10,
    as_json: Annotated[bool, Parameter(name="--json", negative="", help="One JSON document, with every case.")] = False,
) -> Exit:
    """Compare a log of observed statuses (CSV, JSON Lines, XES) with a lifecycle.

    Statuses may be missing: an observation is wrong only if no path of an order
    can show it after those before it.

    Example: orderflow audit ccv log.csv --case order --time at

    Parameters
    ----------
    sort:
        Sort by time first, in memory. Without it the log is streamed, and each case's rows must be in order.
    states:
        The log holds the lifecycle's states, as our journal does, not the provider's statuses.
    missed_recovery:
        A provisional end that was left again may itself have been missed. Fewer alarms, less power.
    fact:
        FACT=VALUE that holds for every order of the log; may be repeated. Without it any facts are allowed for.
    means:
        WORD=STATUS: another word for a status; may be repeated.
    """
    table = finding.find(name)
    judge = Judge(table, facts=_facts(table, fact), states=states, missed_recovery=missed_recovery, means=dict(_split(means, "--means")))
    with Source(file, format) as source, Cases(judge, source=source.name) as cases:
        usual = DEFAULTS[source.format]
        rows = source.rows(Columns(case or usual.case, status or usual.status, time or usual.time))
        watched = _watched(rows, lambda: source.fraction)
        cases.take(iter(sorted(watched, key=itemgetter(3))) if sort else watched)
        return _document(cases) if as_json else _print(cases, worst)


def _split(pairs: tuple[str, ...], option: str) -> Iterator[tuple[str, str]]:
    for pair in pairs:
        left, divided, right = pair.partition("=")
        if not divided or not left or not right:
            raise InvalidInput(option, f"{pair!r} is not of the form NAME=VALUE")
        yield left, right


def _facts(table: Table, pairs: tuple[str, ...]) -> dict[str, Value]:
    """Facts by name, with the values as the lifecycle declares them: ``true`` is True."""
    facts: dict[str, Value] = {}
    for name, text in _split(pairs, "--fact"):
        if name not in table.facts:
            raise UnknownName("fact", name, tuple(table.facts))
        values = {str(value).lower() if isinstance(value, bool) else value: value for value in table.facts[name]}
        if text not in values:
            raise InvalidInput(name, f"is one of {', '.join(values)}")
        facts[name] = values[text]
    return facts


# ── progress ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _watched(rows: Iterator[Seen], fraction: Callable[[], float | None]) -> Iterator[Seen]:
    """The rows; after a second, and on a terminal, with a progress bar on stderr."""
    return chain.from_iterable(_batches(rows, fraction)) if sys.stderr.isatty() else rows


def _batches(rows: Iterator[Seen], fraction: Callable[[], float | None]) -> Iterator[list[Seen]]:
    from rich.console import Console  # noqa: PLC0415 - only on a terminal
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    begun, taken = time.monotonic(), 0
    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[rows]:,} rows"), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = None
        while batch := list(islice(rows, _BATCH)):
            yield batch
            taken += len(batch)
            done = fraction()
            if task is None and time.monotonic() - begun > _PATIENCE:
                task = bar.add_task("reading", total=None if done is None else 1.0, rows=taken)
            if task is not None:
                bar.update(task, completed=done or 0.0, rows=taken)


# ── telling ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _document(cases: Cases) -> Exit:
    """One JSON document, written case by case: {cases: [...], summary: {...}}."""
    summary = Summary(cases.judge)
    write = sys.stdout.write
    write('{"cases": [')
    between = "\n  "
    for case in cases.all():
        summary.count(case)
        write(between + json.dumps(case_json(case, cases.judge)))
        between = ",\n  "
    write(f'\n],\n"summary": {json.dumps(summary.as_json(), indent=2)}}}\n')
    return Exit.OK if summary.sound else Exit.FAILED


def _print(cases: Cases, worst: int) -> Exit:
    summary = Summary(cases.judge)

    def wrong() -> Iterator[Case]:
        for case in cases.all():
            summary.count(case)
            if case.verdict != LEGAL:
                yield case

    chosen = nlargest(max(0, worst), wrong(), key=lambda case: case.severity)
    _summary(summary)
    _worst(chosen, summary, cases.judge)
    return Exit.OK if summary.sound else Exit.FAILED


def _summary(summary: Summary) -> None:
    power = summary.judge.power()
    show.line(f"{summary.judge.name}: {summary.observations:,} observations of {summary.cases:,} cases")
    show.line(f"power: the audit can refuse {power.refusable} of {power.pairs} ordered pairs of statuses ({power.share:.0%})")
    if not power.refusable:
        show.line("warning: it can refuse no order of statuses, so only unknown words can be found")
    show.line("")
    show.table(("class", "observations", "share"), _counts({k.value: n for k, n in summary.classes.items()}, summary.observations))
    show.line("")
    show.table(("verdict", "cases", "share"), _counts({v: summary.verdicts[v] for v in VERDICTS}, summary.cases))


def _counts(counts: dict[str, int], total: int) -> list[tuple[str, str, str]]:
    return [(name, f"{count:,}", f"{count / total:.2%}" if total else "-") for name, count in counts.items()]


def _worst(chosen: list[Case], summary: Summary, judge: Judge) -> None:
    if not chosen:
        return
    show.line("")
    count = summary.cases - summary.verdicts[LEGAL]
    show.line(f"the worst {len(chosen)} of {count:,} wrong cases:" if len(chosen) < count else "the wrong cases:")
    for case in chosen:
        show.line(f"  {safe(case.name)}: {case.verdict}")
        steps = case.steps(judge)
        told = [place for place, step in enumerate(steps) if step.kind in WRONG or (step.kind is Class.JUMP and place + 1 in case.wrong)]
        for place in told[:_SHOWN]:
            where = case.wrong.get(place)
            at = f"line {where.line}, {where.at.isoformat()}: " if where else ""
            show.line(f"    {at}{steps[place].kind.value}: {explained(steps[place], judge)}")
        if len(told) > _SHOWN:
            show.line(f"    ... and {len(told) - _SHOWN} more")
