"""``orderflow worker``: its settings from the environment, its argument, mistakes in both; its logs and its probes.

Its life and end as a process: tests/integration/test_worker_process.py.
"""

from __future__ import annotations

import asyncio
import json
import os
import pty
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs
from tests.kit.toy import Toy
from tests.kit.world import CCV_KEY, CONNECT_ID, CONNECT_SECRET, LINK_KEYS
from tests.unit.cli.conftest import Orderflow as Run

from orderflow._app import Orderflow
from orderflow._cli.health import Limits, is_stuck, parse_address, serve_probes, why_not_ready
from orderflow._cli.settings import Settings, load_settings
from orderflow._engine.worker import Health
from orderflow._store.records import DueDeadline, WorkerScope
from orderflow._store.sqlite.store import SqliteStore
from orderflow.errors import ConfigurationError, OrderflowError

CONNECT = {
    "ORDERFLOW_CONNECT_API": "https://connect.example/capi",
    "ORDERFLOW_CONNECT_LOGIN": "https://connect.example/user",
    "ORDERFLOW_CONNECT_CLIENT_ID": CONNECT_ID,
    "ORDERFLOW_CONNECT_CLIENT_SECRET": CONNECT_SECRET,
}
CCV = {"ORDERFLOW_CCV_BASE_URL": "https://ccv.example/api", "ORDERFLOW_CCV_API_KEY": CCV_KEY}
BASE = {"ORDERFLOW_DB": "sqlite:///orders.db"}
KEYS = {"ORDERFLOW_SIGNING_KEYS": f"k1={LINK_KEYS['k1']}"}
OUTSIDE = Path(__file__).parents[2] / "kit" / "packages"
SECRET = "a-secret-canary-of-settings"


# ── the environment ──────────────────────────────────────────────────────────────────────────────────────────────────────


def names_of(settings: Settings) -> list[str]:
    return [provider.name for provider in settings.providers]


def test_both_providers_come_from_the_environment_and_an_empty_variable_is_none() -> None:
    more = {
        "ORDERFLOW_CONNECT_FULFILLED_LITERALS": "fulfilled, delivered",
        "ORDERFLOW_CONNECT_CREDENTIALS_IN": "body",
        "ORDERFLOW_CCV_NOTIFICATIONS": "off",
        "ORDERFLOW_CCV_TIMEOUT": "2.5",
        "ORDERFLOW_CCV_AUTHORIZATION": "",
        "ORDERFLOW_PUBLIC_URL": "https://app.example/orders",
        "ORDERFLOW_SIGNING_KEYS": f"k2={SECRET},k1={LINK_KEYS['k1']}=",
        "UNRELATED": "x",
    }
    settings = load_settings({**BASE, **CONNECT, **CCV, **more})
    ccv, connect = settings.providers
    assert (ccv.name, connect.name) == ("ccv", "connect")
    assert connect.fulfilled_literals == ("fulfilled", "delivered")  # type: ignore[attr-defined]
    assert ccv.timeout == 2.5  # type: ignore[attr-defined]
    assert settings.db == "sqlite:///orders.db"
    assert settings.public_url == "https://app.example/orders"
    assert list(settings.signing_keys.items()) == [("k2", SECRET), ("k1", f"{LINK_KEYS['k1']}=")]
    assert settings.dispatch == "local"


def test_only_what_is_configured_or_named_is_there() -> None:
    assert names_of(load_settings({**BASE, **CCV})) == ["ccv"]
    assert names_of(load_settings({**BASE, **CCV, **CONNECT, "ORDERFLOW_PROVIDERS": "connect"})) == ["connect"]


def test_options_come_before_variables() -> None:
    settings = load_settings({**CCV, "ORDERFLOW_DB": "nonsense", "ORDERFLOW_DISPATCH": "nonsense"}, db="sqlite:///a.db", dispatch="local")
    assert (settings.db, settings.dispatch) == ("sqlite:///a.db", "local")


