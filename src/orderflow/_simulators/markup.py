"""HTML as values: everything is escaped unless it was made here. Contains only: ``el``, ``page``, the style sheet; no route."""

from __future__ import annotations

from html import escape
from importlib.resources import files
from typing import Final

STYLE: Final = "style.css"
VOID: Final = frozenset({"input", "meta", "link", "br"})
CSP: Final = "default-src 'none'; style-src 'self'; img-src data:; form-action {actions}; base-uri 'none'; frame-ancestors 'none'"


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def el(tag: str, *children: object, **attributes: object) -> Html:
    """An element. Of an attribute's name, a trailing underscore is dropped and the others become hyphens.

    An attribute that is True has no value; one that is None or False is left out. Children may be lists; None is left out.
    """
    start = f"<{tag}{''.join(_format_attribute(name, value) for name, value in attributes.items())}>"
    return Html(start if tag in VOID else f"{start}{join(children)}</{tag}>")


def join(children: object) -> str:
    """Children side by side."""
    if children is None:
        return ""
    if isinstance(children, Html):
        return children
    if isinstance(children, list | tuple):
        return "".join(join(child) for child in children)
    return escape(str(children))


def _format_attribute(name: str, value: object) -> str:
    if value is None or value is False:
        return ""
    html_name = name.rstrip("_").replace("_", "-")
    return f" {html_name}" if value is True else f' {html_name}="{escape(str(value))}"'


def page(title: str, body: object, *, root: str, nav: object = None, wide: bool = True) -> str:
    """A whole page; ``root`` is the path at which the simulator is mounted."""
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="color-scheme", content="light dark"),
        el("title", title),
        el("link", rel="icon", href="data:,"),
        el("link", rel="stylesheet", href=f"{root}/_sim/{STYLE}"),
    )
    skip = el("a", "Skip to the content", href="#main", class_="skip")
    main = el("main", body, id="main", class_="wide" if wide else "narrow")
    return f"<!doctype html>{el('html', head, el('body', skip, nav, main), lang='en')}"


def page_headers(form_targets: str = "'self'") -> dict[str, str]:
    """The headers of every page: nothing from another site, nothing inline, no script. Forms may only lead to ``form_targets``."""
    return {
        "content-security-policy": CSP.format(actions=form_targets),
        "cache-control": "no-store",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }


def control_headers() -> dict[str, str]:
    """The headers of what a simulator answers about itself, where it sets none of its own."""
    return {**page_headers(), "content-security-policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"}


def read_style() -> bytes:
    """The style sheet."""
    return files(__package__).joinpath(STYLE).read_bytes()
