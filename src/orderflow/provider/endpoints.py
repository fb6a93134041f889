"""Where redirects, callbacks and notifications come in."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import frozen


@frozen
class Claim:
    """What an inlet understood of a request: the claim event (None: only bring the read forward) and the value that,
    with the token, makes it one of a kind."""

    event: str | None
    value: str = ""


@frozen
class Endpoint:
    """A place where redirects, callbacks or notifications come in.

    ``purpose`` is its path segment and part of the token's signature; ``understand`` gets the raw query pairs.
    ``page`` is the key in the order's data of the shop's page that a browser is sent on to ("": no browser here).
    ``shared``: the URL names no order; one notice brings forward the oldest-read orders of the provider.
    """

    purpose: str
    methods: tuple[str, ...]
    understand: Callable[[Sequence[tuple[str, str]]], Claim]
    page: str = ""
    shared: bool = False
