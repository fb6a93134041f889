"""A counterexample as words: one line an event, and a Mermaid sequence diagram. Pure text."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import field, frozen

Local = tuple[str | int | bool, ...]
"""Where a worker stands: ``()`` idle, else what it does and what it has in hand."""

Action = tuple[object, ...]
"""One move of the exploration: its name, then what it is about."""

_LETTERS = "ABCDEFGH"


@frozen
class Violation:
    """What went wrong, how it came about, and the same as a Mermaid sequence diagram."""

    wrong: str
    events: tuple[str, ...]
    mermaid: str = field(repr=False)


@frozen
class _Line:
    """An arrow of the diagram."""

    source: str
    target: str
    text: str

    def __str__(self) -> str:
        return f"{_name(self.source)} -> {_name(self.target)}: {self.text}"


def _name(participant: str) -> str:
    """A participant as prose; ``Store`` is where the order is."""
    if participant.startswith("Worker"):
        return f"worker {participant[-1]}"
    return {"Store": "order"}.get(participant, participant.lower())


def tell(wrong: str, path: Sequence[Action], lifecycle: str) -> Violation:
    """The path as events and as a diagram."""
    cast = _Cast()
    lines = [_WORDS[str(action[0])](action, cast) for action in path]
    events = tuple(f"{n}. {line}" for n, line in enumerate(lines, 1))
    return Violation(wrong, events, _mermaid(lines, wrong, lifecycle))


class _Cast:
    """Which worker is which: the exploration holds them alike, a reader wants letters."""

    def __init__(self) -> None:
        self._doing: dict[str, tuple[object, ...]] = {}

    def begins(self, doing: Local) -> str:
        """An idle worker takes something up."""
        letter = next(letter for letter in _LETTERS if letter not in self._doing)
        self._doing[letter] = self._about(doing)
        return f"Worker{letter}"

    def goes_on(self, doing: Local, now: Local = ()) -> str:
        """The worker that was doing this; ``now``: what it does next, nothing if it is through."""
        about = self._about(doing)
        letter = next((letter for letter, known in self._doing.items() if known == about), next(iter(self._doing), "A"))
        if now:
            self._doing[letter] = self._about(now)
        else:
            self._doing.pop(letter, None)
        return f"Worker{letter}"

    def _about(self, doing: Local) -> tuple[object, ...]:
        """What stays the same while others move on: freshness and relation are changed by them."""
        return (*doing[:2], *doing[3:])


def _said(who: str, text: str) -> Callable[[Action, _Cast], _Line]:
    return lambda action, _cast: _Line(who, "Store", f"{text}{action[1]} (now {action[2]})")


def _take(action: Action, cast: _Cast) -> _Line:
    _, effect, may, mine = action
    assert isinstance(mine, tuple)
    worker = cast.begins(mine)
    return _Line("Store", worker, f"takes {effect}" if may else f"takes {effect} over: an attempt was begun, it may not call")


def _call(action: Action, cast: _Cast) -> _Line:
    _, local, acts, outcome, end = action
    assert isinstance(local, tuple)
    assert isinstance(end, tuple)
    return _Line(cast.goes_on(local, end), "Provider", f"calls {local[1]}: {_ENDS[bool(acts), str(outcome)]}")


_ENDS = {
    (True, "answered"): "done and answered",
    (True, "lost"): "done, and the answer is lost",
    (False, "lost"): "not done, and nobody knows",
    (False, "declined"): "declined",
    (False, "not found"): "not found",
    (False, "never sent"): "never sent",
}


def _report(action: Action, cast: _Cast) -> _Line:
    local = action[1]
    assert isinstance(local, tuple)
    return _Line(cast.goes_on(local), "Store", f"reports {local[1]}: {local[3]} (now {action[2]})")


def _begin_read(action: Action, cast: _Cast) -> _Line:
    local = action[1]
    assert isinstance(local, tuple)
    return _Line("Store", cast.begins(local), "takes the status read, loads the order")


def _answer(action: Action, cast: _Cast) -> _Line:
    _, local, seen = action
    assert isinstance(local, tuple)
    assert isinstance(seen, tuple)
    return _Line("Provider", cast.goes_on(local, seen), f"status {seen[-1]}")


def _observe(action: Action, cast: _Cast) -> _Line:
    local = action[1]
    assert isinstance(local, tuple)
    fresh = "" if local[2] else ", read before the last step"
    return _Line(cast.goes_on(local), "Store", f"saw {local[3]}{fresh} (now {action[2]})")


def _crash(action: Action, cast: _Cast) -> _Line:
    local = action[1]
    assert isinstance(local, tuple)
    worker = cast.goes_on(local)
    return _Line(worker, worker, "dies, or its call is forgotten")


_WORDS: dict[str, Callable[[Action, _Cast], _Line]] = {
    "command": _said("Caller", ""),
    "resend": _said("Caller", "the same key again: "),
    "claim": _said("Anyone", "claims "),
    "notice": lambda _action, _cast: _Line("Anyone", "Store", "there is news"),
    "operator": _said("Operator", ""),
    "deadline": _said("Clock", ""),
    "provider": lambda action, _cast: _Line("Provider", "Provider", f"moves to {action[1]}"),
    "take": _take,
    "call": _call,
    "report": _report,
    "begin read": _begin_read,
    "answer": _answer,
    "observe": _observe,
    "crash": _crash,
}


def _mermaid(lines: Sequence[_Line], wrong: str, lifecycle: str) -> str:
    used = {name for line in lines for name in (line.source, line.target)} | {"Store"}
    workers = sorted(name for name in used if name.startswith("Worker"))
    order = [name for name in ("Caller", "Anyone", "Operator", "Clock", "Store") if name in used] + workers
    order += ["Provider"] if "Provider" in used else []
    head = [f"    participant {name} as {f'{lifecycle} order' if name == 'Store' else _name(name)}" for name in order]
    arrows = [f"    {line.source}->>{line.target}: {_plain(line.text)}" for line in lines]
    return "\n".join(["sequenceDiagram", *head, *arrows, f"    Note over Store: {_plain(wrong)}", ""])


def _plain(text: str) -> str:
    """Without what Mermaid reads as syntax."""
    return text.replace(";", ",").replace("#", "").replace("\n", " ")
