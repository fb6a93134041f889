"""Which providers there are: found by entry point, named, their settings compared with their lifecycles. Nothing is called here."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from importlib.metadata import entry_points

import structlog

from orderflow.errors import ConfigurationError, UnknownName
from orderflow.provider.protocol import Provider

_log = structlog.get_logger()
_GROUP = "orderflow.providers"


def find_provider_factories() -> dict[str, Callable[..., Provider]]:
    """Every provider found by entry point (group ``orderflow.providers``), by name. One that cannot be imported is left out, aloud."""
    found: dict[str, Callable[..., Provider]] = {}
    for entry in sorted(entry_points(group=_GROUP), key=lambda entry: entry.name):
        try:
            found[entry.name] = entry.load()
        except Exception as error:  # noqa: BLE001  a stranger's package may raise anything; the others are not to suffer
            _log.warning("provider.broken", provider=entry.name, error=f"{type(error).__name__}: {error}")
    return found


def resolve_providers(providers: Sequence[Provider | str]) -> dict[str, Provider]:
    """Providers by name; one given as a name only is found by entry point and called without arguments.

    Raises:
        ConfigurationError: given twice, or it needs to be configured; UnknownName: there is none of that name.
    """
    by_name: dict[str, Provider] = {}
    for given in providers:
        provider = _found(given) if isinstance(given, str) else given
        if provider.name in by_name:
            raise ConfigurationError(f"{provider.name} is given twice", "providers")
        by_name[provider.name] = provider
    return by_name


def _found(name: str) -> Provider:
    factories = find_provider_factories()
    if name not in factories:
        raise UnknownName("provider", name, tuple(factories))
    try:
        inspect.signature(factories[name]).bind()
    except TypeError as error:
        raise ConfigurationError(f"{name} needs to be configured, give an instance: {error}", "providers") from None
    return factories[name]()