@pytest.mark.parametrize("name", ["ORDERFLOW_DB", "ORDERFLOW_SIGNING_KEYS", "ORDERFLOW_CCV_API_KEY", "ORDERFLOW_CCV_BASE_URL"])
def test_the_value_of_any_variable_may_be_in_a_file(tmp_path: Path, name: str) -> None:
    variables = {**BASE, **CCV, "ORDERFLOW_SIGNING_KEYS": f"k1={SECRET}\n"}
    (tmp_path / "secret").write_text(variables.pop(name) + "\n")
    settings = load_settings({**variables, f"{name}_FILE": str(tmp_path / "secret")})
    assert (settings.db, names_of(settings), settings.signing_keys) == (BASE["ORDERFLOW_DB"], ["ccv"], {"k1": SECRET})


def test_a_file_that_gives_a_wrong_value_is_named(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f" {SECRET}")
    with pytest.raises(ConfigurationError, match=r"^ORDERFLOW_CCV_API_KEY_FILE: must have no white space") as raised:
        load_settings({**BASE, "ORDERFLOW_CCV_BASE_URL": "https://c", "ORDERFLOW_CCV_API_KEY_FILE": str(tmp_path / "secret")})
    assert SECRET not in str(raised.value)


WRONG: list[tuple[dict[str, str], str]] = [
    ({}, "not set, nor as ..._FILE: ORDERFLOW_DB"),
    ({**BASE, **CCV, "ORDERFLOW_CCV_API_KEY": f" {SECRET}"}, "ORDERFLOW_CCV_API_KEY: must have no white space at its ends"),
    ({**BASE, **CONNECT, "ORDERFLOW_CONNECT_CLIENT_SECRET": f"{SECRET}\t"}, "ORDERFLOW_CONNECT_CLIENT_SECRET: must have no white space"),
    ({**BASE, **CONNECT, "ORDERFLOW_CONNECT_CLIENT_ID": f"{SECRET}\n"}, "ORDERFLOW_CONNECT_CLIENT_ID: must have no white space"),
    ({**BASE}, "no provider is configured: set ORDERFLOW_PROVIDERS"),
    ({**BASE, **CCV, "ORDERFLOW_PROVIDERS": "paypal"}, "ORDERFLOW_PROVIDERS: names a provider that is not installed (known: ccv, connect)"),
    ({**BASE, **CCV, "ORDERFLOW_DISPATCH": "pigeon"}, "ORDERFLOW_DISPATCH: must be one of local, pgqueuer"),
    ({**BASE, **CCV, "ORDERFLOW_SIGNING_KEYS": SECRET}, "ORDERFLOW_SIGNING_KEYS: must be id=key"),
    (
        {**BASE, "ORDERFLOW_CONNECT_API": "https://c"},
        "ORDERFLOW_CONNECT_CLIENT_ID, ORDERFLOW_CONNECT_CLIENT_SECRET, ORDERFLOW_CONNECT_LOGIN",
    ),
    ({**BASE, "ORDERFLOW_PROVIDERS": "ccv"}, "nor as ..._FILE: ORDERFLOW_CCV_BASE_URL"),
    ({**BASE, "ORDERFLOW_CCV_BASE_URL": f"ftp://{SECRET}"}, "ORDERFLOW_CCV_BASE_URL: must be an absolute http or https URL"),
    ({**BASE, **CCV, "ORDERFLOW_CCV_APIKEY": SECRET}, "ORDERFLOW_CCV_APIKEY: there is no such setting (known: ORDERFLOW_CCV_ALLOW_HTTP"),
    ({**BASE, **CCV, "ORDERFLOW_CCV_TIMING": SECRET}, "ORDERFLOW_CCV_TIMING: there is no such setting"),
    ({**BASE, **CCV, "ORDERFLOW_CCV_TIMEOUT": SECRET}, "ORDERFLOW_CCV_TIMEOUT: must be a number"),
    ({**BASE, **CCV, "ORDERFLOW_CCV_ALLOW_HTTP": SECRET}, "ORDERFLOW_CCV_ALLOW_HTTP: must be one of true, 1, yes, false, 0, no"),
    ({**BASE, **CCV, "ORDERFLOW_CCV_NOTIFICATIONS": SECRET}, "ORDERFLOW_CCV_NOTIFICATIONS: must be one of order, shared, off"),
    ({**BASE, **CONNECT, "ORDERFLOW_CONNECT_FULFILLED_LITERALS": "preliminary"}, "ORDERFLOW_CONNECT_FULFILLED_LITERALS: 'preliminary' is"),
    ({**BASE, **CCV, "ORDERFLOW_CCV_API_KEY_FILE": SECRET}, "ORDERFLOW_CCV_API_KEY and ORDERFLOW_CCV_API_KEY_FILE are both set: use one"),
    ({**CCV, "ORDERFLOW_DB_FILE": f"/no/{SECRET}"}, "ORDERFLOW_DB_FILE: No such file"),
    ({**CCV, "ORDERFLOW_DB_FILE": sys.executable}, "ORDERFLOW_DB_FILE: the file is not UTF-8 text"),
]


