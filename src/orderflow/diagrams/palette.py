"""The colours of drawings, light and dark. Nothing but colours and widths; every text on its ground has a contrast of 4.5 or more."""

from __future__ import annotations

from attrs import frozen

from orderflow.diagrams.model import NodeKind
from orderflow.model import Cause


@frozen
class Ink:
    """How a state is drawn: ground, outline, words."""

    fill: str
    stroke: str
    text: str


@frozen
class Palette:
    """Every colour of a drawing."""

    ground: str
    frame: str
    line: str
    words: str
    strong: str
    walked: str
    group: str
    current: Ink
    states: dict[NodeKind, Ink]
    causes: dict[Cause, str]


def _states(words: str, *pairs: tuple[str, str]) -> dict[NodeKind, Ink]:
    return {kind: Ink(fill, stroke, words) for kind, (fill, stroke) in zip(NodeKind, pairs, strict=True)}


LIGHT = Palette(
    ground="#ffffff",
    frame="#e2e8f0",
    line="#8091a7",
    words="#334155",
    strong="#0f172a",
    walked="#4f46e5",
    group="#94a3b8",
    current=Ink("#4f46e5", "#312e81", "#ffffff"),
    states=_states(
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
    ground="#0d1117",
    frame="#30363d",
    line="#7d8ca3",
    words="#c9d3e0",
    strong="#f1f5f9",
    walked="#a5b4fc",
    group="#64748b",
    current=Ink("#a5b4fc", "#e0e7ff", "#0f172a"),
    states=_states(
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
