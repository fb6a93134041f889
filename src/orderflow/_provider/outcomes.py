"""The outcomes of a call to a provider, and of a status poll. Only records live here.

Each may carry the provider's ``answer``. The engine keeps it as a message of the order, whatever the outcome means.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from attrs import field, frozen
from attrs.validators import instance_of


class Signal(StrEnum):
    """What the end of a call shows about the provider as a whole. The rate limiter and the circuit breaker act on it."""

    NONE = "none"  # an ordinary response
    THROTTLED = "throttled"  # 429: all processes have to slow down
    UNREACHABLE = "unreachable"  # no connection, no whole response, or a 5xx
    LOGIN_SERVER = "login server"  # there is no access token, because the login server fails
    FOREIGN = "foreign"  # another server answers in its place: a proxy, a firewall, a login page
    UNAUTHORIZED = "unauthorized"  # the provider refuses our credentials
    NOT_CALLED = "not called"  # nothing was sent for a reason of ours, such as a user's missing token: shows nothing about the provider


@frozen
class ProviderAnswer:
    """An answer as it came. ``whole``: the body arrived to its end. ``repr`` shows neither content type nor body."""

    status: int = field(validator=instance_of(int))
    content_type: str = field(default="", repr=False, validator=instance_of(str))
    body: bytes = field(default=b"", repr=False, validator=instance_of(bytes))
    whole: bool = True


@frozen
class Succeeded:
    """The provider acted. ``event`` is one of the successes that the effect declares; ``provider_id`` is set where it names the order."""

    event: str
    data: Mapping[str, object] = field(factory=dict, repr=False)
    provider_id: str | None = None
    note: str = ""
    answer: ProviderAnswer | None = field(default=None, repr=False, eq=False, kw_only=True)


@frozen
class NotExecuted:
    """The provider certainly did not act: no connection, no token, 401, 429, a page of another server.

    The effect is sent again until the time budget of the order's state is spent; with ``permanent``, where that cannot help, not at all.
    """

    why: str
    retry_after: float | None = None  # seconds
    signal: Signal = Signal.NONE
    permanent: bool = False
    status: int | None = field(default=None, eq=False, kw_only=True)  # the HTTP status code, where ``answer`` does not hold it
    answer: ProviderAnswer | None = field(default=None, repr=False, eq=False, kw_only=True)


@frozen
class Rejected:
    """The provider itself refused, in its own form of an error. A page of another server is no refusal: see ``NotExecuted``."""

    why: str
    answer: ProviderAnswer | None = field(default=None, repr=False, eq=False, kw_only=True)


@frozen
class InDoubt:
    """The provider may or may not have acted: a timeout, a reset, a 5xx, an unusable 2xx."""

    why: str
    answer: ProviderAnswer | None = field(default=None, repr=False, eq=False, kw_only=True)


@frozen
class NoResult:
    """A look-up succeeded and found nothing. It is repeated until its budget is spent. No outcome of a once-effect."""

    why: str
    answer: ProviderAnswer | None = field(default=None, repr=False, eq=False, kw_only=True)


Outcome = Succeeded | NotExecuted | Rejected | InDoubt | NoResult


@frozen
class StatusRead:
    """The status that a poll brought, as the provider spells it."""

    status: str
    data: Mapping[str, object] = field(factory=dict, repr=False)
    mismatch: str = ""  # a field by which the answer is about another order
    note: str = ""  # kept in the journal if the order moves
    answer: ProviderAnswer | None = field(default=None, repr=False, eq=False, kw_only=True)


@frozen
class ReadFailed:
    """A poll that brought no status."""

    why: str
    retry_after: float | None = None  # seconds
    signal: Signal = Signal.NONE
    status: int | None = field(default=None, eq=False, kw_only=True)  # as in ``NotExecuted``
    answer: ProviderAnswer | None = field(default=None, repr=False, eq=False, kw_only=True)
