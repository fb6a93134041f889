"""Our signed URLs: each token opens one purpose of one order, and nothing else opens it."""

from __future__ import annotations

import pytest

from orderflow.errors import ConfigurationError
from orderflow.receiver.signed_urls import SignedUrls

KEY, OTHER = "a-link-key-of-tests", "another-key-of-tests"
LINKS = SignedUrls("https://us.example/orders/", {"k1": KEY})


def token(links: SignedUrls = LINKS, provider: str = "connect", purpose: str = "return", order: str = "connect-1") -> str:
    url = links.url(provider, purpose, order)
    assert url is not None
    return url.rpartition("/")[2]


def test_a_url_is_the_same_each_time_and_needs_no_escaping() -> None:
    url = LINKS.url("connect", "return", "connect-1")
    assert url == LINKS.url("connect", "return", "connect-1") == f"https://us.example/orders/connect/return/{token()}"
    assert all(c.isalnum() or c in ".-_" for c in token())
    assert LINKS.url("ccv", "notifications") == "https://us.example/orders/ccv/notifications"
    assert SignedUrls(None, {}).url("ccv", "notifications") is None


def test_a_token_opens_its_own_order_and_purpose_only() -> None:
    assert LINKS.order_of("connect", "return", token()) == "connect-1"
    assert LINKS.order_of("connect", "error", token()) is None
    assert LINKS.order_of("ccv", "return", token()) is None


def test_an_order_id_may_hold_dots() -> None:
    assert LINKS.order_of("connect", "return", token(order="a.b.c")) == "a.b.c"


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
def test_nothing_else_opens_anything(forged: str) -> None:
    assert LINKS.order_of("connect", "return", forged) is None


def test_keys_rotate_the_first_signs_all_verify() -> None:
    rotated = SignedUrls("https://us.example", {"k2": OTHER, "k1": KEY})
    assert rotated.order_of("connect", "return", token()) == "connect-1"
    assert token(rotated).startswith("k2.")
    assert LINKS.order_of("connect", "return", token(rotated)) is None
    retired = SignedUrls("https://us.example", {"k2": OTHER})
    assert retired.order_of("connect", "return", token()) is None
    swapped = SignedUrls("https://us.example", {"k1": OTHER})  # the same id, another key
    assert swapped.order_of("connect", "return", token()) is None


@pytest.mark.parametrize("keys", [{}, {"k": "short"}, {"": KEY}, {"k.1": KEY}, {"k/1": KEY}, {"ké": KEY}, {"k1": KEY, "k2": ""}])
def test_keys_that_sign_badly_are_a_configuration_error(keys: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match=r"^signing_keys: ") as refused:
        SignedUrls("https://us.example", keys)
    assert KEY not in str(refused.value)


@pytest.mark.parametrize("key", [f"{KEY}\n", f" {KEY}", f"{KEY}\t", f"\ufeff{KEY}", f"{KEY}\0", f"{KEY}\r\n{KEY}", 17 * 10**16, None])
def test_a_key_as_a_file_leaves_it_is_a_configuration_error(key: object) -> None:
    """Two processes that read it otherwise would not open each other's URLs."""
    with pytest.raises(ConfigurationError, match=r"^signing_keys: must ") as refused:
        SignedUrls("https://us.example", {"k1": key})  # type: ignore[dict-item]
    assert KEY not in str(refused.value)


def test_a_key_of_bytes_is_taken_as_it_is() -> None:
    links = SignedUrls("https://us.example", {"k1": b"\n" * 16})
    assert links.order_of("connect", "return", token(links)) == "connect-1"


@pytest.mark.parametrize(
    "public",
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
def test_a_public_url_that_nobody_could_call_is_a_configuration_error(public: object) -> None:
    with pytest.raises(ConfigurationError, match=r"^public_url: ") as refused:
        SignedUrls(public, {"k1": KEY})  # type: ignore[arg-type]
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize(
    "public", ["https://us.example", "http://127.0.0.1:8000/", "https://us.example:8443/a/b//", "https://[::1]/orders"]
)
def test_a_public_url_is_kept_but_for_its_last_slashes(public: str) -> None:
    assert SignedUrls(public, {"k1": KEY}).url("ccv", "notifications") == f"{public.rstrip('/')}/ccv/notifications"


def test_no_repr_shows_a_key() -> None:
    assert KEY not in repr(LINKS)
