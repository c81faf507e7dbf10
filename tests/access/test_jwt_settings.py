"""`jwt` of a domain as text: where tokens are found, the keys, and what is wrong with them."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from unittest.mock import create_autospec

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa as native
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey, KeySet, RSAKey

from accounts_service.access.authenticators import JWT, Conditions
from accounts_service.access.authenticators.jwt import EC_ALGORITHMS, HMAC_BYTES, RSA_ALGORITHMS, Tokens
from accounts_service.access.authenticators.user_mapping import UserMapping
from accounts_service.access.configuration import (
    AUTHC,
    FILES,
    REQUIRED,
    ConfigProblem,
    Configuration,
    Domain,
    is_key_set,
    read,
)
from tests.support.tokens import OCT, SECRET, base64url, certificate, elliptic, jwk, public_pem, rsa, token

SECRETS = {"signing_key": base64.b64encode(SECRET).decode()}
KEY_SET = "idp.jwks.json"

AN_RSA_KEY = "An RSA public key of at least 2048 bits"
AN_EC_KEY = "An EC public key on P-256, P-384, P-521"
A_KEY = "A list with a key for signatures: RSA, EC or oct"


def configured(
    jwt: Mapping[str, object] | None, files: Mapping[str, str] | None = None, **more: object
) -> tuple[Configuration, list[ConfigProblem]]:
    domain = {"type": JWT, **({} if jwt is None else {"jwt": dict(jwt)}), **more}
    return read(dict.fromkeys(REQUIRED, "") | {AUTHC: json.dumps({"auth_domains": [domain]})} | dict(files or {}))


def tokens(jwt: Mapping[str, object], files: Mapping[str, str] | None = None) -> Tokens:
    found, problems = configured(jwt, files)
    assert problems == []
    (domain,) = found.domains
    assert domain.tokens is not None
    return domain.tokens


def told(jwt: Mapping[str, object] | None, files: Mapping[str, str] | None = None) -> list[str]:
    _, problems = configured(jwt, files)
    return [str(problem).removeprefix(f"{AUTHC}: auth_domains.0.jwt.") for problem in problems]


def named(jwt: Mapping[str, object], text: str) -> bool:
    """Tell whose name a token brings: alice's, or nobody's."""
    said = tokens(jwt).verified(text)
    assert said is None or said["sub"] == "alice"
    return said is not None


# -- Domains ------------------------------------------------------------------


def test_what_is_not_said_is_as_search_guard_has_it() -> None:
    found, problems = configured(SECRETS)
    assert problems == []
    (domain,) = found.domains
    assert domain.tokens is not None
    expected = Tokens(domain.tokens.keys, "authorization", (), None, skew_seconds=10, challenge=True)
    assert domain == Domain(
        JWT, Conditions(), UserMapping(), challenge=True, with_internal_users=False, tokens=expected
    )
    assert found.left_out == ()


def test_everything_may_be_said() -> None:
    found = tokens(
        {
            **SECRETS,
            "header": "X-Token",
            "required_audience": ["us", "also-us"],
            "required_issuer": "https://idp.example",
            "max_clock_skew_seconds": 0,
            "challenge": False,
        }
    )
    assert found == Tokens(found.keys, "x-token", ("us", "also-us"), "https://idp.example", 0, challenge=False)
    assert tokens({**SECRETS, "required_audience": "us"}).audiences == ("us",)


@pytest.mark.parametrize("name", ("jwks_endpoint", "jwks_from_openid_configuration"))
@pytest.mark.parametrize("also", ({}, {"jwks": {"keys": [jwk(OCT)]}}, {"nonsense": 1}))
def test_a_domain_with_keys_elsewhere_is_left_out_and_nobody_is_called(name: str, also: dict[str, object]) -> None:
    url = "https://idp.example/secret-path"
    found, problems = configured({"signing": {name: {"url": url}, **also}}, user_mapping={"nonsense": 1})
    assert (found.domains, problems) == ((), [])
    assert found.left_out == (f"auth_domains.0 (jwt): the keys of jwt.signing.{name} are elsewhere; nobody is called",)


def test_no_token_is_read_out_of_an_address_and_the_domain_stays() -> None:
    found, problems = configured({**SECRETS, "url_parameter": "token"})
    assert (len(found.domains), problems) == (1, [])
    assert found.left_out == (
        "auth_domains.0.jwt.url_parameter: no token is read out of an address; addresses end in logs",
    )


@pytest.mark.parametrize(
    ("jwt", "problems"),
    (
        (None, ["signing: Required attribute is missing"]),
        ({}, ["signing: Required attribute is missing"]),
        ({"signing": {}}, ["signing: Required attribute is missing"]),
        ({"signing": "x"}, ["signing: Invalid value (expected: A mapping)"]),
        ({"signing": {"jwks": None}}, ["signing.jwks: Unsupported attribute"]),
        ({"signing": {"pem": "x"}}, ["signing.pem: Unsupported attribute"]),
        ({**SECRETS, "subject_key": "x"}, ["subject_key: Unsupported attribute"]),
        ({**SECRETS, "url_parameter": []}, ["url_parameter: Invalid value (expected: A string)"]),
        ({**SECRETS, "header": "X Token"}, ["header: Invalid value (expected: The name of a header)"]),
        ({**SECRETS, "header": "x_token"}, ["header: Invalid value (expected: The name of a header)"]),
        ({**SECRETS, "required_issuer": ""}, ["required_issuer: Invalid value (expected: An issuer)"]),
        ({**SECRETS, "required_issuer": None}, ["required_issuer: Unsupported attribute"]),
        ({**SECRETS, "required_audience": None}, ["required_audience: Unsupported attribute"]),
        ({**SECRETS, "challenge": 1}, ["challenge: Invalid value (expected: true or false)"]),
    ),
)
def test_what_is_wrong_with_a_domain_is_told(jwt: dict[str, object] | None, problems: list[str]) -> None:
    assert told(jwt) == problems


@pytest.mark.parametrize("audience", ("", [], [""], ["us", ""]))
def test_an_audience_without_a_value_is_not_taken_for_any(audience: object) -> None:
    problem = "required_audience: Invalid value (expected: One or more audiences)"
    assert told({**SECRETS, "required_audience": audience}) == [problem]


@pytest.mark.parametrize("seconds", (-1, 3601, 10000, "x", "", 1.5, "٣"))
def test_clocks_are_off_by_an_hour_at_most(seconds: object) -> None:
    problem = "max_clock_skew_seconds: Invalid value (expected: Whole seconds, at most 3600)"
    assert told({**SECRETS, "max_clock_skew_seconds": seconds}) == [problem]
    assert tokens({**SECRETS, "max_clock_skew_seconds": 3600}).skew_seconds == 3600


# -- Secrets ------------------------------------------------------------------


@pytest.mark.parametrize(("length", "algorithms"), ((32, ["HS256"]), (48, ["HS256", "HS384"]), (64, [*HMAC_BYTES])))
def test_a_secret_is_for_the_algorithms_it_is_long_enough_for(length: int, algorithms: list[str]) -> None:
    for jwt in (
        {"signing_key": base64.b64encode(b"k" * length).decode()},
        {"signing": {"jwks": {"keys": [{"kty": "oct", "k": base64url(b"k" * length)}]}}},
    ):
        (key,) = tokens(jwt).keys
        assert sorted(key.algorithms) == algorithms


@pytest.mark.parametrize(("algorithm", "least"), HMAC_BYTES.items())
def test_a_secret_shorter_than_the_hash_is_a_problem_that_names_the_least(algorithm: str, least: int) -> None:
    def keys(length: int) -> dict[str, object]:
        key = {"kty": "oct", "alg": algorithm, "k": base64url(b"k" * length)}
        return {"signing": {"jwks": {"keys": [key]}}}

    problem = f"signing.jwks.keys.0.k: Invalid value (expected: A secret of at least {least} bytes in base64url)"
    for length in (0, 5, 13, least - 1):
        assert told(keys(length)) == [problem]
    (key,) = tokens(keys(least)).keys
    assert key.algorithms == {algorithm}


@pytest.mark.parametrize("text", ("", "short", base64.b64encode(b"k" * 31).decode(), "k" * 63, "*" * 64, "é" * 64))
def test_a_signing_key_is_a_secret_in_base64(text: str) -> None:
    problem = "signing_key: Invalid value (expected: A secret of at least 32 bytes in base64)"
    assert told({"signing_key": text}) == [problem]


def test_a_public_key_is_never_taken_for_a_secret() -> None:
    problem = "signing_key: Invalid value (expected: A secret of at least 32 bytes in base64)"
    for key in (rsa(), elliptic()):
        ssh = key.public_key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
        pem, der = public_pem(key), key.as_der(private=False)
        written = certificate(key)
        certified = x509.load_pem_x509_certificate(written.encode()).public_bytes(serialization.Encoding.DER)
        assert told({"signing_key": pem}) == [problem]
        for raw in (pem.encode(), der, ssh, written.encode(), certified, key.as_pem(private=True), b"-----BEGIN " * 9):
            assert told({"signing_key": base64.b64encode(raw).decode()}) == [problem]
            assert told({"signing": {"jwks": {"keys": [{"kty": "oct", "k": base64url(raw)}]}}}) == [
                "signing.jwks.keys.0.k: Invalid value (expected: A secret of at least 32 bytes in base64url)"
            ]


# -- Key sets -----------------------------------------------------------------


def test_an_inline_key_set_has_keys_of_every_kind() -> None:
    keys = [jwk(rsa(), kid="r", use="sig", alg="RS256"), jwk(elliptic("P-384"), kid="e"), jwk(OCT, alg="HS512")]
    found = tokens({"signing": {"jwks": {"keys": keys, "more": 1}}})
    assert [(key.kid, *key.algorithms) for key in found.keys] == [("r", "RS256"), ("e", "ES384"), (None, "HS512")]
    for text in (token(rsa(), "RS256", kid="r"), token(elliptic("P-384"), "ES384", kid="e"), token(alg="HS512")):
        assert found.verified(text)


def test_without_an_algorithm_of_its_own_a_key_is_for_those_of_its_kind() -> None:
    published = [jwk(rsa()), *(jwk(elliptic(curve)) for curve in EC_ALGORITHMS)]
    first, *others = tokens({"signing": {"jwks": {"keys": published}}}).keys
    assert first.algorithms == RSA_ALGORITHMS
    assert [[*key.algorithms] for key in others] == [[algorithm] for algorithm in EC_ALGORITHMS.values()]


USELESS: tuple[dict[str, object], ...] = (
    {"kty": "OKP", "crv": "Ed25519", "x": "AAAA"},
    {"kty": "AKP"},
    {"kty": ["RSA"]},
    {},
    {"kty": "EC", "crv": "secp256k1", "x": "AAAA", "y": "AAAA"},
    {"kty": "EC", "crv": ["P-256"]},
    {"kty": "RSA", "use": "enc", "n": "AAAA", "e": "AQAB"},
    {"kty": "RSA", "alg": "RSA-OAEP", "n": "AAAA", "e": "AQAB"},
    {"kty": "RSA", "alg": "HS256", "n": "AAAA", "e": "AQAB"},
    {"kty": "EC", "crv": "P-256", "alg": "ES384"},
    {"kty": "oct", "alg": "RS256", "k": "AAAA"},
    {"kty": "oct", "alg": "none", "k": "AAAA"},
    {"kty": "oct", "alg": ["HS256"], "k": "AAAA"},
    {"kty": "RSA", "key_ops": ["sign"], "n": "AAAA", "e": "AQAB"},
)


@pytest.mark.parametrize("useless", USELESS, ids=str)
def test_a_key_that_checks_no_signature_known_here_is_left_out_by_name(useless: dict[str, object]) -> None:
    found, problems = configured({"signing": {"jwks": {"keys": [useless, jwk(OCT, key_ops=["sign", "verify"])]}}})
    assert problems == []
    assert [len(domain.tokens.keys) for domain in found.domains if domain.tokens] == [1]
    place = "auth_domains.0.jwt.signing.jwks.keys.0"
    assert found.left_out == (f"{place}: no key for signatures of a kind that is known here",)
    assert told({"signing": {"jwks": {"keys": [useless]}}}) == [f"signing.jwks.keys: Invalid value (expected: {A_KEY})"]


def weak_rsa() -> dict[str, object]:
    key = RSAKey.import_key(
        native.generate_private_key(65537, 1024)  # noqa: S505  # that is the point
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return jwk(key)


@pytest.mark.filterwarnings("ignore:Key size")
def test_all_problems_of_a_key_set_are_told_at_once() -> None:
    rsa_key, ec_key = jwk(rsa()), jwk(elliptic())
    keys: list[object] = [
        {"kty": "RSA", "e": "AQAB"},
        {**rsa_key, "n": "*"},
        {**rsa_key, "n": 5},
        {**rsa_key, "e": "AQ"},
        weak_rsa(),
        rsa().as_dict(private=True),
        {**ec_key, "x": ec_key["y"], "kid": ["x"]},
        {**ec_key, "crv": "P-384"},
        {"kty": "oct"},
        "text",
    ]
    assert told({"signing": {"jwks": {"keys": keys}}}) == [
        f"signing.jwks.keys.{problem}"
        for problem in (
            "0.n: Required attribute is missing",
            f"1: Invalid value (expected: {AN_RSA_KEY})",
            f"2: Invalid value (expected: {AN_RSA_KEY})",
            f"3: Invalid value (expected: {AN_RSA_KEY})",
            f"4: Invalid value (expected: {AN_RSA_KEY})",
            "5.d: A private key has no place here",
            "6.kid: Invalid value (expected: A string)",
            f"6: Invalid value (expected: {AN_EC_KEY})",
            f"7: Invalid value (expected: {AN_EC_KEY})",
            "8.k: Required attribute is missing",
            "9: Invalid value (expected: A mapping)",
        )
    ]


@pytest.mark.parametrize(
    ("jwks", "problem"),
    (
        ({}, "keys: Required attribute is missing"),
        ({"keys": []}, f"keys: Invalid value (expected: {A_KEY})"),
    ),
)
def test_a_key_set_has_keys(jwks: dict[str, object], problem: str) -> None:
    assert told({"signing": {"jwks": jwks}}) == [f"signing.jwks.{problem}"]
    assert told({"signing": {"jwks_file": KEY_SET}}, {KEY_SET: json.dumps(jwks)}) == [f"{KEY_SET}: {problem}"]


# -- A file of keys -----------------------------------------------------------

FILE = {"signing": {"jwks_file": KEY_SET}}


@pytest.mark.parametrize("indent", (None, 2, "\t"))
def test_a_key_set_may_stand_in_a_file(indent: int | str | None) -> None:
    published = KeySet([rsa(), elliptic()]).as_dict()
    found = tokens(FILE, {KEY_SET: json.dumps(published, indent=indent)})
    assert found.verified(token(rsa(), "RS256"))
    assert [key.kid for key in found.keys] == [key["kid"] for key in published["keys"]]


def test_what_is_wrong_with_the_file_is_told_under_its_name() -> None:
    text = json.dumps({"keys": [{"kty": "RSA", "e": "AQAB"}, {"kty": "x"}]})
    assert told(FILE, {KEY_SET: text}) == [f"{KEY_SET}: keys.0.n: Required attribute is missing"]
    assert told(FILE, {KEY_SET: "[]"})[0] == f"{KEY_SET}: Invalid value (expected: A mapping)"
    assert told(FILE, {KEY_SET: "{"})[0].startswith(f"{KEY_SET}: Invalid YAML document")
    twice = '{"keys": [], "keys": [{"kty": "oct"}]}'
    assert "the key 'keys' stands twice" in told(FILE, {KEY_SET: twice})[0]


def test_a_key_in_the_file_that_is_of_no_use_is_named_with_the_file() -> None:
    found, problems = configured(FILE, {KEY_SET: json.dumps({"keys": [jwk(OCT), {"kty": "x"}]})})
    assert problems == []
    assert found.left_out == (f"{KEY_SET}: keys.1: no key for signatures of a kind that is known here",)


def test_two_domains_may_share_a_file() -> None:
    domain = {"type": JWT, "jwt": FILE}
    texts = {AUTHC: json.dumps({"auth_domains": [domain, domain]}), KEY_SET: json.dumps({"keys": [jwk(OCT)]})}
    found, problems = read(dict.fromkeys(REQUIRED, "") | texts)
    assert (len(found.domains), problems) == (2, [])


@pytest.mark.parametrize(
    "name",
    (
        "other.jwks.json",
        "../idp.jwks.json",
        "/etc/idp.jwks.json",
        "keys/idp.jwks.json",
        "idp.json",
        ".jwks.json",
        "sg_roles.yml",
        "",
    ),
)
def test_the_file_lies_beside_the_others_and_is_known_by_its_name(name: str) -> None:
    assert told({"signing": {"jwks_file": name}}, {KEY_SET: "{}", name: "{}"} if is_key_set(name) else {}) == (
        [f"{name}: keys: Required attribute is missing"]
        if is_key_set(name)
        else ["signing.jwks_file: Invalid value (expected: The name of a file beside this one, such as idp.jwks.json)"]
    )
    assert told({"signing": {"jwks_file": name}})


@pytest.mark.parametrize("name", (*FILES, "idp.jwks.json\n", "a b.jwks.json", "x" * 65 + ".jwks.json", "é.jwks.json"))
def test_nothing_else_is_a_key_set(name: str) -> None:
    assert not is_key_set(name)


# -- Keys in PEM --------------------------------------------------------------


@pytest.mark.parametrize("form", ("public_key", "certificate"))
def test_a_key_in_pem_is_a_public_key_or_a_certificate(form: str) -> None:
    write = {"public_key": public_pem, "certificate": certificate}[form]
    jwt: dict[str, object] = {"signing": {"rsa": {form: write(rsa()), "algorithm": "PS256", "kid": "r"}}}
    (key,) = tokens(jwt).keys
    assert (key.kid, *key.algorithms) == ("r", "PS256")
    assert named(jwt, token(rsa(), "PS256"))
    assert not named(jwt, token(rsa(), "RS256"))
    for curve, algorithm in EC_ALGORITHMS.items():
        for more in ({}, {"algorithm": algorithm}):
            jwt = {"signing": {"ec": {form: write(elliptic(curve)), "curve": curve, **more}}}
            (key,) = tokens(jwt).keys
            assert (key.kid, *key.algorithms) == (None, algorithm)
            assert named(jwt, token(elliptic(curve), algorithm))


def test_keys_of_every_source_are_known_together() -> None:
    jwt: dict[str, object] = {
        **SECRETS,
        "signing": {
            "jwks": {"keys": [jwk(rsa("a"), kid="a")]},
            "rsa": {"public_key": public_pem(rsa("b")), "algorithm": "RS256", "kid": "b"},
            "ec": {"public_key": public_pem(elliptic()), "curve": "P-256", "kid": "c"},
        },
    }
    assert [key.kid for key in tokens(jwt).keys] == ["a", "b", "c", None]
    for text in (token(rsa("b"), "RS256", kid="b"), token(elliptic(), "ES256", kid="c"), token()):
        assert named(jwt, text)


@pytest.mark.parametrize(
    ("signing", "problems"),
    (
        ({"rsa": "x"}, ["rsa: Invalid value (expected: A mapping)", "rsa.public_key", "rsa.algorithm"]),
        ({"rsa": {}}, ["rsa.public_key: Required", "rsa.algorithm: Required"]),
        ({"ec": {}}, ["ec.public_key: Required", "ec.curve: Required"]),
        ({"rsa": {"public_key": [], "algorithm": "RS256"}}, ["rsa.public_key: Invalid value (expected: A string)"]),
        (
            {"rsa": {"public_key": "x", "algorithm": "RS256"}},
            [f"rsa.public_key: Invalid value (expected: {AN_RSA_KEY}"],
        ),
        ({"ec": {"certificate": "x", "curve": "P-256"}}, [f"ec.certificate: Invalid value (expected: {AN_EC_KEY}"]),
        (
            {"ec": {"certificate": "x", "public_key": "y", "curve": "P-256"}},
            ["ec.public_key: This stands beside certificate"],
        ),
        (
            {"rsa": {"public_key": public_pem(rsa()), "algorithm": "HS256", "kid": []}},
            ["rsa.kid: Invalid", "rsa.algorithm: Invalid value (expected: PS256|PS384|PS512|RS256|RS384|RS512)"],
        ),
        ({"rsa": {"public_key": public_pem(elliptic()), "algorithm": "RS256"}}, ["rsa.public_key: Invalid"]),
        ({"rsa": {"public_key": rsa().as_pem(private=True).decode(), "algorithm": "RS256"}}, ["rsa.public_key: Inv"]),
        ({"ec": {"public_key": public_pem(rsa()), "curve": "P-256"}}, ["ec.public_key: Invalid"]),
        (
            {"ec": {"public_key": public_pem(elliptic()), "curve": "P-384"}},
            ["ec.curve: Invalid value (expected: The curve of the key: P-256|P-384|P-521)"],
        ),
        ({"ec": {"public_key": public_pem(elliptic()), "curve": "secp256k1"}}, ["ec.curve: Invalid value"]),
        ({"ec": {"public_key": "x", "curve": "x"}}, ["ec.public_key: Invalid", "ec.curve: Invalid value"]),
        (
            {"ec": {"public_key": public_pem(elliptic()), "curve": "P-256", "algorithm": "HS256", "x": 1}},
            ["ec.x: Unsupported", "ec.algorithm: Invalid value (expected: ES256, which is the one for this curve)"],
        ),
        ({"ec": {"public_key": "x", "curve": "P-256", "algorithm": "ES256"}}, ["ec.public_key: Invalid"]),
    ),
)
def test_what_is_wrong_with_a_key_in_pem_is_told(signing: dict[str, object], problems: list[str]) -> None:
    found = told({"signing": signing})
    assert len(found) == len(problems)
    for problem, start in zip(found, problems, strict=True):
        assert problem.startswith(f"signing.{start}")


# -- Nothing gets out ---------------------------------------------------------

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=20)
    | st.sampled_from(("AQAB", "sig", "verify", "P-256")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
JWKS = st.fixed_dictionaries(
    {"kty": st.sampled_from(("RSA", "EC", "oct")) | JSON},
    optional={
        **dict.fromkeys(("n", "e", "d", "x", "y", "k"), st.sampled_from(("AQAB", base64url(SECRET))) | JSON),
        **dict.fromkeys(("crv", "alg", "use", "key_ops", "kid", "x5c"), JSON),
    },
)
PEMS = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("certificate", "public_key", "algorithm", "curve", "kid"), JSON)
)
SIGNING = st.fixed_dictionaries(
    {},
    optional={"jwks": st.fixed_dictionaries({"keys": st.lists(JWKS, max_size=3) | JSON}), "rsa": PEMS, "ec": PEMS},
)


@given(st.fixed_dictionaries({"signing": SIGNING | JSON}, optional=dict.fromkeys(("signing_key", "header"), JSON)))
def test_whatever_stands_there_is_read_or_told_and_no_key_is(jwt: dict[str, object]) -> None:
    found, problems = configured(jwt)
    assert problems or found.domains or found.left_out
    shown = f"{problems}{found.left_out}{found!r}"
    assert base64url(SECRET) not in shown
    assert SECRET.decode() not in shown


def test_no_key_is_quoted_in_a_problem() -> None:
    pem = public_pem(rsa())
    broken = pem.replace("A", "B", 1)
    middle = pem.splitlines()[3]
    private = ECKey.generate_key("P-256").as_dict(private=True)
    jwt: dict[str, object] = {
        "signing_key": "c2hvcnQ=",
        "signing": {
            "rsa": {"public_key": broken[:200], "certificate": pem, "algorithm": middle},
            "ec": {"certificate": broken, "curve": middle, "algorithm": middle},
            "jwks": {"keys": [private, {"kty": "oct", "k": "c2hvcnQ"}, {"kty": "RSA", "n": middle, "e": middle}]},
        },
    }
    shown = "".join(told(jwt))
    assert "signing.jwks.keys.0.d" in shown
    for secret in (middle, "c2hvcnQ", str(private["d"]), str(private["x"]), "BEGIN"):
        assert secret not in shown


def test_a_key_on_an_unknown_curve_is_told() -> None:
    der = elliptic().as_der(private=False).replace(bytes.fromhex("2a8648ce3d030107"), bytes.fromhex("2a8648ce3d03017f"))
    pem = f"-----BEGIN PUBLIC KEY-----\n{base64.b64encode(der).decode()}\n-----END PUBLIC KEY-----\n"
    (problem,) = told({"signing": {"ec": {"public_key": pem, "curve": "P-256"}}})
    assert problem.startswith("signing.ec.public_key: Invalid value")


def test_what_a_library_raises_for_a_key_is_told_and_not_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse = create_autospec(RSAKey.import_key, side_effect=x509.InvalidVersion("key material", 7))
    monkeypatch.setattr(RSAKey, "import_key", refuse)
    assert told({"signing": {"jwks": {"keys": [jwk(rsa())]}}}) == [
        f"signing.jwks.keys.0: Invalid value (expected: {AN_RSA_KEY})"
    ]
