"""The variables ``ORDERFLOW_...``: their values, also from files, and how the user gave a setting. Nothing is made of them here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from orderflow.errors import ConfigurationError

PREFIX, FILE = "ORDERFLOW_", "_FILE"


def read_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """The values of all variables that are set, by name. ``ORDERFLOW_X_FILE`` gives the value of ``ORDERFLOW_X``.

    Raises:
        ConfigurationError: a variable is given in both ways, or its file cannot be read. No message shows a value.
    """
    variables = {name: value for name, value in environment.items() if name.startswith(PREFIX) and value}
    for name in [name for name in variables if name.endswith(FILE)]:
        plain = name.removesuffix(FILE)
        if plain in variables:
            raise ConfigurationError(f"{plain} and {name} are both set: use one of them")
        variables[plain] = _read_file(name, variables.pop(name))
    return variables


def _read_file(variable: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        raise ConfigurationError(error.strerror or "the file cannot be read", variable) from None
    except ValueError:
        raise ConfigurationError("the file is not UTF-8 text", variable) from None


def variable_of(argument: str) -> str:
    """The variable of an argument: ``ORDERFLOW_PUBLIC_URL`` of ``public_url``."""
    return f"{PREFIX}{argument.upper()}"


def source_of(variable: str, environment: Mapping[str, str]) -> str:
    """How a variable was given: its name, or ``..._FILE``."""
    in_file = not environment.get(variable) and environment.get(f"{variable}{FILE}")
    return f"{variable}{FILE}" if in_file else variable


def option_sources(environment: Mapping[str, str], **options: str | None) -> dict[str, str]:
    """How each argument was given: as an option (``--db``), as a variable, or in a file. ``options``: the values of the options."""
    sources = {}
    for argument, value in options.items():
        variable = variable_of(argument)
        is_option = value and value != environment.get(variable)  # cyclopts fills an absent option from its variable
        sources[argument] = f"--{argument}" if is_option else source_of(variable, environment)
    return sources


@contextmanager
def name_settings(sources: Mapping[str, str]) -> Iterator[None]:
    """Within the block, a ``ConfigurationError`` about an argument names the option, variable or file that gave it.

    Args:
        sources: by argument, what to name.
    """
    try:
        yield
    except ConfigurationError as error:
        if error.setting in sources:
            raise ConfigurationError(error.reason, sources[error.setting]) from None
        raise
