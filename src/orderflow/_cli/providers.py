"""``orderflow providers``: what is wrong with providers, and having calls tried at once. Calls no provider."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from orderflow._cli import show
from orderflow._cli.exit_codes import Exit, list_exits
from orderflow._cli.journal import moment_of
from orderflow._cli.open_database import ask_flow
from orderflow._cli.options import Db, Json
from orderflow._cli.provider_view import describe_details, describe_problem, standing_json
from orderflow._cli.tables import Row
from orderflow.errors import InvalidInput
from orderflow.model import ProviderStanding
from orderflow.provider import Name

HEAD = ("provider", "since (UTC)", "problem")

providers = App(
    name="providers",
    help="Show what is wrong with each provider, since when, and until when calls are held back.\n\n"
    "All processes share it. One answer of the provider ends a problem.\n\nExample: orderflow providers --db sqlite:///orders.db",
    help_format="plaintext",
    help_epilogue=list_exits(Exit.OPERATIONAL),
)


@providers.default
def show_(*, db: Db, json: Json = False) -> Exit:
    """Show what is wrong with each provider."""
    standings = ask_flow(db, lambda flow: flow.providers())
    if json:
        show.document([standing_json(standing) for standing in standings])
    elif standings:
        show.table(HEAD, [_row_of(standing) for standing in standings])
    else:
        show.line("no providers")
    return Exit.OK


def _row_of(standing: ProviderStanding) -> Row:
    since = moment_of(standing.since) if standing.since is not None else ""
    return Row((standing.provider, since, describe_problem(standing) or "none"), tuple(describe_details(standing)))


@providers.command(help_epilogue=list_exits(Exit.NOT_FOUND, Exit.OPERATIONAL))
def lift(
    provider: str,
    /,
    *,
    db: Db,
    actor: Annotated[str, Parameter(help="Who decides this; kept and logged.")],
    reason: Annotated[str, Parameter(help="Why; kept and logged.")],
    json: Json = False,
) -> Exit:
    """Have calls to a provider tried at once, although something is wrong.

    Problem and throttle are cleared for every process. If the next call fails,
    the problem begins again.

    Example: orderflow providers lift connect --actor anna --reason "they are back"

    Parameters
    ----------
    provider:
        The provider, as `orderflow providers` shows it.
    """
    try:
        ask_flow(db, lambda flow: flow.lift_standing(Name(provider), actor=actor, reason=reason))
    except InvalidInput as error:
        raise InvalidInput(f"--{error.field}", error.reason) from None
    if json:
        show.document({"provider": provider, "lifted": True})
    else:
        show.line(f"lifted: calls to {provider} are tried at once")
    return Exit.OK
