"""How a setting was given: as an option, in a variable, or in a file that one names. Only putting complaints in those words lives here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from orderflow.errors import ConfigurationError


@contextmanager
def as_given(environment: Mapping[str, str], **options: str | None) -> Iterator[None]:
    """A complaint that begins with one of these arguments of ``Orderflow`` names what the user gave instead: ``db: ...`` becomes
    ``--db: ...``, ``ORDERFLOW_DB: ...`` or ``ORDERFLOW_DB_FILE: ...``. ``options``: what options say (None: nothing).

    Raises:
        ConfigurationError: as the body.
    """
    try:
        yield
    except ConfigurationError as error:
        argument, colon, reason = str(error).partition(": ")
        if colon and argument in options:
            raise ConfigurationError(f"{_spelled(argument, options[argument], environment)}: {reason}") from None
        raise


def _spelled(argument: str, option: str | None, environment: Mapping[str, str]) -> str:
    variable = f"ORDERFLOW_{argument.upper()}"
    if option and option != environment.get(variable):  # the command line fills absent options from variables
        return f"--{argument.replace('_', '-')}"
    in_file = not environment.get(variable) and environment.get(f"{variable}_FILE")
    return f"{variable}_FILE" if in_file else variable
