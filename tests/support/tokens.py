"""Tokens for tests, good and forged, and the keys they are signed with."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import json
import time
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey
from joserfc.jws import JWSRegistry

SECRET = b"a secret that is shared with them alone, and is long enough even for HS512"
OCT = OctKey.import_key(SECRET)


@cache
def rsa(name: str = "") -> RSAKey:
    """Give an RSA key; another for each name."""
    del name
    return RSAKey.generate_key(2048)


@cache
def elliptic(curve: str = "P-256") -> ECKey:
    """Give an EC key, one a curve."""
    return ECKey.generate_key(curve)


def public_pem(key: RSAKey | ECKey) -> str:
    """Write the public half in PEM."""
    return key.as_pem(private=False).decode()


def certificate(key: RSAKey | ECKey) -> str:
    """Write a certificate of a key, signed with itself, in PEM. It has long expired."""
    private = key.private_key
    assert private is not None
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "idp.example")])
    start = dt.datetime(2001, 1, 1, tzinfo=dt.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=1))
        .sign(private, hashes.SHA256())
    )
    return built.public_bytes(serialization.Encoding.PEM).decode()


def jwk(key: RSAKey | ECKey | OctKey, **more: object) -> dict[str, object]:
    """Write a key as a provider publishes it."""
    return {name: value for name, value in key.as_dict(private=False).items() if name != "kid"} | more


def claims(**more: object) -> dict[str, object]:
    """Give what a token of alice says, for the next minute; a claim of None is left out."""
    now = int(time.time())
    said = {"sub": "alice", "iat": now, "nbf": now, "exp": now + 3600} | more
    return {name: value for name, value in said.items() if value is not None}


def token(key: RSAKey | ECKey | OctKey = OCT, alg: str = "HS256", said: object = None, **header: object) -> str:
    """Sign a token; `said` are its claims, of alice if there are none."""
    text = said if isinstance(said, dict) else claims()
    registry = JWSRegistry(algorithms=[alg], strict_check_header=False)
    return jwt.encode({"alg": alg, **header}, text, key, registry=registry)


def forged(header: object, said: object, secret: bytes = SECRET) -> str:
    """Sign anything with HMAC-SHA-256, whatever its header says."""
    text = f"{encoded(header)}.{encoded(said)}"
    return f"{text}.{base64url(hmac.digest(secret, text.encode(), hashlib.sha256))}"


def encoded(document: object) -> str:
    """Encode a part of a token; a string is JSON already."""
    text = document if isinstance(document, str) else json.dumps(document)
    return base64url(text.encode())


def base64url(raw: bytes) -> str:
    """Encode as tokens are."""
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
