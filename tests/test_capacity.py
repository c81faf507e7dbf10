"""Threads, places in lines and connections are sized together when the service starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from accounts_service.app import rehearse
from accounts_service.config import BadSettingsError, Settings
from tests.support.installation import Installation


@pytest.mark.parametrize("threads", (16, 17, 31, 256, 1024))
def test_lines_leave_threads_to_readers(threads: int) -> None:
    settings = Settings.from_environment({"ACCOUNTS_THREADS": str(threads)})
    assert settings.threads - settings.sizes.waiting >= threads // 4


def test_places_that_take_every_thread_are_refused() -> None:
    with pytest.raises(BadSettingsError) as caught:
        Settings.from_environment({"ACCOUNTS_THREADS": "64", "ACCOUNTS_WRITER_PLACES": "40"})
    assert caught.value.problems == ["the places in lines, 72 in all, must leave 4 of the 64 ACCOUNTS_THREADS free"]
    Settings.from_environment({"ACCOUNTS_THREADS": "88", "ACCOUNTS_WRITER_PLACES": "40"})


def test_start_takes_no_more_connections_than_postgresql_allows(
    tmp_path: Path, postgresql_url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    installation = Installation(tmp_path / "installation", postgresql_url)
    fitted, _ = rehearse(installation.settings(ACCOUNTS_WORKERS="20"))
    # The server of the tests allows 200, of which three are reserved.
    assert fitted.database_connections == (200 - 3 - 6) // 20
    assert "database.fewer_connections" in "".join(capfd.readouterr())


def test_start_keeps_the_connections_that_fit(installation: Installation) -> None:
    assert rehearse(installation.settings())[0].database_connections == 16


def test_start_keeps_its_connections_while_the_database_is_away(tmp_path: Path) -> None:
    installation = Installation(tmp_path / "installation", "postgresql+psycopg://nobody@127.0.0.1:1/none")
    assert rehearse(installation.settings(ACCOUNTS_WORKERS="64"))[0].database_connections == 16
