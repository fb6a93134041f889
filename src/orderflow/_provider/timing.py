"""The timing of one provider: deadlines, polls, retries, leases, quotas; and its check against the lifecycle."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from math import inf, isfinite
from typing import TYPE_CHECKING, Any, Self

import attrs
from attrs import evolve, field, frozen

from orderflow._lifecycle.class_body import did_you_mean
from orderflow._lifecycle.table import Table
from orderflow.errors import ConfigurationError

CALL_SHARE = 0.8
"""The share of its lease that a call may take. The rest is for writing its outcome before another worker may call."""

TOKEN_SHARE = 0.3
"""The share of its lease that fetching an access token may take, so that most of a call's time is left for the request itself."""

_MISSPELT = 0.9
"""So alike (0 to 1) are a misspelt name and the right one. Two right names of the shipped providers are less alike."""

_MAY_BE_INFINITE = ("calls_per_second", "calls_per_minute", "requested_polls_per_minute")


class _NotGiven:
    """Marks a default of ``Timing``, so that it differs from a number that was given, even from an equal one."""


class _DefaultFloat(float, _NotGiven):
    """A number of seconds, a share or a rate."""


class _DefaultInt(int, _NotGiven):
    """A count."""


def _mark_defaults(_: type, fields: list[attrs.Attribute[Any]]) -> list[attrs.Attribute[Any]]:
    marks = {float: _DefaultFloat, int: _DefaultInt}
    return [field.evolve(default=marks[type(field.default)](field.default)) if type(field.default) in marks else field for field in fields]


@frozen(field_transformer=_mark_defaults)
class Timing:
    """The timing of one provider, in seconds. ``durations`` has an entry for each deadline and budget that the lifecycle names.

    Of a ``Timing`` that is passed to ``Connect`` or ``Ccv``, what was not given is the provider's own default (its ``TIMING``), and not the
    default here.

    Raises:
        ConfigurationError: a name is not one of these; it lists all that are not.
    """

    durations: Mapping[str, float] = field(factory=dict)
    poll_first: float = 2.0  # from a transition to the first poll
    poll_growth: float = 2.0  # each poll without news multiplies the wait by this
    poll_cap: float = 3600.0  # the longest wait
    poll_jitter: float = 0.2  # the share of the wait that is random
    poll_interval: float = 1.0  # at most one poll of an order in this time
    deadline_patience: float = 6 * 3600.0  # a due deadline waits so long for an answered poll; then it is decided without one
    retry_attempts: int = 6  # how often an effect is sent at least; a look-up without a result, or an effect without replies: at most
    undelivered_after: float = 6 * 3600.0  # how long an effect is sent again without a usable answer, where its state has no budget
    retry_first: float = 1.0
    retry_cap: float = 300.0
    lease: float = 60.0  # a worker holds an effect or a poll for so long; then another worker takes it over
    notice_fanout: int = 20  # how many orders one notification without an order brings forward
    requested_polls_per_minute: float = 120.0  # how many polls requests from outside bring forward in one process, and of its calls a tenth
    calls_per_second: float = inf  # what one process may begin; an effect and a poll count as one call each; never less than one
    calls_per_minute: float = inf
    throttle: float = 30.0  # no process calls for so long after a 429 without a time
    circuit_threshold: int = 5  # the circuit opens in this process after so many calls in a row without a usable answer
    circuit_pause: float = 10.0  # and stays open for so long; then one call at a time, until one is answered
    unusable_polls: int = 5  # an order is flagged after so many polls in a row that were answered and could not be used
    visible_after: float = 900.0  # a 404 to a poll flags nothing so soon after a move: the provider may not show a new order at once

    if not TYPE_CHECKING:  # type checkers go by the fields

        def __new__(cls, *_values: Any, **settings: Any) -> Self:
            known = [field.name for field in attrs.fields(cls)]
            _check_known(settings, known, "timing")
            return super().__new__(cls)


_NUMBERS = tuple(attribute.name for attribute in attrs.fields(Timing) if attribute.name != "durations")


