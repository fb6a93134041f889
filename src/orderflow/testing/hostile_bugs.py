"""Engines broken on purpose: an exploration that does not find these proves nothing. Each differs from the real one in one rule."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve

from orderflow.engine.commit import STATUS_READ, plan_commit
from orderflow.lifecycle.decide import settled
from orderflow.lifecycle.observe import observe
from orderflow.model import Observation, Origin
from orderflow.store.records import Commit, StopPolling
from orderflow.testing.hostile_engine import VERSION, Core, Engine, Moved


class _Unversioned(Engine):
    """A read that began before the last step keeps what it saw."""

    def stale(self, reading: tuple[str | int | bool, ...]) -> tuple[str | int | bool, ...]:
        """Its word still matters."""
        return (*reading[:2], False, *reading[3:])


class NoVersionCheck(_Unversioned):
    """A read is judged on the order as it was loaded, and written over whatever the order is by then."""

    def token(self, number: int) -> int:
        """The loaded order itself."""
        return number

    def _read(self, number: int, token: int, fresh: bool, status: str) -> tuple[Moved, ...]:
        order = self.order(self.cores[token])
        decision = observe(self.table, order.snapshot, Observation(status, VERSION))
        return self.write(number, plan_commit(self.given(STATUS_READ, Origin.OBSERVATION), order, decision))


class EffectOutsideCommit(Engine):
    """What is owed is written after the commit: a crash between the two loses it."""

    def write(self, number: int, commit: Commit, *, key: str = "", deadline: str = "", done: str = "") -> tuple[Moved, ...]:
        """With what is owed, or without."""
        whole = super().write(number, commit, key=key, deadline=deadline, done=done)
        if not commit.effects:
            return whole
        return whole + super().write(number, evolve(commit, effects=()), key=key, deadline=deadline, done=done)


class NoDedupe(Engine):
    """The inbox is not asked: a command that comes again is judged again."""

    def resend(self, number: int, name: str) -> tuple[Moved, ...]:
        """Judged like the first time."""
        twice = "one key moved the order twice"
        return tuple(evolve(one, wrong=twice) if one.stepped else one for one in self.command(number, name))


class NoReadSweep(Engine):
    """No read is planned by itself: only a claim or a notice brings one, once."""

    def plan(self, core: Core, commit: Commit) -> bool:
        """Nothing plans a read; one that was asked for waits on."""
        return core.planned and not isinstance(commit.poll, StopPolling)

    def notice(self, number: int) -> tuple[Moved, ...]:
        """Somebody asks for a read."""
        core = self.cores[number]
        open_ = core.named and not settled(self.table, self.order(core).snapshot)
        return (Moved(self.number(evolve(core, planned=True)) if open_ else number, stepped=False),)

    def began(self, number: int) -> int:
        """It was asked for once."""
        return self.number(evolve(self.cores[number], planned=False))


class ClaimTrusted(Engine):
    """A redirect or callback that says success is believed like a read."""

    def claim(self, number: int, name: str) -> tuple[Moved, ...]:
        """What it says is taken for what a read would prove."""
        proof = next((word for word, one in self.table.readings.items() if one.proves and self.table.states[one.proves].proven), "")
        if "success" not in name or not self.cores[number].named:
            return super().claim(number, name)
        return self._read(number, 0, True, proof)


class StaleReadApplied(_Unversioned):
    """A read counts as fresh whenever it ends."""

    def _read(self, number: int, token: int, fresh: bool, status: str) -> tuple[Moved, ...]:
        moved = super()._read(number, token, True, status)
        late = "a step on a read that began before the last step"
        return tuple(evolve(one, wrong=late) if one.stepped and not fresh else one for one in moved)


class BlindRetry(Engine):
    """A once-effect that was begun and never answered is called again."""

    def lease(self, effect: str, unanswered: bool) -> bool:
        """Always."""
        return True


BUGS: Mapping[str, type[Engine]] = {
    "no version check": NoVersionCheck,
    "effect outside the commit": EffectOutsideCommit,
    "no dedupe": NoDedupe,
    "no read sweep": NoReadSweep,
    "claim trusted": ClaimTrusted,
    "stale read applied": StaleReadApplied,
    "blind retry": BlindRetry,
}
"""Every seeded bug by its name."""
