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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

_FORMAT = "v1"
_KEY_BYTES = 32
_NONCE_BYTES = 12
_PARTS = 5

REFERENCE = re.compile(r"secret:[A-Za-z0-9_-]{22}\Z")


class BadKeysFileError(Exception):
    """The keys file cannot be used; the message says why and never shows a key."""


class UnreadableSecretError(Exception):
    """An envelope that does not open: tampered with, moved, or sealed under a key we do not have."""


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
    # A dot would end it within an envelope, which then could never be opened.
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
        raise ValueError("not a key id")
    return name


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
        key_id = "k" + secrets.token_hex(4)
        return cls(
            active=key_id,
            wrapping={key_id: secrets.token_bytes(_KEY_BYTES)},
            mac=secrets.token_bytes(_KEY_BYTES),
            fingerprint=secrets.token_bytes(_KEY_BYTES),
        )

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
        # None instead of an exception, here and in Vault._try_open: what the
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
                raise BadKeysFileError(f"{path} is not a file")
            if stat.S_IMODE(status.st_mode) & 0o027:
                raise BadKeysFileError(f"{path} may be read by others or written by the group; chmod 600 it")
            data = file.read()
    except OSError as error:
        raise BadKeysFileError(f"{path}: {error.strerror}") from None
    return Keyring.from_json(data)


def _open_at_once(path: str, flags: int) -> int:
    # Otherwise opening a pipe waits for somebody to write to it.
    return os.open(path, flags | os.O_NONBLOCK)


class Vault:
    """Seals and opens secrets, and makes the references that stand for them."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def seal(self, place: Place, value: str) -> str:
        """Seal `value` for `place`; returns the envelope as ASCII text."""
        data_key = secrets.token_bytes(_KEY_BYTES)
        nonce = secrets.token_bytes(_NONCE_BYTES)
        wrapped = aes_key_wrap(self._keyring.wrapping[self._keyring.active], data_key)
        ciphertext = AESGCM(data_key).encrypt(nonce, value.encode(), self._aad(place))
        return ".".join((_FORMAT, self._keyring.active, _encode(wrapped), _encode(nonce), _encode(ciphertext)))

    def open(self, place: Place, envelope: str) -> str:
        """Open the envelope of `place`. Raises UnreadableSecretError."""
        value = self._try_open(place, envelope)
        if value is None:
            raise UnreadableSecretError(f"cannot open {place.family}/{place.uid}/{place.attribute}")
        return value

    def _try_open(self, place: Place, envelope: str) -> str | None:
        try:
            version, key_id, *parts = envelope.split(".")
            wrapped, nonce, ciphertext = (_decode(part) for part in parts)
            if version != _FORMAT:
                return None
            data_key = aes_key_unwrap(self._keyring.wrapping[key_id], wrapped)
            return AESGCM(data_key).decrypt(nonce, ciphertext, self._aad(place)).decode()
        except (ValueError, KeyError, InvalidTag, InvalidUnwrap):
            return None

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
            raise UnreadableSecretError(f"cannot open {place.family}/{place.uid}/{place.attribute}")
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
