"""What type checkers know about the shipped providers. No code runs here but decorators that return the method unchanged.

A type checker refuses a wrong name of a provider, a state, a command, an operator event or an argument. Editors complete the right
ones. A name that a type checker cannot know is marked: ``flow.send(order_id, Name(command), **arguments)``. Then neither the name nor
the arguments are checked. A provider that is not shipped with orderflow has a ``Name`` as its name.

Each protocol below is the signature of one method of ``Orderflow`` and of ``SyncOrderflow``. ``R_co`` is the result: a coroutine, or
the value itself. The names and arguments are those of the modules ``names`` of the providers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar, Unpack, cast, overload

if TYPE_CHECKING:
    from orderflow._engine.listeners import Handler
    from orderflow._provider.protocol import Name, Provider
    from orderflow._providers.ccv import Ccv
    from orderflow._providers.ccv import names as ccv
    from orderflow._providers.connect import Connect
    from orderflow._providers.connect import names as connect

    AnyState = connect.State | ccv.State | Name
    ProviderName = connect.ProviderName | ccv.ProviderName | Name
    AnyProvider = Provider | ProviderName

Flagged = Literal["order-flagged"]

R = TypeVar("R")
H = TypeVar("H", bound="Handler")
R_co = TypeVar("R_co", covariant=True)


class OtherProvider(Protocol):
    """A provider that is not shipped with orderflow."""

    @property
    def name(self) -> Name:
        """Its name."""


# ── signatures ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class Create(Protocol[R_co]):
    """The signature of ``create``."""

    @overload
    def __call__(self, provider: Connect | connect.ProviderName, /, *, key: str, **request: Unpack[connect.CreateRequest]) -> R_co: ...
    @overload
    def __call__(self, provider: Ccv | ccv.ProviderName, /, *, key: str, **request: Unpack[ccv.CreateRequest]) -> R_co: ...
    @overload
    def __call__(self, provider: OtherProvider | Name, /, *, key: str, **request: object) -> R_co: ...


class Send(Protocol[R_co]):
    """The signature of ``send``."""

    @overload
    def __call__(
        self, order_id: str, command: connect.BareCommand | ccv.BareCommand, /, *, key: str | None = None, check: bool = False
    ) -> R_co: ...
    @overload
    def __call__(
        self,
        order_id: str,
        command: Literal["complete_by_url"],
        /,
        *,
        key: str | None = None,
        check: bool = False,
        **arguments: Unpack[connect.CompleteByUrl],
    ) -> R_co: ...
    @overload
    def __call__(
        self,
        order_id: str,
        command: Literal["assign_user"],
        /,
        *,
        key: str | None = None,
        check: bool = False,
        **arguments: Unpack[connect.AssignUser],
    ) -> R_co: ...
    @overload
    def __call__(self, order_id: str, command: Name, /, *, key: str | None = None, check: bool = False, **arguments: object) -> R_co: ...


class Resolve(Protocol[R_co]):
    """The signature of ``resolve``."""

    @overload
    def __call__(self, order: str, event: connect.BareOperatorEvent | ccv.BareOperatorEvent, /, *, actor: str, reason: str) -> R_co: ...
    @overload
    def __call__(
        self,
        order: str,
        event: Literal["registration_resolved"],
        /,
        *,
        actor: str,
        reason: str,
        **arguments: Unpack[connect.RegistrationResolved],
    ) -> R_co: ...
    @overload
    def __call__(
        self, order: str, event: Literal["submission_resolved"], /, *, actor: str, reason: str, **arguments: Unpack[ccv.SubmissionResolved]
    ) -> R_co: ...
    @overload
    def __call__(self, order: str, event: Name, /, *, actor: str, reason: str, **arguments: object) -> R_co: ...


class Orders(Protocol[R_co]):
    """The signature of ``orders``."""

    @overload
    def __call__(self, *, provider: Literal[""] = "", state: AnyState | Literal[""] = "", limit: int = 100) -> R_co: ...
    @overload
    def __call__(self, *, provider: Connect | connect.ProviderName, state: connect.State | Literal[""] = "", limit: int = 100) -> R_co: ...
    @overload
    def __call__(self, *, provider: Ccv | ccv.ProviderName, state: ccv.State | Literal[""] = "", limit: int = 100) -> R_co: ...
    @overload
    def __call__(self, *, provider: OtherProvider | Name, state: str = "", limit: int = 100) -> R_co: ...


class States(Protocol):
    """The signature of ``states``."""

    # mypy thinks that a Connect could be an OtherProvider; its name is none of type Name
    @overload
    def __call__(self, provider: Connect | connect.ProviderName) -> tuple[connect.State, ...]: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, provider: Ccv | ccv.ProviderName) -> tuple[ccv.State, ...]: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, provider: OtherProvider | Name) -> tuple[Name, ...]: ...


class OnEntered(Protocol):
    """The signature of ``on_entered``, with a handler and as a decorator."""

    @overload
    def __call__(self, provider: Connect | connect.ProviderName, state: connect.State, handler: H) -> H: ...
    @overload
    def __call__(self, provider: Connect | connect.ProviderName, state: connect.State) -> Callable[[H], H]: ...
    @overload
    def __call__(self, provider: Ccv | ccv.ProviderName, state: ccv.State, handler: H) -> H: ...
    @overload
    def __call__(self, provider: Ccv | ccv.ProviderName, state: ccv.State) -> Callable[[H], H]: ...
    @overload
    def __call__(self, provider: OtherProvider | Name, state: str) -> Callable[[H], H]: ...
    @overload
    def __call__(self, provider: OtherProvider | Name, state: str, handler: H) -> H: ...


class RemoveListener(Protocol[R_co]):
    """The signature of ``remove_listener``."""

    @overload
    def __call__(self, provider: Connect | connect.ProviderName, state: connect.State | Flagged, *, actor: str, reason: str) -> R_co: ...
    @overload
    def __call__(self, provider: Ccv | ccv.ProviderName, state: ccv.State | Flagged, *, actor: str, reason: str) -> R_co: ...
    @overload
    def __call__(self, provider: OtherProvider | Name, state: str, *, actor: str, reason: str) -> R_co: ...


# ── decorators that give a method its signature ────────────────────────────────────────────────────────────────────────


def create(method: Callable[..., R]) -> Create[R]:
    """Give a method the signature of ``create``."""
    return cast("Create[R]", method)


def send(method: Callable[..., R]) -> Send[R]:
    """Give a method the signature of ``send``."""
    return cast("Send[R]", method)


def resolve(method: Callable[..., R]) -> Resolve[R]:
    """Give a method the signature of ``resolve``."""
    return cast("Resolve[R]", method)


def orders(method: Callable[..., R]) -> Orders[R]:
    """Give a method the signature of ``orders``."""
    return cast("Orders[R]", method)


def states(method: Callable[..., object]) -> States:
    """Give a method the signature of ``states``."""
    return cast("States", method)


def on_entered(method: Callable[..., object]) -> OnEntered:
    """Give a method the signature of ``on_entered``."""
    return cast("OnEntered", method)


def remove_listener(method: Callable[..., R]) -> RemoveListener[R]:
    """Give a method the signature of ``remove_listener``."""
    return cast("RemoveListener[R]", method)
