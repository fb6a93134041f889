"""What an audit found: the summary, cases as plain data for JSON, and explanations as text. Pure."""

from __future__ import annotations

from collections import Counter
from typing import Any

from attrs import define, field

from orderflow._analysis.audit.automaton import WRONG, Classification
from orderflow._analysis.audit.checker import LEGAL, CaseChecker, CheckedStatus
from orderflow._analysis.audit.tracker import CheckedCase

VERDICTS = (LEGAL, *(classification.value for classification in reversed(WRONG)))
_MAX_LENGTH = 60


@define
class Summary:
    """The counts of an audit: observations per classification, cases per verdict."""

    checker: CaseChecker
    verdicts: Counter[str] = field(factory=Counter)
    _transitions: Counter[int] = field(factory=Counter)

    def count(self, case: CheckedCase) -> None:
        """Add a case."""
        self.verdicts[case.verdict] += 1
        self._transitions.update(case.history)

    @property
    def cases(self) -> int:
        """How many cases there are."""
        return self.verdicts.total()

    @property
    def observations(self) -> int:
        """How many observations there are."""
        return self._transitions.total()

    @property
    def classifications(self) -> dict[Classification, int]:
        """How many observations of each classification there are."""
        counts = dict.fromkeys(Classification, 0)
        for number, count in self._transitions.items():
            counts[self.checker.automaton.transitions[number].classification] += count
        return counts

    @property
    def all_legal(self) -> bool:
        """Whether no observation is illegal, resurrected or unknown."""
        return self.verdicts[LEGAL] == self.cases

    def as_json(self) -> dict[str, Any]:
        """Return the summary as plain data."""
        power = self.checker.measure_power()
        return {
            "lifecycle": self.checker.lifecycle,
            "cases": self.cases,
            "observations": self.observations,
            "classes": {classification.value: count for classification, count in self.classifications.items()},
            "verdicts": {verdict: self.verdicts[verdict] for verdict in VERDICTS},
            "power": {"pairs": power.pairs, "refusable": power.refusable, "share": round(power.share, 4)},
        }


def case_as_json(case: CheckedCase, checker: CaseChecker) -> dict[str, Any]:
    """Return a case as plain data: {case, verdict, steps}.

    A step is {status, class}. A jump adds certainly_missed and possibly_missed (lists of states) and at_least (how many were missed).
    A wrong step adds line and time (ISO 8601).
    """
    steps = []
    for place, checked in enumerate(case.explain(checker)):
        step: dict[str, Any] = {"status": checked.status, "class": checked.classification.value}
        if checked.missed:
            missed = checked.missed
            step |= {"certainly_missed": missed.certain, "possibly_missed": missed.possible, "at_least": missed.at_least}
        if place in case.wrong_rows:
            step |= {"line": case.wrong_rows[place].line, "time": case.wrong_rows[place].at.isoformat()}
        steps.append(step)
    return {"case": case.name, "verdict": case.verdict, "steps": steps}


def explain_status(checked: CheckedStatus, checker: CaseChecker) -> str:
    """Say in words why an observation is wrong, or what a jump missed."""
    status = make_printable(checked.status)
    if checked.classification is Classification.UNKNOWN:
        return f"{status!r} is not a status of {checker.lifecycle} ({', '.join(checker.statuses)})"
    if checked.missed:
        missed = (("certainly", checked.missed.certain), ("possibly", checked.missed.possible))
        states = [f"{how} missed: {', '.join(states)}" for how, states in missed if states]
        return f"{status} after {checked.after or 'the start'}: at least {checked.missed.at_least} missed; {'; '.join(states)}"
    if checked.classification in WRONG:
        return f"{status} cannot come {_explain_wrong(checked, checker)}"
    return status


def _explain_wrong(checked: CheckedStatus, checker: CaseChecker) -> str:
    if not checked.after:
        return "at all: no order gets there"
    if checked.classification is Classification.RESURRECTED:
        return f"after {checked.after}: the order had ended"
    successors = checker.list_successors(checked.after)
    if checked.status in successors:
        return f"after {checked.after} here: earlier statuses rule it out"
    allowed = f"only {', '.join(successors)}" if successors else "nothing"
    return f"after {checked.after}: {allowed} can"


def make_printable(text: str) -> str:
    """Return a foreign text as a terminal may show it: printable, and at most 60 characters."""
    shown = "".join(letter if letter.isprintable() else "?" for letter in text[: _MAX_LENGTH + 1])
    return shown if len(shown) <= _MAX_LENGTH else f"{shown[: _MAX_LENGTH - 3]}..."
