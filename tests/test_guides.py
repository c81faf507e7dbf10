"""The guides, done line by line, one after the other in one installation, each in a terminal of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.pasted import ROOT, blocks_of, newcomer, paste

GUIDES = sorted(path for path in (ROOT / "docs" / "guides").glob("*.md") if path.name != "README.md")


# Their commands each take their time to start, and so a third of the suite may run meanwhile.
@pytest.mark.timeout(900)
def test_every_guide_can_be_followed(tmp_path: Path, subtests: pytest.Subtests) -> None:
    assert GUIDES
    with newcomer(tmp_path) as (port, terminal):
        for guide in GUIDES:
            with subtests.test(guide=guide.stem):
                blocks = blocks_of(guide)
                assert blocks
                assert [block.asks for block in blocks] == [0 if block.status is None else 1 for block in blocks]
                paste(blocks, port, tmp_path, terminal)


def test_every_guide_is_in_the_list() -> None:
    listed = (ROOT / "docs" / "guides" / "README.md").read_text()
    assert [guide.name for guide in GUIDES if f"({guide.name})" not in listed] == []
