"""Testing your own lifecycles, providers and services. The pytest plugin is found by pytest itself.

docs/how-to/test-your-service.md is the guide.

The names below are imported on first use: each part has its own needs (``simulate``: sockets; ``testing``: AALpy and Hypothesis).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orderflow._testing.asserts import assert_converges, assert_path, path_of
    from orderflow._testing.clock import SharedClock
    from orderflow._testing.conformance import w_method, wp_method
    from orderflow._testing.coverage import Coverage
    from orderflow._testing.crash_points import Crash, CrashPoints
    from orderflow._testing.crash_process import run_process
    from orderflow._testing.learning import learn
    from orderflow._testing.mealy import Subject, TableSubject, machine_of, machines_of
    from orderflow._testing.mutants import Trial, add_hidden_states, mutate_cells
    from orderflow._testing.state_machine import stateful
    from orderflow._testing.suites import Suite, all_cells
    from orderflow._testing.timing import fast_timing
    from orderflow._testing.world import SimulatedWorld

_MODULES = {
    "Coverage": "coverage",
    "Crash": "crash_points",
    "CrashPoints": "crash_points",
    "SharedClock": "clock",
    "SimulatedWorld": "world",
    "Subject": "mealy",
    "Suite": "suites",
    "TableSubject": "mealy",
    "Trial": "mutants",
    "add_hidden_states": "mutants",
    "all_cells": "suites",
    "assert_converges": "asserts",
    "assert_path": "asserts",
    "fast_timing": "timing",
    "learn": "learning",
    "machine_of": "mealy",
    "machines_of": "mealy",
    "mutate_cells": "mutants",
    "path_of": "asserts",
    "run_process": "crash_process",
    "stateful": "state_machine",
    "w_method": "conformance",
    "wp_method": "conformance",
}

__all__ = [
    "Coverage",
    "Crash",
    "CrashPoints",
    "SharedClock",
    "SimulatedWorld",
    "Subject",
    "Suite",
    "TableSubject",
    "Trial",
    "add_hidden_states",
    "all_cells",
    "assert_converges",
    "assert_path",
    "fast_timing",
    "learn",
    "machine_of",
    "machines_of",
    "mutate_cells",
    "path_of",
    "run_process",
    "stateful",
    "w_method",
    "wp_method",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'orderflow.testing' has no attribute {name!r}")
    return getattr(import_module(f"orderflow._testing.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
