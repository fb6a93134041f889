"""From the NAME on a command line to a lifecycle's table. Only finding and importing lives here.

A NAME is a registered lifecycle's (entry points of the group ``orderflow.providers``), or ``module:Class``, or
``path/to/file.py:Class``. The class is a Lifecycle, or anything else with a ``table``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from orderflow._lifecycle.class_body import explain_import_error
from orderflow._lifecycle.guidance import Guidance, GuidanceValues
from orderflow._lifecycle.table import Table
from orderflow.errors import DeclarationError, InvalidInput, UnknownName

GROUP = "orderflow.providers"
T = TypeVar("T")


def names() -> tuple[str, ...]:
    """The registered lifecycles, in alphabetical order."""
    return tuple(sorted(_list_registered()))


def find(name: str) -> Table:
    """The table that a NAME means.

    Raises:
        As ``find_with_guidance``.
    """
    return find_with_guidance(name)[0]


def find_with_guidance(name: str) -> tuple[Table, Mapping[str, Guidance], GuidanceValues]:
    """The table that a NAME means, and what people are shown of its orders: no texts where it is a lifecycle without a provider.

    Raises:
        DeclarationError: the lifecycle breaks rules of declarations, or importing it raised (rules ``class-body`` and ``import``).
        InvalidInput: it is no NAME, or what is there has no table.
        UnknownName: no such lifecycle, module, file or class.
    """
    found = _find(name)
    table = _table_of(found)
    if table is None:
        raise InvalidInput("NAME", f"{name!r} is neither a lifecycle nor has it a table")
    guidance, values = getattr(found, "guidance", None), getattr(found, "guidance_values", None)
    return table, guidance if isinstance(guidance, Mapping) else {}, values if isinstance(values, Mapping) else {}


def _find(name: str) -> object:
    if ":" in name:
        return _import_named(name)
    registered = _list_registered()
    if name not in registered:
        if name.endswith(".py"):
            raise InvalidInput("NAME", f"a file needs its class named, too: {name}:Class")
        raise UnknownName("lifecycle (or module:Class, or file.py:Class)", name, tuple(sorted(registered)))
    return _import(name, registered[name].load)


def _list_registered() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


def _table_of(found: object) -> Table | None:
    table = getattr(found, "table", None)
    return table if isinstance(table, Table) else None


def _import_named(name: str) -> object:
    where, _, attribute = name.rpartition(":")
    if not where or not attribute:
        raise InvalidInput("NAME", f"{name!r} is neither a lifecycle's name nor module:Class")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    module = _file(name, Path(where)) if where.endswith(".py") else _module(name, where)
    if not hasattr(module, attribute):
        raise UnknownName(f"name in {where}", attribute, tuple(one for one, found in vars(module).items() if _table_of(found)))
    return getattr(module, attribute)


def _module(name: str, where: str) -> ModuleType:
    try:
        return _import(name, lambda: import_module(where))
    except DeclarationError as error:
        missing = error.__cause__
        if isinstance(missing, ModuleNotFoundError) and f"{where}.".startswith(f"{missing.name}."):
            raise UnknownName("module", where) from error
        raise


def _file(name: str, path: Path) -> ModuleType:
    if not path.is_file():
        raise UnknownName("file (there is none)", str(path))
    spec = spec_from_file_location(f"orderflow_named_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise InvalidInput("NAME", f"{path} cannot be imported")
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    loader = spec.loader
    _import(name, lambda: loader.exec_module(module))
    return module


def _import(name: str, importing: Callable[[], T]) -> T:
    """The author's code runs here: whatever it raises is a problem of that lifecycle."""
    try:
        return importing()
    except DeclarationError:
        raise
    except (Exception, SystemExit) as error:
        raise DeclarationError(name, (explain_import_error(error, name),)) from error
