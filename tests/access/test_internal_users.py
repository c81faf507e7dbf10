"""Passwords: who is right, what it costs, and what is remembered."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache

import bcrypt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts_service.access.authenticators.internal_users import (
    InternalUser,
    InternalUsers,
    VerifiedCredentials,
    hash_password,
)
from accounts_service.access.roles import REALM, Identity
from accounts_service.faults import Overloaded, RefusedError
from accounts_service.lines import Line
from tests.support.lines import narrow
from tests.support.log_ins import Unlimited


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@cache
def hashed(password: str) -> str:
    return hash_password(password, cost=4)


def users(
    named: dict[str, InternalUser], clock: Clock | None = None, verified: VerifiedCredentials | None = None
) -> InternalUsers:
    return InternalUsers(named, verified or VerifiedCredentials(clock or Clock()), narrow(), Unlimited())


def alice(password: str = "secret") -> InternalUser:
    return InternalUser(hash=hashed(password))


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Write down the hash of every password check."""
    calls: list[bytes] = []
    checkpw = bcrypt.checkpw

    def counted(password: bytes, hashed_password: bytes) -> bool:
        calls.append(hashed_password)
        return checkpw(password, hashed_password)

    monkeypatch.setattr(bcrypt, "checkpw", counted)
    return calls


def test_the_right_password_finds_the_user_and_another_nobody() -> None:
    known = users({"alice": alice()})
    assert known.verify("alice", b"secret") == alice()
    assert known.verify("alice", b"Secret") is None
    assert known.verify("alice", b"") is None
    assert known.verify("Alice", b"secret") is None
    assert known.verify("bob", b"secret") is None


def test_a_password_is_bytes_and_may_hold_any() -> None:
    # As gunicorn hands it on; the file's hash is over UTF-8.
    assert users({"alice": alice("pässwört")}).verify("alice", "pässwört".encode())
    assert users({"alice": alice("pässwört")}).verify("alice", "pässwört".encode("latin-1")) is None


@pytest.mark.parametrize("length", (73, 100, 10000))
def test_a_password_of_more_than_72_bytes_fails_though_its_beginning_is_right(length: int) -> None:
    known = users({"alice": alice("x" * 72)})
    assert known.verify("alice", b"x" * length) is None
    assert known.verify("alice", b"x" * 72) is not None
    assert known.verify("alice", b"x" * length) is None


BAD_HASHES = (
    "",
    "secret",
    "$2y$12$",
    "$2y$99$" + "." * 53,
    "$2y$03$" + "." * 53,
    "$2y$04$" + "." * 52,
    "$2y$04$" + "." * 54,
    "$6$salt$hash",
    "ä" * 60,
    "$2y$04$" + "." * 53 + "\n",
)


@pytest.mark.parametrize("stored", BAD_HASHES)
def test_a_hash_that_is_none_is_a_failed_log_in(stored: str) -> None:
    known = users({"alice": InternalUser(hash=stored)})
    assert known.verify("alice", b"secret") is None
    assert known.verify("alice", stored.encode()) is None


@pytest.mark.parametrize("password", (b"pw\0", b"pw\0pw", b"pw\0pw\0pw", b"\0", b"\0pw", b"pw\0x"))
def test_password_with_nul_is_wrong_and_costs_a_hash(checks: list[bytes], password: bytes) -> None:
    assert users({"alice": alice("pw")}).verify("alice", password) is None
    assert len(checks) == 1
    with pytest.raises(ValueError, match="none of which is NUL"):
        hash_password(password.decode(), cost=4)


def test_a_hash_that_bcrypt_refuses_is_a_failed_log_in() -> None:
    # The last character of its salt has bits that mean nothing and are set.
    stored = "$2b$04$" + "." * 21 + "z" + "." * 31
    assert users({"alice": InternalUser(hash=stored)}).verify("alice", b"secret") is None


