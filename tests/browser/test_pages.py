"""The simulators' pages in a real Chromium: every button, by mouse and keyboard, in light and dark, checked by axe."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from attrs import define, field
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from tests.browser.conftest import AXE
from tests.kit.world import connect_request

from orderflow._providers.ccv.simulator import CcvSimulator
from orderflow._providers.connect.simulator import ConnectSimulator
from orderflow.simulators import Fault, SimClock, serve

pytestmark = [pytest.mark.anyio, pytest.mark.browser]

READABLE = 4.5
CREDENTIALS = {"client_id": "simulated-client", "client_secret": "simulated-secret", "grant_type": "client_credentials"}
SUBMIT = "/api/ordercompletion/reseller/order"
CONTRAST = """() => [...document.querySelectorAll('.box, .chip, .alert, button, .quiet, .note, td, th, a')].map(box => {
    const channels = color => color.match(/[\\d.]+/g).map(Number);
    const ground = node => { for (; node; node = node.parentElement) {
        const c = channels(getComputedStyle(node).backgroundColor); if (c.length < 4 || c[3] === 1) return c; } return [255, 255, 255]; };
    const light = ([r, g, b]) => { const f = v => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
        return .2126 * f(r) + .7152 * f(g) + .0722 * f(b); };
    const [a, b] = [light(channels(getComputedStyle(box).color)), light(ground(box))].sort((x, y) => y - x);
    return [box.className + ' ' + box.textContent.trim(), (a + .05) / (b + .05)]; })"""
WIDER = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
OUTSIDE = """() => [...document.querySelectorAll('body *')].filter(it => {
    const box = it.getBoundingClientRect(), look = getComputedStyle(it);
    const hidden = it.closest('.skip, .unseen, thead, option') || look.display === 'inline';
    return !hidden && (box.left < -0.5 || box.right > innerWidth + 0.5 || it.scrollWidth > it.clientWidth + 1 && look.overflowX !== 'auto');
}).map(it => it.tagName + ' ' + it.textContent.trim().slice(0, 40))"""


@define
class ConnectWorld:
    """Connect, and an application on another origin that redirects its customer to a third."""

    sim: ConnectSimulator
    base: str
    shop: str
    thanks: str
    returned: list[str] = field(factory=list)

    async def order(self, email: str = "kari@example.org") -> str:
        async with httpx.AsyncClient(trust_env=False) as http:
            token = (await http.post(self.base + "/user/oauth/token", data=CREDENTIALS)).json()["access_token"]
            body = connect_request("creditcardPayex", external_id="cart-17")["order"]
            body["payer"]["emails"] = [email]
            answer = await http.post(self.base + "/capi/v1/client/order", json=body, headers={"Authorization": f"Bearer {token}"})
            return str(answer.json()["orderId"])

    def url(self, order_id: str) -> str:
        return str(httpx.URL(self.base + "/user/fulfillment", params={"orderId": order_id, "returnUrl": f"{self.shop}/back?cart=17"}))


@asynccontextmanager
async def connect_world(path: str = "") -> AsyncIterator[ConnectWorld]:
    returned: list[str] = []

    async def back(request: Request) -> Response:
        returned.append(request.url.query)
        return RedirectResponse(f"{thanks}/thanks", 303)

    async def show_thanks(_: Request) -> Response:
        return HTMLResponse('<!doctype html><title>Thanks</title><link rel="icon" href="data:,">Thank you')

    async with (
        ConnectSimulator(clock=SimClock(start=1.8e9, manual=True)) as sim,
        serve(Starlette(routes=[Mount(path, sim.asgi)]) if path else sim.asgi) as base,
        serve(Starlette(routes=[Route("/back", back)])) as shop,
        serve(Starlette(routes=[Route("/thanks", show_thanks)])) as thanks,
    ):
        yield ConnectWorld(sim, base + path, shop, thanks, returned)


@asynccontextmanager
async def ccv(*references: str, path: str = "") -> AsyncIterator[tuple[CcvSimulator, str]]:
    async with CcvSimulator(clock=SimClock(start=1.8e9, manual=True), api_key=None, step_seconds=60) as sim:
        app = Starlette(routes=[Mount(path, sim.asgi)]) if path else sim.asgi
        async with serve(app) as base, httpx.AsyncClient(base_url=base + path, trust_env=False) as http:
            for reference in references:
                body = {"notifyCustomerByEmail": True, "order": {"a": 1}, "externalReference": reference}
                assert (await http.post(SUBMIT, json=body)).status_code == 201
            yield sim, base + path


async def check_page(tab: Any) -> None:
    """Nothing is cut off or wider than the window, every text can be read, and axe finds nothing."""
    assert await tab.evaluate(WIDER) <= 0
    faint = [(text, round(ratio, 2)) for text, ratio in await tab.evaluate(CONTRAST) if ratio < READABLE]
    assert faint == []
    await tab.evaluate(AXE.read_text())  # through the debugger: the pages' own policy allows no script
    report = await tab.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
    assert [(violation["id"], violation["nodes"][0]["html"]) for violation in report["violations"]] == []


# ---------------------------------------------------------------- every page


@pytest.mark.parametrize("page", ["/", "/journal", "/magic", "/order/ccv-0-000001", "/order/ccv-0-000002", "/order/missing"])
async def test_a_page_of_ccv(tab: Any, page: str) -> None:
    async with ccv("a#pay", "b#unknown-status+what") as (sim, base):
        await sim.advance(125)
        sim.faults.arm(Fault("POST /api", "reset-after-commit", times=3))
        await tab.goto(f"{base}/_sim{page}")
        await check_page(tab)


@pytest.mark.parametrize("page", ["/_sim/", "/_sim/order/14", "/user/pay/14", "/user/pay/99", "/_sim/magic"])
async def test_a_page_of_connect(tab: Any, page: str) -> None:
    async with connect_world() as connect:
        await tab.goto(connect.url(await connect.order()))
        await tab.goto(connect.base + page)
        await check_page(tab)


LONG = "a-very-long-reference-without-any-place-to-break-the-line"


@pytest.mark.parametrize("width", [360, 1280])
async def test_no_window_cuts_anything_off(tab: Any, width: int) -> None:
    """Nothing overflows the window or its own box. On a narrow window nothing has to be scrolled sideways, not even a table."""
    await tab.set_viewport_size({"width": width, "height": 700})
    async with ccv(f"{LONG}#pay", "b#unknown-status+what") as (sim, base), connect_world() as connect:
        await sim.advance(125)
        sim.faults.arm(Fault("POST /api", "reset-after-commit", times=3))
        payment = connect.url(await connect.order(f"{LONG}@example.org"))
        urls = [base + page for page in ("/_sim/", "/_sim/order/ccv-0-000001", "/_sim/order/ccv-0-000002", "/_sim/magic", "/_sim/journal")]
        urls += [payment, *(connect.base + page for page in ("/_sim/", "/_sim/order/14", "/_sim/magic", "/_sim/journal", "/user/pay/99"))]
        for url in urls:
            await tab.goto(url)
            await tab.evaluate("() => document.querySelectorAll('details').forEach(it => it.open = true)")
            assert await tab.evaluate(WIDER) <= 0, url
            assert await tab.evaluate(OUTSIDE) == [], url


async def test_a_narrow_table_names_every_cell(tab: Any) -> None:
    """A row is a block: each cell follows its column's head. A screen reader still has a table."""
    await tab.set_viewport_size({"width": 360, "height": 700})
    async with ccv("a#pay") as (_, base):
        await tab.goto(f"{base}/_sim/")
        heads = "() => [...document.querySelectorAll('tbody tr > *')].map(it => getComputedStyle(it, '::before').content)"
        assert await tab.evaluate(heads) == [
            f'"{head}"' for head in ("Order", "Reference", "Where it is", "Status call answers", "Since (UTC)")
        ]
        assert await tab.get_by_role("table").get_by_role("row").count() == 2
        assert await tab.get_by_role("rowheader").text_content() == "ccv-0-000001"
        await tab.set_viewport_size({"width": 1280, "height": 700})
        assert set(await tab.evaluate(heads)) == {"none"}


