"""The URLs of ours at which redirects, callbacks and notifications arrive. Only records live here."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import frozen

from orderflow.model import Order


@frozen
class Claim:
    """What a request to an endpoint claims.

    ``event`` is a claim of the lifecycle; None only brings the next poll forward. ``value`` distinguishes the claims that arrive at
    one URL: a value that arrives again is a duplicate.
    """

    event: str | None
    value: str = ""


@frozen
class Endpoint:
    """One URL of ours.

    ``purpose`` is its path segment, and part of what the signature in the URL covers. ``parse_claim`` turns the raw query pairs into a
    claim. ``find_page`` returns the application's page that the browser is sent on to, from the claim and the order after its decision.
    Where it returns None, our own page is shown; without it, no browser comes here.
    A ``shared`` endpoint has no order in its URL: a request to it brings forward the polls of the orders that were polled longest ago.
    """

    purpose: str
    methods: tuple[str, ...]
    parse_claim: Callable[[Sequence[tuple[str, str]]], Claim]
    find_page: Callable[[Order, Claim], str | None] | None = None
    shared: bool = False