@pytest.mark.parametrize("stored", BAD_HASHES)
def test_unknown_users_and_those_without_a_good_hash_cost_what_others_cost(checks: list[bytes], stored: str) -> None:
    known = users({"alice": alice(), "broken": InternalUser(hash=stored)})
    for name in ("alice", "broken", "unknown"):
        checks.clear()
        assert known.verify(name, b"wrong") is None
        assert [check[:7] for check in checks] == [b"$2b$04$"]


def test_an_unknown_user_costs_what_the_dearest_costs(checks: list[bytes]) -> None:
    users({"alice": alice(), "dear": InternalUser(hash=hash_password("x", cost=5))}).verify("unknown", b"x")
    assert checks[0].startswith(b"$2b$05$")


def test_a_long_password_costs_what_others_cost(checks: list[bytes]) -> None:
    assert users({"alice": alice()}).verify("alice", b"x" * 100) is None
    assert len(checks) == 1


def test_without_users_one_is_refused_at_the_usual_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []

    def refused(_: bytes, hashed_password: bytes) -> bool:
        asked.append(hashed_password)
        return False

    monkeypatch.setattr(bcrypt, "checkpw", refused)
    assert users({}).verify("alice", b"secret") is None
    assert asked[0].startswith(b"$2b$12$")


def test_even_who_had_the_password_of_nobody_would_be_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bcrypt, "checkpw", lambda *_: True)
    known = users({})
    assert known.verify("unknown", b"secret") is None
    assert known.verify("unknown", b"secret") is None


# -- Remembering --------------------------------------------------------------


def test_right_password_is_remembered_until_15_minutes_after_its_use(checks: list[bytes]) -> None:
    clock = Clock()
    known = users({"alice": alice()}, clock)
    for _ in range(5):
        assert known.verify("alice", b"secret")
        clock.now += 899
    assert len(checks) == 1
    clock.now += 1
    assert known.verify("alice", b"secret")
    assert len(checks) == 2


def test_a_wrong_password_is_checked_each_time(checks: list[bytes]) -> None:
    known = users({"alice": alice()})
    assert [known.verify("alice", b"wrong") for _ in range(3)] == [None] * 3
    assert len(checks) == 3


def test_what_is_remembered_serves_no_other_password_and_no_other_user(checks: list[bytes]) -> None:
    known = users({"alice": alice(), "bob": alice("other")})
    assert known.verify("alice", b"secret")
    assert known.verify("alice", b"other") is None
    assert known.verify("bob", b"secret") is None
    assert len(checks) == 3


def test_a_changed_hash_forgets_the_old_password(checks: list[bytes]) -> None:
    verified = VerifiedCredentials(Clock())
    assert users({"alice": alice()}, verified=verified).verify("alice", b"secret")
    assert users({"alice": alice("new")}, verified=verified).verify("alice", b"secret") is None
    assert users({}, verified=verified).verify("alice", b"secret") is None
    assert len(checks) == 3


def test_a_new_snapshot_remembers_passwords_whose_hash_stayed(checks: list[bytes]) -> None:
    verified = VerifiedCredentials(Clock())
    for _ in range(2):
        assert users({"alice": alice()}, verified=verified).verify("alice", b"secret")
    assert len(checks) == 1


def test_ten_thousand_are_remembered_and_the_least_used_makes_room() -> None:
    verified = VerifiedCredentials(Clock())
    digests = [verified.digest("hash", str(number).encode()) for number in range(10_001)]
    for digest in digests[:10_000]:
        verified.remember(digest)
    assert verified.knows(digests[0])
    verified.remember(digests[10_000])
    assert verified.knows(digests[0])
    assert not verified.knows(digests[1])
    assert verified.knows(digests[10_000])


