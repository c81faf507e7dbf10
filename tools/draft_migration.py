"""`make migration NAME=what_it_does`: draft a revision from what the tables have and the newest schema has not."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from alembic import command

from accounts_service import app
from accounts_service.storage import migrations
from accounts_service.storage.database import SqliteDatabase, open_database
from accounts_service.storage.sealed import Keyring, Vault
from accounts_service.storage.tables import METADATA


def main(name: str) -> None:
    """Write the next numbered revision; read it before you keep it."""
    if not app.FAMILIES:  # Their tables are in METADATA once they are imported.
        raise SystemExit("no families")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "accounts.db"
        SqliteDatabase.create(path)
        database = open_database(f"sqlite:///{path}", Vault(Keyring.generate()))
        migrations.upgrade(database)
        with database.begin() as connection:
            config = migrations.alembic_config()
            config.attributes.update(connection=connection, metadata=METADATA)
            number = f"{int(migrations.head()) + 1:04d}"
            command.revision(config, message=name.replace("_", " "), autogenerate=True, rev_id=number)
            (drafted,) = (Path(migrations.__file__).parent / "versions").glob(f"{number}_*.py")
            for words in (("check", "--fix", "--quiet"), ("format", "--quiet")):
                subprocess.run([Path(sys.executable).with_name("ruff"), *words, drafted], check=False)
        database.dispose()


if len(sys.argv) != 2:
    raise SystemExit("make migration NAME=what_it_does")
main(sys.argv[1])
