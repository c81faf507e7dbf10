"""`POST /account/user`, as its manual has it: the request, the answer, and which lists are what."""

from __future__ import annotations

from typing import Any

import pytest

from accounts_service.config import WAVEFRONT_PERMISSIONS
from accounts_service.families.wavefront import examples
from accounts_service.faults import Json
from tests.support.installation import Installation
from tests.support.service import Service
from tests.support.wavefront import ADMIN, EVERYONE, NOBODYS, Client, admin, admin_of, token_of

ANN = "ann@example.com"
POST = "/account/user"

# Every field of the manual's answer, and of what stands within.
OF_A_USER = {"identifier", "customer", "groups", "userGroups", "roles"}
OF_A_GROUP = {"id", "name", "customer", "users", "userCount", "properties", "description", "roles"}
OF_THE_PROPERTIES_OF_A_GROUP = {"nameEditable", "usersEditable", "rolesEditable"}
OF_A_ROLE_WITHIN = {
    "restrictedPermissions",
    "properties",
    "permissions",
    "name",
    "id",
    "description",
    "createdEpochMillis",
    "lastUpdatedMs",
    "lastUpdatedAccountId",
    "customer",
}
OF_A_ROLE = OF_A_ROLE_WITHIN | {
    "sampleLinkedGroups",
    "linkedGroupsCount",
    "sampleLinkedAccounts",
    "linkedAccountsCount",
}
OF_THE_PROPERTIES_OF_A_ROLE = {"nameEditable", "usersRemovable", "usersAddable", "permsEditable", "deletable"}


def names(user: Any) -> list[str]:
    return [group["name"] for group in user["userGroups"]]


def test_the_request_of_the_manual_is_answered_with_every_field_of_the_manual(service: Service) -> None:
    client = admin(service)
    role = client.ok("POST", "/role", {"name": "R", "description": "d", "permissions": ["ingestion"]})["id"]
    group = client.ok("POST", "/usergroup", {"name": "G", "description": "d", "roleIDs": [role]})["id"]
    body = {"emailAddress": ANN, "groups": ["alerts_management"], "userGroups": [group], "roles": [role]}
    answer = client.ask("POST", POST, body)
    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    user = answer.json
    assert user.keys() == OF_A_USER
    assert (user["identifier"], user["customer"], user["groups"]) == (ANN, "accounts", ["alerts_management"])
    everyone, ours = user["userGroups"]
    assert everyone.keys() == ours.keys() == OF_A_GROUP
    assert ours["properties"].keys() == everyone["properties"].keys() == OF_THE_PROPERTIES_OF_A_GROUP
    assert everyone["properties"] == {"nameEditable": False, "usersEditable": False, "rolesEditable": True}
    assert ours["properties"] == {"nameEditable": True, "usersEditable": True, "rolesEditable": True}
    assert (everyone["id"], everyone["name"], everyone["userCount"]) == (EVERYONE, "Everyone", 2)
    assert everyone["users"] == [ADMIN, ANN]
    assert (ours["id"], ours["name"], ours["description"], ours["customer"]) == (group, "G", "d", "accounts")
    assert (ours["users"], ours["userCount"]) == ([ANN], 1)
    (within,) = ours["roles"]
    assert within.keys() == OF_A_ROLE_WITHIN  # A group within a role within a group would never end.
    (ours_too,) = user["roles"]
    assert ours_too.keys() == OF_A_ROLE
    assert ours_too["properties"].keys() == within["properties"].keys() == OF_THE_PROPERTIES_OF_A_ROLE
    assert all(ours_too["properties"].values())
    assert (ours_too["id"], ours_too["name"], ours_too["description"]) == (role, "R", "d")
    assert (ours_too["permissions"], ours_too["restrictedPermissions"]) == (["ingestion"], [])
    assert (ours_too["customer"], ours_too["lastUpdatedAccountId"]) == ("accounts", ADMIN)
    assert ours_too["createdEpochMillis"] == ours_too["lastUpdatedMs"] > 1_600_000_000_000
    assert (ours_too["linkedGroupsCount"], ours_too["linkedAccountsCount"]) == (1, 1)
    assert ours_too["sampleLinkedAccounts"] == [ANN]
    (linked,) = ours_too["sampleLinkedGroups"]
    assert (linked["id"], "roles" in linked) == (group, False)


