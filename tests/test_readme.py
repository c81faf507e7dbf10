"""The README, done as a newcomer does it: its lines, in its order, against what `make run` starts."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.pasted import ROOT, Block, as_here, blocks_of, environment, newcomer, paste, run, started
from tests.support.served import COMMAND

BLOCKS = blocks_of(ROOT / "README.md")
START, *PASTED = (block for block in BLOCKS if "accounts-service serve" not in block.lines)


@pytest.mark.parametrize("block", PASTED)
def test_every_request_says_what_it_is_answered_with(block: Block) -> None:
    assert block.asks == (0 if block.status is None else 1)


def test_the_lines_work_as_pasted_and_are_answered_as_promised(tmp_path: Path) -> None:
    assert START.lines == "make run\n"
    with newcomer(tmp_path) as (port, terminal):
        paste(PASTED, port, tmp_path, terminal)


def test_the_lines_for_postgresql_work_as_pasted(tmp_path: Path, new_postgres_database: Callable[[], str]) -> None:
    (block,) = (block for block in BLOCKS if "accounts-service serve" in block.lines)
    lines, replaced = re.subn(r"(?<=ACCOUNTS_DATABASE_URL=)\S+", new_postgres_database(), block.lines)
    assert replaced == 1
    run(f"{COMMAND} init", tmp_path, environment())
    with started(["bash", "-e", "-c", as_here(lines, 0)], tmp_path, environment()) as (port, _):
        assert "200 OK" in run(f"curl -si http://127.0.0.1:{port}/readyz", tmp_path, environment())
