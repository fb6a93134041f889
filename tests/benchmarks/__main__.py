"""Run every benchmark, merge the results into build/bench.json and print them.

A missed goal is shown and is no failure: the exit code is 0.
"""

from __future__ import annotations

import gc
import importlib
import json
import sys
from pathlib import Path

HERE = Path(__file__).parent
OUT = HERE.parent.parent / "build" / "bench.json"
FIELDS = ("name", "value", "unit", "ratio", "goal", "ok")


def main() -> None:
    """Run ``bench_<area>.py`` for the areas named on the command line, or for all."""
    asked = sys.argv[1:]
    results: list[dict[str, object]] = []
    for path in sorted(HERE.glob("bench_*.py")):
        area = path.stem.removeprefix("bench_")
        if asked and area not in asked:
            continue
        print(f"running {area} ...", file=sys.stderr)
        area_run = importlib.import_module(f"tests.benchmarks.{path.stem}").run
        gc.collect()
        gc.freeze()  # what other areas left behind is not to be looked through again and again while this one is measured
        results += area_run()
    kept = json.loads(OUT.read_text()) if OUT.exists() else []
    fresh = {result["name"] for result in results}
    merged = [old for old in kept if old["name"] not in fresh] + results if asked else results
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(merged, indent=2) + "\n")
    print_table(results)


def print_table(results: list[dict[str, object]]) -> None:
    """One aligned line a result, then what was missed."""
    rows = [FIELDS[:-1], *(tuple(_cell(result[name]) for name in FIELDS[:-1]) for result in results)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(FIELDS) - 1)]
    marks = ["", *("" if result["ok"] else "  MISSED" for result in results)]
    for row, mark in zip(rows, marks, strict=True):
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() + mark)
    missed = [result["name"] for result in results if not result["ok"]]
    print(f"\n{len(results)} results, {len(missed)} goals missed{': ' + ', '.join(map(str, missed)) if missed else ''}")


def _cell(value: object) -> str:
    return "-" if value is None else f"{value:,.2f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
