"""The class body of a lifecycle while Python runs it: where each line stands, and what went wrong where it does not run.

Python runs a class body before any metaclass sees it. So a misspelt state raises NameError there, and no rule of ours can catch it.
``explain_import_error`` turns such an exception into a problem with its line.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from enum import EnumType
from inspect import CO_OPTIMIZED
from types import FrameType, TracebackType
from typing import Any

from attrs import frozen

from orderflow.errors import DeclarationProblem

_FRAMES_LOOKED_AT = 8  # between edge() and the class body there is at most a helper or two of the author's


@frozen
class SourceLine:
    """A line of the author's source."""

    file: str
    line: int


@frozen
class DuplicateName:
    """A name that was assigned again: the later value, and its line."""

    name: str
    value: object
    line: SourceLine


class ClassBody(dict[str, Any]):
    """The namespace of a lifecycle's class body. It knows the line of every name, and keeps the first of two values."""

    def __init__(self, lifecycle: str, line: SourceLine) -> None:
        super().__init__()
        self.lifecycle = lifecycle
        self.line = line  # of the class statement
        self.lines: dict[str, SourceLine] = {}
        self.repeated: list[DuplicateName] = []

    def __setitem__(self, name: str, value: Any) -> None:
        line = author_line()
        if name in self and not name.startswith("__"):
            self.repeated.append(DuplicateName(name, value, line))
            return
        self.lines[name] = line
        super().__setitem__(name, value)


def author_line() -> SourceLine:
    """The line of the class body that is being run; outside of one, the line that called our caller."""
    caller = sys._getframe(2)
    frame: FrameType | None = caller
    for _ in range(_FRAMES_LOOKED_AT):
        if frame is None:
            break
        if _class_body_of(frame) is not None:
            return SourceLine(frame.f_code.co_filename, frame.f_lineno)
        frame = frame.f_back
    return SourceLine(caller.f_code.co_filename, caller.f_lineno)


def did_you_mean(name: object, known: Iterable[object]) -> str:
    """The remedy for a misspelt name: ``did you mean 'paid'?``; "" where no known name is close."""
    close = get_close_matches(str(name), [str(each) for each in known], n=1)
    return f"did you mean {close[0]!r}?" if close else ""


def explain_import_error(error: BaseException, name: str) -> DeclarationProblem:
    """What an exception means that a module raised while it was imported for its lifecycle ``name``.

    The rule is ``class-body`` where a lifecycle's class body raised it, else ``import``. The line is the author's in both cases.
    """
    frames = list(_frames(error.__traceback__))
    explanation = f"{type(error).__name__}: {error}"
    for frame, line in reversed(frames):
        body = _class_body_of(frame)
        if body is not None:
            remedy = _suggest(error, [*body, *frame.f_globals, *vars(builtins)])
            return DeclarationProblem("class-body", body.lifecycle, explanation, remedy, frame.f_code.co_filename, line)
    if isinstance(error, SyntaxError):
        return DeclarationProblem("import", name, explanation, "", error.filename or name, error.lineno or 0)
    frame, line = next((each for each in reversed(frames) if each[0].f_code.co_name == "<module>"), frames[-1])
    return DeclarationProblem("import", name, explanation, _suggest(error, frame.f_globals), frame.f_code.co_filename, line)


def _frames(traceback: TracebackType | None) -> Iterator[tuple[FrameType, int]]:
    while traceback is not None:
        yield traceback.tb_frame, traceback.tb_lineno
        traceback = traceback.tb_next


def _class_body_of(frame: FrameType) -> ClassBody | None:
    if frame.f_code.co_flags & CO_OPTIMIZED:  # a function: its f_locals would be copied only to be thrown away
        return None
    return frame.f_locals if isinstance(frame.f_locals, ClassBody) else None


def _suggest(error: BaseException, names: Iterable[str]) -> str:
    if isinstance(error, AttributeError):
        owner = error.obj
        return did_you_mean(error.name, owner.__members__ if isinstance(owner, EnumType) else dir(owner))
    return did_you_mean(error.name, names) if isinstance(error, NameError) else ""
