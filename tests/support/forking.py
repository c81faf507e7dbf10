"""`accounts-service` without the two seconds that Python takes to read it: forked from a process that has.

What a test asks for is run in a process of its own, as the command would. Run as a module this is the process that
they are forked from: it reads an order a line, and answers with the number of the process.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent

_PATIENCE_SECONDS = 60


class Forked:
    """A process that somebody else is the parent of."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def poll(self) -> int | None:
        """Give None while it runs; how it ended is not known."""
        return None if Path(f"/proc/{self.pid}").exists() else -1

    def kill(self) -> None:
        """End it at once."""
        os.kill(self.pid, signal.SIGKILL)

    def wait(self, timeout: float = _PATIENCE_SECONDS) -> None:
        """Wait until it is no more."""
        deadline = time.monotonic() + timeout
        while self.poll() is None:
            assert time.monotonic() < deadline, "a process does not end"
            time.sleep(0.01)


def fork(words: Sequence[str], environment: Mapping[str, str], folder: Path, log: Path) -> Forked:
    """Run `accounts-service` with these words in `folder`; what it prints goes to the end of `log`."""
    to, answers = _template()
    order = {"words": words, "environment": environment, "folder": str(folder), "log": str(log)}
    os.write(to, f"{json.dumps(order)}\n".encode())
    return Forked(int(os.read(answers, 100)))


@cache
def _template() -> tuple[int, int]:
    (read, to), (answers, write) = os.pipe(), os.pipe()
    process = subprocess.Popen([sys.executable, "-m", __name__], cwd=ROOT, stdin=read, stdout=write)
    os.close(read)
    os.close(write)
    atexit.register(process.wait)
    # It ends when nobody can order anything any more.
    atexit.register(os.close, to)
    return to, answers


def _serve_orders() -> None:
    from accounts_service import server  # noqa: F401  # what `serve` imports late
    from tests.support import once

    # The master and each worker would compile them for a fifth of a second of processor time.
    once.install_routes()
    # Nobody waits for them.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if not pid:
            _become(**order)
        os.write(sys.stdout.fileno(), f"{pid}\n".encode())


def _become(words: list[str], environment: dict[str, str], folder: str, log: str) -> None:
    from accounts_service.cli import main  # not for who only orders

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    nothing, output = os.open(os.devnull, os.O_RDONLY), os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.argv = ["accounts-service", *words]
    main()


if __name__ == "__main__":
    _serve_orders()
