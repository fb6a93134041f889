"""A simulator's pages for people: its orders on the drawn flow, with buttons. What may live here: these pages, server-rendered,
working without script; what the buttons do is what the control calls do.

Every address is made from where the simulator is mounted, so that it may live below any path.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from orderflow.errors import InvalidInput, UnknownName
from orderflow.simulators.faults import Fault
from orderflow.simulators.guard import ROOT
from orderflow.simulators.markup import Html, el, headers, page, style
from orderflow.simulators.scenario import HTTP_SCENARIOS, http_fault
from orderflow.simulators.views import Box, OrderView

if TYPE_CHECKING:
    from orderflow.simulators.simulator import Simulator

ADVANCES = (("PT1M", "1 minute", 60.0), ("PT15M", "15 minutes", 900.0), ("PT1H", "1 hour", 3600.0), ("P1D", "1 day", 86400.0))
OFFERED = ("429", "500", "503-html", "500-after-commit", "timeout-after-commit", "reset", "reset-after-commit", "cut", "slow=5s", "garbage")
MARKS = {"current": "now here", "passed": "passed", "next": "possible next", "other": "not reached"}
SHOWN = 100
WENT_WRONG = 400
NONE = "-"


class Pages:
    """The pages below ``/_sim``."""

    def __init__(self, sim: Simulator) -> None:
        self._sim = sim

    def routes(self) -> list[Route]:
        """Every page with its method."""
        return [
            Route("/", self._index, methods=["GET"]),
            Route("/", self._press, methods=["POST"]),
            Route("/style.css", self._style, methods=["GET"]),
            Route("/order/{order_id}", self._order, methods=["GET"]),
            Route("/order/{order_id}", self._move, methods=["POST"]),
            Route("/journal", self._journal, methods=["GET"]),
            Route("/magic", self._magic, methods=["GET"]),
        ]

    async def _style(self, _: Request) -> Response:
        return Response(style(), media_type="text/css", headers={"cache-control": "no-cache"})

    # ---------------------------------------------------------------- all orders

    async def _index(self, request: Request) -> Response:
        return self._main(request)

    def _main(self, request: Request, said: str = "", status: int = 200) -> Response:
        views = self._sim.views()
        body = [
            el("h1", f"{self._sim.NAME}, simulated"),
            _alert(said),
            el("section", el("h2", "Orders", id="orders"), self._orders(request, views), aria_labelledby="orders"),
            el("div", self._clock_box(), self._fault_box(), class_="side-by-side"),
        ]
        return self._page(request, self._sim.NAME, body, status)

    def _orders(self, request: Request, views: tuple[OrderView, ...]) -> Html:
        if not views:
            return el("p", "No orders yet. Send the first one, then reload this page.", class_="quiet")
        root = request.scope[ROOT]
        rows = [
            (
                el("a", view.id, href=f"{root}/_sim/order/{quote(view.id, safe='')}", class_="whole"),
                view.reference or NONE,
                el("span", view.stage, class_="chip"),
                el("code", view.status),
                _when(view.since),
            )
            for view in reversed(views[-SHOWN:])
        ]
        return _table(("Order", "Reference", "Where it is", "What a status call says", "Since (UTC)"), rows, "Orders, newest first")

    def _clock_box(self) -> Html:
        clock = self._sim.clock
        buttons = [_button(f"+ {label}", "advance", period) for period, label, _ in ADVANCES]
        still = _button("Let it run", "manual", "no") if clock.manual else _button("Stop it", "manual", "yes")
        state = "stands still" if clock.manual else "is running"
        heading = el("h2", "Clock", id="clock")
        told = el("p", "It is ", el("strong", _time(clock.now())), f" UTC here; the clock {state}.")
        reset = el("p", _button("Forget everything", "reset", "yes"), class_="reset")
        return el("section", heading, told, el("div", buttons, still, class_="buttons"), reset, aria_labelledby="clock")

    def _fault_box(self) -> Html:
        armed = [
            el("li", el("code", fault.match or "any request"), f" {fault.kind} {'always' if fault.times is None else f'x{fault.times}'}")
            for fault in self._sim.faults.armed
        ]
        choices = [el("option", name, value=name) for name in OFFERED]
        calls = [f"{operation.method} {operation.path.partition('{')[0]}" for operation in self._sim.operations()]
        requests = [el("option", call, value=call) for call in dict.fromkeys(calls)]
        form = el(
            "form",
            el("label", "To ", el("select", el("option", "any request", value=""), requests, name="match")),
            el("label", "happens ", el("select", choices, name="scenario")),
            el("label", "times ", el("input", name="times", type="number", min="1", max="1000", value="1")),
            el("button", "Arm"),
            method="post",
            class_="grid",
        )
        listed = el("ul", armed) if armed else el("p", "Nothing is armed.", class_="quiet")
        clear = _button("Disarm all", "disarm", "yes") if armed else None
        return el("section", el("h2", "Let something go wrong", id="faults"), listed, clear, form, aria_labelledby="faults")

    async def _press(self, request: Request) -> Response:
        told = await _form(request)
        try:
            await self._act(told)
        except (InvalidInput, UnknownName, ValueError) as wrong:
            return self._main(request, str(wrong), 400)
        return RedirectResponse(f"{request.scope[ROOT]}/_sim/", 303)

    async def _act(self, told: Mapping[str, str]) -> None:
        seconds = {period: seconds for period, _, seconds in ADVANCES}.get(told.get("advance", ""))
        if seconds is not None:
            await self._sim.advance(seconds)
        elif "manual" in told:
            self._sim.clock.stand(told["manual"] == "yes")
        elif "reset" in told:
            self._sim.reset()
        elif "disarm" in told:
            self._sim.faults.clear()
        else:
            self._arm(told)

    def _arm(self, told: Mapping[str, str]) -> None:
        found = http_fault(told.get("scenario", ""), self._sim.refusal)
        times = told.get("times", "")
        if found is None or not times.isdigit() or not int(times):
            raise InvalidInput("scenario", f"must be one of {', '.join(HTTP_SCENARIOS)}, and times a number from 1")
        self._sim.faults.arm(Fault(told.get("match", ""), found.kind, found.status, found.headers, found.body, found.seconds, int(times)))

    # ---------------------------------------------------------------- one order

    async def _order(self, request: Request) -> Response:
        return self._one(request)

    def _one(self, request: Request, said: str = "", status: int = 200) -> Response:
        wanted = request.path_params["order_id"]
        view = next((view for view in self._sim.views() if view.id == wanted), None)
        if view is None:
            return self._page(request, "No such order", el("h1", f"No order {wanted}"), 404)
        link = el("p", el("a", "The customer's payment page", href=f"{request.scope[ROOT]}{view.link}")) if view.link else None
        body = [
            el("h1", f"Order {view.id}"),
            _alert(said),
            el("p", "A status call says ", el("code", view.status), ". Reference: ", el("strong", view.reference or "none"), "."),
            [el("p", note, class_="note") for note in view.notes],
            el("section", el("h2", "Where it is", id="flow"), _flow(view), aria_labelledby="flow"),
            link,
            el("section", el("h2", "Move it", id="move"), _moves(view), aria_labelledby="move"),
            el("section", el("h2", "What happened", id="history"), _history(view), aria_labelledby="history"),
        ]
        return self._page(request, f"Order {view.id}", body, status)

    async def _move(self, request: Request) -> Response:
        told = await _form(request)
        wanted = request.path_params["order_id"]
        try:
            self._sim.transition(wanted, told.get("to", ""), force="force" in told)
        except KeyError:
            return self._one(request)
        except ValueError as illegal:
            return self._one(request, str(illegal), 409)
        await self._sim.quiet()
        return RedirectResponse(f"{request.scope[ROOT]}/_sim/order/{quote(wanted, safe='')}", 303)

    # ---------------------------------------------------------------- requests, magic values

    async def _journal(self, request: Request) -> Response:
        rows = [
            (
                _when(row.at),
                el("code", f"{row.method} {row.path}"),
                el("span", row.answered or NONE, class_="bad" if (row.answered or 999) >= WENT_WRONG else None),
                "yes" if row.executed else "no",
                row.played or NONE,
            )
            for row in reversed(self._sim.journal.rows[-SHOWN:])
        ]
        heads = ("At (UTC)", "Request", "Answered", "Acted on", "Told to")
        sent = [
            (_when(row.at), el("code", row.method), row.outcome, row.answered or NONE)
            for row in reversed(self._sim.deliveries.rows[-SHOWN:])
        ]
        body = [
            el("h1", "Requests"),
            _table(heads, rows, "Requests taken, newest first") if rows else el("p", "None yet.", class_="quiet"),
            el("h2", "Calls made to us"),
            _table(("At (UTC)", "Method", "Outcome", "Answered"), sent, "Callbacks and notifications, newest first")
            if sent
            else el("p", "None yet.", class_="quiet"),
        ]
        return self._page(request, "Requests", body)

    async def _magic(self, request: Request) -> Response:
        values = [(el("code", magic.value), magic.carrier, magic.forces, magic.proves) for magic in self._sim.MAGIC]
        items = [(el("code", name), meaning) for name, meaning in HTTP_SCENARIOS.items()]
        turned = [(el("code", row["name"]), el("code", row["now"]), row["question"], row["source"]) for row in self._sim.switches()]
        body = [
            el("h1", "Magic values and switches"),
            el("h2", "In the data of a request"),
            _table(("Value", "Written in", "Makes happen", "Proves"), values, "Magic values"),
            el("h2", "In the header X-Sim-Scenario"),
            el("p", "With commas between; once, unless ", el("code", ";times=n"), ". It overrides armed faults and magic values."),
            _table(("Item", "Makes happen"), items, "Scenarios of the header"),
            el("h2", "Switches, where the pages are silent"),
            _table(("Switch", "Now", "Open question", "Source"), turned, "Switches"),
        ]
        return self._page(request, "Magic values and switches", body)

    def _page(self, request: Request, title: str, body: object, status: int = 200) -> Response:
        base = f"{request.scope[ROOT]}/_sim"
        here = request.scope["path"].removeprefix(base)
        links = (("/", "Orders"), ("/journal", "Requests"), ("/magic", "Magic values"), ("/openapi.json", "OpenAPI"))
        nav = el(
            "nav",
            el("ul", [el("li", el("a", name, href=base + path, aria_current="page" if path == here else None)) for path, name in links]),
            el("span", "made-up orders: nothing here is real", class_="quiet"),
            aria_label="Simulator",
        )
        return HTMLResponse(page(title, body, root=request.scope[ROOT], nav=nav), status, headers())


# ---------------------------------------------------------------- pieces


def _alert(said: str) -> Html | None:
    return el("p", said, role="alert", class_="alert") if said else None


def _button(label: str, name: str, value: str) -> Html:
    return el("form", el("button", label, name=name, value=value), method="post")


def _table(heads: tuple[str, ...], rows: Iterable[tuple[object, ...]], caption: str) -> Html:
    """The first cell of a row is its head. A narrow window shows a row as a block, each cell behind its own head."""
    head = el("thead", el("tr", [el("th", head, scope="col") for head in heads]))
    whole = el("table", el("caption", caption), head, el("tbody", [_row(heads, row) for row in rows]))
    return el("div", whole, class_="scroll", tabindex="0", role="region", aria_label=caption)


def _row(heads: tuple[str, ...], cells: tuple[object, ...]) -> Html:
    first, *rest = zip(heads, cells, strict=True)
    return el("tr", el("th", first[1], scope="row", data_head=first[0]), [el("td", cell, data_head=head) for head, cell in rest])


def _flow(view: OrderView) -> Html:
    """The statuses in rows; what a box is to the order is said in words too, not by colour alone."""
    rows = [el("ol", [_box(box) for box in row], class_="flow") for row in view.flow]
    legend = el("p", [el("span", MARKS[mark], class_=f"box small {mark}") for mark in MARKS], class_="legend", aria_hidden="true")
    return el("div", rows, legend, class_="flows")


def _box(box: Box) -> Html:
    state = el("span", f" ({MARKS[box.mark]})", class_="unseen")
    current = "step" if box.mark == "current" else None
    return el("li", el("span", box.word, state, class_=f"box {box.mark}", data_state=box.word, aria_current=current))


def _moves(view: OrderView) -> list[Html]:
    legal = [_button(f"to {to}", "to", to) for to in view.legal]
    listed = el("div", legal, class_="buttons") if legal else el("p", "The provider would not move this order any more.", class_="quiet")
    choices = [el("option", to, value=to) for to in view.forced]
    force = el(
        "form",
        el("p", "Makes a move the provider would never make; your service should notice."),
        el("label", "To ", el("select", choices, name="to")),
        el("input", type="hidden", name="force", value="yes"),
        el("button", "Force it", class_="danger"),
        method="post",
        class_="grid",
    )
    return [listed, el("details", el("summary", "Force an illegal move"), force)]


def _history(view: OrderView) -> Html:
    return el("ol", [el("li", el("time", _time(at)), " ", what) for at, what in view.history], class_="history")


def _when(at: float) -> Html:
    return el("time", _time(at), class_="whole")


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")


async def _form(request: Request) -> dict[str, str]:
    return dict(parse_qsl((await request.body()).decode("utf-8", "replace"), keep_blank_values=True))
