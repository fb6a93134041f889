"""The outbox: carries out owed effects. It leases them, calls the adapter, and writes what became of the call.

A dispatcher decides which effects come when; the effect's row alone schedules retries. What an attempt does next is decided in
attempt.py. An outcome is never dropped because the lease is over: it is an event, and the inbox decides it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial

from attrs import define

from orderflow._clock import Clock
from orderflow._dispatch.ports import Dispatcher
from orderflow._engine.admission import Admission
from orderflow._engine.attempt import (
    LATE,
    STOPPED,
    STOPPED_BEFORE_SENDING,
    SUPERSEDED,
    UNWRITTEN,
    Attempt,
    Done,
    End,
    Finish,
    LeaveLeased,
    MakeCall,
    Reply,
    ReportOutcome,
    Retry,
    RetryAt,
    conclude,
    correct_outcome,
    find_fault,
    is_earlier_in_doubt,
    plan_start,
)
from orderflow._engine.calls import CANCELLED, CallCancelled, RunningCalls, SendingRefused, seconds_for_call
from orderflow._engine.inbox import Inbox
from orderflow._engine.messages import make_message
from orderflow._engine.notifications import Notifier
from orderflow._engine.outcome_check import InvalidOutcome, check_outcome, drop_texts
from orderflow._engine.recent_commits import RecentCommits
from orderflow._provider.call import Call
from orderflow._provider.outcomes import InDoubt, NotExecuted, Outcome, Signal, Succeeded
from orderflow._provider.protocol import Provider, PublicUrls
from orderflow._provider.timing import delivery_budget
from orderflow._store.ports import Store
from orderflow._store.records import InboxKey, LeasedEffect, WorkerScope
from orderflow._telemetry.exceptions import exception_fields
from orderflow._telemetry.log import get_logger
from orderflow._telemetry.ports import Telemetry
from orderflow.errors import OperationalError
from orderflow.model import NOTIFY_LISTENER, REDACTED, Effect, Ignored, Message, Order, Origin, Reason

_log = get_logger(__name__)
_WRITE_RETRY_SECONDS = 1.0  # between two tries to write an answer
_LOOK_SECONDS = 1.0  # between two comparisons of the last commits with the database


@define(eq=False, kw_only=True)
class Outbox:
    """Carries out the effects of all providers. ``wake`` is set when an effect may be due earlier than the worker knows."""

    _inbox: Inbox
    _store: Store
    _providers: Mapping[str, Provider]
    _urls: PublicUrls
    _dispatcher: Dispatcher
    _notifier: Notifier
    _admission: Admission
    _calls: RunningCalls
    _recent_commits: RecentCommits
    _clock: Clock
    _wake: asyncio.Event
    _telemetry: Telemetry

    async def fetch(self, scope: WorkerScope, limit: int) -> list[Attempt]:
        """Lease effects that are due within the scope, at most ``limit``."""
        effects = await self._dispatcher.take(self._clock.now(), scope, limit)
        for effect in effects:
            if effect.name != NOTIFY_LISTENER:
                self._admission.begin_call(effect.provider, self._clock.now())  # leasing may have taken a while
        return [Attempt(effect) for effect in effects]

    async def run(self, attempt: Attempt) -> bool:
        """Carry out a leased effect and write what became of it. Returns False if it is left to its lease."""
        effect = attempt.effect
        attributes = {"order_id": effect.key.order_id, "effect": effect.name, "provider": effect.provider}
        try:
            with self._telemetry.span("effect", attributes, effect.trace) as span:
                end = await self._carry_out(attempt)
                span.set(attempt=effect.attempt, ended="owed again" if isinstance(end, RetryAt) else "done")
        finally:
            if effect.name != NOTIFY_LISTENER:
                self._admission.end_call(effect.provider)
        if isinstance(end, LeaveLeased):
            await self._dispatcher.finish(effect, effect.until)
            return False
        await self._dispatcher.finish(effect, end.at if isinstance(end, RetryAt) else None)
        return True

    async def give_back(self, attempt: Attempt) -> bool:
        """End the lease of an attempt whose ``run`` failed or was cancelled.

        An answer that is known is written. Without one, a call that was sent and may not be repeated is reported in doubt, and anything
        else is owed again at once. Returns False if the lease has to run out.
        """
        effect = attempt.effect
        provider = self._providers[effect.provider]
        declared = provider.table.effects.get(effect.name)
        if declared is None and effect.name != NOTIFY_LISTENER and (effect.previous_attempt_sent or effect.previous_attempt_unended):
            return False
        outcome = attempt.outcome
        if outcome is None and attempt.may_have_arrived:
            outcome = UNWRITTEN
        if declared is None or outcome is None:
            in_doubt = declared is not None and is_earlier_in_doubt(effect, declared)
            end: End = await self._write(provider, effect, Retry(0.0, CANCELLED, uncounted=True, may_be_executed=in_doubt))
        else:
            end = await self._write_or_report_unknown(provider, declared, attempt, outcome)
        await self._dispatcher.finish(effect, end.at if isinstance(end, RetryAt) else None)
        return True

    async def report_in_doubt(self, effect: LeasedEffect, why: str) -> None:
        """Report a once-effect that no worker may send any more: it is unknown whether it was executed.

        Raises:
            UnknownName: no such order.
        """
        provider = self._providers[effect.provider]
        declared = provider.table.effects[effect.name]
        await self._write(provider, effect, conclude(effect, declared, InDoubt(why), provider.timing, budget_spent=False))

    async def _carry_out(self, attempt: Attempt) -> End:
        effect = attempt.effect
        provider = self._providers[effect.provider]
        await self._recent_commits.look(_LOOK_SECONDS)
        version = self._recent_commits.version_of(effect.key.order_id)
        order = await self._store.load(effect.key.order_id)
        if self._recent_commits.contradict(order, version):
            return LeaveLeased()
        seconds = seconds_for_call(effect.until, provider.timing.lease, self._clock.now())
        if effect.name == NOTIFY_LISTENER:
            return await self._write(provider, effect, await self._notifier.notify(provider, order, effect, seconds))
        attempt.budget_ends_at = order.entered_at + delivery_budget(provider.table, provider.timing, order.state)
        declared = provider.table.effects.get(effect.name)
        budget_spent = self._clock.now() >= attempt.budget_ends_at
        match plan_start(effect, declared, seconds, provider.timing.lease, stopping=self._calls.closed, budget_spent=budget_spent):
            case LeaveLeased() as end:
                _log.error("effect.undeclared", order_id=order.id, effect=effect.name)
                return end
            case Retry() as retry:
                if declared is None:
                    _log.error("effect.undeclared", order_id=order.id, effect=effect.name)
                return await self._write(provider, effect, retry)
            case ReportOutcome(outcome):
                attempt.skip(outcome)
            case MakeCall(seconds):
                assert declared is not None
                attempt.begin()
                outcome = await self._call(provider, attempt, self._make_call(attempt, declared, order, seconds), seconds)
                attempt.answer(outcome)
                attempt.message = make_message(order.id, declared.name, outcome.answer, self._clock.now())
                self._admission.record(provider.name, outcome, self._clock.now())
        assert declared is not None
        return await self._write_until_lease_ends(provider, declared, attempt, outcome)

    def _make_call(self, attempt: Attempt, declared: Effect, order: Order, seconds: float) -> Call:
        effect, key, data = attempt.effect, attempt.effect.key, order.snapshot.data
        arguments = effect.arguments
        if arguments is None:  # it declares none, or was owed before its lifecycle declared them
            arguments = {name: data[name] for name in declared.arguments if name in data}
        mark = partial(self._mark_sending, attempt, declared)
        return Call(str(key), effect.name, order, arguments, key.version, effect.attempt, self._clock.now() + seconds, mark)

    async def _mark_sending(self, attempt: Attempt, declared: Effect) -> None:
        """The request of a call is about to be sent. A repeatable effect is sent again in any case, so nothing is written for it.

        Raises:
            SendingRefused: the request may not be sent.
        """
        if declared.once and not attempt.sent:
            try:
                marked = await self._store.mark_sending(attempt.effect, self._clock.now())
            except OperationalError as error:
                raise SendingRefused("the moment of sending could not be written", superseded=False) from error
            if not marked:
                raise SendingRefused(SUPERSEDED.why, superseded=True)
        attempt.sent = True

    async def _call(self, provider: Provider, attempt: Attempt, call: Call, seconds: float) -> Outcome:
        try:
            async with self._calls.limit(seconds):
                if not provider.marks_sending:
                    await call.mark_sending()
                returned = await provider.perform(call, self._urls)
        except SendingRefused as error:
            return SUPERSEDED if error.superseded else NotExecuted(str(error), signal=Signal.NOT_CALLED)
        except CallCancelled:
            return correct_outcome(STOPPED, sent=attempt.sent)
        except TimeoutError:
            return correct_outcome(LATE, sent=attempt.sent)
        except Exception as error:  # noqa: BLE001  a bug in an adapter must not leave a call without an outcome
            _log.error("effect.adapter_raised", order_id=call.order.id, effect=call.effect, **exception_fields(error))
            why = f"the adapter raised {type(error).__name__}"
            return InDoubt(why) if attempt.sent else correct_outcome(InvalidOutcome(why), sent=False)
        outcome = check_outcome(provider.table.effects[call.effect], returned, provider.check_provider_id, call.order.provider_id)
        if isinstance(outcome, InvalidOutcome):
            _log.error("effect.outcome_invalid", order_id=call.order.id, effect=call.effect, problem=outcome.why)
        outcome = correct_outcome(outcome, sent=attempt.sent or isinstance(returned, Succeeded))  # even a wrong success: it acted
        if REDACTED in call.order.snapshot.data and not isinstance(outcome, Succeeded):
            return drop_texts(outcome)  # a retry's reason is written without the inbox, which would drop it
        return outcome

    # ── writing what became of it ────────────────────────────────────────────────────────────────────────────────────────

    async def _write_until_lease_ends(self, provider: Provider, declared: Effect, attempt: Attempt, outcome: Outcome) -> End:
        """Write an outcome, again each second while the database is away: an answer in hand must not become a lost one.

        Raises:
            OperationalError: the database was away until the lease ended.
        """
        effect = attempt.effect
        _log.info(
            "effect.attempted",
            order_id=effect.key.order_id,
            effect=effect.name,
            attempt=effect.attempt,
            outcome=type(outcome).__name__,
            why=getattr(outcome, "why", ""),
        )
        while True:
            try:
                conclusion = await self._conclude(provider, declared, attempt, outcome)
                if isinstance(conclusion, Retry) and (fault := find_fault(effect, outcome)):
                    await self._inbox.accept_fault(effect, fault)
                return await self._write(provider, effect, conclusion, attempt.message)
            except OperationalError as error:
                if self._clock.now() + _WRITE_RETRY_SECONDS >= effect.until:
                    raise
                _log.warning("effect.reply_write_retried", order_id=effect.key.order_id, effect=effect.name, **exception_fields(error))
            await self._clock.sleep(_WRITE_RETRY_SECONDS)

    async def _conclude(self, provider: Provider, declared: Effect, attempt: Attempt, outcome: Outcome) -> Reply | Retry | Finish:
        """What the outcome means. A call that was not executed is marked before that is reported for good: another attempt may hold it by
        now, and must not send what is reported as not executed."""
        budget_spent = self._clock.now() >= attempt.budget_ends_at
        conclusion = conclude(attempt.effect, declared, outcome, provider.timing, budget_spent=budget_spent)
        if isinstance(conclusion, Reply) and _needs_mark(attempt, declared, outcome, conclusion.event.name):
            attempt.sent = await self._store.mark_sending(attempt.effect, self._clock.now())
            if not attempt.sent:
                return conclude(attempt.effect, declared, SUPERSEDED, provider.timing, budget_spent=False)
        return conclusion

    async def _write_or_report_unknown(self, provider: Provider, declared: Effect, attempt: Attempt, outcome: Outcome) -> End:
        """Write an outcome; if it cannot be written, because an adapter made it wrong, report that there was no answer."""
        effect, unknown = attempt.effect, UNWRITTEN if attempt.may_have_arrived else STOPPED_BEFORE_SENDING
        if outcome is not UNWRITTEN:
            try:
                return await self._write(provider, effect, await self._conclude(provider, declared, attempt, outcome), attempt.message)
            except OperationalError:
                raise
            except Exception as error:  # noqa: BLE001  such as an event that does not exist
                _log.error("effect.reply_unwritable", order_id=effect.key.order_id, effect=effect.name, **exception_fields(error))
        pending = (await self._store.pending(effect.key.order_id)).effects
        if not any(row.key == effect.key and row.attempt == effect.attempt and row.in_flight for row in pending):
            return Done()  # its end was written before the error
        return await self._write(provider, effect, await self._conclude(provider, declared, attempt, unknown), attempt.message)

    async def _write(
        self, provider: Provider, effect: LeasedEffect, conclusion: Reply | Retry | Finish, message: Message | None = None
    ) -> End:
        """Write a conclusion, and what the provider answered. Writing it twice is the same as once."""
        match conclusion:
            case Reply(event, answer, anomaly):
                key = InboxKey(Origin.REPLY.value, f"{effect.key}:{answer}")
                receipt = await self._inbox.accept(effect.key.order_id, event, key, effect=effect, message=message, anomaly=anomaly)
                if message is not None and isinstance(receipt.decision, Ignored) and receipt.decision.reason is Reason.DUPLICATE:
                    await self._store.add_message(message)  # another worker reported that there was no answer; here it is
                return Done()
            case Finish(why):
                await self._store.finish_effect(effect, why, message)
                return Done()
            case Retry(wait, why, uncounted, throttle, may_be_executed):
                at = self._clock.now() + wait
                await self._store.retry_effect(effect, at, why, uncounted, message, may_be_executed=may_be_executed)
                self._wake.set()  # the worker sleeps until the end of the lease, and the retry is due before
                if throttle:
                    await self._store.throttle(provider.name, at)
                return RetryAt(at)


def _needs_mark(attempt: Attempt, declared: Effect, outcome: Outcome, event: str) -> bool:
    """Whether the call is marked before this reply: no attempt of it is in doubt, and none may be sent any more."""
    if declared.once:
        return not isinstance(outcome, Succeeded) and not attempt.may_have_arrived
    return not declared.safe and event == f"{declared.kind}_undelivered"
