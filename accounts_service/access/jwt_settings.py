"""`jwt` of a domain in sg_authc.yml, and netbird_jwt.yml: which tokens are taken, and the keys they are signed with.

https://docs.search-guard.com/latest/json-web-tokens and …/json-web-tokens-advanced.
`jwt.signing_key` is written as in the classic configuration
(https://docs.search-guard.com/7.x-51/json-web-tokens), `jwt.signing.jwks_file`
is ours; see docs/adr/0015. netbird_jwt.yml is ours altogether, in the same form
as far as that means something there. No part of a key ever stands in a problem.
"""

from __future__ import annotations

import base64
import re
import warnings
from collections.abc import Callable, Iterator
from typing import TypeVar

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509 import InvalidVersion
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import DictKey, ECKey, OctKey, RSAKey

from accounts_service.access.authenticators.jwt import (
    EC_ALGORITHMS,
    HMAC_BYTES,
    RSA_ALGORITHMS,
    Tokens,
    VerificationKey,
)
from accounts_service.access.documents import INVALID, MISSING, Cursor
from accounts_service.access.native_jwt import NativeJwt

K = TypeVar("K", OctKey, RSAKey, ECKey)

_KEY_SET = re.compile(r"[A-Za-z0-9_-]{1,64}\.jwks\.json")

_HEADER = re.compile(r"[A-Za-z0-9-]+")
_SECONDS = re.compile(r"[0-9]{1,4}")
_LARGEST_SKEW = 3600

_ELSEWHERE = ("jwks_endpoint", "jwks_from_openid_configuration")
_AN_RSA_KEY = "An RSA public key of at least 2048 bits"
_AN_EC_KEY = f"An EC public key on {', '.join(EC_ALGORITHMS)}"
_PRIVATE = "A private key has no place here"

# All that joserfc and cryptography have been seen to raise for what is no key.
_NO_KEY = (JoseError, ValueError, TypeError, UnsupportedAlgorithm, InvalidVersion, SecurityWarning)


def is_key_set(name: str) -> bool:
    """Tell whether a file of this name beside sg_authc.yml is a key set."""
    return _KEY_SET.fullmatch(name) is not None


def read(domain: Cursor, key_set: Callable[[str], Cursor | None], left_out: list[str]) -> Tokens | None:
    """Read the `jwt` of `domain`; None when the domain is left out, which is then told in `left_out`.

    `key_set` enters the document of a key set file, if there is one of that name.
    """
    entry = domain.child("jwt")
    signing = entry.child("signing")
    for name in _ELSEWHERE:
        if signing.has(name):
            left_out.append(f"{domain.path} (jwt): the keys of jwt.signing.{name} are elsewhere; nobody is called")
            return None
    if entry.text("url_parameter"):
        left_out.append(f"{entry.path}.url_parameter: no token is read out of an address; addresses end in logs")
    tokens = Tokens(
        keys=_all_keys(entry, signing, key_set, left_out),
        header=_header(entry),
        audiences=_audiences(entry),
        issuer=_issuer(entry),
        skew_seconds=_skew(entry),
        challenge=entry.flag("challenge", default=True),
    )
    entry.end()
    return tokens


def read_native(document: Cursor, key_set: Callable[[str], Cursor | None], left_out: list[str]) -> NativeJwt:
    """Read netbird_jwt.yml; keys that are passed over are told in `left_out`.

    Nothing is left out for keys that are elsewhere: no other program reads this
    file, so whoever wrote that here waits for tokens to be taken.
    """
    # Else a token that the provider has made for any other of its services would
    # make its bearer the owner of an account.
    document.require("required_issuer", "required_audience")
    document.ignore("required_issuer", "required_audience")
    tokens = Tokens(
        keys=_all_keys(document, document.child("signing"), key_set, left_out),
        audiences=_audiences(document),
        issuer=_issuer(document),
        skew_seconds=_skew(document),
    )
    native = NativeJwt(tokens, _user_id_claim(document), _claims_namespace(document, tokens.audiences))
    document.end()
    return native


def _user_id_claim(entry: Cursor) -> str:
    name = entry.text("user_id_claim")
    if name == "":
        entry.problem("user_id_claim", INVALID, "The name of a claim")
    return "sub" if name is None else name


