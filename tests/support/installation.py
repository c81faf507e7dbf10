"""An installation in a folder: keys, configuration files, settings."""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from functools import cache
from pathlib import Path

import yaml
from sqlalchemy import Engine, insert, make_url

from accounts_service.config import Settings
from accounts_service.storage.key_checks import KEY_CHECK
from accounts_service.storage.sealed import Keyring
from tests.support import personas


@cache
def _of_personas() -> Mapping[str, str]:
    return {name: yaml.safe_dump(document) for name, document in personas.configuration().items()}


class Installation:
    """Keys and configuration in `folder`; the database is wherever `database_url` says."""

    def __init__(self, folder: Path, database_url: str, files: Mapping[str, object] | None = None) -> None:
        self.folder = folder
        self.config_dir = folder / "config"
        self.keys_file = folder / "keys.json"
        self.database_url = database_url
        self.config_dir.mkdir(parents=True)
        for name, document in (files or _of_personas()).items():
            self.write(name, document)
        self._keyring = Keyring.generate()
        self.keys_file.touch(0o600)
        self.keys_file.write_text(self._keyring.to_json())

    def write(self, name: str, document: object) -> None:
        """Write a configuration file; a string is written as it is."""
        text = document if isinstance(document, str) else yaml.safe_dump(document)
        temporary = self.folder / f"{name}.new"
        temporary.write_text(text)
        temporary.replace(self.config_dir / name)

    def record_keys(self, postgresql: Engine | None = None) -> None:
        """Write the check values of the keys to a SQLite database that has none, or to the one that is given.

        The first write does so, after reading a sample of every table with secrets, which takes longer than most
        tests; tests/storage/test_foreign_keys.py covers that.
        """
        own = secrets.token_hex(16)
        rows = [
            {"name": name, "installation": own, "value": value}
            for name, value in self._keyring.check_values(own).items()
        ]
        if postgresql is not None:
            with postgresql.begin() as connection:
                connection.execute(insert(KEY_CHECK), rows)
            return
        with closing(sqlite3.connect(str(make_url(self.database_url).database))) as file, file:
            file.executemany("INSERT INTO key_check VALUES (:name, :installation, :value)", rows)

    def environment(self, **more: str) -> dict[str, str]:
        """Give the environment in which commands find this installation."""
        return {
            "PATH": os.environ["PATH"],
            "ACCOUNTS_DATABASE_URL": self.database_url,
            "ACCOUNTS_CONFIG_DIR": str(self.config_dir),
            "ACCOUNTS_KEYS_FILE": str(self.keys_file),
            "ACCOUNTS_BIND": "127.0.0.1:0",
            # Those tests start it that are about it.
            "ACCOUNTS_SERVE_JOBS": "false",
            **more,
        }

    def settings(self, **more: str) -> Settings:
        """Give the settings of this installation."""
        return Settings.from_environment(self.environment(**more))
