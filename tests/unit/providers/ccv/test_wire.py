"""CCV's JSON: what is sent, what is read, and what is refused before it is sent."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from orderflow._provider.wire import to_json
from orderflow._providers.ccv import wire
from orderflow.errors import InvalidInput, MalformedAnswer

# examples in the provider's table spelling (left) must be sent in its examples' spelling (right)
START = {
    "orderDate": "2017-07-21T17:32:28Z",
    "termsAndConditions": [{"type": "Other", "url": "/documents/terms.pdf", "name": "v3"}],
    "orderNotes": "ring twice",
    "cartURL": "https://shop.example/cart",
    "storeURL": "https://shop.example/",
    "statusURL": "https://shop.example/status",
    "storeInformation": {
        "companyName": "Bloemen BV",
        "tradeName": "Bloemen",
        "cocNumber": "12345678",
        "cocRegistry": "Kvk",
        "taxNumber": "NL1",
        "storeAddress": {"country": "NL", "houseNumber": 7, "houseNumberExt": "a", "floor": 2},
        "eBillingEmailAddress": "bills@shop.example",
        "reportingEmailAddress": "reports@shop.example",
    },
    "companyContactPerson": {"firstName": "A", "gender": "Male", "language": "nl-NL", "emailAddress": "a@shop.example"},
    "invoiceAccount": {"iban": "x"},
    "somethingNew": [1, None],
}
ORDER = {"orderDate": "2021-02-23T14:34:37.528+00:00", "unknown": {"kept": None}, "shoppingCart": None}
SALES = {
    "isPurchased": True,
    "packageName": "Online Payments",
    "sku": "Online payments",
    "periodPricingDetails": [
        {
            "period": "Monthly",
            "exludingTax": 100,
            "singleExludingTax": 100.5,
            "includingTax": 121,
            "taxAmountsPerTaxRate": [{"taxRate": 21, "taxAmount": 21}],
        }
    ],
    "order": ORDER,
}
TERMINAL = {
    "terminalPackageType": "Smart",
    "transactionFee": 0.05,
    "oneOffPriceIncludingTax": 121,
    "oneOffPriceExcludingTax": 100,
    "oneOffPriceTaxAmount": 21,
    "oneOffPriceTaxRate": 21,
    "monthlyPriceIncludingTax": 12.1,
    "monthlyPriceExcludingTax": 10,
    "monthlyPriceTaxAmount": 2.1,
    "monthlyPriceTaxRate": 21,
    "discount": 0,
    "order": ORDER,
}
PSP = {"url": "https://shop.example", "paymentMethods": ["ideal", "bancontact", "wero"], "order": ORDER}
SUBMIT = {
    "notifyCustomerByEmail": True,
    "externalReference": "123456",
    "statusNotificationInformation": {
        "notificationUrl": "https://api.integrator.example/ccv/",
        "notifyOnStatus": ["Completed", "Failed"],
    },
    "order": ORDER,
}
SENT_AS = {
    "cartURL": "cartUrl",
    "storeURL": "storeUrl",
    "statusURL": "statusUrl",
    "tradeName": "tradingName",
    "exludingTax": "excludingTax",
    "singleExludingTax": "singleExcludingTax",
    "oneOffPriceTaxAmount": "oneOffTaxAmount",
    "oneOffPriceTaxRate": "oneOffTaxRate",
}
REQUESTS: list[tuple[Any, dict[str, Any]]] = [
    (wire.StartOrder, START),
    (wire.AddSalesPackage, SALES),
    (wire.AddTerminalPackage, TERMINAL),
    (wire.AddPspStandalone, PSP),
    (wire.Submit, SUBMIT),
]


def respell(value: Any) -> Any:
    if isinstance(value, dict):
        return {SENT_AS.get(key, key): respell(part) for key, part in value.items()}
    return [respell(part) for part in value] if isinstance(value, list) else value


@pytest.mark.parametrize(("cls", "example"), REQUESTS)
def test_both_spellings_are_read_one_is_sent_and_nothing_is_lost(cls: Any, example: dict[str, Any]) -> None:
    assert to_json(wire.parse_request(cls, example)) == to_json(wire.parse_request(cls, respell(example))) == respell(example)


def in_spelling(value: Any, number: Any) -> Any:
    if isinstance(value, dict):
        return {key: in_spelling(part, number) for key, part in value.items()}
    if isinstance(value, list):
        return [in_spelling(part, number) for part in value]
    return number(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


@pytest.mark.parametrize(("cls", "example"), [(wire.AddSalesPackage, SALES), (wire.AddTerminalPackage, TERMINAL)])
def test_every_amount_may_be_a_decimal_or_a_float_with_noise(cls: Any, example: dict[str, Any]) -> None:
    plain = {**example, "order": {"x": "y"}}
    as_sent = to_json(wire.parse_request(cls, plain))
    for number in (float, lambda value: Decimal(str(value)), lambda value: value + 0.1 + 0.2 - 0.3):
        assert to_json(wire.parse_request(cls, in_spelling(plain, number))) == as_sent
    assert to_json(wire.parse_request(cls, in_spelling(plain, lambda value: Decimal(str(value)) + 1))) != as_sent


@pytest.mark.parametrize(("cls", "example"), REQUESTS)
def test_every_documented_field_of_the_examples_is_typed(cls: Any, example: dict[str, Any]) -> None:
    assert set(wire.parse_request(cls, example).extra) <= {"somethingNew"}


@pytest.mark.parametrize(
    ("cls", "example", "missing"),
    [
        (cls, example, name)
        for cls, example in REQUESTS
        for name in example
        if name
        not in {
            "termsAndConditions",
            "orderNotes",
            "companyContactPerson",
            "invoiceAccount",
            "somethingNew",
            "discount",
            "externalReference",
            "statusNotificationInformation",
        }
    ],
)
def test_a_missing_required_field_is_named(cls: Any, example: dict[str, Any], missing: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        wire.parse_request(cls, {name: value for name, value in example.items() if name != missing})
    assert (caught.value.field, caught.value.reason) == (SENT_AS.get(missing, missing), "missing")


@pytest.mark.parametrize(
    ("cls", "example", "change", "field"),
    [
        (wire.StartOrder, START, {"orderDate": "yesterday"}, "orderDate"),
        (wire.StartOrder, START, {"orderDate": "2017-07-21T17:32:28"}, "orderDate"),
        (wire.StartOrder, START, {"cartURL": " "}, "cartUrl"),
        (wire.StartOrder, START, {"storeInformation": {"cocNumber": "1"}}, "storeInformation.cocRegistry"),
        (wire.AddSalesPackage, SALES, {"periodPricingDetails": []}, "periodPricingDetails"),
        (wire.AddSalesPackage, SALES, {"order": "secret"}, "order"),
        (wire.AddPspStandalone, PSP, {"paymentMethods": "ideal"}, "paymentMethods"),
        (wire.AddTerminalPackage, TERMINAL, {"transactionFee": "secret"}, "transactionFee"),
        (wire.Submit, SUBMIT, {"order": {}}, "order"),
        (wire.Submit, SUBMIT, {"externalReference": ""}, "externalReference"),
        (wire.Submit, SUBMIT, {"notifyCustomerByEmail": "yes"}, "notifyCustomerByEmail"),
    ],
)
def test_a_malformed_request_is_refused_with_its_field_and_no_value(
    cls: Any, example: dict[str, Any], change: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        wire.parse_request(cls, example | change)
    assert caught.value.field == field
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://shop.example/n", "HTTP://shop.example", "ftp://x/", "/n", "https://", "https://a b/", "https://[x/"]
)
def test_a_notification_url_must_be_https(url: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        wire.parse_request(wire.Submit, SUBMIT | {"statusNotificationInformation": {"notificationUrl": url}})
    assert caught.value.field == "statusNotificationInformation.notificationUrl"


def test_http_passes_only_where_a_simulator_allows_it() -> None:
    notification = wire.StatusNotification("http://127.0.0.1:1/n", wire.ORDER_STATUSES)
    submit = wire.Submit(notify_customer_by_email=False, order=ORDER, status_notification_information=notification)
    submit.check(allow_http=True)
    with pytest.raises(InvalidInput, match="https"):
        submit.check()


def test_a_status_to_be_notified_of_must_be_one_of_the_twelve() -> None:
    notification = {"notificationUrl": "https://x.example/", "notifyOnStatus": ["Completed", "Cancelled"]}
    with pytest.raises(InvalidInput) as caught:
        wire.parse_request(wire.Submit, SUBMIT | {"statusNotificationInformation": notification})
    assert caught.value.field == "statusNotificationInformation.notifyOnStatus[1]"
    assert "Canceled" in caught.value.reason


def test_the_twelve_statuses_in_order() -> None:
    assert " ".join(wire.ORDER_STATUSES) == (
        "Processing Incomplete AwaitingPayment Screening New ErpInProgress "
        "FulfillmentInProgress FulfillmentDone Completed Closed Canceled Failed"
    )


@pytest.mark.parametrize(
    ("body", "location", "expected"),
    [
        (b'{"orderId": "A-1"}', None, "A-1"),
        (b'{"orderId": 17}', None, "17"),
        (b'{"reference": "R", "id": "I", "orderId": "O"}', "/order/L", "O"),
        (b'{"reference": "R", "id": "I"}', None, "I"),
        (b'{"orderId": "O"}', "http://[::1", "O"),
        (b'{"orderId": null, "reference": "R"}', None, "R"),
        (b'"A-1"', None, "A-1"),
        (b"17", None, "17"),
        (b"", "https://ccv.example/api/ordercompletion/reseller/order/a%2Fb", "a/b"),
        (b"{}", "/order/A-1/status", "A-1"),
        (b"  ", "A-1", "A-1"),
        (b'{"orderId": " A-1 "}', None, "A-1"),
        (b'{"orderId": "A-1\\n"}', None, "A-1"),
        (b'{"orderId": 12.0}', None, "12"),
        (b'{"orderId": "A\xff", "id": "I"}', None, "I"),
        (b'[{"orderId": "A-1"}]', None, "A-1"),
        (b"A-1", None, "A-1"),
        (b" A-1\r\n", None, "A-1"),
        (b"created", "/order/A-1", "A-1"),
        (b"C-2", "/order/A-1", "A-1"),
        (b'{"orderId": "A-1", "price": NaN, "contact": "K\xe5re"}', None, "A-1"),
    ],
)
def test_the_id_of_a_submitted_order(body: bytes, location: str | None, expected: str) -> None:
    answer = wire.parse_submit_response(body, location)
    assert (answer.order_id, answer.body) == (expected, body)


@pytest.mark.parametrize(
    ("body", "location"),
    [
        (b"", None),
        (b"{}", None),
        (b"null", None),
        (b"true", None),
        (b"[]", None),
        (b'""', None),
        (b'{"orderId": ""}', None),
        (b'{"orderId": true}', None),
        (b'{"orderId": {"value": "A"}}', None),
        (b'{"order": {"orderId": "A"}}', None),
        (b"{}", "/api/ordercompletion/reseller/order/"),
        (b"{}", "http://[::1"),
        (b"{}", "//[/order/A"),
        (b"<html>", None),
        (b"<html>", "/order/A"),
        (b'{"orderId": "A', None),
        (b"created", None),
        (b"order A-1", None),
        (b"A" * 100 + b"1", None),
        (b"A\xff1", None),
        (b'{"orderId": "A\xff1"}', None),
        (b'{"orderId": 12.5}', None),
        (b'{"orderId": 1e300}', None),
        (b'[{"orderId": "A"}, {"orderId": "B"}]', None),
        (b'{"orderId": " "}', None),
        (b'["A-1"]', None),
    ],
)
def test_without_an_id_the_response_is_malformed(body: bytes, location: str | None) -> None:
    with pytest.raises(MalformedAnswer):
        wire.parse_submit_response(body, location)


def test_the_fields_of_the_id_can_be_chosen() -> None:
    assert wire.parse_submit_response(b'{"orderId": "O", "number": "N"}', names=("number",)).order_id == "N"


@pytest.mark.parametrize(
    "body",
    [b'{"order": {"orderId": "A"}}', b'{"order.orderId": "A"}', b'{"order": [], "a": {"b": {"c": "A"}}}', b'[{"order": {"orderId": "A"}}]'],
)
def test_the_field_of_the_id_may_be_inside_another(body: bytes) -> None:
    assert wire.parse_submit_response(body, names=("order.orderId", "a.b.c")).order_id == "A"
    with pytest.raises(MalformedAnswer):
        wire.parse_submit_response(body, names=("orderId", "order", "a.b", "order.orderId.x"))


@pytest.mark.parametrize("status", [*wire.ORDER_STATUSES, "OnHold"])
def test_a_status_response(status: str) -> None:
    answer = wire.parse_status_response(json.dumps({"orderStatus": status, "externalReference": "123456"}).encode())
    assert (answer.order_status, answer.external_reference) == (status, "123456")
    assert isinstance(answer.order_status, wire.OrderStatus) == (status != "OnHold")


@pytest.mark.parametrize("body", [b'{"orderStatus":"New"}', b'{"orderStatus":"New","externalReference":null,"x":1}'])
def test_the_reference_may_be_absent_or_null(body: bytes) -> None:
    assert wire.parse_status_response(body).external_reference is None


@pytest.mark.parametrize("body", [b"", b"{}", b'{"orderStatus":null}', b'{"orderStatus":""}', b'{"orderStatus":1}', b"[]"])
def test_a_status_response_without_a_status_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        wire.parse_status_response(body)


def test_the_order_is_passed_on_unchanged() -> None:
    assert wire.parse_order(json.dumps(ORDER).encode()) == ORDER
    for body in (b"", b"[]", b"{}", b'"order"', b"<html>"):
        with pytest.raises(MalformedAnswer):
            wire.parse_order(body)


def test_an_id_is_escaped_in_the_path() -> None:
    assert wire.status_path("a/b?c d") == "/order/a%2Fb%3Fc%20d/status"


def test_repr_shows_no_personal_data() -> None:
    shown = repr(wire.parse_request(wire.StartOrder, START)) + repr(wire.parse_request(wire.Submit, SUBMIT))
    for private in ("a@shop.example", "bills@", "ring twice", "iban", "integrator.example"):
        assert private not in shown
