"""Files that variables name: they belong to the state of the configuration, are watched and kept with it."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from accounts_service.access.authenticators.internal_users import hash_password
from accounts_service.access.snapshot import (
    AccessControl,
    LastGood,
    Snapshot,
    UnreadableError,
    files_not_read,
    in_use,
    parse,
    read_directory,
)
from accounts_service.access.variables import LARGEST_FILE
from accounts_service.faults import RefusedError
from tests.access.configurations import BUILT_INS, FILES, by_password, facts, text_of
from tests.support.lines import narrow
from tests.support.log_ins import Unlimited
from tests.support.personas import hash_of

USERS = {"alice": {"hash": "#{file:secrets/alice}"}, "bob": {"hash": hash_of("bob")}}


class Clock:
    """A clock that stands still until it is moved; the directory was quiet for long when it starts."""

    def __init__(self) -> None:
        self.now = time.time() + 1000

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Make a configuration in which a user's hash is in a file of its own."""
    path = tmp_path / "config"
    (path / "secrets").mkdir(parents=True)
    for name, document in {**FILES, "sg_internal_users.yml": USERS}.items():
        (path / name).write_text(text_of(document))
    (path / "secrets/alice").write_text(hash_of("alice"))
    return path


@pytest.fixture
def start(directory: Path, tmp_path: Path, clock: Clock) -> Callable[[], AccessControl]:
    """Give what starts a worker."""
    return lambda: AccessControl(
        directory, LastGood(tmp_path / "kept"), built_ins=BUILT_INS, hashing=narrow(), limits=Unlimited(), clock=clock
    )


Start = Callable[[], AccessControl]


def replace(path: Path, text: str) -> None:
    new = path.with_name(path.name + ".new")
    new.write_text(text)
    new.replace(path)


def knows(snapshot: Snapshot, name: str) -> bool:
    try:
        return snapshot.authenticate(facts("192.0.2.1", authorization=by_password(name))).name == name
    except RefusedError:
        return False


def later(access: AccessControl, clock: Clock) -> Snapshot:
    clock.now += 1000
    return access.current()


def test_a_hash_may_be_in_a_file_of_its_own(start: Start) -> None:
    assert knows(start().current(), "alice")


