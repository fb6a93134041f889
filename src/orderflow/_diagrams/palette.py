"""The colours of drawings, light and dark. The contrast of every text with its background is at least 4.5."""

from __future__ import annotations

from attrs import frozen

from orderflow._diagrams.drawing import NodeKind
from orderflow.model import Cause


@frozen
class StateColours:
    """The colours of a state: its box, its outline, its name."""

    fill: str
    stroke: str
    text: str


@frozen
class Palette:
    """All colours of a drawing. ``path``: what an order took; ``current``: the state of an order."""

    background: str
    frame: str
    line: str
    text: str
    strong: str
    path: str
    group: str
    current: StateColours
    states: dict[NodeKind, StateColours]
    causes: dict[Cause, str]


def _pair_with_kinds(text: str, *pairs: tuple[str, str]) -> dict[NodeKind, StateColours]:
    return {kind: StateColours(fill, stroke, text) for kind, (fill, stroke) in zip(NodeKind, pairs, strict=True)}


LIGHT = Palette(
    background="#ffffff",
    frame="#e2e8f0",
    line="#8091a7",
    text="#334155",
    strong="#0f172a",
    path="#4f46e5",
    group="#94a3b8",
    current=StateColours("#4f46e5", "#312e81", "#ffffff"),
    states=_pair_with_kinds(
        "#0f172a",
        ("#f8fafc", "#64748b"),
        ("#eef2ff", "#6366f1"),
        ("#f8fafc", "#94a3b8"),
        ("#ecfdf5", "#10b981"),
        ("#fff7ed", "#d97706"),
        ("#d1fae5", "#059669"),
        ("#fef2f2", "#dc2626"),
    ),
    causes={
        Cause.CUSTOMER: "#0284c7",
        Cause.PROVIDER: "#7c3aed",
        Cause.EMPLOYEE: "#be185d",
        Cause.US: "#475569",
        Cause.CLOCK: "#b45309",
    },
)

DARK = Palette(
    background="#0d1117",
    frame="#30363d",
    line="#7d8ca3",
    text="#c9d3e0",
    strong="#f1f5f9",
    path="#a5b4fc",
    group="#64748b",
    current=StateColours("#a5b4fc", "#e0e7ff", "#0f172a"),
    states=_pair_with_kinds(
        "#f1f5f9",
        ("#1e293b", "#94a3b8"),
        ("#1e1b4b", "#818cf8"),
        ("#1e293b", "#64748b"),
        ("#052e2b", "#10b981"),
        ("#3b2006", "#f59e0b"),
        ("#064e3b", "#34d399"),
        ("#450a0a", "#f87171"),
    ),
    causes={
        Cause.CUSTOMER: "#38bdf8",
        Cause.PROVIDER: "#c4b5fd",
        Cause.EMPLOYEE: "#f472b6",
        Cause.US: "#cbd5e1",
        Cause.CLOCK: "#fbbf24",
    },
)
