"""A counterexample as text: one line an event, and the same as a Mermaid sequence diagram. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import evolve, field, frozen
from tests.verification.explorer.actions import (
    Action,
    BeginPoll,
    Call,
    Crash,
    Lease,
    MarkSending,
    Observe,
    PollAnswered,
    ProviderMoves,
    ReportOutcome,
    SendEvent,
)
from tests.verification.explorer.worlds import Activity, CallEnd, Calling, Idle, Observing, Ownership, Polling, Reporting

_LETTERS = "ABCDEFGH"
_CALL_ENDS = {
    (True, CallEnd.ANSWERED): "done and answered",
    (True, CallEnd.ANSWER_LOST): "done, answer lost",
    (False, CallEnd.ANSWER_LOST): "not done, answer lost",
    (False, CallEnd.REJECTED): "rejected",
    (False, CallEnd.NOT_FOUND): "not found",
    (False, CallEnd.NOT_SENT): "not sent",
}


@frozen
class Violation:
    """What went wrong, the events that led there, and the same as a Mermaid sequence diagram."""

    problem: str
    events: tuple[str, ...]
    mermaid: str = field(repr=False)


@frozen
class _Arrow:
    """An arrow of the diagram."""

    source: str
    target: str
    text: str

    def __str__(self) -> str:
        return f"{_in_prose(self.source)} -> {_in_prose(self.target)}: {self.text}"


def describe(problem: str, path: Sequence[Action], lifecycle: str) -> Violation:
    """The path of actions that leads to the problem, as events and as a diagram."""
    letters = _WorkerLetters()
    arrows = [_arrow(action, letters) for action in path]
    events = tuple(f"{n}. {arrow}" for n, arrow in enumerate(arrows, 1))
    return Violation(problem, events, _mermaid(arrows, problem, lifecycle))


def _arrow(action: Action, letters: _WorkerLetters) -> _Arrow:
    match action:
        case SendEvent(sender, event, state):
            participant, text = sender.value
            return _Arrow(participant, "Store", f"{text}{event} (now {state})")
        case ProviderMoves(status):
            return _Arrow("Provider", "Provider", f"moves to {status}")
        case Lease(effect, may_call, activity):
            text = f"leases {effect}" if may_call else f"leases {effect}: how the previous attempt ended is unknown, so it may not call"
            return _Arrow("Store", letters.begin(activity), text)
        case MarkSending(activity, onward):
            if isinstance(onward, Idle):
                return _Arrow(letters.go_on(activity), "Store", f"may not mark {activity.effect}, and sends nothing")
            return _Arrow(letters.go_on(activity, onward), "Store", f"marks the sending of {activity.effect}")
        case Call(calling, acts, reporting):
            text = f"calls {calling.effect}: {_CALL_ENDS[acts, reporting.end]}"
            return _Arrow(letters.go_on(calling, reporting), "Provider", text)
        case ReportOutcome(reporting, state):
            return _Arrow(letters.go_on(reporting), "Store", f"reports {reporting.effect}: {reporting.end} (now {state})")
        case BeginPoll() | PollAnswered() | Observe():
            return _arrow_of_poll(action, letters)
        case Crash(activity):
            worker = letters.go_on(activity)
            return _Arrow(worker, worker, "dies")


def _arrow_of_poll(action: BeginPoll | PollAnswered | Observe, letters: _WorkerLetters) -> _Arrow:
    match action:
        case BeginPoll(polling):
            return _Arrow("Store", letters.begin(polling), "leases the poll, loads the order")
        case PollAnswered(polling, observing):
            return _Arrow("Provider", letters.go_on(polling, observing), f"status {observing.status}")
        case Observe(observing, state):
            stale = "" if observing.fresh else ", polled before the last step"
            return _Arrow(letters.go_on(observing), "Store", f"observes {observing.status}{stale} (now {state})")


class _WorkerLetters:
    """Which worker is which. The explorer keeps workers alike; a reader needs letters."""

    def __init__(self) -> None:
        self._doing: dict[str, Activity] = {}

    def begin(self, activity: Activity) -> str:
        """An idle worker begins this."""
        letter = next(letter for letter in _LETTERS if letter not in self._doing)
        self._doing[letter] = _lasting(activity)
        return f"Worker{letter}"

    def go_on(self, activity: Activity, onward: Activity | None = None) -> str:
        """The worker that was doing this; ``onward`` is what it does next, None if it becomes idle."""
        same = (letter for letter, doing in self._doing.items() if doing is _lasting(activity))
        letter = next(same, next(iter(self._doing), "A"))
        if onward is None:
            self._doing.pop(letter, None)
        else:
            self._doing[letter] = _lasting(onward)
        return f"Worker{letter}"


def _lasting(activity: Activity) -> Activity:
    """The activity without what other workers change in it: ownership and freshness."""
    match activity:
        case Calling() | Reporting():
            return evolve(activity, ownership=Ownership.CURRENT, later_call=False)
        case Polling() | Observing():
            return evolve(activity, fresh=True)
        case Idle():
            return activity


def _in_prose(participant: str) -> str:
    """A participant's name in a line of text."""
    if participant.startswith("Worker"):
        return f"worker {participant[-1]}"
    return "order" if participant == "Store" else participant.lower()


def _mermaid(arrows: Sequence[_Arrow], problem: str, lifecycle: str) -> str:
    used = {name for arrow in arrows for name in (arrow.source, arrow.target)} | {"Store"}
    workers = sorted(name for name in used if name.startswith("Worker"))
    participants = [name for name in ("Caller", "Anyone", "Operator", "Clock", "Store", *workers, "Provider") if name in used]
    head = [f"    participant {name} as {f'{lifecycle} order' if name == 'Store' else _in_prose(name)}" for name in participants]
    body = [f"    {arrow.source}->>{arrow.target}: {_escape(arrow.text)}" for arrow in arrows]
    return "\n".join(["sequenceDiagram", *head, *body, f"    Note over Store: {_escape(problem)}", ""])


def _escape(text: str) -> str:
    """Without the characters that Mermaid takes for syntax."""
    return text.replace(";", ",").replace("#", "").replace("\n", " ")