async def test_every_kind_of_state_box_looks_different_and_is_readable(tab: Any) -> None:
    async with ccv("a#pay") as (sim, base):
        await sim.advance(125)
        await tab.goto(f"{base}/_sim/order/ccv-0-000001")
        look = "box => { const s = getComputedStyle(box); return [s.backgroundColor, s.color, s.borderTopStyle].join(' ') }"
        looks = {}
        for kind, stage in {"current": "AwaitingPayment", "passed": "Processing", "next": "New", "other": "Completed"}.items():
            box = tab.locator(f"[data-state={stage}]")
            assert kind in await box.get_attribute("class")
            looks[kind] = await box.evaluate(look)
        assert len(set(looks.values())) == 4
        assert await tab.locator("[aria-current=step]").get_attribute("data-state") == "AwaitingPayment"


# ---------------------------------------------------------------- buttons


async def test_an_order_is_moved_by_its_buttons_and_forced_by_the_others(tab: Any) -> None:
    async with ccv("a") as (sim, base):
        await tab.goto(f"{base}/_sim/")
        await tab.get_by_role("link", name="ccv-0-000001").click()
        await tab.get_by_role("button", name="to Screening").click()
        assert sim.orders[0].status == "Screening"
        await tab.get_by_role("button", name="to Closed").click()
        assert await tab.get_by_text("would not move this order any more").is_visible()
        await tab.get_by_text("Force an illegal move").click()
        await tab.locator("select[name=to]").select_option("New")
        await tab.get_by_role("button", name="Force it").click()
        assert [status for _, status in sim.orders[0].history] == ["Processing", "Screening", "Closed", "New"]
        assert await tab.locator("[aria-current=step]").text_content() == "New (now here)"


