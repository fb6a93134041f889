"""Which providers there are: found by entry point, named, their settings compared with their lifecycles. Nothing is called here."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from math import inf, isfinite

import attrs
import structlog

from orderflow.engine.calls import CALL_SHARE
from orderflow.errors import ConfigurationError, UnknownName
from orderflow.ports import Provider

_log = structlog.get_logger()
_GROUP = "orderflow.providers"
_LIMITLESS = ("calls_per_second", "calls_per_minute")  # may be infinite


def provider_factories() -> dict[str, Callable[..., Provider]]:
    """Every provider found by entry point (group ``orderflow.providers``), by name. One that cannot be imported is left out, aloud."""
    found: dict[str, Callable[..., Provider]] = {}
    for entry in sorted(entry_points(group=_GROUP), key=lambda entry: entry.name):
        try:
            found[entry.name] = entry.load()
        except Exception as error:  # noqa: BLE001  a stranger's package may raise anything; the others are not to suffer
            _log.warning("provider.broken", provider=entry.name, error=f"{type(error).__name__}: {error}")
    return found


def named(providers: Sequence[Provider | str]) -> dict[str, Provider]:
    """Providers by name; one given as a name only is found by entry point and called without arguments.

    Raises:
        ConfigurationError: given twice, or it needs to be configured; UnknownName: there is none of that name.
    """
    by_name: dict[str, Provider] = {}
    for given in providers:
        provider = _found(given) if isinstance(given, str) else given
        if provider.name in by_name:
            raise ConfigurationError(f"providers: {provider.name} is given twice")
        by_name[provider.name] = provider
    return by_name


def _found(name: str) -> Provider:
    factories = provider_factories()
    if name not in factories:
        raise UnknownName("provider", name, tuple(factories))
    try:
        inspect.signature(factories[name]).bind()
    except TypeError as error:
        raise ConfigurationError(f"providers: {name} needs to be configured, give an instance: {error}") from None
    return factories[name]()


def check_durations(provider: Provider) -> None:
    """Compare what the lifecycle's deadlines and budgets name, and how long its calls wait, with what is configured.

    A call is several waits, so one that falls silent more than once may still be cut before it ends by its own timeout.

    Raises:
        ConfigurationError: a duration is missing, a number is not finite, or one silence alone could last as long as a whole call may
            take: then even a call that never reached the provider would be in doubt.
    """
    _check_finite(provider)
    for info in provider.table.states.values():
        for key in (*(key for _, key in info.deadlines), *([info.budget] if info.budget else [])):
            if provider.timing.durations.get(key, -1.0) < 0:
                raise ConfigurationError(f"{provider.name}: timing has no duration {key!r}")
    timeout, lease = getattr(provider, "timeout", None), provider.timing.lease
    if timeout is not None and not 0 < timeout < CALL_SHARE * lease:
        bound = f"less than a whole call may take, {CALL_SHARE:g} of its lease ({lease:g} s)"
        raise ConfigurationError(f"{provider.name}: timeout ({timeout:g} s for one silence) must be more than nothing and {bound}")


def _check_finite(provider: Provider) -> None:
    """A moment without end cannot be stored, nor waited for."""
    numbers = attrs.asdict(provider.timing, recurse=False)
    named = {f"duration {key!r}": seconds for key, seconds in numbers.pop("durations").items()}
    for name, number in (numbers | named).items():
        if not isfinite(number) and not (name in _LIMITLESS and number == inf):
            raise ConfigurationError(f"{provider.name}: timing's {name} ({number:g}) must be finite")
