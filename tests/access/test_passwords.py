"""Passwords that are kept here: how they are hashed, who is right, and that nobody costs as much as somebody."""

from __future__ import annotations

import re
from typing import Any

import argon2
import pytest

from accounts_service.access.passwords import MEMORY_KIB, Passwords
from accounts_service.faults import Overloaded, RefusedError
from accounts_service.lines import Line
from tests.support.lines import narrow

SMALL_KIB = 8


def small(line: Line | None = None) -> Passwords:
    """Return what hashes as cheaply as argon2 allows."""
    return Passwords(line or narrow(), 1, memory_kib=SMALL_KIB)


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Write down what every check is made against."""
    calls: list[str] = []
    verify = argon2.PasswordHasher.verify

    def counted(hasher: argon2.PasswordHasher, stored: str, password: str) -> Any:
        calls.append(stored)
        return verify(hasher, stored, password)

    monkeypatch.setattr(argon2.PasswordHasher, "verify", counted)
    return calls


@pytest.mark.parametrize("password", ("Mypass1", "x", "pässwört—\U0001f600", " blanks ", "a\0b", "x" * 4096))
def test_the_right_password_is_right_and_any_other_is_not(password: str) -> None:
    passwords = small()
    stored = passwords.hash(password)
    assert passwords.verify(stored, password)
    for other in ("", password + "x", password[:-1], password.swapcase() + " ", f" {password}", "a"):
        assert not passwords.verify(stored, other)
    assert password not in stored or password == "x"


def test_an_empty_password_is_one_like_others() -> None:
    passwords = small()
    assert passwords.verify(passwords.hash(""), "")
    assert not passwords.verify(passwords.hash(""), "x")


def test_how_a_letter_is_written_matters() -> None:
    passwords = small()
    assert not passwords.verify(passwords.hash("\u00e9"), "e\u0301")


def test_each_hash_has_a_salt_of_its_own() -> None:
    passwords = small()
    assert len({passwords.hash("Mypass1") for _ in range(5)}) == 5


def test_a_hash_says_how_it_was_made() -> None:
    stored = Passwords(narrow(), 1).hash("Mypass1")
    assert MEMORY_KIB == 19 * 1024
    assert re.fullmatch(r"\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}", stored)
    assert small().hash("x").startswith("$argon2id$v=19$m=8,t=2,p=1$")


def test_hashes_that_were_made_otherwise_are_checked_as_they_were_made() -> None:
    stored = argon2.PasswordHasher(3, 64, 2).hash("Mypass1")
    assert small().verify(stored, "Mypass1")
    assert not small().verify(stored, "Mypass2")
    older = argon2.PasswordHasher(2, 8, 1, type=argon2.Type.I).hash("Mypass1")
    assert small().verify(older, "Mypass1")


BAD = (
    "x",
    "$",
    "$argon2id$",
    "$argon2id$v=19$m=8,t=2,p=1$",
    "$argon2id$v=19$m=8,t=2,p=1$c2FsdHNhbHQ$",
    "$argon2id$v=19$m=8,t=2,p=1$!!!!!!!!!!!$!!!!!!!!!!!!!!!!!!!!!!!!",
    "$argon2id$v=19$m=x,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA",
    "$argon2id$v=19$m=4294967295,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA",
    "$argon2id$v=99$m=8,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA",
    "$argon2xx$v=19$m=8,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA",
    "$argon2id$é",
    "é" * 60,
    # bcrypt's, of Mypass1.
    "$2b$04$lsd7a9y9pF77.t37Gm/2dOEYSn0rbyi5Z6ELwLUwGiAETOFhImBGe",
)


@pytest.mark.parametrize("stored", BAD, ids=[str(number) for number in range(len(BAD))])
def test_a_hash_that_is_none_is_nobodys_password(stored: str) -> None:
    passwords = small()
    for password in ("Mypass1", "", stored):
        assert not passwords.verify(stored, password)
    # And whoever comes next finds his place free.
    assert passwords.verify(passwords.hash("Mypass1"), "Mypass1")


@pytest.mark.parametrize("stored", (None, ""))
@pytest.mark.parametrize("password", ("", "Mypass1"), ids=("empty", "another"))
def test_who_has_no_password_has_none_that_is_right(stored: str | None, password: str) -> None:
    assert not small().verify(stored, password)


def test_nobody_costs_what_somebody_costs(checked: list[str]) -> None:
    passwords = small()
    stored = passwords.hash("Mypass1")
    passwords.verify(stored, "wrong")
    passwords.verify(None, "wrong")
    somebodys, nobodys = checked
    assert somebodys == stored
    assert somebodys.split("$")[:4] == nobodys.split("$")[:4]
    assert [*map(len, somebodys.split("$"))] == [*map(len, nobodys.split("$"))]


def test_full_line_refuses_every_use_of_a_password(checked: list[str]) -> None:
    line = narrow(2)
    passwords = small(line)
    stored = passwords.hash("Mypass1")
    with line.turn():
        assert passwords.verify(stored, "Mypass1")
        with line.turn():
            for act in (
                lambda: passwords.hash("Mypass1"),
                lambda: passwords.verify(stored, "Mypass1"),
                lambda: passwords.verify(None, "Mypass1"),
            ):
                with pytest.raises(RefusedError) as refused:
                    act()
                assert isinstance(refused.value.fault, Overloaded)
    assert len(checked) == 1


def test_whatever_comes_of_it_a_place_is_free_again() -> None:
    passwords = small(narrow())
    stored = passwords.hash("Mypass1")
    for _ in range(3):
        assert not passwords.verify(stored, "wrong")
        assert not passwords.verify("x", "wrong")
        assert not passwords.verify(None, "wrong")
        assert passwords.verify(stored, "Mypass1")
