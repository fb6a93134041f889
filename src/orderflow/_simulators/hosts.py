"""Which requests of a browser a simulator answers. Pages of other sites must neither read its journal nor press its buttons."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from orderflow._simulators.playback import Scope


def is_own_host(scope: Scope) -> bool:
    """Whether ``Host`` can be this simulator's address. Where it listens on this machine only, a name other than localhost cannot.

    A page can let its own name point to 127.0.0.1 (DNS rebinding). Its browser then takes the simulator for the page's own server.
    """
    server = (scope.get("server") or ("",))[0]
    host = _hostname(_header(scope, b"host"))
    return not _is_loopback(server) or not host or host == "localhost" or host.endswith(".localhost") or _is_address(host)


def is_from_another_site(scope: Scope) -> bool:
    """Whether a page of another origin sent this request. Another port of the same machine is another origin.

    Browsers send ``Sec-Fetch-Site`` to localhost and over https only. ``Origin`` they send with every form, but it is "null" where a page
    sends no referrer, as ours do.
    """
    site = _header(scope, b"sec-fetch-site")
    if site in {"cross-site", "same-site", "same-origin"}:
        return site != "same-origin"
    origin = _header(scope, b"origin")
    return bool(origin) and origin.partition("://")[2] != _header(scope, b"host")


def _header(scope: Scope, name: bytes) -> str:
    return next((value.decode("latin-1").strip().lower() for key, value in scope["headers"] if key == name), "")


def _hostname(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return "malformed"


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return host == "localhost" or (_is_address(host) and ip_address(host).is_loopback)
