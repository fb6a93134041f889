"""What can happen next in a hostile world, and what of it must never happen. Successors only; walking them is hostile.py.

What a step does depends on the stored row, the provider's status and the one worker that takes it, so it is found once and remembered.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from attrs import define, evolve, field, frozen

from orderflow.lifecycle.table import Table
from orderflow.testing.hostile_engine import GONE, LATEST, SUPERSEDED, Engine, Moved
from orderflow.testing.hostile_outside import Outside
from orderflow.testing.hostile_story import Action, Local

World = tuple[int, int, int, tuple[int, ...]]
"""The stored row, the provider's status, the once-effects that were carried out (bits), the workers (sorted: they are alike)."""

IDLE: Local = ()
_OTHERS = -1


@frozen
class Step:
    """One thing that happens. ``local``: what the worker does next (by number; none: nobody's step); ``acts``: the bit of a once-effect
    that is carried out; ``hits``: what it does to the other workers; ``quiet``: it needs nobody but the engine and an answering
    provider."""

    action: Action
    core: int
    status: int
    local: int
    acts: int
    hits: int
    wrong: str
    quiet: bool


@define
class Steps:
    """The successors of a world of ``outside``."""

    outside: Outside
    engine: Engine
    statuses: tuple[str, ...] = field(init=False)
    _locals: list[Local] = field(init=False, factory=lambda: [IDLE])
    _numbers: dict[Local, int] = field(init=False, factory=lambda: {IDLE: 0})
    _hits: list[tuple[bool, str, str]] = field(init=False, factory=lambda: [(False, "", "")])
    _others: dict[tuple[tuple[int, ...], int, int], tuple[int, ...]] = field(init=False, factory=dict)
    _of_worker: dict[tuple[int, int, int], tuple[Step, ...]] = field(init=False, factory=dict)
    _of_rest: dict[tuple[int, int], tuple[Step, ...]] = field(init=False, factory=dict)
    _support: dict[str, set[int]] = field(init=False, factory=dict)
    _onces: dict[str, int] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.statuses = ("", *self.outside.moves)
        self._onces = {name: 1 << n for n, (name, effect) in enumerate(self.outside.table.effects.items()) if effect.once}

    def after(self, world: World) -> Iterator[tuple[Step, World, str]]:
        """Every step that changes anything, the world after it, and what is wrong with it ("": nothing)."""
        core, status, acted, busy = world
        for step in self._said(core, status):
            yield step, (step.core, step.status, acted, self._hit(busy, step.hits, _OTHERS)), step.wrong
        last = -1
        for n, number in enumerate(busy):
            if number == last:  # workers that do the same are alike
                continue
            last = number
            rest = busy[:n] + busy[n + 1 :]
            for step in self._worked(core, status, number):
                wrong = step.wrong
                if step.acts & acted:
                    wrong = f"{self._locals[number][1]} was carried out twice"
                yield step, (step.core, step.status, acted | step.acts, self._hit(rest, step.hits, step.local)), wrong

    # ── what others say ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _said(self, core: int, status: int) -> tuple[Step, ...]:
        """What callers, forgers, operators and clocks can say to the row, and where the provider can go."""
        known = self._of_rest.get((core, status))
        if known is None:
            moves = self.outside.moves.get(self.statuses[status], ())
            going = [Step(("provider", name), core, self.statuses.index(name), _OTHERS, 0, 0, "", quiet=False) for name in moves]
            said = [step for step in self._heard(core, status) if step.core != core or step.hits or step.wrong]
            known = self._of_rest[core, status] = tuple(said + going)
        return known

    def _heard(self, core: int, status: int) -> Iterator[Step]:
        engine, row = self.engine, self.engine.cores[core]
        for name in engine.commands:
            yield from self._moved(("command", name), engine.command(core, name), status)
        for name in sorted(row.taken):
            yield from self._moved(("resend", name), engine.resend(core, name), status)
        for name in engine.claims:
            yield from self._moved(("claim", name), engine.claim(core, name), status)
        yield from self._moved(("notice", ""), engine.notice(core), status)
        for name in engine.operators:
            if status or name not in self.outside.finds:
                yield from self._moved(("operator", name), engine.operator(core, name), status)
        for name in row.deadlines:
            yield from self._moved(("deadline", name), engine.deadline(core, name), status, quiet=True)

    def _moved(self, action: Action, moved: Iterable[Moved], status: int, *, local: int = _OTHERS, quiet: bool = False) -> Iterator[Step]:
        for one in moved:
            hits = self._hits_number(one.stepped, one.done, "")
            state = self.engine.cores[one.core].state
            wrong = one.wrong or (self._ahead(state, status) if one.stepped else "")
            yield Step((*action, state), one.core, status, local, 0, hits, wrong, quiet)

    # ── what a worker does ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _worked(self, core: int, status: int, number: int) -> tuple[Step, ...]:
        known = self._of_worker.get((core, status, number))
        if known is None:
            local = self._locals[number]
            known = self._of_worker[core, status, number] = tuple(self._work(core, status, local))
        return known

    def _work(self, core: int, status: int, local: Local) -> Iterator[Step]:
        if local == IDLE:
            yield from self._take(core, status)
            return
        yield Step(("crash", local), core, status, 0, 0, 0, "", quiet=False)
        kind = local[0]
        if kind == "call":
            yield from self._call(core, status, local)
        elif kind == "end":
            moved = self.engine.report(core, str(local[1]), str(local[3]), int(local[2]))
            yield from self._moved(("report", local), moved, status, local=0, quiet=True)
        elif kind == "read":
            seen = ("seen", *local[1:], self.statuses[status])
            yield Step(("answer", local, seen), core, status, self._number(seen), 0, 0, "", quiet=True)
        else:
            moved = self.engine.read(core, int(local[1]), bool(local[2]), str(local[3]))
            yield from self._moved(("observe", local), moved, status, local=0, quiet=True)

    def _take(self, core: int, status: int) -> Iterator[Step]:
        row = self.engine.cores[core]
        for effect, unanswered in row.owed:
            may = self.engine.lease(effect, unanswered)
            mine: Local = ("call", effect, LATEST) if may else ("end", effect, LATEST, "lost")
            owed = tuple((name, self.engine.begun(name) if name == effect else begun) for name, begun in row.owed)
            taken = self.engine.number(evolve(row, owed=owed))
            hits = self._hits_number(stepped=False, done="", taken=effect)
            yield Step(("take", effect, may, mine), taken, status, self._number(mine), 0, hits, "", quiet=True)
        if row.planned and row.named and status:
            reading: Local = ("read", self.engine.token(core), True)
            began = self.engine.began(core)
            yield Step(("begin read", reading), began, status, self._number(reading), 0, 0, "", quiet=True)

    def _call(self, core: int, status: int, local: Local) -> Iterator[Step]:
        """The call goes out: the provider acts or not, and the answer comes or not."""
        effect, relation = str(local[1]), local[2]
        call = self.outside.calls[effect]
        ends = [(False, "never sent"), (False, "lost"), (False, "not found" if call.seeks else "declined")]
        if not call.needs or self.statuses[status] in call.needs:
            ends = [(True, "answered"), (True, "lost"), *ends]
        for acts, outcome in ends:
            bit = self._onces.get(effect, 0) if acts else 0
            onward = self.statuses.index(call.creates) if acts and call.creates and not status else status
            end: Local = ("end", effect, relation, outcome)
            yield Step(("call", local, acts, outcome, end), core, onward, self._number(end), bit, 0, "", quiet=True)

    # ── what it does to the other workers ────────────────────────────────────────────────────────────────────────────────────

    def _number(self, local: Local) -> int:
        found = self._numbers.get(local)
        if found is None:
            found = self._numbers[local] = len(self._locals)
            self._locals.append(local)
        return found

    def _hits_number(self, stepped: bool, done: str, taken: str) -> int:
        hits = (stepped, done, taken)
        if hits not in self._hits:
            self._hits.append(hits)
        return self._hits.index(hits)

    def _hit(self, rest: tuple[int, ...], hits: int, local: int) -> tuple[int, ...]:
        """The workers after a step: the reads of the others are stale if the order moved, their effect is done or taken over."""
        found = self._others.get((rest, hits, local))
        if found is None:
            stepped, done, taken = self._hits[hits]
            after = [] if local == _OTHERS else [local]
            for number in rest:
                doing = self._locals[number]
                if stepped and doing and doing[0] in ("read", "seen"):
                    doing = self.engine.stale(doing)
                elif doing and doing[0] in ("call", "end") and doing[1] in (done, taken):
                    relation = min(int(doing[2]), GONE if doing[1] == done else SUPERSEDED)
                    doing = (*doing[:2], relation, *doing[3:])
                after.append(self._number(doing))
            found = self._others[rest, hits, local] = tuple(sorted(after))
        return found

    # ── never ahead of the provider ──────────────────────────────────────────────────────────────────────────────────────────

    def _ahead(self, state: str, status: int) -> str:
        if state not in self._support:
            self._support[state] = self._find_support(state)
        if status in self._support[state]:
            return ""
        return f"{state} is ahead of the provider, who says {self.statuses[status] or 'nothing'}"

    def _find_support(self, state: str) -> set[int]:
        """The statuses under which the order may stand here: what proves it, or what the provider may say after that."""
        table = self.outside.table
        proving = {reading.proves for reading in table.readings.values()} | {name for name, info in table.states.items() if info.proven}
        if state not in proving:
            return set(range(len(self.statuses)))
        todo = [word for word in self.outside.moves if _speaks_of(table, word, state)]
        found = set(todo)
        while todo:
            new = set(self.outside.moves[todo.pop()]) - found
            found |= new
            todo += new
        return {self.statuses.index(word) for word in found}


def _speaks_of(table: Table, word: str, state: str) -> bool:
    """Whether the word proves the state, or one that an edge leads to from it where no word is about the state itself (``paid``)."""
    if any(state in reading.consistent for reading in table.readings.values()):
        return state in table.readings[word].consistent
    return table.readings[word].proves in {edge.target for edge in table.out[state]}
