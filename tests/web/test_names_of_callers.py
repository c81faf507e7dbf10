"""One person is one identity, however their name is spelled and whatever brings it."""

from __future__ import annotations

import base64
import unicodedata
from collections.abc import Callable, Iterator

import pytest

from accounts_service.access.snapshot import BadConfigurationError
from accounts_service.families.signals import examples
from accounts_service.storage.audit import Author
from accounts_service.storage.names import Names
from tests.support import personas, tokens, wavefront
from tests.support.installation import Installation
from tests.support.service import Service

pytestmark = pytest.mark.any_database

EMAIL = "/_signals/account/email/default"
BODY = examples.GOOD["email"]

NAME = "Jörg.Ünal"
ROLE = "Büro"
DECOMPOSED = unicodedata.normalize("NFD", NAME)
PROXY = "10.0.0.1"

DOMAINS = {
    "network": {"trusted_proxies": [PROXY]},
    "auth_domains": [
        {
            "type": "trusted_origin",
            "user_mapping": {
                "user_name": {"from": "request.headers.x-user"},
                "roles": {"from_comma_separated_string": "request.headers.x-roles"},
                "attrs": {"from": {"room": "request.headers.x-room"}},
            },
        },
        {
            "type": "jwt",
            "jwt": {"signing_key": base64.b64encode(tokens.SECRET).decode()},
            "user_mapping": {"roles": {"from": "jwt.roles"}},
        },
        {"type": "basic/internal_users_db"},
        {"type": "anonymous", "accept": {"ips": "127.0.0.33"}},
    ],
}


def sent(text: str) -> str:
    """Return a header's value as the test client has to have it for UTF-8 to be sent."""
    return text.encode().decode("latin-1")


@pytest.fixture(params=(NAME, DECOMPOSED), ids=("composed", "decomposed"))
def service(request: pytest.FixtureRequest, installation: Installation) -> Iterator[Service]:
    """Return a service whose files spell the name in one way or the other."""
    name = request.param
    users = {name: {"hash": personas.hash_of(NAME), "backend_roles": [unicodedata.normalize("NFD", ROLE)]}}
    installation.write("sg_internal_users.yml", users)
    installation.write("sg_authc.yml", DOMAINS)
    mapping = {"manager": {"users": [name]}, "reader": {"backend_roles": [unicodedata.normalize("NFD", ROLE)]}}
    installation.write("sg_roles_mapping.yml", mapping)
    started = Service(installation)
    yield started
    started.close()


def by_header(name: str, **more: str) -> dict[str, object]:
    return {"headers": {"X-User": sent(name), "X-Roles": sent(ROLE), **more}, "peer": PROXY}


def by_token(name: str) -> dict[str, object]:
    token = tokens.token(said=tokens.claims(sub=name, roles=[ROLE]))
    return {"headers": {"Authorization": f"Bearer {token}"}}


def by_password(name: str) -> dict[str, object]:
    credentials = base64.b64encode(f"{name}:{personas.password(NAME)}".encode()).decode()
    return {"headers": {"Authorization": f"Basic {credentials}"}}


@pytest.mark.parametrize("name", (NAME, DECOMPOSED), ids=("composed", "decomposed"))
@pytest.mark.parametrize("how", (by_header, by_token, by_password))
def test_one_person_has_one_name_and_the_same_roles(
    service: Service, how: Callable[[str], dict[str, object]], name: str
) -> None:
    told = service.get("/_searchguard/authinfo", by=None, **how(name)).json
    assert (told["user_name"], told["sg_roles"]) == (NAME, ["manager", "reader"])
    assert told["backend_roles"] == [ROLE]


def test_audit_trail_has_one_name_for_one_person(service: Service) -> None:
    for number, how in enumerate((by_header, by_token, by_password)):
        name = DECOMPOSED if number % 2 else NAME
        answer = service.put(EMAIL, {**BODY, "port": 1000 + number}, by=None, **how(name))
        assert answer.status_code in {200, 201}
    with service.services.database.looking() as connection:
        actors = {row[0] for row in connection.exec_driver_sql("SELECT actor FROM audit_record").all()}
    assert len(actors) == 1
    assert {row.actor for row in service.audited()} == {NAME}


@pytest.mark.parametrize("header", ("X-User", "X-Roles", "X-Room"))
@pytest.mark.parametrize("value", ("J\xf6rg", "\xff", "\xc3", "\xed\xa0\x80"))
def test_mapped_header_that_is_not_utf8_is_refused(service: Service, header: str, value: str) -> None:
    answer = service.get("/_searchguard/authinfo", by=None, **by_header(NAME, **{header: value}))
    assert answer.status_code == 401
    # Nor does another domain let the caller in.
    asked = {**by_password(NAME)["headers"], header: value}  # type: ignore[dict-item]  # a dict, by its maker
    assert service.get("/_searchguard/authinfo", by=None, headers=asked, peer="127.0.0.33").status_code == 401


