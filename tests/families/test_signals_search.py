"""Searches in Signals accounts, on both databases."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from accounts_service.families.signals import examples
from accounts_service.families.signals.schemas.accounts import SCHEMAS
from accounts_service.families.signals.schemas.notes import MAPPED
from accounts_service.families.signals.store import terms
from accounts_service.families.signals.store.accounts import Accounts, Key
from accounts_service.families.signals.tables import ACCOUNT_TERM
from accounts_service.faults import Json
from accounts_service.storage.sealed import REFERENCE
from tests.storage.kit import AUTHOR, GRANT, Always, rows
from tests.storage.kit import document as checked
from tests.support.service import Answer, Service

GLOBAL = "/_signals/account/_search"
BLUE = "/_signals/account/blue/_search"
CANARY = "canary-51f0"

EMAIL: dict[str, Json] = {"host": "mail.example", "port": 587}


def make(service: Service, *paths: str, **attributes: Json) -> None:
    for path in paths:
        made = service.put(f"/_signals/account/{quote(path)}", {**EMAIL, **attributes})
        assert made.status_code == 201, made.text


def search(
    service: Service, query: Json = None, path: str = GLOBAL, by: str = "admin", start: int = 0, **body: Json
) -> Answer:
    body |= ({"from": start} if start else {}) | ({} if query is None else {"query": query})
    answer = service.ask("POST", path, json=body, by=by)
    assert answer.status_code == 200, answer.text
    return answer


def ids(answer: Answer) -> list[str]:
    return [hit["_id"] for hit in answer.json["hits"]["hits"]]


def found(service: Service, query: Json, path: str = GLOBAL) -> list[str]:
    return ids(search(service, query, path, size=1000))


def problems(answer: Answer) -> list[tuple[str, str]]:
    """Give all problems of an answer that is shaped as Elasticsearch's."""
    assert answer.status_code == 400, answer.text
    error = answer.json["error"]
    assert answer.json == {"error": error, "status": 400}
    assert (error["type"], error["reason"]) == (error["root_cause"][0]["type"], error["root_cause"][0]["reason"])
    return [(cause["type"].removesuffix("_exception"), cause["reason"]) for cause in error["root_cause"]]


def refused(service: Service, body: Json, parameters: str = "") -> list[tuple[str, str]]:
    return problems(service.ask("POST", GLOBAL + parameters, json=body))


# -- The answer ---------------------------------------------------------------


@pytest.mark.parametrize("method", ("GET", "POST"))
def test_without_a_body_everything_is_found_in_the_form_of_elasticsearch(service: Service, method: str) -> None:
    service.put("/_signals/account/email/default", examples.GOOD["email"])
    answer = service.ask(method, GLOBAL)
    assert answer.status_code == 200
    document = answer.json
    assert isinstance(document.pop("took"), int)
    assert document == {
        "timed_out": False,
        "_shards": {"total": 1, "successful": 1, "skipped": 0, "failed": 0},
        "hits": {
            "total": {"value": 1, "relation": "eq"},
            "max_score": 1.0,
            "hits": [
                {
                    "_index": ".signals_accounts",
                    "_id": "email/default",
                    "_score": 1.0,
                    "_source": service.get("/_signals/account/email/default").json["_source"],
                }
            ],
        },
    }
    assert answer.headers["Cache-Control"] == "no-store"


def test_nothing_found_is_an_answer_too(service: Service) -> None:
    hits = search(service).json["hits"]
    assert hits == {"total": {"value": 0, "relation": "eq"}, "max_score": None, "hits": []}


def test_the_answer_is_indented_on_request(service: Service) -> None:
    assert service.get(GLOBAL + "?pretty").text.startswith('{\n  "took"')
    assert "\n" not in service.get(GLOBAL).text


def test_ten_are_shown_unless_more_or_fewer_are_asked_for_and_the_url_wins(service: Service) -> None:
    make(service, *(f"email/a{number:02}" for number in range(12)))
    assert ids(search(service)) == [f"email/a{number:02}" for number in range(10)]
    assert len(ids(search(service, size=12))) == 12
    assert len(ids(search(service, size=12, path=GLOBAL + "?size=3"))) == 3
    assert len(ids(search(service, size=2, path=GLOBAL + "?size=-1"))) == 2
    assert len(ids(search(service, path=GLOBAL + "?size=-1&from=-1"))) == 10
    assert ids(search(service, start=3, size=1)) == ["email/a03"]
    assert ids(search(service, path=GLOBAL + "?from=11", start=3)) == ["email/a11"]
    nothing = search(service, size=0).json["hits"]
    assert nothing == {"total": {"value": 12, "relation": "eq"}, "max_score": None, "hits": []}


