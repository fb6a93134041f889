"""``orderflow work``: what it makes of the environment, of its argument, and of mistakes; how it judges and tells its health.

Its life and end as a process: tests/integration/test_work_process.py.
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

from orderflow.app import Orderflow
from orderflow.cli import health
from orderflow.cli.health import address, probed, stuck, unready
from orderflow.cli.settings import flow_of
from orderflow.engine.worker import Health
from orderflow.errors import ConfigurationError, OrderflowError
from orderflow.store.records import DueDeadline, WorkerScope
from orderflow.store.sqlite.store import SqliteStore

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


def providers_of(flow: Orderflow) -> dict[str, Any]:
    return dict(flow._providers)


def test_both_providers_come_from_the_environment_and_an_empty_variable_is_none() -> None:
    more = {
        "ORDERFLOW_CONNECT_FULFILLED_LITERALS": "fulfilled, delivered",
        "ORDERFLOW_CONNECT_CREDENTIALS_IN": "body",
        "ORDERFLOW_CCV_NOTIFICATIONS": "off",
        "ORDERFLOW_CCV_ALLOW_HTTP": "true",
        "ORDERFLOW_CCV_TIMEOUT": "2.5",
        "ORDERFLOW_CCV_AUTHORIZATION": "",
        "ORDERFLOW_PUBLIC_URL": "https://shop.example/orders",
        "ORDERFLOW_SIGNING_KEYS": f"k2={SECRET},k1={LINK_KEYS['k1']}=",
        "UNRELATED": "x",
    }
    flow = flow_of({**BASE, **CONNECT, **CCV, **more})
    found = providers_of(flow)
    assert list(found) == ["ccv", "connect"]
    assert found["connect"].fulfilled_literals == ("fulfilled", "delivered")
    assert found["ccv"]._allow_http is True
    assert flow._links.url("ccv", "notification", "o-1").startswith("https://shop.example/orders/ccv/notification/k2.")  # type: ignore[union-attr]


def test_only_what_is_configured_or_named_is_there() -> None:
    assert list(providers_of(flow_of({**BASE, **CCV}))) == ["ccv"]
    assert list(providers_of(flow_of({**BASE, **CCV, **CONNECT, "ORDERFLOW_PROVIDERS": "connect"}))) == ["connect"]


def test_what_the_command_line_gives_goes_first(tmp_path: Path) -> None:
    flow = flow_of({**CCV, "ORDERFLOW_DB": "nonsense"}, db=f"sqlite:///{tmp_path / 'given.db'}", dispatch=None)
    asyncio.run(_entered(flow))
    assert (tmp_path / "given.db").exists()


async def _entered(flow: Orderflow) -> None:
    async with flow:
        pass


@pytest.mark.parametrize("name", ["ORDERFLOW_DB", "ORDERFLOW_SIGNING_KEYS", "ORDERFLOW_CCV_API_KEY", "ORDERFLOW_CCV_BASE_URL"])
def test_anything_may_stand_in_a_file(tmp_path: Path, name: str) -> None:
    whole = {**BASE, **CCV, "ORDERFLOW_SIGNING_KEYS": f"k1={SECRET}\n"}
    (tmp_path / "secret").write_text(whole.pop(name) + "\n")
    assert list(providers_of(flow_of({**whole, f"{name}_FILE": str(tmp_path / "secret")}))) == ["ccv"]


WRONG: list[tuple[dict[str, str], str]] = [
    ({}, "not set, nor as ..._FILE: ORDERFLOW_DB"),
    ({**CCV, "ORDERFLOW_DB": SECRET}, "ORDERFLOW_DB: want sqlite:///"),
    ({**BASE, **CCV, "ORDERFLOW_PROVIDERS": "ccv,ccv"}, "ORDERFLOW_PROVIDERS: ccv is given twice"),
    ({**BASE, **CCV, "ORDERFLOW_SIGNING_KEYS": f"k1= {SECRET}"}, "ORDERFLOW_SIGNING_KEYS: must have no white space"),
    ({**BASE, **CCV, "ORDERFLOW_CCV_API_KEY": f" {SECRET}"}, "ORDERFLOW_CCV_API_KEY: must have no white space at its ends"),
    ({**BASE, **CONNECT, "ORDERFLOW_CONNECT_CLIENT_SECRET": f"{SECRET}\t"}, "ORDERFLOW_CONNECT_CLIENT_SECRET: must have no white space"),
    ({**BASE, **CONNECT, "ORDERFLOW_CONNECT_CLIENT_ID": f"{SECRET}\n"}, "ORDERFLOW_CONNECT_CLIENT_ID: must have no white space"),
    ({**BASE, **CCV, **KEYS, "ORDERFLOW_PUBLIC_URL": SECRET}, "ORDERFLOW_PUBLIC_URL: must be an absolute http or https URL"),
    ({**BASE, **CCV, **KEYS, "ORDERFLOW_PUBLIC_URL": f"https://anna:{SECRET}@s.example"}, "ORDERFLOW_PUBLIC_URL: must carry no user"),
    ({**BASE}, "no provider is configured: set ORDERFLOW_PROVIDERS"),
    ({**BASE, **CCV, "ORDERFLOW_PROVIDERS": "paypal"}, "ORDERFLOW_PROVIDERS: names one that is not installed"),
    ({**BASE, **CCV, "ORDERFLOW_DISPATCH": "carrier-pigeon"}, "ORDERFLOW_DISPATCH: must be one of local, pgqueuer"),
    ({**BASE, **CCV, "ORDERFLOW_PUBLIC_URL": "https://shop.example"}, "ORDERFLOW_SIGNING_KEYS: needed to sign"),
    ({**BASE, **CCV, "ORDERFLOW_SIGNING_KEYS": SECRET}, "ORDERFLOW_SIGNING_KEYS: must be name=secret"),
    ({**BASE, **CCV, "ORDERFLOW_SIGNING_KEYS": "k1=short"}, "ORDERFLOW_SIGNING_KEYS: a key id is"),
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
    ({**BASE, **CCV, "ORDERFLOW_CCV_API_KEY_FILE": SECRET}, "ORDERFLOW_CCV_API_KEY and ORDERFLOW_CCV_API_KEY_FILE: only one"),
    ({**CCV, "ORDERFLOW_DB_FILE": f"/no/{SECRET}"}, "ORDERFLOW_DB_FILE: No such file"),
    ({**CCV, "ORDERFLOW_DB_FILE": sys.executable}, "ORDERFLOW_DB_FILE: the file is no UTF-8 text"),
]


@pytest.mark.parametrize(("environment", "said"), WRONG, ids=[said[:40] for _, said in WRONG])
def test_a_wrong_setting_is_named_and_its_value_is_not(environment: dict[str, str], said: str) -> None:
    with pytest.raises(OrderflowError) as raised:
        flow_of(environment)
    assert isinstance(raised.value, ConfigurationError)
    assert said in str(raised.value)
    assert [canary for canary in (SECRET, CCV_KEY, CONNECT_SECRET) if canary in str(raised.value)] == []


@contextmanager
def installed(package: str, source: str, providers: Mapping[str, str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package of others with these providers, each by its entry point, as long as the body runs."""
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
from warehouse import Warehouse

