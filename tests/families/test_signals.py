"""Signals accounts over HTTP, on both databases."""

from __future__ import annotations

import re
from typing import Any

import pytest

from accounts_service.families.signals import examples
from accounts_service.families.signals.schemas.accounts import SCHEMAS
from accounts_service.faults import Json
from tests.support.service import Answer, Service

EMAIL = "/_signals/account/email/default"
SLACK = "/_signals/account/slack/default"

REFERENCE = re.compile(r"secret:[A-Za-z0-9_-]{22}")

WITH_PASSWORD: dict[str, Json] = {"host": "h.example", "port": 25, "user": "u", "password": "s3cret-Käse"}


def source(response: Answer) -> dict[str, Json]:
    """Give the account of a GET."""
    assert response.status_code == 200
    found: dict[str, Json] = response.json["_source"]
    return found


# -- PUT ----------------------------------------------------------------------


@pytest.mark.parametrize("account_type", examples.GOOD)
def test_the_first_put_creates_and_the_second_updates(service: Service, account_type: str) -> None:
    path, body = f"/_signals/account/{account_type}/default", examples.GOOD[account_type]
    first = service.put(path, body)
    assert first.status_code == 201
    assert first.json == {"_id": f"{account_type}/default", "_version": 1, "result": "created"}
    second = service.put(path, body)
    assert second.status_code == 200
    assert second.json == {"_id": f"{account_type}/default", "_version": 2, "result": "updated"}


def test_there_is_an_example_for_every_type() -> None:
    assert examples.GOOD.keys() == SCHEMAS.keys()


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("account_type", "body", "answer"), examples.BAD, ids=[f"{kind}-{len(body)}" for kind, body, _ in examples.BAD]
)
def test_all_faults_of_a_body_are_told_at_once(
    service: Service, account_type: str, body: Json, answer: dict[str, Any]
) -> None:
    path = f"/_signals/account/{account_type}/test"
    response = service.put(path, body)
    assert (response.status_code, response.json) == (400, answer)
    assert list(response.json["detail"]) == list(answer["detail"])
    assert service.get(path).status_code == 404


def test_faults_are_told_in_the_order_of_the_documentation(service: Service) -> None:
    body: Json = {
        "default_to": ["@", "a@b.example", "x"],
        "enable_tls": 1,
        "password": "p",
        "port": 0,
        "trusted_hosts": [{}],
    }
    response = service.put(EMAIL, body)
    assert list(response.json["detail"]) == ["host", "port", "user", "enable_tls", "trusted_hosts", "default_to"]
    assert response.json["error"] == "7 errors; see detail."


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("port", "expected"),
    (
        (0, "A number between 1 and 65535"),
        (65536, "A number between 1 and 65535"),
        (-1, "A number between 1 and 65535"),
        (25.5, "A number between 1 and 65535"),
        ("587", "A numeric value"),
        (True, "A numeric value"),
        ([25], "A numeric value"),
    ),
)
@pytest.mark.parametrize("attribute", ("port", "proxy_port"))
def test_a_port_is_a_whole_number_from_1_to_65535(service: Service, attribute: str, port: Json, expected: str) -> None:
    response = service.put(EMAIL, {"host": "h", "port": 25, attribute: port})
    assert response.json == {
        "status": 400,
        "error": f"'{attribute}': Invalid value",
        "detail": {attribute: [{"error": "Invalid value", "value": port, "expected": expected}]},
    }


@pytest.mark.parametrize("port", (1, 65535, 587.0))
def test_a_port_may_be_written_as_any_json_number(service: Service, port: float) -> None:
    assert service.put(EMAIL, {"host": "h", "port": port}).status_code == 201
    assert source(service.get(EMAIL))["port"] == int(port)


def test_the_stored_form_is_that_of_the_parsed_account(service: Service) -> None:
    body: Json = {
        "default_bcc": "bcc@example.com",
        "type": "slack",
        "_name": "other",
        "mime_layout": "default",
        "trusted_hosts": "one.example",
        "session_timeout": 120000,
        "simulate": False,
        "enable_tls": True,
        "default_from": None,
        "port": 25,
        "host": 12,
    }
    service.put(EMAIL, body)
    assert list(source(service.get(EMAIL)).items()) == [
        ("type", "email"),
        ("_name", "default"),
        ("host", "12"),
        ("port", 25),
        ("session_timeout", 120000),
        ("enable_tls", True),
        ("trusted_hosts", ["one.example"]),
        ("default_bcc", ["bcc@example.com"]),
    ]