def test_the_total_is_counted_to_ten_thousand(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accounts_service.families.signals.schemas.search.COUNTED_TO", 3)
    make(service, "email/a", "email/b", "email/c")
    assert search(service).json["hits"]["total"] == {"value": 3, "relation": "eq"}
    make(service, "email/d", "email/e")
    assert search(service).json["hits"]["total"] == {"value": 3, "relation": "gte"}


# -- Queries ------------------------------------------------------------------


QUERIES: tuple[tuple[Json, str], ...] = (
    ({"match_all": {}}, "abcs"),
    ({"match_all": {"boost": 2.5, "_name": "all"}}, "abcs"),
    ({"match": {"type": "SLACK"}}, "s"),
    ({"match": {"_name": {"query": "B", "operator": "AND", "boost": 1}}}, "b"),
    ({"match": {"host": "mail"}}, ""),
    ({"term": {"type": "SLACK"}}, ""),
    ({"term": {"type": {"value": "SLACK", "case_insensitive": True}}}, "s"),
    ({"term": {"type.keyword": "slack"}}, "s"),
    ({"term": {"port": 25}}, "b"),
    ({"term": {"port": "25"}}, "b"),
    ({"term": {"port": 25.0}}, "b"),
    ({"match": {"enable_tls": True}}, "a"),
    ({"match": {"enable_tls": "true"}}, "a"),
    ({"terms": {"_name": ["a", "b", "x"], "boost": 1}}, "ab"),
    ({"terms": {"port": [25, 26]}}, "b"),
    ({"terms": {"_name": []}}, ""),
    ({"term": {"trusted_hosts": "two.example"}}, "c"),
    ({"ids": {"values": ["email/a", "slack/s", "a", "email/", "/email/b", "x/email/c"]}}, "as"),
    ({"ids": {"values": "email/b"}}, "b"),
    ({"prefix": {"host": "MAIL"}}, ""),
    ({"prefix": {"host": {"value": "MAIL", "case_insensitive": True}}}, "abc"),
    ({"wildcard": {"trusted_hosts": "*.ex?mple"}}, "c"),
    ({"wildcard": {"trusted_hosts": {"wildcard": "TWO*", "case_insensitive": True}}}, "c"),
    ({"wildcard": {"_name": ""}}, ""),
    ({"exists": {"field": "trusted_hosts.keyword"}}, "c"),
    ({"exists": {"field": "nothing"}}, ""),
    ({"bool": {}}, "abcs"),
    ({"bool": {"must": {"term": {"type": "email"}}, "must_not": [{"term": {"_name": "a"}}]}}, "bc"),
    ({"bool": {"should": [{"term": {"_name": "a"}}, {"term": {"port": 25}}]}}, "ab"),
    ({"bool": {"should": {"term": {"_name": "a"}}, "filter": {"match": {"type": "email"}}}}, "abc"),
    (
        {
            "bool": {
                "should": [{"exists": {"field": "port"}}, {"term": {"_name": "a"}}, {"term": {"port": 587}}],
                "minimum_should_match": -1,
            }
        },
        "ac",
    ),
    ({"bool": {"should": [{"match_all": {}}], "minimum_should_match": 2}}, ""),
    ({"bool": {"should": [{"term": {"_name": "a"}}], "minimum_should_match": 0}}, "abcs"),
    ({"bool": {"must_not": {"match_all": {}}}}, ""),
)


def test_a_query_finds_what_it_says(service: Service, subtests: pytest.Subtests) -> None:
    make(service, "email/a", enable_tls=True)
    make(service, "email/b", port=25)
    make(service, "email/c", trusted_hosts=["one.example", "two.example"])
    service.put("/_signals/account/slack/s", examples.GOOD["slack"])
    for query, expected in QUERIES:
        with subtests.test(query=query, expected=expected):
            assert [identifier[-1] for identifier in found(service, query)] == list(expected)


TYPED = (
    ("*", "abd"),
    (" * ", "abd"),
    ("", ""),
    ("   ", ""),
    ("alpha", "a"),
    ("ALP*", "a"),
    ("alp", ""),
    ("alpha beta", "ab"),
    ("alpha + email", "a"),
    ("alpha | beta", "ab"),
    ("email -alpha", "abd"),
    ("email + -alpha", "bd"),
    ("email+-alpha", "bd"),
    ("- - alpha", "a"),
    ('"del ta"', "d"),
    ('"DEL t"*', "d"),
    ('"del ta', "d"),
    (r"del\ ta", "d"),
    (r"del\ t*", "d"),
    (r"alpha\*", ""),
    ("(alpha | beta) + email", "ab"),
    ("alpha | (beta + nothing)", "a"),
    ("-(alpha | beta) + *", "d"),
    ("(alpha", "a"),
    ("alpha) beta(", "ab"),
    ("() + | -", ""),
    ("\\", ""),
    ("a*b", ""),
)


def test_a_query_string_is_what_a_person_types(service: Service, subtests: pytest.Subtests) -> None:
    make(service, "email/alpha", "email/beta", "email/del ta")
    for text, expected in TYPED:
        query: Json = {"simple_query_string": {"query": text, "analyze_wildcard": True, "fields": ["_name", "type^2"]}}
        with subtests.test(text=text, expected=expected):
            assert [identifier.removeprefix("email/")[0] for identifier in found(service, query)] == list(expected)


@pytest.mark.parametrize(
    ("options", "expected"),
    (
        ({}, 2),
        ({"fields": ["*"]}, 2),
        ({"fields": ["_na*"]}, 1),
        ({"fields": ["host.keyword"]}, 1),
        ({"fields": []}, 0),
        ({"fields": ["password", "unknown"]}, 0),
        ({"lenient": True, "default_operator": "AND", "boost": 1}, 2),
    ),
    ids=str,
)
def test_a_query_string_looks_in_the_fields_that_it_names_or_in_all(
    service: Service, options: dict[str, Json], expected: int
) -> None:
    make(service, "email/needle")
    make(service, "email/other", host="Needle")
    make(service, "email/neither", user="u", password="needle")
    assert len(found(service, {"simple_query_string": {"query": "needle", **options}})) == expected


def test_words_without_an_operator_must_all_match_on_request(service: Service) -> None:
    make(service, "email/alpha", "email/beta")
    query: Json = {"simple_query_string": {"query": "alpha email", "default_operator": "and"}}
    assert found(service, query) == ["email/alpha"]


HOSTILE = (
    "'",
    '"',
    "';--",
    "%",
    "_",
    "\\",
    "\\%",
    "*",
    "?",
    "[a]",
    "[!a]",
    "$1",
    ":x",
    "%(x)s",
    "é",
    "e\u0301",
    "𐐀",
    "{}",
)


@pytest.mark.parametrize("name", HOSTILE)
def test_signs_that_mean_something_to_a_database_mean_themselves(service: Service, name: str) -> None:
    make(service, "email/a", f"email/{name}", f"email/x{name}y")
    escaped = "".join(f"\\{char}" for char in name)
    this, longer = f"email/{name}", f"email/x{name}y"
    assert found(service, {"term": {"_name": name}}) == [this]
    assert found(service, {"match": {"_name": name}}) == [this]
    assert found(service, {"terms": {"_name": [name]}}) == [this]
    assert found(service, {"ids": {"values": [this]}}) == [this]
    assert found(service, {"prefix": {"_name": name}}) == [this]
    assert found(service, {"prefix": {"_name": f"x{name}"}}) == [longer]
    assert found(service, {"wildcard": {"_name": escaped}}) == [this]
    assert found(service, {"wildcard": {"_name": f"?{escaped}*"}}) == [longer]
    assert found(service, {"simple_query_string": {"query": escaped, "fields": ["_name"]}}) == [this]
    assert found(service, {"term": {name: name}}) == []
    assert found(service, {"exists": {"field": name}}) == []
    assert ids(search(service, sort=[{name: {"unmapped_type": "keyword"}}])) == sorted(["email/a", this, longer])


def test_case_is_folded_as_unicode_says_on_every_database(service: Service) -> None:
    make(service, "email/STRASSE", "email/straße", "email/ÉCOLE", "email/ς")
    assert found(service, {"match": {"_name": "straSSe"}}) == ["email/STRASSE", "email/straße"]
    assert found(service, {"match": {"_name": "école"}}) == ["email/ÉCOLE"]
    assert found(service, {"match": {"_name": "Σ"}}) == ["email/ς"]
    assert found(service, {"wildcard": {"_name": {"value": "éC*", "case_insensitive": True}}}) == ["email/ÉCOLE"]
    assert found(service, {"wildcard": {"_name": "éC*"}}) == []


def test_a_change_is_found_at_once_and_what_was_before_no_more(service: Service) -> None:
    make(service, "email/a", host="before.example")
    service.put("/_signals/account/email/a", {**EMAIL, "host": "after.example"})
    assert found(service, {"term": {"host": "before.example"}}) == []
    assert found(service, {"term": {"host": "after.example"}}) == ["email/a"]
    assert {row.version for row in rows(service.services.database, ACCOUNT_TERM)} == {2}
    service.delete("/_signals/account/email/a")
    assert found(service, {"match_all": {}}) == []
    assert rows(service.services.database, ACCOUNT_TERM) == []


def test_what_is_too_long_is_shown_but_not_found_and_a_name_always_is(service: Service) -> None:
    long, longer = "h" * terms.LONGEST_VALUE, "h" * (terms.LONGEST_VALUE + 1)
    make(service, "email/a", user=long)
    make(service, "email/b", user=longer)
    make(service, f"email/{'n' * 512}", f"email/{'ΐ' * 256}")
    assert found(service, {"prefix": {"user": "hh"}}) == ["email/a"]
    assert search(service, {"ids": {"values": ["email/b"]}}).json["hits"]["hits"][0]["_source"]["user"] == longer
    assert found(service, {"match": {"_name": "N" * 512}}) == [f"email/{'n' * 512}"]
    assert found(service, {"prefix": {"_name": "ΐ"}}) == [f"email/{'ΐ' * 256}"]


def test_terms_are_those_of_leaves_and_numbers_have_a_rank_of_their_size(service: Service) -> None:
    with service.services.database.transaction(Accounts, AUTHOR) as accounts:
        body = checked(number=5, flag=True, ratio=0.5, inner={"Key": ["x", 1]})
        accounts.put(GRANT, Key("email", "N", "t"), body, Always())
    made = [(row.field, row.value, row.folded, row.rank) for row in rows(service.services.database, ACCOUNT_TERM)]
    assert made == [
        ("_name", "N", "n", "N"),
        ("type", "email", "email", "email"),
        ("_tenant", "t", "t", "t"),
        ("host", "h", "h", "h"),
        ("number", "5", "5", "5".zfill(20)),
        ("flag", "true", "true", "true"),
        ("ratio", "0.5", "0.5", "0.5"),
        ("inner.Key", "x", "x", "x"),
        ("inner.Key", "1", "1", "1".zfill(20)),
    ]


# -- Order --------------------------------------------------------------------


def sorted_by(service: Service, *sort: Json) -> list[tuple[str, Json]]:
    hits = search(service, sort=list(sort)).json["hits"]
    assert hits["max_score"] is None
    assert all(hit["_score"] is None for hit in hits["hits"])
    return [(hit["_id"].removeprefix("email/"), hit["sort"]) for hit in hits["hits"]]


def test_accounts_come_in_the_order_of_a_field_and_numbers_by_their_size(service: Service) -> None:
    for name, port in (("a", 1000), ("b", 25), ("c", 587)):
        make(service, f"email/{name}", port=port)
    up: list[tuple[str, Json]] = [("b", [25]), ("c", [587]), ("a", [1000])]
    assert sorted_by(service, "port") == sorted_by(service, {"port": "asc"}) == up
    assert sorted_by(service, {"port": {"order": "desc"}}) == up[::-1]
    assert sorted_by(service, {"_name.keyword": "DESC"}) == [("c", ["c"]), ("b", ["b"]), ("a", ["a"])]
    assert ids(search(service, sort="_name")) == ids(search(service, sort={"_name": "asc"}))


@pytest.mark.parametrize("order", ("asc", "desc"))
def test_who_lacks_the_field_comes_last_or_on_request_first(service: Service, order: str) -> None:
    make(service, "email/a", "email/c")
    make(service, "email/b", user="u")
    last = sorted_by(service, {"user": {"order": order}})
    assert last == [("b", ["u"]), ("a", [None]), ("c", [None])]
    first = sorted_by(service, {"user": {"order": order, "missing": "_first"}})
    assert first == [("a", [None]), ("c", [None]), ("b", ["u"])]


def test_of_several_values_the_least_counts_and_downwards_the_greatest(service: Service) -> None:
    make(service, "email/a", trusted_hosts=["m", "a", "z"])
    make(service, "email/b", trusted_hosts=["b", "y"])
    assert sorted_by(service, "trusted_hosts") == [("a", ["a"]), ("b", ["b"])]
    assert sorted_by(service, {"trusted_hosts": "desc"}) == [("a", ["z"]), ("b", ["y"])]


def test_several_keys_are_taken_in_turn_and_the_rest_is_in_order_of_names(service: Service) -> None:
    make(service, "email/d", "email/b")
    make(service, "email/c", "email/a", port=25)
    both = sorted_by(service, {"port": "desc", "_name": "desc"})
    assert both == [("d", [587, "d"]), ("b", [587, "b"]), ("c", [25, "c"]), ("a", [25, "a"])]
    assert [name for name, _ in sorted_by(service, "port")] == ["a", "c", "b", "d"]


def test_scores_are_all_the_same(service: Service) -> None:
    make(service, "email/b", "email/a")
    assert sorted_by(service, "_doc", {"_score": {"order": "desc"}}) == [("a", [0, 1.0]), ("b", [0, 1.0])]
    by_score = search(service, sort="_score").json["hits"]
    assert (by_score["max_score"], "sort" in by_score["hits"][0]) == (1.0, False)


def test_a_field_that_nobody_has_is_sorted_by_only_on_request(service: Service) -> None:
    make(service, "email/a")
    told = ("illegal_argument", "No mapping found for [{}] in order to sort on")
    assert refused(service, {"sort": ["nope", {"password.keyword": "asc"}, "headers", "integration_key"]}) == [
        (told[0], told[1].format(name)) for name in ("nope", "password.keyword", "headers", "integration_key")
    ]
    assert sorted_by(service, {"nope": {"unmapped_type": "keyword"}}) == [("a", [None])]


# -- What is shown ------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "expected"),
    (
        (True, ["type", "_name", "url", "method", "headers"]),
        ([], ["type", "_name", "url", "method", "headers"]),
        ("url", ["url"]),
        (["*e"], ["type", "_name"]),
        (["m*th*d", "u*l"], ["url", "method"]),
        ({"excludes": ["_*", "headers"]}, ["type", "url", "method"]),
        ({"includes": "*", "excludes": "*e"}, ["url", "method", "headers"]),
        ({"include": ["headers.X-*"]}, ["headers"]),
        (["headers"], ["headers"]),
        ({"excludes": ["headers.*"]}, ["type", "_name", "url", "method", "headers"]),
        ("none", []),
        (["h*h", "*a*a*", "urlx", "*urlurl", "m*t*t*d"], []),
    ),
    ids=str,
)
def test_a_part_of_the_account_is_shown_on_request(service: Service, source: Json, expected: list[str]) -> None:
    body: Json = {"url": "https://hook.example/", "headers": {"X-Key": "k", "Accept": "a"}}
    service.put("/_signals/account/webhook/x", body)
    (hit,) = search(service, _source=source).json["hits"]["hits"]
    assert list(hit["_source"]) == expected
    if source == {"include": ["headers.X-*"]}:
        assert hit["_source"] == {"headers": {"X-Key": "k"}}


