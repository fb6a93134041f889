"""Lifecycles with many states, edges and facts, as the text of a class body. No test."""

from __future__ import annotations

STATES = 30
FLAGS = 40


def many_states(*, forward_only: bool, count: int = STATES, sets: bool = False, facts: str = "", more: str = "") -> str:
    """A provider whose statuses may follow each other in any order, or in any order that goes forward; ``gone`` ends an order from each.

    ``sets``: the edges into a status set a flag of its own, ``was_<status>``, that nothing reads.
    """
    names = [f"s{n}" for n in range(count)]
    lines = ["drafted = State(initial=True)", *(f"{name} = State()" for name in names), "gone = State(final=True)", facts]
    lines += [f"was_{name} = Flag()" for name in names] if sets else []
    lines.append("hand_over = e(command, drafted.to(s0))")
    lines.append(f"seen_gone = e(observation, gone.from_({', '.join(names)}))")
    for n, name in enumerate(names):
        sources = names[:n] if forward_only else [other for other in names if other != name]
        if sources:
            option = f", sets={{'was_{name}': True}}" if sets else ""
            lines.append(f"seen_{name} = e(observation, {name}.from_({', '.join(sources)}){option})")
    first = "'s0': reading(consistent=[drafted, s0])"
    readings = ", ".join([first, *(f"'{name}': reading(consistent=[{name}], proves={name})" for name in (*names[1:], "gone"))])
    return "\n".join([*lines, f"readings = {{{readings}}}", more])


def ladder(rungs: int) -> str:
    """A provider with 2 ** rungs ways through its statuses: in each rung one of two, and no way back."""
    lines = ["drafted = State(initial=True)", "p0 = State()", "hand_over = e(command, drafted.to(p0))"]
    for n in range(rungs):
        lines += [f"l{n} = State()", f"r{n} = State()", f"p{n + 1} = State({'final=True' if n == rungs - 1 else ''})"]
        lines += [f"seen_l{n} = e(observation, p{n}.to(l{n}))", f"seen_r{n} = e(observation, p{n}.to(r{n}))"]
        lines.append(f"seen_p{n + 1} = e(observation, l{n}.to(p{n + 1})) | e(observation, r{n}.to(p{n + 1}))")
    names = [f"{letter}{n}" for n in range(rungs) for letter in "lr"] + [f"p{n + 1}" for n in range(rungs)]
    readings = ", ".join(f"'{name}': reading(consistent=[{name}], proves={name})" for name in names)
    return "\n".join([*lines, f"readings = {{{readings}}}"])


def chain_of_flags(count: int = FLAGS) -> str:
    """A flag for each step: with it the order goes on, without it the order ends. Given at create, read once, and in one state."""
    states = [f"c{n} = State({'initial=True' if n == 0 else ''})" for n in range(count)]
    flags = [f"f{n} = Flag()" for n in range(count)]
    steps = [f"go{n} = e(command, c{n}.to({f'c{n + 1}' if n + 1 < count else 'done'}), cond=f{n})" for n in range(count)]
    stops = [f"stop{n} = e(command, c{n}.to(ended), cond=~f{n})" for n in range(count)]
    return "\n".join([*states, "done = State(final=True)", "ended = State(final=True)", *flags, *steps, *stops])


def flags_side_by_side(count: int = FLAGS) -> str:
    """A flag for each of many commands that leave one state."""
    flags = [f"f{n} = Flag()" for n in range(count)]
    commands = [f"go{n} = e(command, a.to(b), cond=f{n})" for n in range(count)]
    return "\n".join(["a = State(initial=True)", "b = State(final=True)", *flags, *commands, "leave = e(command, a.to(b))"])