def test_a_path_may_be_absolute(start: Start, directory: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text(hash_of("alice"))
    (directory / "sg_internal_users.yml").write_text(text_of({"alice": {"hash": f"#{{file:{elsewhere}}}"}}))
    assert knows(start().current(), "alice")


def test_a_change_of_the_file_holds_in_every_worker(start: Start, directory: Path, clock: Clock) -> None:
    one, other = start(), start()
    later(one, clock)
    assert knows(later(one, clock), "alice")
    replace(directory / "secrets/alice", hash_password("another", cost=4))
    assert not knows(later(one, clock), "alice")
    assert not knows(other.current(), "alice")
    replace(directory / "secrets/alice", hash_of("alice"))
    assert knows(later(one, clock), "alice")


def test_a_file_may_come_and_go(start: Start, directory: Path, clock: Clock) -> None:
    secret = directory / "secrets/alice"
    secret.unlink()
    access = start()
    assert not knows(access.current(), "alice")
    assert knows(access.current(), "bob")
    later(access, clock)
    secret.write_text(hash_of("alice"))
    assert knows(later(access, clock), "alice")
    secret.unlink()
    assert not knows(later(access, clock), "alice")


@pytest.mark.parametrize("starts_again", (False, True))
def test_refused_state_is_taken_once_its_missing_file_is_there(
    start: Start, directory: Path, clock: Clock, *, starts_again: bool
) -> None:
    """A secret may be mounted later than the files that name it, which do not change any more."""
    access = start()
    later(access, clock)
    (directory / "sg_roles.yml").write_text(text_of({"r": {"exclude_cluster_permissions": "#{file:secrets/late}"}}))
    if starts_again:
        access = start()
    later(access, clock)
    assert [problem.path for problem in access.problems] == ["r.exclude_cluster_permissions"]
    (directory / "secrets/late").write_text("cluster:admin:x")
    later(access, clock)
    assert access.problems == ()


def test_without_a_change_nothing_is_read_again(start: Start, clock: Clock) -> None:
    access = start()
    snapshot = later(access, clock)
    assert later(access, clock) is snapshot


def test_a_change_of_the_file_waits_for_a_second_of_quiet(start: Start, directory: Path, clock: Clock) -> None:
    access = start()
    later(access, clock)
    secret = directory / "secrets/alice"
    replace(secret, hash_password("another", cost=4))
    clock.now = secret.stat().st_ctime + 0.9375
    assert knows(access.current(), "alice")
    clock.now += 1
    assert not knows(access.current(), "alice")


def test_the_last_good_state_has_its_files(start: Start, directory: Path, tmp_path: Path) -> None:
    start()
    (directory / "secrets/alice").unlink()
    (directory / "sg_roles.yml").write_text("{")
    assert knows(start().current(), "alice")
    assert stat.S_IMODE((tmp_path / "kept/snapshot.json").stat().st_mode) == 0o600
    found = in_use(directory, LastGood(tmp_path / "kept"), BUILT_INS)
    assert found.configuration.users["alice"].hash == hash_of("alice")


def test_the_environment_is_not_kept(
    start: Start, directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HASH_OF_ALICE", hash_of("alice"))
    (directory / "sg_internal_users.yml").write_text(text_of({"alice": {"hash": "#{env:HASH_OF_ALICE}"}}))
    assert knows(start().current(), "alice")
    assert hash_of("alice")[7:] not in (tmp_path / "kept/snapshot.json").read_text()
    # A worker that starts later has the same environment; without it there is no log-in.
    (directory / "sg_roles.yml").write_text("{")
    assert knows(start().current(), "alice")
    monkeypatch.delenv("HASH_OF_ALICE")
    assert not knows(start().current(), "alice")


@pytest.mark.parametrize("kind", ("pipe", "directory", "large", "binary", "null", "closed", "dangling"))
def test_what_is_no_readable_text_is_no_value(
    start: Start, directory: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = directory / "secrets/alice"
    secret.unlink()
    match kind:
        case "pipe":
            os.mkfifo(secret)
        case "directory":
            secret.mkdir()
        case "large":
            secret.write_text("x" * (LARGEST_FILE + 1))
        case "binary":
            secret.write_bytes(b"\xff")
        case "null":
            (directory / "sg_internal_users.yml").write_text('{alice: {hash: "#{file:a\\0b}"}, bob: {}}')
        case "closed":
            _refuse(monkeypatch, secret, errno.EACCES)
        case _:
            secret.symlink_to("nowhere")
    with capture_logs() as logged:
        access = start()
    assert not knows(access.current(), "alice")
    assert access.problems == ()
    warnings = [entry["warning"] for entry in logged if entry["event"] == "configuration.no_effect"]
    assert [warning for warning in warnings if "alice.hash: #{file:" in warning and "the file is not there" in warning]


def _refuse(monkeypatch: pytest.MonkeyPatch, path: Path, number: int) -> None:
    opened = os.open

    def refusing(file: str | Path, *arguments: int, **options: int) -> int:
        if Path(file) == path:
            raise OSError(number, os.strerror(number))
        return opened(file, *arguments, **options)

    monkeypatch.setattr(os, "open", refusing)


def test_what_cannot_be_read_for_now_refuses_the_state_until_it_can(
    start: Start, directory: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    access = start()
    secret = directory / "secrets/alice"
    replace(secret, hash_password("another", cost=4))
    with monkeypatch.context() as for_now:
        _refuse(for_now, secret, errno.EMFILE)
        with pytest.raises(UnreadableError):
            read_directory(directory)
        assert knows(later(access, clock), "alice")
        assert [str(problem) for problem in access.problems] == [
            "#{file:secrets/alice}: Cannot be read: Too many open files"
        ]
    assert not knows(later(access, clock), "alice")
    assert access.problems == ()


def test_a_comment_may_name_a_file_and_a_key_set_may_not(directory: Path) -> None:
    (directory / "sg_tenants.yml").write_text("# '#{file:secrets/alice}' '#{file:secrets/none}'\n")
    (directory / "idp.jwks.json").write_text('{"keys": "#{file:secrets/other}"}')
    (directory / "secrets/other").write_text("other")
    texts = read_directory(directory)
    assert "#{file:secrets/alice}" in texts
    assert not {"#{file:secrets/none}", "#{file:secrets/other}"} & texts.keys()
    assert parse(texts, BUILT_INS).users["alice"].hash == hash_of("alice")


def test_files_of_search_guard_that_are_not_read_are_named(directory: Path) -> None:
    for name in ("sg_blocks.yml", "sg_roles.yaml", "sg_notes.txt", "notes.yml", "sg_authz.yml"):
        (directory / name).touch()
    assert files_not_read(directory) == (
        "sg_blocks.yml: this file is not read, and blocks no user",
        "sg_roles.yaml: this file is not read",
    )
    assert files_not_read(directory / "none") == ()
