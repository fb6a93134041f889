"""The question before a command that cannot be taken back."""

from __future__ import annotations

import sys

from orderflow._cli.exit_codes import Exit
from orderflow._cli.show import printable
from orderflow.errors import InvalidInput


def confirm(question: str, *, yes: bool) -> bool:
    """Whether the person at the terminal agrees; True without a question if ``yes``. Asks on standard error.

    Raises:
        InvalidInput: standard input is not a terminal.
    """
    if yes:
        return True
    if not sys.stdin.isatty():
        raise InvalidInput("--yes", "required, because standard input is not a terminal and this cannot be undone")
    print(f"{printable(question)} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def report_unconfirmed() -> Exit:
    """Say that nothing was changed; returns the exit code for that."""
    print("orderflow: not confirmed, nothing was changed", file=sys.stderr)
    return Exit.FAILED
