"""The guides are true: every python block of README.md, docs/how-to and the READMEs in src runs, and every command in them exists.

A block that cannot run says so, and why, in its info string: ```` ```python illustrative: needs your account ````.
Blocks of one file share their names, in order; ``WORLD`` gives what a reader would have at hand. A block of tests is run by pytest.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from attrs import frozen
from starlette.applications import Starlette

from orderflow._analysis.reachability import Pair
from orderflow._cli.main import COMMANDS, build
from orderflow._distribution import DISTRIBUTION
from orderflow._providers.ccv.lifecycle import CcvLifecycle
from orderflow._testing.mealy import TableSubject

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parent.parent
GUIDES = [ROOT / "README.md", *sorted((ROOT / "docs" / "how-to").glob("*.md")), *sorted((ROOT / "src").rglob("README.md"))]
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
DOCUMENTS = sorted({*GUIDES, *ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")})
_LINK = re.compile(r"""(?:\]\(|href="|src=")([^)"\s]+)[)"]""")
_FENCE = re.compile(r"^```(\S+)[ \t]*([^\n]*)\n(.*?)^```$", re.S | re.M)


@frozen
class Block:
    """A fenced block and where it begins."""

    guide: Path
    line: int
    language: str
    info: str
    text: str

    @property
    def name(self) -> str:
        return f"{self.guide.relative_to(ROOT)}:{self.line}"

    @property
    def is_tests(self) -> bool:
        return bool(re.search(r"^(async )?def test_|\.TestCase$", self.text, re.M))


def blocks(guide: Path) -> list[Block]:
    text = guide.read_text()
    found = [Block(guide, text.count("\n", 0, m.start()) + 1, m[1], m[2].strip(), m[3]) for m in _FENCE.finditer(text)]
    assert len(found) == sum(line.startswith("```") and len(line) > 3 for line in text.splitlines()), f"{guide}: a fence is not closed"
    return found


ALL = [block for guide in GUIDES for block in blocks(guide)]
PYTHON = [block for block in ALL if block.language == "python" and not block.info.startswith("illustrative")]
TESTS = [block for block in PYTHON if block.is_tests]
PLAIN = sorted({block.guide for block in PYTHON if not block.is_tests})


def test_the_first_twenty_lines_say_what_it_is_for_whom_and_how_to_begin() -> None:
    top = "\n".join((ROOT / "README.md").read_text().splitlines()[:20])
    assert all(part in top for part in ("**For**", "**Not for**", f'pip install "{DISTRIBUTION}[', 'flow.send(order.id, "register")'))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: str(document.relative_to(ROOT)))
def test_every_relative_link_leads_to_a_file(document: Path) -> None:
    text = _FENCE.sub("", document.read_text())
    targets = [target for target in _LINK.findall(text) if not re.match(r"[a-z]+:|#", target)]
    assert [target for target in targets if not (document.parent / target.partition("#")[0]).exists()] == []


def test_on_the_package_index_every_link_of_the_readme_is_absolute() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    text = (ROOT / "README.md").read_text()
    for substitution in project["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]["substitutions"]:
        text = re.sub(substitution["pattern"], substitution["replacement"], text)
    source = project["project"]["urls"]["Source"]
    targets = _LINK.findall(text)
    assert len(targets) > 10
    assert [target for target in targets if not target.startswith((f"{source}/blob/main/", f"{source}/raw/main/"))] == []
    assert all(url.startswith(source) for url in project["project"]["urls"].values())


def test_whatever_does_not_run_says_why() -> None:
    for block in ALL:
        if block.info:
            assert re.fullmatch(r"illustrative: \S.{10,}", block.info), f"{block.name}: {block.info!r} gives no reason"
        assert block.language != "py", f"{block.name}: say python, or it is not run"


@pytest.mark.parametrize("guide", PLAIN, ids=lambda guide: str(guide.relative_to(ROOT)))
def test_python_blocks_run(
    guide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, orderflow_connect: Any, orderflow_application: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    known: dict[str, Any] = {
        "api_key": "a-key",
        "client_id": "simulated-client",
        "client_secret": "simulated-secret",
        "signing_key": "a-signing-key-of-tests-only",
        "grant_access": lambda entered: None,
        "app": Starlette(),
        "payload": {
            "payer": {"lastName": "Nordmann", "postalCode": "0150", "emails": ["kari@example.org"]},
            "orderLines": [{"productSpecType": "coupon", "productSpecCode": "WEB", "productSpecNo": 7, "unitPrice": 295}],
            "paymentMethod": "creditcardPayex",
            "orderAmount": 295,
        },
        "MyLifecycle": CcvLifecycle,
        "MyService": lambda pair: TableSubject(CcvLifecycle.table, pair),
        "Pair": Pair,
    }
    replacements = {
        "https://api-test.mediaconnect.no/capi": f"{orderflow_connect.url}/capi",
        "https://api-test.mediaconnect.no/login": f"{orderflow_connect.url}/user",
        "https://shop.example": orderflow_application.url,
        "postgresql://localhost/shop": "sqlite:///shop.db",
        "<host>": "ccv.example",
    }
    for block in PYTHON:
        if block.guide == guide and not block.is_tests:
            text = block.text
            for written, used in replacements.items():
                text = text.replace(written, used)
            _run(block, text, known)
    if guide == ROOT / "README.md":
        assert known["url"].startswith(f"{orderflow_connect.url}/user/fulfillment?")
        assert [order.stage for order in orderflow_connect.simulator.orders] == ["registered"]


def _run(block: Block, text: str, known: dict[str, Any]) -> None:
    code = compile("\n" * block.line + text, str(block.guide), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    ran = eval(code, known)
    if inspect.iscoroutine(ran):
        asyncio.run(ran)


@pytest.mark.parametrize("block", TESTS, ids=lambda block: block.name)
def test_blocks_of_tests_pass_in_a_strict_project(block: Block, pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nstrict = true\nfilterwarnings = error\nanyio_mode = auto\n")
    # the blocks show defaults; a hundred examples are tried in tests/unit/testing/test_state_machine.py
    pytester.makeconftest(
        dedent(
            """
            import pytest
            from hypothesis import HealthCheck, settings

            settings.register_profile("guides", max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
            settings.load_profile("guides")

            @pytest.fixture
            def anyio_backend():
                return "asyncio"
            """
        )
    )
    pytester.makepyfile(block.text)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    assert result.ret == 0
    assert result.parseoutcomes().keys() == {"passed"}


def test_the_first_test_of_a_new_user_is_short() -> None:
    first = next(block for block in TESTS if block.guide == ROOT / "README.md")
    lines = [line for line in first.text.splitlines() if line.strip()]
    assert len(lines) <= 15
    assert len((ROOT / "README.md").read_text().splitlines()) <= 130, "the README grows: move it to a guide"


def commands() -> Iterator[tuple[str, list[str]]]:
    """Every command line of a shell block, and of inline code that begins with one of our programs."""
    for block in ALL:
        if block.language in ("sh", "bash", "shell", "console"):
            for n, line in enumerate(block.text.splitlines(), 1):
                command = line.removeprefix("$ ").partition(" | ")[0].partition(" > ")[0]
                words = shlex.split(command, comments=True)
                if words and (block.language != "console" or line.startswith("$ ")):
                    yield f"{block.guide.relative_to(ROOT)}:{block.line + n}", words
    for guide in GUIDES:
        prose = _FENCE.sub("", guide.read_text())
        for command in re.findall(r"`((?:orderflow|make) [a-z][^`]*)`", prose):
            yield f"{guide.relative_to(ROOT)}: `{command}`", command.split()[:2]


def test_every_command_that_is_named_exists() -> None:
    known = {command.name for command in COMMANDS}
    seen = 0
    for where, (program, *words) in commands():
        seen += 1
        if program == "make":
            assert words, where
            assert words[0] in TARGETS, where
        elif program == "orderflow":
            assert words[0] in known or words[0].startswith("--"), where
            if "`" not in where:
                build().parse_args(words)  # raises for an option or argument that is none
    assert seen > 5
