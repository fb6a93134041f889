"""Which facts can still matter: by state, those that a guard may read there or later, before an edge sets them anew. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from orderflow._lifecycle.edges import Edge, is_proving

Names = frozenset[str]


def read_guard(edge: Edge) -> Names:
    """The facts that the edge's guard reads."""
    return frozenset(name for name, _ in edge.reads)


def find_live_facts(states: Iterable[str], edges: Iterable[Edge], reads: Callable[[Edge], Names] = read_guard) -> Mapping[str, Names]:
    """By state, the facts that some path of these edges may read before it sets them. Whether guards are true is not asked.

    A fixpoint from below: a fact is found in a state at most once, so it takes at most states x facts rounds over the edges.
    """
    live: dict[str, Names] = dict.fromkeys(states, frozenset())
    steps = [(edge, reads(edge), frozenset(edge.sets)) for edge in edges]
    changed = True
    while changed:
        changed = False
        for edge, read, sets in steps:
            found = live[edge.source] | read | (live[edge.target] - sets)
            if found != live[edge.source]:
                live[edge.source] = found
                changed = True
    return live


def find_tracked(states: Iterable[str], edges: Iterable[Edge], facts: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """By state, the facts that observations set and that guards of observations may read from there on: the facts that decide how a path
    of observations goes on. In the order of ``facts``."""
    proving = [edge for edge in edges if is_proving(edge)]
    names = frozenset(name for edge in proving for name in edge.sets)
    live = find_live_facts(states, [edge for edge in proving if not edge.recovery])
    return {state: tuple(name for name in facts if name in read & names) for state, read in live.items()}
