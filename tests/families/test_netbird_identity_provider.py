"""What needs an identity provider of the service's own is NetBird's 412 in JSON, for those who may ask for it."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from accounts_service.families.netbird.store.tokens import checksum, flaw_of_invite
from tests.support.netbird import INVITE, ROOT, NetBird
from tests.support.service import Service

pytestmark = pytest.mark.any_database

LINKS = "invite links are only available with embedded identity provider"
MAILS = "idp manager must be enabled to send user invites"
PASSWORDS = "password change is only available with embedded identity provider"
PARSE = "couldn't parse JSON request"
INVITATION: dict[str, Any] = {"email": "ann@test.com", "name": "Ann", "role": "user", "auto_groups": []}

# What asks for a privilege: method, path, a good body, and the message.
GUARDED: tuple[tuple[str, str, Any, str], ...] = (
    ("GET", "/users/invites", None, LINKS),
    ("POST", "/users/invites", INVITATION, LINKS),
    ("DELETE", "/users/invites/x", None, LINKS),
    ("POST", "/users/invites/x/regenerate", {"expires_in": 3600}, LINKS),
    ("POST", "/users/invites/x/regenerate", None, LINKS),
    ("POST", "/users/{uid:user}/invite", None, MAILS),
    ("POST", "/users/nobody/invite", None, MAILS),
)
PASSWORD = ("PUT", "/users/{uid:user}/password", {"old_password": "a", "new_password": "b"})
PUBLIC: tuple[tuple[str, str, Any], ...] = (
    ("GET", "/users/invites/{}", None),
    ("POST", "/users/invites/{}/accept", {"password": "correct horse"}),
)


@pytest.fixture
def netbird(service: Service) -> NetBird:
    return NetBird(service)


@pytest.mark.parametrize(("method", "path", "body", "message"), GUARDED)
def test_an_administrator_is_told_what_is_missing(
    netbird: NetBird, method: str, path: str, body: Any, message: str
) -> None:
    for name in ("owner", "admin", "svc_admin"):
        assert netbird.refused(412, method, path, body, by=name) == message
    assert netbird.events() == []


@pytest.mark.parametrize(("method", "path", "body", "message"), GUARDED)
def test_a_caller_without_the_privilege_is_refused_first(
    netbird: NetBird, method: str, path: str, body: Any, message: str
) -> None:
    for sent in (body, 7):
        assert netbird.refused(403, method, path, sent, by="user") == "permission denied"
        assert netbird.refused(403, method, path, sent, by="blocked").endswith("user is blocked")
        assert netbird.refused(401, method, path, sent, by=None) == "no valid authentication provided"
    reads = method == "GET"
    assert netbird.refused(412 if reads else 403, method, path, body, by="auditor") == (
        message if reads else "permission denied"
    )


@pytest.mark.parametrize("by", ("owner", "user", "billing_admin", "svc_user"))
def test_everybody_is_told_that_there_are_no_passwords(netbird: NetBird, by: str) -> None:
    assert netbird.refused(412, *PASSWORD, by=by) == PASSWORDS


def test_an_unknown_caller_is_not_told_about_passwords(netbird: NetBird) -> None:
    assert netbird.refused(401, *PASSWORD, by=None) == "no valid authentication provided"
    assert netbird.refused(403, *PASSWORD, by="blocked").endswith("user is blocked")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    (
        ("POST", "/users/invites", [INVITATION]),
        ("POST", "/users/invites", INVITATION | {"role": 7}),
        ("POST", "/users/invites", INVITATION | {"auto_groups": "x"}),
        ("POST", "/users/invites", INVITATION | {"expires_in": "1h"}),
        ("POST", "/users/invites/x/regenerate", {"expires_in": 1.5}),
        ("POST", f"/users/invites/{INVITE}/accept", {"password": 7}),
        ("PUT", "/users/{uid:user}/password", {"old_password": True}),
        ("PUT", "/users/{uid:user}/password", "x"),
    ),
)
def test_a_body_of_another_kind_is_refused_before_that(netbird: NetBird, method: str, path: str, body: Any) -> None:
    assert netbird.refused(400, method, path, body) == PARSE


@pytest.mark.parametrize(
    ("method", "path"), (("POST", "/users/invites"), PASSWORD[:2], ("POST", "/users/invites/x/accept"))
)
def test_a_missing_body_is_refused_before_that(netbird: NetBird, method: str, path: str) -> None:
    assert netbird.refused(400, method, path) == PARSE


# -- Invite tokens ------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path", "body"), PUBLIC)
@pytest.mark.parametrize("by", (None, "expired", "blocked", "owner"))
def test_whoever_has_an_invite_token_is_told_that_links_do_not_work(
    netbird: NetBird, method: str, path: str, body: Any, by: str | None
) -> None:
    assert netbird.refused(412, method, path.format(INVITE), body, by=by) == LINKS


@pytest.mark.parametrize(("method", "path", "body"), PUBLIC)
@pytest.mark.parametrize(
    ("token", "flaw"),
    (
        ("x", "invalid token length"),
        (INVITE[:-1], "invalid token length"),
        (INVITE[:-1] + "ü", "invalid token length"),
        ("nbp" + INVITE[3:], "invalid token prefix"),
        ("NBI" + INVITE[3:], "invalid token prefix"),
        (INVITE[:-1] + "n", "checksum does not match"),
        (INVITE[:-1] + "-", "checksum does not match"),
        ("nbi_" + "é" * 15 + INVITE[-6:], "checksum does not match"),
    ),
)
def test_what_is_no_invite_token_is_invalid(  # noqa: PLR0917  # a table
    netbird: NetBird, method: str, path: str, body: Any, token: str, flaw: str
) -> None:
    told = netbird.refused(422, method, path.format(token), body, by=None)
    assert told == f"invalid invite token: {flaw}"


@given(st.text(alphabet="0123456789ABCabc", min_size=30, max_size=30), st.integers(4, 39))
def test_one_changed_character_makes_an_invite_token_invalid(secret: str, place: int) -> None:
    token = f"nbi_{secret}{checksum(secret)}"
    assert flaw_of_invite(token) is None
    other = "x" if token[place] != "x" else "y"
    assert flaw_of_invite(token[:place] + other + token[place + 1 :]) == "invite_checksum"


@pytest.mark.parametrize(("method", "path", "body"), PUBLIC)
def test_an_invite_token_is_never_logged(
    netbird: NetBird, caplog: pytest.LogCaptureFixture, method: str, path: str, body: Any
) -> None:
    tokens = (INVITE, INVITE[:-1], INVITE.replace("_", "%5F"), INVITE.upper())
    with capture_logs() as logged, caplog.at_level(logging.DEBUG):
        for token in tokens:
            assert netbird.ask(method, path.format(token), body, by=None).status_code in {412, 422}
    written = str(logged) + caplog.text + str(netbird.service.audited())
    assert logged
    for secret in (*tokens, INVITE[4:-6], INVITE[4:-6].upper(), "correct horse"):
        assert secret not in written


@pytest.mark.parametrize("method", ("PUT", "DELETE", "PATCH"))
@pytest.mark.parametrize("word", ("current", "invites"))
def test_a_word_of_the_paths_is_no_users_id(netbird: NetBird, method: str, word: str) -> None:
    assert netbird.ask(method, f"/users/{word}", {"role": "user", "auto_groups": []}).status_code == 405
    assert netbird.service.ask("GET", f"{ROOT}/users/{word}/", by=None).status_code == 404
