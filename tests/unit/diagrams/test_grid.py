"""Drawings with very many arrows: every format is made in bounded work, without Graphviz, and nothing is missing."""

from __future__ import annotations

import pytest
from tests.kit.counted import count_calls
from tests.kit.lifecycle_fixtures import declare
from tests.kit.wide import FLAGS, many_states

from orderflow._diagrams.formats import FORMATS
from orderflow._diagrams.geometry import Box, contains, overlaps
from orderflow._diagrams.place import place_drawing
from orderflow.diagrams import build_drawing, render
from orderflow.errors import ConfigurationError

__all__ = ["declare"]

PROMPT = 20_000_000
FORTY = "\n".join(f"f{n} = Flag()" for n in range(FLAGS))


def no_layout(_dot: str):
    raise ConfigurationError("Graphviz is not asked")


@pytest.mark.parametrize("forward_only", [True, False])
def test_every_arrow_and_state_has_its_place(declare, forward_only):
    table = declare(many_states(forward_only=forward_only, facts=FORTY)).table
    drawing = build_drawing(table)
    placement, _ = count_calls(lambda: place_drawing(drawing, no_layout), PROMPT)
    assert placement.states.keys() == table.states.keys()
    assert len(placement.lines) == len(drawing.arrows) > 120
    paper = Box(0, 0, placement.width, placement.height)
    boxes = list(placement.states.values())
    assert all(contains(paper, box) for box in (*boxes, *placement.groups.values()))
    assert not any(overlaps(box, other) for n, box in enumerate(boxes) for other in boxes[n + 1 :])
    for group in drawing.groups:
        assert {value for value, box in placement.states.items() if contains(placement.groups[group.kind], box)} == set(group.members)
    for line, arrow in zip(placement.lines, drawing.arrows, strict=True):
        assert line.label is not None
        assert contains(paper, line.label.box), arrow.labels
        for end, point in ((arrow.source, line.points[0]), (arrow.target, line.tip)):
            box = placement.states.get(end) or placement.groups[end]
            assert box.x - 1 <= point[0] <= box.x + box.width + 1
            assert box.y - 1 <= point[1] <= box.y + box.height + 1


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_is_made(declare, kind):
    table = declare(many_states(forward_only=True, facts=FORTY)).table
    contents, _ = count_calls(lambda: render(table, kind, layout=no_layout), PROMPT)
    assert len(contents) > 1000
