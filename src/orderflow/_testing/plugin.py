"""The pytest plugin (entry point ``orderflow``): fixtures, one marker, coverage of lifecycles.

The guide is docs/how-to/test-your-service.md. Contains only: pytest's hooks and fixtures, thin. Nothing but pytest is imported at
the top, and nothing is autouse: a project that has orderflow installed and does not use the plugin pays nothing. No provider is named:
a fixture ``orderflow_<name>`` is made for each simulator that is installed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib.metadata import entry_points
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from orderflow._provider.protocol import Provider
    from orderflow._testing.clock import SharedClock
    from orderflow._testing.coverage import Coverage
    from orderflow._testing.server import FlowContext, SimulatorHandle, TestServer
    from orderflow._testing.world import Application

MARKER = (
    "orderflow(provider, *, scenario='', faults=(), switches={}, db=''): what the provider's simulator plays (an X-Sim-Scenario), "
    "the faults armed on it, its switches; the database of orderflow_store"
)
_ARGUMENTS = {"scenario", "faults", "switches", "db"}
_GROUP = "orderflow.simulators"


# ── fixtures ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def orderflow_server(request: pytest.FixtureRequest) -> Iterator[TestServer]:
    """A thread with an event loop in which simulators and the application are served; needs the extra ``simulate``."""
    from orderflow._testing.server import TestServer  # noqa: PLC0415 - lazy, as everything here

    with TestServer(_clock(request)) as server:
        yield server


@pytest.fixture
def orderflow_clock() -> SharedClock:
    """Time under your control. In a test that asks for it, engine and simulators are on this clock. It stands still until
    ``orderflow_clock.advance(seconds)``. Timings are then the real ones: hours cost nothing."""
    from orderflow._testing.clock import SharedClock  # noqa: PLC0415

    return SharedClock(manual=True)


@pytest.fixture
def orderflow_application(orderflow_server: TestServer) -> Application:
    """The application's public side on a socket: ``url``, the pages ``thanks`` and ``sorry``, and the receiver of the open flow."""
    return orderflow_server.application


@pytest.fixture
def orderflow_store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database URL: a new SQLite file, or the marker's ``db``."""
    marked = [mark.kwargs["db"] for mark in _marks(request) if mark.kwargs.get("db")]
    return str(marked[0]) if marked else f"sqlite:///{tmp_path / 'orders.db'}"


@pytest.fixture
def orderflow_flow(request: pytest.FixtureRequest, orderflow_store: str, orderflow_server: TestServer) -> Callable[..., FlowContext]:
    """``with orderflow_flow() as flow`` in a sync test, ``async with orderflow_flow() as flow`` in an async one.

    The flow has a worker, and uses ``orderflow_store`` and the simulators that the test asks for or marks. Arguments are providers of your
    own, such as ``simulated.provider(notifications="off")``, and settings of ``Orderflow`` by name. Opened again, it is a restart on
    the same database."""

    def open_flow(*providers: Provider, **settings: Any) -> FlowContext:
        chosen = providers or tuple(request.getfixturevalue(_fixture_name(name)).provider() for name in _list_requested(request))
        if not chosen:
            wanted = " or ".join(map(_fixture_name, _list_installed()))
            pytest.fail(f"orderflow_flow: ask for {wanted}, mark the test, or give it providers", pytrace=False)
        return orderflow_server.open_flow(settings.pop("db", orderflow_store), chosen, **settings)

    return open_flow


def _simulator_fixture(name: str) -> Any:
    """The fixture of one installed simulator."""

    @pytest.fixture(name=_fixture_name(name))
    def simulator(request: pytest.FixtureRequest, orderflow_server: TestServer) -> SimulatorHandle[Any]:
        problem = ""
        try:
            return orderflow_server.start_simulator(name, **_read_arguments(request, name))
        except ValueError as error:
            problem = str(error)
        pytest.fail(f"@pytest.mark.orderflow: {problem}", pytrace=False)

    simulator.__doc__ = f"The simulator of {name} on a socket: ``url``, ``simulator``, ``provider(**settings)``, ``visit(url, button)``."
    return simulator


def _fixture_name(provider: str) -> str:
    return f"orderflow_{provider.replace('-', '_')}"


def _list_installed() -> list[str]:
    """The providers whose simulators are installed. They are not imported."""
    return sorted({entry.name for entry in entry_points(group=_GROUP)})


