"""The engine as the exploration drives it: the real decide, observe, commit, lease and report, over the few rules a store keeps.

Every judgement is the real function's; only rows are imitated: one order, its owed effects, armed deadlines, planned read and the keys
already taken. Time is left out: what is planned may be due at once or never. Answers are remembered, which purity
allows. Left out: telling the host, overrides (they are outside the table), and the budget of attempts (it may end at any attempt).
``Engine`` is the real one; hostile_bugs.py breaks it on purpose.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from types import SimpleNamespace
from typing import Any, cast

from attrs import evolve, frozen
from structlog.testing import capture_logs

from orderflow.engine import inbox as accept
from orderflow.engine import outbox as effects
from orderflow.engine.commit import STATUS_READ, CommitContext, plan_commit
from orderflow.lifecycle.decide import pollable, settled
from orderflow.lifecycle.facts import Value
from orderflow.lifecycle.observe import observe
from orderflow.model import PROVIDER_ID, Applied, EffectKey, Event, Observation, Order, Origin, Refused, Snapshot
from orderflow.provider.outcomes import InDoubt, NoResult, NotExecuted, Outcome, Rejected, Succeeded
from orderflow.provider.protocol import Provider
from orderflow.provider.timing import Timing
from orderflow.store.records import Commit, LeasedEffect, PollAt, StopPolling
from orderflow.testing.hostile_outside import Outside

LATEST, SUPERSEDED, GONE = 2, 1, 0
"""How a worker's attempt stands to its row: its latest, taken over by another, or of a row that is done."""

VERSION = 1
"""Of every order: only whether a read began at the present version matters."""

ANY = "any"
"""A word that a stale read brings."""

OUTCOMES: Mapping[str, Outcome] = {
    "declined": Rejected("no"),
    "lost": InDoubt("no answer"),
    "never sent": NotExecuted("down"),
    "not found": NoResult("no hit"),
}
"""What may become of a call beside its answer."""


@frozen(cache_hash=True)
class Core:
    """What the store holds of the order. ``owed``: effects and whether an attempt was begun and not answered, rows of one repeatable
    effect taken for one; ``taken``: the commands whose key is in the inbox."""

    state: str
    values: tuple[Value, ...]
    named: bool = False
    planned: bool = False
    deadlines: tuple[str, ...] = ()
    owed: tuple[tuple[str, bool], ...] = ()
    taken: frozenset[str] = frozenset()


class Rest(Enum):
    """Whether an order may be left where it is."""

    NONE = "none"
    FOUND = "found"
    GIVEN_UP = "given up"  # provisional, and its window is closed: no proof is looked for any more


@frozen
class Moved:
    """What a commit left behind: the row (by number), whether the order took a step, the effect that is done, and what is wrong."""

    core: int
    stepped: bool
    done: str = ""
    wrong: str = ""


