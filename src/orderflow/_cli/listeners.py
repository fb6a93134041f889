"""``orderflow listeners``: which listeners the database knows, and removing one. Calls no provider and no listener."""

from __future__ import annotations

from cyclopts import App

from orderflow._cli import show
from orderflow._cli.confirm import confirm, report_unconfirmed
from orderflow._cli.exit_codes import Exit, list_exits
from orderflow._cli.open_database import ask_flow
from orderflow._cli.options import Db, Json, Yes
from orderflow.errors import InvalidInput
from orderflow.provider import Name

listeners = App(name="listeners", help="List or remove listeners.", help_format="plaintext", help_epilogue=list_exits())


@listeners.command(name="list", help_epilogue=list_exits(Exit.OPERATIONAL))
def list_(*, db: Db, json: Json = False) -> Exit:
    """List the listeners that any process has registered, and how many notifications each is still owed.

    Example: orderflow listeners list --db sqlite:///orders.db
    """
    known = ask_flow(db, lambda flow: flow.listeners())
    if json:
        show.document([{"provider": listener.provider, "state": listener.state, "owed": listener.owed} for listener in known])
    elif known:
        show.table(("provider", "state", "owed"), [(listener.provider, listener.state, str(listener.owed)) for listener in known])
    else:
        show.line("no listeners")
    return Exit.OK


@listeners.command(help_epilogue=list_exits(Exit.NOT_FOUND, Exit.OPERATIONAL, failed="not confirmed"))
def remove(provider: str, state: str, /, *, db: Db, actor: str, reason: str, yes: Yes = False, json: Json = False) -> Exit:
    """Remove a listener that is gone from your code.

    Notifications that it is still owed are ended, and its orders may be pruned
    and redacted. A process that still has the listener registers it again when
    it starts: change and restart that process first.

    Example: orderflow listeners remove ccv Completed --actor anna --reason "not used any more"

    Parameters
    ----------
    provider:
        The provider, as `listeners list` shows it.
    state:
        The state.
    actor:
        Who decides this; kept with each notification that is ended.
    reason:
        Why; kept with each notification that is ended.
    """
    if not confirm(f"Remove the listener {provider} {state} and end the notifications that it is owed?", yes=yes):
        return report_unconfirmed()
    try:
        ended = ask_flow(db, lambda flow: flow.remove_listener(Name(provider), state, actor=actor, reason=reason))
    except InvalidInput as error:
        raise InvalidInput(f"--{error.field}", error.reason) from None
    if json:
        show.document({"provider": provider, "state": state, "ended": ended})
    else:
        show.line(f"removed: {provider} {state}; {ended} owed notification{'' if ended == 1 else 's'} ended")
    return Exit.OK
