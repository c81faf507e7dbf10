"""What the reader of the API is told of Signals: the names in its paths, its bodies and its answers."""

from __future__ import annotations

from dataclasses import replace

from accounts_service.families.signals import examples
from accounts_service.families.signals.schemas.accounts import SCHEMAS, ignored
from accounts_service.families.signals.schemas.clauses import BEGINNINGS, WHOLE_VALUES
from accounts_service.families.signals.schemas.filter_path import LONGEST_PATH, MOST_PATHS
from accounts_service.families.signals.schemas.notes import (
    LONGEST_PATTERN,
    LONGEST_QUERY_STRING,
    MAPPED,
    MOST_CLAUSES,
    MOST_VALUES,
)
from accounts_service.families.signals.schemas.queries import IDENTIFIER
from accounts_service.families.signals.schemas.search import COUNTED_TO, LARGEST_WINDOW, MOST_SORTS
from accounts_service.faults import Json
from accounts_service.validation.json_schema import JsonSchema, in_any_case, record
from accounts_service.web.description import Answer, Takes, Term

_TEXT: JsonSchema = {"type": "string"}
_VERSION: JsonSchema = {"type": "integer", "minimum": 1}
_PAGE: JsonSchema = {"type": "integer", "minimum": -1, "maximum": LARGEST_WINDOW}
_TIME: JsonSchema = {"type": "string", "pattern": "^([1-9][0-9]?m|[1-9][0-9]?s|[1-9]h|1[0-9]h|2[0-4]h)$"}
_FLAG: JsonSchema = {"type": "string", "enum": ["", "true", "false"]}

TERMS = {
    "account_type": Term("The type of the account, in any case.", {"type": "string", "enum": [*SCHEMAS]}),
    "name": Term("The account's name."),
    "account_id": Term(
        "The account's id in the form of 2019: its name, but for names of types and what begins with `_`.",
        {"type": "string", "not": {"anyOf": [in_any_case(SCHEMAS), {"pattern": "^_"}]}},
    ),
    "tenant": Term("A tenant; `_main` is the global one, whose accounts are others than those of no tenant."),
    "sgtenant": Term("The tenant that is asked for, where the path names none."),
    "from": Term("How many hits to pass over; wins over the body's. -1 is as if it were not there.", _PAGE),
    "size": Term("How many hits to give; wins over the body's. -1 is as if it were not there.", _PAGE),
    "scroll": Term("How long the cursor for the next page is to hold.", _TIME),
    "scroll_id": Term("The cursor, which may stand in the body as well."),
    "permissions": Term("Names of privileges, with commas between them."),
    "mode": Term("`lenient`: whether the process answers, else whether it can serve."),
    "replace_with": Term(
        "An account of the same type and tenant, as `type/id`: who uses the deleted one uses this from then on.",
        {"type": "string", "pattern": "^[^/]+/[^/]+$"},
    ),
    "pretty": Term("Indent the answer, unless it is `false`."),
    "human": Term("Nothing in an answer has a second form for people, so this changes nothing.", _FLAG),
    "format": Term("The format of the answer, which is JSON.", {"type": "string", "enum": ["json"]}),
    "filter_path": Term(
        "The parts of the answer that are shown: paths of keys with commas between them. `*` is any characters of a "
        "key and `**` any keys; a path after `-` is left out. What is left need not fit the schema of the answer. "
        f"Errors are shown whole. At most {MOST_PATHS} paths of at most {LONGEST_PATH} characters.",
    ),
    "error_trace": Term("There are no traces in answers; `true` is refused.", {"type": "string", "enum": ["false"]}),
}


def _title(account_type: str) -> str:
    return account_type.capitalize()


def _source(account_type: str) -> JsonSchema:
    more: JsonSchema = {"type": {"type": "string", "const": account_type}, "_name": _TEXT}
    kept = SCHEMAS[account_type].kept(f"Stored {_title(account_type)}", more)
    properties = kept["properties"]
    return {**kept, "properties": {**properties, "_tenant": _TEXT} if isinstance(properties, dict) else properties}


SOURCE: JsonSchema = {"anyOf": [_source(account_type) for account_type in SCHEMAS]}

ACCOUNT = Takes(
    # Which of them holds is decided by the type in the path.
    {"anyOf": [schema.taken(_title(account_type)) for account_type, schema in SCHEMAS.items()]},
    examples.GOOD,
    ignores=ignored,
)

SHOWN: dict[str, Json] = {
    "type": "email",
    "_name": "default",
    **examples.GOOD["email"],
    "default_bcc": ["signals@mycompany.example.com"],
}


def _as_dict(example: Json) -> dict[str, Json]:
    return example if isinstance(example, dict) else {}