class Engine:
    """The real engine over one order of ``outside`` that is created under ``facts``."""

    def __init__(self, outside: Outside, facts: Mapping[str, Value]) -> None:
        self.outside = outside
        self.table = outside.table
        self.commands = [name for name, origin in self.table.events.items() if origin is Origin.COMMAND]
        self.claims = [name for name, origin in self.table.events.items() if origin is Origin.CLAIM]
        self.operators = [name for name, origin in self.table.events.items() if origin is Origin.OPERATOR]
        self.cores: list[Core] = []
        self._numbers: dict[Core, int] = {}
        self._known: dict[tuple[object, ...], tuple[Moved, ...]] = {}
        names = {key for info in self.table.states.values() for _, key in info.deadlines} | {i.budget for i in self.table.states.values()}
        self._timing = Timing(durations=dict.fromkeys(names, 1.0), retry_attempts=2)
        self._provider = cast(Provider, SimpleNamespace(table=self.table, timing=self._timing))
        self._reports = _reports(self._provider, outside)
        self.start = self.number(Core(self.table.initial, tuple(facts[name] for name in self.table.facts)))

    def number(self, core: Core) -> int:
        """The row's number."""
        found = self._numbers.get(core)
        if found is None:
            found = self._numbers[core] = len(self.cores)
            self.cores.append(core)
        return found

    # ── what comes in ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def begun(self, effect: str) -> bool:
        """What is kept of a begun attempt: of a once-effect, that it was; a repeatable one is called again in any case."""
        return self.table.effects[effect].once

    def command(self, number: int, name: str) -> tuple[Moved, ...]:
        """A command under a key of its own."""
        return self._once(("command", number, name), lambda: self._hear(number, name, key=name))

    def resend(self, number: int, name: str) -> tuple[Moved, ...]:
        """A command under a key that was taken before: the inbox answers."""
        return (Moved(number, stepped=False),)

    def claim(self, number: int, name: str) -> tuple[Moved, ...]:
        """Anybody says so."""
        return self._once(("claim", number, name), lambda: self._hear(number, name))

    def notice(self, number: int) -> tuple[Moved, ...]:
        """Somebody says that there is news: a planned read comes sooner, which without time is no change."""
        return (Moved(number, stepped=False),)

    def operator(self, number: int, name: str) -> tuple[Moved, ...]:
        """A person's word; one that finds the order names it."""
        named = name in self.outside.finds
        return self._once(("operator", number, name), lambda: self._hear(number, name, named=named))

    def deadline(self, number: int, name: str) -> tuple[Moved, ...]:
        """An armed deadline comes; it is deleted with the decision."""
        return self._once(("deadline", number, name), lambda: self._hear(number, name, deadline=name))

    def report(self, number: int, effect: str, outcome: str, relation: int) -> tuple[Moved, ...]:
        """The end of a call is reported, by a worker whose attempt stands so to its row."""
        return self._once(("report", number, effect, outcome, relation), lambda: self._report(number, effect, outcome, relation))

    def read(self, number: int, token: int, fresh: bool, status: str) -> tuple[Moved, ...]:
        """A status read ends; ``fresh``: the order has not moved since it began."""
        if status != ANY:
            return self._once(("read", number, token, fresh, status), lambda: self._read(number, token, fresh, status))
        return tuple(dict.fromkeys(one for word in self.outside.moves for one in self.read(number, token, fresh, word)))

    def stale(self, reading: tuple[str | int | bool, ...]) -> tuple[str | int | bool, ...]:
        """What a worker has in hand when the order moved while it was reading. Which word it brings cannot matter any more, so any may
        be it: that spares many worlds, and were one word not dropped, its step would still be found."""
        return ("seen", reading[1], False, ANY)

    def lease(self, effect: str, unanswered: bool) -> bool:
        """Whether a worker that takes the effect over may call."""
        taken = LeasedEffect(EffectKey("0", VERSION, 0), effect, self.table.name, 1, unanswered)
        return isinstance(effects.lease(taken, self.table.effects[effect]), effects.Call)

    def token(self, _number: int) -> int:
        """What a reading worker keeps of the order it loaded, beside its version."""
        return 0

    def began(self, number: int) -> int:
        """The row once a read was leased: it stays planned, for when the lease ends."""
        return number

    # ── how it is judged and written ─────────────────────────────────────────────────────────────────────────────────────────

    def _once(self, key: tuple[object, ...], ask: Callable[[], tuple[Moved, ...]]) -> tuple[Moved, ...]:
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = ask()
        return found

    def order(self, core: Core) -> Order:
        """The order as the real functions take it."""
        data = {PROVIDER_ID: "1"} if core.named else {}
        facts = dict(zip(self.table.facts, core.values, strict=True))
        return Order("x-0", self.table.name, "key", Snapshot(core.state, facts, data, VERSION), 0.0, 0.0)

    def given(self, event: str, origin: Origin) -> CommitContext:
        """What the inbox knows beside order and decision."""
        return CommitContext(self.table, self._timing, lambda _state: False, 0.0, 0.0, event, origin)

    def _hear(self, number: int, name: str, *, key: str = "", deadline: str = "", done: str = "", named: bool = False) -> tuple[Moved, ...]:
        event = Event(name, self.table.events[name], provider_id="1" if named else None)
        order = self.order(self.cores[number])
        commit = plan_commit(self.given(name, event.origin), order, accept._decide(self._provider, order, event))
        moved = self.write(number, commit, key=key, deadline=deadline, done=done)
        return tuple(self._trusted(one, event.origin) for one in moved)

    def _read(self, number: int, token: int, fresh: bool, status: str) -> tuple[Moved, ...]:
        order = self.order(self.cores[number])
        observation = Observation(status, VERSION if fresh else VERSION - 1)
        commit = plan_commit(self.given(STATUS_READ, Origin.OBSERVATION), order, observe(self.table, order.snapshot, observation))
        moved = self.write(number, commit)
        late = "a step on a read that began before the last step"
        return tuple(evolve(one, wrong=late) if one.stepped and not fresh else one for one in moved)

    def _trusted(self, moved: Moved, origin: Origin) -> Moved:
        """An end that nobody proved is wrong, whatever the table says."""
        info = self.table.states[self.cores[moved.core].state]
        if moved.stepped and info.proven and origin not in (Origin.REPLY, Origin.OPERATOR):
            return evolve(moved, wrong=f"a {origin} entered the proven state {info.value}")
        if moved.stepped and info.provisional and origin is Origin.CLAIM:
            return evolve(moved, wrong=f"a claim entered the provisional end {info.value}")
        return moved

    def _report(self, number: int, effect: str, outcome: str, relation: int) -> tuple[Moved, ...]:
        core = self.cores[number]
        found: list[Moved] = []
        for asked in self._reports[effect, outcome]:
            if isinstance(asked, Event):
                named = asked.provider_id is not None
                found += self._hear(number, asked.name, done=effect if relation != GONE else "", named=named)
            elif relation != LATEST:  # a superseded attempt changes nothing
                found.append(Moved(number, stepped=False))
            else:
                again = ((effect, False),) if asked == "retry" else ()
                owed = tuple(sorted([one for one in core.owed if one[0] != effect] + list(again)))
                found.append(Moved(self.number(evolve(core, owed=owed)), stepped=False, done="" if again else effect))
        return tuple(dict.fromkeys(found))

    def write(self, number: int, commit: Commit, *, key: str = "", deadline: str = "", done: str = "") -> tuple[Moved, ...]:
        """What the commit leaves in the store, whole."""
        core = self.cores[number]
        deadlines = core.deadlines if commit.deadlines is None else tuple(sorted(name for name, _ in commit.deadlines))
        if commit.deadlines is None and deadline:
            deadlines = tuple(name for name in deadlines if name != deadline)
        core = evolve(
            core,
            planned=self.plan(core, commit),
            deadlines=deadlines,
            owed=tuple(one for one in core.owed if one[0] != done),
        )
        if not isinstance(commit.decision, Applied):
            return (Moved(self.number(core), stepped=False, done=done),)
        wrong = ""
        if commit.journal[0].source != core.state:
            wrong = f"a step from {commit.journal[0].source} was written over {core.state}"
        after = commit.decision.snapshot
        owed = dict(core.owed)
        for effect in commit.effects:
            if effect.name in owed and self.table.effects[effect.name].once:
                wrong = f"{effect.name} is owed twice"
            owed[effect.name] = False
        core = evolve(
            core,
            state=after.state,
            values=tuple(after.facts[name] for name in self.table.facts),
            named=PROVIDER_ID in after.data,
            owed=tuple(sorted(owed.items())),
            taken=core.taken | {key} if key and commit.keep_key else core.taken,
        )
        return (Moved(self.number(core), stepped=True, done=done, wrong=wrong),)

    def plan(self, core: Core, commit: Commit) -> bool:
        """Whether a read is planned once the commit is written."""
        return isinstance(commit.poll, PollAt) or (core.planned and not isinstance(commit.poll, StopPolling))

    # ── what is asked of a row at rest ───────────────────────────────────────────────────────────────────────────────────────

    def same_order(self, one: int, other: int) -> bool:
        """Whether two rows differ in what is owed or planned alone."""
        a, b = self.cores[one], self.cores[other]
        return (a.state, a.values) == (b.state, b.values)

    def rest(self, number: int, status: str) -> Rest:
        """Whether an order that is left alone here is no worry, while the provider says ``status`` (``""``: it has no such order)."""
        core = self.cores[number]
        if self.table.states[core.state].provisional and settled(self.table, self.order(core).snapshot):
            return Rest.GIVEN_UP
        return Rest.FOUND if self._at_rest(core, status) else Rest.NONE

    def _at_rest(self, core: Core, status: str) -> bool:
        """It stands where the provider's word lets it stand, with somebody who can still move it; or it is openly in doubt, or flagged by
        its next read."""
        order = self.order(core)
        out = [edge for edge in self.table.out[core.state] if edge.holds.pick(order.snapshot.facts)]
        origins = {edge.origin for edge in out}
        into = {edge.origin for edge in self.table.edges if edge.target == core.state}
        ended = settled(self.table, order.snapshot)
        if Origin.OPERATOR in origins or into == {Origin.OPERATOR}:
            return True  # a person sees it, or saw to it
        if not status:
            return ended or Origin.COMMAND in origins
        reads = core.planned and core.named and pollable(self.table, order.snapshot)
        if Origin.REPLY in origins and not core.owed and not (origins & {Origin.COMMAND, Origin.CLOCK}):
            return False  # it waits for an answer that nobody will give
        if core.state in self.table.readings[status].consistent:
            return ended or reads or bool(core.deadlines) or Origin.COMMAND in origins
        return reads and isinstance(observe(self.table, order.snapshot, Observation(status, VERSION)), Refused)


