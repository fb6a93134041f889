"""The command line as a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

SCRIPT = Path(sys.executable).with_name("orderflow")


@frozen
class Ran:
    """A process that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its standard output, which must be exactly one JSON document."""
        return json.loads(self.out)


Orderflow = Callable[..., Ran]


@pytest.fixture
def orderflow(tmp_path: Path) -> Orderflow:
    """Run ``orderflow ARGUMENTS`` in ``tmp_path``."""

    def run(*arguments: str, cwd: Path = tmp_path, **env: str) -> Ran:
        done = subprocess.run(
            [str(SCRIPT), *arguments],
            cwd=cwd,
            env={**os.environ, "COLUMNS": "120", **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    return run
