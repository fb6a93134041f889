"""Our signed URLs: a token authorises one purpose of one order, and nothing else does."""

from __future__ import annotations

import pytest

from orderflow._receiver.signed_urls import SignedUrls
from orderflow.errors import ConfigurationError

KEY, OTHER_KEY = "a-link-key-of-tests", "another-key-of-tests"
URLS = SignedUrls("https://us.example/orders/", {"k1": KEY})


def token(urls: SignedUrls = URLS, provider: str = "connect", purpose: str = "return", order: str = "connect-1") -> str:
    url = urls.url(provider, purpose, order)
    assert url is not None
    return url.rpartition("/")[2]


# ── tokens ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_url_is_the_same_each_time_and_needs_no_escaping() -> None:
    url = URLS.url("connect", "return", "connect-1")
    assert url == URLS.url("connect", "return", "connect-1") == f"https://us.example/orders/connect/return/{token()}"
    assert all(c.isalnum() or c in ".-_" for c in token())
    assert URLS.url("ccv", "notifications") == "https://us.example/orders/ccv/notifications"
    assert SignedUrls(None, {}).url("ccv", "notifications") is None


def test_a_token_is_valid_for_its_own_order_and_purpose_only() -> None:
    assert URLS.order_of("connect", "return", token()) == "connect-1"
    assert URLS.order_of("connect", "error", token()) is None
    assert URLS.order_of("ccv", "return", token()) is None


def test_an_order_id_may_contain_dots() -> None:
    assert URLS.order_of("connect", "return", token(order="a.b.c")) == "a.b.c"


@pytest.mark.parametrize(
    "forged",
    [
        "",
        ".",
        "..",
        "k1",
        "k1.",
        "k1..",
        "k1.connect-1",
        "k1.connect-1.",
        token().replace("connect-1", "connect-2"),
        token().replace("k1.", "k2."),
        token().replace("k1.", "."),
        token()[:-1],
        token() + "A",
        token() + "=",
        token() + "/",
        token().upper(),
        token().removeprefix("k1."),
        "k1.connect-1\0." + token().rpartition(".")[2],
        "k1.connect-1.ÿ\ud800",
        "k1.\ud800.x",
        "k1." + "x" * 100_000,
    ],
)
def test_a_forged_token_is_valid_for_nothing(forged: str) -> None:
    assert URLS.order_of("connect", "return", forged) is None


# ── keys ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_first_key_signs_and_all_keys_verify() -> None:
    rotated = SignedUrls("https://us.example", {"k2": OTHER_KEY, "k1": KEY})
    assert rotated.order_of("connect", "return", token()) == "connect-1"
    assert token(rotated).startswith("k2.")
    assert URLS.order_of("connect", "return", token(rotated)) is None
    retired = SignedUrls("https://us.example", {"k2": OTHER_KEY})
    assert retired.order_of("connect", "return", token()) is None
    replaced = SignedUrls("https://us.example", {"k1": OTHER_KEY})  # the same id, another key
    assert replaced.order_of("connect", "return", token()) is None


@pytest.mark.parametrize("keys", [{}, {"k": "short"}, {"": KEY}, {"k.1": KEY}, {"k/1": KEY}, {"ké": KEY}, {"k1": KEY, "k2": ""}])
def test_keys_that_are_missing_or_malformed_are_a_configuration_error(keys: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match=r"^signing_keys: ") as error:
        SignedUrls("https://us.example", keys)
    assert KEY not in str(error.value)


@pytest.mark.parametrize("key", [f"{KEY}\n", f" {KEY}", f"{KEY}\t", f"\ufeff{KEY}", f"{KEY}\0", f"{KEY}\r\n{KEY}", 17 * 10**16, None])
def test_a_key_with_white_space_at_an_end_is_a_configuration_error(key: object) -> None:
    """As a file may leave it. Another process that strips it would not accept our tokens."""
    with pytest.raises(ConfigurationError, match=r"^signing_keys: must ") as error:
        SignedUrls("https://us.example", {"k1": key})  # type: ignore[dict-item]
    assert KEY not in str(error.value)


def test_a_key_of_bytes_is_used_as_it_is() -> None:
    urls = SignedUrls("https://us.example", {"k1": b"\n" * 16})
    assert urls.order_of("connect", "return", token(urls)) == "connect-1"


def test_no_repr_shows_a_key() -> None:
    assert KEY not in repr(URLS)


# ── the public URL ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "public_url",
    [
        "us.example/orders",
        "//us.example/orders",
        "/orders",
        "us.example:8000",
        "ftp://us.example",
        "https://",
        "https:///orders",
        "https://us.example:port",
        " https://us.example",
        "https://us.example ",
        "https://us.example/orders\n",
        "https://us.example/my orders",
        "https://us.example/orders?",
        "https://us.example/orders?shop=1",
        "https://us.example/orders#",
        "https://us.example/#/orders",
        "https://us.example/?#",
        "https://anna:secret-canary@us.example",
        "https://anna@us.example",
        "https://üs.example",
        "https://us.example/\ufeff",
        b"https://us.example",
        17,
    ],
)
def test_a_public_url_that_cannot_be_called_is_a_configuration_error(public_url: object) -> None:
    with pytest.raises(ConfigurationError, match=r"^public_url: ") as error:
        SignedUrls(public_url, {"k1": KEY})  # type: ignore[arg-type]
    assert "canary" not in str(error.value)


@pytest.mark.parametrize(
    "public_url", ["https://us.example", "http://127.0.0.1:8000/", "https://us.example:8443/a/b//", "https://[::1]/orders"]
)
def test_a_public_url_is_used_without_its_last_slashes(public_url: str) -> None:
    assert SignedUrls(public_url, {"k1": KEY}).url("ccv", "notifications") == f"{public_url.rstrip('/')}/ccv/notifications"
