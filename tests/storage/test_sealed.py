"""Envelopes, references, MACs and the keys file."""

from __future__ import annotations

import base64
import dataclasses
import json
import os
import re
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.keywrap import aes_key_wrap
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts_service.families.signals.store.accounts import Account, Document, Key
from accounts_service.storage.sealed import (
    REFERENCE,
    BadKeysFileError,
    Keyring,
    Place,
    UnreadableSecretError,
    Vault,
    Wrapped,
    Wrapping,
    framed,
    load_keyring,
    named_key,
)

KEYRING = Keyring.generate()
VAULT = Vault(KEYRING)
PLACE = Place("signals", "0123456789abcdef", "password")
CANARY = "canary-3c1f-do-not-show"

OTHER_PLACES = (
    Place("mention", PLACE.uid, PLACE.attribute),
    Place(PLACE.family, "fedcba9876543210", PLACE.attribute),
    Place(PLACE.family, PLACE.uid, "proxy_password"),
    # What reads the same when it is written one after the other.
    Place(PLACE.family + PLACE.uid[0], PLACE.uid[1:], PLACE.attribute),
    Place(PLACE.family, PLACE.uid + PLACE.attribute[0], PLACE.attribute[1:]),
)

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def everything_told(error: BaseException) -> str:
    """All that a log could show of an exception: its chain, with or without `from None`."""
    told = "".join(traceback.format_exception(error))
    seen: BaseException | None = error
    while seen is not None:
        told += repr(seen) + repr(vars(seen))
        told += repr([getattr(seen, name, None) for name in ("doc", "object")])  # JSONDecodeError, UnicodeError
        seen = seen.__cause__ or seen.__context__
    return told


# -- Envelopes ----------------------------------------------------------------


@given(st.text(), st.text(), st.text(), st.text())
def test_what_was_sealed_opens_at_its_place(value: str, family: str, uid: str, attribute: str) -> None:
    place = Place(family, uid, attribute)
    assert VAULT.open(place, VAULT.seal(place, value)) == value


def test_an_envelope_is_ascii_and_never_twice_the_same() -> None:
    first, second = VAULT.seal(PLACE, CANARY), VAULT.seal(PLACE, CANARY)
    assert first.isascii()
    assert CANARY not in first
    # Not even a part but the format and the key's id: a data key and a nonce are used once.
    assert not set(first.split(".")[2:]) & set(second.split(".")[2:])


@pytest.mark.parametrize("place", OTHER_PLACES)
def test_an_envelope_that_was_moved_does_not_open(place: Place) -> None:
    with pytest.raises(UnreadableSecretError):
        VAULT.open(place, VAULT.seal(PLACE, CANARY))


@pytest.mark.parametrize("length", range(13))
def test_no_character_of_an_envelope_can_be_another(length: int) -> None:
    # Each length of text leaves other bits of base64's last characters unused.
    envelope = VAULT.seal(PLACE, "x" * length)
    for index, there in enumerate(envelope):
        for character in ALPHABET + ".=+/ \n\0é":
            if character != there:
                with pytest.raises(UnreadableSecretError):
                    VAULT.open(PLACE, envelope[:index] + character + envelope[index + 1 :])


def test_no_part_of_an_envelope_can_be_missing() -> None:
    envelope = VAULT.seal(PLACE, CANARY)
    for end in range(len(envelope)):
        with pytest.raises(UnreadableSecretError):
            VAULT.open(PLACE, envelope[:end])
        with pytest.raises(UnreadableSecretError):
            VAULT.open(PLACE, envelope[end + 1 :])


@given(st.one_of(st.text(), st.lists(st.text(ALPHABET), max_size=7).map(".".join)))
@settings(max_examples=500)
def test_what_is_no_envelope_does_not_open(envelope: str) -> None:
    with pytest.raises(UnreadableSecretError):
        VAULT.open(PLACE, envelope)


