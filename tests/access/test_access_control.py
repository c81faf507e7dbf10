"""When the next snapshot is taken, and what goes on when it cannot be."""

from __future__ import annotations

import errno
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from accounts_service.access import snapshot as module
from accounts_service.access.configuration import ConfigProblem
from accounts_service.access.snapshot import (
    AccessControl,
    BadConfigurationError,
    LastGood,
    Snapshot,
    in_use,
    parse,
    read_directory,
)
from accounts_service.faults import NotAuthenticated, NotPermitted, RefusedError
from tests.access.configurations import (
    BASIC,
    BUILT_INS,
    FILES,
    OUTSIDE,
    REVOKED,
    allowed,
    by_password,
    facts,
    refusal,
    text_of,
)
from tests.support import tokens
from tests.support.lines import narrow
from tests.support.log_ins import Unlimited
from tests.support.personas import hash_of

# -- A directory, a clock -----------------------------------------------------


class Directory:
    """A configuration directory that is written to as deployments do: a new file in the place of the old."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "config"
        self._new = folder / "new"
        self.path.mkdir()
        self.write(FILES)

    def write(self, files: Mapping[str, object]) -> None:
        for name, document in files.items():
            self._new.write_bytes(document if isinstance(document, bytes) else text_of(document).encode())
            self._new.replace(self.path / name)

    def remove(self) -> None:
        for file in self.path.iterdir():
            file.unlink()
        self.path.rmdir()

    def changed(self) -> float:
        """Tell when the last change was."""
        return max(path.stat().st_ctime for path in (self.path, *self.path.iterdir()))


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
def directory(tmp_path: Path) -> Directory:
    return Directory(tmp_path)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Give the file of the last good state."""
    return tmp_path / "state" / "last-good" / "snapshot.json"


@pytest.fixture
def start(directory: Directory, kept: Path, clock: Clock) -> Callable[[], AccessControl]:
    """Give what starts a worker."""

    def start() -> AccessControl:
        return AccessControl(
            directory.path,
            LastGood(kept.parent),
            built_ins=BUILT_INS,
            hashing=narrow(),
            limits=Unlimited(),
            clock=clock,
        )

    return start


@pytest.fixture
def logged() -> Iterator[list[EventDict]]:
    with capture_logs() as entries:
        yield entries


def later(access: AccessControl, clock: Clock) -> Snapshot:
    """Come again when the directory has been quiet for long."""
    clock.now += 1000
    return access.current()


def problems_of(access: AccessControl) -> tuple[ConfigProblem, ...]:
    return access.problems


def events(logged: list[EventDict]) -> list[str]:
    return [entry["event"] for entry in logged if entry["log_level"] != "info"]


Start = Callable[[], AccessControl]

BROKEN = {"sg_roles.yml": {"player": {"nonsense": []}}, "sg_tenants.yml": "- []"}
PROBLEMS = (
    ConfigProblem("sg_roles.yml", "player.nonsense", "Unsupported attribute"),
    ConfigProblem("sg_tenants.yml", "", "Invalid value", "A mapping"),
)


# -- When a change holds ------------------------------------------------------


def test_without_a_change_the_snapshot_stays_the_same(start: Start, clock: Clock) -> None:
    access = start()
    first = access.current()
    assert allowed(first)
    assert later(access, clock) is first


def test_a_change_does_not_hold_before_a_second_of_quiet(start: Start, clock: Clock, directory: Directory) -> None:
    access = start()
    first = access.current()
    directory.write(REVOKED)
    clock.now = directory.changed() + 0.9375
    assert access.current() is first


def test_a_change_holds_after_a_second_of_quiet(start: Start, clock: Clock, directory: Directory) -> None:
    access = start()
    directory.write(REVOKED)
    clock.now = directory.changed()
    assert allowed(access.current())
    clock.now += 1
    assert not allowed(access.current())
    assert allowed(access.current(), "bob")


