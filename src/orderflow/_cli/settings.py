"""The settings of ``orderflow worker`` without a module: read from the environment, made into providers and values.

    ORDERFLOW_DB, ORDERFLOW_DISPATCH    as --db and --dispatch, which come first
    ORDERFLOW_PUBLIC_URL                where the receiver is mounted
    ORDERFLOW_SIGNING_KEYS              k2=key,k1=key: the first signs, all verify
    ORDERFLOW_PROVIDERS                 connect,ccv: if absent, each provider for which a variable is set
    ORDERFLOW_<PROVIDER>_<ARGUMENT>     an argument of the provider: text, a number, true or false, a list a,b,c

Each may be given as ``..._FILE`` instead: the name of a file that holds the value. An empty variable counts as absent. Arguments of other
types (a ``Timing``, a token source) need ``orderflow worker module:name``. No message shows a value.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, get_type_hints

from attrs import field, frozen

from orderflow._cli.environment import PREFIX, name_settings, option_sources, read_variables, source_of, variable_of
from orderflow._cli.text_values import parse_keys, parse_list, parse_text, takes_text
from orderflow._dispatch import NAMES
from orderflow._provider.discovery import find_provider_factories
from orderflow._provider.protocol import Provider
from orderflow._telemetry.log import get_logger
from orderflow.errors import ConfigurationError

_log = get_logger(__name__)
_GENERAL = frozenset(
    variable_of(name) for name in ("db", "dispatch", "public_url", "signing_keys", "providers", "health", "grace", "log_level")
)
_NEEDS_CODE = "{} has an argument that no variable can give ({}): use orderflow worker module:name"
Factory = Callable[..., Provider]


@frozen
class Settings:
    """What the environment says.

    Attributes:
        sources: by argument of ``Orderflow``, the option, variable or file that gives it.
    """

    db: str = field(repr=False)  # a URL may hold a password
    providers: tuple[Provider, ...]
    public_url: str | None
    signing_keys: Mapping[str, str] = field(repr=False)
    dispatch: str
    sources: Mapping[str, str]


def load_settings(environment: Mapping[str, str], *, db: str | None = None, dispatch: str | None = None) -> Settings:
    """The settings that these variables and options give. A variable that belongs to nothing, or to no configured provider, is logged.

    Raises:
        ConfigurationError: a variable is missing, unknown, malformed or not readable.
    """
    variables = read_variables(environment)
    general = ("public_url", "signing_keys", "providers")
    sources = option_sources(environment, db=db, dispatch=dispatch, **dict.fromkeys(general))
    with name_settings(sources):
        return Settings(
            db=db or _require(variables, [variable_of("db")])[0],
            providers=tuple(_make_providers(variables, environment)),
            public_url=variables.get(variable_of("public_url")),
            signing_keys=_parse("signing_keys", parse_keys, variables.get(variable_of("signing_keys"), "")),
            dispatch=_check_dispatch(dispatch or variables.get(variable_of("dispatch"), "local")),
            sources=sources,
        )


def _require(variables: Mapping[str, str], names: Sequence[str]) -> list[str]:
    missing = sorted(name for name in names if name not in variables)
    if missing:
        raise ConfigurationError(f"not set, nor as ..._FILE: {', '.join(missing)}")
    return [variables[name] for name in names]


def _parse(setting: str, parse: Callable[[str], Any], text: str) -> Any:
    try:
        return parse(text)
    except ValueError as error:
        raise ConfigurationError(str(error), setting) from None


def _check_dispatch(dispatch: str) -> str:
    if dispatch not in NAMES:
        raise ConfigurationError(f"must be one of {', '.join(NAMES)}", "dispatch")
    return dispatch


# ── providers ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _make_providers(variables: Mapping[str, str], environment: Mapping[str, str]) -> list[Provider]:
    factories = find_provider_factories()
    named = parse_list(variables.get(variable_of("providers"), ""))
    by_provider = _variables_by_provider(variables, (*named, *factories))
    _warn("setting.unknown", variables.keys() - _GENERAL - {variable for own in by_provider.values() for variable in own})
    names = named or tuple(name for name in factories if name in by_provider)
    if not names:
        raise ConfigurationError(f"no provider is configured: set {variable_of('providers')}, or the variables of {', '.join(factories)}")
    if not factories.keys() >= set(names):
        raise ConfigurationError(f"names a provider that is not installed (known: {', '.join(factories)})", "providers")
    _warn("setting.unused", {variable for name in by_provider.keys() - set(names) for variable in by_provider[name]})
    for name in names:
        _check_own_prefix(name, named or tuple(factories))
    return [_make_provider(name, factories[name], by_provider.get(name, {}), environment) for name in names]


def _warn(event: str, variables: Collection[str]) -> None:
    """Log variables that do nothing. They are no error: an orchestrator sets ORDERFLOW_PORT for a service of that name, and gives several
    processes the same variables."""
    for variable in sorted(variables):
        _log.warning(event, variable=variable)


def _prefix(provider: str) -> str:
    return f"{PREFIX}{provider.upper().replace('-', '_')}_"


def _variables_by_provider(variables: Mapping[str, str], providers: Sequence[str]) -> dict[str, dict[str, str]]:
    """The variables of each provider that has some. The longest prefix wins: ORDERFLOW_CONNECT_EU_API belongs to ``connect-eu`` if there is
    one, else to ``connect``."""
    by_provider: dict[str, dict[str, str]] = {}
    for variable in sorted(variables.keys() - _GENERAL):
        if owners := [name for name in providers if variable.startswith(_prefix(name))]:
            by_provider.setdefault(max(owners, key=lambda name: len(_prefix(name))), {})[variable] = variables[variable]
    return by_provider


def _check_own_prefix(name: str, others: Collection[str]) -> None:
    alike = sorted({other for other in others if _prefix(other) == _prefix(name)})
    if len(alike) > 1:
        raise ConfigurationError(
            f"could belong to {' or '.join(alike)}: name one of them in {variable_of('providers')}", f"{_prefix(name)}..."
        )


def _make_provider(name: str, factory: Factory, variables: Mapping[str, str], environment: Mapping[str, str]) -> Provider:
    arguments = {f"{_prefix(name)}{argument.name.upper()}": argument for argument in _list_arguments(name, factory)}
    for variable in variables:
        if variable not in arguments:
            raise ConfigurationError(f"there is no such setting (known: {', '.join(sorted(arguments)) or 'none'})", variable)
    _require(variables, [variable for variable, argument in arguments.items() if argument.required])
    sources = {argument.name: source_of(variable, environment) for variable, argument in arguments.items()}
    with name_settings(sources):
        values = {
            argument.name: _parse(argument.name, argument.parse, variables[variable])
            for variable, argument in arguments.items()
            if variable in variables
        }
        return factory(**values)


@frozen
class _Argument:
    """An argument of a provider that text can give."""

    name: str
    kind: Any
    required: bool

    def parse(self, text: str) -> Any:
        """See ``parse_text``."""
        return parse_text(text, self.kind)


def _list_arguments(provider: str, factory: Factory) -> list[_Argument]:
    """The settings of a provider: the arguments of its factory, as far as text can give them.

    Raises:
        ConfigurationError: text cannot give one that is required.
    """
    try:
        kinds = get_type_hints(factory.__init__ if inspect.isclass(factory) else factory)
    except NameError as error:  # a name that is imported for type checkers only
        raise ConfigurationError(_NEEDS_CODE.format(provider, error.name)) from None
    arguments = []
    for name, parameter in inspect.signature(factory).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        kind, required = kinds.get(name, str), parameter.default is parameter.empty
        if takes_text(kind):
            arguments.append(_Argument(name, kind, required))
        elif required:
            raise ConfigurationError(_NEEDS_CODE.format(provider, name))
    return arguments