def test_the_account_itself_is_left_out_on_request(service: Service) -> None:
    make(service, "email/a")
    assert search(service, _source=False).json["hits"]["hits"] == [
        {"_index": ".signals_accounts", "_id": "email/a", "_score": 1.0}
    ]


# -- Who may see what ---------------------------------------------------------


def secret_of(answer: Answer, identifier: str) -> str:
    (hit,) = [hit for hit in answer.json["hits"]["hits"] if hit["_id"] == identifier]
    return str(hit["_source"]["password"])


def test_secrets_are_references_but_for_who_may_see_them(service: Service) -> None:
    make(service, "email/a", user="u", password=CANARY)
    reference = secret_of(search(service, by="reader"), "email/a")
    assert REFERENCE.fullmatch(reference)
    assert reference == service.get("/_signals/account/email/a", by="reader").json["_source"]["password"]
    assert secret_of(search(service, by="revealer"), "email/a") == CANARY


def test_secrets_of_tenants_and_global_ones_have_a_privilege_each(service: Service) -> None:
    make(service, "email/a", "blue/email/a", user="u", password=CANARY)
    tenant = "cluster:admin:searchguard:tenant:signals:account/"
    for revealed, cluster, within in (
        ((), [], ["search"]),
        (("email/a",), ["cluster:admin:searchguard:signals:account/reveal"], ["search"]),
        (("blue/email/a",), [], ["search", "reveal"]),
        (("email/a", "blue/email/a"), ["cluster:admin:searchguard:signals:account/reveal"], ["search", "reveal"]),
    ):
        actions = [tenant + act for act in within]
        role: dict[str, Any] = {
            "cluster_permissions": cluster,
            "tenant_permissions": [{"tenant_patterns": ["blue"], "allowed_actions": actions}],
        }
        service.configure({"sg_roles.yml": {"reader": role}, "sg_roles_mapping.yml": {"reader": {"users": ["reader"]}}})
        answer = search(service, path=BLUE, by="reader")
        shown = {identifier for identifier in ids(answer) if secret_of(answer, identifier) == CANARY}
        assert shown == set(revealed)


