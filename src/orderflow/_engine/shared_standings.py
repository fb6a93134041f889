"""The standings of providers in the store: what this process writes there, and what it reads there of others. Logs a problem once for all.

Pauses and problems are decided in admission.py and standing.py. The worker exchanges with the store between two fetches, so that no call
waits for it.
"""

from __future__ import annotations

from collections.abc import Collection
from math import inf

from attrs import define

from orderflow._clock import Clock
from orderflow._engine.admission import Admission
from orderflow._engine.standing import EndProblem, ReportProblem, describe_standing
from orderflow._inputs import require_text
from orderflow._store.ports import Store
from orderflow._telemetry.log import get_logger
from orderflow.errors import UnknownName
from orderflow.model import ProviderStanding

_log = get_logger(__name__)


@define(eq=False, kw_only=True)
class SharedStandings:
    """Exchanges the standings of ``_names``, the providers of this process, with the store."""

    _store: Store
    _admission: Admission
    _names: Collection[str]
    _clock: Clock
    _read_at: float = -inf

    async def exchange(self, interval: float = 0.0) -> None:
        """Write what is new, and read what others wrote, at most once an ``interval``."""
        now = self._clock.now()
        for provider, write in self._admission.plan_writes(now).items():
            await self._write(provider, write)
            self._admission.accept_write(provider, write, now)
        if 0 <= now - self._read_at < interval:
            return
        stored = await self._store.read_standings()
        for provider in self._admission.learn(stored, now):
            _log.info("provider.standing_lifted", provider=provider, by=stored[provider].lifted_by)
        self._read_at = now

    async def _write(self, provider: str, write: ReportProblem | EndProblem) -> None:
        if isinstance(write, EndProblem):
            if await self._store.end_problem(provider, write.problem, write.at):
                _log.info("provider.problem_ended", provider=provider, why=write.problem.value)
        elif await self._store.report_problem(provider, write.problem, write.status, write.at, write.held_until):
            _log.warning("provider.problem_began", provider=provider, why=write.problem.value, status=write.status)

    async def list(self) -> list[ProviderStanding]:
        """The standing of each provider of this process, and of each that the store knows, by name."""
        stored, now = await self._store.read_standings(), self._clock.now()
        return [describe_standing(name, stored.get(name), now) for name in sorted({*self._names, *stored})]

    async def lift(self, provider: str, *, actor: str, reason: str) -> None:
        """Clear what is wrong with a provider, so that calls are tried at once.

        Raises:
            UnknownName: neither this process nor the store has such a provider; InvalidInput: ``actor`` or ``reason`` is empty.
        """
        by = f"{require_text('actor', actor)}: {require_text('reason', reason)}"
        known = {*self._names, *await self._store.read_standings()}
        if provider not in known:
            raise UnknownName("provider", provider, tuple(sorted(known)))
        await self._store.lift_standing(provider, self._clock.now(), by)
