"""What a caller may ask of CCV: requests and commands, checked before anything is stored or sent."""

from __future__ import annotations

from typing import Any

import pytest
from tests.kit.provider_answers import silent
from tests.kit.world import CCV_KEY, ccv_at, ccv_request

from orderflow.errors import ConfigurationError, InvalidInput
from orderflow.providers.ccv import Ccv


def ccv(**settings: Any) -> Ccv:
    return ccv_at("https://ccv.example", allow_http=False, **settings)


@pytest.mark.parametrize(
    ("request_", "facts"),
    [
        (ccv_request(), {"pays_now": False, "screened": False, "activates": False, "window": "open"}),
        (ccv_request("sales_package", "psp_standalone"), {"screened": True}),
        (ccv_request("terminal_package"), {"screened": True}),
        (ccv_request("terminal_package", screened=False, pays_now=True, activates=True), {"screened": False, "pays_now": True}),
    ],
)
def test_a_request_derives_its_expectations(request_: dict[str, Any], facts: dict[str, Any]) -> None:
    draft = ccv().draft(request_)
    assert facts.items() <= draft.facts.items()
    assert draft.facts.keys() == Ccv.table.facts.keys()
    silent(draft)


def _order(**changes: Any) -> dict[str, Any]:
    request = ccv_request()
    return {**request, "order": {**request["order"], **changes}}


NOTICE = "statusNotificationInformation.notificationUrl"


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({}, "order"),
        ({"order": {}, "products": []}, "orderDate"),
        (ccv_request() | {"order": "text"}, "order"),
        (ccv_request() | {"products": []}, "products"),
        (ccv_request() | {"products": "psp_standalone"}, "products"),
        (ccv_request() | {"products": [7]}, "products[0].kind"),
        (ccv_request() | {"products": [{"kind": "boat"}]}, "products[0].kind"),
        (ccv_request() | {"products": [{"kind": ["boat"]}]}, "products[0].kind"),
        (ccv_request() | {"products": [{"kind": "psp_standalone"}]}, "products[0].url"),
        (ccv_request() | {"products": [*ccv_request()["products"], {"kind": "psp_standalone", "url": "x"}]}, "products[1].paymentMethods"),
        (ccv_request(key_="x"), "key_"),
        (ccv_request(notify_customer_by_email="yes"), "notify_customer_by_email"),
        (ccv_request(pays_now=1), "pays_now"),
        (ccv_request(external_reference=" "), "external_reference"),
        (_order(orderDate="yesterday"), "orderDate"),
        (_order(orderDate="2026-01-01T10:00:00"), "orderDate"),
        (_order(cartUrl=None), "cartUrl"),
        (_order(storeInformation={"cocNumber": ""}), "storeInformation.cocRegistry"),
        (ccv_request(notify_on_status="Completed"), "notify_on_status"),
        (ccv_request(notify_on_status=["Cancelled"]), "statusNotificationInformation.notifyOnStatus[0]"),
        (ccv_request(notify_on_status=["New", None]), "statusNotificationInformation.notifyOnStatus[1]"),
        (ccv_request(notification_url="http://us.example/n"), NOTICE),
        (ccv_request(notification_url="/n"), NOTICE),
        (ccv_request(notification_url="https://"), NOTICE),
        (ccv_request(notification_url="https://us.example:port/"), NOTICE),
        (ccv_request(notification_url="https://us.example/a b"), NOTICE),
        (ccv_request(notification_url="ftp://us.example/"), NOTICE),
        (ccv_request(notification_url=7), "notification_url"),
    ],
)
def test_a_malformed_request_is_refused_by_field(request_: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        ccv().draft(request_)
    assert refused.value.field == field
    assert refused.value.reason
    silent(refused.value)


def test_an_operator_names_ccvs_order() -> None:
    assert ccv().command("submission_resolved", {"order_id": "A-1"}) == {"provider_id": "A-1"}
    for wrong in ({}, {"order_id": " "}, {"order_id": 7}):
        with pytest.raises(InvalidInput, match=r"^order_id: "):
            ccv().command("submission_resolved", wrong)


@pytest.mark.parametrize("command", ["submit", "submission_given_up"])
def test_other_commands_take_no_argument(command: str) -> None:
    assert ccv().command(command, {}) == {}
    with pytest.raises(InvalidInput, match=r"^order_id: unknown argument"):
        ccv().command(command, {"order_id": "A-1"})


ODD = ["{}\n", " {}", "{} ", "\t{}", "{}\r\n", "\ufeff{}", "{}\0", "{}\u200b", None, b"bytes", 17]
"""A key as a file, a copied line or a missing variable leave it."""


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("name", ["api_key", "authorization"])
def test_an_odd_key_is_a_configuration_error_that_does_not_show_it(name: str, odd: object) -> None:
    given = odd.format(CCV_KEY) if isinstance(odd, str) else odd
    with pytest.raises(ConfigurationError, match=rf"^{name}: must ") as refused:
        Ccv("https://ccv.example", **{name: given})  # type: ignore[arg-type]
    silent(refused.value)


def test_a_header_that_no_client_would_send_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match=r"^authorization: must be in ASCII$"):
        Ccv("https://ccv.example", authorization="Bearer clé")
    Ccv("https://ccv.example", "clé with a space")  # sent in Base64


@pytest.mark.parametrize("base", ["", "ccv.example", "https://key@ccv.example", "https://ccv.example?key=1", "https://ccv.example?", None])
def test_an_unusable_base_url_is_a_configuration_error(base: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^base_url: "):
        Ccv(base, CCV_KEY)


def test_nothing_shows_the_key() -> None:
    silent(ccv(), Ccv.offline())
