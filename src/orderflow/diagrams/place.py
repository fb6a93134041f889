"""Where everything of a picture stands: the best of a few arrangements. Knows no format that is drawn.

Graphviz only gives coordinates (``graph``). Of the arrangements it is asked for, the most promising have their labels moved out of
the way (``labels``), and are asked for again with more room for labels that find none; the cheapest picture (``geometry.cost``) is
it. As long as that has a fault, more are asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from orderflow.diagrams.geometry import Placed, cost, faults
from orderflow.diagrams.graph import Lines, read, told
from orderflow.diagrams.labels import cleared, inked, label_lines, titled, troubled
from orderflow.diagrams.layout import Layout
from orderflow.diagrams.model import Drawing

_BATCH, _BATCHES = 8, 3  # arrangements tried
_FINALISTS, _REPAIRS = 2, 2
_LATEST: dict[tuple[object, ...], Placed] = {}
_REMEMBERED = 8


def place(drawing: Drawing, layout: Layout) -> Placed:
    """Lay a drawing out: the best of a few arrangements. The same drawing and layout give the same numbers.

    Raises:
        ConfigurationError: the layout is not there.
    """
    lines = {n: label_lines(arrow) for n, arrow in enumerate(drawing.arrows)}
    key = (layout, told(drawing, lines, 0, frozenset()), drawing.nodes, drawing.groups, tuple(lines.values()))
    if key not in _LATEST:  # svg and png of one drawing follow each other
        found = titled(drawing, _best(drawing, lines, layout))
        while len(_LATEST) >= _REMEMBERED:
            del _LATEST[next(iter(_LATEST))]
        _LATEST[key] = found
    return _LATEST[key]


def _best(drawing: Drawing, lines: Lines, layout: Layout) -> Placed:
    """The best of some arrangements; of more, as long as the best of them has a fault."""

    def laid(arrangement: int, tight: frozenset[int]) -> Placed:
        return read(drawing, lines, layout(told(drawing, lines, arrangement, tight)), tight)

    found: list[Placed] = []
    for batch in range(_BATCHES):
        raw = {n: laid(n, frozenset()) for n in range(batch * _BATCH, (batch + 1) * _BATCH)}
        for n in sorted(raw, key=lambda n: _cost(raw[n]))[:_FINALISTS]:
            found += _repaired(raw[n], partial(laid, n))
        if not faults(min(found, key=_cost), inked):
            break
    return min(found, key=_cost)


def _repaired(raw: Placed, laid: Callable[[frozenset[int]], Placed]) -> Iterator[Placed]:
    """An arrangement with its labels moved out of the way, and laid out again with more room for those that find none."""
    tight: frozenset[int] = frozenset()
    for _ in range(_REPAIRS):
        yield (best := cleared(raw))
        if tight >= (tighter := tight | troubled(best)):
            return
        tight = tighter
        raw = laid(tight)
    yield cleared(raw)


def _cost(placed: Placed) -> float:
    return cost(placed, inked)


def forget() -> None:
    """Lay every drawing out anew, for whoever measures it."""
    _LATEST.clear()
