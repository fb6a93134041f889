"""A Hypothesis state machine from any lifecycle: several orders, any input to each of them, every edge in reach.

    from orderflow.testing import stateful

    class Orders(stateful(MyLifecycle)):
        def on_decided(self, order, input_name, decision): ...   # run your own code beside it

    TestOrders = Orders.TestCase

Contains only: ``stateful``, and what it checks of every decision. Needs hypothesis.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from attrs import define
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, multiple, rule

from orderflow._analysis.condensed import find_readable_facts
from orderflow._analysis.reachability import Moves, Pair, TooManyPairs, reachable
from orderflow._lifecycle.decide import decide
from orderflow._lifecycle.table import Edge, Table
from orderflow._testing.coverage import Coverage, edge_name, edges_taken
from orderflow._testing.mealy import POLL, UNKNOWN_STATUS, decide_input, inputs_of, parse_input
from orderflow.errors import InvalidInput
from orderflow.model import Applied, Decision, Event, Origin, Reason, Refused, Snapshot, StepKind

_FEW, _MANY = 2, (16, 48)  # orders at the beginning: many, so that a hundred examples take every edge; few, so that failures shrink well
_MAY_PROVE = frozenset({Origin.REPLY, Origin.OBSERVATION, Origin.OPERATOR})


@define(eq=False)
class MachineOrder:
    """An order of the machine."""

    number: int
    snapshot: Snapshot

    @property
    def state(self) -> str:
        """The order's state."""
        return self.snapshot.state


class LifecycleMachine(RuleBasedStateMachine):
    """The base of what ``stateful`` returns. Override ``on_created`` and ``on_decided`` to run your own code beside the lifecycle.

    Attributes:
        table: the lifecycle.
        coverage: what all examples of the run went through.
        pairs: every state and facts that an order can have.
    """

    table: ClassVar[Table]
    coverage: ClassVar[Coverage]
    pairs: ClassVar[Moves]

    def __init__(self) -> None:
        super().__init__()
        self._count = 0

    def on_created(self, order: MachineOrder) -> None:
        """Yours: an order was created, at any state that edges lead to."""

    def on_decided(self, order: MachineOrder, input_name: str, decision: Decision) -> None:
        """Yours: an order was sent an input (an event, or ``poll <status>``), and this was decided."""

    def create(self, pair: Pair) -> MachineOrder:
        """Create an order at ``pair``."""
        self._count += 1
        order = MachineOrder(self._count, pair.snapshot(self.table))
        self.on_created(order)
        return order

    def send(self, order: MachineOrder, input_name: str) -> None:
        """Send an input by its own origin, check the decision, move the order."""
        before, decision = order.snapshot, decide_input(self.table, order.snapshot, input_name)
        self.coverage.record(self.table, before, parse_input(self.table, input_name, before.version), decision)
        assert decision == decide_input(self.table, before, input_name), f"{input_name} was decided in two ways"
        if isinstance(decision, Applied):
            check_applied(self.table, self.pairs, before, decision)
            order.snapshot = decision.snapshot
        else:
            assert decision.state == before.state
            if isinstance(decision, Refused):
                check_legal(self.table, before, decision)
        self.on_decided(order, input_name, decision)

    def forge(self, order: MachineOrder, event: str, origin: Origin) -> None:
        """Send an event by an origin that it does not have. It must be refused."""
        if origin is not self.table.events[event]:
            decision = decide(self.table, order.snapshot, Event(event, origin))
            assert isinstance(decision, Refused), f"{event} by {origin} was not refused in {order.state}"
            assert decision.reason is Reason.WRONG_ORIGIN


def check_applied(table: Table, pairs: Moves, before: Snapshot, decision: Applied) -> None:
    """Check that a decision takes enabled edges only, and ends where edges can lead.

    Raises:
        AssertionError: it does not.
    """
    state = before.state
    assert not table.states[state].final, f"left the final state {state}"
    for step in decision.steps:
        assert step.source == state, f"a step from {step.source} follows one to {state}"
        may_enter = step.target == state or not table.states[step.target].proven or step.origin in _MAY_PROVE
        assert may_enter, f"{step.origin} proved {step.target}"
        state = step.target
    after = decision.snapshot
    assert after.state == state
    assert after.version == before.version + len(decision.steps)
    jumped = any(step.kind is StepKind.JUMP for step in decision.steps)
    if not jumped:
        assert len(edges_taken(table, before, decision)) == len(decision.steps), f"no enabled edge from {before.state} to {state}"
    known = Pair(after.state, tuple(after.facts[name] for name in table.facts)) in pairs
    assert known or (jumped and _reads_as_some_pair(table, after, pairs)), f"{state}: it cannot have these facts"


def _reads_as_some_pair(table: Table, after: Snapshot, pairs: Moves) -> bool:
    """Whether all facts that can still be read are those of a pair. A jump leaves the others as they were."""
    readable = find_readable_facts(table)[after.state]
    return any(pair.state == after.state and all(pair.facts(table)[name] == after.facts[name] for name in readable) for pair in pairs)


