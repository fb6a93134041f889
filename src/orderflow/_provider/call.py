"""The call that an effect asks for: what an adapter is given, and works from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from math import inf

from attrs import field, frozen

from orderflow.model import Order


async def _mark_nothing() -> None:
    """The mark of a call that no engine makes, as in tests of an adapter."""


@frozen
class Call:
    """One attempt to carry out an effect.

    Attributes:
        key: the idempotency key: the same for all attempts of this call, and no other call has it. Send it where the provider takes one.
        effect: the name of the effect.
        order: the order as it stands now. It may have moved since the call was decided.
        arguments: the effect's declared arguments, as they were when the call was decided. A name that the command did not give is missing.
            A call that another event owes takes them from the order's data.
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
    _mark: Callable[[], Awaitable[None]] = field(default=_mark_nothing, repr=False, eq=False)

    async def mark_sending(self) -> None:
        """The request that carries the call out is about to be sent: await this just before. ``send_request(..., call=call)`` does it.

        What fails before was certainly not executed. What fails after it is in doubt, if the effect is a once-effect. A second time in one
        attempt, as after a 401, changes nothing.

        Raises an exception that is not for the adapter where nothing may be sent: let it pass.
        """
        await self._mark()
