"""What the reader of the API is told of Signals: the names in its paths, its bodies and its answers."""

from __future__ import annotations

from accounts_service.families.signals import examples
from accounts_service.families.signals.schemas.accounts import SCHEMAS
from accounts_service.faults import Json
from accounts_service.validation.json_schema import JsonSchema, record
from accounts_service.web.description import Answer, Takes, Term

_TEXT: JsonSchema = {"type": "string"}
_VERSION: JsonSchema = {"type": "integer", "minimum": 1}
_IGNORED = "Taken, and does nothing here."

TERMS = {
    "account_type": Term("The type of the account, in any case.", {"type": "string", "enum": [*SCHEMAS]}),
    "name": Term("The account's name."),
    "pretty": Term("Indent the answer, unless it is `false`."),
    "human": Term(_IGNORED),
    "format": Term(_IGNORED),
    "filter_path": Term(_IGNORED),
    "error_trace": Term(_IGNORED),
}


def _title(account_type: str) -> str:
    return account_type.capitalize()


def _source(account_type: str) -> JsonSchema:
    more: JsonSchema = {"type": {"type": "string", "const": account_type}, "_name": _TEXT}
    return SCHEMAS[account_type].kept(f"Stored {_title(account_type)}", more)


ACCOUNT = Takes(
    # Which of them holds is decided by the type in the path.
    {"anyOf": [schema.taken(_title(account_type)) for account_type, schema in SCHEMAS.items()]},
    examples.GOOD,
)

_SHOWN: dict[str, Json] = {
    "type": "email",
    "_name": "default",
    **examples.GOOD["email"],
    "default_bcc": ["signals@mycompany.example.com"],
}

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
            "_source": {"anyOf": [_source(account_type) for account_type in SCHEMAS]},
        },
    ),
    {
        "_id": "email/default",
        "found": True,
        "_version": 1,
        "_seq_no": 0,
        "_primary_term": 1,
        "_source": _SHOWN,
    },
    headers=("Cache-Control", "ETag"),
)

UNCHANGED = Answer("The account is still in a version that If-None-Match names.", headers=("ETag",))


def _written(sentence: str, result: str, version: int, headers: tuple[str, ...]) -> Answer:
    schema = record(
        f"Account {result}", {"_id": _TEXT, "_version": _VERSION, "result": {"type": "string", "const": result}}
    )
    example: Json = {"_id": "email/default", "_version": version, "result": result}
    return Answer(sentence, schema, example, headers)


CREATED = _written("The account was created.", "created", 1, ("Cache-Control", "ETag"))
UPDATED = _written("The account was replaced.", "updated", 2, ("Cache-Control", "ETag"))
DELETED = _written("The account was deleted.", "deleted", 3, ("Cache-Control",))
