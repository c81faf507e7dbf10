"""What people's tools send to `_search` beyond the simplest queries, on both databases."""

from __future__ import annotations

from typing import Any

import pytest

from accounts_service.families.signals import examples
from accounts_service.families.signals.schemas.clauses import BEGINNINGS, WHOLE_VALUES
from accounts_service.faults import Json
from tests.support.service import Answer, Service

SEARCH = "/_signals/account/_search"
CANARY = "canary-51f0"

# Who is called by what letter; the port is what `n` has not.
ACCOUNTS: dict[str, dict[str, Json]] = {
    "a": {"host": "mail.example", "port": 25, "user": "disk full", "password": CANARY},
    "b": {"host": "MAIL.other", "port": 587, "user": "disk"},
    "c": {"host": "relay.example", "port": 2500, "trusted_hosts": ["one.example", "two.example"]},
}


def ask(service: Service, body: dict[str, Json], parameters: str = "", **options: Any) -> Answer:
    return service.ask("POST", SEARCH + parameters, json=body, **options)


def found(service: Service, query: Json, **body: Json) -> str:
    """Return the last letters of the ids that a query finds, in order."""
    answer = ask(service, {"query": query, "size": 100, **body})
    assert answer.status_code == 200, answer.text
    return "".join(hit["_id"][-1] for hit in answer.json["hits"]["hits"])


def refused(service: Service, body: dict[str, Json], parameters: str = "") -> list[str]:
    answer = ask(service, body, parameters)
    assert answer.status_code == 400, answer.text
    return [cause["reason"] for cause in answer.json["error"]["root_cause"]]


def make(service: Service) -> None:
    for name, body in ACCOUNTS.items():
        assert service.put(f"/_signals/account/email/{name}", body).status_code == 201
    assert service.put("/_signals/account/slack/s", examples.GOOD["slack"]).status_code == 201


QUERIES: tuple[tuple[Json, str], ...] = (
    ({"range": {"port": {"gte": 587}}}, "bc"),
    ({"range": {"port": {"gt": 587}}}, "c"),
    ({"range": {"port": {"lt": 587}}}, "a"),
    ({"range": {"port": {"lte": "587", "gt": "25"}}}, "b"),
    ({"range": {"port": {"gt": 24.5, "lt": 25.5}}}, "a"),
    ({"range": {"port": {"gte": 25.5, "lte": 586.5}}}, ""),
    ({"range": {"port": {"gt": -1, "gte": -7.5}}}, "abc"),
    ({"range": {"port": {"lt": -1}}}, ""),
    ({"range": {"port": {"lte": 1e300}}}, "abc"),
    ({"range": {"port": {"gte": None, "lte": None}}}, "abc"),
    ({"range": {"port": {"gte": 25, "gt": 25, "boost": 2}}}, "bc"),
    ({"range": {"port": {}}}, "abc"),
    ({"range": {"_name": {"gte": "b", "lt": "s"}}}, "bc"),
    ({"range": {"_name.keyword": {"gt": "b"}}}, "cs"),
    ({"range": {"host": {"lt": "a"}}}, "b"),
    ({"range": {"trusted_hosts": {"gt": "one.example", "lt": "two.example"}}}, ""),
    ({"range": {"trusted_hosts": {"gt": "one.example"}}}, "c"),
    ({"range": {"password": {"gte": ""}}}, ""),
    ({"range": {"nothing": {"gte": ""}}}, ""),
    ({"match_phrase": {"user": "Disk Full"}}, "a"),
    ({"match_phrase": {"user": {"query": "full", "slop": 0}}}, ""),
    ({"match_phrase_prefix": {"user": "DISK"}}, "ab"),
    ({"match_phrase_prefix": {"user": {"query": "disk f"}}}, "a"),
    ({"match_phrase_prefix": {"user": ""}}, ""),
    ({"multi_match": {"query": "A"}}, "a"),
    ({"multi_match": {"query": "disk", "fields": ["use*", "_name^3"], "operator": "AND"}}, "b"),
    ({"multi_match": {"query": "disk", "fields": ["_name"], "tie_breaker": 0.3}}, ""),
    ({"multi_match": {"query": "mail.", "type": "phrase_prefix", "lenient": True}}, "ab"),
    ({"multi_match": {"query": 25, "fields": ["port"], "type": "cross_fields"}}, "a"),
    ({"multi_match": {"query": "", "type": "bool_prefix"}}, ""),
    ({"multi_match": {"query": CANARY}}, ""),
    ({"constant_score": {"filter": {"term": {"_name": "b"}}, "boost": 1.2}}, "b"),
    ({"constant_score": {"filter": {"bool": {"must_not": {"exists": {"field": "port"}}}}}}, "s"),
)


