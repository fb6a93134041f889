"""The command that installs completion for a shell. A module of its own, because what it imports would slow every other command."""

from __future__ import annotations

from cyclopts.completion.install import create_install_completion_command

from orderflow._cli.main import build

install = create_install_completion_command(build().install_completion, add_to_startup=True)
"""Writes the completion script and names the file in the shell's start-up file."""
