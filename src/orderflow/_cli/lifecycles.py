"""The commands about declarations: ``check``, ``diagram``, ``lifecycles``. They read tables and run no order."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Annotated, Any, Literal

from attrs import asdict
from cyclopts import Parameter

from orderflow._analysis.check import Report, check_sketches
from orderflow._analysis.check import check as check_table
from orderflow._analysis.guidance import check_guidance
from orderflow._analysis.model_checking import PropertyResult
from orderflow._cli import lifecycle_lookup, show
from orderflow._cli.exit_codes import Exit
from orderflow._cli.options import Json
from orderflow.diagrams import describe, find_stale, write_files
from orderflow.errors import DeclarationError

Name = Annotated[str | None, Parameter(name="NAME", help="A lifecycle's name, module:Class or file.py:Class; all lifecycles if absent.")]
_KINDS = ("initial", "final", "provisional", "proven", "assumed")


def check(name: Name = None, /, *, json: Json = False) -> Exit:
    """Check lifecycles: every rule, every state under every value of the facts, every property, every text for people.

    A property that holds is shown with a path on which it matters, and with the
    weakest evidence that this path needs. A guard that is not a function of the
    declared facts cannot be enumerated: what depends on it is reported as
    unchecked. A declaration that cannot be imported is a problem like any other.

    Example: orderflow check app.parcels:Parcel
    """
    reports = [_check(each) for each in _names(name)]
    if json:
        show.document(reports)
    else:
        _print_reports(reports)
    return Exit.FAILED if any(report["problems"] for report in reports) else Exit.OK


def _names(name: str | None) -> tuple[str, ...]:
    return lifecycle_lookup.names() if name is None else (name,)


def _check(name: str) -> dict[str, Any]:
    """The report of one lifecycle, as JSON."""
    try:
        table, guidance, values = lifecycle_lookup.find_with_guidance(name)
    except DeclarationError as error:
        declared = [asdict(problem) for problem in error.problems]
        if not error.tables_for_check:
            return {"lifecycle": error.lifecycle, "problems": declared, "figures": {}, "properties": []}
        described = _describe(check_sketches(*error.tables_for_check))
        rest = [problem for problem in described["problems"] if problem["rule"] != "guard-unresolved"]
        return described | {"problems": declared + rest}
    described = _describe(check_table(table))
    texts = [asdict(problem) for problem in check_guidance(table, guidance, values)]
    return described | {"problems": described["problems"] + texts}


def _describe(report: Report) -> dict[str, Any]:
    problems = [asdict(problem) for problem in report.problems]
    properties = [_property(result) for result in report.properties]
    return {"lifecycle": report.lifecycle, "problems": problems, "figures": asdict(report.figures), "properties": properties}


def _property(result: PropertyResult) -> dict[str, Any]:
    return {
        "property": result.promise.name,
        "pattern": str(result.promise.pattern),
        "says": result.promise.text,
        "verdict": str(result.verdict),
        "path": list(result.steps),
        "missing": result.missing,
        "leans_on": result.leans_on,
        "unsure": list(result.unsure),
    }


def _print_reports(reports: list[dict[str, Any]]) -> None:
    for report in reports:
        count = len(report["problems"])
        verdict = f"{count} problem{'' if count == 1 else 's'}" if count else "ok"
        figures = ", ".join(f"{value} {figure}" for figure, value in report["figures"].items())
        show.paragraph(f"{report['lifecycle']}: {verdict}" + (f" ({figures})" if figures else ""))
    properties = [
        (report["lifecycle"], each["property"], each["verdict"], each["leans_on"], " > ".join(step.split(":")[0] for step in each["path"]))
        for report in reports
        for each in report["properties"]
    ]
    if properties:
        show.line()
        show.table(("lifecycle", "property", "verdict", "leans on", "path"), properties)
    problems = [
        (report["lifecycle"], problem["rule"], problem["where"], _explain(problem)) for report in reports for problem in report["problems"]
    ]
    if problems:
        show.line()
        show.table(("lifecycle", "rule", "where", "explanation"), problems)


def _explain(problem: dict[str, Any]) -> str:
    """The explanation; of a declaration's problem with its line and remedy."""
    if "line" not in problem:
        return str(problem["explanation"])
    remedy = f"; {problem['remedy']}" if problem["remedy"] else ""
    return f"{problem['explanation']}{remedy} ({problem['file']}:{problem['line']})"


