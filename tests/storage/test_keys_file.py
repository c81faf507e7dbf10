"""The keys file while the service runs."""

from __future__ import annotations

import dataclasses
import os
import threading
from pathlib import Path

import pytest
import structlog

from accounts_service.storage.keys_file import change, open_vault
from accounts_service.storage.sealed import BadKeysFileError, Keyring, Place, load_keyring

PLACE = Place("signals", "0123456789abcdef", "password")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    path.touch(0o600)
    path.write_text(Keyring.generate().to_json())
    return path


def activate(path: Path) -> str:
    """Add a key and make it active."""
    key = change(path, lambda keyring: keyring.extended())
    return change(path, lambda keyring: (dataclasses.replace(keyring, active=key), key))


def test_the_active_key_follows_the_file(path: Path) -> None:
    vault = open_vault(path)
    before = vault.seal(PLACE, "x")
    key = activate(path)
    assert vault.active != key
    vault.look()
    assert (vault.active, vault.open(PLACE, before)) == (key, "x")


@pytest.mark.parametrize("damage", ("gone", "broken", "open", "another", "empty"))
def test_a_file_of_no_use_leaves_the_keys_as_they_are_and_is_told_once(path: Path, damage: str) -> None:
    vault, good = open_vault(path), path.read_text()
    held, mac = vault.keys, vault.mac("x")
    if damage == "gone":
        path.unlink()
    elif damage == "open":
        path.chmod(0o644)
    else:
        path.write_text({"broken": good[:-9], "another": Keyring.generate().to_json(), "empty": ""}[damage])
    with structlog.testing.capture_logs() as lines:
        for _ in range(3):
            vault.look()
    assert (vault.keys, vault.mac("x")) == (held, mac)
    assert [line["event"] for line in lines] == ["keys.refused"]
    path.touch(0o600)
    path.write_text(good)
    path.chmod(0o600)
    key = activate(path)
    vault.look()
    assert vault.active == key


def test_a_change_keeps_mode_and_link_and_leaves_nothing_beside(path: Path, tmp_path: Path) -> None:
    path.chmod(0o640)
    (tmp_path / "keys.json.new").write_text("of who died")
    link = tmp_path / "link.json"
    link.symlink_to(path)
    key = change(link, lambda keyring: keyring.extended())
    assert link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o640
    assert key in load_keyring(path).wrapping
    assert {one.name for one in tmp_path.iterdir()} == {"keys.json", "link.json"}


def test_changes_at_once_lose_no_key(path: Path) -> None:
    made = list[str]()
    threads = [
        threading.Thread(target=lambda: made.append(change(path, lambda keyring: keyring.extended()))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 8
    assert set(made) < load_keyring(path).wrapping.keys()


def test_a_change_that_fails_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_text()

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail)
        with pytest.raises(BadKeysFileError, match="No space left"):
            change(path, lambda keyring: keyring.extended())
    assert path.read_text() == before
    assert [one.name for one in path.parent.iterdir()] == ["keys.json"]