FOUND = Answer(
    "The account.",
    record(
        "Account",
        {
            "_id": _TEXT,
            "found": {"type": "boolean", "const": True},
            "_version": _VERSION,
            "_seq_no": {"type": "integer", "minimum": 0},
            "_primary_term": {"type": "integer", "const": 1},
            "_source": SOURCE,
        },
    ),
    {
        "_id": "email/default",
        "found": True,
        "_version": 1,
        "_seq_no": 0,
        "_primary_term": 1,
        "_source": SHOWN,
    },
    headers=("Cache-Control", "ETag"),
)

UNCHANGED = Answer(
    "If-None-Match names the version of the account, in the form that the caller may see.",
    headers=("Cache-Control", "ETag"),
)


def written(sentence: str, result: str, version: int, headers: tuple[str, ...]) -> Answer:
    """Describe the answer to a change."""
    schema = record(
        f"Account {result}", {"_id": _TEXT, "_version": _VERSION, "result": {"type": "string", "const": result}}
    )
    example: Json = {"_id": "email/default", "_version": version, "result": result}
    return Answer(sentence, schema, example, headers)


CREATED = written("The account was created.", "created", 1, ("Cache-Control", "ETag"))
UPDATED = written("The account was replaced.", "updated", 2, ("Cache-Control", "ETag"))
DELETED = written("The account was deleted.", "deleted", 3, ("Cache-Control",))

PATCH = Takes(
    {
        "title": "Patch",
        "type": "object",
        "description": "A JSON merge patch (RFC 7396): null removes an attribute, or a header from `headers`; objects "
        "merge, and everything else replaces. What comes of it must be an account of its type.",
    },
    {"another host": {"host": "new.mycompany.example"}, "without": {"password": None, "headers": {"X-Key": None}}},
    ignores=ignored,
)
PATCHED = Answer(
    "The account was changed; or, with `noop`, is what it should be, and still in the same version.",
    record(
        "Account patched",
        {"_id": _TEXT, "_version": _VERSION, "result": {"type": "string", "enum": ["updated", "noop"]}},
    ),
    {"_id": "email/default", "_version": 2, "result": "updated"},
    ("Cache-Control", "ETag"),
)


# -- The form of 2019 ----------------------------------------------------------


def _typed(account_type: str) -> JsonSchema:
    title = f"{_title(account_type)} by id"
    of_type: JsonSchema = {"type": "object", "required": ["type"], "properties": {"type": in_any_case((account_type,))}}
    return {"title": title, "allOf": [of_type, SCHEMAS[account_type].taken(_title(account_type))]}


ACCOUNT_BY_ID = Takes(
    {"anyOf": [_typed(account_type) for account_type in SCHEMAS]},
    {account_type: {"type": account_type, **good} for account_type, good in examples.GOOD.items()},
    ignores=ignored,
)

FOUND_BY_ID = replace(FOUND, example={**_as_dict(FOUND.example), "_id": "default"})
CREATED_BY_ID, UPDATED_BY_ID, DELETED_BY_ID = (
    replace(answer, example={**_as_dict(answer.example), "_id": "default"}) for answer in (CREATED, UPDATED, DELETED)
)


# -- Searches ------------------------------------------------------------------

_WORD: JsonSchema = {"type": ["string", "number", "boolean"]}
_PATTERN: JsonSchema = {**_WORD, "maxLength": LONGEST_PATTERN}
_NAMES: JsonSchema = {"type": "array", "items": _TEXT, "maxItems": MOST_VALUES}
_WORDS: JsonSchema = {"type": "array", "items": _WORD, "maxItems": MOST_VALUES}


def _about_a_field(value: JsonSchema) -> JsonSchema:
    return {"type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": value}


def _one(name: str, value: JsonSchema) -> JsonSchema:
    return {"type": "object", "required": [name], "properties": {name: value}, "additionalProperties": False}


def _only(**properties: JsonSchema) -> JsonSchema:
    return {"type": "object", "properties": {**properties}, "additionalProperties": False}


def _either(name: str, value: JsonSchema = _WORD, **more: JsonSchema) -> JsonSchema:
    """Describe the short form of a query, and the one with options."""
    return {"anyOf": [value, {**_only(**{name: value}, **more), "required": [name]}]}


_CASE: dict[str, JsonSchema] = {"case_insensitive": {"type": "boolean"}}

_END: JsonSchema = {"type": ["string", "number", "boolean", "null"]}
_OPERATOR: JsonSchema = in_any_case(("and", "or"))

