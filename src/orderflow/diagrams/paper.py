"""SVG elements with their look, either as classes and one style sheet (light and dark by the reader's setting) or as plain
attributes in one palette (*flat*: for rasterisers, which know no media queries, and for pages whose policy forbids styles).

Knows colours and SVG's syntax; nothing of states and arrows but their looks' names.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from orderflow.diagrams import metrics
from orderflow.diagrams.model import NodeKind
from orderflow.diagrams.palette import DARK, LIGHT, Palette
from orderflow.model import Strength

Look = dict[str, str]

_DASHES = {Strength.DOCUMENTED: "", Strength.INFERRED: "7 4", Strength.ASSUMED: "1.5 4.5"}
_OUTLINES: dict[NodeKind, Look] = {
    NodeKind.INITIAL: {"stroke-width": "1.6"},
    NodeKind.ASSUMED: {"stroke-width": "1.6", "stroke-dasharray": "2 4", "stroke-linecap": "round"},
    NodeKind.PROVISIONAL: {"stroke-dasharray": "6 3"},
}


def _looks(palette: Palette) -> dict[str, Look]:
    """By name, in the order in which they win: a later one over an earlier one, as in a style sheet."""
    looks: dict[str, Look] = {}
    for kind, ink in palette.states.items():
        looks[f"k-{kind.name.lower()}"] = {"fill": ink.fill, "stroke": ink.stroke, "stroke-width": "2", **_OUTLINES.get(kind, {})}
        looks[f"n-{kind.name.lower()}"] = {"fill": ink.text, "font-weight": "500", "text-anchor": "middle"}
    looks["line"] = {"fill": "none", "stroke": palette.line, "stroke-width": "1.5"}
    for strength, dashes in _DASHES.items():
        looks[strength] = {"stroke-dasharray": dashes, "stroke-linecap": "round"} if dashes else {}
    for cause, colour in palette.causes.items():
        looks[f"c-{cause}"] = {"fill": colour, "stroke": colour}
    return looks | {
        "ground": {"fill": palette.ground, "stroke": palette.frame},
        "dot": {"fill": palette.strong},
        "head": {"fill": palette.line},
        "walked": {"fill": "none", "stroke": palette.walked, "stroke-width": "3.2"},
        "walked-head": {"fill": palette.walked},
        "unseen": {"stroke-dasharray": "8 5"},
        "faint": {"opacity": "0.5"},
        "hand": {"fill": "none", "stroke-width": "1.3"},
        "group": {"fill": "none", "stroke": palette.group, "stroke-width": "1.2", "stroke-dasharray": "5 4"},
        "title": {"fill": palette.words},
        "said": {"fill": palette.words, "stroke": palette.ground, "stroke-width": "4", "stroke-linejoin": "round", "paint-order": "stroke"},
        "strong": {"fill": palette.strong, "font-weight": "600"},
        "visited": {"stroke": palette.walked, "stroke-width": "2.8"},
        "current": {"fill": palette.current.fill, "stroke": palette.current.stroke, "stroke-width": "2.4"},
        "current-name": {"fill": palette.current.text, "font-weight": "600"},
        "inner": {"fill": "none", "stroke-width": "1.2"},
    }


class Paper:
    """Collects elements. ``palette`` None: classes and a style sheet."""

    def __init__(self, palette: Palette | None = None) -> None:
        self.palette = palette
        self._looks = _looks(palette or LIGHT)
        self._rank = {name: n for n, name in enumerate(self._looks)}
        self.parts: list[str] = []

    def element(self, tag: str, looks: str = "", inside: str = "", **attributes: object) -> None:
        """One element. ``looks``: names of looks; ``inside``: markup; an attribute's ``_`` stands for ``-``."""
        self.parts.append(self.markup(tag, looks, inside, **attributes))

    def markup(self, tag: str, looks: str = "", inside: str = "", **attributes: object) -> str:
        """The text of an element."""
        given = {name.rstrip("_").replace("_", "-"): text(value) for name, value in attributes.items()}
        if looks and self.palette is None:
            given["class"] = looks
        for look in sorted(looks.split(), key=self._rank.__getitem__) if self.palette else ():
            given |= self._looks[look]
        said = "".join(f' {name}="{escape(value)}"' for name, value in given.items())
        return f"<{tag}{said}>{inside}</{tag}>" if inside else f"<{tag}{said}/>"

    def words(self, looks: str, said: str, at: tuple[float, float], size: float, *, weight: int = metrics.REGULAR) -> None:
        """A line of text, its baseline at ``at``. Its width is fixed, so that it fits whatever font the reader has."""
        long = {} if self.palette else {"textLength": metrics.width(said, size, weight), "lengthAdjust": "spacingAndGlyphs"}
        self.element("text", looks, escape(said), x=at[0], y=at[1], font_size=size, **long)

    def open(self, **attributes: object) -> None:
        """Begin a group."""
        self.parts.append(self.markup("g", "", " ", **attributes).removesuffix(" </g>"))

    def close(self) -> None:
        """End a group."""
        self.parts.append("</g>")

    def style(self) -> str:
        """The style sheet, ``""`` for flat."""
        if self.palette is not None:
            return ""
        return f"<style>{_sheet(self._looks)}@media (prefers-color-scheme:dark){{{_sheet(_looks(DARK))}}}</style>"


def text(value: object) -> str:
    """An attribute's value; numbers to a tenth."""
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)


def _sheet(looks: dict[str, Look]) -> str:
    return "".join(f".{name}{{{_declarations(look.items())}}}" for name, look in looks.items() if look)


def _declarations(look: Iterable[tuple[str, str]]) -> str:
    return ";".join(f"{name}:{value}" for name, value in look)