@pytest.mark.parametrize(("environment", "message"), WRONG, ids=[message[:40] for _, message in WRONG])
def test_a_wrong_setting_is_named_and_its_value_is_not_shown(environment: dict[str, str], message: str) -> None:
    with pytest.raises(OrderflowError) as raised:
        load_settings(environment)
    assert isinstance(raised.value, ConfigurationError)
    assert message in str(raised.value)
    assert [canary for canary in (SECRET, CCV_KEY, CONNECT_SECRET) if canary in str(raised.value)] == []


@contextmanager
def installed(package: str, source: str, providers: Mapping[str, str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Install another package with these providers, each by its entry point, until the block ends."""
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[orderflow.providers]\n" + "".join(f"{name} = {at}\n" for name, at in providers.items()))
    (folder / f"{package}.py").write_text(source)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.syspath_prepend(str(OUTSIDE))
    yield
    for name in (package, "warehouse"):
        sys.modules.pop(name, None)


DEPOT = """
from __future__ import annotations
from collections.abc import Callable, Sequence
from typing import Literal
from warehouse import Warehouse

class Depot(Warehouse):
    name = "de-pot"
    def __init__(self, url: str, retries: int, *, gates: Sequence[str] = (), speed: float | None = None, open: bool = False,
                 kind: Literal["big", "small"] = "big", create: Callable[[], int] = int):
        self.given = (url, retries, gates, speed, open, kind, create())

class Rich(Warehouse):
    def __init__(self, create: Callable[[], int]):
        raise AssertionError
"""


@pytest.fixture
def depot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Providers of another package, installed for this test only; one is called de-pot."""
    providers = {"de-pot": "depot:Depot", "rich": "depot:Rich", "warehouse": "warehouse:Warehouse"}
    with installed("depot", DEPOT, providers, tmp_path, monkeypatch):
        yield


MORE = {"GATES": "north,south", "SPEED": "1.5", "OPEN": "yes", "KIND": "small"}


@pytest.mark.usefixtures("depot")
def test_another_packages_provider_is_configured_by_its_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    depot = {"ORDERFLOW_DE_POT_URL": "https://d", "ORDERFLOW_DE_POT_RETRIES": "3"}
    more = {f"ORDERFLOW_DE_POT_{name}": text for name, text in MORE.items()}
    for variables, given in (
        (depot, ("https://d", 3, (), None, False, "big", 0)),
        (
            depot | more,
            ("https://d", 3, ("north", "south"), 1.5, True, "small", 0),
        ),
    ):
        (provider,) = load_settings({**BASE, **variables}).providers
        assert provider.given == given  # type: ignore[attr-defined]
    monkeypatch.setenv("WAREHOUSE_URL", "http://127.0.0.1:1")
    assert names_of(load_settings({**BASE, "ORDERFLOW_PROVIDERS": "warehouse"})) == ["warehouse"]
    message = r"^rich has an argument that no variable can give \(create\): use orderflow worker module:name$"
    with pytest.raises(ConfigurationError, match=message):
        load_settings({**BASE, "ORDERFLOW_PROVIDERS": "rich"})


OVERLAPPING = """
from warehouse import Warehouse

class One(Warehouse):
    name = "one"
    def __init__(self, api: str, eu: str = "", eu_api: str = ""):
        self.given = (api, eu, eu_api)

class OneEu(One):
    name = "one-eu"
    def __init__(self, api: str = "", url: str = ""):
        self.given = (api, url)

class Public(One):
    name = "public"
    def __init__(self, url: str = "", key: str = ""):
        self.given = (url, key)

class Twin(One):
    name = "tw_in"
    def __init__(self, api: str = ""):
        self.given = (api,)

class OtherTwin(Twin):
    name = "tw-in"
"""


@pytest.fixture
def overlapping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Providers of another package. The prefix of one begins the prefix of another, or one of ours, or is the same."""
    names = {"one": "One", "one-eu": "OneEu", "public": "Public", "tw_in": "Twin", "tw-in": "OtherTwin"}
    providers = {name: f"overlap:{of}" for name, of in names.items()}
    with installed("overlap", OVERLAPPING, providers, tmp_path, monkeypatch):
        yield


OF_BOTH = {"ORDERFLOW_ONE_API": "a", "ORDERFLOW_ONE_EU": "b", "ORDERFLOW_ONE_EU_API": "c"}


@pytest.mark.usefixtures("overlapping")
@pytest.mark.parametrize(
    ("environment", "given", "unused"),
    [
        (OF_BOTH, {"one": ("a", "b", ""), "one-eu": ("c", "")}, []),
        ({**OF_BOTH, "ORDERFLOW_PROVIDERS": "one"}, {"one": ("a", "b", "")}, ["ORDERFLOW_ONE_EU_API"]),
        ({**OF_BOTH, "ORDERFLOW_PROVIDERS": "one-eu"}, {"one-eu": ("c", "")}, ["ORDERFLOW_ONE_API", "ORDERFLOW_ONE_EU"]),
        ({"ORDERFLOW_ONE_EU_API": "c", "ORDERFLOW_ONE_EU_URL": "d"}, {"one-eu": ("c", "d")}, []),
        ({"ORDERFLOW_PUBLIC_URL": "https://s.example", "ORDERFLOW_PUBLIC_KEY": "e", **KEYS}, {"public": ("", "e")}, []),
        ({"ORDERFLOW_TW_IN_API": "f", "ORDERFLOW_PROVIDERS": "tw-in"}, {"tw-in": ("f",)}, []),
        ({"ORDERFLOW_TW_IN_API": "f", "ORDERFLOW_PROVIDERS": "tw_in"}, {"tw_in": ("f",)}, []),
    ],
)
def test_a_setting_is_never_read_as_another_providers(
    environment: dict[str, str], given: dict[str, tuple[str, ...]], unused: list[str]
) -> None:
    with capture_logs() as logs:
        providers: Any = load_settings({**BASE, **environment}).providers
    assert {provider.name: provider.given for provider in providers} == given
    assert [(line["event"], line["variable"]) for line in logs] == [("setting.unused", variable) for variable in unused]


@pytest.mark.usefixtures("overlapping")
@pytest.mark.parametrize(
    ("environment", "message"),
    [
        (
            {**OF_BOTH, "ORDERFLOW_ONE_EU_APY": SECRET},
            r"^ORDERFLOW_ONE_EU_APY: there is no such setting \(known: ORDERFLOW_ONE_EU_API, ORD",
        ),
        ({**OF_BOTH, "ORDERFLOW_ONE_EUAPI": SECRET}, r"^ORDERFLOW_ONE_EUAPI: there is no such setting \(known: ORDERFLOW_ONE_API, ORD"),
        ({"ORDERFLOW_ONE_EU_API": SECRET, "ORDERFLOW_PROVIDERS": "one"}, r"^not set, nor as \.\.\._FILE: ORDERFLOW_ONE_API$"),
        ({"ORDERFLOW_PUBLIC_KEYS": SECRET}, r"^ORDERFLOW_PUBLIC_KEYS: there is no such setting"),
        (
            {"ORDERFLOW_TW_IN_API": SECRET},
            r"^ORDERFLOW_TW_IN_\.\.\.: could belong to tw-in or tw_in: name one",
        ),
        ({"ORDERFLOW_PROVIDERS": "tw-in,tw_in"}, r"^ORDERFLOW_TW_IN_\.\.\.: could belong to tw-in or tw_in"),
    ],
)
def test_a_misspelt_setting_is_an_error_for_any_provider(environment: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as raised:
        load_settings({**BASE, **environment})
    assert SECRET not in str(raised.value)


def test_a_setting_that_belongs_to_nothing_is_logged_without_its_value() -> None:
    with capture_logs() as logs:
        load_settings({**BASE, **CCV, "ORDERFLOW_PUBLICURL": SECRET, "ORDERFLOW_GRACE": "5"})
    assert [(line["event"], line["variable"]) for line in logs] == [("setting.unknown", "ORDERFLOW_PUBLICURL")]
    assert SECRET not in repr(logs)


def test_a_setting_of_a_provider_that_is_not_used_is_logged_without_its_value() -> None:
    unused = {"ORDERFLOW_CCV_APIKEY": SECRET, "ORDERFLOW_CCV_BASE_URL": SECRET}
    with capture_logs() as logs:
        load_settings({**BASE, **CONNECT, "ORDERFLOW_PROVIDERS": "connect", **unused})
    assert [(line["event"], line["variable"], line["log_level"]) for line in logs] == [
        ("setting.unused", variable, "warning") for variable in unused
    ]
    assert SECRET not in repr(logs)


def test_settings_do_not_show_their_values() -> None:
    settings = load_settings({**BASE, **CCV, **CONNECT, "ORDERFLOW_DB": f"postgresql://me:{SECRET}@host/orders", **KEYS})
    assert [canary for canary in (CCV_KEY, CONNECT_SECRET, SECRET, LINK_KEYS["k1"]) if canary in repr(settings)] == []


# Orderflow checks these when it is made, and the database when it is opened
AS_GIVEN = [
    ({}, {"ORDERFLOW_DB": SECRET}, "ORDERFLOW_DB: want sqlite:///"),
    ({"ORDERFLOW_DB": SECRET}, {}, "ORDERFLOW_DB_FILE: want sqlite:///"),
    ({}, {"ORDERFLOW_DB": "postgresql://host:port/orders"}, "ORDERFLOW_DB: the URL is malformed"),
    ({}, {"ORDERFLOW_PROVIDERS": "ccv,ccv"}, "ORDERFLOW_PROVIDERS: ccv is given twice"),
    ({}, {"ORDERFLOW_SIGNING_KEYS": f"k1= {SECRET}"}, "ORDERFLOW_SIGNING_KEYS: must have no white space"),
    ({}, {"ORDERFLOW_SIGNING_KEYS": "k1=short"}, "ORDERFLOW_SIGNING_KEYS: a key id is"),
    ({}, {"ORDERFLOW_PUBLIC_URL": "https://app.example"}, "ORDERFLOW_SIGNING_KEYS: needed to sign"),
    ({}, {**KEYS, "ORDERFLOW_PUBLIC_URL": SECRET}, "ORDERFLOW_PUBLIC_URL: must be an absolute http or https URL"),
    ({"ORDERFLOW_PUBLIC_URL": SECRET}, KEYS, "ORDERFLOW_PUBLIC_URL_FILE: must be an absolute http or https URL"),
    ({}, {**KEYS, "ORDERFLOW_PUBLIC_URL": f"https://anna:{SECRET}@s.example"}, "ORDERFLOW_PUBLIC_URL: must carry no user"),
    ({}, {"ORDERFLOW_DISPATCH": "pgqueuer"}, "ORDERFLOW_DISPATCH: pgqueuer needs a postgresql:// database"),
]


@pytest.mark.parametrize(("files", "variables", "message"), AS_GIVEN, ids=[message for _, _, message in AS_GIVEN])
def test_what_orderflow_refuses_is_named_as_it_was_given(
    orderflow: Run, tmp_path: Path, files: dict[str, str], variables: dict[str, str], message: str
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(f"{text}\n")
    environment = {**BASE, **CCV, **variables} | {f"{name}_FILE": str(tmp_path / name) for name in files}
    for name in files:
        environment.pop(name, None)
    ran = orderflow("worker", **environment)
    assert (ran.code, ran.out) == (7, "")
    assert ran.err.splitlines()[-1].startswith(f"orderflow: {message}")
    assert SECRET not in ran.err


def test_an_option_is_named_as_an_option(orderflow: Run) -> None:
    for database, message in ((SECRET, "want sqlite:///"), ("postgresql://host:port/orders", "the URL is malformed")):
        ran = orderflow("worker", "--db", database, **BASE, **CCV)
        assert (ran.code, ran.err.splitlines()[-1].startswith(f"orderflow: --db: {message}")) == (7, True)


# ── its argument, its options ────────────────────────────────────────────────────────────────────────────────────────────

APPLICATION = f"""
import orderflow
provider = orderflow.Ccv("https://ccv.example/api", "key")
number = 7
def broken(): raise RuntimeError("{SECRET}")
def incomplete(): import os; return os.environ["APP_URL"]
def nothing(): return None
def wrong(): return orderflow.Ccv("{SECRET}")
def handler(entered): return entered
"""

MISTAKES: list[tuple[list[str], int, str]] = [
    (["app"], 2, "FLOW: 'app' is not module:name"),
    (["app:"], 2, "FLOW: 'app:' is not module:name"),
    (["no_such_app:flow"], 3, "unknown module: 'no_such_app'"),
    (["no_such.app:flow"], 3, "unknown module: 'no_such.app'"),
    (["app:flow"], 3, "unknown name in app: 'flow'"),
    (["app:number"], 2, "FLOW: app:number is not an Orderflow and does not return one"),
    (["app:nothing"], 2, "FLOW: app:nothing is not an Orderflow"),
    (["app:handler"], 2, "FLOW: app:handler needs arguments; a function that returns an Orderflow must need none"),
    (["app:broken"], 7, "app:broken: RuntimeError at app.py:5"),
    (["app:incomplete"], 7, "app:incomplete: KeyError 'APP_URL' at"),
    (["app:wrong"], 7, "base_url: must be an absolute http or https URL"),
    (["crooked:flow"], 7, "crooked:flow: ModuleNotFoundError No module named 'no_such_thing' at crooked.py:1"),
    (["unfinished:flow"], 7, "unfinished:flow: SyntaxError"),
    (["leaving:flow"], 7, "leaving:flow: SystemExit at leaving.py:1"),
    (["app:flow", "--db", "sqlite:///x.db"], 2, "--db, --dispatch: are settings of app:flow"),
    (["app:flow", "--dispatch", "local"], 2, "--db, --dispatch: are settings of app:flow"),
    (["--dispatch", "pigeon"], 2, "pigeon"),
    (["--grace", "-1"], 2, "--grace: must be a number of seconds"),
    (["--grace", "nan"], 2, "--grace: must be a number of seconds"),
    (["--health", "8081"], 2, "--health: must be HOST:PORT"),
    (["--health", "127.0.0.1:http"], 2, "--health: must be HOST:PORT"),
    (["--health", "127.0.0.1:65536"], 2, "--health: must be HOST:PORT"),
    (["--log-level", "chatty"], 2, "chatty"),
    ([], 7, "not set, nor as ..._FILE: ORDERFLOW_DB"),
    (["--db", "sqlite:///orders.db"], 7, "no provider is configured"),
]


ALL_OF_THEM = """
import io, json, sys
from contextlib import redirect_stderr, redirect_stdout
from orderflow._cli.main import main
for arguments in json.load(sys.stdin):
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = int(main(["worker", *arguments]))
    print(json.dumps([code, out.getvalue(), err.getvalue()]))
"""


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str, str]]:
    """How the command line ends, by its arguments; all in one process, because starting one takes most of the time."""
    folder = tmp_path_factory.mktemp("app")
    modules = {"app": APPLICATION, "crooked": "import no_such_thing", "unfinished": "def flow(", "leaving": "raise SystemExit(0)"}
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(f"{text}\n")
    commands = [arguments for arguments, _, _ in MISTAKES]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ORDERFLOW_")}
    done = subprocess.run(
        [sys.executable, "-c", ALL_OF_THEM],
        input=json.dumps(commands),
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return {" ".join(arguments): tuple(json.loads(line)) for arguments, line in zip(commands, done.stdout.splitlines(), strict=True)}


@pytest.mark.parametrize(("arguments", "code", "message"), MISTAKES, ids=[" ".join(arguments) or "nothing" for arguments, _, _ in MISTAKES])
def test_mistakes_end_in_one_line(ends: dict[str, tuple[int, str, str]], arguments: list[str], code: int, message: str) -> None:
    ended, out, err = ends[" ".join(arguments)]
    assert (ended, out) == (code, ""), err
    assert err.startswith("orderflow: ")
    assert err.count("\n") == 1
    assert message in err
    assert SECRET not in err


def test_a_port_in_use_is_named(orderflow: Run) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        ran = orderflow("worker", "--health", where, **BASE, **CCV)
    assert (ran.code, ran.err) == (7, f"orderflow: --health {where}: Address already in use\n")


def test_a_file_that_is_not_a_database_is_named(orderflow: Run, tmp_path: Path) -> None:
    (tmp_path / "orders.db").write_text("not a database, whatever its name says" * 10)
    ran = orderflow("worker", **BASE, **CCV)
    assert (ran.code, "orders.db" in ran.err.splitlines()[-1]) == (7, True)


@pytest.mark.parametrize(
    ("text", "where"), [("127.0.0.1:8081", ("127.0.0.1", 8081)), ("[::1]:0", ("::1", 0)), ("worker:80", ("worker", 80))]
)
def test_an_address_is_host_and_port(text: str, where: tuple[str, int]) -> None:
    assert parse_address(text) == where


# ── logs ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────

LOGGING = f"""
import asyncio, logging, warnings, structlog
from orderflow._cli import logs
logs.configure("warning")
structlog.get_logger().info("ours.hidden")
structlog.get_logger().warning("ours.logged", order_id="ccv-1")
logging.getLogger("httpx").info("POST https://login.example/?secret={SECRET}")
warnings.warn("old habits")
try:
    raise ValueError("{SECRET}")
except ValueError:
    logging.getLogger("theirs").exception("it broke")

async def failing():
    raise ValueError("{SECRET}")

async def main():
    asyncio.get_running_loop().set_exception_handler(logs.log_loop_error)
    forgotten = asyncio.create_task(failing())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    del forgotten

asyncio.run(main())
"""


@pytest.mark.parametrize("terminal", [False, True], ids=["file", "terminal"])
def test_logs_are_json_lines_or_for_people_and_exceptions_of_others_are_short(terminal: bool) -> None:
    ours, theirs = pty.openpty() if terminal else os.pipe()
    with os.fdopen(theirs, "wb") as err, os.fdopen(ours, "rb", closefd=True) as reading:
        subprocess.run([sys.executable, "-c", LOGGING], stderr=err, check=True)
        err.close()
        output = _read_all(reading)
    assert SECRET not in output
    assert "ours.hidden" not in output
    events = ("ours.logged", "old habits", "it broke", "event_loop.failed")
    if terminal:
        assert all(event in output for event in events)
        assert not output.startswith("{")
        return
    lines = [json.loads(line) for line in output.splitlines()]
    assert [next(event for event in events if event in line["event"]) for line in lines] == list(events)
    assert (lines[0]["order_id"], lines[0]["level"]) == ("ccv-1", "warning")
    assert [line.get("error") for line in lines] == [None, None, "ValueError", "ValueError"]
    assert lines[2]["where"] == "<string>:10"


def _read_all(reading: Any) -> str:
    output = b""
    with suppress(OSError):  # a terminal reports so that its other end is closed
        while piece := reading.read1():
            output += piece
    return output.decode()


# ── health ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

NOW, LATE, STUCK = 0.1, 30.0, 90.0
AWAY = "the database is away"


@pytest.mark.parametrize(
    ("seconds", "database_ok", "fetch_interval", "draining", "why", "alive"),
    [
        (NOW, True, 1.0, False, "", True),
        (NOW, None, 1.0, False, "starting", True),
        (NOW, False, 1.0, False, AWAY, True),
        (LATE, True, 1.0, False, AWAY, True),
        (LATE, True, 10.0, False, "", True),  # it fetches every ten seconds if nothing wakes it
        (STUCK, True, 1.0, False, AWAY, False),
        (STUCK, None, 1.0, False, "starting", False),
        (STUCK, True, 20.0, False, "", True),
        (NOW, True, 1.0, True, "draining", True),
        (STUCK, False, 1.0, True, "draining", True),  # the loop has ended; the grace bounds the rest
    ],
)
def test_health_decides_the_probes(
    seconds: float, database_ok: bool | None, fetch_interval: float, draining: bool, why: str, alive: bool
) -> None:
    health = Health(seconds, database_ok, fetch_interval, 3, draining)
    assert (why_not_ready(health, Limits()), not is_stuck(health, Limits())) == (why, alive)


def test_a_worker_that_recognised_a_restore_is_not_ready_and_names_the_remedy() -> None:
    health = Health(NOW, True, 1.0, 0, False, restored=True)
    assert "orderflow db restored" in why_not_ready(health, Limits())
    assert not is_stuck(health, Limits())


class StallingStore(SqliteStore):
    """Answers no fetch while ``stalled`` is set, until ``released`` is."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.stalled = False
        self.released = asyncio.Event()

    async def due_deadlines(self, now: float, scope: WorkerScope, limit: int) -> list[DueDeadline]:
        if self.stalled:
            await self.released.wait()
        return await super().due_deadlines(now, scope, limit)


@pytest.mark.anyio
async def test_a_worker_that_is_stuck_is_not_alive(tmp_path: Path) -> None:
    store = StallingStore(tmp_path / "orders.db")
    flow = Orderflow(store, [Toy()], worker=True, fetch_interval=0.02, grace=0.0)
    probes = serve_probes(flow, "127.0.0.1", 0, Limits(ready=0.3, alive=0.6))
    async with probes as base, httpx.AsyncClient(trust_env=False, base_url=base) as http:
        assert await _probe(http, "/ready") == (503, "starting")
        assert await _probe(http, "/live") == (200, "")
        async with flow:
            await _wait_for(http, "/ready", (200, ""))
            store.stalled = True
            await _wait_for(http, "/ready", (503, AWAY))
            await _wait_for(http, "/live", (503, "stuck"))
            fields = ("seconds_since_fetch", "database_ok", "fetch_interval", "in_flight", "draining", "problems", "failing_listeners")
            assert tuple((await http.get("/live")).json()) == ("why", *fields, "restored")
            store.stalled = False
            store.released.set()
        assert await _probe(http, "/ready") == (503, "draining")
        assert (await http.post("/live")).status_code == 405


@pytest.mark.anyio
async def test_a_process_without_a_worker_is_never_ready(tmp_path: Path) -> None:
    flow = Orderflow(f"sqlite:///{tmp_path / 'orders.db'}", [Toy()])
    async with flow, serve_probes(flow, "127.0.0.1", 0) as base, httpx.AsyncClient(trust_env=False, base_url=base) as http:
        assert (flow.health, await _probe(http, "/ready")) == (None, (503, "starting"))


async def _probe(http: httpx.AsyncClient, path: str) -> tuple[int, str]:
    response = await http.get(path)
    return response.status_code, response.json()["why"]


async def _wait_for(http: httpx.AsyncClient, path: str, expected: tuple[int, str]) -> None:
    async with asyncio.timeout(60):
        while await _probe(http, path) != expected:
            await asyncio.sleep(0.02)
