"""A writing process: `python -m tests.storage.writer URL KEYS NUMBER WRITES MODE`, begun by a line on standard input.

Writes to a handful of accounts, again when it lost a race, as a view is run
again; then prints what it did as JSON: the kind of each try that failed, and
for each write the account's name and version.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from accounts_service.families.signals.store.accounts import Key
from accounts_service.faults import NoSuchObject, RefusedError
from accounts_service.storage.database import Database, TransactionRefusedError
from accounts_service.storage.sealed import Vault, load_keyring
from tests.storage.kit import delete, document, opened, put

ACCOUNTS = 4
TRIES = 3  # As web/application.py.


def act(database: Database, number: int, *, mixed: bool) -> tuple[str, int]:
    """Do one write; delete every third time if that is wanted."""
    key = Key("email", f"a{number % ACCOUNTS}")
    if mixed and number % 3 == 0:
        return key.name, delete(database, key)
    return key.name, put(database, key, document(secrets={"password": f"p{number}"})).version


def main(url: str, keys: str, seed: int, writes: int, *, mixed: bool) -> None:
    """Write."""
    done: list[tuple[str, int]] = []
    failed: list[str] = []
    with opened(url, vault=Vault(load_keyring(Path(keys)))) as database:
        sys.stdin.readline()
        for number in range(seed, seed + writes):
            for _ in range(TRIES):
                try:
                    done.append(act(database, number, mixed=mixed))
                    break
                except TransactionRefusedError as error:
                    failed.append(f"race {error}")
                except RefusedError as error:
                    failed.append(repr(error.fault))
                    if isinstance(error.fault, NoSuchObject):
                        break
            else:
                failed.append("given up")
    sys.stdout.write(json.dumps({"done": done, "failed": failed}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), mixed=sys.argv[5] == "mixed")