@given(st.binary(max_size=64), st.binary(max_size=64), st.binary(max_size=64))
@settings(max_examples=500)
def test_parts_of_any_length_do_not_open(wrapped: bytes, nonce: bytes, ciphertext: bytes) -> None:
    envelope = ".".join(("v1", KEYRING.active, *map(encoded, (wrapped, nonce, ciphertext))))
    with pytest.raises(UnreadableSecretError):
        VAULT.open(PLACE, envelope)


@given(st.binary(max_size=64), st.binary(max_size=64))
def test_not_even_with_a_data_key_that_unwraps(nonce: bytes, ciphertext: bytes) -> None:
    for size in (16, 24, 32, 40):
        wrapped = aes_key_wrap(KEYRING.wrapping[KEYRING.active], bytes(size))
        with pytest.raises(UnreadableSecretError):
            VAULT.open(PLACE, ".".join(("v1", KEYRING.active, *map(encoded, (wrapped, nonce, ciphertext)))))


def test_an_envelope_of_another_format_or_an_unknown_key_does_not_open() -> None:
    _, key_id, *parts = VAULT.seal(PLACE, CANARY).split(".")
    for start in (("v2", key_id), ("v1", "k-unknown"), ("", key_id), ("v1", "")):
        with pytest.raises(UnreadableSecretError):
            VAULT.open(PLACE, ".".join((*start, *parts)))


def test_an_envelope_of_another_installation_does_not_open() -> None:
    stranger = dataclasses.replace(Keyring.generate(), active=KEYRING.active)
    stranger.wrapping[KEYRING.active] = bytes(32)
    with pytest.raises(UnreadableSecretError):
        VAULT.open(PLACE, Vault(stranger).seal(PLACE, CANARY))


def test_envelopes_of_a_key_that_is_no_longer_active_still_open_and_new_ones_use_the_active_key() -> None:
    before = VAULT.seal(PLACE, CANARY)
    after = Vault(dataclasses.replace(KEYRING, active="new", wrapping=KEYRING.wrapping | {"new": b"n" * 32}))
    assert after.open(PLACE, before) == CANARY
    assert after.seal(PLACE, CANARY).split(".")[1] == "new"
    assert after.reference(PLACE, before) == VAULT.reference(PLACE, before)
    assert after.mac("x") == VAULT.mac("x")


def test_an_exception_of_the_vault_carries_nothing_of_a_secret() -> None:
    # Sealed bytes that are no text: the decoder's own exception would hold them.
    class Bytes(str):
        __slots__ = ()

        def encode(self, *_: object) -> bytes:
            return CANARY.encode() + b"\xff"

    envelope = VAULT.seal(PLACE, Bytes())
    for place in (PLACE, OTHER_PLACES[0]):
        with pytest.raises(UnreadableSecretError) as caught:
            VAULT.open(place, envelope)
        assert CANARY not in everything_told(caught.value)
        assert envelope.split(".")[-1] not in everything_told(caught.value)
        assert caught.value.__context__ is None


# -- Fields -------------------------------------------------------------------

FIELDS = st.lists(st.one_of(st.text(), st.binary(), st.integers()))


def as_bytes(fields: list[str | bytes | int]) -> list[bytes]:
    return [field if isinstance(field, bytes) else str(field).encode() for field in fields]


def unframed(data: bytes) -> list[bytes]:
    fields = []
    while data:
        end = 8 + int.from_bytes(data[:8], "big")
        fields.append(data[8:end])
        data = data[end:]
    return fields


@given(FIELDS)
def test_framed_fields_can_be_told_apart_again(fields: list[str | bytes | int]) -> None:
    assert unframed(framed(*fields)) == as_bytes(fields)


@given(FIELDS, FIELDS)
def test_different_fields_are_framed_differently(one: list[str | bytes | int], two: list[str | bytes | int]) -> None:
    assert (framed(*one) == framed(*two)) is (as_bytes(one) == as_bytes(two))


@given(st.text(min_size=1), st.integers(min_value=0))
def test_moving_the_border_between_two_fields_changes_the_mac(text: str, at: int) -> None:
    at %= len(text)
    assert VAULT.mac(text[:at], text[at:]) != VAULT.mac(text[: at + 1], text[at + 1 :])
    assert VAULT.mac(text, "") != VAULT.mac("", text) != VAULT.mac(text)


