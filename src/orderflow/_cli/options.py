"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any

from cyclopts import Parameter, Token, convert

Db = Annotated[str, Parameter(help="Database URL, such as sqlite:///orders.db.", env_var="ORDERFLOW_DB")]
Json = Annotated[bool, Parameter(help="Print one JSON document.")]
Actor = Annotated[str, Parameter(help="Who decides this; kept in the journal.")]
Reason = Annotated[str, Parameter(help="Why; kept in the journal.")]
Yes = Annotated[bool, Parameter(alias="-y", help="Do not ask; required if standard input is not a terminal.")]


def _parse_duration(kind: Any, tokens: Sequence[Token]) -> Any:
    try:
        return convert(kind, tokens)
    except OverflowError:
        raise ValueError("it is too long") from None


Duration = Annotated[timedelta, Parameter(converter=_parse_duration)]