_LEAVES: list[JsonSchema] = [
    _one("match_all", _only()),
    _one("match", _about_a_field(_either("query"))),
    _one("term", _about_a_field(_either("value", **_CASE))),
    _one("terms", _about_a_field(_WORDS)),
    _one("ids", {**_only(values=_WORDS), "required": ["values"]}),
    _one("prefix", _about_a_field(_either("value", _PATTERN, **_CASE))),
    _one("wildcard", _about_a_field(_either("value", _PATTERN, **_CASE))),
    _one("exists", {**_only(field=_TEXT), "required": ["field"]}),
    _one(
        "simple_query_string",
        {
            **_only(
                query=_TEXT,
                fields=_NAMES,
                default_operator=_OPERATOR,
                analyze_wildcard={"type": "boolean"},
            ),
            "required": ["query"],
        },
    ),
    _one(
        "query_string",
        {
            **_only(
                query={
                    **_TEXT,
                    "maxLength": LONGEST_QUERY_STRING,
                    "description": "Lucene's syntax: `field:value`, phrases, AND, OR, NOT, +, -, parentheses, * and ?, "
                    "`_exists_:field`, ranges. Regular expressions, fuzzy words and words near each other are refused.",
                },
                fields=_NAMES,
                default_field=_TEXT,
                default_operator=_OPERATOR,
                analyze_wildcard={"type": "boolean"},
                allow_leading_wildcard={"type": "boolean"},
                lenient={"type": "boolean"},
            ),
            "required": ["query"],
        },
    ),
    _one("match_phrase", _about_a_field(_either("query"))),
    _one("match_phrase_prefix", _about_a_field(_either("query", _PATTERN))),
    _one(
        "multi_match",
        {
            **_only(
                query=_PATTERN,
                fields=_NAMES,
                operator=_OPERATOR,
                type=in_any_case((*WHOLE_VALUES, *BEGINNINGS)),
            ),
            "required": ["query"],
        },
    ),
    _one(
        "range",
        {
            **_about_a_field(_only(gt=_END, gte=_END, lt=_END, lte=_END)),
            "description": "Numbers by their size, which only numbers are compared with; all else by code point.",
        },
    ),
    _one("constant_score", {**_only(filter=_one("match_all", _only())), "required": ["filter"]}),
]

_SOME: JsonSchema = {"type": "array", "items": {"anyOf": [*_LEAVES]}, "maxItems": MOST_CLAUSES}

_QUERY: JsonSchema = {
    "title": "Query",
    "description": "`bool` may hold queries of every kind, `bool` as well; at most 256 in all.",
    "anyOf": [
        *_LEAVES,
        _one(
            "bool",
            _only(
                must=_SOME,
                filter=_SOME,
                should=_SOME,
                must_not=_SOME,
                minimum_should_match={"type": "integer"},
            ),
        ),
    ],
}

_ORDER: JsonSchema = {
    "anyOf": [
        {"type": "string", "enum": [*sorted(MAPPED), IDENTIFIER, "_score", "_doc"]},
        {
            "type": "object",
            "minProperties": 1,
            "maxProperties": 1,
            "propertyNames": {"enum": [*sorted(f"{field}.keyword" for field in MAPPED)]},
            "additionalProperties": _only(
                order={"type": "string", "enum": ["asc", "desc"]},
                missing={"type": "string", "enum": ["_first", "_last"]},
            ),
        },
    ]
}

_SHOWN_OF_A_HIT: JsonSchema = {
    "anyOf": [
        {"type": "boolean"},
        _TEXT,
        _NAMES,
        _only(includes=_NAMES, excludes=_NAMES),
    ]
}

_SIZE: JsonSchema = {"type": "integer", "minimum": 0, "maximum": LARGEST_WINDOW}

_ASKED: dict[str, JsonSchema] = {
    "query": _QUERY,
    "from": _SIZE,
    "size": _SIZE,
    "sort": {"type": "array", "items": _ORDER, "maxItems": MOST_SORTS},
    "_source": _SHOWN_OF_A_HIT,
    "post_filter": _QUERY,
    "track_total_hits": {
        "description": f"Whether hits are counted, or how far; to {COUNTED_TO} if it is left out.",
        "anyOf": [{"type": "boolean"}, {"type": "integer", "minimum": -1}],
    },
    "version": {"type": "boolean", "description": "Show the version of each hit."},
    "seq_no_primary_term": {"type": "boolean", "description": "Show the sequence number of each hit."},
    "search_after": {
        "description": "The `sort` of the last hit that was read: as many values as the sort has keys. What has the "
        "same values is passed over, so the sort should end with `_id`.",
        "type": "array",
        "items": _END,
        "maxItems": MOST_SORTS,
    },
}

