"""The settings, requests and commands of Connect, checked before anything is stored or sent."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from tests.kit.provider_answers import assert_no_canary
from tests.kit.world import CONNECT_SECRET, EMAIL, SHOP, Users, connect_at, connect_request

from orderflow._provider.protocol import Draft
from orderflow._providers.connect import CompletionWays, Connect
from orderflow.errors import ConfigurationError, InvalidInput, UnknownName

BASE = "https://connect.example"


def connect(**settings: Any) -> Connect:
    return connect_at(BASE, tokens=Users(), **settings)


# ── facts ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("request_", "facts"),
    [
        (connect_request("invoice"), {"to_pay": False, "by_sms": False, "api_allowed": True, "url_allowed": False}),
        (connect_request("free"), {"to_pay": False, "by_sms": False, "api_allowed": True}),
        (connect_request("creditcardPayex"), {"to_pay": True, "url_allowed": True, "api_allowed": False}),
        (connect_request("creditcardPayex", prepaid=True), {"to_pay": False, "url_allowed": False, "api_allowed": True}),
        (connect_request("sms"), {"to_pay": True, "by_sms": True, "api_allowed": True}),
        (connect_request("sms", prepaid=True), {"to_pay": False, "by_sms": False}),
        (connect_request("other"), {"url_allowed": False, "api_allowed": False}),
        (connect_request(digital=True), {"needs_user": True, "user_mode": False}),
        (connect_request(digital=True, user_mode=True), {"needs_user": False, "user_mode": True}),
        (connect_request(), {"needs_user": False, "way": "none", "claimed": "none", "grace": "running", "window": "open"}),
    ],
)
def test_a_request_derives_the_facts_that_guards_read(request_: dict[str, Any], facts: dict[str, Any]) -> None:
    draft = connect().draft(request_)
    assert facts.items() <= draft.facts.items()
    assert draft.facts.keys() == Connect.table.facts.keys()
    assert_no_canary(draft)


def test_a_configured_way_overrides_the_table() -> None:
    ours = {("creditcardPayex", True): CompletionWays(url=True, api=True, source="our contract", evidence="assumed")}
    facts = connect(ways=ours).draft(connect_request("creditcardPayex", prepaid=True)).facts
    assert (facts["url_allowed"], facts["api_allowed"]) == (True, True)


# ── requests ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _without(name: str) -> dict[str, Any]:
    request = connect_request()
    del request["order"][name]
    return request


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({}, "order"),
        ({"order": "text"}, "order"),
        ({"order": []}, "order"),
        (connect_request() | {"return_url": SHOP}, "return_url"),
        (connect_request() | {"user_mode": "yes"}, "user_mode"),
        (connect_request() | {"digital": 1}, "digital"),
        (_without("payer"), "payer"),
        (_without("orderLines"), "orderLines"),
        (_without("paymentMethod"), "order.paymentMethod"),
        (connect_request(payer={"lastName": "x", "postalCode": "1"}), "payer.emails"),
        (connect_request(payer="Kari"), "payer"),
        (connect_request(orderLines=[{"productSpecType": "boat"}]), "orderLines[0].productSpecType"),
        (connect_request(orderLines=[{"productSpecType": "product"}]), "orderLines[0].product"),
        (connect_request(orderLines="one"), "orderLines"),
        (connect_request(externalOrderId="x" * 41), "externalOrderId"),
        (connect_request(orderAmount="295"), "orderAmount"),
        (connect_request(prepaid=True, paymentInfo=None), "paymentInfo"),
        (connect_request(paymentInfo={"transactionId": "1"}), "paymentInfo"),
        (connect_request(marketingCouponCode="X"), "marketingCouponNumber"),
    ],
)
def test_a_malformed_request_is_refused_with_its_field(request_: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        connect().draft(request_)
    assert raised.value.field == field
    assert raised.value.reason
    assert_no_canary(raised.value)


def test_an_unknown_method_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownName, match="unknown payment method: 'barter'") as raised:
        connect().draft(connect_request("barter"))
    assert "invoice" in raised.value.known


def test_user_mode_needs_a_token_source() -> None:
    with pytest.raises(InvalidInput, match=r"^user_mode: needs a TokenSource"):
        connect_at(BASE).draft(connect_request(user_mode=True))


# ── return pages ───────────────────────────────────────────────────────────────────────────────────────────────────────

ALLOWED = ("https://shop.example/shop", "https://other.example:8443", "http://localhost:8000/")


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example/shop",
        "https://shop.example/shop/",
        "https://shop.example/shop/thanks?order=1&x=%2e%2e#top",
        "HTTPS://SHOP.example/shop/x",
        "https://other.example:8443",
        "https://other.example:8443/any/where",
        "http://localhost:8000/thanks",
    ],
)
def test_an_allowed_page_is_kept_unchanged(url: str) -> None:
    kept = connect(return_pages=ALLOWED).command("complete_by_url", {"return_url": url, "error_url": url})
    assert kept == {"return_page": url, "error_page": url}


@pytest.mark.parametrize(
    "url",
    [
        "/thanks",
        "thanks",
        "//evil.example/shop",
        "https:/shop.example/shop",
        "https:///shop.example/shop",
        "https://evil.example/shop",
        "https://shop.example.evil.example/shop",
        "https://evilshop.example/shop",
        "https://sub.shop.example/shop",
        "https://shop.example:444/shop",
        "https://shop.example:443/shop",
        "https://shop.example./shop",
        "http://shop.example/shop",
        "https://shop.example/",
        "https://shop.example/shopping",
        "https://shop.example@evil.example/shop",
        "https://evil.example@shop.example/shop",
        "https://user:pw@shop.example/shop",
        "https://shop.example\\@evil.example/shop",
        "https://evil.example\\shop.example/shop",
        "https://shop.example/shop\\..\\admin",
        "https://shop.example/shop/../admin",
        "https://shop.example/shop/%2e%2e/admin",
        "https://shop.example/shop/.%2E/admin",
        "https://shop.example/shop/..",
        "https://shop.example/shop x",
        "https://shop.example/shop\r\nSet-Cookie: a=b",
        "https://shop.example/shop\t",
        " https://shop.example/shop",
        "https://shop.example/shop\0",
        "https://shop.example/shop/tak€",
        "https://ѕhop.example/shop",  # noqa: RUF001  the point: a Cyrillic letter
        "https://shop.example:port/shop",
        "https://[shop.example/shop",
        "javascript:alert(1)//https://shop.example/shop",
        "data:text/html,x",
        "ftp://shop.example/shop",
        "",
        " ",
        7,
        ["https://shop.example/shop"],
    ],
)
@pytest.mark.parametrize("field", ["return_url", "error_url"])
def test_any_other_page_is_refused(url: object, field: str) -> None:
    arguments = {"return_url": "https://shop.example/shop", field: url}
    with pytest.raises(InvalidInput) as raised:
        connect(return_pages=ALLOWED).command("complete_by_url", arguments)
    assert raised.value.field == field
    assert "evil" not in str(raised.value)


def test_an_error_page_of_none_is_an_absent_one() -> None:
    one = connect(return_pages=ALLOWED)
    page = "https://shop.example/shop"
    spellings = ({"return_url": page}, {"return_url": page, "error_url": None}, {"return_url": page, "error_url": page})
    assert [one.command("complete_by_url", arguments) for arguments in spellings] == 3 * [{"return_page": page, "error_page": page}]
    with pytest.raises(InvalidInput, match=r"^return_url: "):
        one.command("complete_by_url", {"return_url": None})


def test_without_allowed_pages_every_page_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"^return_url: .*return_pages"):
        connect(return_pages=()).command("complete_by_url", {"return_url": f"{SHOP}/x"})


@pytest.mark.parametrize("page", ["shop.example", "/shop", "*", "https://*@shop.example", ""])
def test_an_allowed_page_that_is_no_url_is_a_configuration_error(page: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^return_pages: "):
        connect(return_pages=(page,))


# ── commands ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({}, "credential"),
        ({"credential": ""}, "credential"),
        ({"credential": "x" * 61}, "credential"),
        ({"credential": 4790012345}, "credential"),
        ({"credential": EMAIL, "is_send_message": True}, "overrideClientId"),
        ({"credential": EMAIL, "is_send_message": "yes"}, "isSendMessage"),
        ({"credential": EMAIL, "return_url": "/relative"}, "returnUrl"),
        ({"credential": EMAIL, "error_url": "//evil.example"}, "errorUrl"),
        ({"credential": EMAIL, "link_lifetime": "long"}, "linkLifetime"),
        ({"credential": EMAIL, "linkLifetime": 3}, "linkLifetime"),
        ({"credential": EMAIL, "extra": {}}, "extra"),
    ],
)
def test_a_malformed_assignment_is_refused_with_its_field(arguments: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        connect().command("assign_user", arguments)
    assert raised.value.field == field
    assert_no_canary(raised.value)


def test_a_credential_of_60_characters_is_accepted() -> None:
    arguments = {"credential": "x" * 60, "is_send_message": True, "override_client_id": "shop", "link_lifetime": 3}
    kept = connect().command("assign_user", arguments)
    assert kept == {"assignment": {"credential": "x" * 60, "isSendMessage": True, "overrideClientId": "shop", "linkLifetime": 3}}


@pytest.mark.parametrize("said", [{}, {"is_send_message": False}, {"is_send_message": None, "link_lifetime": None}])
def test_a_default_that_is_given_is_the_same_assignment(said: dict[str, Any]) -> None:
    kept = connect().command("assign_user", {"credential": EMAIL, **said})
    assert kept == {"assignment": {"credential": EMAIL, "isSendMessage": False}}


@pytest.mark.parametrize("quantity", [2, 2.0, Decimal(2), Decimal("2.00")], ids=repr)
def test_a_whole_number_is_understood_however_it_is_written(quantity: object) -> None:
    def draft(quantity: object) -> Draft:
        request = connect_request()
        line = {**request["order"]["orderLines"][0], "quantity": quantity}
        return connect().draft({**request, "order": {**request["order"], "orderLines": [line]}})

    assert draft(quantity).understood == draft(2).understood
    with pytest.raises(InvalidInput, match=r"quantity: expected a whole number"):
        draft(Decimal("2.5"))


@pytest.mark.parametrize("order_id", ["", "abc", "-1", "1.0", "\u0667", "1 4", "1\u200b", 14, None, "9" * 30, "0", "000"])
def test_an_order_id_that_is_no_whole_number_is_refused(order_id: object) -> None:
    with pytest.raises(InvalidInput, match=r"^order_id: "):
        connect().command("registration_resolved", {"order_id": order_id})


@pytest.mark.parametrize("order_id", ["14", "014", " 14\n", "\u00a014"])
def test_an_order_id_is_kept_as_connect_writes_it(order_id: str) -> None:
    assert connect().command("registration_resolved", {"order_id": order_id}) == {"provider_id": "14"}
    assert connect().check_provider_id(order_id) == "14"


@pytest.mark.parametrize("provider_id", ["", "abc", "-1", "1.0", "0", "../x", "#7", "9" * 30, None])
def test_no_other_text_is_an_id_of_connect(provider_id: object) -> None:
    with pytest.raises(InvalidInput, match=r"^provider_id: "):
        connect().check_provider_id(provider_id)


@pytest.mark.parametrize("command", ["register", "complete_by_api", "registration_given_up", "assignment_resolved"])
def test_other_events_take_no_argument(command: str) -> None:
    assert connect().command(command, {}) == {}
    with pytest.raises(InvalidInput, match=r"^why: unknown argument"):
        connect().command(command, {"why": "because"})


# ── configuration ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("api", "login"), [("connect.example", BASE), (BASE, "connect.example"), (BASE, "https://a:b@c")])
def test_an_unusable_base_url_is_a_configuration_error(api: str, login: str) -> None:
    with pytest.raises(ConfigurationError):
        Connect(api, login, "id", CONNECT_SECRET)


UNUSABLE = ["{}\n", " {}", "{} ", "\t{}", "{}\r\n", "\ufeff{}", "{}\0", "{}\u200b", None, b"bytes", 17]
"""A secret with what a file, a copied line or a missing variable leaves of it."""


@pytest.mark.parametrize("secret", UNUSABLE)
@pytest.mark.parametrize("name", ["client_id", "client_secret"])
def test_an_unusable_secret_is_a_configuration_error_that_does_not_show_it(name: str, secret: object) -> None:
    value = secret.format(CONNECT_SECRET) if isinstance(secret, str) else secret
    with pytest.raises(ConfigurationError, match=rf"^{name}: must ") as raised:
        connect_at(BASE, **{name: value})
    assert_no_canary(raised.value)


def test_the_place_of_the_credentials_is_one_of_three() -> None:
    """With any other they would go into the query, where logs keep them."""
    with pytest.raises(ConfigurationError, match=r"^credentials_in: must be one of basic, body, query$"):
        connect(credentials_in="header")


def test_no_repr_shows_the_secret() -> None:
    assert_no_canary(connect(), Connect.offline())
