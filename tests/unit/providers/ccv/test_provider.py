"""The settings, requests and commands of CCV, checked before anything is stored or sent."""

from __future__ import annotations

from typing import Any

import pytest
from tests.kit.provider_answers import assert_no_canary
from tests.kit.world import CCV_KEY, ccv_at, ccv_request

from orderflow._engine.fingerprint import fingerprint
from orderflow._providers.ccv import Ccv
from orderflow._providers.ccv.wire import ORDER_STATUSES
from orderflow.errors import ConfigurationError, InvalidInput


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
    assert_no_canary(draft)


def _order(**changes: Any) -> dict[str, Any]:
    request = ccv_request()
    return {**request, "order": {**request["order"], **changes}}


PSP = ccv_request("psp_standalone")["products"][0]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (_order(orderDate="2026-11-21T10:00:00Z"), _order(orderDate="2026-11-21T11:00:00+01:00"), True),
        (_order(orderDate="2026-11-21T10:00:00Z"), _order(orderDate="2026-11-21T10:00:00.000+00:00"), True),
        (_order(orderDate="2026-11-21T10:00:00Z"), _order(orderDate="2026-11-21T10:00:00+01:00"), False),
        (_order(orderDate="0001-01-01T00:00:00+01:00"), _order(orderDate="0001-01-01T00:00:00+01:00"), True),
        (ccv_request(notify_on_status=["New", "Failed"]), ccv_request(notify_on_status=["Failed", "New", "New"]), True),
        (ccv_request(notify_on_status=["New", "Failed"]), ccv_request(notify_on_status=["New"]), False),
        (ccv_request(), ccv_request(notify_on_status=list(ORDER_STATUSES)[::-1]), True),
        *[
            (
                ccv_request(products=[{**PSP, "paymentMethods": ["ideal", "visa"]}]),
                ccv_request(products=[{**PSP, "paymentMethods": methods}]),
                same,
            )
            for methods, same in ((["visa", "ideal"], True), (["visa"], False))
        ],
    ],
)
def test_equal_moments_and_sets_in_another_order_are_the_same_request(one: dict[str, Any], other: dict[str, Any], same: bool) -> None:
    first, second = ccv().draft(one), ccv().draft(other)
    assert first.understood is not None
    assert second.understood is not None
    assert (fingerprint(first.understood) == fingerprint(second.understood)) is same
    assert first.data["notify_on_status"] == list(one.get("notify_on_status") or [])  # what is sent stays as it was given


NOTIFICATION_URL = "statusNotificationInformation.notificationUrl"


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
        (ccv_request(notification_url="http://us.example/n"), NOTIFICATION_URL),
        (ccv_request(notification_url="/n"), NOTIFICATION_URL),
        (ccv_request(notification_url="https://"), NOTIFICATION_URL),
        (ccv_request(notification_url="https://us.example:port/"), NOTIFICATION_URL),
        (ccv_request(notification_url="https://us.example/a b"), NOTIFICATION_URL),
        (ccv_request(notification_url="ftp://us.example/"), NOTIFICATION_URL),
        (ccv_request(notification_url=7), "notification_url"),
    ],
)
def test_a_malformed_request_is_refused_with_its_field(request_: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        ccv().draft(request_)
    assert raised.value.field == field
    assert raised.value.reason
    assert_no_canary(raised.value)


def test_an_operator_gives_the_id_of_ccvs_order() -> None:
    assert ccv().command("submission_resolved", {"order_id": "A-1"}) == {"provider_id": "A-1"}
    assert ccv().command("submission_resolved", {"order_id": " A-1\u00a0\r\n"}) == {"provider_id": "A-1"}
    for wrong in ({}, {"order_id": " "}, {"order_id": 7}, {"order_id": "A -1"}, {"order_id": "A-1\x1b[0m"}, {"order_id": "A-1\u200b"}):
        with pytest.raises(InvalidInput, match=r"^order_id: "):
            ccv().command("submission_resolved", wrong)


@pytest.mark.parametrize("command", ["submit", "submission_given_up"])
def test_other_events_take_no_argument(command: str) -> None:
    assert ccv().command(command, {}) == {}
    with pytest.raises(InvalidInput, match=r"^order_id: unknown argument"):
        ccv().command(command, {"order_id": "A-1"})


UNUSABLE = ["{}\n", " {}", "{} ", "\t{}", "{}\r\n", "\ufeff{}", "{}\0", "{}\u200b", None, b"bytes", 17]
"""A key with what a file, a copied line or a missing variable leaves of it."""


@pytest.mark.parametrize("key", UNUSABLE)
@pytest.mark.parametrize("name", ["api_key", "authorization"])
def test_an_unusable_key_is_a_configuration_error_that_does_not_show_it(name: str, key: object) -> None:
    value = key.format(CCV_KEY) if isinstance(key, str) else key
    with pytest.raises(ConfigurationError, match=rf"^{name}: must ") as raised:
        Ccv("https://ccv.example", **{name: value})  # type: ignore[arg-type]
    assert_no_canary(raised.value)


def test_a_header_that_cannot_be_sent_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match=r"^authorization: must be in ASCII$"):
        Ccv("https://ccv.example", authorization="Bearer clé")
    Ccv("https://ccv.example", "clé with a space")  # sent in Base64


@pytest.mark.parametrize("base", ["", "ccv.example", "https://key@ccv.example", "https://ccv.example?key=1", "https://ccv.example?", None])
def test_an_unusable_base_url_is_a_configuration_error(base: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^base_url: "):
        Ccv(base, CCV_KEY)


def test_no_repr_shows_the_key() -> None:
    assert_no_canary(ccv(), Ccv.offline())


@pytest.mark.parametrize("id_names", ["orderReference", [], [""], ["orderId", 7]])
def test_the_names_of_the_id_are_a_list_of_names(id_names: Any) -> None:
    with pytest.raises(ConfigurationError, match="id_names"):
        ccv(id_names=id_names)


@pytest.mark.parametrize("order_id", ["", " ", "..", ".", "a/../b", "/order/A", "A?x", "A#x", "A\\B", "A\0B", "A B", 7, None])
def test_an_id_that_cannot_stand_in_a_path_is_refused(order_id: object) -> None:
    with pytest.raises(InvalidInput, match=r"^order_id: "):
        ccv_at("http://ccv.example").command("submission_resolved", {"order_id": order_id})
    with pytest.raises(InvalidInput, match=r"^provider_id: "):
        ccv_at("http://ccv.example").check_provider_id(order_id)


def test_an_id_loses_white_space_at_its_ends() -> None:
    assert ccv_at("http://ccv.example").command("submission_resolved", {"order_id": " A-1..2\n"}) == {"provider_id": "A-1..2"}
