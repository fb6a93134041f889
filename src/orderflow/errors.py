"""Every error orderflow raises, in one tree. Contains only: exception classes and the records they carry.

    OrderflowError
    ├── CallerError                the caller can fix it
    │   ├── InvalidInput           a field is malformed; names field and reason; nothing was stored or sent
    │   ├── UnknownName            no such order, lifecycle, event, state, provider or method
    │   ├── KeyReused              the same key was given with different content
    │   ├── CommandRefused         ``send(..., check=True)``: the command is not legal now; says which are
    │   ├── NotReplayable          the journal does not hold all that a version of an order is rebuilt from
    │   ├── DeclarationError       a lifecycle's declaration breaks rules; lists each with its line and its remedy
    │   └── WaitTimeout            the awaited state was not reached in time
    │       ├── OutOfReach         nor can it be any more
    │       └── OrderInDoubt       nor will it be, unless a person ends the doubt
    ├── ProviderError              the provider, or the way to it
    │   └── MalformedAnswer        an answer does not have the documented shape
    └── OperationalError           ours: database, configuration
        ├── SchemaError            the database is newer than this code, corrupt, or not ours
        ├── UnreadableRow          one row of an order cannot be read; other orders are not concerned
        ├── ConfigurationError     a setting is missing or contradicts another
        └── NotOpen                the flow is used outside its `async with` block

A well-formed command that is not legal now is no error unless ``check=True`` asks for one: it is a ``Refused`` decision.
No message carries a secret or a personal datum: errors name fields, never quote their values
(identifiers and declared names excepted). Every error can be copied and pickled: pools of processes carry them.
"""

from __future__ import annotations

import copyreg
from typing import Any

from attrs import frozen

_MAX_NAME_SHOWN = 200


class OrderflowError(Exception):
    """Base of all errors raised by orderflow."""

    def __reduce__(self) -> tuple[Any, ...]:
        # by default the constructor would be called with the message alone
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]


class CallerError(OrderflowError):
    """The caller can fix it."""


class InvalidInput(CallerError):
    """A field of a request is malformed. Raised before anything is stored or sent."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


class UnknownName(CallerError):
    """A name that is not known: order, lifecycle, event, state, provider or payment method."""

    def __init__(self, kind: str, name: str, known: tuple[str, ...] = ()) -> None:
        hint = f" (known: {', '.join(known)})" if known else ""
        shown = repr(name if len(name) <= _MAX_NAME_SHOWN else f"{name[:_MAX_NAME_SHOWN]}...")  # a name may be any text of a stranger
        super().__init__(f"unknown {kind}: {shown}{hint}")
        self.kind = kind
        self.name = name
        self.known = known


class KeyReused(CallerError):
    """The same idempotency key came with different content."""

    def __init__(self, key: str) -> None:
        super().__init__(f"key: {key!r} was used before with different content")
        self.key = key


class CommandRefused(CallerError):
    """The command is not legal now; carries the order's state, the reason with its detail, and what would be legal."""

    def __init__(self, order_id: str, command: str, state: str, reason: str, legal: tuple[str, ...] = (), *, detail: str = "") -> None:
        why = f"{reason}: {detail}" if detail else reason
        hint = f"; legal: {', '.join(legal)}" if legal else ""
        super().__init__(f"order {order_id} is {state!r} and refuses {command}: {why}{hint}")
        self.order_id = order_id
        self.command = command
        self.state = state
        self.reason = reason
        self.legal = legal
        self.detail = detail


class NotReplayable(CallerError):
    """A version of an order cannot be rebuilt: what a step set is not in its journal. ``version``: the first such step."""

    def __init__(self, order_id: str, version: int) -> None:
        missing = f"its journal does not hold what version {version} set: an older orderflow wrote it"
        super().__init__(f"order {order_id}: {missing}; look at its steps and at its present state")
        self.order_id = order_id
        self.version = version


@frozen
class DeclarationProblem:
    """A broken rule of a declaration. ``rule``: its short name, stable for programs. ``where``: the state, edge or name at fault.
    ``remedy``: what to write instead ("": the explanation says it). ``file`` and ``line``: where it was declared."""

    rule: str
    where: str
    explanation: str
    remedy: str
    file: str
    line: int

    def __str__(self) -> str:
        remedy = f"; {self.remedy}" if self.remedy else ""
        return f"{self.file}:{self.line}: {self.rule}: {self.where}: {self.explanation}{remedy}"


