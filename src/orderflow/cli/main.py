"""The command line's root: which commands there are, and how a run ends. Imports nothing heavy, so that --help is fast.

A command is a line of ``COMMANDS``: its name, where it is found, one line of help. It is imported when it is called.
What is found there is a function, or a cyclopts ``App`` of the same name for a command that has commands of its own.
It prints its answer and returns an ``Exit`` (None: ok); errors it raises, see exits.py, become one line on stderr.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NamedTuple

from orderflow.cli.exits import HELP, Exit, exit_for
from orderflow.errors import OrderflowError

try:
    from cyclopts import App, CycloptsError
except ModuleNotFoundError:  # the script is installed with the library, the command line's own needs only with its extra
    print("orderflow: the command line needs its extra: pip install 'orderflow[cli]'", file=sys.stderr)
    sys.exit(Exit.OURS)


class Command(NamedTuple):
    """A command, not yet imported. ``found``: ``module:attribute``."""

    name: str
    found: str
    help: str


COMMANDS = (
    Command("demo", "orderflow.cli.demo:demo", "Play real orders of both providers, over real sockets."),
    Command("sim", "orderflow.cli.simulate:sim", "Stand in for Connect or CCV over HTTP, with pages to click."),
    Command("work", "orderflow.cli.worker:work", "Run a worker process: effects, reads, deadlines."),
    Command("check", "orderflow.cli.lifecycles:check", "Check lifecycles: rules, properties over every path."),
    Command("diagram", "orderflow.cli.lifecycles:diagram", "Draw lifecycles, or say which drawings are stale."),
    Command("orders", "orderflow.cli.orders:orders", "Look at stored orders; resolve, override or redact them, audited."),
    Command("db", "orderflow.cli.db:db", "Bring a database up to date; prune old orders."),
    Command("listeners", "orderflow.cli.listeners:listeners", "Say of which states hosts are told; forget a listener."),
    Command("lifecycles", "orderflow.cli.lifecycles:lifecycles", "Print lifecycles: states, edges, facts, readings."),
    Command("diff", "orderflow.cli.diff:diff", "Compare two printed lifecycles; name the stored orders that break."),
    Command("why", "orderflow.cli.why:why", "Say why an order may or may not take an event now."),
    Command("audit", "orderflow.cli.audit:audit", "Judge a log of observed statuses against a lifecycle."),
)


def _version() -> str:
    from importlib.metadata import version  # noqa: PLC0415 - only when asked

    return version("orderflow")


def build() -> App:
    """The whole command line, with no command imported."""
    app = App(
        name="orderflow",
        help="Orders whose life outside providers run: declared once, decided purely, proven by reads.",
        help_epilogue=HELP,
        help_format="plaintext",
        version=_version,
        result_action="return_value",
        exit_on_error=False,
        print_error=False,
    )
    for command in COMMANDS:
        app.command(command.found, name=command.name, help=command.help)
    return app


def main(arguments: Sequence[str]) -> int:
    """Run one command line; answers with the exit code."""
    app = build()
    try:
        result = app(list(arguments))
        sys.stdout.flush()
    except CycloptsError as error:
        return _fail(" ".join(str(error).split()), Exit.USAGE)
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK
    except (OrderflowError, OSError) as error:
        return _fail(str(error), exit_for(error))
    return result if isinstance(result, int) else Exit.OK


def _fail(line: str, code: Exit) -> Exit:
    print(f"orderflow: {line}", file=sys.stderr)
    return code


def run() -> None:
    """The console script."""
    sys.exit(int(main(sys.argv[1:])))
