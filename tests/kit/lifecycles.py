"""Small lifecycles to draw, each for one case."""

from orderflow._lifecycle.declare import Lifecycle, State, assumed, documented, edge, inferred, reading
from orderflow._lifecycle.facts import Fact
from orderflow.model import Cause, Origin

command, reply, observation, claim, clock, operator = Origin
us = Cause.US

HOSTILE = 'say "hi"]) --> x{{|y|}} <b>&amp; `z` %%{init: {}}%% ``` #35; end\nnext | *bold* _it_ [l](u) ; \\ ~~~ $m$'


class Fan(Lifecycle, name="fan"):
    """Five open states; ``lost`` is reached from four of them, ``found`` from two, ``odd`` from all but with one label of its own."""

    drafted = State(initial=True)
    one = State()
    two = State()
    three = State()
    four = State()
    five = State()
    lost = State(final=True)
    found = State(final=True)
    odd = State(provisional=True)

    start = edge(command, drafted.to(one), cause=us, evidence=documented("P1"), label="start")
    seen_on = edge(
        observation,
        one.to(two) | two.to(three) | three.to(four) | four.to(five),
        cause=us,
        evidence=documented("P2"),
        label="on",
    )
    seen_lost = edge(observation, lost.from_(one, two, three, four), cause=us, evidence=inferred("P3"), label="lose it")
    seen_found = edge(observation, found.from_(four, five), cause=us, evidence=documented("P4"), label="find it")
    seen_odd = edge(observation, odd.from_(one, two, three, four), cause=us, evidence=assumed("P5"), label="turn odd") | edge(
        observation, five.to(odd), cause=us, evidence=documented("P6"), label="odd at last"
    )
    seen_one = edge(observation, odd.to(one), recovery=True, cause=us, evidence=assumed("P7"), label="back")
    seen_two = edge(observation, odd.to(two), recovery=True, cause=us, evidence=assumed("P7"), label="back")
    seen_three = edge(observation, odd.to(three), recovery=True, cause=us, evidence=assumed("P7"), label="back")

    readings = {
        "one": reading(consistent=[one], proves=one),
        "two": reading(consistent=[two], proves=two),
        "three": reading(consistent=[three], proves=three),
        "lost": reading(consistent=[lost], proves=lost),
    }


class Hostile(Lifecycle, name="hostile"):
    """Every text that an author can write is markup. A state's name is one line."""

    mood = Fact("calm", HOSTILE)
    drafted = State(initial=True)
    strange = State(HOSTILE.replace("\n", " "))
    end = State("end", final=True)

    start = edge(command, drafted.to(strange), cause=us, evidence=documented(HOSTILE), label=HOSTILE)
    finish = edge(command, strange.to(end), cond=mood.is_(HOSTILE), cause=us, evidence=assumed("P"), label="graph: end")
