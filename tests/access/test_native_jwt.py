"""Which JWTs are good for NetBird, what they say, and what netbird_jwt.yml may say of them."""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Mapping
from typing import Any

import pytest
from structlog.testing import capture_logs

from accounts_service.access.authenticators.jwt import EC_ALGORITHMS, LONGEST_TOKEN, Tokens
from accounts_service.access.configuration import NETBIRD_JWT, REQUIRED, ConfigProblem, Configuration, read
from accounts_service.access.native_jwt import NativeClaims, NativeJwt
from tests.support.tokens import OCT, SECRET, base64url, claims, elliptic, encoded, forged, jwk, rsa, token

ISSUER = "https://idp.example"
KEY_SET = "idp.jwks.json"
FILE: dict[str, object] = {
    "signing": {"jwks": {"keys": [jwk(rsa(), kid="r"), jwk(elliptic(), kid="e")]}},
    "required_issuer": ISSUER,
    "required_audience": ["netbird", "nb"],
}
SHARED = FILE | {"signing": None, "signing_key": base64.b64encode(SECRET).decode()}


def configured(document: object, files: Mapping[str, str] | None = None) -> tuple[Configuration, list[ConfigProblem]]:
    text = document if isinstance(document, str) else json.dumps(document)
    return read(dict.fromkeys(REQUIRED, "") | {NETBIRD_JWT: text} | dict(files or {}))


def native(document: object, files: Mapping[str, str] | None = None) -> NativeJwt:
    found, problems = configured(document, files)
    assert problems == []
    assert found.netbird_jwt is not None
    return found.netbird_jwt


def told(document: object, files: Mapping[str, str] | None = None) -> list[str]:
    _, problems = configured(document, files)
    return [str(problem).removeprefix(f"{NETBIRD_JWT}: ") for problem in problems]


def said(**more: object) -> dict[str, object]:
    return claims(iss=ISSUER, aud="netbird", **more)


def own(**more: object) -> dict[str, object]:
    """Give what a token says, with NetBird's claims in the namespace of the audience."""
    return said(**{f"netbird/{name}": value for name, value in more.items()})


def bring(text: object, **more: object) -> NativeClaims | None:
    return native(SHARED | more).verified(text if isinstance(text, str) else forged({"alg": "HS256"}, text))


def good(text: object, **more: object) -> NativeClaims:
    found = bring(text, **more)
    assert found is not None
    return found


# -- What a good token says ---------------------------------------------------


@pytest.mark.parametrize(
    ("key", "alg", "kid"), ((rsa(), "RS256", "r"), (rsa(), "PS512", "r"), (elliptic(), "ES256", "e"))
)
def test_a_good_token_names_its_user(key: Any, alg: str, kid: str) -> None:
    found = native(FILE).verified(token(key, alg, said(), kid=kid))
    assert found is not None
    assert found == NativeClaims("alice", said=found.said)


@pytest.mark.parametrize(("curve", "algorithm"), EC_ALGORITHMS.items())
def test_keys_on_every_curve_are_known(curve: str, algorithm: str) -> None:
    keys = {"jwks": {"keys": [jwk(elliptic(curve), kid="one")]}}
    assert native(FILE | {"signing": keys}).verified(token(elliptic(curve), algorithm, said(), kid="one"))


def test_a_good_token_may_say_more() -> None:
    everything: dict[str, Any] = own(
        wt_account_id="ch8i4ug6lnn4g9hqv7l0",
        wt_account_domain="example.com",
        wt_account_domain_category="private",
        nb_last_login="2024-10-02T16:01:38.5Z",
        nb_invited=True,
    ) | {"email": "alice@example.com", "name": "Alice", "preferred_username": "ali"}
    assert good(everything) == NativeClaims(
        "alice",
        "ch8i4ug6lnn4g9hqv7l0",
        "example.com",
        "private",
        dt.datetime(2024, 10, 2, 16, 1, 38, 500000, dt.UTC),
        invited=True,
        email="alice@example.com",
        name="Alice",
        preferred_username="ali",
        said=everything,
    )


@pytest.mark.parametrize("aud", ("nb", ["them", "nb"], ["netbird", "nb"]))
def test_one_of_the_audiences_is_enough(aud: object) -> None:
    assert bring(said() | {"aud": aud})


def test_a_token_need_not_end() -> None:
    assert bring({"sub": "alice", "iss": ISSUER, "aud": "netbird"})


