"""Reading logs: every format gives the same rows, and an error about a malformed row names its line."""

from __future__ import annotations

import gzip
import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.kit.logs import make_log, write_csv, write_xes

from orderflow._analysis.audit import Columns, LogFile
from orderflow._lifecycle.table import Table
from orderflow.errors import InvalidInput, UnknownName

HEADER = b"case,status,time\n"
GOOD = b"a,New,2026-11-21T10:00:00Z\n"
TRACE = b'<log><trace><string key="concept:name" value="a"/>'
EVENT = b'<event><string key="concept:name" value="New"/><date key="time:timestamp" value="2026-11-21T10:00:00Z"/></event>'


def read_rows(path: Path, columns: Columns | None = None) -> list[tuple[str, str, datetime]]:
    with LogFile(str(path)) as log:
        return [row[1:] for row in log.read_rows(columns)]


@pytest.mark.parametrize("zipped", [False, True])
def test_every_format_gives_the_same_rows(ccv: Table, tmp_path: Path, zipped: bool) -> None:
    log = sorted(make_log(ccv, 50), key=lambda row: row[1])
    expected = [row[1:] for row in log]
    lines = [json.dumps({"case": case, "status": status, "time": at.isoformat()}) for case, status, at in expected]
    (tmp_path / "log.jsonl").write_text("\n".join(lines))
    paths = [write_csv(tmp_path / "log.csv", log), tmp_path / "log.jsonl", write_xes(tmp_path / "log.xes", log)]
    for path in paths:
        if zipped:
            path.write_bytes(gzip.compress(path.read_bytes()))
        assert read_rows(path) == expected, path


def test_reads_an_xes_log_of_100_000_events(ccv: Table, tmp_path: Path) -> None:
    log = make_log(ccv, 50_000)
    assert len(log) > 100_000
    rows = read_rows(write_xes(tmp_path / "large.xes", log))
    assert sorted(rows) == sorted(row[1:] for row in log)


