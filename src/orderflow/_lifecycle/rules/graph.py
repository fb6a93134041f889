"""Rules about the shape of the graph, whatever its guards say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from orderflow._lifecycle.declaration import Declaration


def check_graph(declaration: Declaration) -> None:
    """final-edge, dead-end, unreachable, trap. All but the first only where every edge and the initial state are known."""
    attributes = {state.value: attribute for attribute, state in declaration.states.items()}
    for edge in declaration.edges:
        if declaration.states[attributes[edge.source]].final:
            remedy = f"declare {edge.source} without final=True, or drop the edge"
            declaration.report("final-edge", edge.where, f"{edge.source} is final", remedy, edge.spec.line)
    initials = [state.value for state in declaration.states.values() if state.initial]
    if not declaration.whole or len(initials) != 1 or len(attributes) != len(declaration.states):
        return
    targets: dict[str, set[str]] = {value: set() for value in attributes}
    sources: dict[str, set[str]] = {value: set() for value in attributes}
    for edge in declaration.edges:
        targets[edge.source].add(edge.target)
        sources[edge.target].add(edge.source)
    finals = {state.value for state in declaration.states.values() if state.final}
    dead_ends = [value for value in attributes if not targets[value] and value not in finals]
    entered = reach(initials, targets)
    leading_on = reach([*finals, *dead_ends], sources) if finals else attributes.keys()
    for value, attribute in attributes.items():
        line = declaration.states[attribute].line
        if value in dead_ends:
            remedy = "add an edge that leaves it, or declare it with final=True"
            declaration.report("dead-end", attribute, "no edge leaves it, and it is not final", remedy, line)
        if value not in entered:
            remedy = "add an edge that enters it, or drop the state"
            declaration.report("unreachable", attribute, f"no path of edges leads here from {initials[0]}", remedy, line)
        if value not in leading_on:
            remedy = "add an edge towards a final state, or declare one of these states final"
            declaration.report("trap", attribute, "no path of edges leads from here to a final state", remedy, line)


def reach(starts: Iterable[str], onward: Mapping[str, set[str]]) -> set[str]:
    """Every state that is reached from the starts, these included."""
    reached = set(starts)
    waiting = list(reached)
    while waiting:
        new = onward[waiting.pop()] - reached
        reached |= new
        waiting += new
    return reached