SEARCH = Takes(
    {"title": "Search", **_only(**_ASKED)},
    {
        "by type": {"query": {"match": {"type": "email"}}, "sort": [{"_name.keyword": {"order": "asc"}}]},
        "after a hit": {"sort": ["type", "_id"], "search_after": ["email", "email/default"], "track_total_hits": True},
        "as typed": {"query": {"query_string": {"query": "type:email AND host:*.example.com"}}},
        "by name": {"query": {"simple_query_string": {"query": "default*", "fields": ["_name", "type"]}}},
        "all": {"query": {"match_all": {}}, "size": 1000},
    },
)

_HIT = record(
    "Hit",
    {"_index": _TEXT, "_id": _TEXT, "_score": {"type": ["number", "null"]}},
    {
        "_version": _VERSION,
        "_seq_no": {"type": "integer", "minimum": 0},
        "_primary_term": {"type": "integer", "const": 1},
        "_source": {"type": "object"},
        "sort": {"type": "array"},
    },
)
_HITS = record(
    "Hits",
    {"max_score": {"type": ["number", "null"]}, "hits": {"type": "array", "items": _HIT}},
    {"total": record("Total", {"value": {"type": "integer"}, "relation": {"type": "string", "enum": ["eq", "gte"]}})},
)
_COUNT: JsonSchema = {"type": "integer", "minimum": 0}

HITS = Answer(
    "What was found. The total is exact up to 10 000, or as `track_total_hits` says. `_scroll_id` is there when a "
    "cursor was asked for.",
    record(
        "Found",
        {
            "took": _COUNT,
            "timed_out": {"type": "boolean", "const": False},
            "_shards": record("Shards", dict.fromkeys(("total", "successful", "skipped", "failed"), _COUNT)),
            "hits": _HITS,
        },
        {"_scroll_id": _TEXT},
    ),
    {
        "took": 1,
        "timed_out": False,
        "_shards": {"total": 1, "successful": 1, "skipped": 0, "failed": 0},
        "hits": {
            "total": {"value": 1, "relation": "eq"},
            "max_score": 1.0,
            "hits": [{"_index": ".signals_accounts", "_id": "email/default", "_score": 1.0, "_source": SHOWN}],
        },
    },
    headers=("Cache-Control",),
)

CURSOR = Takes(
    {"title": "Cursor", **_only(scroll=_TIME, scroll_id=_TEXT)},
    {"next": {"scroll": "60s", "scroll_id": "v1.k0123abcd.…"}},
)
CURSORS = Takes(
    {"title": "Cursors", **_only(scroll_id={"anyOf": [_TEXT, {"type": "array", "items": _TEXT}]})},
    {"one": {"scroll_id": "v1.k0123abcd.…"}},
)
CLEARED = Answer(
    "Nothing is kept of a search, so nothing is freed.",
    record("Cleared", {"succeeded": {"type": "boolean"}, "num_freed": _COUNT}),
    {"succeeded": True, "num_freed": 0},
    headers=("Cache-Control",),
)


# -- What callers are told of themselves ---------------------------------------

_TEXTS: JsonSchema = {"type": "array", "items": _TEXT}
_TEXT_OR_NULL: JsonSchema = {"type": ["string", "null"]}
_FLAGS: JsonSchema = {"type": "object", "additionalProperties": {"type": "boolean"}}

AUTHINFO = Answer(
    "Who is asking.",
    record(
        "Authinfo",
        {
            "user": _TEXT,
            "user_name": _TEXT,
            "user_requested_tenant": _TEXT_OR_NULL,
            "remote_address": _TEXT_OR_NULL,
            "backend_roles": _TEXTS,
            "attribute_names": _TEXTS,
            "sg_roles": _TEXTS,
            "sg_tenants": _FLAGS,
            "principal": {"type": "null"},
            "peer_certificates": _TEXT,
            "cluster_name": _TEXT,
        },
    ),
    {
        "user": "User carol <basic/internal_users_db>",
        "user_name": "carol",
        "user_requested_tenant": None,
        "remote_address": "192.0.2.1",
        "backend_roles": ["account_manager"],
        "attribute_names": [],
        "sg_roles": ["account_manager"],
        "sg_tenants": {"SGS_GLOBAL_TENANT": False},
        "principal": None,
        "peer_certificates": "0",
        "cluster_name": "accounts-service",
    },
    headers=("Cache-Control",),
)
PERMISSIONS = Answer(
    "For each privilege whether the caller has it.",
    record("Permissions", {"permissions": _FLAGS}),
    {"permissions": {"cluster:admin:searchguard:signals:account/get": True}},
    headers=("Cache-Control",),
)
HEALTH = Answer(
    "Requests can be served.",
    record("Health", {"message": {"type": "null"}, "mode": _TEXT, "status": {"type": "string", "const": "UP"}}),
    {"message": None, "mode": "strict", "status": "UP"},
    headers=("Cache-Control",),
)
