"""docs/adding-a-family.md, followed to the letter in a copy of the project."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.postgres import VARIABLE

ROOT = Path(__file__).parent.parent
GUIDE = (ROOT / "docs" / "adding-a-family.md").read_text()

_BLOCK = re.compile(r"^`([^`\n]+)`\n\n```(python|diff)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def _follow(copy: Path) -> list[str]:
    """Do what the guide says; gives the files that it makes."""
    made = []
    for name, language, text in _BLOCK.findall(GUIDE):
        file = copy / name
        if language == "python":
            assert not file.exists(), f"{name} is there already"
            file.parent.mkdir(exist_ok=True)
            file.write_text(text)
            made.append(name)
            continue
        lines = text.splitlines(keepends=True)
        before, after = ("".join(line[1:] for line in lines if line[0] == sign) for sign in "-+")
        there = file.read_text()
        assert there.count(before) == 1, f"{name} has no line like this: {before}"
        file.write_text(there.replace(before, after))
    return made


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    for name in ("accounts_service", "tests", "tools"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "setup.py", ".ruff.toml"):
        shutil.copy(ROOT / name, folder)
    return folder


def _run(copy: Path, *command: str) -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name(command[0]), *command[1:]],
        cwd=copy,
        # The PostgreSQL of this run serves that one, too.
        env={"PYTHONPATH": str(copy), "PATH": os.environ["PATH"], VARIABLE: os.environ[VARIABLE]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_guide_leads_to_a_family_that_passes_everything(copy: Path) -> None:
    made = _follow(copy)
    assert {Path(name).name for name in made if "/families/links/" in name} == {
        *("__init__.py", "privileges.py", "schemas.py", "tables.py", "store.py"),
        *("dialect.py", "examples.py", "documents.py", "views.py"),
    }
    _run(copy, "ruff", "check", *made)
    _run(copy, "ruff", "format", "--check", *made)
    _run(copy, "lint-imports")
    tests = ("tests/families/test_links.py", "tests/families/test_every_family.py", "tests/storage/test_migrations.py")
    _run(copy, "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests)
