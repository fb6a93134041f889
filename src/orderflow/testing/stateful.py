"""A Hypothesis state machine from any lifecycle: several orders, anything said to each of them, every edge in reach.

    from orderflow.testing.stateful import stateful

    class Orders(stateful(MyLifecycle)):
        def decided(self, order, word, decision): ...   # drive your own code beside it

    TestOrders = Orders.TestCase

What may live here: ``stateful``, and what it checks of every decision. Needs hypothesis.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from attrs import define
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, multiple, rule

from orderflow.analysis.reachability import Moves, Pair, reachable
from orderflow.errors import InvalidInput
from orderflow.lifecycle.decide import decide
from orderflow.lifecycle.table import Edge, Table
from orderflow.model import Applied, Decision, Event, Observation, Origin, Reason, Refused, Snapshot, StepKind
from orderflow.testing.coverage import Coverage, named, walked
from orderflow.testing.machine import READ, STRANGE, judge, words_of

_FEW, _MANY = 2, (12, 40)  # orders at the beginning: many, so that a hundred examples meet every edge; few, so that failures shrink well
_PROVES = frozenset({Origin.REPLY, Origin.OBSERVATION, Origin.OPERATOR})


@define(eq=False)
class Order:
    """An order in the machine."""

    number: int
    snapshot: Snapshot

    @property
    def state(self) -> str:
        """Where it stands."""
        return self.snapshot.state


class LifecycleMachine(RuleBasedStateMachine):
    """What ``stateful`` gives: subclass it and override ``created`` and ``decided`` to run your own code beside the lifecycle.

    ``table`` is what is walked; ``coverage`` says, over all examples of the run, what was seen of it.
    """

    table: ClassVar[Table]
    coverage: ClassVar[Coverage]
    pairs: ClassVar[Moves]

    def __init__(self) -> None:
        super().__init__()
        self._count = 0

    def created(self, order: Order) -> None:
        """Yours: an order was put somewhere that edges lead to."""

    def decided(self, order: Order, word: str, decision: Decision) -> None:
        """Yours: ``word`` (an event, or ``read <status>``) was said to an order, and this was decided."""

    def put(self, pair: Pair) -> Order:
        """An order that stands at ``pair``."""
        self._count += 1
        order = Order(self._count, pair.snapshot(self.table))
        self.created(order)
        return order

    def say(self, order: Order, word: str) -> None:
        """Say a word by its own origin, check the decision, move the order."""
        before, decision = order.snapshot, judge(self.table, order.snapshot, word)
        said: Event | Observation = Event(word, self.table.events.get(word, Origin.COMMAND))
        if word.startswith(READ):
            said = Observation(word.removeprefix(READ), before.version)
        self.coverage.note(self.table, before, said, decision)
        assert decision == judge(self.table, before, word), f"deciding {word} twice gave two answers"
        if isinstance(decision, Applied):
            check_applied(self.table, self.pairs, before, decision)
            order.snapshot = decision.snapshot
        else:
            assert decision.state == before.state
            if isinstance(decision, Refused):
                check_legal(self.table, before, decision)
        self.decided(order, word, decision)

    def forge(self, order: Order, event: str, origin: Origin) -> None:
        """Say an event by an origin that it does not have: refused, always."""
        if origin is not self.table.events[event]:
            decision = decide(self.table, order.snapshot, Event(event, origin))
            assert isinstance(decision, Refused), f"{event} by {origin} was not refused in {order.state}"
            assert decision.reason is Reason.WRONG_ORIGIN


def check_applied(table: Table, pairs: Moves, before: Snapshot, decision: Applied) -> None:
    """A decision that moves an order walks enabled edges only, and ends where edges can lead.

    Raises AssertionError.
    """
    at = before.state
    assert not table.states[at].final, f"left the final state {at}"
    for step in decision.steps:
        assert step.source == at, f"a step from {step.source} follows one to {at}"
        assert step.target == at or not table.states[step.target].proven or step.origin in _PROVES, f"{step.origin} proved {step.target}"
        at = step.target
    after = decision.snapshot
    assert after.state == at
    assert after.version == before.version + len(decision.steps)
    if not any(step.kind is StepKind.JUMP for step in decision.steps):
        assert len(walked(table, before, decision)) == len(decision.steps), f"no enabled edge from {before.state} to {at}"
    assert Pair(after.state, tuple(after.facts[name] for name in table.facts)) in pairs, f"{at}: these facts cannot be"


def check_legal(table: Table, snapshot: Snapshot, refused: Refused) -> None:
    """What a refusal calls legal is applied.

    Raises AssertionError.
    """
    for name in refused.legal:
        applied = decide(table, snapshot, Event(name, table.events[name]))
        assert isinstance(applied, Applied), f"{name} was called legal in {snapshot.state} and is not"


def stateful(lifecycle: type | Table) -> type[LifecycleMachine]:
    """A state machine of a lifecycle (its class, a provider, or its table).

    Orders are put where some edge is enabled and told its event, each edge being as likely as any other; then anything at all is said
    to them: what the state has edges for, what it has not, statuses in no vocabulary, words by a false origin. No event is assumed to
    be legal. With Hypothesis's default settings every edge of either provider is taken.

    Raises InvalidInput for what has no table.
    """
    table = lifecycle if isinstance(lifecycle, Table) else getattr(lifecycle, "table", None)
    if not isinstance(table, Table):
        raise InvalidInput("lifecycle", f"{lifecycle!r} is neither a lifecycle nor has it a table")
    pairs = reachable(table)
    taking = _taking(table, pairs)
    beginning = st.lists(taking, max_size=_FEW) | st.lists(taking, min_size=_MANY[0], max_size=_MANY[1])
    every = st.sampled_from(words_of(table))
    likely = {state: st.one_of(st.sampled_from(words), every) for state, words in _likely(table).items()}
    origins, events = st.sampled_from(list(Origin)), st.sampled_from(list(table.events))

    class Machine(LifecycleMachine):
        orders: ClassVar[Any] = Bundle("orders")

        @initialize(target=orders, moves=beginning)
        def begin(self, moves: list[tuple[Pair, str]]) -> Any:
            return multiple(*(self.begins(move) for move in moves))

        @rule(target=orders, move=taking)
        def begins(self, move: tuple[Pair, str]) -> Order:
            order = self.put(move[0])
            self.say(order, move[1])
            return order

        @rule(order=orders, draw=st.data())
        def hears(self, order: Order, draw: Any) -> None:
            for _ in range(draw.draw(st.integers(1, 4), label="how many words")):
                self.say(order, draw.draw(likely.get(order.state, every), label=f"said in {order.state}"))

        @rule(order=orders, event=events, origin=origins)
        def hears_a_forgery(self, order: Order, event: str, origin: Origin) -> None:
            self.forge(order, event, origin)

        @rule(order=consumes(orders))
        def is_forgotten(self, order: Order) -> None:
            """Bundles are to stay small, so that new orders are met."""

    Machine.table, Machine.pairs, Machine.coverage = table, pairs, Coverage()
    Machine.__name__ = Machine.__qualname__ = f"{table.name.title().replace(' ', '')}Machine"
    return Machine


def _taking(table: Table, pairs: Moves) -> st.SearchStrategy[tuple[Pair, str]]:
    """An edge, each as likely as any other; a pair that enables it; the word that takes it."""
    ways: dict[str, list[tuple[Pair, str]]] = {}
    for pair, moves in sorted(pairs.items(), key=lambda item: str(item[0])):
        for edge, _ in moves:
            word = edge.event if edge.origin is not Origin.OBSERVATION else _read(table, pair, edge)
            if word:
                ways.setdefault(named(edge), []).append((pair, word))
    return st.sampled_from(sorted(ways)).flatmap(lambda name: st.sampled_from(ways[name]))


def _read(table: Table, pair: Pair, edge: Edge) -> str:
    """The read by which an edge is taken, "" where it is only ever jumped over: observations enter through a status."""
    snapshot = pair.snapshot(table)
    for status in table.readings:
        decision = judge(table, snapshot, READ + status)
        if isinstance(decision, Applied) and edge in walked(table, snapshot, decision):
            return READ + status
    return ""


def _likely(table: Table) -> Mapping[str, list[str]]:
    """Per state, the words it has edges for."""
    words: dict[str, list[str]] = {}
    for state, edges in table.out.items():
        found = [edge.event for edge in edges if edge.origin is not Origin.OBSERVATION]
        found += [READ + status for status in table.readings] if any(edge.origin is Origin.OBSERVATION for edge in edges) else []
        if found:
            words[state] = list(dict.fromkeys(found))
    return words


__all__ = ["READ", "STRANGE", "LifecycleMachine", "Order", "stateful"]