def test_what_has_no_value_is_left_out_and_what_has_one_is_there(service: Service) -> None:
    client = admin(service)
    assert {"ssoId", "lastSuccessfulLogin"}.isdisjoint(client.user(ANN))
    assert client.ok("PUT", f"/account/user/{ANN}", {"ssoId": "s"})["ssoId"] == "s"


def test_the_second_post_changes_the_user_of_the_first(service: Service) -> None:
    client = admin(service)
    client.user(ANN, groups=["alerts_management", "ingestion"])
    assert client.user(ANN, groups=["ingestion", "log_management"])["groups"] == ["ingestion", "log_management"]
    listed = client.ok("GET", "/account/user")
    assert [user["identifier"] for user in listed] == [ADMIN, ANN]


def test_an_identifier_is_the_same_in_any_case_and_stays_as_it_was_first_written(service: Service) -> None:
    client = admin(service)
    client.user("Ann@Example.com")
    assert client.user("aNN@example.COM", groups=["ingestion"])["identifier"] == "Ann@Example.com"
    assert client.ok("GET", "/account/ANN@example.com")["identifier"] == "Ann@Example.com"
    assert client.ok("POST", "/account/deleteAccounts", ["ann@example.com"]) == ["Ann@Example.com"]


def test_a_list_left_out_or_null_stays_and_an_empty_one_clears(service: Service) -> None:
    client = admin(service)
    group, role = client.group("G"), client.role("R")
    lists = {"groups": ["ingestion"], "userGroups": [group], "roles": [role]}
    client.user(ANN, **lists)

    def held(user: Any) -> tuple[list[str], list[str], int]:
        return user["groups"], names(user), len(user["roles"])

    full = (["ingestion"], ["Everyone", "G"], 1)
    assert held(client.user(ANN)) == full
    assert held(client.user(ANN, groups=None, userGroups=None, roles=None)) == full
    assert held(client.user(ANN, groups=[])) == ([], ["Everyone", "G"], 1)
    assert held(client.user(ANN, userGroups=[])) == ([], ["Everyone"], 1)
    assert held(client.user(ANN, roles=[])) == ([], ["Everyone"], 0)


def test_a_duplicate_counts_once_and_the_order_stays(service: Service) -> None:
    client = admin(service)
    backwards = [*reversed(WAVEFRONT_PERMISSIONS)]
    assert client.user(ANN, groups=backwards + backwards)["groups"] == backwards
    groups = [client.group(name) for name in ("Z", "A", "M")]
    assert names(client.user(ANN, userGroups=[*groups, *groups, EVERYONE])) == ["Everyone", "Z", "A", "M"]
    assert names(client.ok("GET", f"/account/user/{ANN}")) == ["Everyone", "Z", "A", "M"]
    roles = [client.role(name) for name in ("z", "a", "m")]
    assert [role["name"] for role in client.user(ANN, roles=roles * 2)["roles"]] == ["z", "a", "m"]


def test_every_permission_of_the_manual_and_no_other_can_be_held(service: Service) -> None:
    client = admin(service)
    assert len(WAVEFRONT_PERMISSIONS) == 17
    assert client.user(ANN, groups=[*WAVEFRONT_PERMISSIONS])["groups"] == [*WAVEFRONT_PERMISSIONS]
    # What the oldest clients sent besides is passed over.
    assert client.user(ANN, groups=["browse", "ingestion"])["groups"] == ["ingestion"]
    body = {"emailAddress": ANN, "groups": ["Ingestion"]}
    assert client.refused("POST", POST, body) == "Invalid permission: Ingestion"