def test_a_query_finds_what_it_says(service: Service, subtests: pytest.Subtests) -> None:
    make(service)
    for query, expected in QUERIES:
        with subtests.test(query=query, expected=expected):
            assert found(service, query) == expected


TYPED: tuple[tuple[str, str], ...] = (
    ("*", "abcs"),
    ("*:*", "abcs"),
    ("", ""),
    ("  ", ""),
    ("a", "a"),
    ("a b", "ab"),
    ("_name:a", "a"),
    ("_name : a", "a"),
    ("_name:A OR _name:B", "ab"),
    ("_name:a || _name:b", "ab"),
    ("_name:(a OR b) AND port:25", "a"),
    ("_name:(a b) && port:25", "a"),
    ("type:email AND NOT _name:a", "bc"),
    ("type:email AND !_name:a", "bc"),
    ("type:email -_name:a", "bc"),
    ("+type:email - _name:a", "bc"),
    ("NOT type:email", "s"),
    ("-type:email", "s"),
    ("type:email AND -(_name:a OR _name:b)", "c"),
    ("a OR b AND port:587", "b"),
    ("+a b", "a"),
    ("and", ""),
    ("ANDY", ""),
    (r"\AND", ""),
    ('"disk full"', "a"),
    ('user:"DISK FULL"', "a"),
    ("user:disk*", "ab"),
    ("user:d?sk", "b"),
    ("user:*", "ab"),
    (r"use\*:disk", "b"),
    ("use*:disk", "b"),
    ("*.example", "ac"),
    ("host:*.EXAMPLE", "ac"),
    (r"host:mail\.example", "a"),
    ("host:mail*r", "b"),
    ("_exists_:port", "abc"),
    ("NOT _exists_:port.keyword", "s"),
    ("port:[25 TO 587]", "ab"),
    ("port:{25 TO 587]", "b"),
    ("port:[25 TO 587}", "a"),
    ("port:[* TO *]", "abc"),
    ("port:{587 TO *}", "c"),
    ("port:>587", "c"),
    ("port:>=587", "bc"),
    ("port:<587", "a"),
    ("port:(>=587 AND <2500)", "b"),
    ('_name:["b" TO "c"]', "bc"),
    ("_name:>=b", "bcs"),
    ("_name:a^2", "a"),
    ("_name:a^2.5 _name:b", "ab"),
    ("(a)", "a"),
    ("((a) (b))", "ab"),
    ("one.example", "c"),
    ("password:*", ""),
    (f"password:{CANARY}", ""),
    (CANARY, ""),
    ("canary*", ""),
    ("pass*:*", ""),
    (r"email\/a", ""),
)


def test_a_query_string_finds_what_lucene_says(service: Service, subtests: pytest.Subtests) -> None:
    make(service)
    for text, expected in TYPED:
        with subtests.test(text=text, expected=expected):
            assert found(service, {"query_string": {"query": text, "analyze_wildcard": True}}) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    (
        ({"query": "type:email a", "default_operator": "AND"}, "a"),
        ({"query": "type:email OR a", "default_operator": "and"}, "abc"),
        ({"query": "type:email a OR b", "default_operator": "and"}, "abc"),
        ({"query": "a", "default_field": "host"}, ""),
        ({"query": "a", "default_field": "_name"}, "a"),
        ({"query": "a", "default_field": "*"}, "a"),
        ({"query": "disk", "fields": ["_name", "use*^5"]}, "b"),
        ({"query": "*", "fields": ["port", "user"]}, "abc"),
        ({"query": ">587", "default_field": "port"}, "c"),
        ({"query": "[b TO c]", "fields": ["_name"], "lenient": True}, "bc"),
        ({"query": "port:[b TO c] a", "lenient": True}, "a"),
        ({"query": "mail*", "allow_leading_wildcard": False}, "ab"),
        ({"query": "a", "boost": 2, "_name": "q"}, "a"),
    ),
)
def test_a_query_string_has_options(service: Service, options: Json, expected: str) -> None:
    make(service)
    assert found(service, {"query_string": options}) == expected