def test_a_secret_is_found_by_no_query(service: Service) -> None:
    secrets: list[tuple[str, str]] = []
    for kind, schema in SCHEMAS.items():
        plain = {name: value for name, value in examples.GOOD[kind].items() if name not in schema.marked("secret")}
        body: dict[str, Json] = {**plain, "user": "u"} if "user" in schema.fields else plain
        for name in schema.marked("secret"):
            body[name] = {"X-Key": CANARY} if name == "headers" else CANARY
            secrets.append((kind, name))
        assert service.put(f"/_signals/account/{kind}/x", body).status_code == 201
    everywhere = len(SCHEMAS)
    assert len(found(service, {"match_all": {}})) == everywhere
    for text in (CANARY, CANARY.upper(), f"{CANARY[:3]}*", CANARY[:-1] + "*"):
        assert found(service, {"simple_query_string": {"query": text}}) == []
    for kind, name in secrets:
        for field in (name, f"{name}.keyword", f"{name}.X-Key"):
            queries: list[Json] = [
                {"match": {field: CANARY}},
                {"term": {field: CANARY}},
                {"terms": {field: [CANARY]}},
                {"prefix": {field: CANARY[:2]}},
                {"wildcard": {field: f"*{CANARY[2:5]}*"}},
                {"simple_query_string": {"query": CANARY, "fields": [field]}},
                {"simple_query_string": {"query": "c*", "fields": [field[:3] + "*"]}},
            ]
            for query in queries:
                assert found(service, query) == [], query
            assert f"{kind}/x" not in found(service, {"exists": {"field": field}})
    stored = rows(service.services.database, ACCOUNT_TERM)
    assert not [row for row in stored if "canary" in str(tuple(row))]


