"""What several commands need."""

from __future__ import annotations

import os

import click

from accounts_service.config import BadSettingsError, Settings


def settings_of_environment() -> Settings:
    """Read the settings. Raises ClickException with every problem."""
    try:
        return Settings.from_environment(os.environ)
    except BadSettingsError as error:
        raise click.ClickException("\n".join(error.problems)) from None
