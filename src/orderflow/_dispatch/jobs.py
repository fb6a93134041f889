"""The jobs of this process: which ones it holds, and what it still has to write about each.

Contains only: names and keys of jobs, and the ledger. It holds values only; the queue is written by pgqueuer.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from weakref import WeakKeyDictionary

from attrs import define, field, frozen
from pgqueuer.domain.types import QueueEntrypoint
from pgqueuer.models import Job
from pgqueuer.ports.repository import EntrypointExecutionParameter

from orderflow._store.records import LeasedEffect, WorkerScope
from orderflow.model import EffectKey

_NEXT_LOOK_SECONDS = 0.5  # seconds until the next look at an effect that is due and may not be leased yet
_UNLIMITED = EntrypointExecutionParameter(0)


@frozen
class NewJob:
    """A job to be enqueued.

    Attributes:
        key: the effect it points at.
        attempt: how many attempts the effect has had. A job is unique by key and attempt.
        queue: the queue it waits in.
        due_at: epoch seconds; 0.0: now.
    """

    key: EffectKey
    attempt: int
    queue: str
    due_at: float = 0.0


def queue_name(provider: str, entered_state: str) -> str:
    """The queue of an effect. A worker picks from the queues of its providers and listeners only, so it never picks what it cannot do."""
    return f"{provider}:{entered_state}" if entered_state else provider


def queues_of(scope: WorkerScope) -> dict[QueueEntrypoint, EntrypointExecutionParameter]:
    """The queues that a worker with this scope picks from."""
    names = [queue_name(*lane) for lane in scope.effect_lanes(1)]
    return dict.fromkeys(map(QueueEntrypoint, names), _UNLIMITED)


def key_of(job: Job) -> EffectKey:
    """The effect that a job points at."""
    order_id, version, n = (job.payload or b"").decode().rsplit(":", 2)
    return EffectKey(order_id, int(version), int(n))


@define
class JobLedger:
    """Every job this process has picked, in the one phase it is in.

    A job is ``picked``; then its effect is ``leased`` or ``not_leased``; then it is ``finished``: to be deleted, with perhaps a new one
    to be enqueued.
    """

    picked: list[Job] = field(factory=list)
    not_leased: list[tuple[Job, float]] = field(factory=list)  # and when it was tried
    finished: list[Job] = field(factory=list)
    new: list[NewJob] = field(factory=list)
    _leased: WeakKeyDictionary[LeasedEffect, list[Job]] = field(factory=WeakKeyDictionary)

    def keys(self) -> dict[EffectKey, list[Job]]:
        """The picked jobs by effect."""
        jobs: dict[EffectKey, list[Job]] = {}
        for job in self.picked:
            jobs.setdefault(key_of(job), []).append(job)
        return jobs

    def lease(self, effects: Iterable[LeasedEffect], now: float) -> None:
        """These effects were leased now, and no others: no job is picked any more."""
        jobs = self.keys()
        for effect in effects:
            self._leased[effect] = jobs.pop(effect.key)
        self.not_leased += [(job, now) for rest in jobs.values() for job in rest]
        self.picked.clear()

    def finish(self, effect: LeasedEffect, due_again_at: float | None) -> None:
        """The attempt is over. ``due_again_at``: the effect is owed again from then on, and gets a new job."""
        self.finished += self._leased.pop(effect, [])
        if due_again_at is not None:
            queue = queue_name(effect.provider, effect.entered_state)
            self.new.append(NewJob(effect.key, effect.attempt, queue, due_again_at))

    def not_leased_keys(self) -> list[EffectKey]:
        """The effects of the jobs that could not be leased."""
        return [key_of(job) for job, _ in self.not_leased]

    def drop_not_leased(self, waiting: Mapping[EffectKey, tuple[int, float]]) -> None:
        """Finish the jobs whose effects could not be leased.

        ``waiting``: attempt and due time of the effects that are not due yet, or that are due and have to wait for an earlier one of their
        order. These get a new job.
        """
        for job, tried_at in self.not_leased:
            self.finished.append(job)
            if (found := waiting.get(key_of(job))) is not None:
                attempt, due_at = found
                self.new.append(
                    NewJob(key_of(job), attempt, job.entrypoint, due_at if due_at > tried_at else tried_at + _NEXT_LOOK_SECONDS)
                )
        self.not_leased.clear()

    def discard_written(self, finished: int, new: int) -> None:
        """The first so many finished and new jobs were written."""
        del self.finished[:finished]
        del self.new[:new]

    def unwritten(self) -> list[Job]:
        """The jobs that closing must delete: all but those whose effects are leased."""
        return [*self.picked, *(job for job, _ in self.not_leased), *self.finished]