def test_the_keys_for_macs_and_for_references_are_not_the_same() -> None:
    envelope = VAULT.seal(PLACE, CANARY)
    fields = (PLACE.family, PLACE.uid, PLACE.attribute, *envelope.split(".")[-2:])
    assert VAULT.reference(PLACE, envelope) != "secret:" + encoded(VAULT.mac(*fields)[:16])


# -- References ---------------------------------------------------------------


@given(st.text())
def test_a_reference_has_its_form_and_stays_the_same(value: str) -> None:
    envelope = VAULT.seal(PLACE, value)
    reference = VAULT.reference(PLACE, envelope)
    assert re.fullmatch(r"secret:[A-Za-z0-9_-]{22}", reference)
    assert REFERENCE.match(reference)
    assert reference == Vault(Keyring.from_json(KEYRING.to_json())).reference(PLACE, envelope)


@pytest.mark.parametrize("text", ("secret:", "secret:" + "x" * 21, "secret:" + "x" * 23, "secret:" + "x" * 22 + "\n"))
def test_what_only_looks_like_a_reference_is_none(text: str) -> None:
    assert not REFERENCE.match(text)


@given(st.text(), st.text())
def test_what_is_sealed_anew_has_another_reference_even_for_the_same_value(one: str, two: str) -> None:
    before = VAULT.reference(PLACE, VAULT.seal(PLACE, one))
    assert before != VAULT.reference(PLACE, VAULT.seal(PLACE, two))
    assert before != VAULT.reference(PLACE, VAULT.seal(PLACE, one)), "or a guess could be tried"


def test_a_data_key_that_is_wrapped_anew_keeps_the_reference() -> None:
    parts = VAULT.seal(PLACE, CANARY).split(".")
    rewrapped = ".".join((parts[0], "another", encoded(b"x" * 40), *parts[3:]))
    assert VAULT.reference(PLACE, rewrapped) == VAULT.reference(PLACE, ".".join(parts))


@pytest.mark.parametrize("place", OTHER_PLACES)
def test_another_place_has_another_reference(place: Place) -> None:
    envelope = VAULT.seal(PLACE, CANARY)
    assert VAULT.reference(place, envelope) != VAULT.reference(PLACE, envelope)


def test_another_installation_has_another_reference() -> None:
    envelope = VAULT.seal(PLACE, CANARY)
    assert Vault(Keyring.generate()).reference(PLACE, envelope) != VAULT.reference(PLACE, envelope)


@given(st.text(), st.text())
def test_a_reference_refers_to_its_own_envelope_only(stored: str, other: str) -> None:
    envelope = VAULT.seal(PLACE, stored)
    assert VAULT.refers(VAULT.reference(PLACE, envelope), PLACE, envelope)
    assert not VAULT.refers(VAULT.reference(PLACE, VAULT.seal(PLACE, other)), PLACE, envelope)


@given(st.text(st.characters(), max_size=30))
def test_whatever_else_is_sent_refers_to_nothing(text: str) -> None:
    assert not VAULT.refers(text, PLACE, VAULT.seal(PLACE, CANARY))


@pytest.mark.parametrize("text", ("secret:é", "\ud800", ""))
def test_what_is_not_ascii_refers_to_nothing(text: str) -> None:
    assert not VAULT.refers(text, PLACE, VAULT.seal(PLACE, CANARY))


@pytest.mark.parametrize("damaged", ("", "v1", "v1.k.a.b", "v1.k.a.b.c.d"))
def test_what_is_no_envelope_has_no_reference(damaged: str) -> None:
    with pytest.raises(UnreadableSecretError):
        VAULT.reference(PLACE, damaged)


# -- The keys file ------------------------------------------------------------


def written(path: Path, text: str | bytes, mode: int = 0o600) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(mode)
    return path


def test_a_keyring_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert load_keyring(written(tmp_path / "keys.json", KEYRING.to_json())) == KEYRING


