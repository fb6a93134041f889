"""Carrying out owed effects: take, call, report. Which ones come when is a Dispatcher's; the effect row alone schedules retries.

A once-effect whose earlier attempt was begun and never answered is not called again: it is reported lost. A result is never fenced:
it is an event, and the inbox judges it.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

import structlog
from attrs import evolve, frozen

from orderflow.dispatch.ports import Dispatcher
from orderflow.engine.admission import throttle_seconds
from orderflow.engine.calls import CANCELLED, TOO_LATE, CallCancelled, RunningCalls, allowed_seconds
from orderflow.engine.inbox import Inbox
from orderflow.errors import OperationalError
from orderflow.model import NOTIFY_LISTENER, REDACTED, Effect, Event, Order, Origin, StateEntered, StepKind
from orderflow.provider.outcomes import InDoubt, NotExecuted, Outcome, Rejected, Signal, Succeeded
from orderflow.provider.protocol import Provider, PublicUrls
from orderflow.provider.timing import Timing
from orderflow.store.records import InboxKey, LeasedEffect
from orderflow.telemetry.exceptions import exception_fields

_log = structlog.get_logger()
# an answer is one of a kind by its attempt; that there was none is said once per effect: two workers that both held it
# through a lost lease must not send the order back twice, the second time out of its next attempt to complete
_NO_ANSWER = "no answer"
_CUT = InDoubt(CANCELLED)
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
    if declared is not None and declared.once and effect.previous_attempt_unknown:
        return AnswerLost()
    return Call()


class Outbox:
    """Carries out effects of all providers."""

    def __init__(self, inbox: Inbox, links: PublicUrls, dispatcher: Dispatcher, calls: RunningCalls | None = None) -> None:
        self._calls = calls or RunningCalls()
        self._inbox = inbox
        self._links = links
        self._dispatcher = dispatcher
        self._begun: WeakKeyDictionary[LeasedEffect, Outcome] = WeakKeyDictionary()  # what the calls that were begun came to

    async def due(self, limit: int) -> list[LeasedEffect]:
        """Take what is due and may be called."""
        now, admission = self._inbox.clock.now(), self._inbox.admission
        found = await self._dispatcher.take(now, self._inbox.scope_at(now), limit)
        for effect in found:
            if effect.name != NOTIFY_LISTENER:
                admission.begun(effect.provider, self._inbox.clock.now())  # taking it may have lasted
        return found

    async def carry_out(self, effect: LeasedEffect) -> bool:
        """Carry out one leased effect and report what became of it; False: it is left to its lease."""
        about = {"order_id": effect.key.order_id, "effect": effect.name, "provider": effect.provider}
        try:
            with self._inbox.telemetry.span("effect", about, effect.trace) as span:
                ended = await self._carried_out(effect)
                span.note(attempt=effect.attempt, ended="done" if ended is None else "owed again")
        finally:
            if effect.name != NOTIFY_LISTENER:
                self._inbox.admission.ended(effect.provider)
        await self._dispatcher.ended(effect, effect.until if isinstance(ended, Left) else ended)
        return not isinstance(ended, Left)

    async def give_back(self, effect: LeasedEffect) -> bool:
        """End a lease under which ``carry_out`` failed: by the answer, where one is in our hands; else lost where a call was begun that
        may not be repeated, or owed again now. False: it has to run out."""
        provider = self._inbox.providers[effect.provider]
        declared = provider.table.effects.get(effect.name)
        if declared is None and effect.name != NOTIFY_LISTENER and effect.previous_attempt_unknown:
            return False
        outcome = self._begun.get(effect, _UNWRITTEN if effect.previous_attempt_unknown else None)
        if declared is None or outcome is None:
            again_at: float | None = await self._retry(effect, 0.0, CANCELLED, uncounted=True)
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
                _log.error("effect.answer_unwritable", order_id=effect.key.order_id, effect=effect.name, **exception_fields(error))
        owed = (await self._inbox.store.pending(effect.key.order_id)).effects
        if not any(row.key == effect.key and row.attempt == effect.attempt and row.in_flight for row in owed):
            return None  # its end is written, only more about it could not be
        return await self._written(provider, declared, effect, _UNWRITTEN)

    async def _carried_out(self, effect: LeasedEffect) -> float | Left | None:
        """Carry it out; when it is owed again, if it is."""
        provider = self._inbox.providers[effect.provider]
        order = await self._inbox.store.load(effect.key.order_id)
        if effect.name == NOTIFY_LISTENER:
            return await self._notify_listener(provider, order, effect)
        declared = provider.table.effects.get(effect.name)
        if declared is None:
            _log.error("effect.undeclared", order_id=order.id, effect=effect.name)
            # nothing was called here: a process whose lifecycle knows the effect may still carry it out. But where another
            # began and never answered, that mark must stay, and the lease just runs out
            if effect.previous_attempt_unknown:
                return Left()
            return await self._retry(effect, provider.timing.lease, "not declared in this version", uncounted=True)
        seconds = self._seconds_left(provider, effect)
        if isinstance(lease(effect, declared), AnswerLost):
            outcome: Outcome = InDoubt("an earlier attempt was begun and never answered")
        elif self._calls.over or seconds <= 0:  # leased and not begun: whoever takes it next may call
            return await self._retry(effect, 0.0, CANCELLED if self._calls.over else TOO_LATE, uncounted=True)
        else:
            self._begun[effect] = _UNWRITTEN
            outcome = self._begun[effect] = await self._perform(provider, declared, order, seconds)
            self._inbox.admission.answered(provider.name, outcome, self._inbox.clock.now())
        return await self._report(provider, declared, effect, outcome)

    def _seconds_left(self, provider: Provider, effect: LeasedEffect) -> float:
        return allowed_seconds(effect.until, provider.timing.lease, self._inbox.clock.now())

    async def _perform(self, provider: Provider, declared: Effect, order: Order, seconds: float) -> Outcome:
        try:
            async with self._calls.within(seconds):
                outcome = await provider.perform(declared.name, order, self._links)
            # the words of others may be personal, and why an effect is owed again is written without the inbox
            return evolve(outcome, why="") if REDACTED in order.snapshot.data and not isinstance(outcome, Succeeded) else outcome
        except CallCancelled:
            return _CUT
        except TimeoutError:
            return InDoubt("no answer within the lease")
        except Exception as error:  # noqa: BLE001  an adapter's bug must not leave a call unanswered
            _log.error("effect.adapter_raised", order_id=order.id, effect=declared.name, **exception_fields(error))
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
                if self._inbox.clock.now() + _TRY_AGAIN >= effect.until:
                    raise
                _log.warning("effect.answer_kept", order_id=effect.key.order_id, effect=effect.name, **exception_fields(error))
            await self._inbox.clock.sleep(_TRY_AGAIN)

    async def _written(self, provider: Provider, declared: Effect, effect: LeasedEffect, outcome: Outcome) -> float | None:
        """Write what it came to: again, if need be, for whoever says it twice is notifiable once."""
        if isinstance(outcome, Succeeded):
            event = Event(outcome.event, Origin.REPLY, outcome.data, outcome.provider_id, outcome.note)
            await self._reply(effect, event, str(effect.attempt))
        elif isinstance(outcome, Rejected):
            await self._reply_of_kind(declared, effect, "refused", outcome.why, str(effect.attempt))
        elif isinstance(outcome, InDoubt) and declared.once:
            await self._reply_of_kind(declared, effect, "answer_lost", outcome.why, _NO_ANSWER)
        elif outcome in _STOPPED:
            return await self._retry(effect, 0.0, outcome.why, uncounted=True)
        elif isinstance(outcome, NotExecuted) and outcome.signal is Signal.THROTTLED:
            again_at = await self._retry(effect, throttle_seconds(provider.timing, outcome.retry_after), outcome.why, uncounted=True)
            await self._inbox.store.throttle(provider.name, again_at)
            return again_at
        elif (tried := effect.attempt - effect.uncounted_attempts) < provider.timing.retry_attempts:
            wait = _retry_wait(provider.timing, tried)
            if isinstance(outcome, NotExecuted) and outcome.retry_after is not None:
                wait = max(wait, outcome.retry_after)
            return await self._retry(effect, wait, outcome.why)
        else:
            await self._reply_of_kind(declared, effect, "undelivered", outcome.why, _NO_ANSWER)
        return None

    async def _retry(self, effect: LeasedEffect, wait: float, why: str, *, uncounted: bool = False) -> float:
        at = self._inbox.clock.now() + wait
        await self._inbox.store.retry_effect(effect, at, why, uncounted)
        self._inbox.wake.set()  # the worker sleeps until the lease's end; the retry is due before
        return at

    async def _reply_of_kind(self, declared: Effect, effect: LeasedEffect, what: str, why: str, answer: str) -> None:
        if not declared.kind:
            await self._inbox.store.finish_effect(effect, why)
            return
        await self._reply(effect, Event(f"{declared.kind}_{what}", Origin.REPLY, note=why), answer)

    async def _reply(self, effect: LeasedEffect, event: Event, answer: str) -> None:
        key = InboxKey(Origin.REPLY.value, f"{effect.key}:{answer}")
        await self._inbox.accept(effect.key.order_id, event, key, effect=effect.key)

    async def _notify_listener(self, provider: Provider, order: Order, effect: LeasedEffect) -> float | None:
        journal = await self._inbox.store.journal(order.id)
        row = next(row for row in journal if row.version == effect.key.version)
        told = StateEntered(
            key=str(effect.key),
            order=order,
            state=effect.entered_state,
            version=row.version,
            provisional=provider.table.states[effect.entered_state].provisional,
            inferred=row.kind in (StepKind.INFERRED, StepKind.JUMP),
        )
        try:
            async with self._calls.within(self._seconds_left(provider, effect)):
                await self._inbox.listeners.notify(told)
        except CallCancelled as cut:
            return await self._retry(effect, 0.0, str(cut), uncounted=True)
        except Exception as error:  # noqa: BLE001  the host's code may raise anything; it is told again
            _log.error("host.raised", order_id=order.id, state=effect.entered_state, **exception_fields(error))
            return await self._retry(effect, _retry_wait(provider.timing, effect.attempt), f"the host raised {type(error).__name__}")
        await self._inbox.store.finish_effect(effect)
        return None


def _retry_wait(timing: Timing, attempt: int) -> float:
    return min(timing.retry_cap, timing.retry_first * 2.0 ** min(attempt - 1, 60))
