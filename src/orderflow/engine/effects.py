"""Carrying out owed effects: take, call, report. Which ones come when is a Dispatcher's; the effect row alone schedules retries.

A once-effect whose earlier attempt was begun and never answered is not called again: it is reported lost. A result is never fenced:
it is an event, and the door judges it.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

import structlog
from attrs import evolve, frozen

from orderflow.engine.accept import Door
from orderflow.engine.calls import CUT, LATE, CallCut, Calls, seconds_left
from orderflow.engine.manners import asked_to_wait
from orderflow.engine.trouble import trouble
from orderflow.errors import OperationalError
from orderflow.ports import Dispatcher, Links, Provider
from orderflow.records import (
    REDACTED,
    TELL_HOST,
    Declined,
    Happened,
    InboxKey,
    InDoubt,
    LeasedEffect,
    NotExecuted,
    Order,
    Outcome,
    Timing,
    Told,
)
from orderflow.vocabulary import Effect, Event, Kind, Origin

_log = structlog.get_logger()
# an answer is one of a kind by its attempt; that there was none is said once per effect: two workers that both held it
# through a lost lease must not send the order back twice, the second time out of its next attempt to complete
_NO_ANSWER = "no answer"
_CUT = InDoubt(CUT)
_UNWRITTEN = InDoubt("the worker stopped before the answer was written")
_STOPPED = (_CUT, _UNWRITTEN)
_TRY_AGAIN = 1.0  # seconds between two tries to write an answer


@frozen
class Call:
    """Carry it out."""


@frozen
class AnswerLost:
    """Do not call: an earlier attempt was begun and its answer never came."""


@frozen
class Left:
    """Neither called nor written about: its lease has to run out."""


def lease(effect: LeasedEffect, declared: Effect | None) -> Call | AnswerLost:
    """What a taken-over effect asks for."""
    if declared is not None and declared.once and effect.unanswered:
        return AnswerLost()
    return Call()


class Effects:
    """Carries out effects of all providers."""

    def __init__(self, door: Door, links: Links, dispatcher: Dispatcher, calls: Calls | None = None) -> None:
        self._calls = calls or Calls()
        self._door = door
        self._links = links
        self._dispatcher = dispatcher
        self._begun: WeakKeyDictionary[LeasedEffect, Outcome] = WeakKeyDictionary()  # what the calls that were begun came to

    async def due(self, limit: int) -> list[LeasedEffect]:
        """Take what is due and may be called."""
        now, manners = self._door.clock.now(), self._door.manners
        found = await self._dispatcher.take(now, self._door.scope_at(now), limit)
        for effect in found:
            if effect.name != TELL_HOST:
                manners.begun(effect.provider, self._door.clock.now())  # taking it may have lasted
        return found

    async def carry_out(self, effect: LeasedEffect) -> bool:
        """Carry out one leased effect and report what became of it; False: it is left to its lease."""
        about = {"order_id": effect.key.order_id, "effect": effect.name, "provider": effect.provider}
        try:
            with self._door.telemetry.span("effect", about, effect.trace) as span:
                ended = await self._carried_out(effect)
                span.note(attempt=effect.attempt, ended="done" if ended is None else "owed again")
        finally:
            if effect.name != TELL_HOST:
                self._door.manners.ended(effect.provider)
        await self._dispatcher.ended(effect, effect.until if isinstance(ended, Left) else ended)
        return not isinstance(ended, Left)

    async def give_back(self, effect: LeasedEffect) -> bool:
        """End a lease under which ``carry_out`` failed: by the answer, where one is in our hands; else lost where a call was begun that
        may not be repeated, or owed again now. False: it has to run out."""
        provider = self._door.providers[effect.provider]
        declared = provider.table.effects.get(effect.name)
        if declared is None and effect.name != TELL_HOST and effect.unanswered:
            return False
        outcome = self._begun.get(effect, _UNWRITTEN if effect.unanswered else None)
        if declared is None or outcome is None:
            again_at: float | None = await self._retry(effect, 0.0, CUT, spare=True)
        else:
            again_at = await self._written_at_last(provider, declared, effect, outcome)
        await self._dispatcher.ended(effect, again_at)
        return True

    async def _written_at_last(self, provider: Provider, declared: Effect, effect: LeasedEffect, outcome: Outcome) -> float | None:
        """Write what it came to; where nobody knows, or that cannot be written, that there was no answer."""
        if outcome is not _UNWRITTEN:
            try:
                return await self._written(provider, declared, effect, outcome)
            except OperationalError:
                raise
            except Exception as error:  # noqa: BLE001  an adapter's bug, such as an event that does not exist
                _log.error("effect.answer_unwritable", order_id=effect.key.order_id, effect=effect.name, **trouble(error))
        owed = (await self._door.store.pending(effect.key.order_id)).effects
        if not any(row.key == effect.key and row.attempt == effect.attempt and row.in_flight for row in owed):
            return None  # its end is written, only more about it could not be
        return await self._written(provider, declared, effect, _UNWRITTEN)

    async def _carried_out(self, effect: LeasedEffect) -> float | Left | None:
        """Carry it out; when it is owed again, if it is."""
        provider = self._door.providers[effect.provider]
        order = await self._door.store.load(effect.key.order_id)
        if effect.name == TELL_HOST:
            return await self._tell_host(provider, order, effect)
        declared = provider.table.effects.get(effect.name)
        if declared is None:
            _log.error("effect.undeclared", order_id=order.id, effect=effect.name)
            # nothing was called here: a process whose lifecycle knows the effect may still carry it out. But where another
            # began and never answered, that mark must stay, and the lease just runs out
            if effect.unanswered:
                return Left()
            return await self._retry(effect, provider.timing.lease, "not declared in this version", spare=True)
        seconds = self._seconds_left(provider, effect)
        if isinstance(lease(effect, declared), AnswerLost):
            outcome: Outcome = InDoubt("an earlier attempt was begun and never answered")
        elif self._calls.over or seconds <= 0:  # leased and not begun: whoever takes it next may call
            return await self._retry(effect, 0.0, CUT if self._calls.over else LATE, spare=True)
        else:
            self._begun[effect] = _UNWRITTEN
            outcome = self._begun[effect] = await self._perform(provider, declared, order, seconds)
            self._door.manners.answered(provider.name, outcome, self._door.clock.now())
        return await self._report(provider, declared, effect, outcome)

    def _seconds_left(self, provider: Provider, effect: LeasedEffect) -> float:
        return seconds_left(effect.until, provider.timing.lease, self._door.clock.now())

    async def _perform(self, provider: Provider, declared: Effect, order: Order, seconds: float) -> Outcome:
        try:
            async with self._calls.within(seconds):
                outcome = await provider.perform(declared.name, order, self._links)
            # the words of others may be personal, and why an effect is owed again is written without the door
            return evolve(outcome, why="") if REDACTED in order.snapshot.data and not isinstance(outcome, Happened) else outcome
        except CallCut:
            return _CUT
        except TimeoutError:
            return InDoubt("no answer within the lease")
        except Exception as error:  # noqa: BLE001  an adapter's bug must not leave a call unanswered
            _log.error("effect.adapter_raised", order_id=order.id, effect=declared.name, **trouble(error))
            return InDoubt(f"the adapter raised {type(error).__name__}")

    async def _report(self, provider: Provider, declared: Effect, effect: LeasedEffect, outcome: Outcome) -> float | None:
        _log.info(
            "effect.answered",
            order_id=effect.key.order_id,
            effect=effect.name,
            attempt=effect.attempt,
            outcome=type(outcome).__name__,
            why=getattr(outcome, "why", ""),
        )
        while True:  # a database that is away for a moment must not make an answer in our hands a lost one
            try:
                return await self._written(provider, declared, effect, outcome)
            except OperationalError as error:
                if self._door.clock.now() + _TRY_AGAIN >= effect.until:
                    raise
                _log.warning("effect.answer_kept", order_id=effect.key.order_id, effect=effect.name, **trouble(error))
            await self._door.clock.sleep(_TRY_AGAIN)

    async def _written(self, provider: Provider, declared: Effect, effect: LeasedEffect, outcome: Outcome) -> float | None:
        """Write what it came to: again, if need be, for whoever says it twice is heard once."""
        if isinstance(outcome, Happened):
            event = Event(outcome.event, Origin.REPLY, outcome.data, outcome.provider_id, outcome.note)
            await self._reply(effect, event, str(effect.attempt))
        elif isinstance(outcome, Declined):
            await self._reply_of_kind(declared, effect, "refused", outcome.why, str(effect.attempt))
        elif isinstance(outcome, InDoubt) and declared.once:
            await self._reply_of_kind(declared, effect, "answer_lost", outcome.why, _NO_ANSWER)
        elif outcome in _STOPPED:
            return await self._retry(effect, 0.0, outcome.why, spare=True)
        elif isinstance(outcome, NotExecuted) and outcome.throttled:
            again_at = await self._retry(effect, asked_to_wait(provider.timing, outcome.retry_after), outcome.why, spare=True)
            await self._door.store.block(provider.name, again_at)
            return again_at
        elif (tried := effect.attempt - effect.spared) < provider.timing.effect_attempts:
            wait = _retry_wait(provider.timing, tried)
            if isinstance(outcome, NotExecuted) and outcome.retry_after is not None:
                wait = max(wait, outcome.retry_after)
            return await self._retry(effect, wait, outcome.why)
        else:
            await self._reply_of_kind(declared, effect, "undelivered", outcome.why, _NO_ANSWER)
        return None

    async def _retry(self, effect: LeasedEffect, wait: float, why: str, *, spare: bool = False) -> float:
        at = self._door.clock.now() + wait
        await self._door.store.retry_effect(effect, at, why, spare)
        self._door.stirred.set()  # the worker sleeps until the lease's end; the retry is due before
        return at

    async def _reply_of_kind(self, declared: Effect, effect: LeasedEffect, what: str, why: str, answer: str) -> None:
        if not declared.kind:
            await self._door.store.finish_effect(effect, why)
            return
        await self._reply(effect, Event(f"{declared.kind}_{what}", Origin.REPLY, note=why), answer)

    async def _reply(self, effect: LeasedEffect, event: Event, answer: str) -> None:
        key = InboxKey(Origin.REPLY.value, f"{effect.key}:{answer}")
        await self._door.tell(effect.key.order_id, event, key, effect=effect.key)

    async def _tell_host(self, provider: Provider, order: Order, effect: LeasedEffect) -> float | None:
        journal = await self._door.store.journal(order.id)
        row = next(row for row in journal if row.version == effect.key.version)
        told = Told(
            key=str(effect.key),
            order=order,
            state=effect.about,
            version=row.version,
            provisional=provider.table.states[effect.about].provisional,
            inferred=row.kind in (Kind.INFERRED, Kind.JUMP),
        )
        try:
            async with self._calls.within(self._seconds_left(provider, effect)):
                await self._door.hosts.tell(told)
        except CallCut as cut:
            return await self._retry(effect, 0.0, str(cut), spare=True)
        except Exception as error:  # noqa: BLE001  the host's code may raise anything; it is told again
            _log.error("host.raised", order_id=order.id, state=effect.about, **trouble(error))
            return await self._retry(effect, _retry_wait(provider.timing, effect.attempt), f"the host raised {type(error).__name__}")
        await self._door.store.finish_effect(effect)
        return None


def _retry_wait(timing: Timing, attempt: int) -> float:
    return min(timing.effect_cap, timing.effect_first * 2.0 ** min(attempt - 1, 60))
