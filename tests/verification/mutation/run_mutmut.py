"""mutmut over decide.py, observe.py and check.py, on a copy of the checkout: ``python tests/verification/mutation/run_mutmut.py [WHERE]``.

Run by ``make mutation``, not by the tests: it takes minutes. The survivors must be those that README.md explains.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[3]
MUTATED = [f"src/orderflow/{name}.py" for name in ("_lifecycle/decide", "_lifecycle/observe", "_analysis/check")]
TESTS = ["tests/unit/lifecycle", "tests/unit/analysis"]
SECONDS = 1500

SETTINGS = f"""
[tool.mutmut]
source_paths = ["src"]
only_mutate = {MUTATED}
pytest_add_cli_args_test_selection = {TESTS}
pytest_add_cli_args = ["-p", "no:cacheprovider", "-W", "default"]
use_git_change_detection = false
timeout_constant = 20.0
"""


def main() -> int:
    """Copy, run, count; 1 where fewer than 95 of 100 mutants are killed."""
    where = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="mutmut-"))
    for name in ("src", "tests"):
        shutil.copytree(ROOT / name, where / name, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "constraints.txt", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, where / name)
    with (where / "pyproject.toml").open("a") as project:
        project.write(SETTINGS)
    mutmut = [sys.executable, "-m", "mutmut"]
    subprocess.run([*mutmut, "run", "--max-children", "2"], cwd=where, timeout=SECONDS, check=False)
    results = subprocess.run([*mutmut, "results", "--all", "true"], cwd=where, capture_output=True, text=True, check=True)
    lines = [line.strip().rpartition(": ") for line in results.stdout.splitlines() if ": " in line]
    counts = Counter(verdict for _, _, verdict in lines)
    if set(counts) == {"not checked"}:
        sys.exit("mutmut found no test for any mutant")
    survivors = [name for name, _, verdict in lines if verdict not in ("killed", "timeout", "caught by type check")]
    for name in survivors:
        print(subprocess.run([*mutmut, "show", name], cwd=where, capture_output=True, text=True, check=False).stdout)
    killed = 1 - len(survivors) / max(1, len(lines))
    print(f"{dict(counts)}: {killed:.1%} of {len(lines)} killed; in {where}")
    return 0 if killed >= 0.95 else 1


if __name__ == "__main__":
    sys.exit(main())
