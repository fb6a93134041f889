"""Which payment method may be completed which way. What may live here: the table, the look-up, nothing else.

Connect completes an order in one of two ways: the customer's browser is sent to the fulfillment URL, or our service
calls the fulfillment API. Its pages disagree about which method may go which way: the URL guide (A1, G3) excludes only
``other`` and ``sms``; the API guide (G4) and the API reference (A3) each print a list, and the lists differ. The
reading taken here fits most of them: the API takes ``sms``, ``invoice`` and ``free`` when nothing was paid yet, and
whatever was paid beforehand; the URL takes what the customer must still pay in a browser. Where a page objects to a
row, the row names it behind "but" and its evidence is no longer ``documented``.

Pages: A1 and G3 URL guide, A3 API reference, G4 API guide, A5 Register order, A7 introduction, C1 public client code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from attrs import frozen

from orderflow.errors import UnknownName


@frozen
class Ways:
    """One row: may this method, paid beforehand or not, go by the URL, by the API?

    ``source`` names the pages the row rests on (and, behind "but", those that object);
    ``evidence`` is ``documented``, ``inferred`` or ``assumed``.
    """

    url: bool
    api: bool
    source: str
    evidence: str


def _url(source: str, evidence: str) -> Ways:
    return Ways(url=True, api=False, source=source, evidence=evidence)


def _api(source: str, evidence: str) -> Ways:
    return Ways(url=False, api=True, source=source, evidence=evidence)


def _neither(source: str, evidence: str) -> Ways:
    return Ways(url=False, api=False, source=source, evidence=evidence)


# A1 shuts prepaid orders out of the URL and describes, further down, what happens to them there: so every prepaid row
# says no to the URL, and a shop that knows better overrides it.
_TABLE: Final[Mapping[tuple[str, bool], Ways]] = {
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
    # the shop's own integration has no page of Connect's to send a browser to, and nothing Connect could collect
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
"""Every payment method of the table, the current ones first, then two older names (Connect A5, C1)."""

_CLOSED: Final = _neither("no page speaks of it", "assumed")


def ways(method: str, prepaid: bool, overrides: Mapping[tuple[str, bool], Ways] | None = None) -> Ways:
    """The ways ``method`` may go. A row of ``overrides`` wins over the table, and may name a method of its own.

    A combination neither speaks of may go no way at all.

    Raises:
        UnknownName: no row, in the table or in ``overrides``, knows the method.
    """
    rows = {**_TABLE, **(overrides or {})}
    known = tuple(dict.fromkeys(name for name, _ in rows))
    if method not in known:
        raise UnknownName("payment method", method, known)
    return rows.get((method, prepaid), _CLOSED)
