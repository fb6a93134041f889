"""How the standing of a provider is shown: as one sentence, and as JSON values. Nothing of it is text of a provider."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import asdict

from orderflow._cli.journal import moment_of
from orderflow.model import ProviderProblem, ProviderStanding

_SENTENCES = {
    ProviderProblem.DOES_NOT_ANSWER: "{name} does not answer",
    ProviderProblem.LOGIN_FAILS: "{name}'s login server fails",
    ProviderProblem.ANOTHER_SERVER: "another server answers in {name}'s place",
    ProviderProblem.REFUSES_CREDENTIALS: "{name} refuses our credentials",
    ProviderProblem.UNUSABLE_ANSWERS: "{name}'s answers cannot be used",
    ProviderProblem.THROTTLED: "{name} throttles our calls",
}
_ANSWERS = {
    ProviderProblem.DOES_NOT_ANSWER: "{name} answers {status}",
    ProviderProblem.LOGIN_FAILS: "{name}'s login server answers {status}",
}
"""Used instead where there is an HTTP status code of an error."""

_FIRST_ERROR = 400


def describe_problem(standing: ProviderStanding) -> str:
    """What is wrong, without a time: ``connect's login server answers 503``. "": nothing is."""
    if standing.problem is None:
        return ""
    name, status = standing.provider, standing.status
    if status is not None and status >= _FIRST_ERROR and standing.problem in _ANSWERS:
        return _ANSWERS[standing.problem].format(name=name, status=status)
    sentence = _SENTENCES[standing.problem].format(name=name)
    return sentence if status is None else f"{sentence} (status {status})"


def describe_wait(standing: ProviderStanding) -> str:
    """Why an order waits that owes a call: ``waits since 2026-11-30 09:40:00 UTC: connect's login server answers 503``. "": it does not."""
    problem = describe_problem(standing)
    if not problem:
        return ""
    since = f"waits since {moment_of(standing.since)} UTC" if standing.since is not None else "waits"
    held = f"; no calls before {moment_of(standing.held_until)} UTC" if standing.held_until is not None else ""
    return f"{since}: {problem}{held}"


def describe_details(standing: ProviderStanding) -> Iterator[str]:
    """When the problem was last seen, until when calls are held back, and who lifted the standing last, when and why."""
    if standing.seen_at is not None:
        yield f"last seen at {moment_of(standing.seen_at)}"
    if standing.held_until is not None:
        yield f"no calls before {moment_of(standing.held_until)}"
    if standing.lifted_at is not None:
        yield f"lifted at {moment_of(standing.lifted_at)} by {standing.lifted_by}"


def standing_json(standing: ProviderStanding) -> dict[str, object]:
    """A standing as JSON values; times in epoch seconds."""
    return asdict(standing)
