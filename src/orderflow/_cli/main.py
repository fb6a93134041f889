"""The root of the command line: which commands there are, and how a run ends. It imports nothing heavy, so that --help is fast.

A command is a line of ``COMMANDS``. It is imported when it is called. Its function prints an answer and returns an ``Exit`` (None: ok).
An error that it raises becomes one line on standard error and an exit code (exit_codes.py).
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence

from attrs import frozen

from orderflow._cli.exit_codes import BROKEN_DECLARATION, Exit, exit_for, list_exits
from orderflow._distribution import describe_install, read_version
from orderflow.errors import OrderflowError, UnknownName

try:
    from cyclopts import App, CycloptsError, Parameter
except ModuleNotFoundError:  # pip installs the script with the library, but this dependency only with the extra
    print(f"orderflow: the command line needs its extra: {describe_install('cli')}", file=sys.stderr)
    sys.exit(Exit.OPERATIONAL)


@frozen
class Command:
    """A command, not imported yet.

    Attributes:
        target: ``module:attribute`` of its function, or of a cyclopts ``App`` if it has commands of its own.
        help: one line for the list of commands; its own help is its function's docstring.
        exits: the line of its own help that lists its exit codes; "" if its commands do that.
    """

    name: str
    target: str
    help: str
    exits: str = ""


_MAX_USAGE = 500  # characters of a message that may quote an argument
_CLOSE = 0.75  # likeness from which a known name is suggested; 1 is equal
COMMANDS = (
    Command(
        "demo",
        "orderflow._cli.demo:demo",
        "Play orders against simulated providers and show what happens.",
        list_exits(Exit.OPERATIONAL, failed="a scenario did not end as it must"),
    ),
    Command(
        "check",
        "orderflow._cli.lifecycles:check",
        "Check lifecycles: rules, reachability, properties.",
        list_exits(Exit.NOT_FOUND, failed="problems found"),
    ),
    Command(
        "diagram",
        "orderflow._cli.lifecycles:diagram",
        "Draw lifecycles, or check that the drawings are fresh.",
        list_exits(Exit.NOT_FOUND, Exit.STALE, Exit.OPERATIONAL, failed=BROKEN_DECLARATION),
    ),
    Command(
        "lifecycles",
        "orderflow._cli.lifecycles:lifecycles",
        "Print lifecycles: states, edges, facts, readings.",
        list_exits(Exit.NOT_FOUND, failed=BROKEN_DECLARATION),
    ),
    Command("orders", "orderflow._cli.orders:orders", "Look at stored orders; resolve, override or redact them."),
    Command(
        "audit",
        "orderflow._cli.audit:audit",
        "Compare a log of observed statuses with a lifecycle.",
        list_exits(Exit.NOT_FOUND, Exit.OPERATIONAL, failed="something is illegal, resurrected or unknown"),
    ),
    Command(
        "diff",
        "orderflow._cli.diff:diff",
        "Compare two printed lifecycles; find the stored orders that would break.",
        list_exits(Exit.OPERATIONAL, failed="stored orders would break"),
    ),
    Command(
        "why",
        "orderflow._cli.why:why",
        "Explain why an order would take an event now, or would not.",
        list_exits(Exit.NOT_FOUND, Exit.OPERATIONAL, failed=BROKEN_DECLARATION),
    ),
    Command(
        "simulate",
        "orderflow._cli.simulate:simulate",
        "Simulate providers over HTTP, with pages to click.",
        list_exits(Exit.NOT_FOUND, Exit.OPERATIONAL),
    ),
    Command(
        "worker",
        "orderflow._cli.worker:worker",
        "Run a worker process: effects, polls, deadlines.",
        list_exits(Exit.NOT_FOUND, Exit.OPERATIONAL, failed="something stayed leased"),
    ),
    Command("db", "orderflow._cli.db:db", "Upgrade a database; prune old orders."),
    Command("providers", "orderflow._cli.providers:providers", "Show what is wrong with providers; have calls tried at once."),
    Command("listeners", "orderflow._cli.listeners:listeners", "List or remove listeners."),
    Command("--install-completion", "orderflow._cli.completion:install", "Install completion for your shell."),
)


def build(called: str = "") -> App:
    """The whole command line, with no command imported. ``called``: the command that will run; its help is its function's docstring."""
    app = App(
        name="orderflow",
        help="Run orders that outside providers carry out, and know for sure what became of them.\n\nExample: orderflow demo",
        help_epilogue=list_exits(*Exit),
        help_format="plaintext",
        default_parameter=Parameter(negative=(), show_default=False),
        version=read_version,
        result_action="return_value",
        exit_on_error=False,
        print_error=False,
    )
    for n, command in enumerate(COMMANDS):
        options = {"help_epilogue": command.exits} if command.exits else {}
        app.command(command.target, name=command.name, help=None if command.name == called else command.help, sort_key=n, **options)
    return app


def main(arguments: Sequence[str]) -> int:
    """Run one command line; returns the exit code."""
    app = build(arguments[0] if arguments else "")
    try:
        result = app(list(arguments))
        sys.stdout.flush()
    except CycloptsError as error:
        return _fail(" ".join(str(error).split())[:_MAX_USAGE], Exit.USAGE)
    except BrokenPipeError:  # the program that reads our output has ended, as head does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.UNREAD
    except (OrderflowError, OSError) as error:
        return _fail(_describe(error), exit_for(error))
    return result if isinstance(result, int) else Exit.OK


def _describe(error: Exception) -> str:
    """An error's line. For a misspelt name, the known name that is close to it instead of all known names."""
    if isinstance(error, UnknownName):
        from difflib import get_close_matches  # noqa: PLC0415  the help must not wait for it

        known = {name.casefold(): name for name in error.known}
        if close := get_close_matches(error.name.casefold(), known, 1, _CLOSE):
            return f"unknown {error.kind}: {error.name!r}; did you mean {known[close[0]]!r}?"
    return str(error)


def _fail(line: str, code: Exit) -> Exit:
    from orderflow._cli.show import printable  # noqa: PLC0415  the help must not wait for it

    shown = re.sub(r":\S*@", ":...@", line)  # a database URL in the wrong place
    print("orderflow:", "\n".join(map(printable, shown.split("\n"))), file=sys.stderr)
    return code


def run() -> None:
    """The console script."""
    sys.exit(int(main(sys.argv[1:])))