@pytest.mark.any_database
@pytest.mark.parametrize("root", ("[]", '"text"', "12", "null", "true"))
def test_a_document_that_is_no_object_lacks_all_attributes(service: Service, root: str) -> None:
    response = service.ask("PUT", SLACK, data=root, content_type="application/json")
    assert response.json["error"] == "'url': Required attribute is missing"


def test_an_empty_body_is_said_to_be_empty(service: Service) -> None:
    response = service.ask("PUT", EMAIL, content_type="application/json")
    assert (response.status_code, response.json["error"]) == (400, "The document is empty")


def test_a_body_that_is_no_json_is_told_where_it_breaks(service: Service) -> None:
    response = service.ask("PUT", EMAIL, data='{"trigger":{', content_type="application/json")
    assert response.status_code == 400
    assert response.json["error"].startswith("Invalid JSON document")
    assert response.json["detail"]["_"][0]["column"] == 13


def test_a_type_is_written_in_lower_case_whatever_was_sent(service: Service) -> None:
    assert service.put("/_signals/account/EMail/default", examples.GOOD["email"]).json["_id"] == "email/default"
    assert source(service.get("/_signals/account/EMAIL/default"))["type"] == "email"
    assert service.delete(EMAIL).status_code == 200


def test_an_unknown_type_is_told_which_there_are(service: Service) -> None:
    response = service.put("/_signals/account/foo/x", {})
    expected = "|".join(sorted(SCHEMAS))
    assert response.json == {
        "status": 400,
        "error": "'type': Invalid value",
        "detail": {"type": [{"error": "Invalid value", "value": "foo", "expected": expected}]},
    }


@pytest.mark.parametrize("name", ("with space", "ümläut", "a%25b", "%3F", "x" * 512, "_search_", "."))
def test_a_name_is_any_text(service: Service, name: str) -> None:
    path = f"/_signals/account/slack/{name}"
    assert service.put(path, examples.GOOD["slack"]).status_code == 201
    assert service.get(path).status_code == 200


# -- The order of checks ------------------------------------------------------


@pytest.mark.any_database
@pytest.mark.parametrize("content_type", ("text/plain", "application/yaml", "application/x-www-form-urlencoded", None))
@pytest.mark.parametrize("by", ("admin", "stranger"))
def test_a_put_that_is_not_json_is_415_before_the_privilege_is_looked_at(
    service: Service, content_type: str | None, by: str
) -> None:
    response = service.ask("PUT", EMAIL, data="x", content_type=content_type, by=by)
    assert response.status_code == 415
    assert response.json == {"status": 415, "error": "Accounts must be of content type application/json"}


def test_nobody_is_401_before_anything_else(service: Service) -> None:
    for method, path in (("PUT", EMAIL), ("POST", EMAIL), ("GET", "/_signals/nowhere"), ("GET", EMAIL + "?x=1")):
        response = service.ask(method, path, by=None, data="x", content_type="text/plain")
        assert (response.status_code, response.text) == (401, "Unauthorized")
        assert response.headers["WWW-Authenticate"] == 'Basic realm="Search Guard"'


def test_a_header_of_search_guards_own_is_refused_even_from_nobody(service: Service) -> None:
    response = service.get(EMAIL, by=None, headers={"_sg_user": "admin"})
    assert (response.status_code, response.json["error"]["type"]) == (403, "security_exception")


def test_who_lacks_the_privilege_does_not_learn_what_is_wrong_with_a_body(service: Service) -> None:
    broken = service.ask("PUT", EMAIL, data="{", content_type="application/json", by="reader")
    invalid = service.put(EMAIL, {}, by="reader")
    assert broken.json == invalid.json == {"status": 403, "error": "Insufficient permissions"}


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("by", "allowed"),
    (
        ("admin", {"GET", "PUT", "DELETE"}),
        ("manager", {"GET", "PUT", "DELETE"}),
        ("revealer", {"GET", "PUT", "DELETE"}),
        ("reader", {"GET"}),
        ("excluded", set()),
        ("stranger", set()),
    ),
)
def test_who_may_do_what(service: Service, by: str, allowed: set[str]) -> None:
    service.put(EMAIL, examples.GOOD["email"])
    for method, body in (("GET", None), ("PUT", examples.GOOD["email"]), ("DELETE", None)):
        options: dict[str, Any] = {} if body is None else {"json": body}
        response = service.ask(method, EMAIL, by=by, **options)
        if method in allowed:
            assert response.status_code == 200
        else:
            assert (response.status_code, response.json) == (
                403,
                {"status": 403, "error": "Insufficient permissions"},
            )


