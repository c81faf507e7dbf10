"""All checks of an installation, in order."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from accounts_service.config import BadSettingsError, Settings
from accounts_service.doctor.configuration import judge_directory
from accounts_service.doctor.database import judge_database
from accounts_service.doctor.findings import Finding, carried_out, fail, ok
from accounts_service.storage.sealed import BadKeysFileError, load_keyring


def examine(environment: Mapping[str, str], *, secrets: bool = False) -> Iterator[Finding]:
    """Check the installation that `environment` describes; with `secrets`, also that the keys open all of them."""
    try:
        settings = Settings.from_environment(environment)
    except BadSettingsError as error:
        for problem in error.problems:
            yield fail("settings", problem, "see docs/settings.md")
        return
    yield ok("settings", "read")
    keyring = None
    try:
        keyring = load_keyring(settings.keys_file)
    except BadKeysFileError as error:
        yield fail("keys", str(error), _todo_about_keys(settings.keys_file))
    else:
        yield ok("keys", f"{len(keyring.wrapping)} in {settings.keys_file}, {keyring.active} is active")
    yield from carried_out("configuration", judge_directory(settings))
    yield from carried_out("database", judge_database(settings, keyring, secrets=secrets))


def _todo_about_keys(path: Path) -> str:
    try:
        status = path.stat()
    except PermissionError:
        return _AS_SERVICE
    except OSError:
        return _RESTORE
    if stat.S_ISREG(status.st_mode) and stat.S_IMODE(status.st_mode) & 0o027:
        return f"chmod 600 {path}"
    return _RESTORE if os.access(path, os.R_OK) else _AS_SERVICE


_RESTORE = "restore the keys file; without it no secret can be opened"
_AS_SERVICE = "run this as the service's user; if you do, give the file to that user"
