"""The public API is what ``tests/golden/public_api.txt`` lists. A change of it is a diff of that file.

Write the list anew with ``python -m pytest tests/unit/test_public_api.py --golden-write``.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import orderflow
from orderflow import errors

GOLDEN = Path(__file__).parents[1] / "golden" / "public_api.txt"
MODULES = ("orderflow", *sorted(f"orderflow.{module.name}" for module in pkgutil.iter_modules(orderflow.__path__) if module.name[0] != "_"))


def _describe(name: str, value: Any) -> Iterator[str]:
    """The lines of one name: its signature, and the public members of a class."""
    if inspect.isclass(value):
        yield f"    class {name}"
        members = [member for member in vars(value) if not member.startswith("_") and issubclass(value, object)]
        yield from (f"        {member}" for member in sorted(members))
    elif inspect.isfunction(value):
        yield f"    def {name}({', '.join(inspect.signature(value).parameters)})"
    else:
        yield f"    {name}"


def _list_public_api() -> str:
    lines = ["The public names of orderflow, module by module."]
    for module_name in MODULES:
        module = importlib.import_module(module_name)
        lines += ["", module_name]
        for name in sorted(_public_names(module)):
            lines += _describe(name, getattr(module, name))
    return "\n".join(lines) + "\n"


def _public_names(module: Any) -> list[str]:
    if hasattr(module, "__all__"):
        return list(module.__all__)
    return [name for name, value in vars(module).items() if name[0] != "_" and getattr(value, "__module__", "") == module.__name__]


def test_the_public_api_is_the_committed_one(request: pytest.FixtureRequest) -> None:
    listed = _list_public_api()
    if request.config.getoption("--golden-write", default=False):
        GOLDEN.write_text(listed)
    assert listed == GOLDEN.read_text(), "the public API changed: read the diff, then run with --golden-write"


def test_every_error_is_at_the_top() -> None:
    classes = {name for name, value in vars(errors).items() if inspect.isclass(value) and issubclass(value, errors.OrderflowError)}
    assert classes | {"DeclarationProblem"} <= set(orderflow.__all__)


@pytest.mark.parametrize("module_name", MODULES)
def test_every_public_name_can_be_imported_and_is_listed_by_dir(module_name: str) -> None:
    module = importlib.import_module(module_name)
    names = set(_public_names(module))
    assert names
    assert {name for name in names if not hasattr(module, name)} == set()
    assert names <= set(dir(module))


def test_importing_orderflow_imports_none_of_its_parts() -> None:
    """A command line or a worker pays only for what it uses."""
    code = "import sys, orderflow; print(*(name for name in sys.modules if name.startswith('orderflow.')))"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.split() == []