NO_LUCENE: tuple[tuple[str, str], ...] = (
    ("a AND", "an operator has nothing behind it, at character 6"),
    ("AND a", "an operator has nothing before it, at character 5"),
    ("a AND OR b", "an operator stands where a word should; a backslash makes it one, at character 9"),
    ("a NOT", "an operator has nothing behind it, at character 6"),
    ("(a", "a parenthesis is not closed, at character 3"),
    ("a)", "a parenthesis is closed that was not opened, at character 2"),
    ("()", "there is nothing within parentheses, at character 2"),
    ('"a', "a quotation mark is not closed, at character 1"),
    ("a~", "fuzzy words, and words near each other, are not supported, at character 2"),
    ('"a b"~2', "fuzzy words, and words near each other, are not supported, at character 6"),
    ("a^x", "fuzzy words, and words near each other, are not supported, at character 2"),
    (
        "/a.*/",
        "regular expressions are not supported; a slash needs a backslash before it, at character 1",
    ),
    ("[a TO b]", "a range needs a field, at character 9"),
    (">1", "a range needs a field, at character 3"),
    ("port:[1 TO", "a range has [TO] between its ends, at character 8"),
    ("port:[1 2]", "a range has [TO] between its ends, at character 8"),
    ("port:[1 TO 2", "a range is not closed, at character 13"),
    ("port:[]", "a range has two ends, at character 7"),
    (
        "a:",
        "no word begins with this character, unless a backslash precedes it, at character 3",
    ),
    (
        ":a",
        "no word begins with this character, unless a backslash precedes it, at character 1",
    ),
    (
        "--a",
        "no word begins with this character, unless a backslash precedes it, at character 2",
    ),
    (
        "a\\",
        "no word begins with this character, unless a backslash precedes it, at character 2",
    ),
    ("(" * 17 + "a" + ")" * 17, "parentheses stand deeper than 16 within each other, at character 18"),
    ("*" + "a" * 1000, "a pattern has at most 1000 characters, at character 1002"),
)


def test_what_is_not_in_lucenes_syntax_is_refused_with_its_place(service: Service, subtests: pytest.Subtests) -> None:
    for text, reason in NO_LUCENE:
        with subtests.test(text=text):
            assert refused(service, {"query": {"query_string": {"query": text}}}) == [f"[query_string]: {reason}"]


NONSENSE: tuple[tuple[Json, str], ...] = (
    ({"range": {}}, "[range] needs one field, not 0"),
    ({"range": {"a": {}, "b": {}}}, "[range] needs one field, not 2"),
    ({"range": {"a": 1}}, "[range] must be an object"),
    ({"range": {"a": {"from": 1}}}, "[range] does not support [from]"),
    ({"range": {"a": {"gte": "x", "format": "yyyy"}}}, "[range] does not support [format]"),
    ({"range": {"a": {"gte": []}}}, "[range] needs a string, a number or a boolean as its value"),
    ({"range": {"port": {"gte": "abc"}}}, '[range]: For input string: "abc"'),
    ({"range": {"port": {"gte": True}}}, '[range]: For input string: "not a number"'),
    ({"range": {"port": {"gte": "1e5"}}}, '[range]: For input string: "1e5"'),
    (
        {"match_phrase": {"a": {"query": "x", "slop": 1}}},
        "[match_phrase]: [slop] must be 0, as a value is compared as a whole",
    ),
    ({"match_phrase": {"a": {"query": "x", "analyzer": "y"}}}, "[match_phrase] does not support [analyzer]"),
    ({"match_phrase": {}}, "[match_phrase] needs one field, not 0"),
    (
        {"match_phrase_prefix": {"a": {"query": "x", "max_expansions": 1}}},
        "[match_phrase_prefix] does not support [max_expansions]",
    ),
    ({"multi_match": {}}, "[multi_match] needs [query]"),
    (
        {"multi_match": {"query": "x", "type": "most"}},
        f"[multi_match]: [type] must be one of [{', '.join((*WHOLE_VALUES, *BEGINNINGS))}]",
    ),
    ({"multi_match": {"query": "x", "fuzziness": 1}}, "[multi_match] does not support [fuzziness]"),
    ({"multi_match": {"query": "x", "tie_breaker": 2}}, "[multi_match]: [tie_breaker] must be a number from 0 to 1"),
    ({"multi_match": {"query": "x", "fields": "a"}}, "[multi_match] fields needs a list of values"),
    ({"constant_score": {}}, "[constant_score] needs [filter]"),
    ({"constant_score": {"filter": {"x": {}}}}, "unknown query [x]"),
    ({"constant_score": {"filter": {"match_all": {}}, "query": {}}}, "[constant_score] does not support [query]"),
    ({"query_string": {}}, "[query_string] needs [query]"),
    ({"query_string": {"query": 1}}, "[query] must be a string"),
    ({"query_string": {"query": "a", "fuzziness": 1}}, "[query_string] does not support [fuzziness]"),
    (
        {"query_string": {"query": "a", "fields": ["a"], "default_field": "b"}},
        "[query_string] takes [fields] or [default_field], not both",
    ),
    (
        {"query_string": {"query": "*a", "allow_leading_wildcard": False}},
        "[query_string]: a pattern must not begin with [*] or [?], at character 3",
    ),
    ({"query_string": {"query": "a" * 4001}}, "[query_string]: [query] has at most 4000 characters"),
    ({"query_string": {"query": "a " * 257}}, "too many clauses: a query has at most 256"),
    ({"query_string": {"query": "port:>x"}}, '[query_string]: For input string: "x"'),
)


