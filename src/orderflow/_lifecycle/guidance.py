"""What people are shown about an order: the texts of one state, and how an order's values are put into them. Pure.

Whether texts fit a lifecycle is checked in ``_analysis/guidance.py``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from attrs import field, frozen

from orderflow._lifecycle.class_body import SourceLine, author_line
from orderflow.model import Order

PLACEHOLDER = re.compile(r"\{(\w+)\}")
_NOT_KNOWN = "(not known)"


@frozen
class Guidance:
    """What people are shown about an order in one state.

    Attributes:
        customer: for the customer's page or mail. It has no placeholders.
        operator: for support: what happens next, and what a person can do. ``{provider_id}`` stands for a value of the order.
        line: where it was written.
    """

    customer: str
    operator: str
    line: SourceLine = field(init=False, eq=False, repr=False, factory=author_line)


GuidanceValues = Mapping[str, Callable[[Order], object]]
"""What placeholders stand for, by name. A function returns None where the order has no such value, and raises nothing."""

ORDER_VALUES: GuidanceValues = MappingProxyType(
    {"order_id": lambda order: order.id, "key": lambda order: order.key, "provider_id": lambda order: order.provider_id}
)
"""The placeholders that every provider has."""


def fill_in(text: str, order: Order, values: GuidanceValues) -> str:
    """The text with the order's values in place of its placeholders, on one line. A name without a value stays as it is."""

    def replace(match: re.Match[str]) -> str:
        find = values.get(match[1]) or ORDER_VALUES.get(match[1])
        if find is None:
            return match[0]
        value = find(order)
        return _NOT_KNOWN if value is None else " ".join(str(value).split())

    return PLACEHOLDER.sub(replace, text)
