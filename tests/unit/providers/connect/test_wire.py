"""Connect's JSON: what is read, what is kept, what is refused."""

from decimal import Decimal
from typing import Any

import pytest
from attrs import evolve

from orderflow._provider.wire import parse_record, to_json
from orderflow._providers.connect import wire
from orderflow.errors import InvalidInput, MalformedAnswer

PAYER = wire.Person(last_name="Hansen", postal_code="0150", emails=("kari@example.org",))
LINE = wire.OrderLine(product_spec_type="coupon", product_spec_code="WEB", product_spec_no=7, unit_price=295)
ORDER = wire.OrderRequest(payer=PAYER, order_lines=(LINE,), external_order_id="cart-17", payment_method="invoice")


# ── requests on the wire ───────────────────────────────────────────────────────────────────────────────────────────────


def test_an_order_is_spelled_as_connect_spells_it() -> None:
    line = evolve(LINE, allow_access_product="WEB", allow_access_seconds=3600, start_info=wire.StartInfo("2027-01-01"))
    order = evolve(ORDER, order_lines=(line,), order_amount=Decimal("295.50"), currency="NOK", recurring=True)
    assert to_json(order.check()) == {
        "payer": {"lastName": "Hansen", "postalCode": "0150", "emails": ["kari@example.org"]},
        "orderLines": [
            {
                "productSpecType": "coupon",
                "productSpecCode": "WEB",
                "productSpecNo": 7,
                "unitPrice": 295,
                "allowAccessProduct": "WEB",
                "allowAccessSeconds": 3600,
                "startInfo": {"startDate": "2027-01-01"},
            }
        ],
        "externalOrderId": "cart-17",
        "paymentMethod": "invoice",
        "orderAmount": 295.5,
        "currency": "NOK",
        "recurring": True,
        "prepaid": False,
    }


@pytest.mark.parametrize(
    ("amount", "sent"), [(Decimal("295.00"), 295), (Decimal("0.1"), 0.1), (295, 295), (2.5, 2.5), (295.0, 295), (3 * 19.9, 59.7)]
)
def test_an_amount_may_be_decimal_int_or_float(amount: Any, sent: float) -> None:
    assert repr(to_json(evolve(ORDER, order_amount=amount))["orderAmount"]) == repr(sent)


def test_a_request_takes_decimals_and_floats_with_noise() -> None:
    def read(amount: object) -> object:
        payload = {**to_json(ORDER), "orderAmount": amount, "orderLines": [{**to_json(LINE), "unitPrice": amount}]}
        return to_json(wire.parse_order_request(payload))

    assert read(Decimal("59.70")) == read(59.7) == read(3 * 19.9)
    assert wire.OrderLine("coupon", unit_price=Decimal("0.125")).unit_price == 0.125


def test_unknown_fields_are_kept_and_sent_back() -> None:
    payload = {**to_json(ORDER), "giftWrap": True, "payer": {**to_json(PAYER), "title": "Dr"}}
    order = wire.parse_order_request(payload)
    assert order.extra == {"giftWrap": True}
    assert to_json(order) == payload


def test_the_other_requests_are_spelled_as_connect_spells_them() -> None:
    assert to_json(wire.FulfillmentRequest("14", "https://shop.example/cb").check()) == {
        "orderId": 14,
        "callbackUrl": "https://shop.example/cb",
    }
    assert to_json(wire.SearchRequest(external_order_id="cart-17").check()) == {"externalOrderId": "cart-17"}
    assert to_json(wire.SearchRequest(order_id="14").check()) == {"orderId": 14}
    assign = wire.AssignRequest("kari@example.org", True, "no.mediaconnect", "https://shop.example/in", None, 2)
    assert to_json(assign.check()) == {
        "credential": "kari@example.org",
        "isSendMessage": True,
        "overrideClientId": "no.mediaconnect",
        "returnUrl": "https://shop.example/in",
        "linkLifetime": 2,
    }


# ── requests refused ───────────────────────────────────────────────────────────────────────────────────────────────────


def line(**fields: Any) -> wire.OrderRequest:
    return evolve(ORDER, order_lines=(LINE, wire.OrderLine(**fields)))