def test_a_query_that_makes_no_sense_is_refused_by_name(service: Service, subtests: pytest.Subtests) -> None:
    for query, reason in NONSENSE:
        with subtests.test(query=query, reason=reason):
            assert refused(service, {"query": query}) == [reason]


# -- Around the query ---------------------------------------------------------


def test_a_post_filter_leaves_hits_out_and_counts_no_others(service: Service) -> None:
    make(service)
    body: dict[str, Json] = {"query": {"term": {"type": "email"}}, "post_filter": {"range": {"port": {"gt": 25}}}}
    hits = ask(service, body).json["hits"]
    assert ([hit["_id"][-1] for hit in hits["hits"]], hits["total"]["value"]) == (["b", "c"], 2)
    assert refused(service, {"post_filter": {"x": {}}}) == ["unknown query [x]"]


@pytest.mark.parametrize(
    ("asked", "total"),
    (
        (True, {"value": 4, "relation": "eq"}),
        (4, {"value": 4, "relation": "eq"}),
        (3, {"value": 3, "relation": "gte"}),
        (0, {"value": 0, "relation": "gte"}),
        (False, None),
        (-1, None),
    ),
)
def test_hits_are_counted_as_far_as_is_asked_for(service: Service, asked: Json, total: Json) -> None:
    make(service)
    hits = ask(service, {"track_total_hits": asked, "size": 1}).json["hits"]
    assert (hits.get("total"), len(hits["hits"])) == (total, 1)


def test_a_hit_shows_its_version_and_sequence_number_on_request(service: Service) -> None:
    make(service)
    service.put("/_signals/account/email/a", ACCOUNTS["a"])
    single = service.get("/_signals/account/email/a").json
    query: Json = {"term": {"_name": "a"}}
    (hit,) = ask(service, {"query": query, "version": True, "seq_no_primary_term": True}).json["hits"]["hits"]
    assert {name: hit[name] for name in ("_version", "_seq_no", "_primary_term")} == {
        name: single[name] for name in ("_version", "_seq_no", "_primary_term")
    }
    (plain,) = ask(service, {"query": query, "version": False}).json["hits"]["hits"]
    assert not {"_version", "_seq_no", "_primary_term"} & plain.keys()


def test_the_pages_of_a_scroll_keep_what_the_first_was_asked_for(service: Service) -> None:
    make(service)
    body: dict[str, Json] = {"post_filter": {"term": {"type": "email"}}, "version": True, "track_total_hits": 2}
    page = ask(service, {**body, "size": 2}, "?scroll=1m").json
    following = service.ask("POST", "/_search/scroll", json={"scroll_id": page["_scroll_id"]}).json["hits"]
    assert [(hit["_id"], hit["_version"]) for hit in following["hits"]] == [("email/c", 1)]
    assert following["total"] == {"value": 2, "relation": "gte"}


SORTS: tuple[Json, ...] = (
    ["_id"],
    [{"_id": "desc"}],
    ["type", "_id"],
    [{"port": {"order": "desc", "missing": "_first"}}, "_id"],
    [{"port": "asc"}, {"_id": "desc"}],
    [{"trusted_hosts": "desc"}, "_score", "_id"],
    ["_name", "_doc"],
)


