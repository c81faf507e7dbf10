"""Fixtures of several files about what is stored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from accounts_service.storage.database import SqliteDatabase


@pytest.fixture(params=("sqlite", "postgresql"))
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Give a database without any table."""
    if request.param == "sqlite":
        SqliteDatabase.create(tmp_path / "empty.db")
        return f"sqlite:///{tmp_path / 'empty.db'}"
    new: Callable[[], str] = request.getfixturevalue("new_postgres_database")
    return new()