WRONG_ORDERS = [
    (evolve(ORDER, payer=None), "payer"),
    (evolve(ORDER, payer=evolve(PAYER, last_name="")), "payer.lastName"),
    (evolve(ORDER, payer=evolve(PAYER, postal_code=None)), "payer.postalCode"),
    (evolve(ORDER, payer=evolve(PAYER, emails=())), "payer.emails"),
    (evolve(ORDER, order_lines=()), "orderLines"),
    (line(product_spec_type="cupon"), "orderLines[1].productSpecType"),
    (line(product_spec_type="coupon", product_spec_code="WEB"), "orderLines[1].productSpecNo"),
    (line(product_spec_type="coupon", product_spec_no=7), "orderLines[1].productSpecCode"),
    (line(product_spec_type="product"), "orderLines[1].product"),
    (line(product_spec_type="issue", product_spec_code="WEB", product_spec_no=7), "orderLines[1].product"),
    (line(product_spec_type="article"), "orderLines[1].articleDetail"),
    (line(product_spec_type="product", product="X", unit_price=Decimal("NaN")), "orderLines[1].unitPrice"),
    (evolve(ORDER, external_order_id="x" * 41), "externalOrderId"),
    (evolve(ORDER, order_amount=float("inf")), "orderAmount"),
    (evolve(ORDER, order_amount=True), "orderAmount"),
    (evolve(ORDER, order_amount=59.695), "orderAmount"),
    (evolve(ORDER, order_amount=Decimal("59.695")), "orderAmount"),
    (evolve(ORDER, prepaid=True), "paymentInfo"),
    (evolve(ORDER, payment_info_payex=wire.PaymentInfo(ticket="t")), "paymentInfoPayex"),
    (evolve(ORDER, extra={"paymentInfoNexi": {}}), "paymentInfoNexi"),
    (evolve(ORDER, marketing_coupon_code="SPRING"), "marketingCouponNumber"),
    (evolve(ORDER, marketing_coupon_number=3), "marketingCouponCode"),
]


