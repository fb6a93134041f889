"""Carrying out owed effects: take, call, report. Which ones come when is a Dispatcher's; the effect row alone schedules retries.

A once-effect whose earlier attempt was begun and never answered is not called again: it is reported lost. A result is never fenced:
it is an event, and the door judges it.
"""

from __future__ import annotations

import asyncio

import structlog
from attrs import frozen

from orderflow.engine.accept import Door
from orderflow.engine.trouble import trouble
from orderflow.ports import Dispatcher, Links, Provider
from orderflow.records import TELL_HOST, Declined, Happened, InboxKey, InDoubt, LeasedEffect, NotExecuted, Order, Outcome, Timing, Told
from orderflow.vocabulary import Effect, Event, Kind, Origin

_log = structlog.get_logger()
# an answer is one of a kind by its attempt; that there was none is said once per effect: two workers that both held it
# through a lost lease must not send the order back twice, the second time out of its next attempt to complete
_NO_ANSWER = "no answer"
CALL_SHARE = 0.8
"""A call may take this share of its lease, so that two workers never call at once."""


@frozen
class Call:
    """Carry it out."""


@frozen
class AnswerLost:
    """Do not call: an earlier attempt was begun and its answer never came."""


def lease(effect: LeasedEffect, declared: Effect | None) -> Call | AnswerLost:
    """What a taken-over effect asks for."""
    if declared is not None and declared.once and effect.unanswered:
        return AnswerLost()
    return Call()


class Effects:
    """Carries out effects of all providers."""

    def __init__(self, door: Door, links: Links, dispatcher: Dispatcher) -> None:
        self._door = door
        self._links = links
        self._dispatcher = dispatcher

    async def due(self, limit: int) -> list[LeasedEffect]:
        """Take what is due."""
        return await self._dispatcher.take(self._door.clock.now(), self._door.scope, limit)

    async def carry_out(self, effect: LeasedEffect) -> None:
        """Carry out one leased effect and report what became of it."""
        await self._dispatcher.ended(effect, await self._carried_out(effect))

    async def _carried_out(self, effect: LeasedEffect) -> float | None:
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
                return None
            return await self._retry(effect, provider.timing.lease, "not declared in this version")
        if isinstance(lease(effect, declared), AnswerLost):
            outcome: Outcome = InDoubt("an earlier attempt was begun and never answered")
        else:
            outcome = await self._perform(provider, declared, order)
        return await self._report(provider, declared, effect, outcome)

    async def _perform(self, provider: Provider, declared: Effect, order: Order) -> Outcome:
        try:
            async with asyncio.timeout(provider.timing.lease * CALL_SHARE):
                return await provider.perform(declared.name, order, self._links)
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
        if isinstance(outcome, Happened):
            event = Event(outcome.event, Origin.REPLY, outcome.data, outcome.provider_id, outcome.note)
            await self._reply(effect, event, str(effect.attempt))
        elif isinstance(outcome, Declined):
            await self._reply_of_kind(declared, effect, "refused", outcome.why, str(effect.attempt))
        elif isinstance(outcome, InDoubt) and declared.once:
            await self._reply_of_kind(declared, effect, "answer_lost", outcome.why, _NO_ANSWER)
        elif effect.attempt < provider.timing.effect_attempts:
            wait = _retry_wait(provider.timing, effect.attempt)
            if isinstance(outcome, NotExecuted) and outcome.retry_after is not None:
                wait = max(wait, outcome.retry_after)
            return await self._retry(effect, wait, outcome.why)
        else:
            await self._reply_of_kind(declared, effect, "undelivered", outcome.why, _NO_ANSWER)
        return None

    async def _retry(self, effect: LeasedEffect, wait: float, why: str) -> float:
        at = self._door.clock.now() + wait
        await self._door.store.retry_effect(effect, at, why)
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
            async with asyncio.timeout(provider.timing.lease * CALL_SHARE):
                await self._door.hosts.tell(told)
        except Exception as error:  # noqa: BLE001  the host's code may raise anything; it is told again
            _log.error("host.raised", order_id=order.id, state=effect.about, **trouble(error))
            return await self._retry(effect, _retry_wait(provider.timing, effect.attempt), f"the host raised {type(error).__name__}")
        await self._door.store.finish_effect(effect)
        return None


def _retry_wait(timing: Timing, attempt: int) -> float:
    return min(timing.effect_cap, timing.effect_first * 2.0 ** min(attempt - 1, 60))
