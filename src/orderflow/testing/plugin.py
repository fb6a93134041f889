"""The pytest plugin (entry point ``orderflow``): fixtures, one marker, coverage of lifecycles. README.md is the guide.

What may live here: pytest's hooks and fixtures, thin. Nothing but pytest is imported at the top and nothing is autouse: a project that
has orderflow installed and does not use this pays nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from orderflow.provider.protocol import Provider
    from orderflow.testing.backstage import Backstage, Opening, Shop, Simulated
    from orderflow.testing.coverage import Coverage
    from orderflow.testing.sharedclock import SharedClock

PROVIDERS = ("connect", "ccv")
MARKER = (
    "orderflow(provider, *, scenario='', faults=(), db='', switches={}): what the provider's simulator is to play "
    "(an X-Sim-Scenario), the faults armed on it, its switches; the database of orderflow_store"
)
_KNOWN = {"scenario", "faults", "db", "switches"}


# ── fixtures ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def orderflow_backstage() -> Iterator[Backstage]:
    """A thread with an event loop, in which simulators and shop are served; needs the extra ``orderflow[simulate]``."""
    from orderflow.testing.backstage import Backstage  # noqa: PLC0415 - lazy, as everything here

    with Backstage() as backstage:
        yield backstage


@pytest.fixture
def orderflow_clock() -> SharedClock:
    """Time under your control: a test that asks for it has engine and simulators on this clock, which stands still until
    ``orderflow_clock.advance(seconds)``. Timings are then the real ones: hours cost nothing."""
    from orderflow.testing.sharedclock import SharedClock  # noqa: PLC0415

    return SharedClock(manual=True)


@pytest.fixture
def orderflow_shop(orderflow_backstage: Backstage) -> Shop:
    """The shop's public side on a socket: ``url``, the pages ``thanks`` and ``sorry``, and the receiver of the open flow."""
    from orderflow.testing.backstage import Shop  # noqa: PLC0415

    return Shop(orderflow_backstage)


@pytest.fixture
def orderflow_connect(request: pytest.FixtureRequest, orderflow_backstage: Backstage, orderflow_shop: Shop) -> Simulated:
    """Connect on a socket. ``url``, ``provider()``, ``visit(url, button)``, and all that ``ConnectSimulator`` has."""
    from orderflow.testing import backstage  # noqa: PLC0415

    return _simulated(lambda **told: backstage.connect(orderflow_backstage, _clock(request), orderflow_shop, **told), request, "connect")


@pytest.fixture
def orderflow_ccv(request: pytest.FixtureRequest, orderflow_backstage: Backstage) -> Simulated:
    """CCV on a socket. ``url``, ``provider()``, and all that ``CcvSimulator`` has (``script``, ``move``, ``faults``, ...)."""
    from orderflow.testing import backstage  # noqa: PLC0415

    return _simulated(lambda **told: backstage.ccv(orderflow_backstage, _clock(request), **told), request, "ccv")


@pytest.fixture
def orderflow_store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database URL: a new SQLite file, or the marker's ``db``."""
    named = [mark.kwargs["db"] for mark in _marks(request) if mark.kwargs.get("db")]
    return str(named[0]) if named else f"sqlite:///{tmp_path / 'orders.db'}"


@pytest.fixture
def orderflow_flow(request: pytest.FixtureRequest, orderflow_store: str, orderflow_shop: Shop) -> Callable[..., Opening]:
    """``with orderflow_flow() as flow`` in a sync test, ``async with orderflow_flow() as flow`` in an async one: an engine that works,
    on ``orderflow_store``, for the simulators that the test asks for or marks. Give it providers of your own
    (``orderflow_flow(orderflow_ccv.provider(notifications="off"))``) and settings of ``Orderflow`` by name. Opened again, it is a
    restart on the same database."""
    from orderflow.testing.backstage import Opening  # noqa: PLC0415

    def flow(*providers: Provider, **settings: Any) -> Opening:
        wanted = providers or tuple(request.getfixturevalue(f"orderflow_{name}").provider() for name in _asked(request))
        if not wanted:
            pytest.fail("orderflow_flow: ask for orderflow_connect or orderflow_ccv, mark the test, or give it providers", pytrace=False)
        settings.setdefault("clock", _clock(request))
        return Opening(orderflow_shop, settings.pop("db", orderflow_store), wanted, **settings)

    return flow


