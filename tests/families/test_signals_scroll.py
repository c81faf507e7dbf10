"""Reading on in a search, page by page: nothing is kept, and nothing is taken for granted."""

from __future__ import annotations

from typing import Any

import pytest

from accounts_service.faults import Json
from accounts_service.storage.sealed import Place
from tests.support.service import Answer, Service

GLOBAL = "/_signals/account/_search"
BLUE = "/_signals/account/blue/_search"
SCROLL = "/_search/scroll"

EMAIL: dict[str, Json] = {"host": "mail.example", "port": 587}
LOST = {"type": "search_context_missing_exception", "reason": "No search context found"}


def make(service: Service, *paths: str, **attributes: Json) -> None:
    for path in paths:
        assert service.put(f"/_signals/account/{path}", {**EMAIL, **attributes}).status_code == 201


def start(service: Service, size: int = 2, path: str = GLOBAL, by: str = "admin", **body: Json) -> Answer:
    answer = service.ask("POST", f"{path}?scroll=60s", json={"size": size, **body}, by=by)
    assert answer.status_code == 200, answer.text
    return answer


def go_on(service: Service, before: Answer, by: str = "admin", **body: Json) -> Answer:
    return service.ask("POST", SCROLL, json={"scroll_id": before.json["_scroll_id"], **body}, by=by)


def ids(answer: Answer) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [hit["_id"] for hit in answer.json["hits"]["hits"]]


def rest(service: Service, answer: Answer, by: str = "admin") -> list[str]:
    found: list[str] = []
    while page := ids(answer := go_on(service, answer, by)):
        found += page
    return found


def assert_lost(answer: Answer) -> None:
    assert (answer.status_code, answer.json) == (404, {"error": {"root_cause": [LOST], **LOST}, "status": 404})


def problems(answer: Answer) -> list[tuple[str, str]]:
    assert answer.status_code == 400, answer.text
    return [(cause["type"].removesuffix("_exception"), cause["reason"]) for cause in answer.json["error"]["root_cause"]]


