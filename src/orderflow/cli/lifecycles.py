"""The commands about declarations: ``check``, ``diagram``, ``lifecycles``. They read tables and run no order."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from attrs import asdict
from cyclopts import Parameter

from orderflow.analysis.check import Report, check_sketches
from orderflow.analysis.check import check as checked
from orderflow.analysis.model_checking import PropertyResult
from orderflow.cli import finding, show
from orderflow.cli.exits import Exit
from orderflow.diagrams import describe, stale, write
from orderflow.errors import DeclarationError

Name = Annotated[str | None, Parameter(name="NAME", help="A lifecycle's name, module:Class or file.py:Class; all lifecycles if absent.")]
Json = Annotated[bool, Parameter(name="--json", negative="", help="One JSON document instead of a table.")]


def check(name: Name = None, /, *, as_json: Json = False) -> Exit:
    """Check lifecycles: every rule of the declaration, what only a walk over all states and facts can show, and every property.

    A property that holds is shown with a path on which it matters, and with the weakest
    evidence that it needs. A guard that is no function of the declared facts cannot be enumerated: what
    hangs on it is unchecked, never passed. A declaration that cannot even be imported is a problem like
    any other. Exit code 1 if there are problems, or anything is unchecked.
    """
    reports = [_report(each) for each in _names(name)]
    if as_json:
        show.document(reports)
    else:
        _print_reports(reports)
    return Exit.FAILED if any(report["problems"] for report in reports) else Exit.OK


def _names(name: str | None) -> tuple[str, ...]:
    return finding.names() if name is None else (name,)


def _report(name: str) -> dict[str, Any]:
    try:
        report = checked(finding.find(name))
    except DeclarationError as error:
        declared = [asdict(problem) for problem in error.problems]
        if not error.sketches:
            return {"lifecycle": error.lifecycle, "problems": declared, "figures": {}, "properties": []}
        described = _describe(check_sketches(*error.sketches))
        rest = [problem for problem in described["problems"] if problem["rule"] != "guard-unresolved"]
        return described | {"problems": declared + rest}
    return _describe(report)


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
        show.line(f"{report['lifecycle']}: {verdict}" + (f" ({figures})" if figures else ""))
    promised = [
        (report["lifecycle"], each["property"], each["verdict"], each["leans_on"], " > ".join(step.split(":")[0] for step in each["path"]))
        for report in reports
        for each in report["properties"]
    ]
    if promised:
        show.table(("lifecycle", "property", "verdict", "leans on", "path"), promised)
    rows = [
        (report["lifecycle"], problem["rule"], problem["where"], _explain(problem)) for report in reports for problem in report["problems"]
    ]
    if rows:
        show.table(("lifecycle", "rule", "where", "explanation"), rows)


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
        Parameter(help="Only this; mermaid, table and svg if absent."),
    ] = None,
    out: Annotated[Path, Parameter(help="The directory of the files.")] = Path("diagrams"),
    check: Annotated[bool, Parameter(negative="", help="Write nothing; name what is stale, and exit with 6.")] = False,
) -> Exit:
    """Draw lifecycles as files. --check needs no extra: text is compared byte for byte, svg and png by the table they name."""
    tables = [finding.find(each) for each in _names(name)]
    formats = (format,) if format else ()
    if not check:
        for path in write(tables, out, formats):
            show.line(f"{path} written")
        return Exit.OK
    found = stale(tables, out, formats, complete=name is None)
    for each in found:
        show.line(f"{out / each}")
    if not found:
        show.line(f"{out}: fresh")
    return Exit.STALE if found else Exit.OK


def lifecycles(name: Name = None, /, *, as_json: Json = False) -> Exit:
    """Print lifecycles: their states, and every edge with its origin, guard, effects, cause and evidence."""
    described = [describe(finding.find(each)) for each in _names(name)]
    if as_json:
        show.document(described)
        return Exit.OK
    for each in described:
        show.table(("state", "kind", "deadlines", "stuck after"), _states(each), title=f"{each['lifecycle']}: states")
        show.line("")
        head = ("event", "origin", "source", "target", "guard", "effects", "cause", "evidence")
        show.table(head, _edges(each), title=f"{each['lifecycle']}: edges")
        show.line("")
    return Exit.OK


def _states(described: dict[str, Any]) -> list[tuple[str, ...]]:
    flags = ("initial", "final", "provisional", "proven", "assumed")
    return [
        (
            state["value"],
            ", ".join(flag for flag in flags if state[flag]),
            ", ".join(f"{deadline['event']} after {deadline['after']}" for deadline in state["deadlines"]),
            state["budget"],
        )
        for state in described["states"]
    ]


def _edges(described: dict[str, Any]) -> list[tuple[str, ...]]:
    return [
        (
            edge["event"],
            edge["origin"],
            edge["source"],
            edge["target"],
            edge["guard"],
            ", ".join(edge["effects"]),
            edge["cause"],
            f"{edge['evidence']['strength']}: {edge['evidence']['page']}",
        )
        for edge in described["edges"]
    ]
