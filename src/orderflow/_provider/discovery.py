"""Which providers are installed, and which of them an application uses. No provider is called here."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import entry_points
from typing import Any

from orderflow._provider.protocol import BaseProvider, Provider
from orderflow._provider.timing import check_timing
from orderflow._telemetry.log import get_logger
from orderflow.errors import ConfigurationError, UnknownName

_log = get_logger(__name__)
_GROUP = "orderflow.providers"


def find_provider_factories() -> dict[str, Callable[..., Provider]]:
    """The class or function of every installed provider, by name (entry points in the group ``orderflow.providers``).

    A provider that cannot be imported is logged and left out.
    """
    factories: dict[str, Callable[..., Provider]] = {}
    for entry in sorted(entry_points(group=_GROUP), key=lambda entry: entry.name):
        try:
            factories[entry.name] = entry.load()
        except Exception as error:  # noqa: BLE001  foreign code may raise anything, and the other providers must still be found
            _log.warning("provider.import_failed", provider=entry.name, error=f"{type(error).__name__}: {error}")
    return factories


def resolve_providers(providers: Sequence[Provider | str]) -> dict[str, Provider]:
    """Providers by name. One that is given by its name is found by entry point and made without arguments.

    Raises:
        ConfigurationError: a provider is given twice, or needs settings.
        UnknownName: no provider of that name is installed.
    """
    by_name: dict[str, Provider] = {}
    for given in providers:
        provider = _make_provider(given) if isinstance(given, str) else given
        if provider.name in by_name:
            raise ConfigurationError(f"{provider.name} is given twice", "providers")
        by_name[provider.name] = provider
    return by_name


def check_timings(providers: Iterable[Provider]) -> None:
    """Check the timing of each of these providers. Raises ConfigurationError."""
    for provider in providers:
        check_timing(provider.name, provider.table, provider.timing, provider.timeout)


def make_offline_providers() -> list[Provider]:
    """Every installed provider that can be made without settings, for looking at stored orders. See ``Provider.offline``."""
    factories = find_provider_factories().values()
    classes = [factory for factory in factories if inspect.isclass(factory) and issubclass(factory, BaseProvider)]
    providers: list[Any] = [provider_class.offline() for provider_class in classes]
    return [provider for provider in providers if provider is not None]


def _make_provider(name: str) -> Provider:
    factories = find_provider_factories()
    if name not in factories:
        raise UnknownName("provider", name, tuple(factories))
    try:
        inspect.signature(factories[name]).bind()
    except TypeError as error:
        raise ConfigurationError(f"{name} needs to be configured, give an instance: {error}", "providers") from None
    return factories[name]()