def test_what_is_put_beside_the_files_holds_up_no_change_of_them(
    start: Start, clock: Clock, directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    access = start()
    directory.write(REVOKED)
    changed = directory.changed()
    real = Path.stat

    def touched_later(path: Path, **options: bool) -> os.stat_result:
        status = real(path, **options)
        if path != directory.path:
            return status
        return os.stat_result((*status[:7], *(int(changed) + 100,) * 3))

    monkeypatch.setattr(Path, "stat", touched_later)
    clock.now = changed + 1
    assert not allowed(access.current())


def test_a_file_that_went_is_a_change_of_its_directory(start: Start, clock: Clock, directory: Directory) -> None:
    access = start()
    (directory.path / "sg_roles_mapping.yml").unlink()
    clock.now = directory.path.stat().st_ctime + 0.5
    access.current()
    assert problems_of(access) == ()
    clock.now += 1
    access.current()
    assert problems_of(access) == (ConfigProblem("sg_roles_mapping.yml", "", "File does not exist"),)


def test_a_file_dated_back_is_a_change_of_now(start: Start, clock: Clock, directory: Directory) -> None:
    access = start()
    directory.write(REVOKED)
    os.utime(directory.path / "sg_roles_mapping.yml", (0, 0))
    clock.now = directory.changed()
    assert allowed(access.current())
    clock.now += 1
    assert not allowed(access.current())


def test_a_file_of_the_same_size_and_time_is_a_change(start: Start, clock: Clock, directory: Directory) -> None:
    access = start()
    path = directory.path / "sg_roles_mapping.yml"
    before = path.stat()
    text = path.read_text()
    path.write_text(text.replace("alice", "carol"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert not allowed(later(access, clock))


def test_the_directory_is_looked_at_at_most_once_a_second(start: Start, clock: Clock, directory: Directory) -> None:
    access = start()
    later(access, clock)
    directory.write(REVOKED)
    clock.now += 0.9375
    assert allowed(access.current())
    clock.now += 0.0625
    assert not allowed(access.current())


def test_a_revoked_role_ends_in_every_worker(start: Start, clock: Clock, directory: Directory) -> None:
    workers = [start(), start()]
    assert all(allowed(worker.current()) for worker in workers)
    directory.write(REVOKED)
    clock.now += 1
    assert not any(allowed(worker.current()) for worker in workers)


def test_a_password_that_was_right_ends_with_its_user(start: Start, clock: Clock, directory: Directory) -> None:
    access = start()
    sent = facts(OUTSIDE, authorization=by_password("alice"))
    assert access.current().authenticate(sent).name == "alice"
    directory.write({"sg_internal_users.yml": {"alice": {"hash": hash_of("bob")}}})
    assert refusal(later(access, clock), sent) == NotAuthenticated()


def read_then(monkeypatch: pytest.MonkeyPatch, *actions: Callable[[], object]) -> list[Path]:
    """Let each time the directory is read be followed by the next of `actions`; returns what was read."""
    reads: list[Path] = []

    def read(path: Path) -> dict[str, str]:
        reads.append(path)
        texts = read_directory(path)
        if len(reads) <= len(actions):
            actions[len(reads) - 1]()
        return texts

    monkeypatch.setattr(module, "read_directory", read)
    return reads


def test_a_change_during_the_reading_is_taken_at_the_next_look(
    start: Start, clock: Clock, directory: Directory, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    access = start()
    first, before = access.current(), kept.read_text()
    read_then(monkeypatch, lambda: directory.write(REVOKED))
    directory.write({"sg_tenants.yml": {"half": {}}})
    assert later(access, clock) is first
    assert kept.read_text() == before
    assert not allowed(later(access, clock))


def test_only_one_thread_looks_at_a_time(
    start: Start, clock: Clock, directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    access = start()
    first = access.current()
    others: list[Snapshot] = []

    def come_meanwhile() -> None:
        clock.now += 10
        thread = threading.Thread(target=lambda: others.append(access.current()))
        thread.start()
        thread.join()

    reads = read_then(monkeypatch, come_meanwhile)
    directory.write(REVOKED)
    assert not allowed(later(access, clock))
    assert others == [first]
    assert len(reads) == 1


def test_a_look_that_fails_does_not_keep_others_from_looking(
    start: Start, clock: Clock, directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    access = start()

    def fail() -> None:
        raise MemoryError

    read_then(monkeypatch, fail)
    directory.write(REVOKED)
    with pytest.raises(MemoryError):
        later(access, clock)
    assert not allowed(later(access, clock))


# -- The clock set back -------------------------------------------------------


def test_with_the_clock_set_back_two_equal_looks_are_quiet(start: Start, clock: Clock, directory: Directory) -> None:
    access = start()
    directory.write(REVOKED)
    clock.now -= 5000
    assert allowed(access.current())
    clock.now += 0.9375
    assert allowed(access.current())
    clock.now += 0.0625
    assert not allowed(access.current())


def test_with_the_clock_set_back_a_further_change_starts_the_wait_again(
    start: Start, clock: Clock, directory: Directory
) -> None:
    access = start()
    directory.write(REVOKED)
    clock.now -= 5000
    access.current()
    directory.write({"sg_roles_mapping.yml": {}})
    clock.now += 1
    assert allowed(access.current())
    clock.now += 1
    assert not allowed(access.current(), "bob")
    assert not allowed(access.current())


def test_with_the_clock_set_back_twice_the_wait_starts_again(start: Start, clock: Clock, directory: Directory) -> None:
    access = start()
    directory.write(REVOKED)
    clock.now -= 5000
    access.current()
    clock.now -= 5000
    assert allowed(access.current())
    clock.now += 1
    assert not allowed(access.current())


# -- Keys that are rotated ----------------------------------------------------

KEYS = "idp.jwks.json"
TOKENS = {"auth_domains": [{"type": "jwt", "jwt": {"signing": {"jwks_file": KEYS}}}]}


def published(*names: str) -> dict[str, object]:
    return {"keys": [tokens.jwk(tokens.rsa(name), kid=name) for name in names]}


def known(snapshot: Snapshot, name: str) -> bool:
    """Tell whether who brings a token signed with the key of this name is somebody."""
    sent = facts(OUTSIDE, authorization=f"Bearer {tokens.token(tokens.rsa(name), 'RS256', kid=name)}")
    try:
        return snapshot.authenticate(sent).name == "alice"
    except RefusedError:
        return False


def test_a_new_key_holds_within_two_seconds_and_an_old_one_ends(
    start: Start, clock: Clock, directory: Directory
) -> None:
    directory.write({KEYS: published("old"), "sg_authc.yml": TOKENS})
    access = start()
    assert (known(access.current(), "old"), known(access.current(), "new")) == (True, False)
    directory.write({KEYS: published("new")})
    clock.now = directory.changed() + 0.9375
    assert known(access.current(), "old")
    clock.now += 1
    assert (known(access.current(), "old"), known(access.current(), "new")) == (False, True)


@pytest.mark.parametrize("broken", ("{", "", {"keys": []}, {"keys": [{"kty": "RSA", "n": "x"}]}, b"\xff"))
def test_with_a_broken_key_set_the_last_good_keys_go_on_in_every_worker(
    start: Start, clock: Clock, directory: Directory, broken: object
) -> None:
    directory.write({KEYS: published("old"), "sg_authc.yml": TOKENS})
    access = start()
    directory.write({KEYS: broken})
    assert known(later(access, clock), "old")
    assert {problem.file for problem in problems_of(access)} == {KEYS}
    assert known(start().current(), "old")
    directory.write({KEYS: published("old", "new")})
    assert known(later(access, clock), "new")
    assert problems_of(access) == ()


def test_a_key_set_that_went_or_leads_nowhere_changes_nothing(start: Start, clock: Clock, directory: Directory) -> None:
    directory.write({KEYS: published("old"), "sg_authc.yml": TOKENS})
    access = start()
    (directory.path / KEYS).unlink()
    clock.now = directory.path.stat().st_ctime + 0.5
    assert known(access.current(), "old")
    assert problems_of(access) == ()
    assert known(later(access, clock), "old")
    assert [problem.path for problem in problems_of(access)] == ["auth_domains.0.jwt.signing.jwks_file"]
    (directory.path / KEYS).symlink_to("nowhere")
    assert known(later(access, clock), "old")
    assert [problem.file for problem in problems_of(access)] == [KEYS]


def test_a_key_set_that_went_is_a_change_of_its_directory(
    start: Start, clock: Clock, directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory.write({KEYS: published("old"), "sg_authc.yml": TOKENS})
    access = start()
    went = int(directory.changed()) + 100
    real = Path.stat

    def gone_later(path: Path, **options: bool) -> os.stat_result:
        status = real(path, **options)
        return os.stat_result((*status[:7], went, went, went)) if path == directory.path else status

    (directory.path / KEYS).unlink()
    monkeypatch.setattr(Path, "stat", gone_later)
    clock.now = went + 0.5
    access.current()
    assert problems_of(access) == ()
    clock.now += 1
    access.current()
    assert [problem.path for problem in problems_of(access)] == ["auth_domains.0.jwt.signing.jwks_file"]


def test_a_key_set_may_be_a_link_into_a_folder_of_who_fetches_it(
    start: Start, clock: Clock, directory: Directory, tmp_path: Path
) -> None:
    fetched, new = tmp_path / "fetched.json", tmp_path / "new.json"
    fetched.write_text(text_of(published("old")))
    (directory.path / KEYS).symlink_to(fetched)
    directory.write({"sg_authc.yml": TOKENS})
    access = start()
    assert known(access.current(), "old")
    new.write_text(text_of(published("new")))
    new.replace(fetched)
    clock.now = fetched.stat().st_ctime + 0.9375
    assert known(access.current(), "old")
    clock.now += 1
    assert known(access.current(), "new")


def test_a_key_set_that_nobody_names_is_not_read_as_one(start: Start, clock: Clock, directory: Directory) -> None:
    access = start()
    directory.write({KEYS: "{"})
    assert allowed(later(access, clock))
    assert problems_of(access) == ()


def test_problems_of_a_key_set_that_two_domains_name_are_told_once(directory: Directory) -> None:
    directory.write({KEYS: {"keys": []}, "sg_authc.yml": {"auth_domains": TOKENS["auth_domains"] * 2}})
    with pytest.raises(BadConfigurationError) as refused:
        parse(read_directory(directory.path), BUILT_INS)
    assert [problem.file for problem in refused.value.problems] == [KEYS]


def test_without_leave_to_list_the_directory_there_is_no_key_set(
    directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(path: Path) -> Iterator[Path]:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    directory.write({KEYS: published("old")})
    assert KEYS in read_directory(directory.path)
    monkeypatch.setattr(Path, "iterdir", forbidden)
    assert set(read_directory(directory.path)) == FILES.keys()


# -- netbird_jwt.yml ----------------------------------------------------------

NETBIRD = {
    "netbird_jwt.yml": {
        "signing": {"jwks_file": KEYS},
        "required_issuer": "https://idp.example",
        "required_audience": "netbird",
    }
}


def native(snapshot: Snapshot, name: str) -> bool:
    """Tell whether NetBird takes a token signed with the key of this name."""
    said = tokens.claims(iss="https://idp.example", aud="netbird")
    text = tokens.token(tokens.rsa(name), "RS256", said, kid=name)
    return snapshot.netbird_jwt is not None and snapshot.netbird_jwt.verified(text) is not None


def test_keys_of_natives_are_rotated_within_two_seconds_as_well(
    start: Start, clock: Clock, directory: Directory
) -> None:
    directory.write({KEYS: published("old"), **NETBIRD})
    access = start()
    assert (native(access.current(), "old"), native(access.current(), "new")) == (True, False)
    directory.write({KEYS: published("new")})
    clock.now = directory.changed() + 0.9375
    assert native(access.current(), "old")
    clock.now += 1
    assert (native(access.current(), "old"), native(access.current(), "new")) == (False, True)


def test_tokens_of_natives_are_taken_while_their_file_is_there(
    start: Start, clock: Clock, directory: Directory
) -> None:
    access = start()
    assert access.current().netbird_jwt is None
    directory.write({KEYS: published("old"), **NETBIRD})
    assert native(later(access, clock), "old")
    assert not known(access.current(), "old")
    (directory.path / "netbird_jwt.yml").unlink()
    assert later(access, clock).netbird_jwt is None
    assert problems_of(access) == ()


@pytest.mark.parametrize(
    ("broken", "file"),
    (
        ({KEYS: {"keys": []}}, KEYS),
        ({"netbird_jwt.yml": "{"}, "netbird_jwt.yml"),
        ({"netbird_jwt.yml": ""}, "netbird_jwt.yml"),
        ({"netbird_jwt.yml": b"\xff"}, "netbird_jwt.yml"),
        ({"netbird_jwt.yml": {**NETBIRD["netbird_jwt.yml"], "header": "X-Token"}}, "netbird_jwt.yml"),
    ),
)
def test_with_a_broken_file_for_natives_the_last_good_one_goes_on_and_nothing_else_changes(
    start: Start, clock: Clock, directory: Directory, broken: Mapping[str, object], file: str
) -> None:
    directory.write({KEYS: published("old"), **NETBIRD})
    access = start()
    directory.write({**broken, **REVOKED})
    for snapshot in (later(access, clock), start().current()):
        assert native(snapshot, "old")
        assert allowed(snapshot)
    assert {problem.file for problem in problems_of(access)} == {file}
    directory.write({KEYS: published("new"), **NETBIRD})
    assert native(later(access, clock), "new")
    assert not allowed(access.current())


def test_a_file_for_natives_that_leads_nowhere_is_not_taken_for_none(
    start: Start, clock: Clock, directory: Directory
) -> None:
    directory.write({KEYS: published("old"), **NETBIRD})
    access = start()
    (directory.path / "netbird_jwt.yml").unlink()
    (directory.path / "netbird_jwt.yml").symlink_to("nowhere")
    assert native(later(access, clock), "old")
    assert [problem.file for problem in problems_of(access)] == ["netbird_jwt.yml"]


# -- A broken directory -------------------------------------------------------


def test_a_broken_directory_changes_nothing_and_says_all_that_is_wrong(
    start: Start, clock: Clock, directory: Directory, kept: Path, logged: list[EventDict]
) -> None:
    access = start()
    first, before = access.current(), kept.read_text()
    assert problems_of(access) == ()
    directory.write({**BROKEN, **REVOKED})
    assert later(access, clock) is first
    assert problems_of(access) == PROBLEMS
    assert kept.read_text() == before
    assert later(access, clock) is first
    refused = [entry["problem"] for entry in logged if entry["event"] == "configuration.refused"]
    assert refused == [str(problem) for problem in PROBLEMS]


def test_a_mended_directory_has_no_problems(start: Start, clock: Clock, directory: Directory) -> None:
    access = start()
    directory.write(BROKEN)
    later(access, clock)
    directory.write({**FILES, **REVOKED})
    assert not allowed(later(access, clock))
    assert problems_of(access) == ()


def test_a_vanished_directory_changes_nothing(start: Start, clock: Clock, directory: Directory) -> None:
    access = start()
    first = access.current()
    directory.remove()
    assert later(access, clock) is first
    assert {problem.error for problem in problems_of(access)} == {"There is no such directory"}


def test_the_file_of_domains_may_come_and_go(start: Start, clock: Clock, directory: Directory) -> None:
    access = start()
    sent = facts(OUTSIDE, authorization=by_password("alice"))
    assert access.current().authenticate(sent).name == "alice"
    directory.write({"sg_authc.yml": {"auth_domains": []}})
    assert refusal(later(access, clock), sent) == NotAuthenticated()
    (directory.path / "sg_authc.yml").unlink()
    assert later(access, clock).authenticate(sent).name == "alice"


def test_files_that_cannot_be_read_are_all_named(directory: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LARGEST_FILE", 2000)
    directory.write({"sg_roles.yml": b"\xff\xfe", "sg_action_groups.yml": "#" * 2001, "sg_tenants.yml": "#" * 2000})
    (directory.path / "sg_authc.yml").mkdir()
    with pytest.raises(BadConfigurationError) as refused:
        read_directory(directory.path)
    assert refused.value.problems == [
        ConfigProblem("sg_roles.yml", "", "Not UTF-8"),
        ConfigProblem("sg_action_groups.yml", "", "Larger than 2000 bytes"),
        ConfigProblem("sg_authc.yml", "", "Cannot be read: Is a directory"),
    ]


def test_a_file_link_that_leads_nowhere_is_no_file_left_out(start: Start, clock: Clock, directory: Directory) -> None:
    # Without sg_authc.yml everybody with a password is heard, from everywhere.
    directory.write({"sg_authc.yml": {"auth_domains": [BASIC], "network": {"deny": {"ips": OUTSIDE}}}})
    access = start()
    sent = facts(OUTSIDE, authorization=by_password("alice"))
    assert refusal(access.current(), sent) == NotPermitted()
    (directory.path / "sg_authc.yml").unlink()
    (directory.path / "sg_authc.yml").symlink_to("nowhere")
    assert refusal(later(access, clock), sent) == NotPermitted()
    assert problems_of(access) == (ConfigProblem("sg_authc.yml", "", "Cannot be read: No such file or directory"),)


def too_many_open(path: Path, *_: object) -> int:
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), str(path))


def test_a_pipe_in_the_place_of_a_file_is_no_file(start: Start, clock: Clock, directory: Directory) -> None:
    access = start()
    (directory.path / "sg_roles.yml").unlink()
    os.mkfifo(directory.path / "sg_roles.yml")
    assert allowed(later(access, clock))
    assert problems_of(access) == (ConfigProblem("sg_roles.yml", "", "Not a regular file"),)


def test_what_cannot_be_read_for_now_is_read_at_a_later_look(
    start: Start, clock: Clock, directory: Directory, logged: list[EventDict], monkeypatch: pytest.MonkeyPatch
) -> None:
    access = start()
    directory.write(REVOKED)
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", too_many_open)
        assert allowed(later(access, clock))
        assert allowed(later(access, clock))
    assert {problem.error for problem in problems_of(access)} == {"Cannot be read: Too many open files"}
    assert events(logged) == ["configuration.refused"] * 8, "said once of each file"
    assert not allowed(later(access, clock))
    assert problems_of(access) == ()


def test_a_directory_that_comes_back_as_it_was_has_no_problems(
    start: Start, clock: Clock, directory: Directory, tmp_path: Path
) -> None:
    # As with a volume that was away for a while.
    access = start()
    directory.path.rename(tmp_path / "away")
    directory.path.symlink_to(directory.path)
    assert allowed(later(access, clock))
    assert {problem.error for problem in problems_of(access)} == {"Cannot be read: Too many levels of symbolic links"}
    directory.path.unlink()
    (tmp_path / "away").rename(directory.path)
    assert allowed(later(access, clock))
    assert problems_of(access) == ()


# -- The last good state ------------------------------------------------------


def stop_and_break(start: Start, directory: Directory, documents: Mapping[str, object]) -> None:
    start()
    directory.write(documents)


def test_a_worker_that_starts_with_a_broken_directory_uses_the_last_good(
    start: Start, clock: Clock, directory: Directory, logged: list[EventDict]
) -> None:
    stop_and_break(start, directory, {**BROKEN, **REVOKED})
    access = start()
    assert allowed(access.current())
    assert problems_of(access) == PROBLEMS
    assert events(logged) == ["configuration.refused", "configuration.refused", "configuration.last_good_used"]
    directory.write({**FILES, **REVOKED})
    assert not allowed(later(access, clock))
    assert problems_of(access) == ()


def test_a_worker_that_starts_without_a_directory_uses_the_last_good(start: Start, directory: Directory) -> None:
    start()
    directory.remove()
    assert allowed(start().current())


def test_a_worker_that_starts_with_an_unreadable_directory_uses_the_last_good(
    start: Start, clock: Clock, directory: Directory
) -> None:
    start()
    path = directory.path / "sg_roles.yml"
    path.unlink()
    path.mkdir()
    access = start()
    assert allowed(access.current())
    assert problems_of(access) == (ConfigProblem("sg_roles.yml", "", "Cannot be read: Is a directory"),)
    path.rmdir()
    directory.write({**FILES, **REVOKED})
    assert not allowed(later(access, clock))


def test_what_cannot_be_read_at_the_start_is_read_at_a_later_look(
    start: Start, clock: Clock, directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    last_good = read_directory(directory.path)
    directory.write(REVOKED)
    with monkeypatch.context() as patch:
        patch.setattr(LastGood, "load", lambda _: last_good)
        patch.setattr(os, "open", too_many_open)
        access = start()
    assert allowed(access.current())
    assert not allowed(later(access, clock))


@pytest.mark.parametrize("with_last_good", (True, False))
def test_a_change_during_the_first_reading_is_taken_at_the_next_look(
    start: Start, clock: Clock, directory: Directory, monkeypatch: pytest.MonkeyPatch, *, with_last_good: bool
) -> None:
    if with_last_good:
        stop_and_break(start, directory, {"sg_roles_mapping.yml": {"player": {"users": ["half"]}}})
    read_then(monkeypatch, lambda: directory.write(REVOKED))
    access = start()
    assert allowed(access.current())
    assert not allowed(access.current(), "half")
    assert not allowed(later(access, clock))


@pytest.mark.parametrize("damaged", (b"", b"{", b"[]", b"null", b"\xff", b'{"sg_roles.yml": 1}', b"{}", b"[" * 200_000))
def test_a_worker_starts_with_neither_is_refused_with_all_that_is_wrong(
    start: Start, directory: Directory, kept: Path, damaged: bytes
) -> None:
    stop_and_break(start, directory, BROKEN)
    kept.write_bytes(damaged)
    with pytest.raises(BadConfigurationError) as refused:
        start()
    assert tuple(refused.value.problems) == PROBLEMS


def test_a_worker_that_never_had_a_good_directory_is_refused(start: Start, directory: Directory, kept: Path) -> None:
    directory.write(BROKEN)
    with pytest.raises(BadConfigurationError) as refused:
        start()
    assert tuple(refused.value.problems) == PROBLEMS
    assert not kept.exists()


@pytest.mark.parametrize("damaged", (b"", b"[" * 200_000))
def test_a_good_directory_mends_a_damaged_last_good(
    start: Start, directory: Directory, kept: Path, damaged: bytes
) -> None:
    start()
    kept.write_bytes(damaged)
    assert allowed(start().current())
    assert LastGood(kept.parent).load() == read_directory(directory.path)


def test_last_good_state_is_held_when_its_file_is_gone(directory: Directory, kept: Path) -> None:
    texts, master = read_directory(directory.path), LastGood(kept.parent)
    master.look()
    assert master.load() is None
    LastGood(kept.parent).save(texts)
    for _ in range(2):
        master.look()
    kept.unlink()
    master.look()
    assert master.load() == texts


def test_a_last_good_that_is_refused_now_is_not_used(
    start: Start, directory: Directory, kept: Path, logged: list[EventDict]
) -> None:
    LastGood(kept.parent).save({**read_directory(directory.path), "sg_tenants.yml": "[]"})
    assert allowed(start().current())
    assert events(logged) == ["configuration.last_good_refused"]


def test_a_worker_that_starts_while_somebody_writes_uses_the_last_good_till_the_next_look(
    start: Start, clock: Clock, directory: Directory
) -> None:
    stop_and_break(start, directory, REVOKED)
    clock.now = directory.changed() + 0.5
    access = start()
    assert allowed(access.current())
    clock.now += 0.9375
    assert allowed(access.current())
    clock.now += 0.0625
    assert not allowed(access.current())


def test_a_worker_that_starts_for_the_first_time_takes_what_somebody_has_just_written(
    start: Start, clock: Clock, directory: Directory
) -> None:
    clock.now = directory.changed() + 0.5
    access = start()
    assert allowed(access.current())
    directory.write(REVOKED)
    assert not allowed(later(access, clock))


def test_a_worker_that_starts_with_the_clock_set_back_takes_the_change_a_second_later(
    start: Start, clock: Clock, directory: Directory
) -> None:
    stop_and_break(start, directory, REVOKED)
    clock.now -= 5000
    access = start()
    assert allowed(access.current())
    clock.now += 1
    assert not allowed(access.current())


def test_the_last_good_is_for_the_service_alone(start: Start, kept: Path) -> None:
    start()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    assert list(kept.parent.iterdir()) == [kept]


def test_the_last_good_is_replaced_whole(start: Start, clock: Clock, directory: Directory, kept: Path) -> None:
    access = start()
    before = kept.read_text()
    with kept.open() as half_read:
        directory.write(REVOKED)
        later(access, clock)
        assert half_read.read() == before
    assert LastGood(kept.parent).load() == read_directory(directory.path)
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert list(kept.parent.iterdir()) == [kept]


def test_what_is_kept_already_is_not_written_again(start: Start, kept: Path) -> None:
    start()
    before = kept.stat().st_ino
    start()
    assert kept.stat().st_ino == before


def no_space(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_what_cannot_be_kept_holds_all_the_same(
    start: Start, clock: Clock, directory: Directory, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    access = start()
    before = kept.read_text()
    directory.write(REVOKED)
    with monkeypatch.context() as patch, capture_logs() as logged:
        patch.setattr(os, "replace", no_space)
        assert not allowed(later(access, clock))
    assert problems_of(access) == ()
    assert [entry["reason"] for entry in logged if entry["event"] == "configuration.not_kept"] == [
        os.strerror(errno.ENOSPC)
    ]
    assert kept.read_text() == before
    assert list(kept.parent.iterdir()) == [kept]


def test_a_worker_starts_though_its_state_cannot_be_kept(
    start: Start, kept: Path, logged: list[EventDict], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LastGood, "save", no_space)
    assert allowed(start().current())
    assert events(logged) == ["configuration.not_kept"]
    assert not kept.exists()


# -- Looked at from outside ---------------------------------------------------


def test_what_is_in_use_is_the_directory_while_it_is_good(directory: Directory, kept: Path) -> None:
    found = in_use(directory.path, LastGood(kept), BUILT_INS)
    assert (set(found.configuration.roles), found.problems) == ({"player"}, ())
    assert not kept.exists()


def test_what_is_in_use_is_the_last_good_state_else_with_the_problems(directory: Directory, kept: Path) -> None:
    LastGood(kept).save(read_directory(directory.path))
    directory.write({"sg_roles.yml": {"other": {"nonsense": 1}}})
    found = in_use(directory.path, LastGood(kept), BUILT_INS)
    assert set(found.configuration.roles) == {"player"}
    assert [problem.file for problem in found.problems] == ["sg_roles.yml"]


@pytest.mark.parametrize("texts", (None, {}, {"sg_roles.yml": "a: {nonsense: 1}"}))
def test_nothing_is_in_use_when_neither_is_good(
    directory: Directory, kept: Path, texts: Mapping[str, str] | None
) -> None:
    if texts is not None:
        LastGood(kept).save(texts)
    directory.write({"sg_tenants.yml": {"t1": {"nonsense": 1}}})
    with pytest.raises(BadConfigurationError) as raised:
        in_use(directory.path, LastGood(kept), BUILT_INS)
    assert [problem.file for problem in raised.value.problems] == ["sg_tenants.yml"]
