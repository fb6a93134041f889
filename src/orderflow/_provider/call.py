"""The call that an effect asks for: what an adapter is given, and works from."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf

from attrs import field, frozen

from orderflow.model import Order


@frozen
class Call:
    """One attempt to carry out an effect.

    Attributes:
        key: the idempotency key: the same for all attempts of this call, and no other call has it. Send it where the provider takes one.
        effect: the name of the effect.
        order: the order as it stands now. It may have moved since the call was decided.
        arguments: the effect's declared arguments, as they were when the call was decided. A name that the order's data lacked is missing.
        version: the version of the order that decided it.
        attempt: the number of the attempt; 1: the first.
        deadline: when the call is cancelled, in epoch seconds.
    """

    key: str
    effect: str
    order: Order
    arguments: Mapping[str, object] = field(factory=dict, repr=False)
    version: int = 0
    attempt: int = 1
    deadline: float = inf