@pytest.mark.parametrize(
    ("namespace", "name"),
    (
        ({}, "netbird/wt_account_id"),
        ({"required_audience": "https://nb.example/"}, "https://nb.example/wt_account_id"),
        ({"claims_namespace": None}, "netbird/wt_account_id"),
        ({"claims_namespace": ""}, "wt_account_id"),
        ({"claims_namespace": "https://nb.example"}, "https://nb.example/wt_account_id"),
        ({"claims_namespace": "https://nb.example/a/"}, "https://nb.example/a/wt_account_id"),
        ({"claims_namespace": "/"}, "/wt_account_id"),
    ),
)
def test_netbirds_claims_stand_in_a_namespace(namespace: dict[str, object], name: str) -> None:
    aud = namespace.get("required_audience", "netbird")
    assert good(said() | {"aud": aud, name: "one"}, **namespace).account_id == "one"
    assert good(said() | {"aud": aud, f"x{name}": "one"}, **namespace).account_id == ""


def test_the_user_is_named_by_a_claim_of_choice() -> None:
    assert good(said(oid="auth0|7"), user_id_claim="oid").user_id == "auth0|7"
    assert good(said(oid="auth0|7", sub=None), user_id_claim="oid").user_id == "auth0|7"
    assert bring(said(), user_id_claim="oid") is None


@pytest.mark.parametrize(
    ("text", "moment"),
    (
        ("2024-10-02T16:01:38Z", dt.datetime(2024, 10, 2, 16, 1, 38, tzinfo=dt.UTC)),
        ("2024-10-02T18:01:38+02:00", dt.datetime(2024, 10, 2, 16, 1, 38, tzinfo=dt.UTC)),
        ("2024-10-02T16:01:38.123456789Z", dt.datetime(2024, 10, 2, 16, 1, 38, 123456, dt.UTC)),
        ("0001-01-01T00:00:00Z", None),
        ("0001-01-01T00:00:00+05:00", None),
        ("9999-12-31T23:59:59-05:00", None),
        ("2024-13-02T16:01:38Z", None),
        ("2024-10-02T16:01:60Z", None),
        ("2024-10-02 16:01:38Z", None),
        ("2024-10-02T16:01:38", None),
        ("2024-10-02", None),
        ("٢024-10-02T16:01:38Z", None),
        ("", None),
        (1727884898, None),
        (None, None),
    ),
)
def test_a_last_login_is_a_time_or_none(text: object, moment: dt.datetime | None) -> None:
    assert good(own(nb_last_login=text)).last_login == moment


@pytest.mark.parametrize("value", ("true", 1, [True], None, False))
def test_only_who_was_invited_is(value: object) -> None:
    assert not good(own(nb_invited=value)).invited


@pytest.mark.parametrize("name", ("email", "name", "preferred_username"))
@pytest.mark.parametrize("value", (None, 7, ["a"], "a\nb", "a\x00b", "\ud800", "a\x9fb", "a\u2028b", "x" * 256))
def test_nobody_is_kept_out_for_a_name(name: str, value: object) -> None:
    assert getattr(good(said() | {name: value}), name) == ""


