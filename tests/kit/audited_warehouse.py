"""Two lifecycles of a parcel for the audit, with cycles, and with statuses that say less than the states.

``Warehouse`` declares readings. Its status "waiting" stands for two states far apart: what may come after it depends on the statuses
before it. ``Shelf`` has no readings: each state is a status.
"""

from orderflow._lifecycle.declare import Lifecycle, State, assumed, edge, reading, repeatable
from orderflow._lifecycle.facts import Fact, Flag
from orderflow.model import Cause, Origin

command, reply, observation, claim, clock, operator = Origin
us, page = Cause.US, assumed("a test")


class Warehouse(Lifecycle, name="warehouse"):
    received = State(initial=True)
    backordered = State()
    picking = State()
    packed = State()
    customs = State()
    shipped = State()
    delivered = State(proven=True, final=True)
    lost = State(provisional=True)
    written_off = State(final=True)
    abroad = Flag()
    searched = Fact("no", "yes")

    ask_stock = repeatable(successes=["run_out"])

    pick = edge(command, picking.from_(received, backordered), cause=us, evidence=page, label="pick")
    run_out = edge(reply, picking.to(backordered), cause=us, evidence=page, label="none left")
    pack = edge(command, picking.to(packed), cause=us, evidence=page, label="pack")
    dispatch = edge(command, packed.to(customs), cond=abroad, cause=us, evidence=page, label="send") | edge(
        command, packed.to(shipped), cond=~abroad, cause=us, evidence=page, label="send"
    )
    seen_moving = (
        edge(observation, customs.to(shipped), cause=us, evidence=page, label="cleared")
        | edge(observation, shipped.to(customs), cond=abroad, cause=us, evidence=page, label="another border")
        | edge(observation, lost.to(shipped), cond=searched.is_("no"), recovery=True, cause=us, evidence=page, label="found")
    )
    seen_delivered = edge(observation, shipped.to(delivered), cause=us, evidence=page, label="delivered")
    seen_lost = edge(observation, lost.from_(customs, shipped), cause=us, evidence=page, label="lost")
    search = edge(command, lost.to(lost), cond=searched.is_("no"), sets={"searched": "yes"}, cause=us, evidence=page, label="search")
    give_up = edge(operator, lost.to(written_off), cause=us, evidence=page, label="give up")

    readings = {
        "waiting": reading(consistent=[backordered, customs]),
        "in house": reading(consistent=[received, backordered, picking, packed]),
        "packed": reading(consistent=[packed]),
        "on its way": reading(consistent=[shipped], proves=shipped),
        "delivered": reading(consistent=[delivered], proves=delivered),
        "lost": reading(consistent=[lost, written_off], proves=lost),
    }


class Shelf(Lifecycle, name="shelf"):
    received = State(initial=True)
    backordered = State()
    picking = State()
    shipped = State()
    delivered = State(final=True)
    returned = State(final=True)
    lost = State(provisional=True)
    ask_stock = repeatable(successes=["run_out"])
    ask_carrier = repeatable(successes=["deliver", "send_back", "lose"])
    ask_again = repeatable(successes=["find"])

    pick = edge(command, picking.from_(received, backordered), effects=[ask_stock], cause=us, evidence=page, label="pick")
    run_out = edge(reply, picking.to(backordered), cause=us, evidence=page, label="none left")
    dispatch = edge(command, picking.to(shipped), effects=[ask_carrier], cause=us, evidence=page, label="send")
    deliver = edge(reply, shipped.to(delivered), cause=us, evidence=page, label="deliver")
    send_back = edge(reply, shipped.to(returned), cause=us, evidence=page, label="refused")
    lose = edge(reply, shipped.to(lost), effects=[ask_again], cause=us, evidence=page, label="lose")
    find = edge(reply, lost.to(shipped), recovery=True, effects=[ask_carrier], cause=us, evidence=page, label="find")
    give_up = edge(operator, lost.to(returned), cause=us, evidence=page, label="give up")
