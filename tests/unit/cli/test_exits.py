"""Exit codes, the shape of errors, and what starting up costs."""

import subprocess
import sys
from pathlib import Path

import pytest

from orderflow import errors
from orderflow.cli import exits
from orderflow.cli.exits import Exit, exit_for

ERRORS: list[tuple[errors.OrderflowError | OSError, Exit]] = [
    (errors.UnknownName("order", "x"), Exit.NOT_FOUND),
    (errors.InvalidInput("field", "reason"), Exit.USAGE),
    (errors.KeyReused("key"), Exit.USAGE),
    (errors.DeclarationError("ccv", (errors.DeclarationProblem("rule", "where", "why", "what to do", "ccv.py", 1),)), Exit.FAILED),
    (errors.WaitTimeout("o", "paid", "registered", 1.0), Exit.FAILED),
    (errors.OutOfReach("o", "paid", "refused"), Exit.FAILED),
    (errors.CallerError("x"), Exit.USAGE),
    (errors.ProviderError("x"), Exit.PROVIDER),
    (errors.MalformedAnswer("x"), Exit.PROVIDER),
    (errors.SchemaError("x"), Exit.OURS),
    (errors.ConfigurationError("x"), Exit.OURS),
    (errors.OperationalError("x"), Exit.OURS),
    (errors.NotOpen(), Exit.OURS),
    (errors.OrderflowError("x"), Exit.FAILED),
    (PermissionError("x"), Exit.OURS),
]


@pytest.mark.parametrize(("error", "code"), ERRORS, ids=lambda value: type(value).__name__)
def test_every_error_has_its_code(error: errors.OrderflowError | OSError, code: Exit) -> None:
    assert exit_for(error) is code


def test_no_error_is_forgotten() -> None:
    tree = {value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)}
    assert tree == {type(error) for error, _ in ERRORS} - {PermissionError}


def test_every_code_is_documented(orderflow) -> None:
    told = " ".join(orderflow("--help").out.split())
    for code in Exit:
        assert f"{int(code)} " in told
        assert f"\n{int(code)}  " in (exits.__doc__ or "")
    assert "6 stale diagrams" in told


def test_help_lists_the_commands_and_imports_none_of_them() -> None:
    program = (
        "import sys; from orderflow.cli.main import main; code = main(['--help'])\n"
        "heavy = {'statemachine', 'httpx', 'structlog', 'uvicorn', 'starlette', 'orderflow.lifecycle.table', 'asyncio'}\n"
        "print('IMPORTED', sorted(heavy & set(sys.modules))); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "IMPORTED []" in done.stdout
    assert all(command in done.stdout for command in ("check", "diagram", "lifecycles"))


def test_nothing_asked_is_help(orderflow) -> None:
    assert orderflow().code == 0
    assert orderflow().out == orderflow("--help").out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
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
        (["check", "orderflow.providers.ccv:NoSuch"], 3, "(known: CcvLifecycle, Ccv)"),
        (["check", "parcel.py"], 2, "parcel.py:Class"),
        (["check", "parcel"], 3, "unknown lifecycle (or module:Class, or file.py:Class): 'parcel' (known: ccv, connect)"),
        (["diff", "module:Old", "module:New"], 2, "OLD: module:Old is no file; to write one: orderflow lifecycles NAME --json > FILE"),
        (["orders", "list", "--db", "sqlite:///nope.db"], 7, "nope.db: there is no such file; to make one: orderflow db upgrade"),
        (["db", "upgrade", "--db", "sqlite:///no/nope.db"], 7, "nope.db: its folder does not exist"),
        (["sim", "ccv", "--host", "nohost.invalid"], 7, "cannot listen on nohost.invalid:8001"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_errors_are_one_line_and_their_code(orderflow, arguments: list[str], code: int, said: str) -> None:
    ran = orderflow(*arguments)
    assert ran.code == code
    assert ran.out == ""
    assert ran.err.startswith("orderflow: ")
    assert ran.err.count("\n") == 1
    assert said in ran.err


DATABASE_COMMANDS = [
    ("orders", "list"),
    ("orders", "show", "ccv-1"),
    ("why", "ccv-1"),
    ("db", "status"),
    ("db", "upgrade"),
    ("db", "prune", "--older-than", "90d"),
]


@pytest.mark.parametrize("words", DATABASE_COMMANDS, ids=" ".join)
def test_a_bad_database_is_named_as_it_was_given(orderflow, words: tuple[str, ...]) -> None:
    secret = "mysql://anna:secret-canary@host/orders"
    said = "want sqlite:///relative.db, sqlite:////absolute.db or postgresql://host/database\n"
    by_variable = orderflow(*words, ORDERFLOW_DB=secret)
    assert (by_variable.code, by_variable.err) == (7, f"orderflow: ORDERFLOW_DB: {said}")
    by_option = orderflow(*words, "--db", secret, ORDERFLOW_DB="sqlite:///orders.db")
    assert (by_option.code, by_option.err) == (7, f"orderflow: --db: {said}")
    malformed = orderflow(*words, ORDERFLOW_DB="postgresql://anna:secret-canary@host:port/orders")
    assert (malformed.code, malformed.err) == (7, "orderflow: ORDERFLOW_DB: the URL is malformed\n")


def test_a_reader_that_leaves_early_is_no_error() -> None:
    script = Path(sys.executable).with_name("orderflow")
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; '{script}' lifecycles --json | head -1"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "[\n", "")
