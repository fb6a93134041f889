"""The fast path for logs that are already numbers: two sequences of ints, the cases and the status codes.

In many lifecycles only the status before decides what a status is (CCV: every status is one state). Then numpy (the extra ``audit``)
looks each observation up in a table of pairs. Otherwise, or without numpy, a loop runs the automaton.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from orderflow._analysis.audit.automaton import NO_STATUS, WRONG, Classification, Node
from orderflow._analysis.audit.checker import CaseChecker
from orderflow.errors import InvalidInput

_CHUNK = 1 << 16  # observations at a time: as many as fit into a processor's cache


@frozen
class ArrayResult:
    """How many observations there are of each classification, and the places of the wrong ones."""

    counts: Mapping[Classification, int]
    wrong: Sequence[int]


def check_arrays(checker: CaseChecker, cases: Any, statuses: Any) -> ArrayResult:
    """Check observations given as two sequences of ints (numpy arrays are not copied): their cases and their status codes.

    The observations of a case are neighbours, in the order of time. The codes are those of ``checker.codes``; a word that is not a
    status has the code ``len(checker.statuses)``.

    Raises:
        InvalidInput: the sequences differ in length, or a code is out of range.
    """
    if len(cases) != len(statuses):
        raise InvalidInput("statuses", f"{len(statuses)} codes for {len(cases)} cases")
    try:
        import numpy as np  # noqa: PLC0415 - an extra
    except ImportError:
        return _run_automaton(checker, cases, statuses)
    pairs = build_pair_table(checker)
    if pairs is None:
        return _run_automaton(checker, cases, statuses)
    return _look_up_pairs(np, pairs, np.asarray(cases), np.asarray(statuses))


def build_pair_table(checker: CaseChecker) -> Sequence[Sequence[Classification]] | None:
    """Return the classification of each status (column) after each status (row; the last row: as the first one of a case).

    Return None if more than the status before counts: then a status does not always lead to the same node.
    """
    targets: dict[int, Node] = {}
    rows: dict[Node, tuple[Classification, ...]] = {}
    start = checker.automaton.start
    todo = [start]
    while todo:
        node = todo.pop()
        transitions = [checker.automaton.get_transition(node, code) for code in range(len(checker.statuses))]
        rows[node] = tuple(transition.classification for transition in transitions)
        for transition in transitions:
            if targets.setdefault(transition.status, transition.target) is not transition.target:
                return None
            if transition.target not in rows and transition.target not in todo:
                todo.append(transition.target)
    return (*(rows[targets[code]] for code in range(len(checker.statuses))), rows[start])


def _run_automaton(checker: CaseChecker, cases: Sequence[int], statuses: Sequence[int]) -> ArrayResult:
    automaton, unknown = checker.automaton, len(checker.statuses)
    counts = dict.fromkeys(Classification, 0)
    wrong = []
    node, previous_case = automaton.start, None
    for place, (case, code) in enumerate(zip(cases, statuses, strict=True)):
        if not 0 <= code <= unknown:
            raise InvalidInput("statuses", f"code {code} at {place} is not in 0..{unknown}")
        if case != previous_case:
            node, previous_case = automaton.start, case
        transition = automaton.get_transition(node, NO_STATUS if code == unknown else int(code))
        node = transition.target
        counts[transition.classification] += 1
        if transition.wrong:
            wrong.append(place)
    return ArrayResult(counts, wrong)


def _look_up_pairs(np: Any, pairs: Sequence[Sequence[Classification]], cases: Any, statuses: Any) -> ArrayResult:
    unknown_code = len(pairs) - 1
    lowest, highest = (int(statuses.min()), int(statuses.max())) if len(statuses) else (0, 0)
    if not 0 <= lowest <= highest <= unknown_code:
        raise InvalidInput("statuses", f"a code is not in 0..{unknown_code}")
    counts = dict.fromkeys(Classification, 0)
    if highest < unknown_code:
        histogram, wrong = _count_pairs(np, pairs, cases, statuses)
    else:  # a word that is not a status changes nothing: check the rest without it
        unknown, known = np.flatnonzero(statuses == unknown_code), np.flatnonzero(statuses != unknown_code)
        histogram, wrong = _count_pairs(np, pairs, cases[known], statuses[known])
        counts[Classification.UNKNOWN] = len(unknown)
        wrong = np.sort(np.concatenate([known[wrong], unknown]))
    for classification, count in zip((cell for row in pairs for cell in row), histogram.tolist(), strict=True):
        counts[classification] += count
    return ArrayResult(counts, wrong.tolist())


def _count_pairs(np: Any, pairs: Sequence[Sequence[Classification]], cases: Any, statuses: Any) -> tuple[Any, Any]:
    """How often each pair occurs (the table's cells, row by row), and the places of the wrong observations."""
    cell_is_wrong = np.array([cell in WRONG for row in pairs for cell in row], dtype=bool)
    size, width = cell_is_wrong.size, len(pairs) - 1
    narrowest = np.uint8 if size <= 1 << 8 else np.uint16 if size <= 1 << 16 else np.int64
    statuses = statuses.astype(narrowest, copy=False)
    histogram, wrong = np.zeros(size, dtype=np.int64), [np.zeros(0, dtype=np.int64)]
    for begin in range(0, len(statuses), _CHUNK):
        cells = _find_previous(np, cases, statuses, begin, width)
        cells *= narrowest(width)
        cells += statuses[begin : begin + _CHUNK]
        counts = np.bincount(cells, minlength=size)
        histogram += counts
        if counts[cell_is_wrong].any():
            wrong.append(np.flatnonzero(cell_is_wrong[cells]) + begin)
    return histogram, np.concatenate(wrong)


def _find_previous(np: Any, cases: Any, statuses: Any, begin: int, none: int) -> Any:
    """The status before each observation of a chunk; ``none`` where a case begins."""
    end = min(begin + _CHUNK, len(statuses))
    previous = np.empty(end - begin, dtype=statuses.dtype)
    previous[0] = none if begin == 0 or cases[begin] != cases[begin - 1] else statuses[begin - 1]
    previous[1:] = statuses[begin : end - 1]
    previous[1:][cases[begin + 1 : end] != cases[begin : end - 1]] = none
    return previous