@pytest.mark.parametrize("sort", SORTS, ids=str)
def test_search_after_goes_on_behind_the_last_hit(service: Service, sort: Json) -> None:
    make(service)
    whole = ask(service, {"sort": sort}).json["hits"]["hits"]
    hits: list[Any] = []
    page = ask(service, {"sort": sort, "size": 1}).json["hits"]["hits"]
    while page:
        hits += page
        page = ask(service, {"sort": sort, "size": 1, "search_after": page[-1]["sort"]}).json["hits"]["hits"]
    assert hits == whole
    assert len(whole) == 4


def test_search_after_passes_over_what_has_the_same_values(service: Service) -> None:
    make(service)
    hits = ask(service, {"sort": ["type"], "search_after": ["email"]}).json["hits"]
    assert ([hit["_id"] for hit in hits["hits"]], hits["total"]["value"]) == (["slack/s"], 4)


def test_an_identifier_is_sorted_as_it_is_shown(service: Service) -> None:
    for path in ("email/z", "blue/email/a", "zoo/email/a", "slack/a"):
        service.put(f"/_signals/account/{path}", {**ACCOUNTS["c"], **examples.GOOD["slack"]})
    answer = service.ask("POST", "/_signals/account/blue/_search", json={"sort": "_id"})
    assert [hit["sort"] for hit in answer.json["hits"]["hits"]] == [["blue/email/a"], ["email/z"], ["slack/a"]]


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("body", "parameters", "reason"),
    (
        ({"search_after": ["a"]}, "", "[search_after] needs a [sort] by a field"),
        ({"search_after": [1.0], "sort": "_score"}, "", "[search_after] needs a [sort] by a field"),
        ({"search_after": "a", "sort": "_id"}, "", "[search_after] needs a list of values"),
        ({"search_after": [], "sort": "_id"}, "", "[search_after] has 0 values but [sort] has 1"),
        ({"search_after": ["a", "b"], "sort": "_id"}, "", "[search_after] has 2 values but [sort] has 1"),
        (
            {"search_after": [{}], "sort": "_id"},
            "",
            "[search_after] needs a string, a number or a boolean as its value",
        ),
        ({"search_after": ["x"], "sort": "port"}, "", '[search_after]: For input string: "x"'),
        ({"search_after": [1.5], "sort": "port"}, "", '[search_after]: For input string: "not a number"'),
        (
            {"search_after": ["a", 0.5], "sort": ["_id", "_score"]},
            "",
            "[search_after]: the score and the place of every hit are those of the sort, [1.0]",
        ),
        ({"search_after": ["a"], "sort": "_id", "from": 1}, "", "[from] must be 0 when [search_after] is used"),
        ({"search_after": ["a"], "sort": "_id"}, "?scroll=1m", "[search_after] cannot be used in a scroll"),
        ({"track_total_hits": False}, "?scroll=1m", "[track_total_hits] must not be false in a scroll"),
        ({"track_total_hits": -2}, "", "[track_total_hits] must not be negative, but for -1, and is [-2]"),
        ({"track_total_hits": 2**31}, "", "[track_total_hits] must be at most [2147483647]"),
        ({"track_total_hits": 2**63 - 1}, "", "[track_total_hits] must be at most [2147483647]"),
        ({"track_total_hits": 1e300}, "", "[track_total_hits] must be at most [2147483647]"),
        ({"track_total_hits": "yes"}, "", "[track_total_hits] must be true, false or a whole number"),
        ({"track_total_hits": 1.5}, "", "[track_total_hits] must be true, false or a whole number"),
        ({"version": 1}, "", "the body: [version] must be true or false"),
        ({"seq_no_primary_term": "true"}, "", "the body: [seq_no_primary_term] must be true or false"),
    ),
)
def test_what_goes_around_a_query_is_refused_by_name(
    service: Service, body: dict[str, Json], parameters: str, reason: str
) -> None:
    assert refused(service, body, parameters) == [reason]


def test_a_pattern_of_fields_is_one_clause_that_asks_for_a_value(service: Service) -> None:
    """SQLite takes expressions of at most a thousand levels, and PostgreSQL needs seconds to plan them."""
    make(service)
    assert found(service, {"query_string": {"query": "*o*:* " * 250}}) == "abc"
    assert found(service, {"query_string": {"query": "trusted_*:* " * 250}}) == "c"
