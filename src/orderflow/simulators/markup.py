"""HTML as values: everything is escaped unless it was made here. What may live here: ``el``, ``page`` and the style sheet's
name; no simulator, no route."""

from __future__ import annotations

from html import escape
from importlib.resources import files

STYLE = "style.css"
VOID = frozenset({"input", "meta", "link", "br"})
CSP = "default-src 'none'; style-src 'self'; img-src data:; form-action {actions}; base-uri 'none'; frame-ancestors 'none'"


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def el(tag: str, *children: object, **attributes: object) -> Html:
    """An element. A trailing underscore of an attribute's name is dropped, others become hyphens; True writes the bare name,
    None and False leave it out. Children that are lists are joined; None is left out."""
    written = "".join(_attribute(name, value) for name, value in attributes.items())
    start = f"<{tag}{written}>"
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


def _attribute(name: str, value: object) -> str:
    if value is None or value is False:
        return ""
    plain = name.rstrip("_").replace("_", "-")
    return f" {plain}" if value is True else f' {plain}="{escape(str(value))}"'


def page(title: str, body: object, *, root: str, nav: object = None, wide: bool = True) -> str:
    """A whole page; ``root`` is where the simulator is mounted."""
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


def headers(actions: str = "'self'") -> dict[str, str]:
    """The headers of every page: nothing from elsewhere, nothing inline, no script at all."""
    return {
        "content-security-policy": CSP.format(actions=actions),
        "cache-control": "no-store",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }


def style() -> bytes:
    """The style sheet."""
    return files(__package__).joinpath(STYLE).read_bytes()