def diagram(
    name: Name = None,
    /,
    *,
    format: Annotated[  # noqa: A002 - the option's name
        Literal["mermaid", "table", "svg", "png", "dot", "plantuml", "xstate"] | None,
        Parameter(help="Only this format; mermaid, table and svg if absent."),
    ] = None,
    out: Annotated[Path, Parameter(help="The directory of the files.", show_default=True)] = Path("diagrams"),
    check: Annotated[bool, Parameter(help="Write nothing; name the files that are stale, and exit with 6 if there are any.")] = False,
) -> Exit:
    """Draw lifecycles as files, or check that the files are fresh.

    --check needs no extra: text is compared byte for byte, svg and png by the
    table that they name.

    Example: orderflow diagram ccv --format svg --out docs
    """
    tables = [lifecycle_lookup.find(each) for each in _names(name)]
    formats = (format,) if format else ()
    if not check:
        for path in write_files(tables, out, formats):
            show.line(f"{path} written")
        return Exit.OK
    files = find_stale(tables, out, formats, complete=name is None)
    for file in files:
        show.line(f"{out / file}")
    if not files:
        show.line(f"{out}: fresh")
    return Exit.STALE if files else Exit.OK


def lifecycles(name: Name = None, /, *, json: Json = False) -> Exit:
    """Print lifecycles: their states, and every edge with its guard, effects, cause and evidence.

    Example: orderflow lifecycles ccv
    """
    described = [describe(lifecycle_lookup.find(each)) for each in _names(name)]
    if json:
        show.document(described)
        return Exit.OK
    for lifecycle in described:
        _print_lifecycle(lifecycle)
    return Exit.OK


def _print_lifecycle(lifecycle: dict[str, Any]) -> None:
    name = lifecycle["lifecycle"]
    show.table(("state", "kind", "stuck after", "deadlines"), _states(lifecycle), title=f"{name}: states")
    show.line()
    show.line(f"{name}: facts")
    for fact, values in lifecycle["facts"].items():
        show.paragraph(f"{fact}: {', '.join(map(show.fact_value, values))}", "  ", "  ")
    show.line()
    show.line(f"{name}: edges")
    _print_edges(lifecycle)
    show.line()
    show.line(f"{name}: readings, by the provider's status")
    for status, reading in lifecycle["readings"].items():
        proves = f"proves {reading['proves']}; " if reading["proves"] else ""
        show.paragraph(f"{status}: {proves}consistent with {', '.join(reading['consistent']) or 'no state'}", "  ", "  ")
    show.line()


def _states(lifecycle: dict[str, Any]) -> list[tuple[str, ...]]:
    return [
        (
            state["value"],
            ", ".join(kind for kind in _KINDS if state[kind]),
            state["budget"],
            ", ".join(f"{deadline['event']} after {deadline['after']}" for deadline in state["deadlines"]),
        )
        for state in lifecycle["states"]
    ]


def _print_edges(lifecycle: dict[str, Any]) -> None:
    """Each event with its edges below it, and below each its cause and evidence. Edges that differ only in their source are one."""
    for event, edges in groupby(lifecycle["edges"], lambda edge: f"{edge['event']} ({edge['origin']})"):
        show.line(event)
        for (target, reason), alike in groupby(edges, lambda edge: (_describe_target(edge), _describe_reason(edge))):
            show.paragraph(f"{', '.join(edge['source'] for edge in alike)} -> {target}", "  ", "  ")
            show.paragraph(reason, "      ")


def _describe_target(edge: dict[str, Any]) -> str:
    guard = f", if {edge['guard']}" if edge["guard"] else ""
    effects = f", then {', '.join(edge['effects'])}" if edge["effects"] else ""
    return f"{edge['target']}{guard}{effects}"


def _describe_reason(edge: dict[str, Any]) -> str:
    return f"{edge['cause']}; {edge['evidence']['strength']}: {edge['evidence']['page']}"
