"""Secrets that a search finds again, in whatever form they have got somewhere."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Iterable, Iterator
from urllib.parse import quote

from accounts_service.families.signals.schemas.accounts import SCHEMAS

# What is short is found by chance.
_SHORTEST = 16
# By these names secrets are sent, in bodies and headers.
_NAMES = frozenset(
    (
        *(name for schema in SCHEMAS.values() for name in schema.marked("secret")),
        *("client_secret", "code", "new_password", "old_password", "tokenID"),
    )
)
_HEADERS = frozenset(("authorization", "x-auth-token"))

# In base64 what stands before a text shifts it; the edges depend on the neighbours.
_SHIFTS = (0, 1, 2)


def forms_of(secret: str) -> Iterator[bytes]:
    """Give each form in which a secret is as good as in clear."""
    raw = secret.encode()
    yield raw
    yield raw.hex().encode()
    yield quote(secret, safe="").encode()
    yield json.dumps(secret)[1:-1].encode()
    for shift in _SHIFTS:
        encoded = base64.b64encode(b"\0" * shift + raw)
        # Without the characters that hold bits of what stands before or after.
        inner = encoded[-(-shift * 8 // 6) : len(encoded) - (4 if encoded.endswith(b"=") else 0)]
        yield inner
        yield inner.translate(bytes.maketrans(b"+/", b"-_"))


class Canaries:
    """Secrets by name."""

    def __init__(self) -> None:
        self._forms: dict[bytes, str] = {}
        self._known: set[str] = set()

    def make(self, name: str) -> str:
        """Make one: with letters of both kinds and figures, as passwords have to be."""
        return self.know(name, f"Canary{secrets.token_hex(12)}")

    def know(self, name: str, secret: str) -> str:
        """Look for a secret that was made elsewhere from now on."""
        assert len(secret) >= _SHORTEST, "what is short is found by chance"
        self._forms |= dict.fromkeys(forms_of(secret), name)
        return secret

    def found_in(self, there: bytes) -> set[str]:
        """Name those that are in there."""
        return {name for form, name in self._forms.items() if form in there}

    def know_all_of(self, headers: Iterable[tuple[str, str]], body: object) -> None:
        """Look for what a request has brought that by its name is a secret."""
        sent: list[object] = [value.rpartition(" ")[2] for name, value in headers if name.lower() in _HEADERS]
        if isinstance(body, dict):
            for name in _NAMES & body.keys():
                value = body[name]
                sent += value.values() if isinstance(value, dict) else [value]
        for secret in (value for value in sent if isinstance(value, str)):
            if len(secret) >= _SHORTEST and secret.isascii() and secret not in self._known:
                self._known.add(secret)
                self.know("what was sent", secret)