def test_a_wrong_method_is_told_the_right_ones(service: Service) -> None:
    response = service.ask("POST", EMAIL, json={})
    assert response.status_code == 405
    assert response.headers["Allow"] == "DELETE, GET, PATCH, PUT"
    assert response.json["error"].startswith(f"Incorrect HTTP method for uri [{EMAIL}] and method [POST], allowed: [")


@pytest.mark.any_database
@pytest.mark.parametrize("path", ("/_signals/account/email", "/_signals/a/b/c/d", "/_signals/", EMAIL + "/"))
def test_a_path_without_a_route_has_no_handler(service: Service, path: str) -> None:
    response = service.get(path)
    assert (response.status_code, response.json) == (
        400,
        {"error": f"no handler found for uri [{path}] and method [GET]"},
    )


def test_an_unknown_parameter_is_named(service: Service) -> None:
    response = service.get(EMAIL + "?refresh=true&pretty")
    assert response.status_code == 400
    assert response.json["error"]["reason"] == f"request [{EMAIL}] contains unrecognized parameter: [refresh]"


@pytest.mark.parametrize("method", ("GET", "DELETE"))
def test_a_body_is_refused_where_none_is_read(service: Service, method: str) -> None:
    response = service.ask(method, EMAIL, json={})
    assert response.status_code == 400
    assert response.json["error"]["reason"] == f"request [{method} {EMAIL}] does not support having a body"


def test_answers_are_indented_when_asked_for_and_errors_always(service: Service) -> None:
    assert "\n" not in service.put(EMAIL, examples.GOOD["email"]).text
    assert "\n" in service.get(EMAIL + "?pretty").text
    assert "\n" not in service.get(EMAIL + "?pretty=false").text
    assert "\n" in service.get("/_signals/account/email/none").text


# -- GET and DELETE -----------------------------------------------------------


def test_what_does_not_exist_is_not_found(service: Service) -> None:
    assert service.get(EMAIL).json == {"status": 404, "error": "Not found"}
    assert service.get("/_signals/account/foo/x").json == {"status": 404, "error": "Not found"}
    gone = service.delete(EMAIL)
    assert (gone.status_code, gone.json) == (404, {"status": 404, "error": "Account does not exist: email/default"})


def test_a_deletion_is_a_version_and_the_next_account_goes_on_from_it(service: Service) -> None:
    service.put(EMAIL, examples.GOOD["email"])
    gone = service.delete(EMAIL)
    assert (gone.status_code, gone.json) == (200, {"_id": "email/default", "_version": 2, "result": "deleted"})
    again = service.put(EMAIL, examples.GOOD["email"])
    assert (again.status_code, again.json) == (201, {"_id": "email/default", "_version": 3, "result": "created"})


def test_nothing_is_for_a_cache_to_keep(service: Service) -> None:
    for response in (service.put(EMAIL, examples.GOOD["email"]), service.get(EMAIL), service.get(EMAIL, by=None)):
        assert response.headers["Cache-Control"] == "no-store"


# -- Conditions ---------------------------------------------------------------


def test_a_put_with_if_match_replaces_only_the_version_it_names(service: Service) -> None:
    tag = service.put(EMAIL, examples.GOOD["email"]).headers["ETag"]
    assert tag == service.get(EMAIL).headers["ETag"] == '"1"'
    assert service.put(EMAIL, WITH_PASSWORD, headers={"If-Match": tag}).headers["ETag"] == '"2"'
    stale = service.put(EMAIL, examples.GOOD["email"], headers={"If-Match": tag})
    assert (stale.status_code, stale.json["status"]) == (412, 412)
    assert source(service.get(EMAIL))["host"] == "h.example"


