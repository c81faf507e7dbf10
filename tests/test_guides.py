"""The guides, done line by line, each in an installation of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.pasted import ROOT, blocks_of, newcomer, paste

GUIDES = sorted(path for path in (ROOT / "docs" / "guides").glob("*.md") if path.name != "README.md")


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: str(guide.stem))
def test_a_guide_can_be_followed(guide: Path, tmp_path: Path) -> None:
    blocks = blocks_of(guide)
    assert blocks
    assert [block.asks for block in blocks] == [0 if block.status is None else 1 for block in blocks]
    with newcomer(tmp_path) as (port, terminal):
        paste(blocks, port, tmp_path, terminal)


def test_every_guide_is_in_the_list() -> None:
    listed = (ROOT / "docs" / "guides" / "README.md").read_text()
    assert [guide.name for guide in GUIDES if f"({guide.name})" not in listed] == []