class DeclarationError(CallerError):
    """A lifecycle's declaration breaks rules. ``problems``: all of them, in the order of their lines.

    ``tables_for_check``: two tables that only ``check`` looks at, where the one problem is a guard that is not a function of the facts. In
    the first table such a guard is never true, in the second always. Otherwise empty. A copy has none.
    """

    def __init__(self, lifecycle: str, problems: tuple[DeclarationProblem, ...], tables_for_check: tuple[Any, ...] = ()) -> None:
        listed = [str(problem) for problem in problems]
        many = f"{len(listed)} problems in the declaration\n  " if len(listed) > 1 else ""
        super().__init__(f"{lifecycle}: {many}" + "\n  ".join(listed))
        self.lifecycle = lifecycle
        self.problems = problems
        self.tables_for_check = tables_for_check

    def __reduce__(self) -> tuple[Any, ...]:
        make, args, state = super().__reduce__()
        return make, args, {**state, "tables_for_check": ()}  # a table holds functions of the declaration, which cannot be pickled


class WaitTimeout(CallerError):
    """The awaited state was not reached in time; carries the state the order is in.

    ``overdue``: what was due for some time and no worker has taken; "" where there is nothing, or this process has a worker.
    """

    def __init__(self, order_id: str, awaited: str, state: str, seconds: float, overdue: str = "") -> None:
        remedy = f"; {overdue}, and no worker has taken it: run `orderflow worker`; if one runs, look at its health" if overdue else ""
        super().__init__(f"order {order_id} is {state!r}, not {awaited!r}, after {seconds:g} s{remedy}")
        self.order_id = order_id
        self.awaited = awaited
        self.state = state
        self.overdue = overdue


class OutOfReach(WaitTimeout):
    """The awaited state can no longer be reached from where the order stands, by any event: raised at once, not in time."""

    def __init__(self, order_id: str, awaited: str, state: str) -> None:
        super().__init__(order_id, awaited, state, 0.0)
        Exception.__init__(self, f"order {order_id} is {state!r} and can no longer become {awaited!r}")


class OrderInDoubt(WaitTimeout):
    """The order is in doubt, and only a person can end that: raised at once, not in time. ``events``: the operator events that do."""

    def __init__(self, order_id: str, awaited: str, state: str, events: tuple[str, ...] = ()) -> None:
        super().__init__(order_id, awaited, state, 0.0)
        self.events = events
        hint = f" with {' or '.join(events)}" if events else ""
        Exception.__init__(
            self, f"order {order_id} is {state!r}, not {awaited!r}: a person must end the doubt{hint}, see `orderflow orders resolve`"
        )


class ProviderError(OrderflowError):
    """The provider, or the way to it, is at fault."""


class MalformedAnswer(ProviderError):
    """A provider's answer does not have the documented shape; names fields, quotes no value."""


class OperationalError(OrderflowError):
    """Ours: database or configuration."""


class SchemaError(OperationalError):
    """The database is newer than this code, corrupt, or holds something else. Nothing was touched."""


class UnreadableRow(OperationalError):
    """A row of one order cannot be read: damaged, edited by hand, or written by a newer orderflow. Other orders are not concerned."""

    def __init__(self, order_id: str, table: str) -> None:
        remedy = "mend it, or restore it from a backup; other orders are not concerned"
        super().__init__(f"order {order_id!r}: its row in {table} cannot be read: {remedy}")
        self.order_id = order_id
        self.table = table


class ConfigurationError(OperationalError):
    """A setting is missing, malformed, or contradicts another.

    ``setting`` names the argument at fault, such as ``signing_keys``; "" if no single argument is. ``reason`` is the message without it.
    """

    def __init__(self, reason: str, setting: str = "") -> None:
        super().__init__(f"{setting}: {reason}" if setting else reason)
        self.reason = reason
        self.setting = setting


class NotOpen(OperationalError):
    """The flow was not opened yet, is closed, or cannot be used from here. The message says which."""

    def __init__(self, why: str = "not open: use the flow inside its `async with` (or `with`) block") -> None:
        super().__init__(why)
