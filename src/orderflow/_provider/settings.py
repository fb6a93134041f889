"""Checks of a provider's settings: base URLs and secrets. They raise at start-up and never show a value."""

from __future__ import annotations

from urllib.parse import urlsplit

from orderflow._inputs import check_seconds
from orderflow.errors import ConfigurationError, InvalidInput


def check_base_url(name: str, url: object) -> str:
    """A configured base URL, without its trailing slash. ``name`` is the setting's name.

    Raises:
        ConfigurationError: not an absolute http or https URL in ASCII, or it has a user, a query or a fragment.
    """
    if not isinstance(url, str):  # often None: the value of a variable that is not set
        raise ConfigurationError("must be text", name)
    try:
        parts = urlsplit(url)
        port = parts.port  # raises where it is out of range
    except ValueError:
        raise ConfigurationError("not a URL", name) from None
    plain = url.isascii() and url.isprintable() and " " not in url and port != 0
    if not plain or parts.scheme not in ("http", "https") or not parts.hostname or "xn--." in f"{parts.hostname}.":
        raise ConfigurationError("must be an absolute http or https URL in ASCII", name)
    if "@" in parts.netloc or "?" in url or "#" in url:
        raise ConfigurationError("must carry no user, query or fragment", name)
    return url.rstrip("/")


def check_secret(name: str, value: object) -> str:
    """A configured key, secret or header, unchanged. ``name`` is the setting's name.

    Raises:
        ConfigurationError: not text, or with white space at an end or an unprintable character. The line end of a file is the usual cause.
    """
    if not isinstance(value, str):
        raise ConfigurationError("must be text", name)
    if value != value.strip() or not value.isprintable():
        raise ConfigurationError("must have no white space at its ends and no unprintable character, such as a line end", name)
    return value


def check_seconds_of(**settings: object) -> None:
    """Check that each of these settings is a number of seconds.

    Raises:
        ConfigurationError: names the first that is not.
    """
    for name, value in settings.items():
        try:
            check_seconds(name, value)
        except InvalidInput as error:
            raise ConfigurationError(error.reason, name) from None