@pytest.mark.parametrize(("order", "field"), WRONG_ORDERS)
def test_a_wrong_order_is_refused_with_its_field(order: wire.OrderRequest, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        order.check()
    assert caught.value.field == field
    assert "Hansen" not in str(caught.value)


@pytest.mark.parametrize(
    "order",
    [
        evolve(ORDER, payer=wire.Person(company_name="Avis AS", postal_code="0150", phone_numbers=("+4790000000",))),
        evolve(ORDER, external_order_id="x" * 40),
        evolve(ORDER, prepaid=True, payment_info_payex=wire.PaymentInfo(transaction_id=88)),
        evolve(ORDER, prepaid=True, payment_info=wire.PaymentInfo(ticket="t")),
        evolve(ORDER, prepaid=True, extra={"paymentInfoNexi": {"contract": "c"}}),
        evolve(ORDER, marketing_coupon_code="SPRING", marketing_coupon_number=0),
        line(product_spec_type="issue", product_spec_code="WEB", product_spec_no=0, product="2026-47"),
        line(product_spec_type="article", article_detail={"articleId": "a1"}),
    ],
)
def test_an_order_that_keeps_the_rules_passes(order: wire.OrderRequest) -> None:
    assert order.check() == order


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        ([], "OrderRequest"),
        ({**to_json(ORDER), "payer": "Hansen"}, "payer"),
        ({**to_json(ORDER), "orderLines": [{"productSpecNo": "7", "productSpecType": "coupon"}]}, "orderLines[0]"),
        ({**to_json(ORDER), "prepaid": "yes"}, "prepaid"),
    ],
)
def test_a_malformed_payload_is_invalid_input_and_no_value_is_quoted(payload: object, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        wire.parse_order_request(payload)
    assert caught.value.field.startswith(field)
    assert "Hansen" not in str(caught.value)


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (wire.AssignRequest(""), "credential"),
        (wire.AssignRequest("k" * 61), "credential"),
        (wire.AssignRequest("kari@example.org", is_send_message=True), "overrideClientId"),
        (wire.AssignRequest("kari@example.org", return_url="/in"), "returnUrl"),
        (wire.FulfillmentRequest(14, "shop.example/cb"), "callbackUrl"),
        (wire.SearchRequest(), "orderId"),
        (wire.SearchRequest(14, "cart-17"), "orderId"),
        (wire.SearchRequest(external_order_id="x" * 41), "externalOrderId"),
    ],
)
def test_the_other_requests_are_refused_with_their_field(request_: Any, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        request_.check()
    assert caught.value.field == field
    assert "kari" not in str(caught.value)


def test_an_order_id_that_is_no_whole_number_is_refused() -> None:
    with pytest.raises(InvalidInput, match="orderId: must be a whole number"):
        wire.FulfillmentRequest("../admin")


def test_a_credential_of_sixty_characters_passes() -> None:
    assert wire.AssignRequest("k" * 60).check().credential == "k" * 60


# ── responses ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("order_id", [14, "14"], ids=["integer", "digits"])
def test_an_order_id_is_an_integer_or_its_digits_and_becomes_text(order_id: object) -> None:
    answer = parse_record(wire.RegisterResponse, {"orderId": order_id, "colour": "blue"})
    assert answer.order_id == "14"
    assert answer.extra == {"colour": "blue"}


@pytest.mark.parametrize("body", [{}, {"orderId": None}, {"orderId": ""}, {"orderId": True}, {"orderId": 1.5}, [14]])
def test_a_register_response_without_a_usable_order_id_is_malformed(body: object) -> None:
    with pytest.raises(MalformedAnswer):
        parse_record(wire.RegisterResponse, body)


@pytest.mark.parametrize(
    ("body", "status", "order_id"),
    [
        ({"fulfillmentStatus": "OK", "orderId": None}, wire.ApiStatus.OK, None),
        ({"fulfillmentStatus": "OK", "orderId": 14}, wire.ApiStatus.OK, "14"),
        ({"fulfillmentStatus": "ERROR", "orderId": 14, "errorMessage": "no"}, wire.ApiStatus.ERROR, "14"),
        ({"fulfillmentStatus": "ERROR"}, wire.ApiStatus.ERROR, None),
        ({"fulfillmentStatus": "PENDING"}, "PENDING", None),
        ({}, None, None),
    ],
)
def test_the_fulfillment_response_in_all_its_forms(body: object, status: object, order_id: object) -> None:
    answer = parse_record(wire.FulfillmentResponse, body)
    assert answer.fulfillment_status == status
    assert type(answer.fulfillment_status) is type(status)
    assert answer.order_id == order_id


def test_no_vocabulary_of_fulfillment_status_accepts_values_of_the_others() -> None:
    for vocabulary, foreign in (
        (wire.ReturnStatus, ("failed", "OK", "ERROR")),
        (wire.CallbackStatus, ("cancel", "error", "unknown", "OK")),
        (wire.ApiStatus, ("success", "failed", "error")),
    ):
        for value in foreign:
            with pytest.raises(ValueError, match="not a valid"):
                vocabulary(value)


def read_orders(*rows: object) -> list[wire.ListedOrder]:
    """The orders of an answer that lists these; raises the error of one that cannot be read."""
    orders = []
    for listed in wire.parse_listed_orders({"orders": rows}):
        if isinstance(listed, MalformedAnswer):
            raise listed
        orders.append(listed)
    return orders


def test_the_documented_order_status_example_is_read() -> None:
    row = {"orderId": 9, "externalOrderId": "2342", "orderTime": 1559372400000, "orderStatus": "preliminary"}
    (order,) = read_orders({**row, "orderAmount": 295, "customerNumber": 563457})
    assert (order.order_id, order.external_order_id, order.order_status) == ("9", "2342", "preliminary")
    assert order.amount == Decimal(295)
    assert order.order_time == 1559372400000


@pytest.mark.parametrize("amount", [None, "", "free of charge"])
def test_an_order_without_amount_or_external_id_and_with_a_new_status_is_read(amount: object) -> None:
    row = {"orderId": 9, "externalOrderId": None, "orderStatus": "somethingNew", "orderAmount": amount}
    (order,) = read_orders(row)
    assert order.order_status == "somethingNew"
    assert order.external_order_id is None
    assert order.amount is None


def test_search_order_details_reads_its_lines() -> None:
    line = {"productId": 3, "invoiceTime": 1560290400, "invoiceStatus": "notInvoiced", "deliveryStatus": "waiting"}
    (order,) = read_orders({"orderId": 9, "orderLines": [line]})
    assert order.order_lines is not None
    assert order.order_lines[0].delivery_status == "waiting"


def test_a_status_response_of_another_shape_names_the_field() -> None:
    with pytest.raises(MalformedAnswer, match="ListedOrder: orderId: missing"):
        read_orders({"orderStatus": "preliminary"})
    with pytest.raises(MalformedAnswer, match="orders: missing"):
        wire.parse_listed_orders({})


def test_the_bodies_of_assign_user_and_of_errors_are_read() -> None:
    assigned = parse_record(wire.AssignResponse, {"orderId": 14, "uniqueUserId": "ab", "isNewUser": True, "isPasswordSet": False})
    assert (assigned.is_new_user, assigned.is_password_set, assigned.unique_user_id) == (True, False, "ab")
    refused = parse_record(wire.ErrorResponse, {"exceptionType": "ValidationException", "errorMessage": "postalCode"})
    assert (refused.exception_type, refused.error_message) == ("ValidationException", "postalCode")
    oauth = parse_record(wire.OAuthErrorResponse, {"error": "invalid_grant", "error_description": "expired"})
    assert (oauth.error, oauth.error_description) == ("invalid_grant", "expired")


def test_repr_shows_neither_customers_nor_secrets() -> None:
    prepaid = evolve(ORDER, prepaid=True, payment_info=wire.PaymentInfo(card_number_masked="s3cret"))
    for record in (
        PAYER,
        prepaid,
        evolve(LINE, receiver=PAYER, extra={"note": "s3cret"}),
        wire.AssignRequest("kari@example.org"),
        wire.FulfillmentRequest(14, "https://shop.example/cb/s3cret"),
        wire.FulfillmentResponse("ERROR", None, "kari@example.org is wrong"),
    ):
        assert not any(secret in repr(record) for secret in ("Hansen", "kari", "s3cret"))
