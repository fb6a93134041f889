"""``orderflow audit`` as a process: its output, its exit codes, its errors."""

from __future__ import annotations

import gzip
import os
import pty
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

SCRIPT = Path(sys.executable).with_name("orderflow")
WAREHOUSE = f"{Path(__file__).parents[2] / 'kit' / 'audited_warehouse.py'}:Warehouse"
HEADER = "case,status,time\n"
LEGAL = (
    HEADER
    + """a,Processing,2026-11-21T10:00:00Z
b,Processing,2026-11-21T10:00:01Z
a,New,2026-11-21T10:00:02Z
b,Processing,2026-11-21T10:00:03Z
a,Completed,2026-11-21T10:00:04Z
"""
)
WRONG = (
    LEGAL
    + """a,Screening,2026-11-21T10:00:05Z
c,FulfillmentDone,2026-11-21T10:00:05Z
c,New,2026-11-21T10:00:06Z
b,Nwe\x1b[31m,2026-11-21T10:00:07Z
"""
)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log.csv"


def run_with_input(text: bytes, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run ``orderflow audit ARGUMENTS`` with ``text`` on standard input."""
    return subprocess.run([str(SCRIPT), "audit", *arguments], input=text, capture_output=True, timeout=60, check=False)


def join_wrapped(output: str) -> str:
    """The output with wrapped lines joined: they continue with six blanks."""
    return output.replace("\n      ", " ")


def test_a_legal_log(orderflow, log):
    log.write_text(LEGAL)
    ran = orderflow("audit", "ccv", "log.csv")
    assert (ran.code, ran.err) == (0, "")
    assert "ccv: 5 observations of 2 cases" in ran.out
    assert "61 of 132 ordered pairs of statuses (46%)" in ran.out
    assert ["jump", "1", "20.00%"] in [line.split() for line in ran.out.splitlines()]
    assert ["legal", "2", "100.00%"] in [line.split() for line in ran.out.splitlines()]


def test_a_wrong_log_is_explained(orderflow, log):
    log.write_text(WRONG)
    ran = orderflow("audit", "ccv", "log.csv")
    assert ran.code == 1
    assert max(map(len, ran.out.splitlines())) <= 80
    text = join_wrapped(ran.out)
    lines = [line.strip() for line in text.splitlines()]
    worst = lines.index("the wrong cases:")
    assert [line for line in lines[worst:] if line[:3] in ("a: ", "b: ", "c: ")] == ["a: resurrected", "c: illegal", "b: unknown"]
    assert "line 7, 2026-11-21T10:00:05+00:00: resurrected: Screening cannot come after Completed: the order had ended" in lines
    illegal = "illegal: New cannot come after FulfillmentDone: only Completed, Closed, Canceled, Failed can"
    assert f"line 9, 2026-11-21T10:00:06+00:00: {illegal}" in lines
    assert any(
        line.startswith("jump: FulfillmentDone after the start: at least 3 missed; certainly missed: Processing, ") for line in lines
    )
    assert "unknown: 'Nwe?[31m' is not a status of ccv" in text
    assert "\x1b" not in ran.out
    shortened = orderflow("audit", "ccv", "log.csv", "--worst", "1")
    assert "the worst 1 of 3 wrong cases:" in shortened.out
    assert "illegal:" not in shortened.out


def test_json_holds_every_case_and_the_summary(orderflow, log):
    log.write_text(WRONG)
    ran = orderflow("audit", "ccv", "log.csv", "--json")
    assert ran.code == 1
    cases = {case["case"]: case for case in ran.json["cases"]}
    assert {name: case["verdict"] for name, case in cases.items()} == {"a": "resurrected", "b": "unknown", "c": "illegal"}
    assert [step["class"] for step in cases["b"]["steps"]] == ["step", "repeat", "unknown"]
    assert cases["a"]["steps"][1] == {
        "status": "New",
        "class": "jump",
        "certainly_missed": ["Incomplete"],
        "possibly_missed": ["AwaitingPayment", "Screening"],
        "at_least": 1,
    }
    assert cases["a"]["steps"][3] == {"status": "Screening", "class": "resurrected", "line": 7, "time": "2026-11-21T10:00:05+00:00"}
    assert ran.json["summary"] == {
        "lifecycle": "ccv",
        "cases": 3,
        "observations": 9,
        "classes": {"step": 3, "repeat": 1, "jump": 2, "illegal": 1, "resurrected": 1, "unknown": 1},
        "verdicts": {"legal": 0, "unknown": 1, "illegal": 1, "resurrected": 1},
        "power": {"pairs": 132, "refusable": 61, "share": 0.4621},
    }


@pytest.mark.parametrize("options", [(), ("--json",), ("--sort",)])
def test_a_log_without_an_observation_is_no_success(orderflow, log, options):
    log.write_text(HEADER)
    ran = orderflow("audit", "ccv", "log.csv", *options)
    assert (ran.code, ran.out) == (2, "")
    assert "log.csv: holds no observation" in ran.err


def test_connect_is_checked_by_its_readings(orderflow, log):
    log.write_text(HEADER + "1,preliminary,1\n1,preliminary,2\n1,fulfilled,3\n2,DONE,1\n2,preliminary,2\n")
    ran = orderflow("audit", "connect", "log.csv", "--json")
    assert {case["case"]: case["verdict"] for case in ran.json["cases"]} == {"1": "legal", "2": "unknown"}
    ran = orderflow("audit", "connect", "log.csv", "--json", "--means", "DONE=fulfilled")
    assert {case["case"]: case["verdict"] for case in ran.json["cases"]} == {"1": "legal", "2": "illegal"}
    output = orderflow("audit", "connect", "log.csv", "--means", "DONE=fulfilled").out
    assert "preliminary cannot come after fulfilled: nothing can" in join_wrapped(output)


def test_a_lifecycle_of_the_users_own(orderflow, log):
    log.write_text(HEADER + "1,in house,1\n1,waiting,2\n1,in house,3\n2,packed,1\n2,waiting,2\n2,in house,3\n")
    ran = orderflow("audit", WAREHOUSE, "log.csv")
    assert ran.code == 1
    assert "in house cannot come after waiting here: earlier statuses rule it out" in join_wrapped(ran.out)
    assert orderflow("audit", WAREHOUSE, "log.csv", "--fact", "abroad=false", "--json").json["summary"]["verdicts"]["illegal"] == 1
    for arguments in (("--fact", "abroad=maybe"), ("--fact", "searched=no"), ("--fact", "abroad"), ("--means", "x")):
        refused = orderflow("audit", WAREHOUSE, "log.csv", *arguments)
        assert (refused.code, refused.out) == (2, "")


def test_a_journal_of_states(orderflow, log):
    log.write_text(HEADER + "1,drafted,1\n1,registering,2\n1,confirming,3\n1,paid,4\n")
    summary = orderflow("audit", "connect", "log.csv", "--states", "--json").json["summary"]
    assert (summary["classes"]["step"], summary["classes"]["jump"]) == (3, 1)
    assert orderflow("audit", "connect", "log.csv").code == 1


def test_a_missed_recovery(orderflow, log):
    log.write_text(HEADER + "1,New,1\n1,Screening,2\n")
    assert orderflow("audit", "ccv", "log.csv").code == 1
    assert orderflow("audit", "ccv", "log.csv", "--missed-recovery").code == 0


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_standard_input(pack):
    ran = run_with_input(pack(LEGAL.encode()), "ccv", "-", "--format", "csv", "--json")
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert b'"observations": 5' in ran.stdout
    assert run_with_input(b"", "ccv", "-").returncode == 2


def test_columns_are_chosen(orderflow, tmp_path):
    lines = [line.split(",") for line in LEGAL.splitlines()[1:]]
    rows = [f'{{"order": "{case}", "word": "{status}", "at": "{at}"}}\n' for case, status, at in lines]
    (tmp_path / "log.jsonl").write_text("".join(rows))
    columns = ("--case", "order", "--status", "word", "--time", "at")
    assert orderflow("audit", "ccv", "log.jsonl", *columns, "--json").json["summary"]["observations"] == 5
    refused = orderflow("audit", "ccv", "log.jsonl")
    assert (refused.code, refused.out, refused.err) == (2, "", "orderflow: log.jsonl, line 1: no case\n")


@pytest.mark.parametrize("output", [(), ("--json",)])
@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("a,New\n", "2 cells, the header has 3"),
        ("a,New,soon\n", "time is neither ISO 8601 nor epoch seconds: 'soon'"),
        (",New,1\n", "no case"),
    ],
)
def test_a_malformed_row_is_one_line_on_stderr(orderflow, log, row, reason, output):
    log.write_text(WRONG + row)
    ran = orderflow("audit", "ccv", "log.csv", *output)
    assert (ran.code, ran.out, ran.err) == (2, "", f"orderflow: log.csv, line 11: {reason}\n")


def test_rows_out_of_order_are_refused_or_sorted(orderflow, log):
    header, *rows = LEGAL.splitlines(keepends=True)
    log.write_text(header + "".join(reversed(rows)))
    ran = orderflow("audit", "ccv", "log.csv")
    assert (ran.code, ran.out) == (2, "")
    assert "line 4: case 'a' goes back in time: sort the log (--sort)" in ran.err
    assert orderflow("audit", "ccv", "log.csv", "--sort").code == 0


def test_a_file_or_lifecycle_that_does_not_exist(orderflow, log):
    assert orderflow("audit", "ccv", "none.csv").code == 3
    log.write_text(LEGAL)
    assert orderflow("audit", "nonesuch", "log.csv").code == 3


def test_a_terminal_shows_a_progress_bar_after_a_second():
    terminal, stderr = pty.openpty()
    shown: list[bytes] = []

    def read_terminal() -> None:
        while True:
            try:
                shown.append(os.read(terminal, 4096))
            except OSError:  # the other end is closed
                return

    reader = threading.Thread(target=read_terminal)
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    command = [str(SCRIPT), "audit", "ccv", "-", "--format", "csv"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, env=env) as process:
        os.close(stderr)
        reader.start()
        assert process.stdin
        assert process.stdout
        rows = ("".join(f"{n},New,1\n" for n in range(10_000))).encode()
        process.stdin.write(HEADER.encode() + rows)
        process.stdin.flush()
        begun = time.monotonic()
        while not any(b"reading" in piece for piece in shown) and time.monotonic() - begun < 30:
            time.sleep(0.2)  # the log comes slowly
            process.stdin.write(rows)
            process.stdin.flush()
        process.stdin.close()
        assert b"cases" in process.stdout.read()
    reader.join()
    os.close(terminal)
    assert process.returncode == 0
    assert time.monotonic() - begun > 0.8
    assert b"rows" in b"".join(shown)