def test_a_put_with_if_none_match_creates_and_never_replaces(service: Service) -> None:
    only_new = {"If-None-Match": "*"}
    assert service.put(EMAIL, examples.GOOD["email"], headers=only_new).status_code == 201
    assert service.put(EMAIL, WITH_PASSWORD, headers=only_new).status_code == 412
    assert service.get(EMAIL).json["_version"] == 1


def test_a_delete_with_if_match_deletes_only_the_version_it_names(service: Service) -> None:
    service.put(EMAIL, examples.GOOD["email"])
    assert service.delete(EMAIL, headers={"If-Match": '"9"'}).status_code == 412
    assert service.delete(EMAIL, headers={"If-Match": '"1"'}).status_code == 200


def test_a_tag_from_before_a_deletion_never_matches_again(service: Service) -> None:
    tag = service.put(EMAIL, examples.GOOD["email"]).headers["ETag"]
    service.delete(EMAIL)
    service.put(EMAIL, WITH_PASSWORD)
    assert service.put(EMAIL, examples.GOOD["email"], headers={"If-Match": tag}).status_code == 412


def test_a_reader_who_has_the_version_gets_no_body(service: Service) -> None:
    tag = service.put(EMAIL, examples.GOOD["email"]).headers["ETag"]
    response = service.get(EMAIL, headers={"If-None-Match": tag})
    assert (response.status_code, response.data, response.headers["ETag"]) == (304, b"", tag)
    assert response.headers["Cache-Control"] == "no-store"


# -- Secrets ------------------------------------------------------------------


def test_a_secret_is_shown_in_clear_only_with_reveal(service: Service) -> None:
    service.put(EMAIL, WITH_PASSWORD)
    for by in ("admin", "revealer"):
        assert source(service.get(EMAIL, by=by))["password"] == WITH_PASSWORD["password"]
    for by in ("reader", "manager"):
        response = service.get(EMAIL, by=by)
        assert REFERENCE.fullmatch(str(source(response)["password"]))
        assert "s3cret" not in response.text


@pytest.mark.parametrize("account_type", SCHEMAS)
def test_no_secret_of_any_type_reaches_who_may_not_see_it(service: Service, account_type: str) -> None:
    path, schema = f"/_signals/account/{account_type}/x", SCHEMAS[account_type]
    secrets: dict[str, Json] = {name: f"canary-{name}" for name in schema.marked("secret")}
    if "headers" in secrets:
        secrets["headers"] = {"X-Key": "canary-header"}
    assert service.put(path, {**examples.GOOD[account_type], "user": "u", **secrets}).status_code == 201
    shown = service.get(path, by="manager")
    assert "canary" not in shown.text
    for name in secrets:
        told = source(shown)[name]
        assert all(REFERENCE.fullmatch(str(one)) for one in (told.values() if isinstance(told, dict) else [told]))


def test_sending_the_reference_back_keeps_the_secret(service: Service) -> None:
    service.put(EMAIL, WITH_PASSWORD)
    shown = source(service.get(EMAIL, by="manager"))
    assert service.put(EMAIL, {**shown, "default_to": "a@b.example"}, by="manager").status_code == 200
    assert source(service.get(EMAIL))["password"] == WITH_PASSWORD["password"]


def test_leaving_a_secret_out_removes_it(service: Service) -> None:
    service.put(EMAIL, WITH_PASSWORD)
    service.put(EMAIL, {"host": "h.example", "port": 25, "user": "u"}, by="manager")
    assert "password" not in source(service.get(EMAIL))


def test_a_reference_that_is_not_the_stored_secrets_is_400(service: Service) -> None:
    service.put(EMAIL, WITH_PASSWORD)
    stale = source(service.get(EMAIL, by="manager"))
    service.put(EMAIL, {**WITH_PASSWORD, "password": "newer"})
    response = service.put(EMAIL, stale, by="manager")
    assert response.status_code == 400
    assert response.json["detail"] == {
        "password": [
            {"error": "Invalid value", "value": None, "expected": "The secret itself, or its current reference"}
        ]
    }
    assert source(service.get(EMAIL))["password"] == "newer"


