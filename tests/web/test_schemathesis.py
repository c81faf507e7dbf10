"""The service does what its document says: requests made from the document, as the document allows and against it.

Short here; `make prove` takes its time.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pytest
import schemathesis
from hypothesis import HealthCheck, assume, given, settings, strategies
from jsonschema import Draft202012Validator
from schemathesis import Case, GenerationMode
from schemathesis.config import (
    ChecksConfig,
    GenerationConfig,
    PositiveDataAcceptanceConfig,
    ProjectConfig,
    ProjectsConfig,
    SchemathesisConfig,
)
from schemathesis.core import NotSet
from schemathesis.schemas import BaseSchema

from accounts_service import app
from accounts_service.config import WAVEFRONT_PERMISSIONS, Settings
from accounts_service.families.mention.store.native import AccountTokens as PeoplesTokens
from accounts_service.families.netbird.store.native import UserTokens
from accounts_service.families.signals.schemas.accounts import SCHEMAS
from accounts_service.families.signals.schemas.notes import NUMERIC
from accounts_service.families.signals.schemas.search import LARGEST_WINDOW
from accounts_service.families.wavefront.privileges import NOT_FOR_SERVICE_ACCOUNTS
from accounts_service.families.wavefront.store.native import AccountTokens
from accounts_service.faults import RefusedError
from accounts_service.storage.audit import Author
from accounts_service.validation.checks import is_uri
from accounts_service.web.body import parse
from accounts_service.web.description import HEADERS
from accounts_service.web.dispatcher import path_fault
from accounts_service.web.openapi import template
from accounts_service.web.services import NativeTokens, TokenOrder
from tests.support import personas
from tests.support.installation import Installation
from tests.support.netbird import INVITE
from tests.support.service import Service

EXAMPLES = int(os.environ.get("ACCOUNTS_TEST_EXAMPLES", "0"))
# The short form asks the same every time, so that it fails for who broke something and for nobody else.
SETTINGS = settings(
    max_examples=EXAMPLES or 2,
    derandomize=not EXAMPLES,
    database=None,
    # Some schemas are slow to draw from; how slow is no matter here.
    suppress_health_check=list(HealthCheck),
)

# Read here as Search Guard reads it, which is not quite RFC 3987.
schemathesis.openapi.format("iri-reference", strategies.text("abc:/?#[]@%0é €", max_size=20).filter(is_uri))

schemathesis.openapi.format("ipv4-network", strategies.just("100.77.0.0/16") | strategies.just("10.1.2.3/8"))
schemathesis.openapi.format("ipv6-network", strategies.just("fd12:3456:789a:1::/64") | strategies.just("2001:db8::/48"))

# Conditions on versions are drawn at random, so they rarely hold.
EXPECTED = ("2xx", "304", "404", "409", "412")
CONFIG = SchemathesisConfig(
    projects=ProjectsConfig(
        # NUL is refused in every text, which JSON Schema could say of each only by a pattern.
        default=ProjectConfig(
            generation=GenerationConfig(allow_x00=False, database="none"),
            checks=ChecksConfig(positive_data_acceptance=PositiveDataAcceptanceConfig(expected_statuses=EXPECTED)),
        )
    ),
)

_BODIES = {name: Draft202012Validator(schema.taken(name)) for name, schema in SCHEMAS.items()}


# Against the document only where there is something that it refuses: no header is refused and no text in a query.
OPERATIONS = [
    (method, template(path), mode)
    for family in app.FAMILIES.values()
    for route in family.routes
    for mount, path in family.places(route, Settings())
    # The same routes elsewhere; and which codes and cursors there are, or what goes with what in a query, no schema can
    # say.
    if not mount.hosts and not path.startswith("/mention/api/")
    for method in route.methods
    for mode in GenerationMode
    if (
        not path.startswith(("/mention/", "/_accounts/explain", "/_accounts/audit"))
        if mode.is_positive
        # What is refused whatever is sent may be refused for that.
        else (route.arguments or route.takes) and route.answers.keys() != {412}
    )
]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path) -> Iterator[Service]:
    """Give a service. All tests here share it, so that it is used when requests come."""
    folder = tmp_path_factory.mktemp("api")
    url = f"sqlite:///{shutil.copy(migrated_sqlite, folder / 'accounts.db')}"
    # All requests come from one network, and each operation is tried with wrong passwords.
    service = Service(
        Installation(folder / "installation", url),
        ACCOUNTS_LOGIN_FAILURES_PER_BOTH="100000",
        ACCOUNTS_LOGIN_FAILURES_PER_NETWORK="100000",
        ACCOUNTS_LOGIN_FAILURES_PER_USER="500000",
    )
    yield service
    service.close()


@pytest.fixture(scope="module")
def api(service: Service) -> BaseSchema:
    """Give what the service documents of itself."""
    return schemathesis.openapi.from_wsgi("/openapi.json", service.application, config=CONFIG)


@pytest.mark.parametrize(("method", "path", "mode"), OPERATIONS)
def test_the_service_does_what_its_document_says(
    service: Service, api: BaseSchema, method: str, path: str, mode: GenerationMode
) -> None:
    @SETTINGS
    @given(api[path][method].as_strategy(generation_mode=mode))
    def ask(case: Case[Any]) -> None:
        assume(mode.is_negative or _is_read(case))
        _bring_together(case)
        _fit(case)
        if path.startswith("/_signals/") and mode.is_positive:
            _leave(case)
        if path.startswith("/api/v2/"):
            assume(not _WORDS.intersection(map(str, case.path_parameters.values())))
            if mode.is_positive:
                _make_new(case)
        if _is_netbird(path) and mode.is_positive:
            case.body = _without_fractions(case.body)
            # Whether a text is an invite token its checksum decides.
            case.path_parameters |= dict.fromkeys(case.path_parameters.keys() & {"invite"}, INVITE)
        headers = _credentials(service, path)
        if path.startswith("/api/accounts/") and mode.is_positive:
            _settle(case, service, headers)
        if path.startswith("/accounts") and mode.is_positive:
            _become(case, service, headers)
        case.call_and_validate(headers=headers)

    ask()


def _credentials(service: Service, path: str) -> dict[str, str]:
    # What is about one's own is for who has an account; always another, since nobody has many tokens, and who deletes
    # his account has none.
    name = uuid.uuid4().hex
    if path.startswith("/api/v2/apitoken"):
        order = TokenOrder(f"{name}@example.com", create=True, name="t", permissions=WAVEFRONT_PERMISSIONS)
        return {"Authorization": f"Bearer {_token(service, AccountTokens, order)}"}
    if _is_netbird(path):
        order = TokenOrder(name, account=f"{name}.example", roles=("owner",), create=True, name="t")
        return {"Authorization": f"Token {_token(service, UserTokens, order)}"}
    if path.startswith(("/accounts", "/app/")):
        order = TokenOrder(f"{name}@example.com", create=True, name="t")
        return {"Authorization": f"Bearer {_token(service, PeoplesTokens, order)}"}
    return personas.authorization("admin")


def _token(service: Service, kind: type[NativeTokens], order: TokenOrder) -> str:
    with service.services.database.transaction(kind, Author("test", "test", "test-0001")) as tokens:
        return tokens.create(order, service.services.settings)


def _become(case: Case[Any], service: Service, headers: Mapping[str, str]) -> None:
    # Whose account it is, which address has none yet and which password is good, OpenAPI cannot say.
    if "account_id" in case.path_parameters:
        own = service.ask("GET", "/accounts/me", by=None, headers=headers).json
        case.path_parameters["account_id"] = own["account"]["id"]
    body: Any = case.body
    if isinstance(body, dict):
        if case.method == "PUT":
            body.pop("email", None)  # Another one wants the old password.
        body |= dict.fromkeys(body.keys() & {"email"}, f"{uuid.uuid4().hex}@example.com")
        body |= dict.fromkeys(body.keys() & {"password"}, "Mypass1")
        for name in ("old_password", "new_password"):
            body.pop(name, None)
    case.query.pop("access_token", None)


def _is_netbird(path: str) -> bool:
    return path.startswith("/api/") and not path.startswith("/api/v2/")


def _leave(case: Case[Any]) -> None:
    # Which other account and which version there are, and what a patch makes of an account, OpenAPI cannot say.
    for name in ("replace_with", "compare_with"):
        case.query.pop(name, None)
    if case.method == "PATCH":
        case.path_parameters["name"] = uuid.uuid4().hex


def _without_fractions(node: Any) -> Any:
    # JSON Schema has no word for whole numbers that are written as such.
    if isinstance(node, dict):
        return {name: _without_fractions(value) for name, value in node.items()}
    if isinstance(node, list):
        return [*map(_without_fractions, node)]
    return int(node) if isinstance(node, float) and node.is_integer() and abs(node) < 2.0**63 else node


def _settle(case: Case[Any], service: Service, headers: Mapping[str, str]) -> None:
    # Which account is the caller's, and what goes together in its settings, OpenAPI cannot say.
    (account,) = service.ask("GET", "/api/accounts", by=None, headers=headers).json
    case.path_parameters["account_id"] = account["id"]
    body: Any = case.body
    settings = body.get("settings") if isinstance(body, dict) else None
    if isinstance(settings, dict):
        settings |= dict.fromkeys(settings.keys() & {"peer_expose_enabled", "agent_network_only"}, False)
        settings |= dict.fromkeys(settings.keys() & {"ipv6_enabled_groups"})


# Where one of these stands, it is no identifier, and the path leads elsewhere.
_WORDS = {
    *("user", "serviceaccount", "grant", "revoke", "deleteAccounts", "validateAccounts", "admin", "invite"),
    *("deleteUsers", "validateUsers", "customertokens"),
}


def _make_new(case: Case[Any]) -> None:
    # What is there already cannot be made again, which a schema cannot say.
    name = uuid.uuid4().hex
    body: Any = case.body
    if case.path.endswith("/invite"):
        for number, user in enumerate(body):
            user["emailAddress"] = f"{name}-{number}@example.com"
    elif case.path == "/api/v2/account/serviceaccount" and case.method == "POST":
        body["identifier"] = name
        # Nor which permissions are for users alone.
        body["groups"] = [one for one in body.get("groups") or () if one not in NOT_FOR_SERVICE_ACCOUNTS]
    elif case.path.startswith("/api/v2/role") and isinstance(body, dict) and isinstance(body.get("name"), str):
        body["name"] = name


def _is_read(case: Case[Any]) -> bool:
    # What is no JSON to us, such as an integer of more than 64 bits however deep, the document says in words only.
    try:
        if case.media_type is not None and not isinstance(case.body, NotSet):
            parse(json.dumps(case.body).encode())
    except RefusedError:
        return False
    return True


_KEY = re.compile(str(HEADERS["Idempotency-Key"].schema["pattern"]))


def _bring_together(case: Case[Any]) -> None:
    # What OpenAPI cannot say. What the document forbids stays as it was drawn.
    if case.path.startswith(("/_signals/", "/_search", "/_searchguard/")):
        case.query.pop("filter_path", None)  # What it leaves of an answer is no whole one.
    # Drawn as it stands in a path, with percent signs.
    tenant = case.path_parameters.get("tenant")
    if isinstance(tenant, str) and tenant and path_fault("/" + quote(unquote(tenant))) is None:
        case.path_parameters["tenant"] = "blue"  # Which tenants there are, a document made from the code does not know.
    case.headers.pop("sgtenant", None)
    case.headers.pop("X-AUTH-TOKEN", None)  # Who asks is said otherwise here.
    if _KEY.fullmatch(str(case.headers.get("Idempotency-Key", ""))):
        case.headers["Idempotency-Key"] = uuid.uuid4().hex  # With another body it is refused a second time.
    if case.path.endswith("/_search"):
        _plain_words(case.body)
        # `from` and `size` are not too large together, and a cursor wants a `size` and no `from`.
        for place in (case.query, case.body):
            if isinstance(place, dict) and _is_within(place.get("from")):
                place["from"] = 0
        for name in case.body if isinstance(case.body, dict) else ():
            case.query.pop(name, None)  # The URL's would win.
        if re.fullmatch(r"[1-9][0-9]?[sm]|[1-9]h|1[0-9]h|2[0-4]h", str(case.query.get("scroll"))):
            del case.query["scroll"]
    if case.path == "/_search/scroll" and case.method != "DELETE":
        case.query["scroll_id"] = "none of ours"


def _plain_words(node: Any) -> None:
    # Neither what Lucene's syntax is, nor which of two options goes alone, nor that a port is compared with numbers,
    # nor how many keys a sort has.
    if isinstance(node, list):
        for element in node:
            _plain_words(element)
    if isinstance(node, dict) and isinstance(node.get("search_after"), list):
        del node["search_after"]
    for kind, content in node.items() if isinstance(node, dict) else ():
        if kind == "query_string" and isinstance(content, dict) and isinstance(content.get("query"), str):
            content["query"] = re.sub(r"[^a-z ]", "", content["query"])
            if isinstance(content.get("default_field"), str):
                content.pop("fields", None)
        elif kind == "range" and isinstance(content, dict):
            for name in NUMERIC.intersection(content):
                content[f"_{name}"] = content.pop(name)
        _plain_words(content)


def _is_within(number: object) -> bool:
    whole = isinstance(number, int | float) and not isinstance(number, bool) and number == int(number)
    return whole and 0 <= float(str(number)) <= LARGEST_WINDOW


def _fit(case: Case[Any]) -> None:
    # OpenAPI cannot say that the type in the path decides which body is right.
    fitting = [name for name, body in _BODIES.items() if body.is_valid(case.body)]
    if case.method == "PUT" and fitting and case.path_parameters.get("account_type") in SCHEMAS:
        case.path_parameters["account_type"] = fitting[0]
