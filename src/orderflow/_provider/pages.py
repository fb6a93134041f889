"""The application's pages that a browser is sent on to. They are checked: without that, our return URLs would be open redirects."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote, unquote, urlsplit

from orderflow.errors import InvalidInput


def check_page(field: str, url: object, allowed: Sequence[str]) -> str:
    """A page at or below one of the allowed URLs, unchanged. Scheme, host and port must be the same, and the path segment by segment.

    Providers call their setting of allowed URLs ``return_pages``.

    Raises:
        InvalidInput: not a plain absolute URL, or not below an allowed one.
    """
    if not isinstance(url, str):
        raise InvalidInput(field, f"must be text, got {type(url).__name__}")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise InvalidInput(field, "not a URL") from None
    if not url.isascii():
        raise InvalidInput(field, "must be in ASCII, everything else percent-encoded")  # it becomes a Location header
    odd = any(char.isspace() or not char.isprintable() or char == "\\" for char in url) or "@" in parts.netloc
    if odd or parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidInput(field, "must be an absolute http or https URL")
    climbs = ".." in unquote(parts.path).split("/")  # browsers take %2e%2e for .. as well
    origin = (parts.scheme, parts.hostname, port)
    if not climbs and any(_covers(page, origin, parts.path) for page in allowed):
        return url
    raise InvalidInput(field, "is not on the list of return_pages")


def add_parameter(url: str, name: str, value: str) -> str:
    """The URL with one more parameter behind those of its query."""
    parts = urlsplit(url)
    query = f"{parts.query}&" if parts.query else ""
    return parts._replace(query=f"{query}{quote(name)}={quote(value)}").geturl()


def _covers(page: str, origin: tuple[str, str, int | None], path: str) -> bool:
    parts = urlsplit(page)
    if (parts.scheme, parts.hostname, parts.port) != origin:
        return False
    return path == parts.path or path.startswith(parts.path.rstrip("/") + "/")
