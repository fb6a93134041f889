"""``orderflow listeners``: of which states hosts are told, and forgetting one that is no more. Calls no provider and tells no host."""

from __future__ import annotations

from cyclopts import App

from orderflow.cli import show
from orderflow.cli.exits import Exit
from orderflow.cli.stored import Db, Json, with_flow
from orderflow.errors import InvalidInput

listeners = App(name="listeners", help="Say of which states hosts are told; forget a listener that is gone.", help_format="plaintext")


@listeners.command(name="list")
def list_(*, db: Db, json: Json = False) -> int:
    """List the states that any process ever wanted to be told of, and how many pending_notifications are owed."""
    found = with_flow(db, lambda flow: flow.listeners())
    if json:
        show.document([{"provider": one.provider, "state": one.state, "owed": one.owed} for one in found])
    else:
        show.table(("provider", "state", "owed"), [(one.provider, one.state, str(one.owed)) for one in found])
    return Exit.OK


@listeners.command
def forget(provider: str, state: str, /, *, db: Db, by: str, reason: str, json: Json = False) -> int:
    """Forget a listener that was removed from the code: nobody is told of what is owed to it, and its orders may be pruned and redacted.

    A process that still listens goes on, and is remembered again when it starts: change and restart it first.

    Parameters
    ----------
    provider:
        The provider, as `listeners list` shows it.
    state:
        The state.
    by:
        Who decides so; kept with each telling that ends.
    reason:
        Why; kept with each telling that ends.
    """
    from orderflow.provider import Name  # noqa: PLC0415 - imported when a command runs

    try:
        ended = with_flow(db, lambda flow: flow.remove_listener(Name(provider), state, by=by, reason=reason))
    except InvalidInput as error:
        raise InvalidInput(f"--{error.field}", error.reason) from None
    if json:
        show.document({"provider": provider, "state": state, "ended": ended})
    else:
        show.line(f"forgotten: {provider} {state}; {ended} owed telling{'' if ended == 1 else 's'} ended")
    return Exit.OK