def test_unknown_keys_are_passed_over(service: Service) -> None:
    assert admin(service).user(ANN, ingestionPolicyId="p", customer="other", identifier="x")["identifier"] == ANN


# -- Ids that are nobody's ----------------------------------------------------


def test_unknown_ids_are_passed_over_and_named(service: Service) -> None:
    client = admin(service)
    body = {"emailAddress": ANN, "userGroups": [NOBODYS, EVERYONE, "x"], "roles": ["y"]}
    answer = client.ask("POST", POST, body)
    assert (answer.status_code, names(answer.json), answer.json["roles"]) == (202, ["Everyone"], [])
    told = answer.headers["X-Status-Message"]
    assert told == f"Invalid user groups found and ignored [{NOBODYS}, x], Invalid roles found and ignored [y]"
    assert "X-Status-Message" not in client.ask("POST", POST, {"emailAddress": ANN}).headers


@pytest.mark.parametrize("unknown", ("ümläut", "%0d%0a", "Set-Cookie: x=y"))
def test_an_id_that_is_told_cannot_become_another_header(service: Service, unknown: str) -> None:
    answer = admin(service).ask("POST", POST, {"emailAddress": ANN, "userGroups": [unknown] * 100})
    assert answer.status_code == 202
    assert "Set-Cookie" not in answer.headers
    told = answer.headers["X-Status-Message"]
    assert told.isascii()
    assert told.isprintable()
    assert len(told) <= 1003


@pytest.mark.any_database
@pytest.mark.parametrize("unknown", ("a\r\nSet-Cookie: x=y", "\x1f\x7f", "a\u2028b", "x" * 256))
def test_an_id_is_a_bounded_line(service: Service, unknown: str) -> None:
    answer = admin(service).ask("POST", POST, {"emailAddress": ANN, "userGroups": [unknown]})
    assert answer.status_code == 400
    assert "Set-Cookie" not in answer.headers
    assert "X-Status-Message" not in answer.headers


# -- Refusals -----------------------------------------------------------------


@pytest.mark.parametrize(("body", "message"), examples.BAD, ids=[message for _, message in examples.BAD])
def test_all_faults_of_a_body_are_told_at_once_and_nothing_is_done(service: Service, body: Json, message: str) -> None:
    client = admin(service)
    before = len(service.audited())
    assert client.refused("POST", POST, body) == message
    assert len(service.audited()) == before


@pytest.mark.parametrize("body", (None, {}, {"emailAddress": None}))
def test_without_an_address_there_is_nobody_to_make(service: Service, body: Json) -> None:
    assert admin(service).refused("POST", POST, body) == "emailAddress is required"


@pytest.mark.any_database
@pytest.mark.parametrize("body", ([], "x", 1, True))
def test_a_user_is_an_object(service: Service, body: Json) -> None:
    assert admin(service).refused("POST", POST, body) == "body must be an object"


@pytest.mark.any_database
@pytest.mark.parametrize(
    "address",
    ("", "ann", "ann@", "@x", "a b@x", "ann@x\r\n", "Ann <ann@x>", "a/b@x", "sa::x@y", f"{'x' * 250}@ex.com", 7),
)
def test_an_address_is_a_bare_one(service: Service, address: Json) -> None:
    assert "Invalid email address: " in admin(service).refused("POST", POST, {"emailAddress": address})


def test_a_refused_change_changes_nothing(service: Service) -> None:
    client = admin(service)
    group = client.group("G")
    client.user(ANN, groups=["ingestion"])
    body = {"emailAddress": ANN, "groups": ["log_management", "nonsense"], "userGroups": [group]}
    assert client.refused("POST", POST, body) == "Invalid permission: nonsense"
    user = client.ok("GET", f"/account/user/{ANN}")
    assert (user["groups"], names(user)) == (["ingestion"], ["Everyone"])


