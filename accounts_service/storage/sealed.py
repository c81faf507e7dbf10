"""Secrets at rest: the keys file, sealed envelopes, secret references, keyed MACs.

An envelope is self-contained: key id, wrapped data key, nonce, ciphertext.
Each value has a data key of its own, wrapped by a key-encryption key
(AES key wrap, RFC 3394) and used once with AES-256-GCM. The additional data
names the place the value belongs to (family, uid, attribute), so an envelope
copied to another row, attribute or family does not open. Keeping, restoring
and versioning a secret copies the envelope's bytes.
"""

from __future__ import annotations

import base64
import hmac
import json
import os
import re
import secrets
import stat
import threading
import time
from collections.abc import Callable, Container
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

_FORMAT = "v1"
# The same, but the data key was wrapped anew: so it is seen without keeping books. The additional data names `v1` in
# both, since what is sealed is not touched.
_REWRAPPED = "v1r"
_KEY_BYTES = 32
_NONCE_BYTES = 12
_PARTS = 5
# A dot would end it within an envelope, which then could never be opened.
_KEY_ID = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
# So often, at most, a key that nobody knows has the keys file looked at.
_LOOKS_APART_SECONDS = 1.0
# A process that serves looks every second. Who has not for so long was asleep, or is a command that has waited, and
# what was active before may be gone.
_ASLEEP_SECONDS = 3.0

REFERENCE = re.compile(r"secret:[A-Za-z0-9_-]{22}\Z")


class BadKeysFileError(Exception):
    """The keys file cannot be used; the message says why and never shows a key."""


class UnreadableSecretError(Exception):
    """An envelope that does not open: tampered with, moved, or sealed under a key we do not have, which is `key`."""

    def __init__(self, place: Place, key: str | None) -> None:
        super().__init__(f"cannot open {place.family}/{place.uid}/{place.attribute}")
        self.place = place
        self.key = key


@dataclass(frozen=True, slots=True)
class Place:
    """Where a secret lives. `uid` is that of the row's incarnation, so a re-created row is another place."""

    family: str
    uid: str
    attribute: str


def framed(*fields: str | bytes | int) -> bytes:
    """Join fields so that no two different lists give the same bytes: each is preceded by its length."""
    parts = [part if isinstance(part, bytes) else str(part).encode() for part in fields]
    return b"".join(len(part).to_bytes(8, "big") + part for part in parts)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _decode(text: str) -> bytes:
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    # Python's decoder passes over foreign characters, and over bits of the last
    # character that stand for nothing: many texts would mean the same bytes.
    if _encode(data) != text:
        raise ValueError("not base64url")
    return data


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a name stands twice")
    return document


def _key_id(name: str) -> str:
    if not _KEY_ID.match(name):
        raise ValueError("not a key id")
    return name


def _new_id(taken: Container[str]) -> str:
    while (key_id := "k" + secrets.token_hex(4)) in taken:
        pass
    return key_id


