"""The commands `accounts-service keys …`: another key for what is sealed, while the service runs."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import click

from accounts_service import app
from accounts_service.cli.shared import opened_database, settings_of_environment
from accounts_service.faults import Json
from accounts_service.jobs.rewrap import Rewrap
from accounts_service.storage.database import Database
from accounts_service.storage.envelopes import Envelopes, Tally, wait_for_writers
from accounts_service.storage.keys_file import change
from accounts_service.storage.rotation import JOBS, Process, Processes, Progress
from accounts_service.storage.sealed import BadKeysFileError, Keyring, Wrapping, load_keyring

_LOOK_SECONDS = 0.5


@click.group()
def keys() -> None:
    """Change the key that secrets are sealed with: add, activate, rewrap, remove."""


@keys.command()
def add() -> None:
    """Make a key in the keys file, which seals nothing yet, and print its id."""
    with opened_database():
        key = _changed(lambda keyring: keyring.extended())
    # The check value comes after the file: a new key without one is accepted, since the others prove the file. Should
    # this process die here, the next that opens the database with this file adds the value.
    with opened_database():
        pass
    click.echo(key)


@keys.command()
@click.argument("key", metavar="ID")
def activate(key: str) -> None:
    """Seal what is new with the key ID. Refused while a process of the service does not hold it."""
    with opened_database() as database:

        def act(keyring: Keyring) -> tuple[Keyring, str]:
            _require(keyring, key)
            # Looked at under the lock on the file, so that nobody takes the key away meanwhile.
            lacking = [process for process in _live(database) if key not in process.keys]
            if lacking:
                raise click.ClickException(
                    f"nothing was changed; these do not hold {key} yet: {_named(lacking)}. They look at their keys file"
                    " each second; on another machine it has to be brought there. What has died is forgotten in 30 s."
                )
            return replace(keyring, active=key), key

        _changed(act)
    click.echo(f"{key} is active. Next: accounts-service keys rewrap --wait")


@keys.command()
@click.option("--wait", is_flag=True, help="Show how far it is, and end when it is done.")
def rewrap(wait: bool) -> None:  # noqa: FBT001  # click's
    """Have what other keys have sealed wrapped with the active one. Secrets and their references stay as they are."""
    with opened_database() as database:
        job = Rewrap(database, app.sealed_columns())
        job.ask()
        target = load_keyring(settings_of_environment().keys_file).active
        if wait:
            _wait(database, job, target)
        elif not _jobs(database, target):
            click.echo("Asked for, but no jobs process lives that has the active key: run this with --wait.")
        else:
            click.echo("Asked for; the jobs process does it.")


def _wait(database: Database, job: Rewrap, target: str) -> None:
    told: Progress | None = None
    while True:
        progress = job.progress()
        if progress is None:
            raise click.ClickException("somebody has asked for another key; nothing is lost")
        if told is None or (told.number, told.changed) != (progress.number, progress.changed):
            told = progress
            click.echo(f"pass {progress.number}, rows re-wrapped: {progress.changed}")
        if progress.is_finished:
            click.echo("Done: whatever opens is under the active key.")
            return
        # Asked each time: the jobs process may end, or begin.
        if _jobs(database, target):
            time.sleep(_LOOK_SECONDS)
        else:
            job.run(lambda: False)


@keys.command()
@click.argument("key", metavar="ID")
@click.option("--lost", is_flag=True, help="The key is in no copy of the keys file any more: give it up.")
def remove(key: str, lost: bool) -> None:  # noqa: FBT001  # click's
    """Take the key ID out of the keys file. Refused while it is or just was active, or anything is sealed under it.

    With --lost: forget a key that the keys file lacks and the database still knows, as after a restore. Refused while
    a process holds it. What only this key opens stays unreadable.
    """
    if lost:
        _give_up(key)
        return
    with opened_database() as database:

        def act(keyring: Keyring) -> tuple[Keyring, str]:
            if key not in keyring.wrapping and key in database.recorded_keys():
                raise click.ClickException(
                    f"nothing was changed; {key} is not in the keys file, and the database knows it. Bring it back from"
                    f" a backup of the file. If there is none: accounts-service keys remove --lost {key}"
                )
            _require(keyring, key)
            if key == keyring.active:
                raise click.ClickException(f"nothing was changed; {key} is active")
            sealing = [process for process in _live(database) if process.active == key]
            if sealing:
                raise click.ClickException(f"nothing was changed; {key} is active for {_named(sealing)}")
            # Counted after that only: what is not committed yet is not seen by who counts.
            seconds = _settling(database)
            if seconds:
                raise click.ClickException(
                    f"nothing was changed; what was sealed with {key} may not be committed yet. Again in {seconds} s"
                )
            # Who was stopped while he wrote is taken for dead, and still may go on.
            wait_for_writers(database, app.sealed_columns())
            under = sum((tally.by_key[key] for tally in _tallies(database).values()), 0)
            if under:
                raise click.ClickException(
                    f"nothing was changed; {under} secrets need {key}. First: accounts-service keys rewrap --wait"
                )
            # Before the file: a running process refuses a file that lacks a key with a check value.
            database.forget_key(key)
            left = {name: value for name, value in keyring.wrapping.items() if name != key}
            return replace(keyring, wrapping=left), key

        _changed(act)
        # And after it, should a process that started meanwhile have added the value.
        database.forget_key(key)
    click.echo(f"{key} is gone. What is in older backups of the database needs the older keys file.")


@keys.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def report(as_json: bool) -> None:  # noqa: FBT001  # click's
    """Count what is sealed, by place and key. Exit status 1 when something does not open."""
    with opened_database() as database:
        tallies = _tallies(database)
    whole = sum(tallies.values(), Tally())
    active = load_keyring(settings_of_environment().keys_file).active
    if as_json:
        click.echo(json.dumps(_document(active, tallies, whole), indent=2))
    else:
        columns = ("total", *(wrapping.value for wrapping in Wrapping))
        click.echo(f"{'':14}" + "".join(f"{name:>15}" for name in columns))
        for place, tally in {**tallies, "sum": whole}.items():
            click.echo(f"{place:14}" + "".join(f"{count:>15}" for count in _counted(tally).values()))
        for key, count in sorted(whole.by_key.items()):
            click.echo(f"under {key}{' (active)' if key == active else ''}: {count}")
        for one in whole.undecryptable:
            click.echo(f"undecryptable: {one}")
    sys.exit(1 if whole.undecryptable else 0)


def _give_up(key: str) -> None:
    with opened_database() as database:
        if key in load_keyring(settings_of_environment().keys_file).wrapping:
            raise click.ClickException(f"nothing was changed; {key} is in the keys file: remove it without --lost")
        if key not in database.recorded_keys():
            raise click.ClickException(
                f"nothing was changed; the database does not know {key} as a key that is lacking"
            )
        holders = [process for process in _live(database) if key in process.keys]
        if holders:
            raise click.ClickException(
                f"nothing was changed; {_named(holders)} still hold {key}: restore the keys file before they end"
            )
        unread = [one for tally in _tallies(database).values() for one in tally.undecryptable if one.key == key]
        database.forget_key(key)
    click.echo(f"{key} is given up. Secrets that only it opens: {len(unread)}.")
    if unread:
        click.echo("A read of one is answered with 503 until the secret is sent anew. 'keys report' names them.")


def _document(active: str, tallies: dict[str, Tally], whole: Tally) -> dict[str, Json]:
    return {
        "active": active,
        "places": {place: dict(_counted(tally)) for place, tally in tallies.items()},
        "sum": dict(_counted(whole)),
        "keys": dict(sorted(whole.by_key.items())),
        "undecryptable": [{"where": one.where, "uid": one.uid, "key": one.key} for one in whole.undecryptable],
    }


def _counted(tally: Tally) -> dict[str, int]:
    return {"total": tally.total, **{wrapping.value: tally.counts[wrapping] for wrapping in Wrapping}}


def _tallies(database: Database) -> dict[str, Tally]:
    tallies = {}
    for column in app.sealed_columns():
        with database.reading(Envelopes) as envelopes:
            tallies[column.name] = envelopes.tally(column)
    return tallies


def _live(database: Database) -> list[Process]:
    with database.reading(Processes) as processes:
        return processes.live()


def _settling(database: Database) -> int:
    with database.reading(Processes) as processes:
        return processes.settling()


def _jobs(database: Database, target: str) -> bool:
    return any(process.kind == JOBS and process.active == target for process in _live(database))


def _named(processes: list[Process]) -> str:
    return ", ".join(map(str, processes))


def _require(keyring: Keyring, key: str) -> None:
    if key not in keyring.wrapping:
        raise click.ClickException(f"there is no key {key}; there are {', '.join(sorted(keyring.wrapping))}")


def _changed(act: Callable[[Keyring], tuple[Keyring, str]]) -> str:
    try:
        return change(settings_of_environment().keys_file, act)
    except BadKeysFileError as error:
        raise click.ClickException(str(error)) from None
