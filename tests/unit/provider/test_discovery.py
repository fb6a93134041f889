"""Which providers are installed, and which of them can be made without settings."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from orderflow._provider.discovery import find_provider_factories, make_offline_providers, resolve_providers
from orderflow._providers.ccv import Ccv
from orderflow.errors import ConfigurationError, UnknownName
from orderflow.provider import Name

MODULE = """
from orderflow.provider import BaseProvider, Name

class WithSettings(BaseProvider):
    name = Name("with-settings")
    def __init__(self, url): pass

class Offline(BaseProvider):
    name = Name("offline")
    @classmethod
    def offline(cls): return cls()

class OfAnotherBase:
    name = "of-another-base"

def make_offline(): return Offline()
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package with five entry points, one of which cannot be imported."""
    info = tmp_path / "carriers-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: carriers\nVersion: 1.0\n")
    objects = ("WithSettings", "Offline", "OfAnotherBase", "make_offline", "Missing")
    entries = "".join(f"carrier-{name.lower()} = carriers:{name}\n" for name in objects)
    (info / "entry_points.txt").write_text(f"[orderflow.providers]\n{entries}")
    (tmp_path / "carriers.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("carriers", None)


def test_a_provider_that_cannot_be_imported_is_logged_and_left_out(installed: None) -> None:
    with structlog.testing.capture_logs() as logs:
        factories = find_provider_factories()
    ours = [name for name in factories if name.startswith("carrier-")]
    assert ours == ["carrier-make_offline", "carrier-ofanotherbase", "carrier-offline", "carrier-withsettings"]
    assert [(entry["event"], entry["provider"]) for entry in logs] == [("provider.import_failed", "carrier-missing")]


def test_offline_providers_are_those_that_say_how_they_are_made(installed: None) -> None:
    assert sorted(provider.name for provider in make_offline_providers()) == ["ccv", "connect", "offline"]


def test_a_provider_by_name_is_made_without_arguments(installed: None) -> None:
    assert [*resolve_providers(["carrier-offline"])] == ["offline"]
    with pytest.raises(ConfigurationError, match=r"^providers: carrier-withsettings needs to be configured"):
        resolve_providers(["carrier-withsettings"])
    with pytest.raises(UnknownName, match="unknown provider: 'carrier-none'"):
        resolve_providers([Name("carrier-none")])


def test_a_provider_is_given_once() -> None:
    with pytest.raises(ConfigurationError, match=r"^providers: ccv is given twice$"):
        resolve_providers([Ccv.offline(), Ccv.offline()])
