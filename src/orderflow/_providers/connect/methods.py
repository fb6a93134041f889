"""The payment methods of Connect, and the ways in which an order may be completed with each. Only this table and its look-up live here.

There are two ways. Either the customer's browser is sent to the fulfillment URL, or our service calls the fulfillment API. The pages
of Connect disagree about the methods of each way. The URL guide (A1, G3) excludes only ``other`` and ``sms``. The API guide (G4) and
the API reference (A3) each print a list, and the lists differ.

The table follows the reading that fits most pages. The API takes ``sms``, ``invoice`` and ``free`` where nothing was paid yet, and
everything that was paid beforehand. The URL takes what the customer has still to pay in a browser. Where a page objects to a row, the
row names it after "but", and its evidence is not ``documented``. README.md explains the tags of the pages.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from attrs import frozen

from orderflow.errors import UnknownName


@frozen
class CompletionWays:
    """One row: whether a method, prepaid or not, may be completed by the URL and by the API.

    ``source`` names the pages that the row rests on and, after "but", those that object. ``evidence`` is ``documented``, ``inferred``
    or ``assumed``.
    """

    url: bool
    api: bool
    source: str
    evidence: str


Overrides = Mapping[tuple[str, bool], CompletionWays]
"""Rows by method and prepaid."""


def _url(source: str, evidence: str) -> CompletionWays:
    return CompletionWays(url=True, api=False, source=source, evidence=evidence)


def _api(source: str, evidence: str) -> CompletionWays:
    return CompletionWays(url=False, api=True, source=source, evidence=evidence)


def _neither(source: str, evidence: str) -> CompletionWays:
    return CompletionWays(url=False, api=False, source=source, evidence=evidence)


# A1 excludes prepaid orders from the URL, and further down describes what happens to them there. So every prepaid row excludes the
# URL, and an application that knows better overrides the row.
_TABLE: Final[Overrides] = {
    # method, prepaid
    ("invoice", False): _api("Connect A3, A5, G4", "documented"),
    ("invoice", True): _api("Connect A3, G4; but A5 ticks it in three of four columns, lost which", "inferred"),
    ("sms", False): _api("Connect A1, A3, G4", "documented"),
    ("sms", True): _api("Connect A3, G4; but A5 ticks it in two of four columns, lost which", "inferred"),
    ("smsPay", False): _url("Connect A1; in no API list (A3, G4)", "documented"),
    ("smsPay", True): _api("Connect A5, G4 (prepaid of any method); but A3 does not list it", "inferred"),
    ("vippsRecurring", False): _url("Connect A1; G4 names it for the API only when prepaid", "documented"),
    ("vippsRecurring", True): _api("Connect G4 (prepaid through McPay); but A3 does not list it", "inferred"),
    ("kco", False): _url("Connect A1, A5; but A3 and G4 list it for the API", "inferred"),
    ("kco", True): _api("Connect A3, A5, G4", "documented"),
    ("creditcardPayex", False): _url("Connect A1, A5; but A3 lists it for the API", "inferred"),
    ("creditcardPayex", True): _api("Connect A3, A5, G4 (prepaid of any method)", "documented"),
    ("swishPayex", False): _url("Connect A1, A5; but G4 lists it for the API", "inferred"),
    ("swishPayex", True): _api("Connect A5, G4; but A3 does not list it", "inferred"),
    ("vippsEcommerce", False): _url("Connect A1, A5; but G4 lists it for the API", "inferred"),
    ("vippsEcommerce", True): _api("Connect A5, G4; but A3 does not list it", "inferred"),
    ("nexi", False): _url("Connect A1, A5; in no API list (A3, G4)", "documented"),
    ("nexi", True): _api("Connect A5, G4 (prepaid of any method); but A3 does not list it", "inferred"),
    # for the application's own payment integration Connect has no page to send a browser to, and nothing to collect
    ("other", False): _neither("Connect A1 (not by URL), A7; but A3 and G4 list it for the API", "inferred"),
    ("other", True): _api("Connect A3, A5, G4", "documented"),
    ("free", False): _api("Connect A3, A5, G4", "documented"),
    ("free", True): _api("Connect A3, G4; but there is nothing to pay beforehand", "inferred"),
    ("creditcard", False): _url("Connect C1 (older name); A1 excludes only other and sms", "assumed"),
    ("creditcard", True): _api("Connect C1 (older name); G4 (prepaid of any method)", "assumed"),
    ("masterpass", False): _url("Connect C1 (older name); A1 excludes only other and sms", "assumed"),
    ("masterpass", True): _api("Connect C1 (older name); G4 (prepaid of any method)", "assumed"),
}

METHODS: Final[tuple[str, ...]] = tuple(dict.fromkeys(method for method, _ in _TABLE))
"""Every payment method of the table: the current ones, then two older names (A5, C1)."""

_CLOSED: Final = _neither("on no page", "assumed")


def find_ways(method: str, prepaid: bool, overrides: Overrides | None = None) -> CompletionWays:
    """The ways of a method, prepaid or not. A row of ``overrides`` replaces the table's, and may name a method of its own.

    A combination without a row may be completed in no way.

    Raises:
        UnknownName: the method has no row at all.
    """
    rows = {**_TABLE, **(overrides or {})}
    known = tuple(dict.fromkeys(name for name, _ in rows))
    if method not in known:
        raise UnknownName("payment method", method, known)
    return rows.get((method, prepaid), _CLOSED)
