"""The placement of a drawing: the best of several arrangements. Pure, except for the layout that is passed in; knows no format.

Graphviz returns coordinates only (``graphviz``). Several arrangements are laid out, and those with the lowest cost are improved:

* Their blocked labels move to better spots (``labels``).
* They are laid out again with more space for the labels that are still blocked.

The picture with the lowest cost is the result (``geometry.compute_cost``). If it has a fault, or is too wide for a page, more
arrangements are tried, and more of them are improved.

A drawing with many arrows gets fewer arrangements, and one with very many no Graphviz at all (``grid``): the work stays bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from orderflow._diagrams.drawing import Drawing
from orderflow._diagrams.geometry import Placement, compute_cost, count_faults
from orderflow._diagrams.graphviz import LabelLines, build_graph, read_answer
from orderflow._diagrams.grid import place_on_grid
from orderflow._diagrams.labels import break_label, find_blocked, get_text_box, move_labels, place_titles
from orderflow._diagrams.layout import Layout

_BATCH_SIZE, _BATCHES = 8, 3  # arrangements tried
_FINALISTS = 2  # arrangements of each batch that are improved
_REPAIRS = 2  # layouts with more space for labels
_PAGE_WIDTH = 1100.0  # on a page of 830 px, letters of 12 px are then at least 9 px high
_MANY_ARROWS = 60  # from here on, one arrangement is laid out and not improved
_VERY_MANY_ARROWS = 120  # from here on, Graphviz would take minutes
_CACHE: dict[tuple[object, ...], Placement] = {}
_CACHE_SIZE = 8


def place_drawing(drawing: Drawing, layout: Layout) -> Placement:
    """Return the placement of a drawing. The same drawing and layout give the same numbers.

    Raises:
        ConfigurationError: the layout is not available.
    """
    lines = {n: break_label(arrow) for n, arrow in enumerate(drawing.arrows)}
    key = (layout, build_graph(drawing, lines, 0, frozenset()), drawing.nodes, drawing.groups, tuple(lines.values()))
    if key not in _CACHE:  # svg and png of one drawing follow each other
        placement = place_titles(drawing, _choose_best(drawing, lines, layout))
        while len(_CACHE) >= _CACHE_SIZE:
            del _CACHE[next(iter(_CACHE))]
        _CACHE[key] = placement
    return _CACHE[key]


def clear_cache() -> None:
    """Forget all placements, so that a benchmark can measure them again."""
    _CACHE.clear()


def _choose_best(drawing: Drawing, lines: LabelLines, layout: Layout) -> Placement:
    """The placement with the lowest cost, without titles.

    Tries batches until the best placement has no faults and fits on a page. If the last batch leaves a serious fault, the other
    arrangements are improved too, one by one.
    """

    def lay_out(arrangement: int, wide: frozenset[int]) -> Placement:
        return read_answer(drawing, lines, layout(build_graph(drawing, lines, arrangement, wide)), wide)

    if len(drawing.arrows) > _VERY_MANY_ARROWS:
        return place_on_grid(drawing, lines)
    if len(drawing.arrows) > _MANY_ARROWS:
        return lay_out(0, frozenset())
    candidates: list[Placement] = []
    others: dict[int, Placement] = {}
    for batch in range(_BATCHES):
        raw = {n: lay_out(n, frozenset()) for n in range(batch * _BATCH_SIZE, (batch + 1) * _BATCH_SIZE)}
        ranked = sorted(raw, key=lambda n: _compute_cost(raw[n]))
        for n in ranked[:_FINALISTS]:
            candidates += _improve(raw[n], partial(lay_out, n))
        best = min(candidates, key=_compute_cost)
        if best.width < _PAGE_WIDTH and not count_faults(best, get_text_box):
            return best
        others.update((n, raw[n]) for n in ranked[_FINALISTS:])
    best = min(candidates, key=_compute_cost)
    for n, placement in others.items():
        if not count_faults(best, get_text_box, serious_only=True):
            break
        best = min([best, *_improve(placement, partial(lay_out, n))], key=_compute_cost)
    return best


def _improve(raw: Placement, lay_out: Callable[[frozenset[int]], Placement]) -> Iterator[Placement]:
    """An arrangement with its labels moved; then the same, laid out with more space for the labels that are still blocked."""
    wide: frozenset[int] = frozenset()
    for _ in range(_REPAIRS):
        moved = move_labels(raw)
        yield moved
        blocked = find_blocked(moved)
        if blocked <= wide:
            return
        wide |= blocked
        raw = lay_out(wide)
    yield move_labels(raw)


def _compute_cost(placement: Placement) -> float:
    return compute_cost(placement, get_text_box)