@pytest.mark.parametrize("header", ("X-User", "X-Roles"))
@pytest.mark.parametrize("character", ("\u200b", "\u202e", "\u0085", "\x1b"))
def test_name_that_cannot_be_printed_is_refused(service: Service, header: str, character: str) -> None:
    asked = by_header(NAME, **{header: sent(f"a{character}b")})
    assert service.get("/_searchguard/authinfo", by=None, **asked).status_code == 401


def test_header_that_nothing_reads_may_be_anything(service: Service) -> None:
    answer = service.get("/_searchguard/authinfo", by=None, **by_header(NAME, **{"X-Other": "\xff\xfe"}))
    assert answer.json["user_name"] == NAME


def test_attribute_is_read_as_utf8(installation: Installation) -> None:
    installation.write("sg_authc.yml", DOMAINS)
    roles = {"room": {"tenant_permissions": [{"tenant_patterns": ["${user.attrs.room}"], "allowed_actions": ["*"]}]}}
    installation.write("sg_roles.yml", roles)
    installation.write("sg_roles_mapping.yml", {"room": {"users": ["*"]}})
    installation.write("sg_tenants.yml", {"Küche": {}})
    service = Service(installation)
    told = service.get("/_searchguard/authinfo", by=None, **by_header("x", **{"X-Room": sent("Küche")})).json
    service.close()
    assert told["sg_tenants"] == {"Küche": True}


def test_tenant_in_a_header_is_read_as_utf8(service: Service) -> None:
    asked = by_header(NAME, sgtenant=sent("Küche"))
    assert service.get("/_searchguard/authinfo", by=None, **asked).json["user_requested_tenant"] == "Küche"


@pytest.mark.parametrize("spelling", (NAME, DECOMPOSED), ids=("composed", "decomposed"))
def test_audit_trail_is_searched_by_either_spelling(service: Service, spelling: str) -> None:
    service.put(EMAIL, BODY, by=None, **by_password(NAME))
    service.configure({"sg_roles_mapping.yml": {"SGS_ALL_ACCESS": {"users": [NAME]}}})
    query = {"actor": spelling, "action": "cluster:admin:searchguard:signals:account/put"}
    found = service.get("/_accounts/audit", by=None, query_string=query, **by_password(NAME)).json["records"]
    assert [record["actor"] for record in found] == [NAME]


@pytest.mark.parametrize("spelling", (NAME, DECOMPOSED), ids=("composed", "decomposed"))
def test_name_is_erased_by_either_spelling(service: Service, spelling: str) -> None:
    service.put(EMAIL, BODY, by=None, **by_password(NAME))
    author = Author("command", "tester", "test-0001")
    assert service.services.database.written(Names, author, lambda names: names.erase(spelling)) == 1


@pytest.mark.parametrize("spelling", (NAME, DECOMPOSED), ids=("composed", "decomposed"))
@pytest.mark.parametrize("stored", (NAME, DECOMPOSED), ids=("stored composed", "stored decomposed"))
def test_name_of_an_object_is_erased_by_either_spelling(installation: Installation, stored: str, spelling: str) -> None:
    service = Service(installation)
    wavefront.admin(service).user(f"{stored}@example.com")
    author = Author("command", "tester", "test-0001")
    service.services.database.written(Names, author, lambda names: names.erase(f"{spelling}@example.com"))
    told = [name for row in service.audited() for name in (row.actor, row.object)]
    service.close()
    assert [name for name in told if name is not None and stored in name] == []


@pytest.mark.parametrize("spelling", (NAME, DECOMPOSED), ids=("composed", "decomposed"))
def test_explanation_knows_either_spelling(service: Service, spelling: str) -> None:
    query = {"principal": spelling, "privilege": "cluster:admin:searchguard:signals:account/put"}
    told = service.get("/_accounts/explain", by=None, query_string=query, **by_password(NAME))
    assert (told.status_code, told.json["allowed"]) == (200, True)


def test_two_spellings_of_one_user_are_a_problem_of_the_file(installation: Installation) -> None:
    users = {name: {"hash": personas.hash_of(NAME)} for name in (NAME, DECOMPOSED)}
    installation.write("sg_internal_users.yml", users)
    with pytest.raises(BadConfigurationError) as refused:
        Service(installation)
    (problem,) = refused.value.problems
    assert problem.file == "sg_internal_users.yml"
    assert (problem.path in users, problem.error) == (True, "This user stands twice, in two spellings of Unicode")
