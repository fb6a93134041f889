"""What ``orderflow work`` finds in the environment, made into objects. Only reading lives here; the library itself takes objects.

    ORDERFLOW_DB, ORDERFLOW_DISPATCH    as --db and --dispatch, which come first
    ORDERFLOW_PUBLIC_URL                where the receiver is mounted
    ORDERFLOW_SIGNING_KEYS                 k2=secret,k1=secret: the first signs, all verify
    ORDERFLOW_PROVIDERS                 connect,ccv: by default each for which there is a setting
    ORDERFLOW_<PROVIDER>_<ARGUMENT>     what its factory takes: text, a number, true or false, a list a,b,c

Any of them may be given as ``..._FILE`` instead, the name of a file that holds the value. An empty one is none. Arguments of other
types (a ``Timing``, a token source) are for ``orderflow work module:name``. No message quotes a value.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import attrs
import environ
import structlog
from environ.exceptions import MissingEnvValueError

from orderflow.app import Orderflow
from orderflow.cli.given import as_given
from orderflow.dispatch import NAMES
from orderflow.errors import ConfigurationError
from orderflow.provider.discovery import find_provider_factories
from orderflow.provider.protocol import Provider
from orderflow.telemetry.ports import Telemetry

T = TypeVar("T")
_log = structlog.get_logger()
Read = Callable[[str], object]
"""From text to a value; raises ValueError, whose message says what it must be."""
_ALL, _FILE = "ORDERFLOW_", "_FILE"
_OURS = frozenset(f"{_ALL}{name}" for name in ("DB", "DISPATCH", "PUBLIC_URL", "SIGNING_KEYS", "PROVIDERS", "HEALTH", "GRACE", "LOG_LEVEL"))
_NEEDED = object()
_TOO_RICH = "{} takes more than variables can say ({}): give orderflow work a module:name"
_SWITCH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def flow_of(environment: Mapping[str, str], **given: str | None) -> Orderflow:
    """The flow that these variables describe; what is ``given`` (``db``, ``dispatch``) goes before them.

    Raises:
        ConfigurationError: a variable is missing, unknown, malformed or not readable.
    """
    variables = _variables(environment) | {f"{_ALL}{name.upper()}": value for name, value in given.items() if value}
    settings = _filled(_Settings, variables)
    factories = find_provider_factories()
    shares = _shares(variables, (*settings.providers, *factories))
    _warn("setting.unknown", variables.keys() - _OURS - {variable for share in shares.values() for variable in share})
    names = settings.providers or tuple(name for name in factories if name in shares)
    if not names:
        raise ConfigurationError(f"no provider is configured: set {_ALL}PROVIDERS, or the variables of {', '.join(factories)}")
    if not factories.keys() >= set(names):
        raise ConfigurationError(f"{_ALL}PROVIDERS: names one that is not installed (known: {', '.join(factories)})")
    if settings.dispatch not in NAMES:
        raise ConfigurationError(f"{_ALL}DISPATCH: must be one of {', '.join(NAMES)}")
    _warn("setting.unused", {variable for name in shares.keys() - set(names) for variable in shares[name]})
    for name in names:
        _check_alone(name, settings.providers or tuple(factories))
    providers = [_provider(name, factories[name], shares.get(name, {})) for name in names]
    with as_given(environment, **dict.fromkeys(("db", "providers", "public_url", "signing_keys", "dispatch")) | given):
        return Orderflow(
            settings.db,
            providers,
            public_url=settings.public_url,
            signing_keys=settings.signing_keys,
            dispatch=settings.dispatch,
            telemetry=_telemetry(),
        )


def _warn(event: str, variables: Collection[str]) -> None:
    """Said, not refused: an orchestrator makes variables of its own, such as ORDERFLOW_PORT for a service of that name, and gives
    several processes the same."""
    for variable in sorted(variables):
        _log.warning(event, variable=variable)


def _telemetry() -> Telemetry | None:
    """OpenTelemetry where it is installed: without an SDK, which its own variables configure, it notes nothing."""
    if find_spec("opentelemetry") is None:
        return None
    from orderflow.telemetry.opentelemetry import OpenTelemetry  # noqa: PLC0415 - needs the extra

    return OpenTelemetry()


# ── variables ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Ours, those of files included."""
    found = {name: value for name, value in environment.items() if name.startswith(_ALL) and value}
    for name in [name for name in found if name.endswith(_FILE)]:
        plain = name.removesuffix(_FILE)
        if plain in found:
            raise ConfigurationError(f"{plain} and {name}: only one of them")
        try:
            found[plain] = Path(found.pop(name)).read_text(encoding="utf-8").rstrip("\r\n")
        except OSError as error:
            raise ConfigurationError(f"{name}: {error.strerror}") from None
        except ValueError:
            raise ConfigurationError(f"{name}: the file is no UTF-8 text") from None
    return found


def _keys(text: str) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in _list(text)]
    if not all(name and equals and key for name, equals, key in pairs):
        raise ValueError("must be name=secret,name=secret")
    return {name: key for name, _, key in pairs}


def _list(text: str) -> tuple[str, ...]:
    return tuple(filter(None, (part.strip() for part in text.replace("\n", ",").split(","))))


