"""The checks of base URLs and secrets: what cannot work is refused, and never shown."""

from __future__ import annotations

import pytest

from orderflow._provider.settings import check_base_url, check_secret
from orderflow.errors import ConfigurationError


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080/capi", "https://connect.example", "https://[::1]:443/user/"])
def test_a_base_url_is_kept_without_its_slash(url: str) -> None:
    assert check_base_url("api", url) == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    [
        *("", "connect.example", "/capi", "//connect.example", "ftp://connect.example"),
        *("http://", "http://[::1", "http://xn--/", "http://x.xn--/", "http://exämple/", "http://ex ample/"),
        *("http://x:99999/", "http://x:0/", "http://x:port/", "http://x/\n", "http://x\0/"),
        *("https://user@x/", "https://user:canary@x/", "https://x/?key=canary", "https://x/#part"),
    ],
)
def test_a_base_url_that_leads_nowhere_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^api: ") as raised:
        check_base_url("api", url)
    assert "canary" not in str(raised.value)


def test_a_secret_is_kept_unchanged() -> None:
    assert check_secret("key", "s p:a%c+e&=é") == "s p:a%c+e&=é"


@pytest.mark.parametrize("value", ["canary\n", " canary", "canary\t", "\ufeffcanary", "can\0ary", None, b"canary", 17])
def test_a_secret_with_a_line_end_or_of_another_type_is_a_configuration_error(value: object) -> None:
    with pytest.raises(ConfigurationError, match=r"^key: must ") as raised:
        check_secret("key", value)
    assert "canary" not in str(raised.value)
