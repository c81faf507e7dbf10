"""Documents whose lines a reader pastes into a terminal, and a terminal to paste them into."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.served import COMMAND

ROOT = Path(__file__).parent.parent.parent

_BLOCK = re.compile(r"^```sh\n(.*?)^```\n(.*?)(?=^```|\Z)", re.MULTILINE | re.DOTALL)
_ANSWER = re.compile(r"^The answer is `([0-9]{3})`", re.MULTILINE)
_ASKS = re.compile(r"^curl -i ", re.MULTILINE)
_STATUS = re.compile(r"^HTTP/1\.1 ([0-9]{3}) ", re.MULTILINE)
_LISTENING = re.compile(r"Listening at: http://127\.0\.0\.1:([0-9]+)")
_PASSWORD = re.compile(r"^PASSWORD='(.*)'$", re.MULTILINE)
_WORKERS = 2
_START_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Block:
    """Lines to paste, and the status that the text after them promises, if any."""

    lines: str
    status: int | None

    @property
    def asks(self) -> int:
        """How many answers are shown whole, status included."""
        return len(_ASKS.findall(self.lines))


def blocks_of(document: Path) -> list[Block]:
    """Read the blocks of a document, in its order."""
    blocks = []
    for lines, text in _BLOCK.findall(document.read_text()):
        promised = _ANSWER.search(text)
        blocks.append(Block(lines, int(promised[1]) if promised else None))
    return blocks


@contextmanager
def started(command: list[str | Path], folder: Path, environment: Mapping[str, str]) -> Iterator[tuple[int, str]]:
    """Start a server in `folder`; give its port and what it has printed."""
    output = folder / "output"
    with output.open("wb") as file:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            text = output.read_text()
            listening = _LISTENING.search(text)
            if listening and text.count("Booting worker") >= _WORKERS:
                break
            assert process.poll() is None, text
            assert time.monotonic() < deadline, text
            time.sleep(0.05)
        yield int(listening[1]), text
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


@contextmanager
def newcomer(folder: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Do what `make run` does once the environment is there; give the port, and the environment of a terminal."""
    command: list[str | Path] = [sys.executable, ROOT / "tools" / "run.py", COMMAND]
    with started(command, folder, environment()) as (port, printed):
        password = _PASSWORD.search(printed)
        assert password is not None
        yield port, environment() | {"PASSWORD": password[1]}


def as_here(lines: str, port: int) -> str:
    """Write a reader's lines for the server and the environment of this test."""
    return lines.replace(".venv/bin/accounts-service", str(COMMAND)).replace("127.0.0.1:8080", f"127.0.0.1:{port}")


def environment() -> dict[str, str]:
    """Give the environment of a terminal that knows nothing of us."""
    return {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "ACCOUNTS_BIND": "127.0.0.1:0"}


def run(script: str, folder: Path, environment: Mapping[str, str]) -> str:
    """Run lines in one shell that ends at the first that fails; give what was printed."""
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", script],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def paste(blocks: Iterable[Block], port: int, folder: Path, environment: Mapping[str, str]) -> None:
    """Paste blocks into one terminal; each must succeed, and be answered as promised."""
    pasted = list(blocks)
    mark = "-- end of block --"
    script = "".join(f"{as_here(block.lines, port)}echo '{mark}'\n" for block in pasted)
    outputs = run(script, folder, environment).split(mark)[:-1]
    answers = [_STATUS.findall(output) for output in outputs]
    promised = [[] if block.status is None else [str(block.status)] for block in pasted]
    assert answers == promised, "".join(outputs)
