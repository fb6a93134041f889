"""Lanes: of each kind of work, a worker carries out so much at once. A backlog of one lane holds back no other.

The calls of a provider are a lane, so are its polls, and so are the notifications of each listener.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import inf

from attrs import define, frozen

from orderflow._store.records import Lane, WorkerScope
from orderflow.errors import InvalidInput


@frozen
class WorkerLimits:
    """How much a worker carries out at once.

    Attributes:
        calls: effects of each provider.
        polls: status polls of each provider.
        notifications: notifications of each listener. A plain function takes a thread for each.

    Raises:
        InvalidInput: one of them is not a number of 1 or more.
    """

    calls: int = 32
    polls: int = 32
    notifications: int = 8

    def __attrs_post_init__(self) -> None:
        for name in ("calls", "polls", "notifications"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InvalidInput(f"WorkerLimits({name}=)", f"must be a whole number of 1 or more, got {value!r}")


@define(eq=False)
class Lanes:
    """How much is free in each lane of one worker. ``busy_threads``: threads of a listener that were given up and still run."""

    _limits: WorkerLimits
    _busy_threads: Callable[[Lane], int]

    def scope(
        self,
        leases: Mapping[str, float],
        notifiable: frozenset[tuple[str, str]],
        paused: frozenset[str],
        admitted: Mapping[str, int],
        running: Mapping[tuple[str, ...], int],
    ) -> WorkerScope:
        """What the worker can take now.

        ``admitted``: how many calls of a provider may begin, where that is limited. ``running``: what is in flight, by lane.
        """
        quotas: dict[Lane, int] = {}
        poll_quotas: dict[str, int] = {}
        for provider in leases:
            most = admitted.get(provider, inf)
            quotas[provider, ""] = int(min(self._limits.calls - running.get(effect_lane(provider, ""), 0), most))
            poll_quotas[provider] = int(min(self._limits.polls - running.get(poll_lane(provider), 0), most))
        for pair in notifiable:
            quotas[pair] = self._limits.notifications - running.get(effect_lane(*pair), 0) - self._busy_threads(pair)
        return WorkerScope(leases, notifiable, paused, quotas, poll_quotas)


def effect_lane(provider: str, entered_state: str) -> tuple[str, ...]:
    """The lane of an effect; ``entered_state`` is empty for a call."""
    return "effects", provider, entered_state


def poll_lane(provider: str) -> tuple[str, ...]:
    """The lane of a poll."""
    return "polls", provider


def is_notification(lane: tuple[str, ...]) -> bool:
    """Whether a lane is that of a listener."""
    return bool(lane[2:] and lane[2])


def has_full_lane(scope: WorkerScope) -> bool:
    """Whether some lane has no room, so that what is due of it has to wait."""
    counts: Iterable[int] = (*scope.quotas.values(), *scope.poll_quotas.values())
    return any(count <= 0 for count in counts)
