"""Loading the application's ``Orderflow`` by ``module:name``. The application's code runs here, and may raise anything."""

from __future__ import annotations

import inspect
import pkgutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from orderflow._app import Orderflow
from orderflow._blocking import SyncOrderflow
from orderflow._telemetry.exceptions import exception_fields
from orderflow.errors import ConfigurationError, InvalidInput, OrderflowError, UnknownName


def load_application(name: str) -> Orderflow:
    """The ``Orderflow`` that ``module:name`` is, or that the function of this name returns.

    Raises:
        InvalidInput: it is neither.
        UnknownName: there is no such module or name.
        ConfigurationError: the module or the function raised something; only its type and place are shown.
    """
    target = _import(name)
    if callable(target):
        _check_no_arguments(name, target)
        target = _run_application_code(name, target)
    if isinstance(target, SyncOrderflow):
        target = target.async_flow
    if not isinstance(target, Orderflow):
        raise InvalidInput("FLOW", f"{name} is not an Orderflow and does not return one")
    return target


def _import(name: str) -> Any:
    module_name, _, attribute = name.partition(":")
    if not module_name or not attribute:
        raise InvalidInput("FLOW", f"{name!r} is not module:name")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    module = _run_application_code(name, lambda: _import_module(module_name))
    if not hasattr(module, attribute):
        raise UnknownName(f"name in {module_name}", attribute)
    return getattr(module, attribute)


def _import_module(name: str) -> Any:
    try:
        return pkgutil.resolve_name(f"{name}:")
    except ModuleNotFoundError as error:
        if f"{name}.".startswith(f"{error.name}."):  # the module itself is missing, not one that it imports
            raise UnknownName("module", name) from None
        raise


def _check_no_arguments(name: str, function: Callable[..., Any]) -> None:
    try:
        inspect.signature(function).bind()
    except TypeError:
        raise InvalidInput("FLOW", f"{name} needs arguments; a function that returns an Orderflow must need none") from None


def _run_application_code(name: str, run: Callable[[], Any]) -> Any:
    """What ``run`` returns. Of an exception, only what cannot hold a secret is shown."""
    try:
        return run()
    except OrderflowError:
        raise
    except (Exception, SystemExit) as error:
        fields = exception_fields(error)
        shown = f" {error}" if isinstance(error, ImportError | KeyError) else ""  # the name of a module, or of a missing variable
        raise ConfigurationError(f"{name}: {fields['error']}{shown} at {fields['where']}") from error
