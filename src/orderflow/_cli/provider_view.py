"""How the standing of a provider is shown: as one sentence, and as JSON values. Nothing of it is text of a provider."""

from __future__ import annotations

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
    held = f"; the next call is made after {moment_of(standing.held_until)}" if standing.held_until is not None else ""
    return f"{since}: {problem}{held}"


def describe_lift(standing: ProviderStanding) -> str:
    """Who had calls tried at once, when and why; "": nothing was lifted."""
    return f"lifted at {moment_of(standing.lifted_at)} by {standing.lifted_by}" if standing.lifted_at is not None else ""


def standing_json(standing: ProviderStanding) -> dict[str, object]:
    """A standing as JSON values; times in epoch seconds."""
    return asdict(standing)
