"""Tokens, and nobody in particular, over HTTP, on both databases."""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable, Iterator

import pytest
from structlog.testing import capture_logs

from accounts_service.families.signals import examples
from tests.support import tokens
from tests.support.installation import Installation
from tests.support.service import Service

EMAIL = "/_signals/account/email/default"
BODY = examples.GOOD["email"]

BASIC = {"type": "basic/internal_users_db"}
SIGNED = {"signing_key": base64.b64encode(tokens.SECRET).decode()}
TOKENS = {
    "type": "jwt",
    "jwt": SIGNED,
    "user_mapping": {"roles": {"from": "jwt.roles"}},
}
GUESTS = {"type": "anonymous", "accept": {"ips": "127.0.0.33"}, "user_mapping": {"roles": {"static": "readers"}}}

With = Callable[..., Service]


@pytest.fixture
def with_domains(installation: Installation) -> Iterator[With]:
    """Give what starts a service with domains; backend roles are mapped to roles without their last letter.

    Once a test: a second service would take the last good state, since the directory was not quiet.
    """
    started = []

    def start(*domains: object) -> Service:
        installation.write("sg_authc.yml", {"auth_domains": list(domains)})
        mapping = {role: {"backend_roles": [f"{role}s"]} for role in ("reader", "manager", "revealer")}
        installation.write("sg_roles_mapping.yml", mapping)
        started.append(Service(installation))
        return started[-1]

    yield start
    for service in started:
        service.close()


def bearer(*roles: str, **claims: object) -> dict[str, str]:
    return {"Authorization": f"Bearer {tokens.token(said=tokens.claims(roles=list(roles), **claims))}"}


def test_who_brings_a_token_may_do_what_its_roles_allow(with_domains: With) -> None:
    service = with_domains(TOKENS)
    assert service.put(EMAIL, BODY, by=None, headers=bearer("readers")).status_code == 403
    assert service.put(EMAIL, BODY, by=None, headers=bearer("managers")).status_code == 201
    assert service.get(EMAIL, by=None, headers=bearer("readers")).status_code == 200
    assert service.get(EMAIL, by=None, headers=bearer()).status_code == 403


def test_nobody_in_particular_may_do_what_the_roles_of_the_domain_allow(with_domains: With) -> None:
    service = with_domains(TOKENS, GUESTS)
    assert service.put(EMAIL, BODY, by=None, headers=bearer("managers")).status_code == 201
    assert service.get(EMAIL, by=None, peer="127.0.0.33").status_code == 200
    assert service.put(EMAIL, BODY, by=None, peer="127.0.0.33").status_code == 403
    assert service.get(EMAIL, by=None, peer="127.0.0.1").status_code == 401


def test_each_domain_that_found_nothing_asks(with_domains: With) -> None:
    service = with_domains(TOKENS, BASIC)
    nothing = service.get(EMAIL, by=None)
    assert nothing.status_code == 401
    assert nothing.headers.getlist("WWW-Authenticate") == ['Bearer realm="Search Guard"', 'Basic realm="Search Guard"']
    expired = service.get(EMAIL, by=None, headers=bearer("readers", exp=1))
    assert expired.status_code == 401
    assert expired.headers.getlist("WWW-Authenticate") == ['Basic realm="Search Guard"']


def test_a_domain_that_is_not_to_ask_does_not(with_domains: With) -> None:
    service = with_domains(TOKENS, {**BASIC, "basic": {"challenge": False}})
    assert service.get(EMAIL, by=None).headers.getlist("WWW-Authenticate") == ['Bearer realm="Search Guard"']


def test_a_token_is_in_no_answer_and_no_log_line(with_domains: With, caplog: pytest.LogCaptureFixture) -> None:
    service = with_domains(TOKENS, BASIC)
    caplog.set_level(logging.DEBUG)
    with capture_logs() as logged:
        for headers in (bearer("managers"), bearer("readers"), bearer(exp=1), bearer(sub=""), bearer(aud=5)):
            for answer in (
                service.put(EMAIL, BODY, by=None, headers=headers),
                service.get(EMAIL, by=None, headers=headers),
            ):
                shown = f"{answer.text}{answer.headers}{logged}{caplog.text}"
                assert not [part for part in headers["Authorization"].split(".") if part in shown]


def test_a_token_in_an_address_is_not_read(with_domains: With) -> None:
    service = with_domains({**TOKENS, "jwt": {**SIGNED, "url_parameter": "token"}})
    good = bearer("readers")["Authorization"].removeprefix("Bearer ")
    for value in (good, f"bearer {good}"):
        assert service.get(EMAIL, by=None, query_string={"token": value}).status_code == 401