def test_a_name_may_be_in_any_script() -> None:
    for name in ("Renée\u00a0Ünal", "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "x" * 255):
        assert good(said(name=name)).name == name


@pytest.mark.parametrize(
    ("claim", "groups"),
    (
        (["a", "b", "a"], ("a", "b")),
        ("a", ("a",)),
        ("a, b", ("a, b",)),
        (["a", 7, None, ["b"], {}, "", "c\nd", "x" * 256], ("a",)),
        ([], ()),
        ("", ()),
        ({"a": 1}, ()),
        (7, ()),
        (None, ()),
    ),
)
def test_groups_are_a_text_or_a_list_of_texts(claim: object, groups: tuple[str, ...]) -> None:
    assert good(said(groups=claim)).groups("groups") == groups
    assert good(said(groups=claim)).groups("Groups") == ()


def test_without_a_token_there_are_claims_for_tests_of_others() -> None:
    assert NativeClaims("alice").groups("groups") == ()


def test_what_was_said_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        good(said()).said["sub"] = "bob"  # type: ignore[index]  # that it cannot be is what is tested


# -- Tokens that are not good -------------------------------------------------

NOW = 1_800_000_000


@pytest.mark.parametrize(
    "claims",
    (
        {"iss": "https://them.example"},
        {"iss": None},
        {"iss": [ISSUER]},
        {"aud": "them"},
        {"aud": []},
        {"aud": None},
        {"exp": 1},
        {"exp": "x"},
        {"nbf": 4_000_000_000},
        {"iat": 4_000_000_000},
    ),
)
def test_a_token_of_another_issuer_audience_or_time_is_not_good(claims: dict[str, object]) -> None:
    assert bring(said() | claims) is None


@pytest.mark.parametrize("name", ("iss", "aud", "sub"))
def test_issuer_audience_and_user_must_be_said(name: str) -> None:
    assert bring(said(**{name: None}) if name == "sub" else {k: v for k, v in said().items() if k != name}) is None


@pytest.mark.parametrize("skew", (0, 10, 60))
def test_clocks_may_differ_by_the_skew(skew: int) -> None:
    jwt = native(SHARED | {"max_clock_skew_seconds": skew})

    def at(**times: int) -> bool:
        text = forged({"alg": "HS256"}, {"sub": "alice", "iss": ISSUER, "aud": "nb", **times})
        return jwt.verified(text, lambda: NOW) is not None

    assert (at(iat=NOW + skew), at(iat=NOW + skew + 1)) == (True, False)
    assert (at(nbf=NOW + skew), at(nbf=NOW + skew + 1)) == (True, False)
    assert (at(exp=NOW - skew + 1), at(exp=NOW - skew)) == (True, False)


def test_a_token_with_another_signature_is_not_good() -> None:
    for text in (
        token(rsa("another"), "RS256", said(), kid="r"),
        token(rsa(), "RS256", said(), kid="unknown"),
        token(OCT, "HS256", said(), kid="r"),
        f"{encoded({'alg': 'none', 'kid': 'r'})}.{encoded(said())}.",
        token(rsa(), "RS256", said(), kid="r")[:-8] + "AAAAAAAA",
        forged({"alg": "HS256", "kid": "r"}, said(), rsa().as_pem(private=False)),
    ):
        assert native(FILE).verified(text) is None


@pytest.mark.parametrize(
    "text", ("", ".", "..", "a.b.c", "nbp_9999EUDNdkeusjentDLSJEn1902u84390W6W", "é.é.é", "x" * (LONGEST_TOKEN + 1))
)
def test_what_is_no_token_is_not_good(text: str) -> None:
    assert bring(text) is None


@pytest.mark.parametrize("document", ([], "[]", "{", "null", 5, "[" * 5000))
def test_claims_that_are_no_object_are_not_good(document: object) -> None:
    assert bring(forged({"alg": "HS256"}, document)) is None


@pytest.mark.parametrize(
    "user_id",
    (
        "",
        None,
        7,
        True,
        ["a"],
        {},
        "a/b",
        "/",
        ".",
        "..",
        "current",
        "invites",
        "a\\b",
        "🔑" * 129,
        "a\nb",
        "a\x00b",
        "\ud800",
        "a\u202eb",
        "x" * 256,
    ),
)
@pytest.mark.parametrize("claim", ("sub", "oid"))
def test_a_user_id_is_a_text_that_can_stand_in_a_path(user_id: object, claim: str) -> None:
    assert bring(said() | {claim: user_id}, user_id_claim=claim) is None


@pytest.mark.parametrize("user_id", ("google-oauth2|1", "a b", "...", "ünal@example.com", "x" * 255))
def test_a_user_id_may_be_any_other_text(user_id: str) -> None:
    assert good(said(sub=user_id)).user_id == user_id


@pytest.mark.parametrize("name", ("wt_account_id", "wt_account_domain", "wt_account_domain_category"))
@pytest.mark.parametrize("value", (7, True, ["a"], {}, "a\nb", "\ud800", "x" * 256))
def test_what_decides_of_the_account_and_makes_no_sense_is_not_passed_over(name: str, value: object) -> None:
    assert bring(own(**{name: value})) is None
    assert bring(said() | {name: value})


@pytest.mark.parametrize("value", (None, ""))
def test_no_account_is_no_account(value: object) -> None:
    assert good(said() | {"netbird/wt_account_id": value}).account_id == ""


def test_neither_a_token_nor_what_it_says_is_shown_or_logged() -> None:
    canary = "canary-5b1e"
    whole = said(sub=canary, email=canary, groups=[canary])
    jwt = native(SHARED)
    with capture_logs() as logged:
        shown = repr(good(whole)) + str(good(whole)) + repr(jwt)
        for wrong in (whole | {"exp": 1}, whole | {"netbird/wt_account_id": [canary]}, whole | {"sub": f"{canary}/"}):
            assert jwt.verified(forged({"alg": "HS256"}, wrong)) is None
        assert jwt.verified(forged({"alg": "HS256"}, whole)[:-4] + "AAAA") is None
    assert logged == []
    for secret in (canary, SECRET.decode(), base64url(SECRET)):
        assert secret not in shown


# -- The file -----------------------------------------------------------------


def test_without_the_file_no_token_is_taken() -> None:
    found, problems = read(dict.fromkeys(REQUIRED, ""))
    assert (found.netbird_jwt, problems) == (None, [])


def test_what_is_not_said_has_a_default() -> None:
    found = native(FILE)
    tokens = Tokens(found.tokens.keys, audiences=("netbird", "nb"), issuer=ISSUER, skew_seconds=10)
    assert found == NativeJwt(tokens, user_id_claim="sub", claims_namespace="netbird")
    assert [key.kid for key in found.tokens.keys] == ["r", "e"]


def test_everything_may_be_said() -> None:
    found = native(
        FILE | {"max_clock_skew_seconds": 0, "user_id_claim": "https://x/oid", "claims_namespace": "https://nb.example"}
    )
    tokens = Tokens(found.tokens.keys, audiences=("netbird", "nb"), issuer=ISSUER, skew_seconds=0)
    assert found == NativeJwt(tokens, "https://x/oid", "https://nb.example")


def test_keys_may_be_written_with_dots_and_stand_in_a_file() -> None:
    text = f"signing.jwks_file: {KEY_SET}\nrequired_issuer: {ISSUER}\nrequired_audience: netbird\n"
    found = native(text, {KEY_SET: json.dumps({"keys": [jwk(rsa(), kid="r")]})})
    assert found.verified(token(rsa(), "RS256", said(), kid="r"))
    assert told(text) == [
        "signing.jwks_file: Invalid value (expected: The name of a file beside this one, such as idp.jwks.json)"
    ]


def test_a_key_that_is_of_no_use_is_passed_over_by_name() -> None:
    useless = {"kty": "OKP"}
    found, problems = configured(FILE | {"signing": {"jwks": {"keys": [useless, jwk(rsa())]}}})
    assert problems == []
    reason = "no key for signatures of a kind that is known here"
    assert found.left_out == (f"{NETBIRD_JWT}: signing.jwks.keys.0: {reason}",)
    text = json.dumps({"keys": [jwk(rsa()), useless]})
    found, problems = configured(FILE | {"signing": {"jwks_file": KEY_SET}}, {KEY_SET: text})
    assert problems == []
    assert found.left_out == (f"{NETBIRD_JWT}: {KEY_SET}: keys.1: {reason}",)


@pytest.mark.parametrize("nothing", ("", "{}", "signing: {}\nrequired_issuer:\nrequired_audience: ~\n"))
def test_keys_issuer_and_audience_must_be_said(nothing: str) -> None:
    assert told(nothing) == [
        f"{name}: Required attribute is missing" for name in ("required_issuer", "required_audience", "signing")
    ]


def test_all_problems_of_the_file_are_told_at_once() -> None:
    assert told(
        {
            "signing": {
                "jwks": {"keys": [{"kty": "RSA", "e": "AQAB"}]},
                "jwks_file": KEY_SET,
                "jwks_endpoint": {"url": ISSUER},
            },
            "signing_key": "short",
            "required_issuer": "",
            "required_audience": ["netbird", ""],
            "max_clock_skew_seconds": -1,
            "user_id_claim": "",
            "claims_namespace": [],
            "header": "X-Token",
            "challenge": True,
            "url_parameter": "token",
            "subject_key": "x",
        },
        {KEY_SET: '{"keys": []}'},
    ) == [
        "signing.jwks.keys.0.n: Required attribute is missing",
        f"{KEY_SET}: keys: Invalid value (expected: A list with a key for signatures: RSA, EC or oct)",
        "signing.jwks_endpoint: Unsupported attribute",
        "signing_key: Invalid value (expected: A secret of at least 32 bytes in base64)",
        "required_audience: Invalid value (expected: One or more audiences)",
        "required_issuer: Invalid value (expected: An issuer)",
        "max_clock_skew_seconds: Invalid value (expected: Whole seconds, at most 3600)",
        "user_id_claim: Invalid value (expected: The name of a claim)",
        "claims_namespace: Invalid value (expected: A string)",
        "header: Unsupported attribute",
        "challenge: Unsupported attribute",
        "url_parameter: Unsupported attribute",
        "subject_key: Unsupported attribute",
    ]
