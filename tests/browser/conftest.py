"""A real Chromium, by Playwright. Without one of them every test here is skipped; ``make test-browser`` installs both."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = Path(os.environ.get("ORDERFLOW_CHROMIUM", "/usr/bin/chromium"))
AXE = Path(__file__).parents[2] / "build" / "axe" / "node_modules" / "axe-core" / "axe.min.js"
QUIET = (
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--no-default-browser-check",
    "--no-first-run",
)


def _missing() -> str:
    try:
        import playwright.async_api  # noqa: F401
    except ImportError:
        return "no playwright"
    return "" if CHROMIUM.exists() and AXE.exists() else f"no {AXE.name if CHROMIUM.exists() else CHROMIUM}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if reason := _missing():
        for item in items:
            if item.path.is_relative_to(Path(__file__).parent):
                item.add_marker(pytest.mark.skip(reason=f"{reason}: run `make test-browser`"))


@pytest.fixture
async def chromium() -> AsyncIterator[Any]:
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(QUIET))
        yield browser
        await browser.close()


@pytest.fixture(params=["light", "dark"])
async def tab(request: pytest.FixtureRequest, chromium: Any) -> AsyncIterator[Any]:
    """A page in each colour scheme. Its console must stay empty: the browser reports breaches of the page's own policy there."""
    context = await chromium.new_context(color_scheme=request.param, viewport={"width": 1200, "height": 900})
    page = await context.new_page()
    page.set_default_timeout(15000)
    messages: list[str] = []
    # Chromium logs a page that is answered with 404, which is not an error here
    page.on("console", lambda message: messages.append(message.text) if "status of 404" not in message.text else None)
    page.on("pageerror", lambda error: messages.append(str(error)))
    yield page
    await context.close()
    assert messages == []
