"""Builds SVG elements and their styles. Knows colours and SVG's syntax, and the names of styles; nothing else of states and arrows.

There are two variants:

* *Styled*: elements have classes, and there is one style sheet. It follows the reader's setting, light or dark.
* *Flat*: elements have plain attributes in one palette. This is for rasterisers, which know no media queries, and for pages whose
  policy forbids styles.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from orderflow._diagrams import font_metrics
from orderflow._diagrams.drawing import NodeKind
from orderflow._diagrams.palette import DARK, LIGHT, Palette
from orderflow.model import Strength

Style = dict[str, str]

_DASHES = {Strength.DOCUMENTED: "", Strength.INFERRED: "7 4", Strength.ASSUMED: "1.5 4.5"}
_OUTLINES: dict[NodeKind, Style] = {
    NodeKind.INITIAL: {"stroke-width": "1.6"},
    NodeKind.ASSUMED: {"stroke-width": "1.6", "stroke-dasharray": "2 4", "stroke-linecap": "round"},
    NodeKind.PROVISIONAL: {"stroke-dasharray": "6 3"},
}


def _build_styles(palette: Palette) -> dict[str, Style]:
    """The styles by name. A later one overrides an earlier one, as in a style sheet."""
    styles: dict[str, Style] = {}
    for kind, colours in palette.states.items():
        outline = _OUTLINES.get(kind, {})
        styles[f"k-{kind.name.lower()}"] = {"fill": colours.fill, "stroke": colours.stroke, "stroke-width": "2", **outline}
        styles[f"n-{kind.name.lower()}"] = {"fill": colours.text, "font-weight": "500", "text-anchor": "middle"}
    styles["line"] = {"fill": "none", "stroke": palette.line, "stroke-width": "1.5"}
    for strength, dashes in _DASHES.items():
        styles[strength] = {"stroke-dasharray": dashes, "stroke-linecap": "round"} if dashes else {}
    for cause, colour in palette.causes.items():
        styles[f"c-{cause}"] = {"fill": colour, "stroke": colour}
    halo = {"stroke": palette.background, "stroke-width": "4", "stroke-linejoin": "round", "paint-order": "stroke"}
    return styles | {
        "ground": {"fill": palette.background, "stroke": palette.frame},
        "dot": {"fill": palette.strong},
        "head": {"fill": palette.line},
        "walked": {"fill": "none", "stroke": palette.path, "stroke-width": "3.2"},
        "walked-head": {"fill": palette.path},
        "unseen": {"stroke-dasharray": "8 5"},
        "faint": {"opacity": "0.5"},
        "hand": {"fill": "none", "stroke-width": "1.3"},
        "group": {"fill": "none", "stroke": palette.group, "stroke-width": "1.2", "stroke-dasharray": "5 4"},
        "title": {"fill": palette.text},
        "text": {"fill": palette.text, **halo},
        "strong": {"fill": palette.strong, "font-weight": "600"},
        "visited": {"stroke": palette.path, "stroke-width": "2.8"},
        "current": {"fill": palette.current.fill, "stroke": palette.current.stroke, "stroke-width": "2.4"},
        "current-name": {"fill": palette.current.text, "font-weight": "600"},
        "inner": {"fill": "none", "stroke-width": "1.2"},
    }


class SvgBuilder:
    """Collects elements as markup. With a ``palette`` they are flat, without one they are styled."""

    def __init__(self, palette: Palette | None = None) -> None:
        self.palette = palette
        self._styles = _build_styles(palette or LIGHT)
        self._rank = {name: n for n, name in enumerate(self._styles)}
        self.parts: list[str] = []

    def add_element(self, tag: str, styles: str = "", inside: str = "", **attributes: object) -> None:
        """Add an element, as ``build_element`` builds it."""
        self.parts.append(self.build_element(tag, styles, inside, **attributes))

    def build_element(self, tag: str, styles: str = "", inside: str = "", **attributes: object) -> str:
        """Return the markup of an element.

        Args:
            tag: its tag
            styles: names of styles, with spaces between
            inside: its contents, as markup
            attributes: its attributes; ``_`` stands for ``-``
        """
        values = {name.rstrip("_").replace("_", "-"): format_value(value) for name, value in attributes.items()}
        if styles and self.palette is None:
            values["class"] = styles
        for style in sorted(styles.split(), key=self._rank.__getitem__) if self.palette else ():
            values |= self._styles[style]
        pairs = "".join(f' {name}="{escape(value)}"' for name, value in values.items())
        return f"<{tag}{pairs}>{inside}</{tag}>" if inside else f"<{tag}{pairs}/>"

    def add_text(self, styles: str, text: str, at: tuple[float, float], size: float, *, weight: int = font_metrics.REGULAR) -> None:
        """Add a line of text with its baseline at ``at``. A styled text has a fixed width, so that it fits in any font of the reader."""
        width = font_metrics.measure_width(text, size, weight)
        fixed = {} if self.palette else {"textLength": width, "lengthAdjust": "spacingAndGlyphs"}
        self.add_element("text", styles, escape(text), x=at[0], y=at[1], font_size=size, **fixed)

    def open_group(self, **attributes: object) -> None:
        """Begin a group of elements."""
        self.parts.append(self.build_element("g", "", " ", **attributes).removesuffix(" </g>"))

    def close_group(self) -> None:
        """End a group of elements."""
        self.parts.append("</g>")

    def build_style_sheet(self) -> str:
        """Return the style sheet as an element; "" if flat."""
        if self.palette is not None:
            return ""
        light, dark = _build_rules(self._styles), _build_rules(_build_styles(DARK))
        return f"<style>{light}@media (prefers-color-scheme:dark){{{dark}}}</style>"


def format_value(value: object) -> str:
    """Return an attribute's value as text. A float has one decimal place at most."""
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)


def _build_rules(styles: dict[str, Style]) -> str:
    return "".join(f".{name}{{{_build_declarations(style.items())}}}" for name, style in styles.items() if style)


def _build_declarations(style: Iterable[tuple[str, str]]) -> str:
    return ";".join(f"{name}:{value}" for name, value in style)