def _claims_namespace(entry: Cursor, audiences: tuple[str, ...]) -> str:
    namespace = entry.text("claims_namespace")
    return next(iter(audiences), "") if namespace is None else namespace


def _header(entry: Cursor) -> str:
    name = entry.text("header") or "Authorization"
    if not _HEADER.fullmatch(name):
        entry.problem("header", INVALID, "The name of a header")
    return name.lower()


def _audiences(entry: Cursor) -> tuple[str, ...]:
    # Who wrote this meant to keep others' tokens out, so nothing is not anything.
    audiences = entry.texts("required_audience") if entry.has("required_audience") else ()
    if entry.has("required_audience") and not all((audiences, *audiences)):
        entry.problem("required_audience", INVALID, "One or more audiences")
    return audiences


def _issuer(entry: Cursor) -> str | None:
    issuer = entry.text("required_issuer") if entry.has("required_issuer") else None
    if issuer == "":
        entry.problem("required_issuer", INVALID, "An issuer")
    return issuer


def _skew(entry: Cursor) -> int:
    text = entry.text("max_clock_skew_seconds")
    if text is None:
        return 10
    if not _SECONDS.fullmatch(text) or int(text) > _LARGEST_SKEW:
        entry.problem("max_clock_skew_seconds", INVALID, f"Whole seconds, at most {_LARGEST_SKEW}")
        return 0
    return int(text)


# -- Keys ---------------------------------------------------------------------


def _all_keys(
    entry: Cursor, signing: Cursor, key_set: Callable[[str], Cursor | None], left_out: list[str]
) -> tuple[VerificationKey, ...]:
    if entry.take("signing") in (None, {}) and not entry.has("signing_key"):
        entry.problem("signing", MISSING)
    return (*_signing(signing, key_set, left_out), *_secret(entry))


def _signing(
    signing: Cursor, key_set: Callable[[str], Cursor | None], left_out: list[str]
) -> Iterator[VerificationKey]:
    if signing.has("jwks"):
        yield from _keys(signing.child("jwks"), "", left_out)
    if (name := signing.text("jwks_file")) is not None:
        document = key_set(name) if is_key_set(name) else None
        if document is None:
            signing.problem("jwks_file", INVALID, "The name of a file beside this one, such as idp.jwks.json")
        else:
            yield from _keys(document, f"{name}: ", left_out)
    if signing.has("rsa"):
        yield from _rsa(signing.child("rsa"))
    if signing.has("ec"):
        yield from _ec(signing.child("ec"))
    signing.end()


def _keys(document: Cursor, file: str, left_out: list[str]) -> Iterator[VerificationKey]:
    document.require("keys")
    any_for_signatures = False
    for entry in document.children("keys"):
        algorithms = _algorithms(entry)
        if algorithms:
            any_for_signatures = True
            yield from _jwk(entry, algorithms)
        else:
            left_out.append(f"{file}{entry.path}: no key for signatures of a kind that is known here")
    if document.has("keys") and not any_for_signatures:
        document.problem("keys", INVALID, "A list with a key for signatures: RSA, EC or oct")


def _algorithms(entry: Cursor) -> frozenset[str]:
    # A key of an unknown kind is to be ignored (RFC 7517, 5), and so is one
    # for encryption: providers publish all they have in one set.
    curve, operations = entry.take("crv"), entry.take("key_ops")
    if entry.take("use") not in (None, "sig") or (isinstance(operations, list) and "verify" not in operations):
        return frozenset()
    match entry.take("kty"):
        case "RSA":
            fitting = RSA_ALGORITHMS
        case "EC":
            fitting = frozenset(algorithm for name, algorithm in EC_ALGORITHMS.items() if name == curve)
        case "oct":
            fitting = frozenset(HMAC_BYTES)
        case _:
            return frozenset()
    designed = entry.take("alg")
    return frozenset(algorithm for algorithm in fitting if designed in (None, algorithm))


def _jwk(entry: Cursor, algorithms: frozenset[str]) -> Iterator[VerificationKey]:
    kid = entry.text("kid")
    match entry.take("kty"):
        case "RSA":
            yield from _public(entry, kid, algorithms, _from_members(entry, RSAKey, ("n", "e"), _AN_RSA_KEY))
        case "EC":
            yield from _public(entry, kid, algorithms, _from_members(entry, ECKey, ("crv", "x", "y"), _AN_EC_KEY))
        case _:
            text = entry.text("k")
            entry.require("k")
            if text is not None:
                yield from _hmac(entry, "k", kid, algorithms, _imported(OctKey, {"kty": "oct", "k": text}))


