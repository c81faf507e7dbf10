"""NetBird's personal access tokens: what one looks like, what is kept of it, and how long it is good."""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from structlog.testing import capture_logs

from accounts_service.families.netbird.store.native import UserTokens
from accounts_service.families.netbird.store.tokens import checksum, digest_of, is_token, new_token
from accounts_service.web.services import BadTokenOrderError, TokenOrder
from tests.support.netbird import AUTHOR, ROOT, NetBird, token_header
from tests.support.service import Service

OWN = "/users/{uid:owner}/tokens"
ORDER: dict[str, Any] = {"name": "of the pipeline", "expires_in": 30}
DAY = 24 * 60 * 60
# Method, what follows `/tokens` for a user, and a body.
CALLS: tuple[tuple[str, str, Any], ...] = (
    ("GET", "", None),
    ("POST", "", ORDER),
    ("GET", "/{{tid:{}}}", None),
    ("DELETE", "/{{tid:{}}}", None),
)
NOON = 1_800_000_000

GOOD = (
    "nbp_9999EUDNdkeusjentDLSJEn1902u84390W6W",
    "nbp_z1pvsg2wP3EzmEou4S679KyTNhov632eyrXe",
    "nbp_abcdefghijklmnopqrstuvwxyz01232LolCm",
    "nbp_pad0000000000000000000000000030OZWhH",
)


class Clock:
    """A clock that stands where it is put."""

    def __init__(self) -> None:
        self.seconds = float(NOON)

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def netbird(service: Service) -> NetBird:
    return NetBird(service)