class Depot(Warehouse):
    def __init__(self, url: str, retries: int, *, doors: Sequence[str] = (), speed: float | None = None, made: Callable[[], int] = int):
        self.given = (url, retries, doors, speed, made())

class Rich(Warehouse):
    def __init__(self, made: Callable[[], int]):
        raise AssertionError
"""


@pytest.fixture
def depot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Providers of another package, installed for this test only; one is called de-pot."""
    providers = {"de-pot": "depot:Depot", "rich": "depot:Rich", "warehouse": "warehouse:Warehouse"}
    with installed("depot", DEPOT, providers, tmp_path, monkeypatch):
        yield


@pytest.mark.usefixtures("depot")
def test_another_packages_provider_is_configured_by_its_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    depot = {"ORDERFLOW_DE_POT_URL": "https://d", "ORDERFLOW_DE_POT_RETRIES": "3", "ORDERFLOW_DE_POT_DOORS": "north,south"}
    flow = flow_of({**BASE, **depot, "ORDERFLOW_DE_POT_SPEED": "1.5"})
    assert [one.given for one in providers_of(flow).values()] == [("https://d", 3, ("north", "south"), 1.5, 0)]
    monkeypatch.setenv("WAREHOUSE_URL", "http://127.0.0.1:1")
    assert list(providers_of(flow_of({**BASE, "ORDERFLOW_PROVIDERS": "warehouse"}))) == ["warehouse"]
    with pytest.raises(ConfigurationError, match=r"^rich takes more than variables can say \(made\): give orderflow work a module:name$"):
        flow_of({**BASE, "ORDERFLOW_PROVIDERS": "rich"})