def test_only_what_can_be_seen_has_a_mapping() -> None:
    assert MAPPED & {"password", "proxy_password", "auth_token", "integration_key", "headers"} == set()
    assert {"_name", "type", "_tenant", "host", "trusted_hosts"} <= MAPPED


def test_a_search_shows_the_accounts_of_its_tenant_and_the_global_ones(service: Service) -> None:
    make(service, "email/a", "blue/email/a", "red/email/a", "_main/email/a")
    assert found(service, {"match_all": {}}) == ["email/a"]
    assert found(service, {"match_all": {}}, BLUE) == ["email/a", "blue/email/a"]
    for name in ("_main", "SGS_GLOBAL_TENANT"):
        main = found(service, {"match_all": {}}, f"/_signals/account/{name}/_search")
        assert main == ["email/a", "_main/email/a"]
    assert found(service, {"term": {"_tenant": "blue"}}, BLUE) == ["blue/email/a"]
    assert found(service, {"term": {"_tenant": "red"}}, BLUE) == []
    assert found(service, {"ids": {"values": ["red/email/a", "email/a"]}}, BLUE) == ["email/a"]
    assert found(service, {"bool": {"must_not": {"exists": {"field": "_tenant"}}}}, BLUE) == ["email/a"]


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("path", "allowed", "forbidden"),
    (
        (
            GLOBAL,
            ("admin", "reader", "manager", "revealer", "old_native"),
            ("native", "foreigner", "excluded", "stranger"),
        ),
        (
            BLUE,
            ("admin", "native", "old_native"),
            ("reader", "manager", "revealer", "foreigner", "excluded", "stranger"),
        ),
        ("/_signals/account/green/_search", (), ("admin", "native")),
    ),
)
@pytest.mark.parametrize("method", ("GET", "POST"))
def test_who_may_not_search_is_told_in_the_form_of_elasticsearch(
    service: Service, path: str, allowed: tuple[str, ...], forbidden: tuple[str, ...], method: str
) -> None:
    cause = {"type": "security_exception", "reason": "Insufficient permissions"}
    for who in allowed:
        assert service.ask(method, path, by=who).status_code == 200, who
    for who in forbidden:
        # A bad body is not looked at.
        answer = service.ask(method, path, by=who, data="{", content_type="application/json")
        assert (answer.status_code, answer.json) == (403, {"error": {"root_cause": [cause], **cause}, "status": 403})
    assert service.ask(method, path, by=None).status_code == 401


