"""Writing processes: `python -m tests.storage.writer URL KEYS PROCESSES WRITES MODE`.

All begin at once. Each writes to a handful of accounts, again when it lost a
race, as a view is run again; what they did is printed as JSON: the kind of each
try that failed, and for each write the account's name and version.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

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


def write(url: str, keys: Path, seed: int, writes: int, begin: Barrier, *, mixed: bool) -> dict[str, list[Any]]:
    """Write in this process; give what was done, and what failed."""
    done: list[tuple[str, int]] = []
    failed: list[str] = []
    with opened(url, vault=Vault(load_keyring(keys))) as database:
        begin.wait()
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
    return {"done": done, "failed": failed}


def main(url: str, keys: Path, processes: int, writes: int, *, mixed: bool) -> None:
    """Let all write, and print what they did."""
    # Forked from here, so that what they need is read once.
    context = multiprocessing.get_context("fork")
    begin, answers = context.Barrier(processes), context.SimpleQueue()

    def run(seed: int) -> None:
        answers.put(write(url, keys, seed, writes, begin, mixed=mixed))

    for seed in range(processes):
        context.Process(target=run, args=(seed,), daemon=True).start()
    sys.stdout.write(json.dumps([answers.get() for _ in range(processes)]))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), mixed=sys.argv[5] == "mixed")
