"""Whom a token names, and which tokens are good."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from types import MappingProxyType
from typing import TypedDict, Unpack
from unittest.mock import create_autospec

import joserfc.jwt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from accounts_service.access.authenticators import (
    JWT,
    Conditions,
    Criteria,
    Facts,
    Identified,
    NoCredentials,
    Origin,
    Outcome,
    Peer,
    Rejected,
)
from accounts_service.access.authenticators.internal_users import InternalUser, InternalUsers, VerifiedCredentials
from accounts_service.access.authenticators.jwt import (
    CHALLENGE,
    EC_ALGORITHMS,
    HMAC_BYTES,
    LONGEST_TOKEN,
    RSA_ALGORITHMS,
    Jwt,
    Tokens,
    VerificationKey,
)
from accounts_service.access.authenticators.user_mapping import Names, Source, UserMapping, parse_path
from accounts_service.access.patterns import Matcher
from accounts_service.access.roles import REALM, Identity
from tests.support.lines import narrow
from tests.support.log_ins import Unlimited
from tests.support.tokens import (
    OCT,
    SECRET,
    base64url,
    claims,
    elliptic,
    encoded,
    forged,
    jwk,
    public_pem,
    rsa,
    token,
)

ADDRESS = ip_address("192.0.2.1")
DIRECT = Origin(Peer(ADDRESS), trusted=False, address=ADDRESS)
PROXIED = Origin(Peer(ip_address("10.0.0.1")), trusted=True, address=ADDRESS)

SHARED = VerificationKey(frozenset(("HS256",)), None, OCT)
RSA = VerificationKey(RSA_ALGORITHMS, "rsa", rsa())
EC = VerificationKey(frozenset(("ES256",)), "ec", elliptic())

ALICE = Identity(realm=REALM, name="alice", address=ADDRESS, domain=JWT)
NOTHING: Mapping[str, str] = MappingProxyType({})


def ask(
    header: str | None,
    *keys: VerificationKey,
    tokens: Tokens | None = None,
    mapping: UserMapping = UserMapping(),  # noqa: B008  # frozen
    conditions: Conditions = Conditions(),  # noqa: B008  # frozen
    more: InternalUsers | None = None,
    now: int | None = None,
    origin: Origin = DIRECT,
    headers: Mapping[str, str] = NOTHING,
) -> Outcome:
    sent = headers if header is None else {"authorization": header, **headers}
    domain = Jwt(
        conditions, tokens or Tokens(keys or (SHARED,)), mapping, more, now=None if now is None else lambda: now
    )
    return domain.authenticate(Facts(origin.peer, sent), origin)


def bring(text: str, *keys: VerificationKey) -> Outcome:
    return ask(f"Bearer {text}", *keys)


class Options(TypedDict, total=False):
    tokens: Tokens
    conditions: Conditions
    more: InternalUsers
    now: int
    origin: Origin
    headers: Mapping[str, str]


def say(
    said: Mapping[str, object],
    mapping: UserMapping = UserMapping(),  # noqa: B008  # frozen
    **options: Unpack[Options],
) -> Outcome:
    return ask(f"Bearer {forged({'alg': 'HS256'}, said)}", mapping=mapping, **options)


def identity_of(outcome: Outcome) -> Identity:
    assert isinstance(outcome, Identified)
    return outcome.identity


def names(path: str, split: str | None = None) -> Names:
    return Names((Source(parse_path(path), split=split),))


# -- Where it is found --------------------------------------------------------


@pytest.mark.parametrize("scheme", ("Bearer ", "bearer ", "BEARER ", "bEaReR   ", "  Bearer "))
def test_a_good_token_identifies_under_the_scheme_in_any_case(scheme: str) -> None:
    assert ask(scheme + token()) == Identified(ALICE)


@pytest.mark.parametrize("header", (None, "", "Bearer", "Bearer  ", "Basic YTpi", "BearerX a.b.c", "Bearer\ta.b.c"))
def test_without_a_bearer_token_there_are_no_credentials_and_one_is_asked_for(header: str | None) -> None:
    assert ask(header) == NoCredentials(CHALLENGE)
    assert ask(header, tokens=Tokens((SHARED,), challenge=False)) == NoCredentials(None)


def test_the_scheme_is_needed_in_every_header_and_without_it_there_are_no_credentials() -> None:
    tokens = Tokens((SHARED,), header="x-token")
    assert ask(None, tokens=tokens, headers={"x-token": token()}) == NoCredentials(CHALLENGE)
    assert ask(None, tokens=tokens, headers={"x-token": f"Bearer {token()}"}) == Identified(ALICE)
    assert ask(f"Bearer {token()}", tokens=tokens) == NoCredentials(CHALLENGE)


# -- Signatures ---------------------------------------------------------------


@pytest.mark.parametrize("algorithm", sorted(RSA_ALGORITHMS))
def test_every_algorithm_of_an_rsa_key_is_checked(algorithm: str) -> None:
    assert bring(token(rsa(), algorithm), RSA) == Identified(ALICE)
    assert bring(token(rsa("another"), algorithm), RSA) == Rejected()


@pytest.mark.parametrize(("curve", "algorithm"), EC_ALGORITHMS.items())
def test_the_algorithm_of_a_curve_is_checked(curve: str, algorithm: str) -> None:
    key = VerificationKey(frozenset((algorithm,)), None, elliptic(curve))
    assert bring(token(elliptic(curve), algorithm), key) == Identified(ALICE)
    assert bring(token(elliptic(), "ES256"), VerificationKey(key.algorithms, None, rsa())) == Rejected()


@pytest.mark.parametrize("algorithm", HMAC_BYTES)
def test_every_algorithm_of_a_secret_is_checked(algorithm: str) -> None:
    key = VerificationKey(frozenset((algorithm,)), None, OCT)
    assert bring(token(alg=algorithm), key) == Identified(ALICE)
    assert bring(token(alg=algorithm)[:-4] + "AAAA", key) == Rejected()


@pytest.mark.parametrize("algorithm", ("none", "NONE", "nOnE", "", None, 0, ["none"], {"none": 1}))
@pytest.mark.parametrize("signature", ("", "AAAA"))
def test_a_token_without_a_signature_is_rejected(algorithm: object, signature: str) -> None:
    anything = VerificationKey(frozenset(("none", "NONE", "nOnE", "")), None, OCT)
    header = encoded({"alg": algorithm})
    for key in (SHARED, RSA, anything):
        assert bring(f"{header}.{encoded(claims())}.{signature}", key) == Rejected()
    assert bring(f"{encoded({'typ': 'JWT'})}.{encoded(claims())}.{signature}") == Rejected()


@pytest.mark.parametrize("keys", ((RSA,), (EC,), (RSA, EC), (SHARED, RSA, EC)))
@pytest.mark.parametrize("kid", ({}, {"kid": "rsa"}, {"kid": "ec"}))
def test_a_public_key_is_never_a_secret(keys: tuple[VerificationKey, ...], kid: dict[str, str]) -> None:
    for key in (rsa(), elliptic()):
        pem = public_pem(key).encode()
        for public in (pem, pem.strip(), key.as_der(private=False)):
            for algorithm in HMAC_BYTES:
                assert bring(forged({"alg": algorithm, **kid}, claims(), public), *keys) == Rejected()


def test_a_key_checks_only_its_own_algorithms() -> None:
    pinned = VerificationKey(frozenset(("RS256",)), None, rsa())
    assert bring(token(rsa(), "RS256"), pinned) == Identified(ALICE)
    assert bring(token(rsa(), "PS256"), pinned) == Rejected()
    assert bring(token(rsa(), "RS512"), pinned) == Rejected()
    assert bring(token(alg="HS512")) == Rejected()


# -- Which key ----------------------------------------------------------------


def test_a_token_names_its_key() -> None:
    old, new = (VerificationKey(RSA_ALGORITHMS, name, rsa(name)) for name in ("old", "new"))
    assert bring(token(rsa("new"), "RS256", kid="new"), old, new) == Identified(ALICE)
    assert bring(token(rsa("new"), "RS256", kid="old"), old, new) == Rejected()


def test_an_unknown_key_is_rejected() -> None:
    assert bring(token(rsa(), "RS256", kid="unknown"), RSA, EC) == Rejected()
    assert bring(token(rsa(), "RS256", kid="unknown"), RSA) == Rejected()
    nameless = VerificationKey(RSA_ALGORITHMS, None, rsa())
    assert bring(token(rsa(), "RS256", kid="unknown"), nameless, EC) == Rejected()
    assert bring(token(rsa(), "RS256", kid="unknown")) == Rejected()


def test_without_any_key_nobody_is_identified() -> None:
    assert ask(f"Bearer {token()}", tokens=Tokens(())) == Rejected()


def test_the_only_key_is_meant_by_every_name_if_it_has_none() -> None:
    assert bring(token(kid="anything")) == Identified(ALICE)


def test_a_token_that_names_no_key_means_the_first_whose_algorithm_it_is() -> None:
    another = VerificationKey(RSA_ALGORITHMS, "another", rsa("another"))
    assert bring(token(elliptic(), "ES256"), RSA, another, EC) == Identified(ALICE)
    assert bring(token(rsa(), "RS256"), EC, RSA, another) == Identified(ALICE)
    assert bring(token(rsa("another"), "RS256"), EC, RSA, another) == Rejected()


@pytest.mark.parametrize("kid", (None, 1, ["rsa"], {"rsa": 1}))
def test_a_name_that_is_no_text_is_rejected(kid: object) -> None:
    assert bring(forged({"alg": "HS256", "kid": kid}, claims())) == Rejected()


def test_a_key_that_the_sender_brings_along_is_never_used() -> None:
    mine = rsa("attacker")
    where = "https://attacker.example/keys"  # No test can reach it: it would fail, not be rejected.
    for header in (
        {"jwk": jwk(mine)},
        {"jku": where},
        {"x5u": where},
        {"x5c": ["AAAA"]},
        {"jwk": jwk(mine), "kid": "rsa", "jku": where},
    ):
        assert bring(token(mine, "RS256", **header), RSA) == Rejected()
        assert bring(token(rsa(), "RS256", **(header | {"kid": "rsa"})), RSA) == Identified(ALICE)


# -- Headers ------------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    (
        {"crit": ["exp"], "exp": 1},
        {"crit": ["x"], "x": 1},
        {"crit": ["x"]},
        {"crit": ["alg"]},
        {"crit": ["b64"], "b64": True},
        {"crit": ["b64"], "b64": False},
        {"b64": False},
        {"b64": True},
        {"crit": []},
        {"crit": "alg"},
        {"crit": None},
        {"crit": 5},
        {"crit": [[1]]},
    ),
)
def test_what_is_critical_is_not_understood_and_refused(header: dict[str, object]) -> None:
    assert bring(forged({"alg": "HS256", **header}, claims())) == Rejected()


def test_what_is_not_critical_is_ignored() -> None:
    header = {"alg": "HS256", "typ": "at+jwt", "nonce": [1], "x": "y" * 1000}
    assert bring(forged(header, claims())) == Identified(ALICE)


@pytest.mark.parametrize(
    "header",
    ([], ["alg"], ["alg", "crit"], '"alg"', '"alg crit"', '"alg b64 crit"', "", 5, None, True, "{", "[" * 5000),
)
def test_a_header_that_is_none_is_rejected(header: object) -> None:
    assert bring(forged(header, claims())) == Rejected()


def test_a_header_that_is_no_text_is_rejected() -> None:
    assert bring(f"{base64url(bytes((0xFF, 0xFE)))}.{encoded(claims())}.AAAA") == Rejected()


@pytest.mark.parametrize("said", ([], "{", "[]", "null", 5, "[" * 9000, "{" * 9000, '{"sub":' * 1500))
def test_claims_that_are_none_are_rejected(said: object) -> None:
    assert bring(forged({"alg": "HS256"}, said)) == Rejected()


def test_a_token_may_be_16_kib_long(monkeypatch: pytest.MonkeyPatch) -> None:
    longest = next(
        text
        for kind in ("", "J", "JWT")  # Base64 has no text of every length.
        for padding in range(11950, 12200)
        if len(text := forged({"alg": "HS256", "typ": kind}, claims(x="y" * padding))) == LONGEST_TOKEN
    )
    assert bring(longest) == Identified(ALICE)
    decode = create_autospec(joserfc.jwt.decode, side_effect=AssertionError("it was parsed"))
    monkeypatch.setattr(joserfc.jwt, "decode", decode)
    assert bring(longest + "A") == Rejected()


# -- Claims -------------------------------------------------------------------

NOW = 1_800_000_000


@pytest.mark.parametrize("skew", (0, 10, 300))
def test_times_hold_up_to_the_skew_of_the_clocks(skew: int) -> None:
    tokens = Tokens((SHARED,), skew_seconds=skew)

    def good(**times: object) -> bool:
        return isinstance(say({"sub": "alice", **times}, tokens=tokens, now=NOW), Identified)

    assert good()
    assert good(exp=NOW - skew + 1)
    assert not good(exp=NOW - skew)
    for name in ("nbf", "iat"):
        assert good(**{name: NOW + skew})
        assert not good(**{name: NOW + skew + 1})


def test_without_a_clock_of_its_own_a_domain_asks_that_of_the_system() -> None:
    assert say(claims()) == Identified(ALICE)
    assert say(claims(exp=1)) == Rejected()


@pytest.mark.parametrize("name", ("exp", "nbf", "iat"))
@pytest.mark.parametrize("value", ('"1800000060"', "true", "null", "[]", "{}", "NaN", "Infinity", "-Infinity", "1e999"))
def test_a_time_that_is_no_number_is_rejected(name: str, value: str) -> None:
    assert bring(forged({"alg": "HS256"}, f'{{"sub": "alice", "{name}": {value}}}')) == Rejected()


@pytest.mark.parametrize("subject", ("", None, 7, True, [], ["alice"], {"alice": 1}))
def test_a_subject_is_a_text_that_is_not_empty(subject: object) -> None:
    assert say({"sub": subject}) == Rejected()
    assert say({"sub": subject, "mail": "a@b"}, UserMapping(names("jwt.mail"))) == Rejected()


def test_a_subject_is_needed_unless_the_name_is_mapped() -> None:
    assert say({"mail": "a@b"}) == Rejected()
    assert identity_of(say({"mail": "a@b"}, UserMapping(names("jwt.mail")))).name == "a@b"


@pytest.mark.parametrize(
    ("audience", "good"),
    (
        ("us", True),
        ("also-us", True),
        (["them", "us"], True),
        ("them", False),
        ("", False),
        ([], False),
        (None, False),
        ({"us": 1}, False),
        (["us", 1], False),
        ("US", False),
        ("us,them", False),
    ),
)
def test_a_token_may_have_to_be_for_us(audience: object, *, good: bool) -> None:
    outcome = say({"sub": "alice", "aud": audience}, tokens=Tokens((SHARED,), audiences=("us", "also-us")))
    assert isinstance(outcome, Identified if good else Rejected)
    assert say({"sub": "alice"}, tokens=Tokens((SHARED,), audiences=("us",))) == Rejected()


def test_a_token_for_others_is_good_where_no_audience_is_required() -> None:
    assert say({"sub": "alice", "aud": "them", "iss": "somebody"}) == Identified(ALICE)


@pytest.mark.parametrize(
    "issuer", ("https://idp.example/", "https://IDP.example", "", None, 1, ["https://idp.example"])
)
def test_a_token_may_have_to_be_of_an_issuer(issuer: object) -> None:
    tokens = Tokens((SHARED,), issuer="https://idp.example")
    assert say({"sub": "alice", "iss": "https://idp.example"}, tokens=tokens) == Identified(ALICE)
    assert say({"sub": "alice", "iss": issuer}, tokens=tokens) == Rejected()
    assert say({"sub": "alice"}, tokens=tokens) == Rejected()


# -- Mapping ------------------------------------------------------------------


def test_no_roles_are_read_unless_they_are_mapped() -> None:
    said = {"sub": "alice", "roles": ["a", "b"], "groups": "c, d", "realm": {"access": {"roles": ["e"]}}}
    assert identity_of(say(said)).backend_roles == frozenset()
    for roles, expected in (
        (names("jwt.roles"), {"a", "b"}),
        (names("jwt.groups", ","), {"c", "d"}),
        (names("jwt.realm.access.roles"), {"e"}),
        (names("$.jwt['realm'].access['roles'][*]"), {"e"}),
        (names("jwt.none"), set()),
    ):
        assert identity_of(say(said, UserMapping(roles=roles))).backend_roles == expected


def test_a_name_and_attributes_are_mapped() -> None:
    mapping = UserMapping(names("jwt.mail"), attribute_sources=(("team", Source(parse_path("jwt.org.team"))),))
    identity = identity_of(say({"sub": "7", "mail": "a@b", "org": {"team": 5}}, mapping))
    assert (identity.name, identity.attributes) == ("a@b", (("team", "5"),))
    assert say({"sub": "7", "mail": ["a@b", "c@d"]}, mapping) == Rejected()
    assert say({"sub": "7"}, mapping) == Rejected()


def test_a_mapping_believes_no_header_of_anyone_but_a_trusted_proxy() -> None:
    mapping = UserMapping(roles=names("request.headers.x-role"))
    assert identity_of(say(claims(), mapping, headers={"x-role": "all"})).backend_roles == frozenset()
    trusted = say(claims(), mapping, headers={"x-role": "all"}, origin=PROXIED)
    assert identity_of(trusted).backend_roles == {"all"}


def test_users_that_the_domain_is_not_for_are_told_by_their_mapped_name() -> None:
    mapping = UserMapping(names("jwt.mail"))
    for conditions in (
        Conditions(accept=Criteria(users=Matcher(["alice"]))),
        Conditions(skip=Criteria(users=Matcher(["*@b"]))),
    ):
        assert say(claims(mail="a@b"), mapping, conditions=conditions) == Rejected()
        assert say(claims(mail="a@b"), conditions=conditions) == Identified(ALICE)


def test_more_may_be_known_of_the_user() -> None:
    known = InternalUsers(
        {"alice": InternalUser(hash="", roles=frozenset(("reader",)))}, VerifiedCredentials(), narrow(), Unlimited()
    )
    identity = identity_of(say(claims(), more=known))
    assert identity.roles == {"reader"}
    assert identity.domain == JWT


@pytest.mark.parametrize("text", ("a\\u0000b", "\\ud800", "a\\nb", "\\u202e"))
def test_what_no_database_takes_for_text_is_no_name_role_or_attribute(text: str) -> None:
    mapping = UserMapping(roles=names("jwt.roles"), attribute_sources=(("x", Source(parse_path("jwt.x"))),))
    for said in (f'{{"sub": "{text}"}}', f'{{"sub": "a", "roles": ["{text}"]}}', f'{{"sub": "a", "x": "{text}"}}'):
        assert ask(f"Bearer {forged({'alg': 'HS256'}, said)}", mapping=mapping) == Rejected()
    unread = f'{{"sub": "a", "y": "{text}"}}'
    assert isinstance(ask(f"Bearer {forged({'alg': 'HS256'}, unread)}", mapping=mapping), Identified)


# -- Secrets ------------------------------------------------------------------


def test_no_key_is_shown() -> None:
    shown = repr(Jwt(Conditions(), Tokens((SHARED, RSA, EC))))
    for key in (OCT, rsa(), elliptic()):
        members = {str(value) for name, value in key.as_dict().items() if name in ("k", "n", "x")}
        assert members
        assert not [member for member in members if member in shown]
    assert SECRET.decode() not in shown
    assert "object at" not in shown


# -- Whatever is sent ---------------------------------------------------------

GOOD = token()


@given(st.integers(0, len(GOOD) - 1), st.characters(codec="utf-8"))
@example(len(GOOD) - 1, GOOD[-1])
@example(GOOD.index("."), ",")
def test_a_token_with_another_character_names_nobody_else(place: int, character: str) -> None:
    mangled = GOOD[:place] + character + GOOD[place + 1 :]
    outcome = bring(mangled)
    assert outcome == (Identified(ALICE) if mangled == GOOD else Rejected())


@given(st.text().map("Bearer {}".format) | st.lists(st.text("AQgw_-=+/.", max_size=9)).map("Bearer a.{}".format))
def test_no_text_is_a_token(header: str) -> None:
    assert isinstance(ask(header), Rejected | NoCredentials)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
HEADERS = st.fixed_dictionaries(
    {"alg": st.just("HS256") | JSON},
    optional=dict.fromkeys(("kid", "typ", "cty", "crit", "b64", "jku", "jwk", "x5u", "x5c", "x5t", "zip", "enc"), JSON),
)
CLAIMS = st.fixed_dictionaries(
    {"sub": st.just("alice") | JSON},
    optional=dict.fromkeys(("exp", "nbf", "iat", "aud", "iss", "jti", "roles", "validate", "value"), JSON),
)


@given(JSON | HEADERS, JSON | CLAIMS)
def test_whatever_is_signed_makes_an_outcome(header: object, said: object) -> None:
    mapping = UserMapping(roles=names("jwt.roles"))
    tokens = Tokens((SHARED,), audiences=("us",), issuer="them")
    sent = f"Bearer {forged(header, said)}"
    assert isinstance(ask(sent, mapping=mapping), Rejected | Identified)
    assert isinstance(ask(sent, tokens=tokens), Rejected | Identified)