def test_a_header_does_not_lead_a_search_into_another_tenant(service: Service) -> None:
    make(service, "email/a", "blue/email/a", "red/email/a")
    answer = service.get(BLUE, by="native", headers={"sgtenant": "red"})
    assert ids(answer) == ["email/a", "blue/email/a"]
    assert ids(service.get(GLOBAL, headers={"sgtenant": "blue"})) == ["email/a"]


def test_the_private_tenant_is_no_tenant(service: Service) -> None:
    answer = service.get("/_signals/account/__user__/_search")
    assert (answer.status_code, answer.json["error"]["message"]) == (400, "Signals does not support private tenants")


@pytest.mark.any_database
@pytest.mark.parametrize("path", (GLOBAL, BLUE, "/_signals/account/email/_search", "/_signals/account/blue/%5fsearch"))
@pytest.mark.parametrize("method", ("PUT", "DELETE"))
def test_no_account_is_called_search(service: Service, path: str, method: str) -> None:
    body = {"type": "email", **EMAIL} if method == "PUT" else None
    answer = service.ask(method, path, json=body)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, POST")
    assert "hits" in service.get(BLUE).json


# -- What is refused ----------------------------------------------------------


def test_every_problem_of_a_search_is_told_at_once(service: Service) -> None:
    body: Json = {
        "aggs": {},
        "from": "0",
        "size": -1,
        "sort": [{"nope": {"order": "up", "mode": "min"}}, 1],
        "_source": {"only": []},
        "query": {
            "bool": {
                "must": [{"fuzzy": {"a": "b"}}, {"term": {"a": None}}, {"match": []}, {}],
                "should": {"terms": {"a": "b"}},
                "minimum_should_match": "75%",
                "must_nit": [],
            }
        },
    }
    assert refused(service, body, "?from=ten&scroll=soon") == [
        ("parsing", "the body does not support [aggs]"),
        ("parsing", "[from] must be a whole number"),
        ("illegal_argument", "parameter [from] must be a whole number"),
        ("illegal_argument", "[size] must not be negative, and is [-1]"),
        ("illegal_argument", "[scroll] must be a whole number with a unit, like [60s] or [1m]"),
        ("parsing", "[bool] does not support [must_nit]"),
        ("parsing", "unknown query [fuzzy]"),
        ("parsing", "[term] needs a string, a number or a boolean as its value"),
        ("parsing", "[match] must be an object"),
        ("parsing", "a query is an object with one name, that of its kind"),
        ("parsing", "[terms] needs a list of values"),
        ("parsing", "[bool]: [minimum_should_match] must be a whole number"),
        ("parsing", "[sort] does not support [mode]"),
        ("parsing", "[sort]: [order] must be one of [asc, desc]"),
        ("illegal_argument", "No mapping found for [nope] in order to sort on"),
        ("parsing", "[sort] takes names of fields, and objects with the name of a field"),
        ("parsing", "[_source] does not support [only]"),
    ]