def test_what_is_wrong_is_named_as_it_was_given(tmp_path: Path) -> None:
    (tmp_path / "db").write_text(f"{SECRET}\n")
    (tmp_path / "url").write_text("shop.example")
    in_file = {**CCV, "ORDERFLOW_DB_FILE": str(tmp_path / "db")}
    with pytest.raises(ConfigurationError, match=r"^ORDERFLOW_DB_FILE: want sqlite"):
        flow_of(in_file)
    with pytest.raises(ConfigurationError, match=r"^--db: want sqlite"):
        flow_of(in_file, db=SECRET)
    with pytest.raises(ConfigurationError, match=r"^ORDERFLOW_PUBLIC_URL_FILE: must be an absolute"):
        flow_of({**BASE, **CCV, **KEYS, "ORDERFLOW_PUBLIC_URL_FILE": str(tmp_path / "url")})


def test_what_only_shows_when_it_is_opened_is_named_as_it_was_given(orderflow: Run) -> None:
    malformed = "postgresql://host:port/orders"
    assert orderflow("work", **CCV, ORDERFLOW_DB=malformed).err.endswith("orderflow: ORDERFLOW_DB: the URL is malformed\n")
    assert orderflow("work", "--db", malformed, **CCV).err.endswith("orderflow: --db: the URL is malformed\n")
    lonely = orderflow("work", **BASE, **CCV, ORDERFLOW_DISPATCH="pgqueuer")
    assert (lonely.code, lonely.err.splitlines()[-1]) == (7, "orderflow: ORDERFLOW_DISPATCH: pgqueuer needs a postgresql:// database")


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
    """Providers of another package whose names make one prefix the beginning of another's, of one of ours, or the same."""
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
    with capture_logs() as said:
        found = providers_of(flow_of({**BASE, **environment}))
    assert {name: one.given for name, one in found.items()} == given
    assert [(line["event"], line["variable"]) for line in said] == [("setting.unused", variable) for variable in unused]


