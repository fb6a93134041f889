"""A simulator's pages for people: its orders on the drawn flow, with buttons, its requests, its magic values and switches.

Contains only: these pages, rendered on the server, without script. Their buttons do what the control calls do.
Every address begins with the path at which the simulator is mounted.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final, Protocol
from urllib.parse import parse_qsl, quote

from attrs import evolve
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from orderflow._simulators.clock import SimClock
from orderflow._simulators.deliveries import Deliveries
from orderflow._simulators.faults import Faults
from orderflow._simulators.journal import RequestJournal
from orderflow._simulators.markup import STYLE, Html, el, page, page_headers, read_style
from orderflow._simulators.middleware import ROOT
from orderflow._simulators.operations import Operation
from orderflow._simulators.scenario import HTTP_SCENARIOS, ErrorResponse, parse_fault
from orderflow._simulators.switches import Switchboard
from orderflow._simulators.views import Magic, OrderView, SimulatedOrders
from orderflow._simulators.widgets import NONE, alert, button, flow, format_time, history, moves, table, table_or_note, time_cell
from orderflow.errors import InvalidInput

ADVANCES: Final = {"PT1M": ("1 minute", 60.0), "PT15M": ("15 minutes", 900.0), "PT1H": ("1 hour", 3600.0), "P1D": ("1 day", 86400.0)}
OFFERED_FAULTS: Final = (
    "status=429",
    "status=500",
    "status-html=503",
    "status-after-commit=500",
    "timeout-after-commit",
    "reset",
    "reset-after-commit",
    "cut-body",
    "slow=5s",
    "garbage",
)
SHOWN: Final = 100
LOWEST_ERROR: Final = 400
LINKS: Final = (("/", "Orders"), ("/journal", "Requests"), ("/magic", "Magic values"), ("/openapi.json", "OpenAPI"))
REQUEST_HEADS: Final = ("At (UTC)", "Request", "Answered", "Acted on", "Scenario")
DELIVERY_HEADS: Final = ("At (UTC)", "Method", "Outcome", "Answered")


def style_route() -> Route:
    """The style sheet of all pages."""

    async def send_style(_: Request) -> Response:
        return Response(read_style(), media_type="text/css", headers={"cache-control": "no-cache"})

    return Route(f"/{STYLE}", send_style, methods=["GET"])


# ---------------------------------------------------------------- all orders


class Panel(Protocol):
    """A part of the first page with buttons of its own."""

    def render(self) -> Html:
        """The part."""
        ...

    async def submit(self, form: Mapping[str, str]) -> None:
        """Do what a button of this part asks; ignore other forms. Raises InvalidInput."""
        ...


class ClockPanel:
    """The clock and the reset."""

    def __init__(self, clock: SimClock, advance: Callable[[float], Awaitable[None]], reset: Callable[[], None]) -> None:
        self._clock = clock
        self._advance = advance
        self._reset = reset

    def render(self) -> Html:
        """See ``Panel.render``."""
        advances = [button(f"+ {label}", "advance", period) for period, (label, _) in ADVANCES.items()]
        manual = button("Let it run", "manual", "no") if self._clock.manual else button("Stop it", "manual", "yes")
        state = "stands still" if self._clock.manual else "is running"
        return el(
            "section",
            el("h2", "Clock", id="clock"),
            el("p", "It is ", el("strong", format_time(self._clock.now())), f" UTC here; the clock {state}."),
            el("div", advances, manual, class_="buttons"),
            el("p", button("Reset everything", "reset", "yes"), class_="reset"),
            aria_labelledby="clock",
        )

    async def submit(self, form: Mapping[str, str]) -> None:
        """See ``Panel.submit``."""
        if form.get("advance") in ADVANCES:
            await self._advance(ADVANCES[form["advance"]][1])
        elif "manual" in form:
            self._clock.set_manual(form["manual"] == "yes")
        elif "reset" in form:
            self._reset()


class FaultPanel:
    """The armed faults, and a form to arm one."""

    def __init__(self, faults: Faults, operations: Callable[[], Iterable[Operation]], error_response: ErrorResponse) -> None:
        self._faults = faults
        self._operations = operations
        self._error_response = error_response

    def render(self) -> Html:
        """See ``Panel.render``."""
        armed = [
            el("li", el("code", fault.match or "any request"), f" {fault.kind} {'always' if fault.times is None else f'x{fault.times}'}")
            for fault in self._faults.armed
        ]
        return el(
            "section",
            el("h2", "Let something go wrong", id="faults"),
            el("ul", armed) if armed else el("p", "No fault is armed.", class_="quiet"),
            button("Clear all", "clear", "yes") if armed else None,
            self._form(),
            aria_labelledby="faults",
        )

    def _form(self) -> Html:
        calls = dict.fromkeys(f"{operation.method} {operation.path.partition('{')[0]}" for operation in self._operations())
        matches = [el("option", "any request", value=""), *(el("option", call, value=call) for call in calls)]
        return el(
            "form",
            el("label", "To ", el("select", matches, name="match")),
            el("label", "happens ", el("select", [el("option", item, value=item) for item in OFFERED_FAULTS], name="fault")),
            el("label", "times ", el("input", name="times", type="number", min="1", max="1000", value="1")),
            el("button", "Arm"),
            method="post",
            class_="grid",
        )

    async def submit(self, form: Mapping[str, str]) -> None:
        """See ``Panel.submit``."""
        if "clear" in form:
            self._faults.clear()
        elif "fault" in form:
            fault, times = parse_fault(form["fault"], self._error_response), form.get("times", "")
            if fault is None or not times.isdigit() or not int(times):
                raise InvalidInput("fault", f"must be one of {', '.join(HTTP_SCENARIOS)}, and times a number from 1")
            self._faults.arm(evolve(fault, match=form.get("match", ""), times=int(times)))


class IndexPage:
    """The first page: all orders, and the panels."""

    def __init__(self, name: str, orders: SimulatedOrders, panels: tuple[Panel, ...]) -> None:
        self._name = name
        self._orders = orders
        self._panels = panels

    def routes(self) -> list[Route]:
        """The page, and its buttons."""
        return [Route("/", self._show, methods=["GET"]), Route("/", self._submit, methods=["POST"])]

    async def _show(self, request: Request) -> Response:
        return self._render(request)

    async def _submit(self, request: Request) -> Response:
        form = await _read_form(request)
        try:
            for panel in self._panels:
                await panel.submit(form)
        except InvalidInput as invalid:
            return self._render(request, str(invalid), 400)
        return RedirectResponse(f"{request.scope[ROOT]}/_sim/", 303)

    def _render(self, request: Request, message: str = "", status: int = 200) -> Response:
        body = [
            el("h1", f"{self._name}, simulated"),
            alert(message),
            el("section", el("h2", "Orders", id="orders"), self._order_table(request.scope[ROOT]), aria_labelledby="orders"),
            el("div", [panel.render() for panel in self._panels], class_="side-by-side"),
        ]
        return _respond(request, self._name, body, status)

    def _order_table(self, root: str) -> Html:
        views = self._orders.order_views()
        if not views:
            return el("p", "No orders yet. Send the first one, then reload this page.", class_="quiet")
        rows = [
            (
                el("a", view.id, href=f"{root}/_sim/order/{quote(view.id, safe='')}", class_="whole"),
                view.reference or NONE,
                el("span", view.stage, class_="chip"),
                el("code", view.status),
                time_cell(view.since),
            )
            for view in reversed(views[-SHOWN:])
        ]
        return table(("Order", "Reference", "Where it is", "Status call answers", "Since (UTC)"), rows, "Orders, newest first")


# ---------------------------------------------------------------- one order


class OrderPage:
    """One order: its flow, its history, and buttons to move it."""

    def __init__(self, orders: SimulatedOrders, wait_until_idle: Callable[[], Awaitable[None]]) -> None:
        self._orders = orders
        self._wait_until_idle = wait_until_idle

    def routes(self) -> list[Route]:
        """The page, and its buttons."""
        return [Route("/order/{order_id}", self._show, methods=["GET"]), Route("/order/{order_id}", self._move, methods=["POST"])]

    async def _show(self, request: Request) -> Response:
        return self._render(request)

    async def _move(self, request: Request) -> Response:
        form = await _read_form(request)
        order_id = request.path_params["order_id"]
        try:
            self._orders.transition(order_id, form.get("to", ""), force="force" in form)
        except KeyError:
            return self._render(request)
        except ValueError as illegal:
            return self._render(request, str(illegal), 409)
        await self._wait_until_idle()
        return RedirectResponse(f"{request.scope[ROOT]}/_sim/order/{quote(order_id, safe='')}", 303)

    def _render(self, request: Request, message: str = "", status: int = 200) -> Response:
        order_id = request.path_params["order_id"]
        view = next((view for view in self._orders.order_views() if view.id == order_id), None)
        if view is None:
            return _respond(request, "No such order", el("h1", f"No order {order_id}"), 404)
        return _respond(request, f"Order {view.id}", [el("h1", f"Order {view.id}"), alert(message), *_order_body(request, view)], status)


def _order_body(request: Request, view: OrderView) -> list[Html | None]:
    link = el("p", el("a", "The customer's payment page", href=f"{request.scope[ROOT]}{view.link}")) if view.link else None
    return [
        el("p", "A status call answers ", el("code", view.status), ". Reference: ", el("strong", view.reference or "none"), "."),
        *(el("p", note, class_="note") for note in view.notes),
        el("section", el("h2", "Where it is", id="flow"), flow(view), aria_labelledby="flow"),
        link,
        el("section", el("h2", "Move it", id="move"), moves(view), aria_labelledby="move"),
        el("section", el("h2", "What happened", id="history"), history(view), aria_labelledby="history"),
    ]


# ---------------------------------------------------------------- requests, magic values


class JournalPage:
    """The newest requests that were received, and the newest deliveries."""

    def __init__(self, journal: RequestJournal, deliveries: Deliveries) -> None:
        self._journal = journal
        self._deliveries = deliveries

    def routes(self) -> list[Route]:
        """The page."""
        return [Route("/journal", self._show, methods=["GET"])]

    async def _show(self, request: Request) -> Response:
        received: list[tuple[object, ...]] = [
            (
                time_cell(row.at),
                el("code", f"{row.method} {row.path}"),
                # a cut connection counts as an error
                el("span", row.answered or NONE, class_="bad" if (row.answered or LOWEST_ERROR) >= LOWEST_ERROR else None),
                "yes" if row.executed else "no",
                row.played or NONE,
            )
            for row in reversed(self._journal.rows[-SHOWN:])
        ]
        sent: list[tuple[object, ...]] = [
            (time_cell(row.at), el("code", row.method), row.outcome, row.answered or NONE)
            for row in reversed(self._deliveries.rows[-SHOWN:])
        ]
        body = [
            el("h1", "Requests"),
            table_or_note(REQUEST_HEADS, received, "Requests received, newest first"),
            el("h2", "Requests sent"),
            table_or_note(DELIVERY_HEADS, sent, "Callbacks and notifications, newest first"),
        ]
        return _respond(request, "Requests", body)


class MagicPage:
    """Magic values, items of the scenario header, switches."""

    def __init__(self, magic: tuple[Magic, ...], switchboard: Switchboard) -> None:
        self._magic = magic
        self._switchboard = switchboard

    def routes(self) -> list[Route]:
        """The page."""
        return [Route("/magic", self._show, methods=["GET"])]

    async def _show(self, request: Request) -> Response:
        values = [(el("code", magic.value), magic.carrier, magic.forces, magic.proves) for magic in self._magic]
        items = [(el("code", item), meaning) for item, meaning in HTTP_SCENARIOS.items()]
        switches = [
            (el("code", row["name"]), el("code", row["now"]), row["question"], row["source"]) for row in self._switchboard.switches()
        ]
        body = [
            el("h1", "Magic values and switches"),
            el("h2", "In the data of a request"),
            table(("Value", "Written in", "Makes happen", "Tests"), values, "Magic values"),
            el("h2", "In the header X-Sim-Scenario"),
            el("p", "Separated by commas; once, unless ", el("code", ";times=n"), ". It overrides armed faults and magic values."),
            table(("Item", "Makes happen"), items, "Items of the header"),
            el("h2", "Switches, where the provider's pages say nothing"),
            table(("Switch", "Now", "Open question", "Source"), switches, "Switches"),
        ]
        return _respond(request, "Magic values and switches", body)


def _respond(request: Request, title: str, body: object, status: int = 200) -> Response:
    root = request.scope[ROOT]
    base = f"{root}/_sim"
    path = request.scope["path"].removeprefix(base)
    links = [el("li", el("a", name, href=base + link, aria_current="page" if link == path else None)) for link, name in LINKS]
    note = el("span", "simulated orders: nothing here is real", class_="quiet")
    nav = el("nav", el("ul", links), note, aria_label="Simulator")
    return HTMLResponse(page(title, body, root=root, nav=nav), status, page_headers())


async def _read_form(request: Request) -> dict[str, str]:
    return dict(parse_qsl((await request.body()).decode("utf-8", "replace"), keep_blank_values=True))