def test_columns_may_have_other_names_and_another_delimiter(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    at = datetime(2026, 11, 21, 10, tzinfo=UTC)
    path.write_bytes(b'\xef\xbb\xbfwhen;"order no";what;else\r\n2026-11-21 10:00;"a;1";New;\r\n\r\n1795255200;\xc3\xa5;"Ne""w";\r\n')
    assert read_rows(path, Columns("order no", "what", "when")) == [("a;1", "New", at), ("å", 'Ne"w', at)]


def test_times_are_iso_8601_or_epoch_seconds(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    times = ["2026-11-21T10:00:00Z", "2026-11-21T11:00:00+01:00", "2026-11-21T10:00:00", 1795255200, 1795255200.0, "1795255200"]
    path.write_text("\n".join(json.dumps({"case": 7, "status": "New", "time": time}) for time in times))
    assert set(read_rows(path)) == {("7", "New", datetime(2026, 11, 21, 10, tzinfo=UTC))}


def test_reports_its_progress(ccv: Table, tmp_path: Path) -> None:
    with LogFile(str(write_csv(tmp_path / "log.csv", make_log(ccv, 5_000)))) as log:
        at_start, rows = log.progress, log.read_rows()
        next(rows)
        assert 0 < (at_start or 0) <= (log.progress or 0) < 1
        assert sum(1 for _ in rows)
        assert log.progress == 1


MALFORMED = {
    "empty.csv": (b"", "line 1: no header"),
    "no-column.csv": (b"case,state,time\n", "line 1: no column 'status'"),
    "two-columns.csv": (b"case,status,time,case\n", "line 1: two columns 'case'"),
    "header-not-utf8.csv": (b"c\xffse,status,time\n", "line 1: the header is not CSV in UTF-8"),
    "short.csv": (HEADER + GOOD + b"a,New\n", "line 3: 2 cells, the header has 3"),
    "long.csv": (HEADER + GOOD + b"a,New,2026-11-21,x\n", "line 3: 4 cells"),
    "no-case.csv": (HEADER + b",New,2026-11-21\n", "line 2: no case"),
    "no-status.csv": (HEADER + b"a,,2026-11-21\n", "line 2: no status"),
    "no-time.csv": (HEADER + b"a,New,\n", "line 2: time is neither"),
    "bad-time.csv": (HEADER + GOOD + b"a,New,2026-13-21\n", "line 3: time is neither ISO 8601 nor epoch seconds: '2026-13-21'"),
    "word-time.csv": (HEADER + b"a,New,soon\n", "line 2: time is neither"),
    "nan-time.csv": (HEADER + b"a,New,nan\n", "line 2: time is neither"),
    "far-time.csv": (HEADER + b"a,New,1e300\n", "line 2: time is neither"),
    "not-utf8.csv": (HEADER + GOOD + b"a,\xff,2026-11-21\n" + GOOD, "line 3: is not UTF-8"),
    "open-quote.csv": (HEADER + GOOD + b'"a,New,2026-11-21\n', "is not CSV: unexpected end of data"),
    "stray-quote.csv": (HEADER + b'"a"b,New,2026-11-21\n', "line 2: is not CSV"),
    "huge-cell.csv": (HEADER + b"a" * 200_000 + b",New,2026-11-21\n", "line 2: is not CSV: field larger"),
    "not-json.jsonl": (b'\n{"case": 1}x\n', "line 2: is not JSON"),
    "list.jsonl": (b"[1]", "line 1: is not a JSON object"),
    "deep.jsonl": (b"[" * 100_000, "line 1: is not JSON"),
    "no-key.jsonl": (b'{"case": "a", "time": 1}', "line 1: no status"),
    "null.jsonl": (b'{"case": null, "status": "New", "time": 1}', "line 1: no case"),
    "bool.jsonl": (b'{"case": "a", "status": true, "time": 1}', "line 1: status is neither text nor a number"),
    "object.jsonl": (b'{"case": {}, "status": "New", "time": 1}', "line 1: case is neither text nor a number"),
    "bad-time.jsonl": (b'{"case": "a", "status": "New", "time": NaN}', "line 1: time is neither"),
    "half-pair.jsonl": (b'{"case": "\\ud800", "status": "New", "time": 1}', "line 1: case holds half a surrogate pair"),
    "not-utf8.jsonl": (b'{"case": "\xff", "status": "New", "time": 1}', "line 1: is not JSON"),
    "empty.xes": (b"", "is not XML: no element found"),
    "text.xes": (b"case,status\n", "line 1: is not XML"),
    "other.xes": (b"<html/>", "line 1: is not XES: it starts with <html>"),
    "cut.xes": (TRACE + b"\n" + EVENT, "line 2: is not XML: no element found"),
    "unclosed.xes": (b"<log>\n<trace></log>", "line 2: is not XML: mismatched tag"),
    "no-trace.xes": (b"<log>\n" + EVENT + b"</log>", "line 2: an event outside a trace has no case"),
    "no-case.xes": (b"<log><trace>\n" + EVENT + b"</trace></log>", "line 2: a trace without concept:name"),
    "no-status.xes": (TRACE + b"\n<event/></trace></log>", "line 2: an event without concept:name"),
    "no-time.xes": (TRACE + EVENT.replace(b"time:timestamp", b"time") + b"</trace></log>", "line 1: an event without time:timestamp"),
    "bad-time.xes": (TRACE + EVENT.replace(b"2026", b"soon") + b"</trace></log>", "line 1: time:timestamp is no ISO 8601 time"),
    "entities.xes": (b'<!DOCTYPE log [<!ENTITY a "b">]>\n<log/>', "line 1: a document type is not read"),
    "cut.csv.gz": (gzip.compress(HEADER + GOOD * 1000)[:-20], "is not a whole gzip file"),
    "bad.csv.gz": (gzip.compress(HEADER + GOOD * 1000)[:20] + b"x" * 40, "is not a whole gzip file"),
    "log.txt": (b"", "--format: is needed (csv, jsonl or xes): the suffix of"),
}


def test_the_prefix_of_a_namespace_changes_nothing(tmp_path: Path) -> None:
    plain = TRACE + EVENT + b"</trace></log>"
    (tmp_path / "plain.xes").write_bytes(plain)
    (tmp_path / "prefixed.xes").write_bytes(re.sub(rb"<(/?)(?=[a-z])", rb"<\1xes:", plain))
    assert read_rows(tmp_path / "prefixed.xes") == read_rows(tmp_path / "plain.xes") != []


@pytest.mark.parametrize("name", MALFORMED)
def test_an_error_about_a_malformed_log_names_the_line(tmp_path: Path, name: str) -> None:
    content, reason = MALFORMED[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidInput) as refused:
        read_rows(tmp_path / name)
    assert reason in str(refused.value)


def test_a_path_that_is_not_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="unknown file"):
        LogFile(str(tmp_path / "none.csv"))
    with pytest.raises(InvalidInput, match="is a directory"):
        LogFile(str(tmp_path), "csv")
