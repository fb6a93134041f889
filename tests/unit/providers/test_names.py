"""The names that type checkers and editors know are those of the lifecycles, the providers and the methods of ``Orderflow``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, ForwardRef, Literal, get_args, get_origin, get_overloads, get_type_hints

import pytest

from orderflow import SyncOrderflow
from orderflow._app import Orderflow
from orderflow._blocking import Options
from orderflow._engine.listeners import Handler
from orderflow._flagged import ORDER_FLAGGED
from orderflow._providers import typed_calls
from orderflow._providers.ccv import Ccv
from orderflow._providers.ccv import names as ccv
from orderflow._providers.connect import Connect
from orderflow._providers.connect import names as connect
from orderflow.errors import InvalidInput
from orderflow.model import Origin
from orderflow.provider import Name, Provider

PROVIDERS: list[tuple[Any, Any]] = [(Connect.offline(), connect), (Ccv.offline(), ccv)]
ARGUMENTS: list[tuple[Provider, str, Any]] = [
    (Connect.offline(), "complete_by_url", connect.CompleteByUrl),
    (Connect.offline(), "assign_user", connect.AssignUser),
    (Connect.offline(), "registration_resolved", connect.RegistrationResolved),
    (Ccv.offline(), "submission_resolved", ccv.SubmissionResolved),
]
"""The events that take arguments, and the names of these."""
METHODS = ("create", "send", "resolve", "orders", "states", "on_entered", "remove_listener")
OTHERS = ("override", "wait", "prune", "redact", "customer_url", "stuck", "failing_notifications", "on_flagged", "handle_request")
by_name = {"ids": lambda value: getattr(value, "name", "")}


@pytest.mark.parametrize(("provider", "names"), PROVIDERS, **by_name)
def test_names_are_those_of_the_lifecycle(provider: Provider, names: Any) -> None:
    def events(origin: Origin) -> tuple[str, ...]:
        return tuple(event for event, event_origin in provider.table.events.items() if event_origin is origin)

    assert get_args(names.ProviderName) == (provider.name,)
    assert get_args(names.State) == tuple(provider.table.states)
    assert get_args(names.Command) == events(Origin.COMMAND)
    assert get_args(names.OperatorEvent) == events(Origin.OPERATOR)


@pytest.mark.parametrize(("provider", "names"), PROVIDERS, **by_name)
def test_an_event_takes_arguments_unless_it_is_listed_as_bare(provider: Provider, names: Any) -> None:
    bare = {*get_args(names.BareCommand), *get_args(names.BareOperatorEvent)}
    with_arguments = {event for owner, event, _ in ARGUMENTS if owner.name == provider.name}
    assert bare | with_arguments == {*get_args(names.Command), *get_args(names.OperatorEvent)}
    assert not bare & with_arguments


@pytest.mark.parametrize(("provider", "event", "arguments"), ARGUMENTS)
def test_the_arguments_of_an_event_are_those_that_the_provider_accepts(provider: Provider, event: str, arguments: Any) -> None:
    with pytest.raises(InvalidInput) as raised:
        provider.command(event, {"other": 1})
    assert raised.value.reason == f"unknown argument (known: {', '.join(arguments.__annotations__)})"


@pytest.mark.parametrize(("provider", "names"), PROVIDERS, **by_name)
def test_the_fields_of_a_create_request_are_those_that_the_provider_accepts(provider: Provider, names: Any) -> None:
    with pytest.raises(InvalidInput) as raised:
        provider.draft({"other": 1})
    assert raised.value.reason == f"unknown argument (known: {', '.join(names.CreateRequest.__annotations__)})"


def _overloads(protocol: Any) -> Sequence[Callable[..., Any]]:
    """The overloads of a signature. ``get_overloads`` goes by module and name, and ``__call__`` itself has neither here."""

    def call() -> None:
        """Has the names of the overloads."""

    call.__module__, call.__qualname__ = protocol.__module__, f"{protocol.__qualname__}.__call__"
    return get_overloads(call)


def _literals(protocol: Any, parameter: str) -> list[str]:
    """The literal values of a parameter in all overloads of a signature, as often as they are there."""
    imported = {"connect": connect, "ccv": ccv, "Connect": Connect, "Ccv": Ccv, "Name": Name, "Handler": Handler}
    hints = [get_type_hints(overload, vars(typed_calls) | imported)[parameter] for overload in _overloads(protocol)]
    return [value for hint in hints for value in _literals_of(hint)]


def _literals_of(hint: Any) -> list[str]:
    if get_origin(hint) is Literal:
        return list(get_args(hint))
    return [value for member in get_args(hint) for value in _literals_of(member)]


@pytest.mark.parametrize(
    ("protocol", "parameter", "expected"),
    [
        (typed_calls.Send, "command", [*get_args(connect.Command), *get_args(ccv.Command)]),
        (typed_calls.Resolve, "event", [*get_args(connect.OperatorEvent), *get_args(ccv.OperatorEvent)]),
        (typed_calls.Create, "provider", ["connect", "ccv"]),
        (typed_calls.States, "provider", ["connect", "ccv"]),
        # twice each: with a handler, and as a decorator
        (typed_calls.OnEntered, "provider", 2 * ["connect", "ccv"]),
        (typed_calls.OnEntered, "state", 2 * [*get_args(connect.State), *get_args(ccv.State)]),
        (typed_calls.RemoveListener, "state", [*get_args(connect.State), *get_args(ccv.State), ORDER_FLAGGED, ORDER_FLAGGED]),
    ],
)
def test_each_name_has_its_overload(protocol: Any, parameter: str, expected: list[str]) -> None:
    assert sorted(_literals(protocol, parameter)) == sorted(expected)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("flow", [Orderflow, SyncOrderflow])
def test_a_method_takes_the_parameters_of_its_signature(flow: type, method: str) -> None:
    """The type checker sees the signature alone, so nothing else compares it with the method."""
    protocol = getattr(typed_calls, "".join(word.capitalize() for word in method.split("_")))
    *_, for_other_providers = _overloads(protocol)
    assert _parameters(for_other_providers) == _parameters(getattr(flow, method))


def _parameters(function: Callable[..., object]) -> list[tuple[str, Any]]:
    """Name and kind of each parameter; without the name where it is positional only."""
    parameters = inspect.signature(function).parameters.values()
    return [("" if parameter.kind is parameter.POSITIONAL_ONLY else parameter.name, parameter.kind) for parameter in parameters][1:]


@pytest.mark.parametrize("method", [*METHODS, *OTHERS])
def test_a_method_without_await_takes_the_same_parameters(method: str) -> None:
    with_await, without = (inspect.signature(getattr(flow, method)).parameters for flow in (Orderflow, SyncOrderflow))
    assert without == with_await


def test_the_options_of_the_api_without_await_are_the_keyword_arguments_of_the_other() -> None:
    parameters = inspect.signature(Orderflow).parameters.values()
    keywords = {parameter.name: parameter.annotation for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}
    options = {name: hint.__forward_arg__ for name, hint in Options.__annotations__.items() if isinstance(hint, ForwardRef)}
    assert options == keywords