@pytest.mark.usefixtures("overlapping")
@pytest.mark.parametrize(
    ("environment", "said"),
    [
        (
            {**OF_BOTH, "ORDERFLOW_ONE_EU_APY": SECRET},
            r"^ORDERFLOW_ONE_EU_APY: there is no such setting \(known: ORDERFLOW_ONE_EU_API, ORD",
        ),
        ({**OF_BOTH, "ORDERFLOW_ONE_EUAPI": SECRET}, r"^ORDERFLOW_ONE_EUAPI: there is no such setting \(known: ORDERFLOW_ONE_API, ORD"),
        ({"ORDERFLOW_ONE_EU_API": SECRET, "ORDERFLOW_PROVIDERS": "one"}, r"^not set, nor as \.\.\._FILE: ORDERFLOW_ONE_API$"),
        ({"ORDERFLOW_PUBLIC_KEYS": SECRET}, r"^ORDERFLOW_PUBLIC_KEYS: there is no such setting"),
        ({"ORDERFLOW_TW_IN_API": SECRET}, r"^ORDERFLOW_TW_IN_\.\.\.: of tw-in or of tw_in\? ORDERFLOW_PROVIDERS must name one of them$"),
        ({"ORDERFLOW_PROVIDERS": "tw-in,tw_in"}, r"^ORDERFLOW_TW_IN_\.\.\.: of tw-in or of tw_in\? ORDERFLOW_PROVIDERS must name one of"),
    ],
)
def test_a_misspelt_setting_is_said_whosever_it_is(environment: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as raised:
        flow_of({**BASE, **environment})
    assert SECRET not in str(raised.value)


def test_a_setting_that_nobody_knows_is_said_aloud_and_its_value_is_not() -> None:
    with capture_logs() as said:
        flow_of({**BASE, **CCV, "ORDERFLOW_PUBLICURL": SECRET, "ORDERFLOW_GRACE": "5"})
    assert [(line["event"], line["variable"]) for line in said] == [("setting.unknown", "ORDERFLOW_PUBLICURL")]
    assert SECRET not in repr(said)


def test_a_setting_of_a_provider_that_is_not_used_is_said_aloud_misspelt_or_not_and_its_value_is_not() -> None:
    with capture_logs() as said:
        flow_of({**BASE, **CONNECT, "ORDERFLOW_PROVIDERS": "connect", "ORDERFLOW_CCV_APIKEY": SECRET, "ORDERFLOW_CCV_BASE_URL": SECRET})
    heard = [(line["event"], line["variable"], line["log_level"]) for line in said]
    assert heard == [("setting.unused", f"ORDERFLOW_CCV_{name}", "warning") for name in ("APIKEY", "BASE_URL")]
    assert SECRET not in repr(said)


def test_no_setting_shows_its_value() -> None:
    flow = flow_of({**BASE, **CCV, **CONNECT})
    assert [canary for canary in (CCV_KEY, CONNECT_SECRET) if canary in repr([flow, providers_of(flow)])] == []


# ── its argument, its options ────────────────────────────────────────────────────────────────────────────────────────────

SHOP = f"""
import orderflow
made = orderflow.Ccv("https://ccv.example/api", "key")
number = 7
def broken(): raise RuntimeError("{SECRET}")
def needy(): import os; return os.environ["SHOP_URL"]
def nothing(): return None
def wrong(): return orderflow.Ccv("{SECRET}")
def told(news): return news
"""

MISTAKES: list[tuple[list[str], int, str]] = [
    (["shop"], 2, "FLOW: 'shop' is not module:name"),
    (["shop:"], 2, "FLOW: 'shop:' is not module:name"),
    (["no_such_shop:flow"], 3, "unknown module: 'no_such_shop'"),
    (["no_such.shop:flow"], 3, "unknown module: 'no_such.shop'"),
    (["shop:flow"], 3, "unknown name in shop: 'flow'"),
    (["shop:number"], 2, "FLOW: shop:number is no Orderflow, nor does it return one"),
    (["shop:nothing"], 2, "FLOW: shop:nothing is no Orderflow"),
    (["shop:told"], 2, "FLOW: shop:told takes arguments; what makes a flow takes none"),
    (["shop:broken"], 7, "shop:broken: RuntimeError at shop.py:5"),
    (["shop:needy"], 7, "shop:needy: KeyError 'SHOP_URL' at"),
    (["shop:wrong"], 7, "base_url: must be an absolute http or https URL"),
    (["crooked:flow"], 7, "crooked:flow: ModuleNotFoundError No module named 'no_such_thing' at crooked.py:1"),
    (["unfinished:flow"], 7, "unfinished:flow: SyntaxError"),
    (["leaving:flow"], 7, "leaving:flow: SystemExit at leaving.py:1"),
    (["shop:flow", "--db", "sqlite:///x.db"], 2, "--db, --dispatch: are settings of shop:flow"),
    (["shop:flow", "--dispatch", "local"], 2, "--db, --dispatch: are settings of shop:flow"),
    (["--dispatch", "carrier-pigeon"], 2, "carrier-pigeon"),
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
from orderflow.cli.main import main
for arguments in json.load(sys.stdin):
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = int(main(["work", *arguments]))
    print(json.dumps([code, out.getvalue(), err.getvalue()]))
"""


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str, str]]:
    """How the command line ends, by its arguments; all in one process, for starting one takes most of the time."""
    folder = tmp_path_factory.mktemp("shop")
    modules = {"shop": SHOP, "crooked": "import no_such_thing", "unfinished": "def flow(", "leaving": "raise SystemExit(0)"}
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(f"{text}\n")
    asked = [arguments for arguments, _, _ in MISTAKES]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ORDERFLOW_")}
    done = subprocess.run(
        [sys.executable, "-c", ALL_OF_THEM],
        input=json.dumps(asked),
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return {" ".join(one): tuple(json.loads(line)) for one, line in zip(asked, done.stdout.splitlines(), strict=True)}


@pytest.mark.parametrize(("arguments", "code", "said"), MISTAKES, ids=[" ".join(arguments) or "nothing" for arguments, _, _ in MISTAKES])
def test_mistakes_end_in_one_line(ends: dict[str, tuple[int, str, str]], arguments: list[str], code: int, said: str) -> None:
    ended, out, err = ends[" ".join(arguments)]
    assert (ended, out) == (code, ""), err
    assert err.startswith("orderflow: ")
    assert err.count("\n") == 1
    assert said in err
    assert SECRET not in err


def test_a_taken_port_is_named(orderflow: Run) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        ran = orderflow("work", "--health", where, **BASE, **CCV)
    assert (ran.code, ran.err) == (7, f"orderflow: --health {where}: Address already in use\n")


def test_a_database_that_cannot_be_had_is_said(orderflow: Run, tmp_path: Path) -> None:
    (tmp_path / "orders.db").write_text("not a database, whatever its name says" * 10)
    ran = orderflow("work", **BASE, **CCV)
    assert (ran.code, "orders.db" in ran.err.splitlines()[-1]) == (7, True)


@pytest.mark.parametrize(
    ("text", "where"), [("127.0.0.1:8081", ("127.0.0.1", 8081)), ("[::1]:0", ("::1", 0)), ("worker:80", ("worker", 80))]
)
def test_an_address_is_host_and_port(text: str, where: tuple[str, int]) -> None:
    assert address(text) == where


# ── logs ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────

LOGGING = f"""
import asyncio, logging, warnings, structlog
from orderflow.cli import logs
logs.configure("warning")
structlog.get_logger().info("ours.hushed")
structlog.get_logger().warning("ours.said", order_id="ccv-1")
logging.getLogger("httpx").info("POST https://login.example/?secret={SECRET}")
warnings.warn("old habits")
try:
    raise ValueError("{SECRET}")
except ValueError:
    logging.getLogger("theirs").exception("it broke")

async def failing():
    raise ValueError("{SECRET}")

async def main():
    asyncio.get_running_loop().set_exception_handler(logs.of_loop)
    forgotten = asyncio.create_task(failing())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    del forgotten

asyncio.run(main())
"""


@pytest.mark.parametrize("terminal", [False, True], ids=["file", "terminal"])
def test_logs_are_json_lines_or_for_people_and_others_exceptions_stay_brief(terminal: bool) -> None:
    ours, theirs = pty.openpty() if terminal else os.pipe()
    with os.fdopen(theirs, "wb") as err, os.fdopen(ours, "rb", closefd=True) as reading:
        subprocess.run([sys.executable, "-c", LOGGING], stderr=err, check=True)
        err.close()
        said = _all_of(reading)
    assert SECRET not in said
    assert "ours.hushed" not in said
    events = ("ours.said", "old habits", "it broke", "work.loop_error")
    if terminal:
        assert all(event in said for event in events)
        assert not said.startswith("{")
        return
    lines = [json.loads(line) for line in said.splitlines()]
    assert [next(event for event in events if event in line["event"]) for line in lines] == list(events)
    assert (lines[0]["order_id"], lines[0]["level"]) == ("ccv-1", "warning")
    assert [line.get("error") for line in lines] == [None, None, "ValueError", "ValueError"]
    assert lines[2]["where"] == "<string>:10"


def _all_of(reading: Any) -> str:
    said = b""
    with suppress(OSError):  # how a terminal says that nobody writes any more
        while piece := reading.read1():
            said += piece
    return said.decode()


# ── health ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

NOW, LATE, STUCK = 0.1, 30.0, 90.0


@pytest.mark.parametrize(
    ("age", "reached", "fetch_interval", "draining", "why", "alive"),
    [
        (NOW, True, 1.0, False, "", True),
        (NOW, None, 1.0, False, "starting", True),
        (NOW, False, 1.0, False, "the database is away", True),
        (LATE, True, 1.0, False, "the database is away", True),
        (LATE, True, 10.0, False, "", True),  # it looks every ten seconds, if nothing stirs it
        (STUCK, True, 1.0, False, "the database is away", False),
        (STUCK, None, 1.0, False, "starting", False),
        (STUCK, True, 20.0, False, "", True),
        (NOW, True, 1.0, True, "draining", True),
        (STUCK, False, 1.0, True, "draining", True),  # the loop has ended; the grace bounds the rest
    ],
)
def test_health_is_judged(age: float, reached: bool | None, fetch_interval: float, draining: bool, why: str, alive: bool) -> None:
    health = Health(age, reached, fetch_interval, 3, draining)
    assert (unready(health), not stuck(health)) == (why, alive)


class StallingStore(SqliteStore):
    """Answers no look once ``stalled``."""

    stalled = False

    async def due_deadlines(self, now: float, scope: WorkerScope, limit: int) -> list[DueDeadline]:
        if self.stalled:
            await asyncio.Event().wait()
        return await super().due_deadlines(now, scope, limit)


@pytest.mark.anyio
async def test_a_worker_that_is_stuck_is_not_alive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_SLOW", 0.3)
    monkeypatch.setattr(health, "_STUCK", 0.6)
    monkeypatch.setattr("orderflow.engine.worker._GIVING_BACK", 0.1)
    store = StallingStore(tmp_path / "orders.db")
    flow = Orderflow(store, [Toy()], worker=True, fetch_interval=0.02, grace=0.0)
    async with probed(flow, "127.0.0.1", 0) as base, httpx.AsyncClient(trust_env=False, base_url=base) as http:
        assert await _asked(http, "/ready") == (503, "starting")
        assert await _asked(http, "/live") == (200, "")
        async with flow:
            await _until(http, "/ready", (200, ""))
            store.stalled = True
            await _until(http, "/ready", (503, "the database is away"))
            assert await _asked(http, "/live") == (200, "")
            await _until(http, "/live", (503, "stuck"))
            assert (await http.get("/live")).json().keys() == {"why", "age", "reached", "poll", "in_hand", "draining", "troubles"}
        assert await _asked(http, "/ready") == (503, "draining")
        assert (await http.post("/live")).status_code == 405


@pytest.mark.anyio
async def test_a_flow_that_does_not_work_is_never_ready(tmp_path: Path) -> None:
    flow = Orderflow(f"sqlite:///{tmp_path / 'orders.db'}", [Toy()])
    async with flow, probed(flow, "127.0.0.1", 0) as base, httpx.AsyncClient(trust_env=False, base_url=base) as http:
        assert (flow.health, await _asked(http, "/ready")) == (None, (503, "starting"))


async def _asked(http: httpx.AsyncClient, path: str) -> tuple[int, str]:
    answer = await http.get(path)
    return answer.status_code, answer.json()["why"]


async def _until(http: httpx.AsyncClient, path: str, wanted: tuple[int, str]) -> None:
    async with asyncio.timeout(10):
        while await _asked(http, path) != wanted:
            await asyncio.sleep(0.02)
