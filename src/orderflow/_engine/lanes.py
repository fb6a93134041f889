"""Lanes: of each kind of work, a worker carries out so much at once. A backlog of one lane holds back no other.

The calls of a provider are a lane, so are its polls, and so are the notifications of each listener.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import inf
from typing import Literal, NamedTuple

from attrs import define, frozen

from orderflow._inputs import MAX_COUNT, check_whole
from orderflow._store.records import Lane, WorkerScope


class RunningLane(NamedTuple):
    """The lane of something that runs. ``state``: of a notification, the state that was entered."""

    kind: Literal["calls", "polls", "notifications"]
    provider: str
    state: str = ""


@frozen
class WorkerLimits:
    """How much a worker carries out at once.

    Attributes:
        calls: effects of each provider.
        polls: status polls of each provider.
        notifications: notifications of each listener. A plain function takes a thread for each.

    Raises:
        InvalidInput: one of them is no whole number from 1 on.
    """

    calls: int = 32
    polls: int = 32
    notifications: int = 8

    def __attrs_post_init__(self) -> None:
        for name in ("calls", "polls", "notifications"):
            check_whole(f"WorkerLimits({name}=)", getattr(self, name), 1, MAX_COUNT)


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
        running: Mapping[RunningLane, int],
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


def effect_lane(provider: str, entered_state: str) -> RunningLane:
    """The lane of an effect; ``entered_state`` is empty for a call."""
    return RunningLane("notifications" if entered_state else "calls", provider, entered_state)


def poll_lane(provider: str) -> RunningLane:
    """The lane of a poll."""
    return RunningLane("polls", provider)


def has_full_lane(scope: WorkerScope) -> bool:
    """Whether some lane has no room, so that what is due of it has to wait."""
    counts: Iterable[int] = (*scope.quotas.values(), *scope.poll_quotas.values())
    return any(count <= 0 for count in counts)
