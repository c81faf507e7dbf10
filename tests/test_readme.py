"""The README, done as a newcomer does it: its lines, in its order, against what `make run` starts."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.served import COMMAND

ROOT = Path(__file__).parent.parent

_BLOCK = re.compile(r"^```sh\n(.*?)^```\n(.*?)(?=^```|\Z)", re.MULTILINE | re.DOTALL)
_ANSWER = re.compile(r"^The answer is `([0-9]{3})`", re.MULTILINE)
_ASKS = re.compile(r"^curl -i ", re.MULTILINE)
_LISTENING = re.compile(r"Listening at: http://127\.0\.0\.1:([0-9]+)")
_WORKERS = 2
_START_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Block:
    """Lines to paste, and the status that the text after them promises, if any."""

    lines: str
    status: int | None


def _blocks() -> list[Block]:
    blocks = []
    for lines, text in _BLOCK.findall((ROOT / "README.md").read_text()):
        promised = _ANSWER.search(text)
        blocks.append(Block(lines, int(promised[1]) if promised else None))
    return blocks


BLOCKS = _blocks()
START, *PASTED = (block for block in BLOCKS if "accounts-service serve" not in block.lines)


@contextmanager
def _started(command: list[str | Path], folder: Path, environment: Mapping[str, str]) -> Iterator[tuple[int, str]]:
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


def _as_here(lines: str, port: int) -> str:
    """Write a newcomer's lines for the server and the environment of this test."""
    return lines.replace(".venv/bin/accounts-service", str(COMMAND)).replace("127.0.0.1:8080", f"127.0.0.1:{port}")


def _environment() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "ACCOUNTS_BIND": "127.0.0.1:0"}


def _run(script: str, folder: Path, environment: Mapping[str, str]) -> str:
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


@pytest.mark.parametrize("block", PASTED)
def test_every_request_says_what_it_is_answered_with(block: Block) -> None:
    assert len(_ASKS.findall(block.lines)) == (0 if block.status is None else 1)


def test_the_lines_work_as_pasted_and_are_answered_as_promised(tmp_path: Path) -> None:
    assert START.lines == "make run\n"
    # What `make run` does once the environment is there.
    with _started([sys.executable, ROOT / "tools" / "run.py", COMMAND], tmp_path, _environment()) as (port, printed):
        password = re.search(r"^PASSWORD='(.*)'$", printed, re.MULTILINE)
        assert password is not None
        # One shell for all, as in one terminal.
        mark = "-- end of block --"
        script = "".join(f"{_as_here(block.lines, port)}echo '{mark}'\n" for block in PASTED)
        outputs = _run(script, tmp_path, _environment() | {"PASSWORD": password[1]}).split(mark)[:-1]
    answers = [re.findall(r"^HTTP/1\.1 ([0-9]{3}) ", output, re.MULTILINE) for output in outputs]
    promised = [[] if block.status is None else [str(block.status)] for block in PASTED]
    assert answers == promised, "".join(outputs)


def test_the_lines_for_postgresql_work_as_pasted(tmp_path: Path, new_postgres_database: Callable[[], str]) -> None:
    (block,) = (block for block in BLOCKS if "accounts-service serve" in block.lines)
    lines, replaced = re.subn(r"(?<=ACCOUNTS_DATABASE_URL=)\S+", new_postgres_database(), block.lines)
    assert replaced == 1
    _run(f"{COMMAND} init", tmp_path, _environment())
    with _started(["bash", "-e", "-c", _as_here(lines, 0)], tmp_path, _environment()) as (port, _):
        assert "200 OK" in _run(f"curl -si http://127.0.0.1:{port}/readyz", tmp_path, _environment())