# -- What an installation may have otherwise ----------------------------------


def asking(installation: Installation, **settings: str) -> Client:
    named: dict[str, Any] = {f"ACCOUNTS_WAVEFRONT_{name}": value for name, value in settings.items()}
    service = Service(installation, **named)
    return Client(service, admin_of(service))


def test_strict_takes_the_manual_at_its_word(installation: Installation) -> None:
    client = asking(installation, STRICT_REQUIRED="true")
    try:
        assert client.refused("POST", POST, {"emailAddress": ANN}) == "groups is required; userGroups is required"
        client.user(ANN, groups=[], userGroups=[])
    finally:
        client.service.close()


def test_where_any_identifier_will_do_words_of_the_api_still_do_not(installation: Installation) -> None:
    client = asking(installation, IDENTIFIERS="any")
    try:
        for identifier in ("ann", "ümläut", "with space", "a?b#c%2F;d", "sa:x", "x" * 255, "user.1"):
            assert client.user(identifier)["identifier"] == identifier
        for identifier in (
            "",
            " x",
            "a/b",
            "a\\b",
            "Admin",
            "INVITE",
            "user",
            "sa::x",
            "SA::x",
            "..",
            "x" * 256,
            "ü" * 300,
        ):
            told = client.refused("POST", POST, {"emailAddress": identifier})
            assert told == "emailAddress must be an identifier"
    finally:
        client.service.close()


def test_a_new_user_gets_the_usual_permissions_unless_some_are_named(installation: Installation) -> None:
    client = asking(installation, DEFAULT_PERMISSIONS="ingestion,log_management")
    try:
        assert client.user("one@example.com")["groups"] == ["ingestion", "log_management"]
        assert client.user("two@example.com", groups=None)["groups"] == ["ingestion", "log_management"]
        assert client.user("three@example.com", groups=[])["groups"] == []
        assert client.user("three@example.com")["groups"] == []
        token = token_of(client.service, "sa::robot")
        assert Client(client.service, token).ok("GET", "/account/sa::robot")["groups"] == []
    finally:
        client.service.close()


def test_where_users_come_from_elsewhere_none_is_made_and_those_there_are_changed(installation: Installation) -> None:
    client = asking(installation, SSO_ENABLED="true")
    told = "Cannot process the request when SSO is enabled."
    try:
        token_of(client.service, ANN)
        assert client.refused("POST", POST, {"emailAddress": "new@example.com"}) == told
        assert client.refused("POST", "/user", {"emailAddress": "new@example.com"}) == told
        assert client.refused("POST", f"{POST}/invite", [{"emailAddress": "new@example.com"}]) == told
        assert client.user(ANN, groups=["ingestion"])["groups"] == ["ingestion"]
        client.ok("POST", "/account/serviceaccount", {"identifier": "robot"})
    finally:
        client.service.close()


@pytest.mark.parametrize("style", ("bare", "wrapped", "hybrid"))
def test_a_change_is_answered_in_the_style_of_the_installation(installation: Installation, style: str) -> None:
    client = asking(installation, RESPONSE_STYLE=style, CUSTOMER="acme")
    try:
        for method, path, body in (
            ("POST", POST, {"emailAddress": ANN, "userGroups": ["x"]}),
            ("PUT", f"{POST}/{ANN}", {"userGroups": ["x"]}),
        ):
            answer = client.ask(method, path, body)
            assert answer.status_code == 202
            assert ("identifier" in answer.json) == (style in ("bare", "hybrid"))
            assert ("X-Status-Message" in answer.headers) == (style == "bare")
            if style != "bare":
                message = "Invalid user groups found and ignored [x]"
                assert answer.json["status"] == {"result": "OK", "message": message, "code": 202}
                assert answer.json["response"]["customer"] == "acme"
        # What only reads is bare in all of them.
        assert client.ask("GET", f"{POST}/{ANN}").json["customer"] == "acme"
    finally:
        client.service.close()