def _var(variable: str, read: Read, default: object = _NEEDED) -> Any:
    """A field that is read from a variable; its complaints name that."""

    def converted(found: Any) -> Any:
        if found is default:
            return default
        try:
            return read(found)
        except ValueError as error:
            raise ConfigurationError(f"{variable}: {error}") from None

    if default is _NEEDED:
        return environ.var(name=variable, converter=converted)
    return environ.var(default, name=variable, converter=converted)


def _filled(settings: type[T], variables: dict[str, str]) -> T:
    try:
        return environ.to_config(settings, variables)
    except MissingEnvValueError as error:
        raise ConfigurationError(f"not set, nor as ..._FILE: {', '.join(sorted(error.args))}") from None


@environ.config(frozen=True)
class _Settings:
    db: str = _var("ORDERFLOW_DB", str)
    dispatch: str = _var("ORDERFLOW_DISPATCH", str, "local")
    public_url: str | None = _var("ORDERFLOW_PUBLIC_URL", str, None)
    signing_keys: Mapping[str, str] | None = _var("ORDERFLOW_SIGNING_KEYS", _keys, None)
    providers: tuple[str, ...] = _var("ORDERFLOW_PROVIDERS", _list, ())

    def __repr__(self) -> str:
        return "_Settings(...)"


# ── providers ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _prefix(provider: str) -> str:
    return f"{_ALL}{provider.upper().replace('-', '_')}_"


def _shares(variables: Mapping[str, str], names: Sequence[str]) -> dict[str, dict[str, str]]:
    """The variables of each provider that has some. ORDERFLOW_CONNECT_EU_API is of connect-eu where there is one, never of connect."""
    shares: dict[str, dict[str, str]] = {}
    for variable in sorted(variables.keys() - _OURS):
        if mine := [name for name in names if variable.startswith(_prefix(name))]:
            shares.setdefault(max(mine, key=lambda name: len(_prefix(name))), {})[variable] = variables[variable]
    return shares


def _check_alone(name: str, others: Collection[str]) -> None:
    alike = sorted({other for other in others if _prefix(other) == _prefix(name)})
    if len(alike) > 1:
        raise ConfigurationError(f"{_prefix(name)}...: of {' or of '.join(alike)}? {_ALL}PROVIDERS must name one of them")


def _provider(name: str, factory: Callable[..., Provider], variables: dict[str, str]) -> Provider:
    prefix = _prefix(name)
    arguments = _arguments(name, factory, prefix)
    known = {f"{prefix}{argument.upper()}" for argument in arguments}
    for variable in variables:
        if variable not in known:
            raise ConfigurationError(f"{variable}: there is no such setting (known: {', '.join(sorted(known)) or 'none'})")
    settings = environ.config(type(name, (), arguments), from_environ=None, generate_help=None)  # type: ignore[call-overload]
    given = attrs.asdict(_filled(settings, variables), recurse=False)
    return _made(prefix, arguments, lambda: factory(**given))


def _arguments(name: str, factory: Callable[..., Provider], prefix: str) -> dict[str, Any]:
    """A field for each argument that text can say, those without a default first."""
    try:
        hints = get_type_hints(factory.__init__ if inspect.isclass(factory) else factory)
    except NameError as error:  # a name that only its type checker imports
        raise ConfigurationError(_TOO_RICH.format(name, error.name)) from None
    required: dict[str, Any] = {}
    optional: dict[str, Any] = {}
    for argument, parameter in inspect.signature(factory).parameters.items():
        read, needed = _read(hints.get(argument, str)), parameter.default is parameter.empty
        variable = f"{prefix}{argument.upper()}"
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if read is None and needed:
            raise ConfigurationError(_TOO_RICH.format(name, argument))
        if read is not None and needed:
            required[argument] = _var(variable, read)
        elif read is not None:
            optional[argument] = _var(variable, read, parameter.default)
    return required | optional


def _read(hint: Any) -> Read | None:
    """How text becomes a value of this type; None where it cannot."""
    origin, of = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        inner = [one for one in of if one is not NoneType]
        return _read(inner[0]) if len(inner) == 1 else None
    if origin is Literal:
        return lambda text: _one_of(text, dict(zip(of, of, strict=True)))
    if origin is Sequence and of == (str,):
        return _list
    readers: dict[Any, Read] = {str: str, int: lambda text: _number(int, text), float: lambda text: _number(float, text)}
    return {**readers, bool: lambda text: _one_of(text.lower(), _SWITCH)}.get(hint)


def _one_of(text: str, values: Mapping[str, object]) -> object:
    if text not in values:
        raise ValueError(f"must be one of {', '.join(values)}")
    return values[text]


def _number(kind: type[int] | type[float], text: str) -> float:
    try:
        return kind(text)
    except ValueError:
        raise ValueError("must be a number") from None


def _made(prefix: str, arguments: Collection[str], make: Callable[[], T]) -> T:
    """What ``make`` makes; a complaint that begins with an argument's name is given the variable's."""
    try:
        return make()
    except ConfigurationError as error:
        argument, colon, reason = str(error).partition(": ")
        if colon and argument in arguments:
            raise ConfigurationError(f"{prefix}{argument.upper()}: {reason}") from None
        raise
