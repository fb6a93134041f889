"""What an audit found: the summary, cases as plain data for JSON, and explanations to read. Pure."""

from __future__ import annotations

from collections import Counter
from typing import Any

from attrs import define, field

from orderflow.analysis.audit.cases import Case
from orderflow.analysis.audit.judge import LEGAL, WRONG, Class, Judge, Judged

VERDICTS = (LEGAL, *(kind.value for kind in reversed(WRONG)))
_LONGEST = 60


@define
class Summary:
    """The counts of an audit: observations per class, cases per verdict."""

    judge: Judge
    verdicts: Counter[str] = field(factory=Counter)
    _moves: Counter[str] = field(factory=Counter)

    def count(self, case: Case) -> None:
        """Add a case."""
        self.verdicts[case.verdict] += 1
        self._moves.update(case.history)

    @property
    def cases(self) -> int:
        """How many cases there were."""
        return self.verdicts.total()

    @property
    def observations(self) -> int:
        """How many observations there were."""
        return self._moves.total()

    @property
    def classes(self) -> dict[Class, int]:
        """How many observations of each class there were."""
        counts = dict.fromkeys(Class, 0)
        for made, count in self._moves.items():
            counts[self.judge.kinds[made]] += count
        return counts

    @property
    def sound(self) -> bool:
        """Whether nothing was illegal, resurrected or unknown."""
        return self.verdicts[LEGAL] == self.cases

    def as_json(self) -> dict[str, Any]:
        """The summary as plain data."""
        power = self.judge.power()
        return {
            "lifecycle": self.judge.name,
            "cases": self.cases,
            "observations": self.observations,
            "classes": {kind.value: count for kind, count in self.classes.items()},
            "verdicts": {verdict: self.verdicts[verdict] for verdict in VERDICTS},
            "power": {"pairs": power.pairs, "refusable": power.refusable, "share": round(power.share, 4)},
        }


def case_json(case: Case, judge: Judge) -> dict[str, Any]:
    """A case as plain data: {case, verdict, steps}.

    A step is {status, class}; a jump adds certainly_missed, possibly_missed (states) and at_least (how many were missed);
    a wrong one adds line and time (ISO 8601).
    """
    steps = []
    for place, judged in enumerate(case.steps(judge)):
        step: dict[str, Any] = {"status": judged.status, "class": judged.kind.value}
        if judged.kind is Class.JUMP:
            step |= {"certainly_missed": judged.certain, "possibly_missed": judged.possible, "at_least": judged.least}
        if place in case.wrong:
            step |= {"line": case.wrong[place].line, "time": case.wrong[place].at.isoformat()}
        steps.append(step)
    return {"case": case.name, "verdict": case.verdict, "steps": steps}


def explained(judged: Judged, judge: Judge) -> str:
    """Why an observation is wrong, or what a jump missed, in words."""
    status = safe(judged.status)
    if judged.kind is Class.UNKNOWN:
        return f"{status!r} is no status of {judge.name} ({', '.join(judge.words)})"
    if judged.kind is Class.JUMP:
        missed = [f"{word} missed: {', '.join(states)}" for word, states in _missed(judged) if states]
        return f"{status} after {judged.after or 'the start'}: at least {judged.least} missed; {'; '.join(missed)}"
    if judged.kind in WRONG:
        return f"{status} cannot come {_why_not(judged, judge)}"
    return status


def _why_not(judged: Judged, judge: Judge) -> str:
    if not judged.after:
        return "at all: no order gets there"
    if judged.kind is Class.RESURRECTED:
        return f"after {judged.after}: the order had ended"
    follows = judge.follows(judged.after)
    if judged.status in follows:
        return f"after {judged.after} here: what was seen before rules it out"
    only = f"only {', '.join(follows)}" if follows else "nothing"
    return f"after {judged.after}: {only} can"


def _missed(judged: Judged) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return ("certainly", judged.certain), ("possibly", judged.possible)


def safe(text: str) -> str:
    """A text of somebody else's, fit for a terminal: printable, and no longer than a line."""
    shown = "".join(letter if letter.isprintable() else "?" for letter in text[: _LONGEST + 1])
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 3]}..."