def test_a_guess_cannot_be_tried_by_who_may_write_and_not_see(service: Service) -> None:
    service.put(EMAIL, WITH_PASSWORD)
    before = source(service.get(EMAIL, by="manager"))["password"]
    service.put(EMAIL, WITH_PASSWORD, by="manager")
    assert source(service.get(EMAIL, by="manager"))["password"] != before


def test_a_list_that_nobody_needs_is_refused_as_such(service: Service) -> None:
    response = service.put(EMAIL, {"host": "h", "port": 25, "default_to": [1] * 300_000, "trusted_hosts": [{}] * 1001})
    assert response.json["detail"] == {
        name: [{"error": "Invalid value", "value": None, "expected": "At most 1000 elements"}]
        for name in ("trusted_hosts", "default_to")
    }
    many: list[Json] = ["a@b.example"] * 1000
    assert service.put(EMAIL, {"host": "h", "port": 25, "default_to": many}).status_code == 201


def test_a_null_in_a_list_is_no_element(service: Service) -> None:
    response = service.put(EMAIL, {"host": "h", "port": 25, "trusted_hosts": [None], "default_cc": [None]})
    assert [errors[0]["expected"] for errors in response.json["detail"].values()] == ["A string", "E-mail address"]


def test_a_user_of_the_wrong_kind_is_one_fault_and_not_also_missing(service: Service) -> None:
    response = service.put(EMAIL, {"host": "h", "port": 25, "user": ["x"], "password": "p"})
    assert response.json["error"] == "'user': Invalid value"


def test_a_reference_is_good_for_its_own_account_and_attribute_only(service: Service) -> None:
    service.put(EMAIL, {**WITH_PASSWORD, "proxy_password": WITH_PASSWORD["password"]})
    shown = source(service.get(EMAIL, by="manager"))
    assert shown["password"] != shown["proxy_password"]
    swapped = {**shown, "password": shown["proxy_password"], "proxy_password": shown["password"]}
    assert list(service.put(EMAIL, swapped, by="manager").json["detail"]) == ["password", "proxy_password"]
    other = "/_signals/account/email/other"
    assert service.put(other, shown, by="manager").status_code == 400
    service.put(other, {**WITH_PASSWORD, "proxy_password": "x"})
    assert service.put(other, shown, by="manager").status_code == 400
    service.delete(EMAIL)
    assert service.put(EMAIL, shown, by="admin").status_code == 400


DESTINATIONS: dict[str, Json] = {
    "host": "evil.example",
    "port": 26,
    "user": "v",
    "proxy_host": "evil.example",
    "proxy_port": 1080,
    "proxy_user": "v",
    "debug": True,
    "enable_tls": True,
    "enable_start_tls": True,
    "trust_all": True,
    "trusted_hosts": ["evil.example"],
}


def test_every_destination_is_tried_below() -> None:
    assert set(SCHEMAS["email"].marked("destination")) == DESTINATIONS.keys()


@pytest.mark.parametrize("attribute", DESTINATIONS)
def test_a_kept_secret_cannot_be_sent_elsewhere_by_who_may_not_see_it(service: Service, attribute: str) -> None:
    service.put(EMAIL, WITH_PASSWORD)
    moved = {**source(service.get(EMAIL, by="manager")), attribute: DESTINATIONS[attribute]}
    response = service.put(EMAIL, moved, by="manager")
    assert response.status_code == 400
    assert response.json["detail"] == {
        "password": [
            {
                "error": f"A stored secret cannot be kept while this changes: {attribute}",
                "expected": "The secret itself",
            }
        ]
    }
    assert service.put(EMAIL, {**moved, "password": "sent anew"}, by="manager").status_code == 200


def test_who_may_see_a_secret_may_move_it_by_its_reference(service: Service) -> None:
    service.put(EMAIL, WITH_PASSWORD)
    moved = {**source(service.get(EMAIL, by="manager")), "host": "new.example"}
    assert service.put(EMAIL, moved, by="revealer").status_code == 200
    assert source(service.get(EMAIL)) == {**moved, "password": WITH_PASSWORD["password"]}


def test_a_destination_may_change_when_no_secret_is_kept(service: Service) -> None:
    service.put(EMAIL, {"host": "h.example", "port": 25})
    assert service.put(EMAIL, {"host": "new.example", "port": 25}, by="manager").status_code == 200
