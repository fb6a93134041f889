"""The whole matrix of each lifecycle as a text file that a person has read: a changed edge is a small diff there.

To write it again: ``python -m pytest tests/unit/lifecycle --golden-write``. Then read the diff line by line.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from orderflow._analysis.reachability import Pair, reachable
from orderflow._lifecycle.observe import observe
from orderflow._lifecycle.table import Cell, StateInfo, Table
from orderflow.model import Applied, Decision, Ignored, Observation, Origin, Refused, StepKind

HEAD = """\
{name}: what every event means in every state, and every status in every state.

"event (origin) [guard] -> target": an edge; then the facts it sets and its effects (! once). "otherwise": the same
event where no guard is true. Below the edges, the events without one, by their answer ("seen_...": every observation
that is not above). Then the statuses: "one step", "inferred" (the only path, step by step), "jump" (several paths),
over the facts that are reachable there.
Written by: python -m pytest tests/unit/lifecycle --golden-write
"""


def matrix(table: Table) -> str:
    """The matrix of a table as text."""
    pairs: dict[str, list[Pair]] = {}
    for pair in reachable(table):
        pairs.setdefault(pair.state, []).append(pair)
    blocks = [HEAD.format(name=table.name)]
    for state, info in table.states.items():
        lines = [heading(info), *edges(table, state), *defaults(table, state), *readings(table, pairs[state])]
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks)


def heading(info: StateInfo) -> str:
    """A state with what it is and what is armed on entry."""
    flags = [name for name in ("initial", "final", "provisional", "proven", "assumed") if getattr(info, name)]
    armed = [f"deadline {event} after {key}" for event, key in info.deadlines]
    return f"== {info.value}" + "".join(f", {text}" for text in flags + armed)


def edges(table: Table, state: str) -> Iterator[str]:
    """The cells that have an edge: each edge on a line, then the answer where no guard is true."""
    for event, origin in table.events.items():
        cell = table.cells[state][event]
        for edge in cell.edges:
            guard = f" [{edge.guard}]" if edge.guard else ""
            sets = [f"{name} = {value}" for name, value in edge.sets.items()]
            effects = [effect.name + "!" * effect.once for effect in edge.effects]
            behind = "".join(f"; {text}" for text in sets + effects) + "; recovery" * edge.recovery
            yield f"  {event} ({origin}){guard} -> {edge.target}{behind}"
        if cell.edges and None in cell.choice.picks.values():
            yield f"  {event} ({origin}) otherwise: {answer(cell)}"


def defaults(table: Table, state: str) -> Iterator[str]:
    """The cells without an edge, folded by their answer."""
    folded: dict[str, list[str]] = {}
    for event, cell in table.cells[state].items():
        if not cell.edges:
            # an observation enters by its status, never by its event's name: the statuses stand below
            observed = table.events[event] is Origin.OBSERVATION
            folded.setdefault(answer(cell), []).append("seen_..." if observed else event)
    folded = {text: list(dict.fromkeys(events)) for text, events in folded.items()}
    for text in sorted(folded):
        yield textwrap.fill(f"{text}: {' '.join(folded[text])}", 116, initial_indent="  ", subsequent_indent="      ")


def answer(cell: Cell) -> str:
    """The default answer of a cell in words."""
    if isinstance(cell.default, Refused):
        detail = f" ({cell.default.detail})" if cell.default.detail else ""
        return f"refused, {cell.default.reason}{detail}"
    assert isinstance(cell.default, Ignored)
    return f"ignored, {cell.default.reason}"


def readings(table: Table, pairs: list[Pair]) -> Iterator[str]:
    """What each status means here, over all facts that are reachable here, folded by what it means."""
    folded: dict[str, list[str]] = {}
    for status in table.readings:
        outcomes = {outcome(observe(table, pair.snapshot(table), Observation(status, 0))) for pair in pairs}
        folded.setdefault(" or ".join(sorted(outcomes)), []).append(status)
    for text, statuses in folded.items():
        yield textwrap.fill(f"status {', '.join(statuses)}: {text}", 116, initial_indent="  ", subsequent_indent="      ")


def outcome(decision: Decision) -> str:
    """What an observation did, in words."""
    if not isinstance(decision, Applied):
        return f"{'refused' if isinstance(decision, Refused) else 'ignored'}, {decision.reason}"
    if decision.steps[-1].kind is StepKind.JUMP:
        return f"jump, {decision.steps[-1].note}"
    path = " -> ".join(step.target for step in decision.steps)
    return f"inferred -> {path}" if len(decision.steps) > 1 else f"one step -> {path}"


def test_the_matrix_is_the_one_that_was_reviewed(table, golden, request):
    path = golden / f"{table.name}.txt"
    text = matrix(table)
    if request.config.getoption("--golden-write", default=False):
        path.write_text(text)
    assert text.splitlines() == path.read_text().splitlines(), f"read the diff, then write {path.name} again"


def test_every_edge_and_every_cell_stands_in_the_matrix(table, golden):
    blocks = (golden / f"{table.name}.txt").read_text().split("\n== ")[1:]
    assert len(blocks) == len(table.states)
    lines = [line for block in blocks for line in block.splitlines()[1:]]
    assert sum(line.startswith(tuple(f"  {event} (" for event in table.events)) and " -> " in line for line in lines) == len(table.edges)
    named = {event for event, origin in table.events.items() if origin is not Origin.OBSERVATION}
    for block in blocks:
        assert set(block.replace(":", " ").split()) >= named