def _from_members(entry: Cursor, kind: type[K], names: tuple[str, ...], expected: str) -> K | None:
    entry.require(*names)
    members: DictKey = {name: text for name in names if (text := entry.text(name)) is not None}
    if len(members) < len(names):
        return None
    key = _imported(kind, {"kty": kind.key_type, **members})
    if key is None:
        entry.problem("", INVALID, expected)
    return key


def _public(
    entry: Cursor, kid: str | None, algorithms: frozenset[str], key: RSAKey | ECKey | None
) -> Iterator[VerificationKey]:
    if entry.has("d"):
        entry.problem("d", _PRIVATE)
    if key is not None:
        yield VerificationKey(algorithms, kid, key)


def _rsa(entry: Cursor) -> Iterator[VerificationKey]:
    key = _from_pem(entry, RSAKey, _AN_RSA_KEY)
    entry.require("algorithm")
    algorithm, kid = entry.text("algorithm"), entry.text("kid")
    entry.end()
    if algorithm is not None and algorithm not in RSA_ALGORITHMS:
        entry.problem("algorithm", INVALID, "|".join(sorted(RSA_ALGORITHMS)))
    elif algorithm is not None and key is not None:
        yield VerificationKey(frozenset((algorithm,)), kid, key)


def _ec(entry: Cursor) -> Iterator[VerificationKey]:
    key = _from_pem(entry, ECKey, _AN_EC_KEY)
    entry.require("curve")
    curve, algorithm, kid = entry.text("curve"), entry.text("algorithm"), entry.text("kid")
    entry.end()
    if curve is None:
        return
    if curve not in EC_ALGORITHMS or (key is not None and key.curve_name != curve):
        entry.problem("curve", INVALID, f"The curve of the key: {'|'.join(EC_ALGORITHMS)}")
    elif algorithm not in (None, EC_ALGORITHMS[curve]):
        entry.problem("algorithm", INVALID, f"{EC_ALGORITHMS[curve]}, which is the one for this curve")
    elif key is not None:
        yield VerificationKey(frozenset((EC_ALGORITHMS[curve],)), kid, key)


def _from_pem(entry: Cursor, kind: type[K], expected: str) -> K | None:
    given = [name for name in ("certificate", "public_key") if entry.has(name)]
    entry.ignore("certificate", "public_key")
    if len(given) != 1:
        entry.problem("public_key", "This stands beside certificate" if given else MISSING)
        return None
    text = entry.text(given[0])
    if text is None:
        return None
    key = _imported(kind, text)
    if key is None:
        entry.problem(given[0], INVALID, f"{expected}, in PEM")
    return key


def _secret(entry: Cursor) -> Iterator[VerificationKey]:
    text = entry.text("signing_key")
    if text is None:
        return
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError:
        raw = b""  # Which is no key either.
    yield from _hmac(entry, "signing_key", None, frozenset(HMAC_BYTES), _imported(OctKey, raw))


def _hmac(
    entry: Cursor, name: str, kid: str | None, algorithms: frozenset[str], key: OctKey | None
) -> Iterator[VerificationKey]:
    # Without `alg` a secret is for each algorithm that it is long enough for.
    length = 0 if key is None else len(key.raw_value)
    fitting = frozenset(algorithm for algorithm in algorithms if HMAC_BYTES[algorithm] <= length)
    if key is not None and fitting:
        yield VerificationKey(fitting, kid, key)
        return
    least = min(HMAC_BYTES[algorithm] for algorithm in algorithms)
    entry.problem(name, INVALID, f"A secret of at least {least} bytes in {'base64url' if name == 'k' else 'base64'}")


def _imported(kind: type[K], value: str | bytes | DictKey) -> K | None:
    with warnings.catch_warnings():
        # joserfc only warns of short keys, and of a PEM key that it is to take
        # for a secret. The filter is the process's; nobody else imports keys.
        warnings.simplefilter("error", SecurityWarning)
        try:
            key = kind.import_key(value)
        except _NO_KEY:
            return None
    return None if kind.key_type != "oct" and key.is_private else key