def _reports(provider: Provider, outside: Outside) -> dict[tuple[str, str], tuple[Event | str, ...]]:
    """What the engine asks of inbox and store at each end of each call, with attempts left and without."""
    asked: list[Event | str] = []

    async def accept(_order: str, event: Event, _key: object = None, **_more: object) -> None:
        asked.append(event)

    async def retry_effect(*_given: object) -> None:
        asked.append("retry")

    async def finish_effect(*_given: object) -> None:
        asked.append("finish")

    store = SimpleNamespace(retry_effect=retry_effect, finish_effect=finish_effect)
    inbox: Any = SimpleNamespace(accept=accept, store=store, clock=SimpleNamespace(now=lambda: 0.0), wake=SimpleNamespace(set=lambda: None))
    carrier = effects.Outbox(inbox, cast(Any, None), cast(Any, None))
    found: dict[tuple[str, str], tuple[Event | str, ...]] = {}
    with capture_logs():
        for name, call in outside.calls.items():
            answered = Succeeded(call.answer, provider_id="1" if call.names else None)
            for word, outcome in {"answered": answered, **OUTCOMES}.items():
                asked.clear()
                for attempt in (1, provider.timing.retry_attempts):
                    leased = LeasedEffect(EffectKey("0", VERSION, 0), name, outside.table.name, attempt, unanswered=False)
                    _run(carrier._report(provider, outside.table.effects[name], leased, outcome))
                found[name, word] = tuple(one for n, one in enumerate(asked) if one not in asked[:n])
    return found


def _run(coroutine: Any) -> None:
    """Run what never has to wait."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise AssertionError("reporting waited for something")