NONSENSE: tuple[tuple[Json, str], ...] = (
    ("all", "a query must be an object"),
    ({"match_all": {}, "term": {"a": "b"}}, "a query is an object with one name, that of its kind"),
    ({"match_all": {"x": 1}}, "[match_all] does not support [x]"),
    ({"match_all": {"boost": True}}, "[match_all]: [boost] must be a number that is not negative"),
    ({"match_all": {"boost": -1}}, "[match_all]: [boost] must be a number that is not negative"),
    ({"match_all": {"_name": 1}}, "[match_all]: [_name] must be a string"),
    ({"match": {"a": {"query": "x", "fuzziness": 1}}}, "[match] does not support [fuzziness]"),
    ({"match": {"a": {"query": "x", "operator": "xor"}}}, "[match]: [operator] must be one of [or, and]"),
    ({"match": {"a": {"operator": "or"}}}, "[match] needs [query] for [a]"),
    ({"term": {"a": "x", "b": "y"}}, "[term] needs one field, not 2"),
    ({"term": {}}, "[term] needs one field, not 0"),
    ({"term": {"a": ["x"]}}, "[term] needs a string, a number or a boolean as its value"),
    ({"term": {"a": {"value": "x", "case_insensitive": 1}}}, "[term]: [case_insensitive] must be true or false"),
    ({"terms": {"a": ["x"], "b": ["y"]}}, "[terms] needs one field, not 2"),
    ({"terms": {"a": [{}]}}, "[terms] needs a string, a number or a boolean as its value"),
    ({"terms": {"a": ["x"] * 1001}}, "[terms]: a list has at most 1000 values"),
    ({"ids": {}}, "[ids] needs [values]"),
    ({"ids": {"values": {}}}, "[ids] needs a list of values"),
    ({"ids": {"values": ["x"] * 1001}}, "[ids]: a list has at most 1000 values"),
    ({"prefix": {"a": "x" * 1001}}, "[prefix]: a pattern has at most 1000 characters"),
    ({"wildcard": {"a": "*" * 1001}}, "[wildcard]: a pattern has at most 1000 characters"),
    ({"wildcard": {"a": {"value": "x", "wildcard": "y"}}}, "[wildcard] needs [value] or [wildcard] for [a]"),
    ({"exists": {}}, "[exists] needs [field]"),
    ({"exists": {"field": 1}}, "[field] must be a string"),
    ({"simple_query_string": {}}, "[simple_query_string] needs [query]"),
    ({"simple_query_string": {"query": 1}}, "[query] must be a string"),
    ({"simple_query_string": {"query": "a", "flags": "ALL"}}, "[simple_query_string] does not support [flags]"),
    (
        {"simple_query_string": {"query": "a", "fields": "x"}},
        "[simple_query_string] fields needs a list of values",
    ),
    (
        {"simple_query_string": {"query": "(" * 17 + "a"}},
        "[simple_query_string]: operators and parentheses stand deeper than 16 within each other",
    ),
    ({"simple_query_string": {"query": "a " * 256}}, "too many clauses: a query has at most 256"),
    ({"bool": {"must": [{"match_all": {}}] * 256}}, "too many clauses: a query has at most 256"),
    ({"bool": {"must": [1]}}, "a query must be an object"),
    ({"bool": {"minimum_should_match": True}}, "[bool]: [minimum_should_match] must be a whole number"),
    ({"x" * 200: {}}, f"unknown query [{'x' * 100}]"),
)


def test_a_query_that_makes_no_sense_is_refused_by_name(service: Service, subtests: pytest.Subtests) -> None:
    for query, reason in NONSENSE:
        with subtests.test(query=query, reason=reason):
            assert [told for _, told in refused(service, {"query": query})] == [reason]


@pytest.mark.any_database
@pytest.mark.parametrize("body", ([], "x", 1, True, None))
def test_a_body_is_an_object(service: Service, body: Json) -> None:
    answer = service.ask(
        "POST", GLOBAL, data="null" if body is None else None, json=body, content_type="application/json"
    )
    assert problems(answer) == [("parsing", "the body must be an object")]


