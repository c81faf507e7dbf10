"""What Elasticsearch's clients expect of every answer: the product header, `filter_path` and its like."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest

from accounts_service.families.signals import examples
from accounts_service.faults import Json, RefusedError, Unavailable
from tests.support.service import Answer, Service

pytestmark = pytest.mark.any_database

PATH = "/_signals/account/email/default"
SEARCH = "/_signals/account/_search"
SECRET = "canary-8c1d"


def make(service: Service) -> Any:
    made = service.put(PATH, {**examples.GOOD["email"], "user": "u", "password": SECRET})
    assert made.status_code == 201
    return service.get(PATH).json


def filtered(service: Service, filter_path: str, path: str = PATH, **options: Any) -> Any:
    mark = "&" if "?" in path else "?"
    answer = service.get(f"{path}{mark}filter_path={quote(filter_path)}", **options)
    assert answer.status_code == 200, answer.text
    return answer.json


# -- The product --------------------------------------------------------------


def product(answer: Answer) -> str | None:
    return answer.headers.get("X-Elastic-Product")


def test_every_answer_of_the_family_names_the_product(service: Service) -> None:
    make(service)
    found = service.get(PATH)
    answers = [
        (200, found),
        (304, service.get(PATH, headers={"If-None-Match": found.headers["ETag"]})),
        (200, service.get(SEARCH)),
        (200, service.get("/_searchguard/authinfo")),
        (200, service.get("/_searchguard/health", by=None)),
        (200, service.ask("HEAD", "/_searchguard/health", by=None)),
        (400, service.put(PATH, {})),
        (401, service.get(PATH, by=None)),
        (403, service.put(PATH, {}, by="reader")),
        (403, service.get(PATH, headers={"_sg_user": "x"})),
        (404, service.get("/_signals/account/email/none")),
        (400, service.get("/_signals/nowhere/at/all")),
        (400, service.get("/_search")),
        (405, service.ask("OPTIONS", PATH)),
        (412, service.delete(PATH, headers={"If-Match": '"7"'})),
        (413, service.ask("PUT", PATH, headers={"Content-Type": "application/json"}, data=b" " * (1 << 20) + b"{")),
        (415, service.ask("PUT", PATH, headers={"Content-Type": "text/plain"}, data=b"{}")),
        (200, service.delete(PATH)),
    ]
    assert [(answer.status_code, product(answer)) for _, answer in answers] == [
        (status, "Elasticsearch") for status, _ in answers
    ]


@pytest.mark.parametrize(("error", "status"), ((RuntimeError(), 500), (RefusedError(Unavailable()), 503)), ids=str)
def test_a_bug_and_an_outage_name_the_product_too(
    service: Service, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("accounts_service.families.signals.views.search.read_search", broken)
    answer = service.get(SEARCH)
    assert (answer.status_code, product(answer)) == (status, "Elasticsearch")


def test_a_replayed_answer_names_the_product_once(service: Service) -> None:
    for _ in range(2):
        answer = service.put(PATH, examples.GOOD["email"], headers={"Idempotency-Key": "once"})
        assert answer.headers.getlist("X-Elastic-Product") == ["Elasticsearch"]


def test_no_other_family_claims_to_be_elasticsearch(service: Service) -> None:
    for path in ("/api/v2/usergroup", "/api/users", "/accounts/me", "/livez", "/nowhere"):
        assert product(service.get(path)) is None


# -- filter_path --------------------------------------------------------------


def test_an_included_path_is_all_that_is_shown(service: Service) -> None:
    whole = make(service)
    source = whole["_source"]
    cases: tuple[tuple[str, Json], ...] = (
        ("_id", {"_id": "email/default"}),
        ("_source.host", {"_source": {"host": source["host"]}}),
        ("_source.host,_version", {"_version": 1, "_source": {"host": source["host"]}}),
        (" _id , found ", {"_id": "email/default", "found": True}),
        ("_source.default_bcc", {"_source": {"default_bcc": source["default_bcc"]}}),
        ("**.port", {"_source": {"port": source["port"]}}),
        ("_s*.po*t", {"_source": {"port": source["port"]}}),
        ("_*", {name: value for name, value in whole.items() if name != "found"}),
        ("*.host", {"_source": {"host": source["host"]}}),
        ("_source", {"_source": source}),
        ("_source.**", {"_source": source}),
        ("**", whole),
        ("*", whole),
        ("", whole),
        (",", whole),
        ("nothing", {}),
        ("_source.host.more", {}),
        ("_id.x", {}),
    )
    for filter_path, expected in cases:
        assert filtered(service, filter_path) == expected, filter_path


def test_an_excluded_path_is_all_that_is_not_shown(service: Service) -> None:
    whole = make(service)
    source = whole["_source"]
    without = {name: value for name, value in source.items() if name != "password"}
    cases: tuple[tuple[str, Json], ...] = (
        ("-_source.password", {**whole, "_source": without}),
        ("-**.password", {**whole, "_source": without}),
        ("-*.pass*", {**whole, "_source": without}),
        ("-_source", {name: value for name, value in whole.items() if name != "_source"}),
        ("-_source.*", {name: value for name, value in whole.items() if name != "_source"}),
        ("_source,-_source.password", {"_source": without}),
        ("-_source.password,_source.password", {}),
        ("-_source.password.more", whole),
        ("-nothing", whole),
        ("-*", {}),
        ("-**", {}),
    )
    for filter_path, expected in cases:
        assert filtered(service, filter_path) == expected, filter_path


def test_a_search_is_filtered_within_its_hits(service: Service) -> None:
    make(service)
    service.put("/_signals/account/slack/s", examples.GOOD["slack"])
    assert filtered(service, "hits.hits._id", SEARCH) == {
        "hits": {"hits": [{"_id": "email/default"}, {"_id": "slack/s"}]}
    }
    assert filtered(service, "hits.hits._source.host,hits.total.value", SEARCH) == {
        "hits": {"total": {"value": 2}, "hits": [{"_source": {"host": examples.GOOD["email"]["host"]}}]}
    }
    assert SECRET not in json.dumps(filtered(service, "-**.password", SEARCH))
    left = filtered(service, "-took,-hits.hits", f"{SEARCH}?size=1")
    assert left.keys() == {"timed_out", "_shards", "hits"}
    assert left["hits"].keys() == {"total", "max_score"}


def test_a_list_that_was_empty_stays_and_one_that_became_empty_does_not(service: Service) -> None:
    assert filtered(service, "-hits.hits._source", SEARCH)["hits"]["hits"] == []
    make(service)
    assert "hits" not in filtered(service, "-hits.hits.*", SEARCH)["hits"]


def test_a_key_with_dots_is_found_by_its_parts_and_as_one(service: Service) -> None:
    webhook: dict[str, Json] = {**examples.GOOD["webhook"], "headers": {"X.Key.One": SECRET, "Accept": "text/plain"}}
    assert service.put("/_signals/account/webhook/w", webhook).status_code == 201
    path = "/_signals/account/webhook/w"
    for exclusion in ("-_source.headers.X.Key.One", r"-_source.headers.X\.Key\.One", "-**.X*", "-_source.headers.X"):
        shown = filtered(service, exclusion, path)["_source"].get("headers", {})
        assert (SECRET in json.dumps(shown), "Accept" in shown) == (exclusion.endswith("headers.X"), True), exclusion
    assert filtered(service, r"_source.headers.X\.Key\.One", path)["_source"]["headers"].keys() == {"X.Key.One"}


@pytest.mark.parametrize(
    ("method", "path", "filter_path", "expected"),
    (
        ("GET", f"{PATH}/_versions", "_id", {"_id": "email/default"}),
        ("GET", f"{PATH}/_versions/1", "_source.host", {"_source": {"host": "mail.mycompany.example"}}),
        ("GET", "/_signals/bin", "deleted._name", {}),
        ("GET", "/_searchguard/authinfo", "user_name", {"user_name": "admin"}),
        ("GET", "/_searchguard/permission?permissions=x", "permissions.y", {}),
        ("GET", "/_searchguard/health", "status", {"status": "UP"}),
        ("DELETE", "/_search/scroll", "succeeded", {"succeeded": True}),
        ("PUT", PATH, "result", {"result": "updated"}),
        ("PATCH", PATH, "-_id,-_version", {"result": "updated"}),
        ("DELETE", PATH, "result", {"result": "deleted"}),
        ("POST", f"{PATH}/_versions/1:restore", "result", {"result": "restored"}),
    ),
)
def test_every_route_is_filtered(service: Service, method: str, path: str, filter_path: str, expected: Json) -> None:
    make(service)
    bodies: dict[str, Json] = {"PUT": examples.GOOD["email"], "PATCH": {"port": 1}}
    mark = "&" if "?" in path else "?"
    answer = service.ask(method, f"{path}{mark}filter_path={filter_path}", json=bodies.get(method))
    assert (answer.status_code, answer.json) == (200, expected)


def test_the_pages_of_a_scroll_are_filtered_by_their_own_paths(service: Service) -> None:
    make(service)
    first = filtered(service, "_scroll_id", f"{SEARCH}?scroll=1m&size=1")
    assert first.keys() == {"_scroll_id"}
    assert filtered(service, "-_scroll_id,-took,-hits", f"/_search/scroll?scroll_id={first['_scroll_id']}").keys() == {
        "timed_out",
        "_shards",
    }


def test_an_error_is_shown_whole(service: Service) -> None:
    """Elasticsearch filters no error: a client that selects a part would not learn that there was one."""
    assert service.get("/_signals/account/email/none?filter_path=_id").json == {"status": 404, "error": "Not found"}
    refused = service.ask("POST", f"{SEARCH}?filter_path=hits", json={"query": {"x": {}}})
    assert refused.json["error"]["reason"] == "unknown query [x]"


def test_a_filtered_answer_is_unchanged_for_the_same_address(service: Service) -> None:
    make(service)
    tag = service.get(f"{PATH}?filter_path=_id").headers["ETag"]
    assert service.get(f"{PATH}?filter_path=_id", headers={"If-None-Match": tag}).status_code == 304
    assert service.put(PATH, examples.GOOD["email"], headers={"If-Match": tag}).status_code == 200
    assert service.get(f"{PATH}?filter_path=_id", headers={"If-None-Match": tag}).status_code == 200


@pytest.mark.parametrize(
    ("filter_path", "reason"),
    (
        ("-", "a path without a key"),
        (".", "a path without a key"),
        ("_id,-.", "a path without a key"),
        (",".join(["a"] * 65), "more than 64 paths, or one of more than 200 characters"),
        ("a" * 201, "more than 64 paths, or one of more than 200 characters"),
        ("a&filter_path=b", "sent more than once"),
    ),
)
def test_a_filter_that_cannot_be_obeyed_is_refused(service: Service, filter_path: str, reason: str) -> None:
    answer = service.get(f"{SEARCH}?filter_path={filter_path}")
    assert (answer.status_code, answer.json["error"]) == (400, f"filter_path: {reason}")


# -- Disclosures --------------------------------------------------------------


def disclosed(service: Service) -> int:
    return sum(record.act == "cluster:admin:searchguard:signals:account/reveal" for record in service.audited())


@pytest.mark.parametrize(
    ("path", "records"),
    (
        (f"{PATH}?filter_path=_id", 0),
        (f"{PATH}?filter_path=-**.password", 0),
        (f"{PATH}?filter_path=**.password", 1),
        (f"{PATH}?filter_path=-_id", 1),
        (PATH, 1),
        (f"{SEARCH}?filter_path=hits.hits._id", 0),
        (f"{SEARCH}?filter_path=-hits.hits._source.password", 0),
        (f"{SEARCH}?filter_path=hits.hits._source.pass*", 1),
        (f"{SEARCH}?filter_path=-took", 1),
    ),
)
def test_a_disclosure_is_recorded_when_the_answer_has_a_secret(service: Service, path: str, records: int) -> None:
    service.put(PATH, {**examples.GOOD["email"], "user": "u", "password": SECRET})
    answer = service.get(path)
    assert (SECRET in answer.text, disclosed(service)) == (bool(records), records)


# -- The other parameters -----------------------------------------------------


@pytest.mark.parametrize(
    "parameters", ("pretty", "pretty=true", "pretty=x", "pretty&human&format=json", "pretty&format=JSON")
)
def test_an_answer_is_indented_on_request(service: Service, parameters: str) -> None:
    make(service)
    assert service.get(f"{PATH}?{parameters}").text.startswith('{\n  "_id"')
    refused = service.ask("POST", f"{SEARCH}?{parameters}", json={"query": {"x": {}}})
    assert (refused.status_code, refused.text.startswith('{\n  "error"')) == (400, True)


@pytest.mark.parametrize("parameters", ("pretty=false", "human=false", "error_trace=false", "format=json"))
def test_a_parameter_may_ask_for_what_there_is(service: Service, parameters: str) -> None:
    make(service)
    assert service.get(f"{PATH}?{parameters}").data == service.get(PATH).data


@pytest.mark.parametrize(
    ("parameters", "reason"),
    (
        ("format=yaml", "format: only [json] is supported"),
        ("format=cbor", "format: only [json] is supported"),
        ("format=", "format: only [json] is supported"),
        ("error_trace", "error_trace: error traces in responses are disabled"),
        ("error_trace=true", "error_trace: error traces in responses are disabled"),
        ("human=1", "human: only [true] or [false] are allowed"),
        ("pretty=true&pretty=false", "pretty: sent more than once"),
    ),
)
def test_a_parameter_that_cannot_be_obeyed_is_refused(service: Service, parameters: str, reason: str) -> None:
    for path in (PATH, SEARCH, "/_searchguard/authinfo"):
        answer = service.get(f"{path}?{parameters}")
        assert (answer.status_code, answer.json["error"]) == (400, reason)
