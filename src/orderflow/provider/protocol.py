"""What a provider brings and what it is given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from attrs import field, frozen

from orderflow.lifecycle.table import Table
from orderflow.model import Order
from orderflow.provider.endpoints import Endpoint
from orderflow.provider.outcomes import Outcome, ReadFailed, StatusRead
from orderflow.provider.timing import Timing


@frozen
class Draft:
    """What a provider makes of a create request: the facts that guards will read, the data that only it understands."""

    facts: Mapping[str, bool | str]
    data: Mapping[str, object] = field(repr=False)


class TokenSource(Protocol):
    """The host's: a user's access token at the moment of sending. Never stored by orderflow."""

    async def token(self, order_id: str) -> str | None:
        """The token, or None where the user is gone: the effect is then refused, fault caller."""


class PublicUrls(Protocol):
    """Our own public URLs, signed per order and purpose. They authorise a read and nothing else."""

    def url(self, provider: str, purpose: str, order_id: str = "") -> str | None:
        """The absolute URL of an inlet, for one order or shared; the same each time. None where we have no public URL."""


class Provider(Protocol):
    """A provider's manifest and adapter: one folder, or a package outside with an entry point in ``orderflow.providers``.

    It may have four things more: ``warnings`` (what its configuration cannot do, said at start-up), ``returning`` (commands after which
    a browser comes back to us: refused without a public URL), ``timeout`` (seconds of silence after which it gives a call up: refused
    where one silence could last as long as a whole call may take) and ``offline()`` (itself, unable to call, for the command line).
    """

    @property
    def name(self) -> str:
        """As in ``flow.create(name, ...)``."""

    @property
    def table(self) -> Table:
        """The compiled lifecycle."""

    @property
    def timing(self) -> Timing:
        """Deadlines, budgets, reads, retries."""

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Where the receiver listens for it."""

    def draft(self, request: Mapping[str, object]) -> Draft:
        """Check a create request and derive its facts.

        Raises:
            InvalidInput, UnknownName: before anything is stored.
        """

    def command(self, command: str, arguments: Mapping[str, object]) -> Mapping[str, object]:
        """Check a command's (or operator event's) arguments; answers with the data to keep if it is applied
        (``PROVIDER_ID`` among them where an operator names the provider's order).

        Raises:
            InvalidInput: before anything is stored.
        """

    async def perform(self, effect: str, order: Order, links: PublicUrls) -> Outcome:
        """Carry out an effect: one call, no retries beyond one token refresh. Never raises for what the provider does."""

    def customer_url(self, order: Order, links: PublicUrls) -> str | None:
        """Where the customer's browser goes now; the same each time. None where it goes nowhere."""

    async def fetch_status(self, order: Order) -> StatusRead | ReadFailed:
        """Read the order's status. Never raises for what the provider does."""

    async def close(self) -> None:
        """Release connections."""