def test_keyrings_are_not_alike_and_their_keys_have_256_bits() -> None:
    other = Keyring.generate()
    keys = [*KEYRING.wrapping.values(), KEYRING.mac, KEYRING.fingerprint, *other.wrapping.values(), other.mac]
    assert len(set(keys)) == len(keys)
    assert {len(key) for key in keys} == {32}


@pytest.mark.parametrize("mode", (0o600, 0o640, 0o400, 0o440))
def test_a_keys_file_may_be_read_by_its_group(tmp_path: Path, mode: int) -> None:
    assert load_keyring(written(tmp_path / "keys.json", KEYRING.to_json(), mode)) == KEYRING


@pytest.mark.parametrize("mode", (0o644, 0o660, 0o606, 0o602, 0o620, 0o604, 0o601, 0o666, 0o777))
def test_a_keys_file_that_is_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(BadKeysFileError, match="chmod 600"):
        load_keyring(written(tmp_path / "keys.json", KEYRING.to_json(), mode))


def test_a_missing_keys_file_is_told_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(BadKeysFileError, match=re.escape(str(tmp_path / "none.json"))):
        load_keyring(tmp_path / "none.json")


def test_what_is_no_file_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o600)
    for path in (pipe, tmp_path):
        with pytest.raises(BadKeysFileError):
            load_keyring(path)


Damage = Callable[[dict[str, Any]], Any]


def put(name: str, value: object) -> Damage:
    return lambda document: document | {name: value}


def dropped(name: str) -> Damage:
    return lambda document: {key: value for key, value in document.items() if key != name}


DAMAGES: dict[str, Damage] = {
    **{f"no {name}": dropped(name) for name in ("format", "active", "wrapping", "mac", "fingerprint")},
    **{
        f"{name} is {value!r}": put(name, value)
        for name in ("format", "active", "wrapping", "mac", "fingerprint")
        for value in (None, 2, "", "é", [], ["x"], {}, {"x": 1}, 1e300)
    },
    "not an object": lambda document: [document],
    "a short key": lambda document: document | {"mac": document["mac"][:-3]},
    "a long key": lambda document: document | {"mac": encoded(bytes(33))},
    "a key with a foreign character": lambda document: document | {"mac": "$" + document["mac"][1:]},
    "a key with unused bits": lambda document: document | {"mac": document["mac"][:-1] + "_"},
    "a padded key": lambda document: document | {"mac": document["mac"] + "="},
    "the active key unknown": put("active", "k0"),
    "a short wrapping key": lambda document: document | {"wrapping": document["wrapping"] | {"k": "QUJD"}},
    "a key id with a dot": lambda document: document | {"active": "a.b", "wrapping": {"a.b": document["mac"]}},
    "an empty key id": lambda document: document | {"active": "", "wrapping": {"": document["mac"]}},
}