@dataclass(frozen=True, slots=True)
class Keyring:
    """The keys of an installation.

    `wrapping` holds key-encryption keys by id, of which `active` seals what is
    new. `mac` and `fingerprint` outlive rotation: audit records and secret
    references are made with them.
    """

    active: str
    wrapping: dict[str, bytes] = field(repr=False)
    mac: bytes = field(repr=False)
    fingerprint: bytes = field(repr=False)

    @classmethod
    def generate(cls) -> Keyring:
        """Make a new keyring with one key-encryption key."""
        key_id = _new_id(())
        return cls(
            active=key_id,
            wrapping={key_id: secrets.token_bytes(_KEY_BYTES)},
            mac=secrets.token_bytes(_KEY_BYTES),
            fingerprint=secrets.token_bytes(_KEY_BYTES),
        )

    def extended(self) -> tuple[Keyring, str]:
        """Give a keyring with one more key-encryption key, and its id. What is active stays so."""
        key_id = _new_id(self.wrapping)
        return replace(self, wrapping={**self.wrapping, key_id: secrets.token_bytes(_KEY_BYTES)}), key_id

    def check_values(self, installation: str) -> dict[str, bytes]:
        """Return what is kept of each key in the database, by its id: a MAC under the key, which does not show it."""
        held = {**self.wrapping, ":mac": self.mac, ":fingerprint": self.fingerprint}
        return {name: hmac.digest(key, framed("key-check", name, installation), "sha256") for name, key in held.items()}

    def to_json(self) -> str:
        """Write the form of the keys file."""
        document = {
            "format": 1,
            "active": self.active,
            "wrapping": {key_id: _encode(key) for key_id, key in self.wrapping.items()},
            "mac": _encode(self.mac),
            "fingerprint": _encode(self.fingerprint),
        }
        return json.dumps(document, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Keyring:
        """Read the form of the keys file. Raises BadKeysFileError."""
        keyring = cls._read(text)
        if keyring is None:
            raise BadKeysFileError("the keys file is damaged")
        if keyring.active not in keyring.wrapping:
            raise BadKeysFileError("the active key is not in the keys file")
        if any(len(key) != _KEY_BYTES for key in (*keyring.wrapping.values(), keyring.mac, keyring.fingerprint)):
            raise BadKeysFileError("a key in the keys file has the wrong length")
        return keyring

    @classmethod
    def _read(cls, text: str | bytes) -> Keyring | None:
        # None instead of an exception, here and in _opened: what the
        # decoders raise carries the document or the secret, and an exception
        # raised while another is handled takes it along as its context.
        try:
            document = json.loads(text, object_pairs_hook=_unambiguous)
            if document["format"] != 1:
                raise BadKeysFileError("the keys file is of another format")
            return cls(
                active=_key_id(document["active"]),
                wrapping={_key_id(name): _decode(key) for name, key in document["wrapping"].items()},
                mac=_decode(document["mac"]),
                fingerprint=_decode(document["fingerprint"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None


def load_keyring(path: Path) -> Keyring:
    """Read the keys file at `path`.

    Raises BadKeysFileError: absent, unreadable, damaged, or open to people who
    have no business with it (readable by others, or writable by the group).
    """
    try:
        with open(path, "rb", opener=_open_at_once) as file:  # Path.open has no opener.
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise BadKeysFileError(f"{path.absolute()} is not a file")
            if stat.S_IMODE(status.st_mode) & 0o027:
                raise BadKeysFileError(f"{path.absolute()} may be read by others or written by the group; chmod 600 it")
            data = file.read()
    except OSError as error:
        problem = f"{path.absolute()}: {error.strerror}"
        if isinstance(error, FileNotFoundError):
            problem += ". ACCOUNTS_KEYS_FILE names it; 'accounts-service init' makes one for a new installation"
        raise BadKeysFileError(problem) from None
    try:
        return Keyring.from_json(data)
    except BadKeysFileError as error:
        raise BadKeysFileError(f"{path.absolute()}: {error}") from None


def _open_at_once(path: str, flags: int) -> int:
    # Otherwise opening a pipe waits for somebody to write to it.
    return os.open(path, flags | os.O_NONBLOCK)


class Wrapping(Enum):
    """How an envelope stands to the keys."""

    CURRENT = "current"
    REWRAPPED = "re-wrapped"
    OUTSTANDING = "outstanding"
    UNDECRYPTABLE = "undecryptable"


@dataclass(frozen=True, slots=True)
class Wrapped:
    """How an envelope stands, and the key that it names; of one that does not open, only a key that we do not have."""

    wrapping: Wrapping
    key: str | None


def _nothing_newer(_: Keyring) -> None:
    return None


class Vault:
    """Seals and opens secrets, and makes the references that stand for them. Any number of threads may use it.

    `newer` gives the keys that have taken the place of those it is given, or
    None (storage/keys_file.py); `clock` is a time in seconds.
    """

    # Where the keys come from, for messages.
    source = "the keys file"

    def __init__(
        self,
        keyring: Keyring,
        newer: Callable[[Keyring], Keyring | None] = _nothing_newer,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        # Changed as a whole; who works with it takes it once.
        self._keyring = keyring
        self._newer = newer
        self._clock = clock
        self._looking = threading.Lock()
        self._looked = -_LOOKS_APART_SECONDS
        self._awake = clock()

    @property
    def keys(self) -> tuple[str, ...]:
        """Name the keys that are held, in order."""
        return tuple(sorted(self._keyring.wrapping))

    @property
    def active(self) -> str:
        """Name the key that seals what is new."""
        return self._current().active

    @property
    def problem(self) -> str:
        """Why the keys exist in memory only; empty while their file can be used."""
        return ""

    def check_values(self, installation: str) -> dict[str, bytes]:
        """Return the check value of each key that is held, by its id."""
        return self._keyring.check_values(installation)

    def look(self) -> None:
        """Take the keys that are there by now."""
        # Not after each other's: else an older answer could come last.
        with self._looking:
            self._keyring = self._newer(self._keyring) or self._keyring
            self._awake = self._clock()

    def _current(self) -> Keyring:
        """Give the keyring to seal with, looked for anew by who was asleep."""
        if self._clock() - self._awake >= _ASLEEP_SECONDS:
            self.look()
        return self._keyring

    def _holding(self, key: str) -> Keyring:
        """Give the keyring, looked for anew if it lacks `key`."""
        now = self._clock()
        # Ids that are made up, as in a token, must not have the file read again and again.
        if key not in self._keyring.wrapping and now - self._looked >= _LOOKS_APART_SECONDS:
            self._looked = now
            self.look()
        return self._keyring

    def seal(self, place: Place, value: str) -> str:
        """Seal `value` for `place`; returns the envelope as ASCII text."""
        keyring = self._current()
        data_key = secrets.token_bytes(_KEY_BYTES)
        nonce = secrets.token_bytes(_NONCE_BYTES)
        wrapped = aes_key_wrap(keyring.wrapping[keyring.active], data_key)
        ciphertext = AESGCM(data_key).encrypt(nonce, value.encode(), self._aad(place))
        return ".".join((_FORMAT, keyring.active, _encode(wrapped), _encode(nonce), _encode(ciphertext)))

    def open(self, place: Place, envelope: str) -> str:
        """Open the envelope of `place`. Raises UnreadableSecretError."""
        value = self._try_open(place, envelope)
        if value is None:
            raise UnreadableSecretError(place, self._lacking(envelope))
        return value

    def wrapped(self, place: Place, envelope: str) -> Wrapped:
        """Tell how the envelope of `place` stands to the keys; opens it, and lets go of what it holds."""
        if self._try_open(place, envelope) is None:
            return Wrapped(Wrapping.UNDECRYPTABLE, self._lacking(envelope))
        form, key, *_ = envelope.split(".")
        if key != self._keyring.active:
            return Wrapped(Wrapping.OUTSTANDING, key)
        return Wrapped(Wrapping.REWRAPPED if form == _REWRAPPED else Wrapping.CURRENT, key)

    def rewrapped(self, place: Place, envelope: str) -> str:
        """Wrap the envelope's data key with the active key, if another has wrapped it and the envelope opens.

        What is sealed stays as it is, and so does the reference that stands for
        it. An envelope that cannot be opened is given back as it is, for a key
        that is found again.
        """
        keyring = self._holding(key := named_key(envelope) or "")
        if key == keyring.active or _opened(keyring, self._aad(place), envelope) is None:
            return envelope
        _, _, wrapped, nonce, ciphertext = envelope.split(".")
        data_key = aes_key_unwrap(keyring.wrapping[key], _decode(wrapped))
        again = aes_key_wrap(keyring.wrapping[keyring.active], data_key)
        return ".".join((_REWRAPPED, keyring.active, _encode(again), nonce, ciphertext))

    def _try_open(self, place: Place, envelope: str) -> str | None:
        key = named_key(envelope)
        return None if key is None else _opened(self._holding(key), self._aad(place), envelope)

    def _lacking(self, envelope: str) -> str | None:
        key = named_key(envelope)
        return None if key in self._keyring.wrapping else key

    def seal_token(self, place: Place, value: str) -> str:
        """Seal what a caller keeps for us, as text of base64url; nobody else can read or make it."""
        return _encode(self.seal(place, value).encode())

    def open_token(self, place: Place, token: str) -> str | None:
        """Open what `seal_token` made for `place`; None for anything else."""
        try:
            envelope = _decode(token).decode("ascii")
        except ValueError:
            return None
        return self._try_open(place, envelope)

    def reference(self, place: Place, envelope: str) -> str:
        """Make the reference shown instead of the secret: `secret:` and 22 characters of base64url.

        It is a truncated HMAC (RFC 2104 section 5) over the place and the sealed
        value, so it tells nobody without the key anything but "not sealed anew
        since". Over the value itself it would tell who may write the secret when
        a guess is right: the reference would come back. Wrapping the data key
        anew changes nothing. Raises UnreadableSecretError.
        """
        parts = envelope.split(".")
        if len(parts) != _PARTS:
            raise UnreadableSecretError(place, None)
        nonce, ciphertext = parts[-2:]
        sealed = framed(place.family, place.uid, place.attribute, nonce, ciphertext)
        return "secret:" + _encode(hmac.digest(self._keyring.fingerprint, sealed, "sha256")[:16])

    def refers(self, reference: str, place: Place, envelope: str) -> bool:
        """Tell whether `reference` stands for the secret in `envelope`, in constant time."""
        # As bytes: of texts compare_digest takes ASCII only.
        own = self.reference(place, envelope)
        return hmac.compare_digest(reference.encode("utf-8", "replace"), own.encode())

    def mac(self, *fields: str | bytes | int) -> bytes:
        """Make a keyed MAC (HMAC-SHA-256) over length-prefixed fields."""
        return hmac.digest(self._keyring.mac, framed(*fields), "sha256")

    @staticmethod
    def _aad(place: Place) -> bytes:
        return framed(_FORMAT, place.family, place.uid, place.attribute)


def named_key(envelope: str) -> str | None:
    """Name the key that an envelope needs; None for what is no envelope."""
    form, *parts = envelope.split(".")
    if form not in (_FORMAT, _REWRAPPED) or len(parts) != _PARTS - 1 or not _KEY_ID.match(parts[0]):
        return None
    return parts[0]


def _opened(keyring: Keyring, aad: bytes, envelope: str) -> str | None:
    try:
        _, key, *parts = envelope.split(".")
        wrapped, nonce, ciphertext = (_decode(part) for part in parts)
        data_key = aes_key_unwrap(keyring.wrapping[key], wrapped)
        return AESGCM(data_key).decrypt(nonce, ciphertext, aad).decode()
    except (ValueError, KeyError, InvalidTag, InvalidUnwrap):
        return None
