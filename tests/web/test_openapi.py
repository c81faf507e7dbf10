"""The documents say what the routes are, no more and no less, in valid OpenAPI."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Response
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from accounts_service import app, faults
from accounts_service.access.privileges import Open, describe
from accounts_service.config import Settings
from accounts_service.families.admin.views import FAMILY as ADMIN
from accounts_service.families.signals import examples
from accounts_service.families.signals.views import FAMILY as SIGNALS
from accounts_service.faults import Json
from accounts_service.validation.json_schema import JsonSchema
from accounts_service.web import openapi
from accounts_service.web.description import Answer, Takes
from accounts_service.web.family import Body, Family, GapError
from accounts_service.web.gate import Call
from accounts_service.web.openapi import document, faults_of, samples, tell, template
from accounts_service.web.openapi_sharing import Document, Operation, share
from tests.support.described import referred
from tests.web.toy import HOST, ToyPrivilege, make_family

FAMILIES = {**app.FAMILIES, "toy": make_family()}
GROUPS = {"all": tuple(app.FAMILIES.values()), **{name: (family,) for name, family in FAMILIES.items()}}

METHODS = ("get", "head", "put", "post", "patch", "delete")


@pytest.fixture(params=GROUPS, scope="module")
def families(request: pytest.FixtureRequest) -> tuple[Family, ...]:
    """Give all families together, and each alone."""
    return GROUPS[request.param]


@pytest.fixture(scope="module")
def made(families: tuple[Family, ...]) -> Any:
    """Give their document, as it comes out of JSON."""
    return json.loads(json.dumps(openapi.document(families, Settings())))


def _operations(made: Any) -> Iterator[tuple[str, str, Any]]:
    for path, item in made["paths"].items():
        for method in item.keys() & set(METHODS):
            yield method, path, item[method]


def _validator(made: Any, schema: Any) -> Draft202012Validator:
    """Validate against a schema of the document, which may refer to its components."""
    return Draft202012Validator({**schema, "components": made["components"]})


def _contents(made: Any) -> Iterator[tuple[str, Any]]:
    for method, path, operation in _operations(made):
        places = {"request": operation.get("requestBody", {}), **operation["responses"]}
        yield from _of_places(f"{method} {path}", places)
    yield from _of_places("components", made["components"]["responses"])


def _of_places(where: str, places: Any) -> Iterator[tuple[str, Any]]:
    for place, described in places.items():
        for media_type, content in described.get("content", {}).items():
            yield f"{where} {place} {media_type}", content


def test_a_document_is_valid_openapi(made: Any) -> None:
    assert made["openapi"] == "3.1.0"
    OpenAPIV31SpecValidator(made).validate()


def test_a_document_lists_the_routes_and_nothing_else(families: tuple[Family, ...], made: Any) -> None:
    there = {
        (method.lower(), template(path))
        for family in families
        for route in family.routes
        for path in family.paths(route, Settings())
        for method in route.methods
    }
    assert {(method, path) for method, path, _ in _operations(made)} == there


def test_every_example_is_valid(made: Any) -> None:
    for place, content in _contents(made):
        assert content["examples"], place
        for name, example in content["examples"].items():
            errors = list(_validator(made, content["schema"]).iter_errors(example["value"]))
            assert not errors, f"{place} {name}: {errors[0].message}"


def test_an_answer_without_its_parts_is_no_valid_one(made: Any) -> None:
    # Else a schema that takes everything would pass for one. A body that may be
    # left out may be any object as well: what is not known in it is passed over.
    # A patch may change nothing, and so may what is put in part.
    optional = {
        f"{method} {path} request"
        for method, path, operation in _operations(made)
        if method == "patch"
        or (method == "put" and operation["operationId"].startswith("mention."))
        or not operation.get("requestBody", {}).get("required", True)
    }
    for place, content in _contents(made):
        if place.rpartition(" ")[0] in optional:
            continue
        assert not _validator(made, content["schema"]).is_valid({"unheard": "of"}), place


def test_every_operation_says_what_its_caller_must_be_allowed(families: tuple[Family, ...], made: Any) -> None:
    routes = {f"{family.name}.{route.endpoint}": route for family in families for route in family.routes}
    for _, _, operation in _operations(made):
        route = routes[".".join(operation["operationId"].split(".")[:2])]
        assert operation["x-privilege"] == describe(route.requirement)
        assert [each["privilege"] for each in operation["x-privilege-optional"]] == [
            privilege.action for privilege in route.optional
        ]
        assert (operation["security"] == []) == (route.requirement is Open.PUBLIC)
        # Of an open one that shows more to some, credentials that are sent have to be good.
        assert ("401" in operation["responses"]) == (route.requirement is not Open.PUBLIC or bool(route.optional))
        assert ("403" in operation["responses"]) >= (not isinstance(route.requirement, Open))
        # Whatever it is announced as, no body is read in a coding that is not known.
        assert ("415" in operation["responses"]) == (route.body is not Body.NONE)
        assert {"500", "503"} <= operation["responses"].keys()


def test_answers_to_head_have_no_content(made: Any) -> None:
    for method, _, operation in _operations(made):
        if method == "head":
            responses = [referred(made, response) for response in operation["responses"].values()]
            assert not any("content" in response for response in responses)


def test_what_operations_have_in_common_stands_once_and_is_referred_to(made: Any) -> None:
    referrers: Counter[str] = Counter()
    alone: Counter[str] = Counter()
    for _, _, operation in _operations(made):
        for one in (*operation["parameters"], *operation["responses"].values()):
            if "$ref" in one:
                referrers[one["$ref"]] += 1
            else:
                alone[json.dumps(one, sort_keys=True)] += 1
    components = {
        f"#/components/{kind}/{name}": json.dumps(one, sort_keys=True)
        for kind in ("parameters", "responses")
        for name, one in made["components"][kind].items()
    }
    assert referrers.keys() == components.keys()
    assert min(referrers.values()) > 1
    assert len(set(components.values())) == len(components)
    assert max(alone.values()) == 1
    assert not alone.keys() & set(components.values())


def test_what_is_shared_has_a_name_of_its_own() -> None:
    def operation(name: str, sentence: str) -> Operation:
        parameter: JsonSchema = {"name": name, "in": "query", "description": sentence}
        return {"tags": ["toy"], "parameters": [parameter], "responses": {}}

    told = (("a.2", "one"), ("a", "one"), ("a", "another"), ("a b", "one"))
    paths = {f"/{number}": {"get": operation(*one), "put": operation(*one)} for number, one in enumerate(told)}
    document: Document = {"paths": paths, "components": {}}
    share(document)
    assert [*document["components"]["parameters"]] == ["a.2", "a", "a.3", "a_b"]


def test_there_is_a_sample_of_every_fault() -> None:
    assert set(samples("GET", "/")) == set(faults.Fault.__args__)


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_every_fault_is_told_as_the_dialect_says(family: Family) -> None:
    dialect = family.dialect(Settings())
    for kind, fault in samples("GET", "/a/b").items():
        told = tell(dialect, fault, "GET", "/a/b", "application/json")
        if not told.is_json:
            assert told.mimetype in ("text/plain", "text/html")
            continue
        errors = list(Draft202012Validator(dict(dialect.errors)).iter_errors(told.get_json()))
        assert not errors, f"{kind.__name__}: {errors[0].message}"


@pytest.mark.parametrize(("account_type", "body", "answer"), examples.BAD)
def test_bad_examples_are_told_as_the_dialect_says(account_type: str, body: Json, answer: Json) -> None:
    assert account_type in examples.GOOD
    assert body != examples.GOOD[account_type]
    assert Draft202012Validator(SIGNALS.dialect(Settings()).errors).is_valid(answer)


def test_faults_follow_from_what_a_route_is() -> None:
    routes = {route.endpoint: route for route in SIGNALS.routes}
    put, get = set(faults_of(SIGNALS, routes["put_account"])), set(faults_of(SIGNALS, routes["get_account"]))
    assert put - get == {
        faults.UnsupportedMediaType,
        faults.UnsupportedCoding,
        faults.BodyTooLarge,
        faults.BodyTooSlow,
        faults.QuotaExceeded,
        faults.EmptyBody,
        faults.MalformedBody,
        faults.InvalidBody,
        faults.PreconditionFailed,
        faults.PreconditionRequired,
        # Of an Idempotency-Key.
        faults.BadHeader,
        faults.KeyReused,
        faults.StillRunning,
    }
    assert get - put == {faults.UnexpectedBody, faults.NoSuchObject}
    undelete, purge = (set(faults_of(SIGNALS, routes[name])) for name in ("undelete_account", "purge_account"))
    assert faults.PreconditionFailed in undelete & purge
    # What is only made has no version that could be asked for.
    assert faults.PreconditionRequired in purge - undelete
    assert {faults.ForbiddenHeader, faults.NotAuthenticated, faults.NotPermitted, faults.BadPath} <= put & get
    live = next(route for route in ADMIN.routes if route.endpoint == "live")
    assert faults.NotAuthenticated not in faults_of(ADMIN, live)
    assert faults.BadPath not in faults_of(ADMIN, live)


# -- Families on hosts of their own -------------------------------------------


def test_a_path_of_certain_hosts_names_them() -> None:
    paths: Any = document([make_family()], Settings())["paths"]
    assert paths["/_signals/account/{kind}/{name}"]["put"]["servers"] == [{"url": f"https://{HOST}"}]
    assert "servers" not in paths["/toys/api/toys"]["get"]
    # The same route at two mounts is two operations of two names.
    identifiers = [item["put"]["operationId"] for item in paths.values() if "put" in item]
    assert sorted(identifiers) == ["toy.play", "toy.play.2"]


def test_what_two_families_answer_at_one_path_stands_once_in_the_document_of_all() -> None:
    paths: Any = document((SIGNALS, make_family(), ADMIN), Settings())["paths"]
    assert "/_signals/account/{account_type}/{name}" in paths
    assert "/_signals/account/{kind}/{name}" not in paths
    assert "/toys/api/_signals/account/{kind}/{name}" in paths


# -- What cannot be said ------------------------------------------------------


def _nothing(_: Call) -> Response:
    """Do nothing."""
    raise AssertionError("never called")


def test_two_names_for_one_argument_cannot_be_said() -> None:
    family = make_family()
    family.views[0].route("/toys/<other>", methods=("PUT",), privilege=ToyPrivilege.PLAY)(_nothing)
    with pytest.raises(GapError, match="two names for an argument"):
        document([family], Settings())


def test_two_ways_to_log_in_of_one_name_cannot_be_said() -> None:
    family = make_family()
    family.schemes = {"basic": {"type": "apiKey", "in": "header", "name": "X-Child"}}
    assert document([family], Settings())
    with pytest.raises(GapError, match="two ways to log in"):
        document([SIGNALS, family], Settings())


def test_two_schemas_of_one_title_cannot_be_said() -> None:
    family = make_family()
    family.views[0].route(
        "/toys/x/y",
        methods=("PUT",),
        privilege=ToyPrivilege.PLAY,
        body=Body.JSON,
        takes=Takes({"title": "Same", "type": "object"}, {}),
        answers={200: Answer("Done.", {"title": "Same", "type": "array"})},
    )(_nothing)
    with pytest.raises(GapError, match="are two schemas"):
        document([family], Settings())