@pytest.mark.parametrize(
    ("raw", "reason"),
    (
        ("{", "Invalid JSON document: Expecting property name enclosed in double quotes at line 1, column 2"),
        (" ", "The document is empty"),
        ('{"size":1,"size":2}', "Invalid JSON document: a key stands twice in one object"),
    ),
)
def test_a_body_that_is_no_json_is_told_in_the_form_of_elasticsearch(service: Service, raw: str, reason: str) -> None:
    answer = service.ask("POST", GLOBAL, data=raw, content_type="application/json")
    assert problems(answer) == [("parsing", reason)]


PAGES: tuple[tuple[str, Json, list[str]], ...] = (
    ("?size=10001", {}, ["Result window is too large, [from] + [size] must be at most [10000] but is [10001]"]),
    ("", {"from": 9999, "size": 2}, ["Result window is too large"]),
    ("?from=10000", {}, ["Result window is too large"]),
    ("?scroll=60s&size=10001", {}, ["Result window is too large"]),
    ("?scroll=60s&from=1", {}, ["[from] must be 0 in a scroll"]),
    ("?scroll=60s&size=0&from=2", {}, ["[from] must be 0 in a scroll", "[size] must not be 0 in a scroll"]),
    ("?size=1.0", {}, ["parameter [size] must be a whole number"]),
    ("?size=", {}, ["parameter [size] must be a whole number"]),
    ("?size=-2", {}, ["[size] must not be negative, and is [-2]"]),
    ("?size=%D9%A3", {}, ["parameter [size] must be a whole number"]),
    ("", {"size": True}, ["[size] must be a whole number"]),
    ("", {"size": "10"}, ["[size] must be a whole number"]),
    ("", {"size": 10.5}, ["[size] must be a whole number"]),
    ("", {"sort": ["_name"] * 9}, ["[sort] has at most 8 keys"]),
    ("", {"sort": {f"f{n}": "asc" for n in range(9)}}, ["[sort] has at most 8 keys"]),
    ("", {"sort": [["_name"]]}, ["[sort] takes names of fields, and objects with the name of a field"]),
    ("", {"sort": {"_name": 1}}, ["[sort] must be an object"]),
    ("", {"sort": {"_score": {"missing": "_last"}}}, ["[sort] does not support [missing]"]),
    ("", {"sort": {"_name": {"missing": 0}}}, ["[sort]: [missing] must be one of [_last, _first]"]),
    ("", {"sort": {"_name": {"unmapped_type": 1}}}, ["[unmapped_type] must be a string"]),
    ("", {"_source": 1}, ["[_source] needs a list of values"]),
    ("", {"_source": [1]}, ["[[_source]] must be a string"]),
)


def test_a_page_that_makes_no_sense_is_refused(service: Service, subtests: pytest.Subtests) -> None:
    for parameters, body, reasons in PAGES:
        with subtests.test(parameters=parameters, body=body, reasons=reasons):
            told = [reason for _, reason in refused(service, body, parameters)]
            assert len(told) == len(reasons)
            assert all(one.startswith(expected) for one, expected in zip(told, reasons, strict=True))


def test_no_more_than_a_hundred_problems_are_told(service: Service) -> None:
    assert len(refused(service, {f"x{number}": 1 for number in range(1000)})) == 100


def test_other_parameters_are_refused(service: Service) -> None:
    for path in (GLOBAL, BLUE):
        answer = service.get(path + "?q=x")
        assert problems(answer) == [("illegal_argument", f"request [{path}] contains unrecognized parameter: [q]")]


def test_a_body_of_another_kind_is_refused(service: Service) -> None:
    assert service.ask("POST", GLOBAL, data="size: 1", content_type="application/yaml").status_code == 415


def test_the_largest_queries_that_are_taken_are_answered(service: Service) -> None:
    make(service, "email/a")
    leaf: Json = {"wildcard": {"_name": "*a" * 500}}
    wide: Json = {"bool": {"should": [leaf] * 254 + [{"term": {"_name": "a"}}], "minimum_should_match": 1}}
    assert found(service, wide) == ["email/a"]
    counted: Json = {"bool": {"should": [{"match_all": {}}] * 255, "minimum_should_match": 255}}
    assert found(service, counted) == ["email/a"]
    deep: Json = {"match_all": {}}
    for _ in range(7):
        deep = {"bool": {"must_not": {"bool": {"must_not": deep}}}}
    assert found(service, deep) == ["email/a"]
    lists: Json = {"bool": {"should": [{"terms": {"_name": [f"{number}" for number in range(1000)]}}] * 100}}
    assert found(service, lists) == []
    typed = "(" * 16 + "a" + ")" * 16 + " | a" * 200
    assert found(service, {"simple_query_string": {"query": typed}}) == ["email/a"]
    sort: Json = [{name: "desc"} for name in ("_name", "type", "host", "port", "user", "debug", "url", "_tenant")]
    assert ids(search(service, sort=sort)) == ["email/a"]