async def test_time_faults_and_a_reset_by_button(tab: Any) -> None:
    async with ccv("a") as (sim, base):
        await tab.goto(f"{base}/_sim/")
        await tab.get_by_role("button", name="+ 1 minute").click()
        assert await tab.locator("tbody .chip").inner_text() == "Incomplete"
        await tab.locator("select[name=match]").select_option(f"POST {SUBMIT}")
        await tab.locator("select[name=fault]").select_option("reset-after-commit")
        await tab.locator("input[name=times]").fill("2")
        await tab.get_by_role("button", name="Arm").click()
        assert [(fault.match, fault.kind, fault.times) for fault in sim.faults.armed] == [(f"POST {SUBMIT}", "reset-after-commit", 2)]
        await tab.get_by_role("button", name="Clear all").click()
        assert sim.faults.armed == ()
        await tab.get_by_role("button", name="Let it run").click()
        assert not sim.clock.manual
        await tab.get_by_role("button", name="Stop it").click()
        await tab.get_by_role("button", name="Reset everything").click()
        assert await tab.get_by_text("No orders yet").is_visible()


async def test_everything_is_reached_by_keyboard(tab: Any) -> None:
    async with connect_world() as connect:
        await tab.goto(connect.url(await connect.order()))
        reached = []
        for _ in range(6):
            await tab.keyboard.press("Tab")
            reached.append(await tab.evaluate("() => document.activeElement.textContent"))
            assert await tab.evaluate("() => getComputedStyle(document.activeElement).outlineStyle") == "solid"
        assert reached == ["Skip to the content", "Pay", "Cancel", "Fail", "Lose the result", "Close the tab"]
        await tab.keyboard.press("Shift+Tab")
        await tab.keyboard.press("Enter")
        await tab.wait_for_url(f"{connect.thanks}/thanks")
        assert connect.returned == ["cart=17&fulfillmentStatus=unknown"]


# ---------------------------------------------------------------- the customer


@pytest.mark.parametrize(
    ("button", "claim", "paid"),
    [("Pay", "success", True), ("Cancel", "cancel", False), ("Fail", "error", False), ("Lose the result", "unknown", False)],
)
async def test_each_button_returns_the_customer_to_the_application(chromium: Any, button: str, claim: str, paid: bool) -> None:
    """Over two more origins, which a stricter form-action would forbid; without JavaScript."""
    async with connect_world() as connect:
        page = await chromium.new_page(java_script_enabled=False)
        await page.goto(connect.url(await connect.order()))
        await page.get_by_role("button", name=button, exact=True).click()
        await page.wait_for_url(f"{connect.thanks}/thanks")
        assert connect.returned == [f"cart=17&fulfillmentStatus={claim}"]
        assert connect.sim.order(14).paid == paid


async def test_a_customer_who_closes_the_tab_never_returns(tab: Any) -> None:
    async with connect_world() as connect:
        await tab.goto(connect.url(await connect.order()))
        await tab.get_by_role("button", name="Close the tab").click()
        assert await tab.get_by_role("heading").inner_text() == "You may close this window"
        assert connect.returned == []


# ---------------------------------------------------------------- mounted somewhere else


async def test_pages_work_below_any_path(tab: Any) -> None:
    async with ccv("a", path="/deep/ccv") as (sim, base):
        await tab.goto(f"{base}/_sim/")
        await tab.get_by_role("link", name="ccv-0-000001").click()
        await tab.get_by_role("button", name="to New").click()
        assert sim.orders[0].status == "New"
        assert await tab.evaluate("() => getComputedStyle(document.querySelector('main')).maxWidth") == "1184px"
        await tab.get_by_role("link", name="Requests").click()
        assert await tab.get_by_text(f"POST {SUBMIT}").is_visible()
    async with connect_world("/deep/connect") as connect:
        await tab.goto(connect.url(await connect.order()))
        await tab.get_by_role("button", name="Pay", exact=True).click()
        await tab.wait_for_url(f"{connect.thanks}/thanks")
        assert connect.sim.order(14).paid