def check_legal(table: Table, snapshot: Snapshot, refused: Refused) -> None:
    """Check that what a refusal calls legal is applied.

    Raises:
        AssertionError: it is not.
    """
    for name in refused.legal:
        decision = decide(table, snapshot, Event(name, table.events[name]))
        assert isinstance(decision, Applied), f"{name} was called legal in {snapshot.state} and is not"


def stateful(lifecycle: type | Table) -> type[LifecycleMachine]:
    """A state machine of a lifecycle (its class, a provider, or its table).

    Orders are created where an edge is enabled, and sent its event; each edge is as likely as any other. Then they are sent anything:
    events for which the state has edges, others, unknown statuses, events by a false origin. No event is assumed to be legal. With
    Hypothesis's default settings, every edge of either provider that comes with orderflow is taken.

    Raises:
        InvalidInput: ``lifecycle`` has no table, or its facts have too many combinations to be enumerated.
    """
    table = lifecycle if isinstance(lifecycle, Table) else getattr(lifecycle, "table", None)
    if not isinstance(table, Table):
        raise InvalidInput("lifecycle", f"{lifecycle!r} is not a lifecycle and has none")
    try:
        pairs = reachable(table)
    except TooManyPairs:
        raise InvalidInput("lifecycle", f"the facts of {table.name} have too many combinations to be enumerated") from None
    edge_moves = _edge_moves(table, pairs)
    first_moves = st.lists(edge_moves, max_size=_FEW) | st.lists(edge_moves, min_size=_MANY[0], max_size=_MANY[1])
    any_input = st.sampled_from(inputs_of(table))
    likely_inputs = {state: st.one_of(st.sampled_from(inputs), any_input) for state, inputs in _inputs_with_edges(table).items()}
    origins, events = st.sampled_from(list(Origin)), st.sampled_from(list(table.events))

    class Machine(LifecycleMachine):
        orders: ClassVar[Any] = Bundle("orders")

        @initialize(target=orders, moves=first_moves)
        def create_first_orders(self, moves: list[tuple[Pair, str]]) -> Any:
            return multiple(*(self.create_and_move(move) for move in moves))

        @rule(target=orders, move=edge_moves)
        def create_and_move(self, move: tuple[Pair, str]) -> MachineOrder:
            order = self.create(move[0])
            self.send(order, move[1])
            return order

        @rule(order=orders, draw=st.data())
        def send_inputs(self, order: MachineOrder, draw: Any) -> None:
            for _ in range(draw.draw(st.integers(1, 4), label="number of inputs")):
                self.send(order, draw.draw(likely_inputs.get(order.state, any_input), label=f"input in {order.state}"))

        @rule(order=orders, event=events, origin=origins)
        def send_forged_event(self, order: MachineOrder, event: str, origin: Origin) -> None:
            self.forge(order, event, origin)

        @rule(order=consumes(orders))
        def drop_order(self, order: MachineOrder) -> None:
            """Bundles are to stay small, so that new orders are used."""

    Machine.table, Machine.pairs, Machine.coverage = table, pairs, Coverage()
    Machine.__name__ = Machine.__qualname__ = f"{table.name.title().replace(' ', '')}Machine"
    return Machine


def _edge_moves(table: Table, pairs: Moves) -> st.SearchStrategy[tuple[Pair, str]]:
    """An edge, each as likely as any other; as a pair that enables it and the input that takes it."""
    moves_of: dict[str, list[tuple[Pair, str]]] = {}
    for pair, moves in sorted(pairs.items(), key=lambda item: str(item[0])):
        for edge, _ in moves:
            input_name = edge.event if edge.origin is not Origin.OBSERVATION else _poll_that_takes(table, pair, edge)
            if input_name:
                moves_of.setdefault(edge_name(edge), []).append((pair, input_name))
    return st.sampled_from(sorted(moves_of)).flatmap(lambda name: st.sampled_from(moves_of[name]))


def _poll_that_takes(table: Table, pair: Pair, edge: Edge) -> str:
    """The poll that takes an observation edge; empty where polls only ever jump over it."""
    snapshot = pair.snapshot(table)
    for status in table.readings:
        decision = decide_input(table, snapshot, POLL + status)
        if isinstance(decision, Applied) and edge in edges_taken(table, snapshot, decision):
            return POLL + status
    return ""


def _inputs_with_edges(table: Table) -> Mapping[str, list[str]]:
    """By state, the inputs for which it has edges."""
    inputs_of_state: dict[str, list[str]] = {}
    for state, edges in table.out.items():
        inputs = [edge.event for edge in edges if edge.origin is not Origin.OBSERVATION]
        if any(edge.origin is Origin.OBSERVATION for edge in edges):
            inputs += [POLL + status for status in table.readings]
        if inputs:
            inputs_of_state[state] = list(dict.fromkeys(inputs))
    return inputs_of_state


__all__ = ["POLL", "UNKNOWN_STATUS", "LifecycleMachine", "MachineOrder", "stateful"]