def _list_requested(request: pytest.FixtureRequest) -> list[str]:
    """The installed providers that the test marks, or asks for as a fixture."""
    marked = {mark.args[0] for mark in _marks(request) if mark.args}
    return [name for name in _list_installed() if name in marked or _fixture_name(name) in request.fixturenames]


def _clock(request: pytest.FixtureRequest) -> SharedClock:
    """The clock that stands still, if the test asks for it, else one that runs."""
    if "orderflow_clock" in request.fixturenames:
        clock: SharedClock = request.getfixturevalue("orderflow_clock")
        return clock
    from orderflow._testing.clock import SharedClock  # noqa: PLC0415

    return SharedClock()


# ── the marker ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _marks(request: pytest.FixtureRequest) -> list[pytest.Mark]:
    """The markers of a test, the nearest first, each checked."""
    marks = list(request.node.iter_markers("orderflow"))
    installed = _list_installed()
    for mark in marks:
        unknown = sorted(mark.kwargs.keys() - _ARGUMENTS)
        if unknown or len(mark.args) > 1 or (mark.args and mark.args[0] not in installed):
            wrong = ", ".join([*map(repr, mark.args), *unknown])
            wanted = f"want {' or '.join(installed)}, then {', '.join(sorted(_ARGUMENTS))}"
            pytest.fail(f"@pytest.mark.orderflow: {wrong}: {wanted}", pytrace=False)
    return marks


def _read_arguments(request: pytest.FixtureRequest, name: str) -> dict[str, Any]:
    """What the markers of one provider say about its simulator; the nearest marker wins."""
    arguments: dict[str, Any] = {}
    for mark in reversed([mark for mark in _marks(request) if mark.args == (name,)]):
        arguments |= {key: value for key, value in mark.kwargs.items() if key in ("scenario", "faults")}
        arguments |= mark.kwargs.get("switches", {})
    return arguments


# ── hooks ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of coverage."""
    group = parser.getgroup("orderflow", "orderflow: orders that outside providers run")
    group.addoption("--orderflow-cov", action="store_true", help="print which states, edges and cells of lifecycles this run went through")
    group.addoption(
        "--orderflow-cov-require",
        metavar="KIND=PERCENT,...",
        default="",
        help="fail the run below these, such as states=100,edges=90,cells=50 (implies --orderflow-cov)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, the fixtures of installed simulators, and coverage if it is wanted."""
    config.addinivalue_line("markers", MARKER)
    simulators = ModuleType("orderflow-simulators", "The fixtures of the installed simulators.")
    for name in _list_installed():
        setattr(simulators, _fixture_name(name), _simulator_fixture(name))
    config.pluginmanager.register(simulators, "orderflow-simulators")
    requirements: str = config.getoption("--orderflow-cov-require")
    if requirements or config.getoption("--orderflow-cov"):
        from orderflow._testing.coverage import Coverage, parse_requirements  # noqa: PLC0415

        try:
            plugin = _CoveragePlugin(Coverage(), parse_requirements(requirements))
        except ValueError as error:
            raise pytest.UsageError(f"--orderflow-cov-require: {error}") from None
        config.pluginmanager.register(plugin, "orderflow-coverage")


class _CoveragePlugin:
    """Coverage of a run. With pytest-xdist, every worker sends what it recorded to the controller."""

    def __init__(self, coverage: Coverage, requirements: dict[str, float]) -> None:
        self._coverage = coverage
        self._requirements = requirements
        self._recording = ExitStack()

    def pytest_sessionstart(self) -> None:
        """Begin to record."""
        from orderflow._testing.coverage import record  # noqa: PLC0415

        self._recording.enter_context(record(self._coverage))

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """A worker has ended: add what it recorded."""
        self._coverage.merge(getattr(node, "workeroutput", {}).get("orderflow", {}))

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Stop recording. A worker sends its record; any other process checks the requirements."""
        self._recording.close()
        output = getattr(session.config, "workeroutput", None)
        if output is not None:
            output["orderflow"] = self._coverage.as_json()
        elif self._coverage.shortfalls(self._requirements) and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the report."""
        terminalreporter.section("orderflow coverage")
        for line in self._coverage.report():
            terminalreporter.write_line(line)
        for line in self._coverage.shortfalls(self._requirements):
            terminalreporter.write_line(f"too little: {line}", red=True)
