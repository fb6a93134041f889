"""Exit codes, the shape of errors, and what starting up costs."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from orderflow import errors
from orderflow._cli import exit_codes
from orderflow._cli.exit_codes import Exit, exit_for
from orderflow._cli.main import COMMANDS

ERRORS: list[tuple[errors.OrderflowError | OSError, Exit]] = [
    (errors.UnknownName("order", "x"), Exit.NOT_FOUND),
    (errors.InvalidInput("field", "reason"), Exit.USAGE),
    (errors.KeyReused("key"), Exit.USAGE),
    (errors.CommandRefused("o", "pay", "drafted", "not legal here", ("register",)), Exit.REFUSED),
    (errors.DeclarationError("ccv", (errors.DeclarationProblem("rule", "where", "why", "what to do", "ccv.py", 1),)), Exit.FAILED),
    (errors.WaitTimeout("o", "paid", "registered", 1.0), Exit.FAILED),
    (errors.OutOfReach("o", "paid", "refused"), Exit.FAILED),
    (errors.NotReplayable("o", 3), Exit.FAILED),
    (errors.OrderInDoubt("o", "paid", "unclear", ("found",)), Exit.FAILED),
    (errors.CallerError("x"), Exit.USAGE),
    (errors.ProviderError("x"), Exit.PROVIDER),
    (errors.MalformedAnswer("x"), Exit.PROVIDER),
    (errors.SchemaError("x"), Exit.OPERATIONAL),
    (errors.UnreadableRow("o", "of_orders"), Exit.OPERATIONAL),
    (errors.ConfigurationError("x"), Exit.OPERATIONAL),
    (errors.OperationalError("x"), Exit.OPERATIONAL),
    (errors.NotOpen(), Exit.OPERATIONAL),
    (errors.OrderflowError("x"), Exit.FAILED),
    (PermissionError("x"), Exit.OPERATIONAL),
]


@pytest.mark.parametrize(("error", "code"), ERRORS, ids=lambda value: type(value).__name__)
def test_every_error_has_its_code(error: errors.OrderflowError | OSError, code: Exit) -> None:
    assert exit_for(error) is code


def test_every_error_is_in_this_table() -> None:
    tree = {value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)}
    assert tree == {type(error) for error, _ in ERRORS} - {PermissionError}


def documented(help_text: str) -> set[int]:
    """The exit codes that a help text lists."""
    (line,) = re.findall(r"Exit codes: (.*)\.$", " ".join(help_text.split()))
    return {int(code) for code in re.findall(r"(?:^|, )(\d+) ", line)}


def test_every_code_is_documented(orderflow) -> None:
    assert documented(orderflow("--help").out) == set(Exit)
    for code in Exit:
        assert f"\n{int(code)}  " in (exit_codes.__doc__ or "")


CODES = {
    "demo": {0, 1, 2, 7},
    "check": {0, 1, 2, 3},
    "diagram": {0, 1, 2, 3, 6, 7},
    "lifecycles": {0, 1, 2, 3},
    "orders list": {0, 1, 2, 3, 7},
    "orders show": {0, 1, 2, 3, 7},
    "orders draw": {0, 1, 2, 3, 7},
    "orders resolve": {0, 2, 3, 4, 7},
    "orders override": {0, 1, 2, 3, 4, 7},
    "orders redact": {0, 1, 2, 3, 4, 7},
    "audit": {0, 1, 2, 3, 7},
    "diff": {0, 1, 2, 7},
    "why": {0, 1, 2, 3, 7},
    "simulate": {0, 2, 3, 7},
    "worker": {0, 1, 2, 3, 7},
    "db status": {0, 1, 2, 7},
    "db upgrade": {0, 2, 7},
    "db prune": {0, 1, 2, 3, 7},
    "db restored": {0, 1, 2, 7},
    "providers": {0, 2, 7},
    "providers lift": {0, 2, 3, 7},
    "listeners list": {0, 2, 7},
    "listeners remove": {0, 1, 2, 3, 7},
}
HELP = """
import io, json, sys
from contextlib import redirect_stdout
from orderflow._cli.main import main
for words in json.load(sys.stdin):
    out = io.StringIO()
    with redirect_stdout(out):
        main([*words, "--help"])
    print(json.dumps(out.getvalue()))
