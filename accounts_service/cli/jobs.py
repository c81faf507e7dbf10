"""The command `accounts-service jobs`: work outside requests."""

from __future__ import annotations

import os
import signal
import sys

import click

from accounts_service import app, logs
from accounts_service.cli.shared import settings_of_environment
from accounts_service.jobs import loop
from accounts_service.storage.database import UnopenedError
from accounts_service.storage.migrations import SchemaMismatchError
from accounts_service.storage.sealed import BadKeysFileError, Keyring


class _Ending:
    """Whether it is time to end: a signal came, or the process that we belong to is gone."""

    def __init__(self, parent: int | None) -> None:
        self._parent = parent
        self._signalled = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)

    def __call__(self) -> bool:
        # Whoever loses his parent gets another one; so it is also seen when the
        # parent was gone before we could look.
        return self._signalled or (self._parent is not None and os.getppid() != self._parent)

    def _note(self, *_: object) -> None:
        self._signalled = True


@click.command()
@click.option("--once", is_flag=True, help="Do every job once, and end; exit status 1 when one failed.")
@click.option("--parent", type=int, hidden=True, help="End when this process, which started us, is gone.")
@click.option("--keys-from-stdin", "is_given_keys", is_flag=True, hidden=True, help="Keys for when the file is gone.")
def jobs(once: bool, parent: int | None, is_given_keys: bool) -> None:  # noqa: FBT001  # click's
    """Do the work outside requests, such as sending mails, until told to end. `serve` starts one by itself."""
    settings = settings_of_environment()
    logs.never_wait()
    ending = _Ending(parent)
    try:
        held = Keyring.from_json(sys.stdin.buffer.read()) if is_given_keys else None
        with app.jobs(settings, held) as all_jobs:
            well = loop.run(all_jobs, ending, once=once)
    except (BadKeysFileError, SchemaMismatchError, UnopenedError) as error:
        raise click.ClickException(str(error)) from None
    sys.exit(0 if well or not once else 1)