@pytest.fixture
def clock(netbird: NetBird, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Stop the time; the tokens of the fixture are good for a while then."""
    clock = Clock()
    monkeypatch.setattr(netbird.service.services.database, "_clock", clock)
    with netbird.service.services.database.begin() as connection:
        later = {"later": (NOON + 1000 * DAY) * 1_000_000}
        connection.execute(text("UPDATE netbird_token SET expires_us = :later"), later)
    return clock


# -- At the command line --------------------------------------------------------


@pytest.mark.any_database
@pytest.mark.parametrize("principal", ("", ".", "..", "current", "invites", "a/b", "a\\b", "a\nb", "x" * 256))
def test_nobody_is_made_whom_no_path_could_name(service: Service, principal: str) -> None:
    order = TokenOrder(principal, create=True, name="t", roles=("owner",), account="x.example")
    with (
        pytest.raises(BadTokenOrderError, match="a user's id is a line"),
        service.services.database.transaction(UserTokens, AUTHOR) as tokens,
    ):
        tokens.create(order, service.services.settings)


# -- The form -----------------------------------------------------------------


@pytest.mark.parametrize("token", GOOD)
def test_tokens_that_netbird_made_are_tokens(token: str) -> None:
    assert is_token(token)
    assert checksum(token[4:34]) == token[34:]


def test_the_checksum_is_a_crc_in_base_62_with_zeros_before_it() -> None:
    assert zlib.crc32(b"abcdefghijklmnopqrstuvwxyz0123") == 2154666580
    assert checksum("abcdefghijklmnopqrstuvwxyz0123") == "2LolCm"
    assert zlib.crc32(b"pad000000000000000000000000003") == 363099235
    assert checksum("pad000000000000000000000000003") == "0OZWhH"


@given(st.text(alphabet="0123456789ABCabc", min_size=30, max_size=30))
def test_a_checksum_has_six_digits(secret: str) -> None:
    assert re.fullmatch(r"[0-9A-Za-z]{6}", checksum(secret))


def test_a_new_token_is_one_and_always_another() -> None:
    made = {new_token() for _ in range(100)}
    assert len(made) == 100
    assert all(is_token(token) and re.fullmatch(r"nbp_[0-9A-Za-z]{36}", token) for token in made)


@pytest.mark.any_database
@pytest.mark.parametrize(
    "wrong",
    (
        "",
        "nbp_",
        GOOD[0][:-1],
        GOOD[0] + "0",
        GOOD[0][:-1] + "X",
        "NBP_" + GOOD[0][4:],
        "nbx_" + GOOD[0][4:],
        GOOD[0].replace("9999", "9998"),
        GOOD[0].replace("EU", "É-"),
        GOOD[0].lower(),
    ),
)
def test_what_is_no_token_is_invalid_however_it_comes(netbird: NetBird, wrong: str) -> None:
    assert not is_token(wrong)
    for scheme in ("Token", "token", "Bearer", "BEARER"):
        header = {"Authorization": f"{scheme} {wrong}".encode().decode("latin-1")}
        assert netbird.refused(401, "GET", "/accounts", by=None, headers=header) == "token invalid"


def test_a_well_formed_token_of_nobody_is_invalid(netbird: NetBird) -> None:
    answer = netbird.ask("GET", "/accounts", by=None, headers=token_header(GOOD[0]))
    assert (answer.status_code, answer.json) == (401, {"message": "token invalid", "code": 401})


@pytest.mark.any_database
@pytest.mark.parametrize("scheme", ("Token", "token", "TOKEN", "Bearer", "bearer"))
def test_a_token_comes_after_either_word(netbird: NetBird, scheme: str) -> None:
    header = {"Authorization": f"{scheme} {netbird.names['pat:owner']}"}
    assert netbird.ask("GET", "/accounts", by=None, headers=header).status_code == 200


@pytest.mark.any_database
@pytest.mark.parametrize("value", ("Token", "Bearer", "Token  {}", "Token {} x", "Bearer {} x", "Bearer  {}"))
def test_a_header_has_two_parts(netbird: NetBird, value: str) -> None:
    header = {"Authorization": value.format(netbird.names["pat:owner"])}
    assert netbird.refused(401, "GET", "/accounts", by=None, headers=header) == "token invalid"


@pytest.mark.any_database
@pytest.mark.parametrize("value", ("Basic eDp5", "{}", "Digest {}", "nbp {}"))
def test_any_other_word_is_none(netbird: NetBird, value: str) -> None:
    header = {"Authorization": value.format(netbird.names["pat:owner"])}
    assert netbird.refused(401, "GET", "/accounts", by=None, headers=header) == "no valid authentication provided"


def test_a_token_is_worth_nothing_in_other_families(netbird: NetBird) -> None:
    for value in ("Token", "Bearer"):
        header = {"Authorization": f"{value} {netbird.names['pat:owner']}"}
        for path in ("/_signals/account/email/x", "/api/v2/account", "/_searchguard/authinfo"):
            assert netbird.service.get(path, by=None, headers=header).status_code == 401, path


# -- What is kept -------------------------------------------------------------


def test_a_token_is_shown_once_and_only_its_hash_is_kept(netbird: NetBird) -> None:
    with capture_logs() as logged:
        made = netbird.ok("POST", OWN, ORDER)
        plain, kept = made["plain_token"], made["personal_access_token"]
        header = token_header(plain)
        assert netbird.ask("GET", "/accounts", by=None, headers=header).status_code == 200
        shown = [netbird.ok("GET", OWN), netbird.ok("GET", f"{OWN}/{kept['id']}"), netbird.events()]
    assert is_token(plain)
    assert plain not in json.dumps(shown)
    assert plain not in str(logged)
    tables = ("netbird_token", "netbird_event", "audit_record", "netbird_user", "netbird_account")
    with netbird.service.services.database.looking() as connection:
        everything = str([connection.execute(text(f"SELECT * FROM {table}")).all() for table in tables])  # noqa: S608  # names of ours
    assert plain[4:34] not in everything
    assert hashlib.sha256(plain.encode()).hexdigest() == digest_of(plain)
    assert digest_of(plain) in everything
    assert digest_of(plain) not in json.dumps(shown)


def test_what_is_kept_of_a_token(netbird: NetBird, clock: Clock) -> None:
    clock.seconds += 0.25
    kept = netbird.ok("POST", OWN, ORDER)["personal_access_token"]
    identifier = kept.pop("id")
    assert re.fullmatch(r"[0-9a-v]{20}", identifier)
    assert kept == {
        "name": "of the pipeline",
        "created_by": "owner-id",
        "created_at": "2027-01-15T08:00:00.25Z",
        "expiration_date": "2027-02-14T08:00:00.25Z",
    }
    assert netbird.ok("GET", f"{OWN}/{identifier}") == {"id": identifier, **kept}


def test_a_token_of_a_service_user_says_who_made_it(netbird: NetBird) -> None:
    made = netbird.ok("POST", "/users/{uid:svc_user}/tokens", ORDER, by="admin")
    assert made["personal_access_token"]["created_by"] == "admin-id"
    answer = netbird.ask("GET", "/accounts", by=None, headers=token_header(made["plain_token"]))
    assert answer.status_code == 200


def test_several_tokens_may_have_one_name(netbird: NetBird) -> None:
    netbird.ok("POST", OWN, ORDER)
    netbird.ok("POST", OWN, ORDER)
    assert [token["name"] for token in netbird.ok("GET", OWN)].count("of the pipeline") == 2


def test_no_tokens_are_null(netbird: NetBird) -> None:
    made = netbird.ok("POST", "/users", {"role": "user", "is_service_user": True})
    answer = netbird.ask("GET", f"/users/{made['id']}/tokens")
    assert (answer.status_code, answer.data) == (200, b"null\n")


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("order", "status", "message"),
    (
        ({"expires_in": 30}, 422, "token name can't be empty"),
        ({"name": "", "expires_in": 30}, 422, "token name can't be empty"),
        ({"name": None, "expires_in": 30}, 422, "token name can't be empty"),
        ({"name": "x" * 256, "expires_in": 30}, 422, "name has more than 255 characters"),
        ({"name": "x\ny", "expires_in": 30}, 422, "name is no line of text"),
        ({"name": "x"}, 422, "expiration has to be between 1 and 365"),
        ({"name": "x", "expires_in": 0}, 422, "expiration has to be between 1 and 365"),
        ({"name": "x", "expires_in": -1}, 422, "expiration has to be between 1 and 365"),
        ({"name": "x", "expires_in": 366}, 422, "expiration has to be between 1 and 365"),
        ({}, 422, "token name can't be empty; expiration has to be between 1 and 365"),
        ({"name": "x", "expires_in": "1"}, 400, "couldn't parse JSON request"),
        ({"name": "x", "expires_in": 1.0}, 400, "couldn't parse JSON request"),
        ({"name": 1, "expires_in": 1}, 400, "couldn't parse JSON request"),
    ),
)
def test_a_token_that_cannot_be_made_is_told(netbird: NetBird, order: Any, status: int, message: str) -> None:
    assert netbird.refused(status, "POST", OWN, order) == message
    assert netbird.events() == []


# -- How long -----------------------------------------------------------------


@pytest.mark.parametrize("days", (1, 365))
def test_a_token_is_good_for_its_days_and_no_longer(netbird: NetBird, clock: Clock, days: int) -> None:
    header = token_header(netbird.ok("POST", OWN, ORDER | {"expires_in": days})["plain_token"])
    clock.seconds += days * DAY - 1
    assert netbird.ask("GET", "/accounts", by=None, headers=header).status_code == 200
    clock.seconds += 1
    assert netbird.refused(401, "GET", "/accounts", by=None, headers=header) == "token invalid"


def test_an_expired_token_is_still_listed(netbird: NetBird) -> None:
    assert {token["name"] for token in netbird.ok("GET", OWN)} == {"fixture", "old"}


def test_a_deleted_token_is_worth_nothing_at_once(netbird: NetBird) -> None:
    netbird.ok("DELETE", f"{OWN}/{{tid:owner}}")
    assert netbird.refused(401, "GET", "/accounts") == "token invalid"


def test_a_token_is_found_under_its_own_user_alone(netbird: NetBird) -> None:
    told = netbird.refused(404, "GET", f"{OWN}/{{tid:svc_user}}")
    assert told == f"pat: {netbird.names['tid:svc_user']} not found"
    netbird.refused(404, "DELETE", f"{OWN}/{{tid:svc_user}}")
    netbird.account("svc_user")


# -- Use ----------------------------------------------------------------------


def _use(netbird: NetBird, by: str = "auditor") -> None:
    # Closed, as a server closes an answer that it has sent: only then is its use noted.
    answer: Any = netbird.ask("GET", "/events", by=by)
    assert answer.status_code == 200
    answer.close()


def _used(netbird: NetBird) -> str | None:
    found: str | None = netbird.ok("GET", "/users/{uid:auditor}/tokens/{tid:auditor}", by="auditor").get("last_used")
    return found


def test_the_use_of_a_token_is_noted_at_most_once_a_minute(netbird: NetBird, clock: Clock) -> None:
    assert _used(netbird) is None
    _use(netbird)
    assert _used(netbird) == "2027-01-15T08:00:00Z"
    clock.seconds += 59
    _use(netbird)
    assert _used(netbird) == "2027-01-15T08:00:00Z"
    clock.seconds += 1
    _use(netbird)
    assert _used(netbird) == "2027-01-15T08:01:00Z"


def test_a_use_is_nobodys_change(netbird: NetBird) -> None:
    before = len(netbird.service.audited())
    _use(netbird)
    assert _used(netbird) is not None
    assert (netbird.events(), len(netbird.service.audited())) == ([], before)


def test_who_is_blocked_uses_his_token_as_well(netbird: NetBird) -> None:
    answer: Any = netbird.ask("GET", "/accounts", by="blocked")
    answer.close()
    with netbird.service.services.database.looking() as connection:
        used = connection.execute(
            text("SELECT last_used_us FROM netbird_token WHERE id = :id"), {"id": netbird.names["tid:blocked"]}
        ).scalar()
    assert answer.status_code == 403
    assert used is not None


def test_paths_of_tokens_are_below_users(netbird: NetBird) -> None:
    assert netbird.service.get(f"{ROOT}/tokens", by=None).status_code == 404


# -- Another account's -----------------------------------------------------------


@pytest.mark.any_database
@pytest.mark.parametrize("name", ("b_svc", "b_owner"))
@pytest.mark.parametrize(("method", "tail", "body"), CALLS)
def test_the_tokens_of_another_accounts_user_are_forbidden(
    netbird: NetBird, method: str, tail: str, body: Any, name: str
) -> None:
    path = f"/users/{{uid:{name}}}/tokens{tail.format(name)}"
    for by in ("owner", "admin", "svc_admin"):
        assert netbird.refused(403, method, path, body, by=by) == "permission denied"
    assert [one["id"] for one in netbird.ok("GET", f"/users/{{uid:{name}}}/tokens", by=name)] == [
        netbird.names[f"tid:{name}"]
    ]


@pytest.mark.any_database
@pytest.mark.parametrize(("method", "tail", "body"), CALLS)
def test_the_tokens_of_an_unknown_user_are_not_found(netbird: NetBird, method: str, tail: str, body: Any) -> None:
    path = f"/users/Nobody/tokens{tail.format('owner')}"
    assert netbird.refused(404, method, path, body) == "user: nobody not found"


@pytest.mark.any_database
@pytest.mark.parametrize("identifier", ("{uid:b_svc}", "{uid:svc_user}", "nobody"))
@pytest.mark.parametrize(("method", "tail", "body"), CALLS)
def test_without_the_privilege_every_users_tokens_are_forbidden(
    netbird: NetBird, method: str, tail: str, body: Any, identifier: str
) -> None:
    path = f"/users/{identifier}/tokens{tail.format('b_svc')}"
    assert netbird.refused(403, method, path, body, by="user") == "permission denied"


def test_an_attempt_on_another_accounts_tokens_is_on_record(netbird: NetBird) -> None:
    before = len(netbird.service.audited())
    netbird.refused(403, "POST", "/users/{uid:b_owner}/tokens", ORDER, buffered=True)
    (record,) = netbird.service.audited()[before:]
    assert (record.actor, record.object) == ("owner-id", "POST /api/users/b_owner-id/tokens")
    assert record.act == "cluster:admin:netbird:pats/create/refused"
