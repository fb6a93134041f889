"""A lifecycle as a Mealy machine: inputs, and the answer to each input in each state. Pure; knows no provider.

An *input* is an event's name, sent by the event's own origin, or ``poll <status>``. An *answer* is the decision as text, with the state
after it: all that a user of an engine can see. Facts and versions are not in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from attrs import field, frozen

from orderflow._analysis.reachability import Pair, starts
from orderflow._lifecycle.decide import decide
from orderflow._lifecycle.observe import observe
from orderflow._lifecycle.table import Table
from orderflow.model import Applied, Decision, Event, Observation, Origin, Refused, Snapshot, Step, StepKind

POLL = "poll "
"""What the input of a polled status begins with."""

UNKNOWN_STATUS = "a status of no vocabulary"

Inputs = tuple[str, ...]
Row = Mapping[str, tuple[str, int]]
"""By input, the answer and the number of the state after it."""


class Subject(Protocol):
    """What is tested or learned: a table, an engine, a simulator. It is deterministic, and has one order at a time."""

    def reset(self) -> None:
        """Begin again with a fresh order."""

    def send(self, input_name: str) -> str:
        """Send an input to the order; returns its answer."""


# ── inputs and answers ───────────────────────────────────────────────────────────────────────────────────────────────────


def inputs_of(table: Table, *, observations: bool = False) -> Inputs:
    """Every input of this lifecycle, and the poll of a status that no lifecycle knows.

    ``observations`` adds the observation events by name. No engine accepts them so: this is for suites that test a table, cell by cell.
    """
    events = tuple(name for name, origin in table.events.items() if observations or origin is not Origin.OBSERVATION)
    return (*events, *(POLL + status for status in (*table.readings, UNKNOWN_STATUS)))


def parse_input(table: Table, input_name: str, version: int) -> Event | Observation:
    """An input as what engines decide about, for an order at ``version``."""
    if input_name.startswith(POLL):
        return Observation(input_name.removeprefix(POLL), version)
    return Event(input_name, table.events.get(input_name, Origin.COMMAND))


def decide_input(table: Table, snapshot: Snapshot, input_name: str) -> Decision:
    """What the lifecycle decides about an input.

    Raises:
        UnknownName: the lifecycle has no such event.
    """
    subject = parse_input(table, input_name, snapshot.version)
    return observe(table, snapshot, subject) if isinstance(subject, Observation) else decide(table, snapshot, subject)


def format_answer(decision: Decision) -> str:
    """A decision as it can be seen from outside: ``applied, submit -> configuring [configure_order]``,
    ``refused, not legal here; legal: submit | drafted``."""
    if isinstance(decision, Applied):
        return "applied, " + ", ".join(map(_format_step, decision.steps))
    verdict = "refused" if isinstance(decision, Refused) else "ignored"
    legal = f"; legal: {' '.join(decision.legal)}" if isinstance(decision, Refused) and decision.legal else ""
    return f"{verdict}, {decision.reason}{legal} | {decision.state}"


def _format_step(step: Step) -> str:
    kind = "" if step.kind is StepKind.STEP else f" ({step.kind})"
    effects = f" [{' '.join(effect.name for effect in step.effects)}]" if step.effects else ""
    return f"{step.event} -> {step.target}{kind}{effects}"


class TableSubject:
    """An order that only a table decides: the reference, or a mutant of it."""

    def __init__(self, table: Table, pair: Pair) -> None:
        self._table = table
        self._fresh = pair.snapshot(table)
        self._snapshot = self._fresh

    @property
    def state(self) -> str:
        """The order's state."""
        return self._snapshot.state

    def reset(self) -> None:
        """See ``Subject.reset``."""
        self._snapshot = self._fresh

    def send(self, input_name: str) -> str:
        """See ``Subject.send``."""
        decision = decide_input(self._table, self._snapshot, input_name)
        if isinstance(decision, Applied):
            self._snapshot = decision.snapshot
        return format_answer(decision)