RAW: dict[str, Callable[[str], str | bytes]] = {
    "empty": lambda _: "",
    "cut off": lambda text: text[:-20],
    "cut off early": lambda text: text[: len(text) // 2],
    "not UTF-8": lambda text: text.encode() + b"\xff",
    "not UTF-8 within": lambda text: text.encode().replace(b'"active"', b'"\xff": 1, "active"'),
    "binary": lambda _: bytes(range(256)),
    "too deep": lambda text: "[" * 100_000 + text,
    "a number too long": lambda text: text.replace('"format": 1', '"format": ' + "1" * 5000),
    "a name twice": lambda text: text.replace('"format": 1', '"format": 1, "active": "other"'),
    "a key id twice": lambda text: text.replace('"wrapping": {', f'"wrapping": {{"{KEYRING.active}": "", '),
}


def assert_nothing_is_told(error: BadKeysFileError) -> None:
    told = everything_told(error)
    keys = (*KEYRING.wrapping.values(), KEYRING.mac, KEYRING.fingerprint)
    for key in keys:
        # Half a key is too much as well.
        assert encoded(key)[:20] not in told
        assert repr(key)[2:20] not in told


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_keys_file_is_refused_and_shows_no_key(tmp_path: Path, damage: Damage) -> None:
    document = damage(json.loads(KEYRING.to_json()))
    with pytest.raises(BadKeysFileError) as caught:
        load_keyring(written(tmp_path / "keys.json", json.dumps(document)))
    assert_nothing_is_told(caught.value)


@pytest.mark.parametrize("damage", RAW.values(), ids=RAW.keys())
def test_a_keys_file_that_is_no_json_is_refused_and_shows_no_key(
    tmp_path: Path, damage: Callable[[str], str | bytes]
) -> None:
    with pytest.raises(BadKeysFileError) as caught:
        load_keyring(written(tmp_path / "keys.json", damage(KEYRING.to_json())))
    assert_nothing_is_told(caught.value)


@given(st.data())
@settings(max_examples=300)
def test_a_keys_file_with_any_byte_changed_is_refused_or_still_a_keyring(data: st.DataObject) -> None:
    text = bytearray(KEYRING.to_json().encode())
    index = data.draw(st.integers(0, len(text) - 1))
    text[index] = data.draw(st.integers(0, 255))
    try:
        keyring = Keyring.from_json(bytes(text))
    except BadKeysFileError as error:
        assert_nothing_is_told(error)
    else:
        assert Vault(keyring).open(PLACE, Vault(keyring).seal(PLACE, CANARY)) == CANARY


# -- What is shown in a log ---------------------------------------------------


def test_no_key_and_no_secret_is_shown_by_repr() -> None:
    shown = repr(KEYRING) + repr(VAULT) + str(KEYRING)
    for key in (*KEYRING.wrapping.values(), KEYRING.mac, KEYRING.fingerprint):
        assert repr(key)[2:20] not in shown
        assert encoded(key)[:20] not in shown
    document = Document.of({"host": "h", "password": CANARY}, ("password",), ("host",))
    envelope = VAULT.seal(PLACE, CANARY)
    account = Account(Key("email", "x"), PLACE.uid, 1, {"host": "h"}, {"password": envelope})
    assert CANARY not in repr(document)
    assert envelope not in repr(account)


def test_a_token_opens_in_its_place_alone_and_only_as_it_was_sealed() -> None:
    vault = Vault(Keyring.generate())
    place = Place("signals", "scroll", "cursor")
    token = vault.seal_token(place, "é\U0001f600")
    assert re.fullmatch(r"[A-Za-z0-9_-]+", token)
    assert vault.open_token(place, token) == "é\U0001f600"
    assert vault.open_token(Place("signals", "scroll", "other"), token) is None
    assert Vault(Keyring.generate()).open_token(place, token) is None
    for spoiled in ("", "A", "é", token + "=", token + "AAAA", token[:-2], token[4:], vault.seal(place, "x")):
        assert vault.open_token(place, spoiled) is None


# -- Other keys ----------------------------------------------------------------


def rotated(keyring: Keyring = KEYRING) -> Keyring:
    """Give a keyring with one more key, which is active."""
    extended, key = keyring.extended()
    assert extended.active == keyring.active
    return dataclasses.replace(extended, active=key)


def test_a_data_key_that_is_wrapped_anew_opens_with_the_new_key_alone_and_has_its_mark() -> None:
    keyring = rotated()
    vault, before = Vault(keyring), VAULT.seal(PLACE, CANARY)
    after = vault.rewrapped(PLACE, before)
    assert after.split(".")[:2] == ["v1r", keyring.active]
    assert after.split(".")[3:] == before.split(".")[3:], "nonce and ciphertext stay"
    assert vault.reference(PLACE, after) == VAULT.reference(PLACE, before)
    alone = Vault(dataclasses.replace(keyring, wrapping={keyring.active: keyring.wrapping[keyring.active]}))
    assert alone.open(PLACE, after) == CANARY
    assert vault.rewrapped(PLACE, after) == after
    with pytest.raises(UnreadableSecretError):
        alone.open(OTHER_PLACES[0], after)
    # A release that does not know the mark reads what is taken back to the first word.
    assert alone.open(PLACE, "v1" + after.removeprefix("v1r")) == CANARY


def test_each_envelope_stands_in_one_way_to_the_keys() -> None:
    keyring = rotated()
    vault, before, fresh = Vault(keyring), VAULT.seal(PLACE, CANARY), Vault(keyring).seal(PLACE, CANARY)
    stranger = Keyring.generate()
    damaged, foreign = before[:-4] + "AAAA", Vault(stranger).seal(PLACE, CANARY)
    assert vault.wrapped(PLACE, fresh) == Wrapped(Wrapping.CURRENT, keyring.active)
    assert vault.wrapped(PLACE, before) == Wrapped(Wrapping.OUTSTANDING, KEYRING.active)
    assert vault.wrapped(PLACE, vault.rewrapped(PLACE, before)) == Wrapped(Wrapping.REWRAPPED, keyring.active)
    assert vault.wrapped(PLACE, damaged) == Wrapped(Wrapping.UNDECRYPTABLE, None)
    assert vault.wrapped(PLACE, foreign) == Wrapped(Wrapping.UNDECRYPTABLE, stranger.active)
    assert vault.wrapped(PLACE, "") == Wrapped(Wrapping.UNDECRYPTABLE, None)
    # What does not open is left as it is, for a key that is found again.
    assert [vault.rewrapped(PLACE, one) for one in (damaged, foreign, "", "v1.x")] == [damaged, foreign, "", "v1.x"]
    again = rotated(keyring)
    assert Vault(again).wrapped(PLACE, vault.rewrapped(PLACE, before)).wrapping is Wrapping.OUTSTANDING


def test_what_does_not_open_names_the_key_that_is_missing_and_no_other() -> None:
    _, *parts = VAULT.seal(PLACE, CANARY).split(".")
    for envelope, key in (
        (".".join(("v1", "k-gone", *parts[1:])), "k-gone"),
        (".".join(("v1r", "k-gone", *parts[1:])), "k-gone"),
        (".".join(("v1", "k<b>", *parts[1:])), None),
        (".".join(("v1", *parts))[:-2], None),
        ("v1.k-gone", None),
    ):
        with pytest.raises(UnreadableSecretError) as caught:
            VAULT.open(PLACE, envelope)
        assert caught.value.key == key


def test_an_unknown_key_has_the_keys_looked_for_once_a_second_at_most() -> None:
    keyring, now, looks = rotated(), [100.0], list[Keyring]()

    def newer(held: Keyring) -> Keyring | None:
        looks.append(held)
        return keyring if len(looks) == 3 else None

    vault = Vault(KEYRING, newer, lambda: now[0])
    envelope = Vault(keyring).seal(PLACE, CANARY)
    for _ in range(5):
        assert vault.open_token(PLACE, encoded(b"v1.k-made-up.AAAA.AAAA.AAAA")) is None
        with pytest.raises(UnreadableSecretError):
            vault.open(PLACE, envelope)
    assert len(looks) == 1
    now[0] += 1
    assert vault.open_token(PLACE, encoded(b"v1.k-made-up.AAAA.AAAA.AAAA")) is None
    now[0] += 1
    assert vault.open(PLACE, envelope) == CANARY
    assert (len(looks), vault.active, vault.keys) == (3, keyring.active, tuple(sorted(keyring.wrapping)))
    assert vault.seal(PLACE, CANARY).split(".")[1] == keyring.active


def test_who_was_asleep_looks_for_the_keys_before_he_seals() -> None:
    keyring, now = rotated(), [100.0]
    vault = Vault(KEYRING, lambda _: keyring, lambda: now[0])
    now[0] += 2.9
    assert named_key(vault.seal(PLACE, CANARY)) == vault.active == KEYRING.active
    now[0] += 0.1
    assert named_key(vault.seal(PLACE, CANARY)) == vault.active == keyring.active


def test_a_new_key_never_takes_an_id_that_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = iter((KEYRING.active.removeprefix("k"), "0123abcd"))
    monkeypatch.setattr("accounts_service.storage.sealed.secrets.token_hex", lambda _: next(ids))
    extended, key = KEYRING.extended()
    assert (key, extended.wrapping[KEYRING.active]) == ("k0123abcd", KEYRING.wrapping[KEYRING.active])


def test_keys_that_came_from_no_file_have_no_problem_with_one() -> None:
    assert VAULT.problem == ""
