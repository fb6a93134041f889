"""Checking the statuses of orders against a lifecycle: what each observation is, and why. Pure; reads no file, keeps no case.

A log is right if an order can have a life that shows these statuses in this order, with anything unobserved between them. After a
wrong status the checker believes it and goes on from there. An unknown word leaves everything as it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import frozen

from orderflow._analysis.audit.automaton import NO_STATUS, WRONG, Automaton, Classification, History, Missed, Transition
from orderflow._analysis.audit.graph import Graph, build_graph
from orderflow._lifecycle.facts import Value
from orderflow._lifecycle.table import Table
from orderflow.errors import InvalidInput, UnknownName

LEGAL = "legal"
"""The verdict on a case without a wrong status. Any other verdict is the worst classification in the case."""


@frozen
class CheckedStatus:
    """One observation. ``after``: the last known status before it (``""``: none). ``missed``: what it passed, if it is a jump."""

    status: str
    classification: Classification
    after: str = ""
    missed: Missed | None = None


@frozen
class Power:
    """Of the ordered pairs of different statuses, how many the checker would refuse: what a legal verdict is worth."""

    pairs: int
    refusable: int

    @property
    def share(self) -> float:
        """From 0 (it can refuse no pair) to 1."""
        return self.refusable / self.pairs if self.pairs else 0.0


class CaseChecker:
    """A lifecycle made ready to check logs.

    The statuses are the lifecycle's readings, where it declares any. A reading stands for the states that it is consistent with and
    the state that it proves. Without readings, or with ``states=True``, each state is a status: use that for a log of our own journal.

    ``facts``: facts that hold for every order of the log. ``aliases``: more words for a status, as in ``{"DELIVERED": "fulfilled"}``.
    ``missed_recovery``: a provisional state that was left again may have been missed.

    Raises:
        UnknownName: no such fact, or an alias of a status that does not exist.
        InvalidInput: a fact has no such value, or cannot hold for a whole life; an alias is itself another status.
    """

    def __init__(
        self,
        table: Table,
        *,
        facts: Mapping[str, Value] | None = None,
        states: bool = False,
        missed_recovery: bool = False,
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        self.lifecycle: str = table.name
        self._graph = build_graph(table, facts or {}, missed_recovery=missed_recovery)
        masks = _build_masks(table, self._graph, states=states)
        self.statuses: tuple[str, ...] = tuple(masks)
        self._masks = tuple(masks.values())
        self.automaton: Automaton = Automaton(self._graph, self._masks, _build_codes(self.statuses, aliases or {}))
        self._missed: dict[int, Missed] = {}

    @property
    def codes(self) -> Mapping[str, int]:
        """The code of each word for a status: its place in ``statuses``."""
        return self.automaton.codes

    def check(self, statuses: Iterable[str]) -> list[CheckedStatus]:
        """Check the statuses of one order, in the order in which they were observed."""
        log = tuple(statuses)
        history = self.automaton.start_history()
        for status in log:
            history.add(status)
        return self.explain(history, {place: status for place, status in enumerate(log) if status not in self.codes})

    def explain(self, history: History, unknown: Mapping[int, str]) -> list[CheckedStatus]:
        """Return what each observation of a history is. ``unknown``: the words that are not statuses, by their place."""
        steps = []
        for place, number in enumerate(history):
            transition = self.automaton.transitions[number]
            after = self.statuses[transition.source.status] if transition.source.status != NO_STATUS else ""
            status = self.statuses[transition.status] if transition.status != NO_STATUS else unknown.get(place, "")
            steps.append(CheckedStatus(status, transition.classification, after, self._find_missed(transition)))
        return steps

    def find_verdict(self, history: History) -> str:
        """Return the worst classification of a history, or ``legal``."""
        if self.automaton.wrong.isdisjoint(history):
            return LEGAL
        present = {self.automaton.transitions[number].classification for number in history}
        return next(classification for classification in WRONG if classification in present)

    def list_successors(self, status: str) -> tuple[str, ...]:
        """Return the other statuses that may come after a status, with others missed between."""
        own = self.codes[status]
        reachable = self._graph.reach_from_observed(self.automaton.get_believed(own))
        return tuple(other for code, other in enumerate(self.statuses) if reachable & self._masks[code] and code != own)

    def measure_power(self) -> Power:
        """Return what the checker can refuse at all."""
        count = len(self.statuses)
        allowed = sum(len(self.list_successors(status)) for status in self.statuses)
        return Power(count * (count - 1), count * (count - 1) - allowed)

    def _find_missed(self, transition: Transition) -> Missed | None:
        if transition.classification is not Classification.JUMP:
            return None
        if transition.number not in self._missed:
            self._missed[transition.number] = self.automaton.find_missed(transition)
        return self._missed[transition.number]


def _build_masks(table: Table, graph: Graph, *, states: bool) -> dict[str, int]:
    """The states that each status stands for."""
    if states or not table.readings:
        return {state: graph.to_mask(frozenset({state})) for state in table.states}
    return {status: graph.to_mask(reading.consistent | {reading.proves or ""}) for status, reading in table.readings.items()}


def _build_codes(statuses: tuple[str, ...], aliases: Mapping[str, str]) -> dict[str, int]:
    codes = {status: code for code, status in enumerate(statuses)}
    for alias, status in aliases.items():
        if status not in statuses:
            raise UnknownName("status", status, statuses)
        if codes.get(alias, codes[status]) != codes[status]:
            raise InvalidInput(alias, f"is a status itself, it cannot mean {status!r}")
        codes[alias] = statuses.index(status)
    return codes