# ── machines ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@frozen
class Machine:
    """A deterministic machine with the fewest states; state 0 is the start.

    Attributes:
        inputs: all inputs.
        rows: by state, the answer and the next state for each input.
        access: by state, a shortest sequence of inputs that leads there.
        labels: by state, the lifecycle's state; one of them, where several are alike (facts on which no answer depends).
    """

    inputs: Inputs
    rows: tuple[Row, ...] = field(repr=False)
    access: tuple[Inputs, ...] = field(repr=False)
    labels: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def answers(self, inputs: Inputs) -> tuple[str, ...]:
        """The answers to a sequence of inputs from the start."""
        state, answers = 0, []
        for input_name in inputs:
            answer, state = self.rows[state][input_name]
            answers.append(answer)
        return tuple(answers)


class MachineSubject:
    """A machine as a subject; ``rows`` may be a mutant's."""

    def __init__(self, rows: tuple[Row, ...] | list[Row]) -> None:
        self._rows = rows
        self._state = 0

    def reset(self) -> None:
        """See ``Subject.reset``."""
        self._state = 0

    def send(self, input_name: str) -> str:
        """See ``Subject.send``."""
        answer, self._state = self._rows[self._state][input_name]
        return answer


def first_pair(table: Table) -> Pair:
    """An order as it is created when every fact has its first value."""
    return Pair(table.initial, tuple(table.defaults().values()))


def machine_of(table: Table, pair: Pair | None = None, inputs: Inputs = ()) -> Machine:
    """The machine of an order that is created as ``pair`` (default: every fact at its first value)."""
    pair = pair or first_pair(table)
    inputs = inputs or inputs_of(table)
    number_of, rows = {pair: 0}, list[Row]()
    pairs = [pair]
    for here in pairs:  # grows while it is walked
        row: dict[str, tuple[str, int]] = {}
        for input_name in inputs:
            decision = decide_input(table, here.snapshot(table), input_name)
            onward = here
            if isinstance(decision, Applied):
                onward = Pair(decision.snapshot.state, tuple(decision.snapshot.facts[name] for name in table.facts))
            if onward not in number_of:
                number_of[onward] = len(pairs)
                pairs.append(onward)
            row[input_name] = format_answer(decision), number_of[onward]
        rows.append(row)
    return minimise(inputs, rows, tuple(pair.state for pair in pairs))


def machines_of(table: Table, inputs: Inputs = ()) -> Iterator[tuple[Pair, Machine]]:
    """One machine for every way in which an order can be created. Of machines that no answer tells apart, only the first is given."""
    seen: set[object] = set()
    for pair in starts(table):
        machine = machine_of(table, pair, inputs)
        rows = tuple(tuple(row.items()) for row in machine.rows)
        if rows not in seen:
            seen.add(rows)
            yield pair, machine


def minimise(inputs: Inputs, rows: list[Row], labels: tuple[str, ...]) -> Machine:
    """The smallest machine that answers the same: states that no sequence of inputs tells apart become one."""
    block = _equivalence_classes(inputs, rows)
    representative = {number: state for state, number in reversed(list(enumerate(block)))}
    access: dict[int, Inputs] = {block[0]: ()}
    for here in (order := [block[0]]):  # grows while it is walked: breadth first
        for input_name in inputs:
            onward = block[rows[representative[here]][input_name][1]]
            if onward not in access:
                access[onward] = (*access[here], input_name)
                order.append(onward)
    number = {old: new for new, old in enumerate(order)}
    minimal = tuple(
        {input_name: (answer, number[block[state]]) for input_name, (answer, state) in rows[representative[here]].items()} for here in order
    )
    return Machine(inputs, minimal, tuple(access[here] for here in order), tuple(labels[representative[here]] for here in order))


def _equivalence_classes(inputs: Inputs, rows: list[Row]) -> list[int]:
    """By state, the number of its class: two states are in one class if no sequence of inputs tells them apart."""
    block = [0] * len(rows)
    while True:
        numbers: dict[object, int] = {}
        finer = [
            numbers.setdefault((block[n], *((row[name][0], block[row[name][1]]) for name in inputs)), len(numbers))
            for n, row in enumerate(rows)
        ]
        if max(finer) == max(block):
            return block
        block = finer
