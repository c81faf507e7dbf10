"""What runs a case: services of its own, each on an empty store."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.conformance.wire import Wire
from tests.support.installation import Installation


@pytest.fixture
def new_service(
    tmp_path: Path, migrated_sqlite: Path
) -> Iterator[Callable[[Mapping[str, object], Mapping[str, str]], Wire]]:
    """Make services from configuration files and settings.

    On SQLite only: cases are about the wire, which both databases share.
    """
    with ExitStack() as stack:

        def make(files: Mapping[str, object], settings: Mapping[str, str]) -> Wire:
            folder = tmp_path / f"service-{len(list(tmp_path.iterdir()))}"
            folder.mkdir()
            database = shutil.copy(migrated_sqlite, folder / "accounts.db")
            installation = Installation(folder / "installation", f"sqlite:///{database}", files)
            installation.record_keys()
            return stack.enter_context(closing(Wire(installation, **settings)))

        yield make
