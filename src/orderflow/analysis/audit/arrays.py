"""Logs that are already numbers: sorted arrays of cases and status codes. Fast with numpy (the extra ``audit``), right without.

Where the judge is about pairs of neighbours only (CCV: every status is one state), a log is one look-up in a table of
classes per observation; where it is not, or without numpy, the judge's own moves are walked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from orderflow.analysis.audit.judge import WRONG, Class, Judge
from orderflow.errors import InvalidInput

_PIECE = 1 << 16  # observations at a time: what fits a processor's cache


@frozen
class Tally:
    """The observations per class, and the places of the wrong ones."""

    classes: Mapping[Class, int]
    wrong: Sequence[int]


def codes(judge: Judge) -> dict[str, int]:
    """The code of every status; whatever is no status has the code ``len(judge.words)``."""
    return dict(judge.index)


def tally(judge: Judge, cases: Any, statuses: Any) -> Tally:
    """Judge observations given as two sequences of ints: each one's case, and its status's code.

    A case's observations are neighbours, in the order of time. numpy arrays are taken as they are.

    Raises:
        InvalidInput: the sequences differ in length, or a code is out of range.
    """
    if len(cases) != len(statuses):
        raise InvalidInput("statuses", f"{len(statuses)} codes for {len(cases)} cases")
    try:
        import numpy as np  # noqa: PLC0415 - an extra
    except ImportError:
        return _walked(judge, cases, statuses)
    pairs = judge.pairs()
    if pairs is None:
        return _walked(judge, cases, statuses)
    return _looked_up(np, judge, pairs, np.asarray(cases), np.asarray(statuses))


def _walked(judge: Judge, cases: Sequence[int], statuses: Sequence[int]) -> Tally:
    words = (*judge.words, "")  # "" is no status
    counts = dict.fromkeys(Class, 0)
    wrong = []
    last, before = "", None
    for place, (case, code) in enumerate(zip(cases, statuses, strict=True)):
        if not 0 <= code < len(words):
            raise InvalidInput("statuses", f"code {code} at {place} is not in 0..{len(words) - 1}")
        last = judge.move("" if case != before else last, words[code])
        before = case
        kind = judge.kinds[last]
        counts[kind] += 1
        if kind in WRONG:
            wrong.append(place)
    return Tally(counts, wrong)


def _looked_up(np: Any, judge: Judge, pairs: tuple[tuple[Class, ...], ...], cases: Any, statuses: Any) -> Tally:
    start, counts, wrong = len(judge.words), dict.fromkeys(Class, 0), []
    if len(statuses) and not 0 <= int(statuses.min()) <= int(statuses.max()) <= start:
        raise InvalidInput("statuses", f"a code is not in 0..{start}")
    places = None
    if len(statuses) and int(statuses.max()) == start:  # an unknown status changes nothing: judge what remains
        known = statuses != start
        wrong.append(np.flatnonzero(~known))
        counts[Class.UNKNOWN] = len(wrong[0])
        places = np.flatnonzero(known)
        cases, statuses = cases[places], statuses[places]
    kinds = list(Class)
    width = max(1, start)
    table = np.array([kinds.index(kind) for row in pairs for kind in row], dtype=np.uint8)
    refused = np.array([kind in WRONG for row in pairs for kind in row])
    narrow = np.uint8 if table.size <= 1 << 8 else np.uint16 if table.size <= 1 << 16 else np.int64
    statuses = statuses.astype(narrow, copy=False)
    histogram = np.zeros(table.size, dtype=np.int64)
    for begin in range(0, len(statuses), _PIECE):
        now = statuses[begin : begin + _PIECE]
        pair = _before(np, cases, statuses, begin, start)
        pair *= narrow(width)
        pair += now
        found = np.bincount(pair, minlength=table.size)
        histogram += found
        if found[refused].any():
            bad = np.flatnonzero(refused[pair]) + begin
            wrong.append(bad if places is None else places[bad])
    for kind, count in zip(kinds, np.bincount(table, weights=histogram, minlength=len(kinds)), strict=True):
        counts[kind] += int(count)
    return Tally(counts, np.sort(np.concatenate(wrong)).tolist() if wrong else [])


def _before(np: Any, cases: Any, statuses: Any, begin: int, start: int) -> Any:
    """The status before each observation of a piece; ``start`` where a case begins."""
    end = min(begin + _PIECE, len(statuses))
    before = np.empty(end - begin, dtype=statuses.dtype)
    before[0] = start if begin == 0 or cases[begin] != cases[begin - 1] else statuses[begin - 1]
    before[1:] = statuses[begin : end - 1]
    before[1:][cases[begin + 1 : end] != cases[begin : end - 1]] = start
    return before
