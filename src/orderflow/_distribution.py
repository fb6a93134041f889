"""The name of orderflow on the package index, what follows from it, and nothing else.

The package is imported as ``orderflow``. On the index that name belongs to another project.
"""

from __future__ import annotations

from typing import Final

DISTRIBUTION: Final = "orderflow-engine"
"""The name on the package index; the same as ``project.name`` in pyproject.toml."""

UNKNOWN_VERSION: Final = "0+unknown"
"""The version of a source tree that is on the path but not installed under ``DISTRIBUTION``."""


def describe_install(extra: str) -> str:
    """The command that installs an extra, for messages about a missing dependency."""
    return f"pip install '{DISTRIBUTION}[{extra}]'"


def read_version() -> str:
    """The installed version, or ``UNKNOWN_VERSION``."""
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - slow, and rarely needed

    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return UNKNOWN_VERSION