def merge_timing(defaults: Timing, given: Timing, durations: Mapping[str, float] | None = None) -> Timing:
    """The timing of a provider: what was given, and else the provider's defaults.

    ``durations``: single durations, which replace those of ``given``.

    Raises:
        ConfigurationError: as ``merge_durations``.
    """
    not_given = {name: getattr(defaults, name) for name in _NUMBERS if isinstance(getattr(given, name), _NotGiven)}
    return evolve(given, durations=merge_durations(defaults.durations, given.durations, durations or {}), **not_given)


def merge_durations(defaults: Mapping[str, float], shared: Mapping[str, float], own: Mapping[str, float]) -> dict[str, float]:
    """A provider's durations: its defaults, replaced by those of its timing and then by its own.

    ``shared``: of the timing, which may serve several providers; what another one needs is left out.

    Raises:
        ConfigurationError: a name in ``own`` is not one of the defaults, or one in ``shared`` is a misspelt one; it lists all. Or a
            duration is not a number.
    """
    misspelt = {name for name in shared if get_close_matches(name, defaults, 1, _MISSPELT)}
    _check_known([*own, *(name for name in shared if name in misspelt and name not in own)], defaults, "durations")
    merged = {**defaults, **{name: seconds for name, seconds in shared.items() if name in defaults}, **own}
    for name, seconds in merged.items():
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise ConfigurationError(f"{name!r} must be a number of seconds", "durations")
    return merged


def _check_known(names: Iterable[str], known: Iterable[str], setting: str) -> None:
    """Raises ConfigurationError where names are not among the known ones."""
    known = sorted(known)
    unknown = [f"{name!r} is unknown{_hint(name, known)}" for name in names if name not in known]
    if unknown:
        raise ConfigurationError(f"{', '.join(unknown)}; known: {', '.join(known)}", setting)


def _hint(name: str, known: Iterable[str]) -> str:
    return f" ({remedy})" if (remedy := did_you_mean(name, known)) else ""


def delivery_budget(table: Table, timing: Timing, state: str) -> float:
    """For how many seconds from entering a state an effect is sent again without a usable answer: the state's time budget."""
    info = table.states.get(state)
    return timing.durations[info.budget] if info is not None and info.budget else timing.undelivered_after


def check_timing(provider: str, table: Table, timing: Timing, timeout: float | None) -> None:
    """Check a provider's timing against its lifecycle. ``timeout``: after how many seconds it gives a call up; None: not known.

    Raises:
        ConfigurationError: a number is not finite; or a deadline or budget of the lifecycle has no duration, or a duration is that of
            none; or ``timeout`` is not below ``CALL_SHARE`` of the lease. Then even a call that never reached the provider would end in
            doubt.
    """
    _check_finite(provider, timing)
    states = table.states.values()
    named = dict.fromkeys(key for state in states for key in (*(key for _, key in state.deadlines), state.budget) if key)
    problems = [f"timing has no duration {key!r}" for key in named if key not in timing.durations]
    problems += [f"its lifecycle names no duration {key!r}{_hint(key, named)}" for key in timing.durations if key not in named]
    if problems:
        raise ConfigurationError(f"{provider}: {'; '.join(problems)}")
    if timeout is not None and not 0 < timeout < CALL_SHARE * timing.lease:
        raise ConfigurationError(f"{provider}: timeout ({timeout:g} s) must be > 0 and < {CALL_SHARE:g} x lease ({timing.lease:g} s)")


def _check_finite(provider: str, timing: Timing) -> None:
    """Infinite times can be neither stored nor waited for. No number is negative."""
    numbers = attrs.asdict(timing, recurse=False)
    durations = {f"duration {key!r}": seconds for key, seconds in numbers.pop("durations").items()}
    for name, number in (numbers | durations).items():
        if isinstance(number, bool) or not isinstance(number, int | float) or (isfinite(number) and number < 0):
            raise ConfigurationError(f"{provider}: timing's {name} must be a number, 0 or more")
        if not isfinite(number) and not (name in _MAY_BE_INFINITE and number == inf):
            raise ConfigurationError(f"{provider}: timing's {name} ({number:g}) must be finite")