"""


@pytest.fixture(scope="module")
def helps() -> dict[str, str]:
    """The help of every command, by its words; all in one process, because starting one takes most of the time."""
    words = [command.split() for command in CODES]
    environment = {**os.environ, "COLUMNS": "80"}
    done = subprocess.run(
        [sys.executable, "-c", HELP], input=json.dumps(words), env=environment, capture_output=True, text=True, check=True
    )
    return {command: json.loads(line) for command, line in zip(CODES, done.stdout.splitlines(), strict=True)}


@pytest.mark.parametrize("command", CODES)
def test_the_help_of_a_command_has_an_example_and_lists_only_the_codes_that_it_returns(helps: dict[str, str], command: str) -> None:
    assert documented(helps[command]) == CODES[command]
    assert f"Example: orderflow {command}" in helps[command]
    assert max(map(len, helps[command].splitlines())) <= 80


def test_every_command_is_in_this_table() -> None:
    assert {command.split()[0] for command in CODES} == {command.name for command in COMMANDS if not command.name.startswith("-")}


def test_commands_are_listed_in_the_order_in_which_they_are_needed(orderflow) -> None:
    listed = re.findall(r"^│ ([a-z]+) ", orderflow("--help").out, re.M)
    lifecycles, running = ["demo", "check", "diagram", "lifecycles"], ["simulate", "worker", "db", "providers", "listeners"]
    assert listed == [*lifecycles, "orders", "audit", "diff", "why", *running]


def test_completion_can_be_installed(orderflow, tmp_path: Path) -> None:
    ran = orderflow("--install-completion", "--shell", "bash", HOME=str(tmp_path), SHELL="/bin/bash")
    assert ran.code == 0, ran.err
    (script,) = (path for path in tmp_path.rglob("*") if path.is_file() and "simulate" in path.read_text())
    assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0


def test_help_lists_the_commands_and_imports_none_of_them() -> None:
    program = (
        "import sys; from orderflow._cli.main import main; code = main(['--help'])\n"
        "heavy = {'statemachine', 'httpx', 'structlog', 'uvicorn', 'starlette', 'orderflow._lifecycle.table', 'asyncio', 'difflib', 'subprocess'}\n"
        "print('IMPORTED', sorted(heavy & set(sys.modules))); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "IMPORTED []" in done.stdout
    assert all(command in done.stdout for command in ("check", "diagram", "lifecycles"))


def test_no_arguments_print_the_help(orderflow) -> None:
    assert orderflow().code == 0
    assert orderflow().out == orderflow("--help").out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nonsense"], 2, "Unknown command"),
        (["check", "--nonsense"], 2, "--nonsense"),
        (["check", "ccv", "connect"], 2, "connect"),
        (["diagram", "--format", "pdf"], 2, '"mermaid"'),
        (["check", "a:"], 2, "module:Class"),
        (["check", "orderflow.errors:InvalidInput"], 2, "neither a lifecycle"),
        (["check", "nosuch"], 3, "known: "),
        (["lifecycles", "nosuch"], 3, "known: "),
        (["diagram", "nosuch"], 3, "known: "),
        (["check", "no.such.module:Class"], 3, "no.such.module"),
        (["check", "nosuch.py:Class"], 3, "nosuch.py"),
        (["check", "orderflow.errors:NoSuch"], 3, "NoSuch"),
        (["check", "orderflow._providers.ccv:NoSuch"], 3, "(known: CcvLifecycle, Ccv)"),
        (["check", "parcel.py"], 2, "parcel.py:Class"),
        (["check", "parcel"], 3, "unknown lifecycle (or module:Class, or file.py:Class): 'parcel' (known: ccv, connect)"),
        (["check", "conect"], 3, "unknown lifecycle (or module:Class, or file.py:Class): 'conect'; did you mean 'connect'?"),
        (["diff", "module:Old", "module:New"], 2, "OLD: module:Old is no file; to write one: orderflow lifecycles NAME --json > FILE"),
        (["orders", "list", "--db", "sqlite:///nope.db"], 7, "nope.db: there is no such file; to make one: orderflow db upgrade"),
        (["db", "upgrade", "--db", "sqlite:///no/nope.db"], 7, "nope.db: its folder does not exist"),
        (["simulate", "ccv", "--host", "nohost.invalid"], 7, "cannot listen on nohost.invalid:8001"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_errors_are_one_line_and_their_code(orderflow, arguments: list[str], code: int, message: str) -> None:
    ran = orderflow(*arguments)
    assert ran.code == code
    assert ran.out == ""
    assert ran.err.startswith("orderflow: ")
    assert ran.err.count("\n") == 1
    assert message in ran.err


DATABASE_COMMANDS = [
    ("orders", "list"),
    ("orders", "show", "ccv-1"),
    ("why", "ccv-1"),
    ("db", "status"),
    ("db", "upgrade"),
    ("db", "prune", "--yes", "--older-than", "90d"),
]


@pytest.mark.parametrize("words", DATABASE_COMMANDS, ids=" ".join)
def test_a_bad_database_is_named_as_it_was_given(orderflow, words: tuple[str, ...]) -> None:
    secret = "mysql://anna:secret-canary@host/orders"
    reason = "want sqlite:///relative.db, sqlite:////absolute.db or postgresql://host/database\n"
    by_variable = orderflow(*words, ORDERFLOW_DB=secret)
    assert (by_variable.code, by_variable.err) == (7, f"orderflow: ORDERFLOW_DB: {reason}")
    by_option = orderflow(*words, "--db", secret, ORDERFLOW_DB="sqlite:///orders.db")
    assert (by_option.code, by_option.err) == (7, f"orderflow: --db: {reason}")
    malformed = orderflow(*words, ORDERFLOW_DB="postgresql://anna:secret-canary@host:port/orders")
    assert (malformed.code, malformed.err) == (
        7,
        "orderflow: ORDERFLOW_DB: the URL is malformed; in user name and password, percent-encode all but letters and digits: / is %2F\n",
    )


def test_a_reading_program_that_ends_early_leaves_the_code_of_its_signal() -> None:
    """Never 0: the command may have found something wrong."""
    script = Path(sys.executable).with_name("orderflow")
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; '{script}' lifecycles --json | head -1"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (141, "[\n", "")