def test_wrong_passwords_and_unknown_names_evict_nothing(checks: list[bytes]) -> None:
    verified = VerifiedCredentials(Clock())
    known = users({"alice": alice()}, verified=verified)
    assert known.verify("alice", b"secret")
    for number in range(100):
        assert known.verify("alice", b"%d" % number) is None
        assert known.verify(f"nobody-{number}", b"secret") is None
    assert len(checks) == 201
    assert known.verify("alice", b"secret")
    assert len(checks) == 201


def test_what_is_remembered_shows_neither_hash_nor_password() -> None:
    verified = VerifiedCredentials()
    digest = verified.digest("hash", b"secret")
    assert len(digest) == 32
    assert digest != VerifiedCredentials().digest("hash", b"secret")


@given(st.binary(max_size=8), st.binary(max_size=8))
def test_different_passwords_have_different_digests(one: bytes, other: bytes) -> None:
    verified = VerifiedCredentials()
    assert (verified.digest("hash", one) == verified.digest("hash", other)) == (one == other)


# -- Overload -----------------------------------------------------------------


def test_when_too_many_are_hashing_the_next_is_refused_at_once_but_for_whom_is_remembered() -> None:
    hashing = narrow()
    known = InternalUsers({"alice": alice()}, VerifiedCredentials(Clock()), hashing, Unlimited())
    assert known.verify("alice", b"secret")
    with hashing.turn():
        assert known.verify("alice", b"secret")
        for name in ("alice", "unknown"):
            with pytest.raises(RefusedError) as refused:
                known.verify(name, b"wrong")
            assert isinstance(refused.value.fault, Overloaded)
    assert known.verify("alice", b"wrong") is None


def test_password_that_became_known_while_it_waited_is_not_hashed_again(checks: list[bytes]) -> None:
    hashing = Line(1, 8, 60)
    known = InternalUsers({"alice": alice()}, VerifiedCredentials(Clock()), hashing, Unlimited())
    with ThreadPoolExecutor(8) as pool:
        with hashing.turn():
            asked = [pool.submit(known.verify, "alice", b"secret") for _ in range(7)]
            while hashing.waiting < 7:
                pass
        assert None not in [one.result() for one in asked]
    assert len(checks) == 1


# -- What else is known of them -----------------------------------------------

ENTRY = InternalUser(
    hash="",
    backend_roles=frozenset(("b2",)),
    roles=frozenset(("r2",)),
    attributes=(("level", "2"), ("room", "7")),
)


def test_a_caller_known_otherwise_gets_the_roles_and_attributes_of_the_entry_of_his_name() -> None:
    identity = Identity(
        REALM, "alice", frozenset(("b1",)), frozenset(("r1",)), attributes=(("level", "1"), ("mail", "a@b"))
    )
    assert users({"alice": ENTRY}).add_to(identity) == Identity(
        REALM,
        "alice",
        frozenset(("b1", "b2")),
        frozenset(("r1", "r2")),
        attributes=(("level", "1"), ("mail", "a@b"), ("room", "7")),
    )


def test_a_caller_without_an_entry_stays_as_he_is() -> None:
    identity = Identity(REALM, "bob")
    assert users({"alice": ENTRY}).add_to(identity) is identity


def test_no_hash_is_shown() -> None:
    assert "$2b$" not in repr(alice())


# -- Making hashes ------------------------------------------------------------


def test_a_hash_is_made_of_1_to_72_bytes() -> None:
    assert users({"a": InternalUser(hash=hashed("ä" * 36))}).verify("a", ("ä" * 36).encode())
    for password in ("", "ä" * 36 + "x"):
        with pytest.raises(ValueError, match="1 to 72 bytes"):
            hash_password(password, cost=4)


def test_a_hash_costs_twelve_unless_said_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    costs: list[int] = []
    gensalt = bcrypt.gensalt

    def cheap(rounds: int) -> bytes:
        costs.append(rounds)
        return gensalt(4)

    monkeypatch.setattr(bcrypt, "gensalt", cheap)
    hash_password("x")
    assert costs == [12]