def _asked(request: pytest.FixtureRequest) -> list[str]:
    marked = {mark.args[0] for mark in _marks(request) if mark.args}
    return [name for name in PROVIDERS if name in marked or f"orderflow_{name}" in request.fixturenames]


def _clock(request: pytest.FixtureRequest) -> SharedClock:
    """The test's standing clock if it asks for one, else one that runs."""
    if "orderflow_clock" in request.fixturenames:
        clock: SharedClock = request.getfixturevalue("orderflow_clock")
        return clock
    from orderflow.testing.sharedclock import SharedClock  # noqa: PLC0415

    return SharedClock()


def _marks(request: pytest.FixtureRequest) -> list[pytest.Mark]:
    """The markers of a test, the nearest first, each checked."""
    marks = list(request.node.iter_markers("orderflow"))
    for mark in marks:
        strange = sorted(mark.kwargs.keys() - _KNOWN)
        if strange or len(mark.args) > 1 or (mark.args and mark.args[0] not in PROVIDERS):
            wrong = ", ".join([*map(repr, mark.args), *strange])
            wanted = f"want {' or '.join(PROVIDERS)}, then {', '.join(sorted(_KNOWN))}"
            pytest.fail(f"@pytest.mark.orderflow: {wrong}: {wanted}", pytrace=False)
    return marks


def _simulated(make: Callable[..., Simulated], request: pytest.FixtureRequest, name: str) -> Simulated:
    told: dict[str, Any] = {}
    for mark in reversed([mark for mark in _marks(request) if mark.args == (name,)]):
        told |= {key: value for key, value in mark.kwargs.items() if key in ("scenario", "faults")} | dict(mark.kwargs.get("switches", {}))
    wrong = ""
    try:
        return make(**told)
    except ValueError as error:
        wrong = str(error)
    pytest.fail(f"@pytest.mark.orderflow: {wrong}", pytrace=False)


# ── coverage ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options."""
    group = parser.getgroup("orderflow", "orderflow: orders that outside providers run")
    group.addoption("--orderflow-cov", action="store_true", help="print which states, edges and cells of lifecycles this run went through")
    group.addoption(
        "--orderflow-cov-require",
        metavar="KIND=PERCENT,...",
        default="",
        help="fail the run below these, such as states=100,edges=90,cells=50 (implies --orderflow-cov)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker; watch the engine if coverage is wanted."""
    config.addinivalue_line("markers", MARKER)
    asked: str = config.getoption("--orderflow-cov-require")
    if asked or config.getoption("--orderflow-cov"):
        from orderflow.testing.coverage import Coverage, required  # noqa: PLC0415

        try:
            plugin = _Measured(Coverage(), required(asked))
        except ValueError as error:
            raise pytest.UsageError(f"--orderflow-cov-require: {error}") from None
        config.pluginmanager.register(plugin, "orderflow-coverage")


class _Measured:
    """Coverage of a run; with pytest-xdist every worker tells the controller what it saw."""

    def __init__(self, coverage: Coverage, required: dict[str, float]) -> None:
        self._coverage = coverage
        self._required = required
        self._watching = ExitStack()

    def pytest_sessionstart(self) -> None:
        """Begin to watch."""
        from orderflow.testing.coverage import recording  # noqa: PLC0415

        self._watching.enter_context(recording(self._coverage))

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """A worker ended."""
        self._coverage.merge(getattr(node, "workeroutput", {}).get("orderflow", {}))

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Stop watching; a worker tells, whoever has no controller judges."""
        self._watching.close()
        output = getattr(session.config, "workeroutput", None)
        if output is not None:
            output["orderflow"] = self._coverage.as_json()
        elif self._coverage.below(self._required) and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print."""
        terminalreporter.section("orderflow coverage")
        for line in self._coverage.lines():
            terminalreporter.write_line(line)
        for line in self._coverage.below(self._required):
            terminalreporter.write_line(f"too little: {line}", red=True)