def at(service: Service, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the clock to so many seconds after it was started."""
    monkeypatch.setattr(service.services.database, "_clock", lambda: 2_000_000_000 + seconds)


def test_twenty_five_accounts_are_read_ten_by_ten(service: Service) -> None:
    names = [f"email/a{number:02}" for number in range(25)]
    make(service, *names)
    pages = [start(service, 10)]
    for _ in range(3):
        pages.append(go_on(service, pages[-1], scroll="1m"))
    assert [ids(page) for page in pages] == [names[:10], names[10:20], names[20:], []]
    for page in pages:
        assert page.json["hits"]["total"] == {"value": 25, "relation": "eq"}
        assert page.json["_scroll_id"]
    assert [page.json["hits"]["max_score"] for page in pages] == [1.0, 1.0, 1.0, None]
    make(service, "email/b")
    assert ids(go_on(service, pages[-1])) == ["email/b"], "who asks again after the end sees what came since"


@pytest.mark.parametrize("missing", ("_first", "_last"))
@pytest.mark.parametrize("order", ("asc", "desc"))
def test_pages_keep_the_order_of_a_sorted_search(service: Service, order: str, missing: str) -> None:
    for number in range(9):
        make(service, f"email/a{number}", port=(5, 25, 1000)[number % 3], **({"user": "u"} if number % 2 else {}))
    sort: Json = [{"user": {"order": order, "missing": missing}}, {"port": order}]
    whole = ids(service.ask("POST", GLOBAL, json={"sort": sort}))
    first = start(service, 2, sort=sort)
    assert ids(first) + rest(service, first) == whole
    assert len(whole) == 9


def test_what_comes_and_goes_between_pages_moves_nothing_else(service: Service) -> None:
    make(service, *(f"email/{name}" for name in "bdfhjl"))
    answer = start(service, 2)
    seen = ids(answer)
    changes = (("ac", "b"), ("ei", "f"), ("km", "l"))
    for made, gone in changes:
        make(service, *(f"email/{name}" for name in made))
        service.delete(f"/_signals/account/email/{gone}")
        service.put("/_signals/account/email/h", {**EMAIL, "port": 25})
        answer = go_on(service, answer)
        seen += ids(answer)
    seen += rest(service, answer)
    assert len(seen) == len(set(seen)), "none comes twice"
    assert set(seen) >= {f"email/{name}" for name in "dhj"}, "none is left out that was there all the time"
    assert seen == sorted(seen)


def test_query_source_and_size_are_those_of_the_first_page(service: Service) -> None:
    make(service, "email/a", "email/b", "email/c", "email/d", user="u")
    make(service, "email/bb")
    query: Json = {"simple_query_string": {"query": "u", "fields": ["user"]}}
    answer = start(service, 1, query=query, _source=["_name"], sort={"_name": "desc"})
    shown = list(answer.json["hits"]["hits"])
    while page := (answer := go_on(service, answer)).json["hits"]["hits"]:
        assert len(page) == 1
        shown += page
    assert [(hit["_source"], hit["sort"]) for hit in shown] == [({"_name": name}, [name]) for name in "dcba"]


def test_it_can_be_asked_in_the_url_too_and_the_body_wins(service: Service) -> None:
    make(service, "email/a", "email/b", "email/c")
    token = start(service, 1).json["_scroll_id"]
    assert ids(service.get(f"{SCROLL}?scroll=1m&scroll_id={token}")) == ["email/b"]
    assert ids(service.ask("GET", f"{SCROLL}?scroll_id=x&scroll=no", json={"scroll_id": token, "scroll": "2m"})) == [
        "email/b"
    ]
    assert service.get(f"{SCROLL}?scroll_id={token}&pretty").text.startswith("{\n")


def test_a_scroll_can_be_begun_by_the_shortest_request(service: Service) -> None:
    make(service, "email/a")
    answer = service.get(GLOBAL + "?scroll=1d")
    assert ids(answer) == ["email/a"]
    assert ids(go_on(service, answer)) == []
    assert "_scroll_id" not in service.get(GLOBAL).json


# -- How long -----------------------------------------------------------------


def test_a_scroll_ends_when_its_time_is_over_and_each_page_may_renew_it(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(service, *(f"email/{name}" for name in "abcdef"))
    at(service, 0, monkeypatch)
    first = start(service, 1)
    at(service, 59.9, monkeypatch)
    renewed, not_renewed = go_on(service, first, scroll="60s"), go_on(service, first)
    assert ids(renewed) == ids(not_renewed) == ["email/b"]
    at(service, 60, monkeypatch)
    assert_lost(go_on(service, first))
    assert_lost(go_on(service, not_renewed))
    assert ids(go_on(service, renewed)) == ["email/c"]
    at(service, 119.8, monkeypatch)
    assert ids(go_on(service, renewed)) == ["email/c"]
    at(service, 120, monkeypatch)
    assert_lost(go_on(service, renewed))


@pytest.mark.any_database
@pytest.mark.parametrize("time", ("1s", "1000ms", "1m", "24h", "1d", "86400s", "1000000micros", "1000000000nanos"))
def test_a_length_of_time_has_a_unit(service: Service, time: str) -> None:
    assert service.get(f"{GLOBAL}?scroll={time}").status_code == 200


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("time", "reason"),
    (
        *((time, "with a unit") for time in ("", "60", "s", "1.5h", "-1", "-1s", "1 s", "1w", "1S", "٣s", "1s\n")),
        *((time, "between") for time in ("0s", "999ms", "25h", "2d", "86401s", "9" * 18 + "d")),
    ),
)
def test_another_length_of_time_is_refused(service: Service, time: str, reason: str) -> None:
    make(service, "email/a")
    answers = [go_on(service, start(service), scroll=time)]
    if time.isprintable():  # Else the gate refuses the query.
        answers += [service.get(f"{GLOBAL}?scroll={time}"), service.get(f"{SCROLL}?scroll={time}&scroll_id=x")]
    for answer in answers:
        ((kind, told),) = problems(answer)
        assert kind == "illegal_argument"
        assert reason in told


# -- Whose --------------------------------------------------------------------


def test_a_scroll_is_of_no_use_to_anybody_else(service: Service) -> None:
    make(service, "email/a", "email/b", "email/c")
    first = start(service, 1)
    role: dict[str, Any] = {"cluster_permissions": ["*"]}
    service.configure(
        {"sg_roles.yml": {"everything": role}, "sg_roles_mapping.yml": {"everything": {"users": ["admin", "reader"]}}}
    )
    assert_lost(go_on(service, first, by="reader"))
    assert ids(go_on(service, first)) == ["email/b"]


def test_what_was_made_up_or_changed_is_no_scroll(service: Service) -> None:
    make(service, "email/a", "email/b")
    token = start(service, 1).json["_scroll_id"]
    vault = service.services.database._vault
    other = vault.seal_token(Place("signals", "scroll", "other"), "[]")
    odd = [
        vault.seal_token(Place("signals", "scroll", "cursor"), text)
        for text in ("[]", "{}", "1", "[2]", '[1,"sg_authc","admin","","{\\"nope\\":1}",null,9999999999999999]')
    ]
    changed = [token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :] for at in range(0, len(token), 7)]
    for spoiled in (
        "",
        "x",
        "ä",
        token[:-1],
        token + "A",
        token + "=",
        token * 200,
        "A" * 65537,
        other,
        *odd,
        *changed,
    ):
        assert_lost(service.ask("POST", SCROLL, json={"scroll_id": spoiled}))
    assert_lost(service.ask("POST", SCROLL, json={}))
    assert_lost(service.ask("POST", SCROLL))
    assert ids(service.ask("POST", SCROLL, json={"scroll_id": token})) == ["email/b"]


def test_a_scroll_is_text_that_tells_nothing(service: Service) -> None:
    make(service, "email/a", "email/b", user="somebody")
    answer = start(service, 1, query={"term": {"user": "somebody"}})
    token = answer.json["_scroll_id"]
    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    assert token != start(service, 1, query={"term": {"user": "somebody"}}).json["_scroll_id"]


def test_a_search_that_makes_too_long_a_scroll_is_refused_at_once(service: Service) -> None:
    body: Json = {"query": {"terms": {"_name": ["x" * 100] * 400}}}
    assert service.ask("POST", GLOBAL, json=body).status_code == 200
    answer = service.ask("POST", GLOBAL + "?scroll=1m", json=body)
    assert problems(answer) == [("illegal_argument", "the search is too long for a scroll")]


# -- Privileges ---------------------------------------------------------------

SEARCH = "cluster:admin:searchguard:signals:account/search"
REVEAL = "cluster:admin:searchguard:signals:account/reveal"
IN_TENANT = "cluster:admin:searchguard:tenant:signals:account/search"
GO_ON = "indices:data/read/scroll"


def allow(service: Service, *cluster: str, tenant: tuple[str, ...] = ()) -> None:
    role: dict[str, Any] = {
        "cluster_permissions": list(cluster),
        "tenant_permissions": [{"tenant_patterns": ["blue"], "allowed_actions": list(tenant)}] if tenant else [],
    }
    mapping = {"some": {"users": ["reader"]}, "SGS_ALL_ACCESS": {"users": ["admin"]}}
    service.configure({"sg_roles.yml": {"some": role}, "sg_roles_mapping.yml": mapping})


def assert_forbidden(answer: Answer) -> None:
    cause = {"type": "security_exception", "reason": "Insufficient permissions"}
    assert (answer.status_code, answer.json) == (403, {"error": {"root_cause": [cause], **cause}, "status": 403})


def test_who_may_search_no_more_may_not_read_on_either(service: Service) -> None:
    make(service, "email/a", "email/b", "email/c")
    allow(service, SEARCH, GO_ON)
    answer = go_on(service, start(service, 1, by="reader"), by="reader")
    assert ids(answer) == ["email/b"]
    allow(service, GO_ON)
    assert_forbidden(go_on(service, answer, by="reader"))
    allow(service, SEARCH)
    assert_forbidden(go_on(service, answer, by="reader"))
    allow(service, SEARCH, GO_ON)
    assert ids(go_on(service, answer, by="reader")) == ["email/c"]


def test_a_scroll_in_a_tenant_asks_for_the_privilege_there(service: Service) -> None:
    make(service, "email/a", "blue/email/b", "blue/email/c", "red/email/d")
    allow(service, GO_ON, tenant=(IN_TENANT,))
    answer = start(service, 1, BLUE, by="reader")
    assert ids(answer) + rest(service, answer, by="reader") == ["email/a", "blue/email/b", "blue/email/c"]
    allow(service, SEARCH, GO_ON)
    assert_forbidden(go_on(service, answer, by="reader"))


def test_a_header_does_not_lead_a_scroll_into_another_tenant(service: Service) -> None:
    make(service, "blue/email/a", "blue/email/b", "red/email/c")
    token = start(service, 1, BLUE).json["_scroll_id"]
    answer = service.ask("POST", SCROLL, json={"scroll_id": token}, headers={"sgtenant": "red"})
    assert ids(answer) == ["blue/email/b"]


def test_who_may_see_secrets_no_more_sees_none_on_the_next_page(service: Service) -> None:
    make(service, "email/a", "email/b", "email/c", user="u", password="hunter2")
    allow(service, SEARCH, REVEAL, GO_ON)
    first = start(service, 1, by="reader")
    assert "hunter2" in first.text
    allow(service, SEARCH, GO_ON)
    second = go_on(service, first, by="reader")
    assert "hunter2" not in second.text
    assert "secret:" in second.text
    allow(service, SEARCH, REVEAL, GO_ON)
    assert "hunter2" in go_on(service, second, by="reader").text


def test_an_exclusion_ends_a_scroll(service: Service) -> None:
    make(service, "email/a", "email/b")
    answer = start(service, 1)
    role = {"cluster_permissions": ["*"], "exclude_cluster_permissions": [SEARCH]}
    service.configure({"sg_roles.yml": {"some": role}, "sg_roles_mapping.yml": {"some": {"users": ["admin"]}}})
    assert_forbidden(go_on(service, answer))


# -- The route ----------------------------------------------------------------


@pytest.mark.parametrize("body", (None, {"scroll_id": ["x", "y"]}, {"scroll_id": "_all"}))
def test_nothing_is_kept_that_could_be_freed(service: Service, body: Json) -> None:
    make(service, "email/a", "email/b")
    first = start(service, 1)
    answer = service.delete(SCROLL, json=body)
    assert (answer.status_code, answer.json) == (200, {"succeeded": True, "num_freed": 0})
    assert ids(go_on(service, first)) == ["email/b"]


def test_every_problem_of_a_continuation_is_told_at_once(service: Service) -> None:
    answer = service.ask("POST", SCROLL, json={"scroll_id": 1, "scroll": True, "size": 3})
    assert problems(answer) == [
        ("parsing", "the body does not support [size]"),
        ("parsing", "[scroll] must be a string"),
        ("parsing", "[scroll_id] must be a string"),
        ("illegal_argument", "[scroll] must be a whole number with a unit, like [60s] or [1m]"),
    ]
    assert problems(service.ask("POST", SCROLL, json=["x"])) == [("parsing", "the body must be an object")]
    assert problems(service.delete(SCROLL, data="{", content_type="application/json"))[0][0] == "parsing"


@pytest.mark.any_database
@pytest.mark.parametrize("path", ("/_search", "/_search/", "/_search/scroll/x", "/_search/template"))
def test_there_is_nothing_else_beside_it(service: Service, path: str) -> None:
    answer = service.ask("POST", path, json={})
    assert (answer.status_code, "no handler found" in answer.json["error"]) == (400, True)
