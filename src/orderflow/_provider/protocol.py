"""What a provider implements, and what it is given. The interface between the engine and one kind of outside company."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NewType, Protocol, Self

from attrs import field, frozen

from orderflow._inputs import MAX_NAME_LENGTH, check_id, check_name
from orderflow._lifecycle.guidance import Guidance, GuidanceValues
from orderflow._lifecycle.table import Table
from orderflow._provider.call import Call
from orderflow._provider.endpoints import Endpoint
from orderflow._provider.outcomes import Outcome, ReadFailed, StatusRead
from orderflow._provider.timing import Timing
from orderflow.errors import InvalidInput
from orderflow.model import PROVIDER_ID, Order

Name = NewType("Name", str)
"""A name that a type checker cannot know: of a provider that is not shipped with orderflow, or computed at run time.

Type checkers refuse ``flow.send(order_id, "regster")``. They do not check ``flow.send(order_id, Name(command))``.
"""


@frozen
class Draft:
    """What a provider makes of a create request: the facts that guards read, and the data that only the provider reads.

    ``understood``: the request with its defaults filled in and its numbers as they are sent. A key that creates again is compared by it, so
    it depends on the request alone. None: the request is compared as it was given.
    """

    facts: Mapping[str, bool | str]
    data: Mapping[str, object] = field(repr=False)
    understood: Mapping[str, object] | None = field(default=None, repr=False)


@frozen
class DoesNotFit:
    """A command that the lifecycle allows does not fit the order as it stands, such as a capture of more than is left.

    ``why`` is kept with the refusal. It must not hold personal data.
    """

    why: str


class TokenSource(Protocol):
    """The application's source of users' access tokens. orderflow asks at the moment of sending and stores none."""

    async def token(self, order_id: str) -> str | None:
        """The token of the order's user. None where the user is gone: the call is then undelivered."""


class PublicUrls(Protocol):
    """Our own public URLs, signed per order and purpose. A request to one can bring a poll forward, and can prove nothing."""

    def url(self, provider: str, purpose: str, order_id: str = "") -> str | None:
        """The absolute URL of an endpoint, of one order or shared; always the same. None where we have no public URL."""


class Provider(Protocol):
    """A provider: its lifecycle, its settings and its adapter. Inherit from ``BaseProvider``, which has the optional members.

    A package of its own registers the class as an entry point in the group ``orderflow.providers``.
    """

    @property
    def name(self) -> str:
        """Its name, as in ``flow.create(name, ...)``. Outside orderflow: ``name = Name("...")``."""

    @property
    def table(self) -> Table:
        """The compiled lifecycle."""

    @property
    def timing(self) -> Timing:
        """Deadlines, budgets, polls, retries."""

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Where the receiver takes requests for it."""

    @property
    def needs_public_url(self) -> tuple[str, ...]:
        """Commands after which a browser comes back to us. They are refused where we have no public URL."""

    @property
    def timeout(self) -> float | None:
        """After how many seconds without an answer it gives a call up; None: not known. Start-up refuses one as long as a whole call."""

    @property
    def order_id_max(self) -> int:
        """The most characters that an order's id may have, because the provider is given it."""

    @property
    def marks_sending(self) -> bool:
        """Whether ``perform`` marks the moment of sending of each call (``Call.mark_sending``). Where it does not, the moment at which it
        begins counts."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What cannot work with these settings, one sentence each. Logged at start-up."""

    @property
    def guidance(self) -> Mapping[str, Guidance]:
        """What people are shown about an order, by state: all states, or none. ``orderflow check`` compares it with the lifecycle."""

    @property
    def guidance_values(self) -> GuidanceValues:
        """The placeholders of its guidance, beside ``order_id``, ``key`` and ``provider_id``."""

    @classmethod
    def offline(cls) -> Self | None:
        """An instance for the command line, without settings and unable to call the provider. None: there is no such instance."""

    def draft(self, request: Mapping[str, object]) -> Draft:
        """Check a create request and derive its facts.

        Raises:
            InvalidInput, UnknownName: nothing was stored.
        """

    def command(self, command: str, arguments: Mapping[str, object]) -> Mapping[str, object]:
        """Check the arguments of a command or an operator event. Returns the data to keep if the event is applied,
        with ``PROVIDER_ID`` where an operator names the provider's order.

        The data depends on the arguments alone. By it, a command with a key that was used before is compared with the first.

        Raises:
            InvalidInput: nothing was stored.
        """

    def fit_command(self, command: str, data: Mapping[str, object], order: Order) -> Mapping[str, object] | DoesNotFit:
        """Fit a command to the order as it stands, inside the decision. ``data`` is what ``command`` returned.

        Called only if the lifecycle allows the command, and again after a lost race. Pure: it runs inside the database's write and in any
        thread, so it must do no I/O and change nothing. Returns the data to keep. ``DoesNotFit`` refuses the command, and nothing changes.

        Raises:
            InvalidInput: nothing was stored.
        """

    def check_provider_id(self, value: object) -> str:
        """An id of an order at the provider in the one spelling that is stored and compared. Pure.

        Every id passes it: from an operator, in a search, in the outcome of a call.

        Raises:
            InvalidInput: the provider gives no such id.
        """

    async def perform(self, call: Call, urls: PublicUrls) -> Outcome:
        """Carry out a call: one request, repeated at most once with a fresh token. Raises nothing that the provider causes."""

    def customer_url(self, order: Order, urls: PublicUrls) -> str | None:
        """Where the customer's browser goes now; always the same. None: nowhere."""

    async def fetch_status(self, order: Order) -> StatusRead | ReadFailed:
        """Ask the provider for the order's status. Raises nothing that the provider causes."""

    async def close(self) -> None:
        """Close connections."""


class BaseProvider:
    """The members of ``Provider`` that most providers need not define, with their defaults."""

    needs_public_url: tuple[str, ...] = ()
    timeout: float | None = None
    order_id_max: int = MAX_NAME_LENGTH
    marks_sending: bool = False
    guidance: Mapping[str, Guidance] = MappingProxyType({})
    guidance_values: GuidanceValues = MappingProxyType({})

    @property
    def warnings(self) -> tuple[str, ...]:
        """No warning. See ``Provider.warnings``."""
        return ()

    @classmethod
    def offline(cls) -> Self | None:
        """None. See ``Provider.offline``."""
        return None

    def fit_command(self, command: str, data: Mapping[str, object], order: Order) -> Mapping[str, object] | DoesNotFit:
        """The data as it is. See ``Provider.fit_command``."""
        return data

    def check_provider_id(self, value: object) -> str:
        """The text without white space at its ends; none may be in it. See ``Provider.check_provider_id``."""
        return check_id(PROVIDER_ID, value)


def name_of(provider: Provider | str) -> str:
    """The name of a provider that is given as the object or by its name.

    Raises:
        InvalidInput: it is neither; UnknownName: no provider can have it.
    """
    name = provider if isinstance(provider, str) else getattr(provider, "name", None)
    if not isinstance(name, str):
        raise InvalidInput("provider", f"must be a provider or its name, got {type(provider).__name__}")
    return check_name("provider", "provider", name)
