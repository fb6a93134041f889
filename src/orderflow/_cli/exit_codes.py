"""Exit codes: what each means, and which error ends in which. The only place that maps errors to codes.

0  ok
1  failed: problems found, something not reached, a declaration that breaks a rule
2  usage: an unknown command or option, malformed input
3  not found: no such order, lifecycle, event, state, provider or module
4  refused: a well-formed command that is not legal now
5  provider: the provider, or the way to it, is at fault
6  stale: diagrams that are not what the lifecycles would draw
7  ours: database, schema, disk or configuration
141  the program that reads our output ended before us, as `head` does (128 and the number of SIGPIPE, as a shell counts)
"""

from __future__ import annotations

from enum import IntEnum

from orderflow.errors import (
    CallerError,
    CommandRefused,
    DeclarationError,
    InvalidInput,
    KeyReused,
    NotReplayable,
    OperationalError,
    OrderflowError,
    ProviderError,
    UnknownName,
    WaitTimeout,
)


class Exit(IntEnum):
    """What a command returns."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    REFUSED = 4
    PROVIDER = 5
    STALE = 6
    OPERATIONAL = 7
    UNREAD = 141


BROKEN_DECLARATION = "a declaration breaks a rule"
_MEANINGS = {
    Exit.OK: "ok",
    Exit.FAILED: "failed",
    Exit.USAGE: "usage or malformed input",
    Exit.NOT_FOUND: "not found",
    Exit.REFUSED: "refused (not legal now)",
    Exit.PROVIDER: "provider error",
    Exit.STALE: "stale diagrams",
    Exit.OPERATIONAL: "database, schema or configuration error",
    Exit.UNREAD: "the reader of the output ended early",
}

_BY_ERROR: tuple[tuple[type[Exception], Exit], ...] = (  # the first that fits
    (UnknownName, Exit.NOT_FOUND),
    (InvalidInput, Exit.USAGE),
    (KeyReused, Exit.USAGE),
    (CommandRefused, Exit.REFUSED),
    (DeclarationError, Exit.FAILED),
    (NotReplayable, Exit.FAILED),
    (WaitTimeout, Exit.FAILED),
    (CallerError, Exit.USAGE),
    (ProviderError, Exit.PROVIDER),
    (OperationalError, Exit.OPERATIONAL),
    (OSError, Exit.OPERATIONAL),
)


def exit_for(error: OrderflowError | OSError) -> Exit:
    """The code of an error of ours, or of the disk's."""
    return next((code for kind, code in _BY_ERROR if isinstance(error, kind)), Exit.FAILED)


def list_exits(*others: Exit, failed: str = "") -> str:
    """The line of a command's help that lists the codes it can return: ok, usage and ``others``. ``failed``: what 1 means here."""
    meanings = {**_MEANINGS, Exit.FAILED: f"failed ({failed})" if failed else "failed"}
    codes = sorted({Exit.OK, Exit.USAGE, *others, *([Exit.FAILED] if failed else [])})
    return f"Exit codes: {', '.join(f'{code:d} {meanings[code]}' for code in codes)}."
