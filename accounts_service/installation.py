"""A new installation: keys, configuration files, a first administrator."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from accounts_service.access.authenticators.internal_users import hash_password
from accounts_service.config import Settings
from accounts_service.folders import make_private
from accounts_service.storage.contents import filled_table
from accounts_service.storage.database import open_database
from accounts_service.storage.sealed import Keyring, Vault

_FILES = {
    "sg_roles.yml": """\
# What may be done. https://docs.search-guard.com/latest/roles-permissions
# The built-in roles and action groups are listed in docs/privileges.md.

# Reads accounts; secrets appear as references.
account_reader:
  cluster_permissions:
    - SGS_SIGNALS_ACCOUNT_READ

# Reads and writes accounts, without seeing a stored secret.
account_manager:
  cluster_permissions:
    - SGS_SIGNALS_ACCOUNT_MANAGE
""",
    "sg_roles_mapping.yml": """\
# Who gets which role. https://docs.search-guard.com/latest/mapping-users-roles

SGS_ALL_ACCESS:
  backend_roles:
    - admin

account_reader:
  backend_roles:
    - account_reader

account_manager:
  backend_roles:
    - account_manager
""",
    "sg_action_groups.yml": """\
# Names for bundles of privileges, besides the built-in ones.
""",
    "sg_tenants.yml": """\
# Tenants, besides the global one.
""",
    "sg_authc.yml": """\
# How callers are recognised; the first domain that succeeds wins. No header is
# believed from anyone unless network.trusted_proxies names them (or, for a unix
# socket, ACCOUNTS_TRUSTED_SOCKET_USERS). docs/proxy.md shows a reverse proxy.

auth_domains:
  - type: basic/internal_users_db
""",
}

_USERS = """\
# Users with a password. Make a hash with: accounts-service hash-password

admin:
  hash: "{hash}"
  backend_roles:
    - admin
"""


class AlreadyThereError(Exception):
    """Something that `init` would have to overwrite."""


def require_empty_database(settings: Settings) -> None:
    """Raise AlreadyThereError if the database holds rows: they were written with other keys. Raises RefusedError."""
    database = open_database(settings.database_url, Vault(Keyring.generate()))
    try:
        filled = filled_table(database)
    finally:
        database.dispose()
    if filled:
        raise AlreadyThereError(
            f"the database of ACCOUNTS_DATABASE_URL holds rows ({filled}), which new keys do not open; nothing was"
            f" changed. Restore {settings.keys_file} from its backup, or set ACCOUNTS_DATABASE_URL to a new database"
        )


def _todo(settings: Settings, there: list[Path]) -> str:
    # The keys file is made last.
    if settings.keys_file in there:
        return (
            "If the password of 'admin' was never shown, make one with 'accounts-service hash-password' and put its"
            f" hash into {settings.config_dir / 'sg_internal_users.yml'}"
        )
    return (
        "If an earlier 'init' was cut off, run it again once these are removed: "
        + ", ".join(map(str, there))
        + ". If they are yours, set ACCOUNTS_CONFIG_DIR to another folder"
    )


def make(settings: Settings) -> str:
    """Make keys and configuration where `settings` says; returns the first administrator's password.

    Raises AlreadyThereError, before anything is written, if any of it is there.
    """
    files = {settings.config_dir / name: text for name, text in _FILES.items()}
    there = [
        path for path in (settings.keys_file, *files, settings.config_dir / "sg_internal_users.yml") if path.exists()
    ]
    if there:
        raise AlreadyThereError(f"{there[0]} is already there; nothing was changed. {_todo(settings, there)}")
    password = secrets.token_urlsafe(18)
    files[settings.config_dir / "sg_internal_users.yml"] = _USERS.format(hash=hash_password(password))
    files[settings.keys_file] = Keyring.generate().to_json()
    for path, text in files.items():
        make_private(path.parent)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
    return password
