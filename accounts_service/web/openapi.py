"""OpenAPI 3.1, made from what the routes are; there is no second description by hand.

A route states its privilege, its body and its parameters, which hold; beside
them its answers and the faults of its view. From the family come the faults of
the checks. How a fault is answered is found out by asking the dialect, with one
sample of each: so status, headers and bodies in a document are those of the
running service.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.metadata import version
from typing import cast

from apispec import APISpec
from flask import Request, Response
from werkzeug.test import EnvironBuilder

from accounts_service import faults
from accounts_service.access.privileges import Open, Privilege, describe, privileges_of
from accounts_service.config import Settings
from accounts_service.faults import Fault, Json, RefusedError
from accounts_service.validation.json_schema import JsonSchema
from accounts_service.web import gate, ignored, retries
from accounts_service.web.body import DEEPEST, LARGEST_BODY
from accounts_service.web.description import HEADERS, Answer, Term
from accounts_service.web.dispatcher import CONTROL, LONGEST_SEGMENT
from accounts_service.web.family import Body, Dialect, Family, GapError, Mount, Route
from accounts_service.web.openapi_sharing import Document, share

_ABOUT = """\
Made from the code of the running service. Every operation says under `x-privilege` what its caller must be allowed.

A path that another family answers on other hosts stands in that family's own document, `/openapi/{family}.json`.
"""

_BODY = f"""\
Strict JSON in UTF-8: no key twice in one object, no NUL in a text, integers of 64 bits, at most \
{DEEPEST} levels and {LARGEST_BODY} bytes."""

_CODINGS = "Content codings: "

_SEGMENT = f"At most {LONGEST_SEGMENT} bytes of UTF-8, without slashes and control characters, encoded or not."

# What may happen whatever the route is.
_ALWAYS: tuple[type[Fault], ...] = (faults.Overloaded, faults.Unavailable, faults.Internal)
_OF_ANY_BODY: tuple[type[Fault], ...] = (
    faults.BodyTooLarge,
    faults.BodyTooSlow,
    faults.MalformedBody,
    faults.UnsupportedCoding,
)
_OF_BODIES: dict[Body, tuple[type[Fault], ...]] = {
    Body.NONE: (),
    Body.JSON: (*_OF_ANY_BODY, faults.EmptyBody),
    Body.OPTIONAL_JSON: (*_OF_ANY_BODY, faults.EmptyBody),
    Body.MERGE_PATCH: (*_OF_ANY_BODY, faults.EmptyBody),
    Body.LOOSE_JSON: (*_OF_ANY_BODY, faults.UnsupportedMediaType),
    Body.ANY_JSON: (*_OF_ANY_BODY, faults.EmptyBody),
    Body.FORM: _OF_ANY_BODY,
}
_OF_KEYS: tuple[type[Fault], ...] = (
    faults.BadHeader,
    faults.KeyReused,
    faults.StillRunning,
    faults.NotPermitted,
    # The answer that is kept may not open.
    faults.SecretUnreadable,
)

# The second for those who word some faults otherwise for programs.
_ACCEPTED = ("*/*", "application/json")


def samples(method: str, path: str) -> dict[type[Fault], Fault]:
    """Make one fault of each class, as a request for `path` could meet it."""
    all_of_them: tuple[Fault, ...] = (
        faults.NotAuthenticated(('Basic realm="accounts-service"',)),
        faults.TokenRefused(faults.TokenFlaw.UNKNOWN),
        faults.TooManyAttempts(1795608000, 900),
        faults.GrantRefused(faults.GrantFlaw.CODE),
        faults.NotPermitted(),
        faults.ForbiddenHeader(),
        faults.BadOrigin("x-forwarded-for"),
        faults.NoSuchRoute(method, path),
        faults.MethodNotAllowed(method, path, ("GET", "PUT")),
        faults.BadPath("a path segment is not UTF-8"),
        faults.UnknownParameters(path, ("unknown",)),
        faults.BadParameter("parameter", "not a number"),
        faults.BadHeader("Idempotency-Key", "not 1 to 255 visible characters"),
        faults.UnexpectedBody(method, path),
        faults.UnsupportedMediaType(),
        faults.UnsupportedCoding("br", "identity"),
        faults.BodyTooLarge(LARGEST_BODY),
        faults.BodyTooSlow(),
        faults.EmptyBody(),
        faults.MalformedBody("Expecting value", 1, 2),
        faults.InvalidBody((faults.Problem(("attribute",), faults.Missing()),)),
        faults.NoSuchObject(method, path.rpartition("/")[2]),
        faults.BadQuery((faults.QueryProblem(faults.QueryFlaw.PARSING, "unknown query [foo]"),)),
        faults.NoSuchScroll(),
        faults.Ambiguous("default", ("email/default", "slack/default")),
        faults.InUse(),
        faults.AlreadyExists("one"),
        faults.AnswerTooLarge(),
        faults.QuotaExceeded("tenant", "accounts", 10_000),
        faults.AgainstTheRules(faults.Rule.OWN_ACCOUNT),
        faults.PrivateTenant(),
        faults.PreconditionFailed(),
        faults.PreconditionRequired(),
        faults.KeyReused(),
        faults.StillRunning(),
        faults.SecretUnreadable("k0123abcd"),
        faults.Overloaded(),
        faults.Unavailable(),
        faults.Internal("0123456789abcdef0123456789abcdef"),
    )
    return {type(fault): fault for fault in all_of_them}


def faults_of(family: Family, route: Route, method: str = "") -> list[type[Fault] | Fault]:
    """Name every fault that a request which has reached `route` can meet; one that is told unlike its like as it is."""
    found: list[type[Fault] | Fault] = [*family.refusals(route), *route.raises, *_ALWAYS]
    found += _OF_BODIES[route.body]
    if route.takes is not None:
        found.append(faults.InvalidBody)
    method = method or route.methods[0]
    if route.takes_keys(method):
        found += _OF_KEYS
    if route.must_say_what_it_changes(method):
        found.append(faults.PreconditionRequired)
    return list(dict.fromkeys(found))


class Documents:
    """The documents of the families that are served, each made when it is first asked for."""

    def __init__(self, families: Sequence[Family] = (), settings: Settings | None = None) -> None:
        self._families = {family.name: family for family in families}
        self._settings = settings or Settings()
        self._made: dict[str, str] = {}

    def of_all(self) -> str:
        """Give the document of all families."""
        return self._document("", self._families.values())

    def of(self, name: str) -> str:
        """Give the document of one family. Raises RefusedError(NoSuchObject) for one that is not served."""
        if name not in self._families:
            raise RefusedError(faults.NoSuchObject("GET", name))
        return self._document(name, (self._families[name],))

    def _document(self, key: str, families: Iterable[Family]) -> str:
        if key not in self._made:
            self._made[key] = json.dumps(document(families, self._settings), ensure_ascii=False)
        return self._made[key]


def document(families: Iterable[Family], settings: Settings) -> dict[str, Json]:
    """Make the document of `families`, as they answer under `settings`.

    Raises GapError for what OpenAPI cannot say: two names for one argument of a
    path, two schemas of one title, two ways to log in of one name.
    """
    there = list(families)
    spec = APISpec(
        title="accounts-service: " + ", ".join(family.name for family in there),
        version=version("accounts-service"),
        openapi_version="3.1.0",
        info={"description": _ABOUT, "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}},
        servers=[{"url": "/"}],
        tags=[{"name": family.name, "description": _about(family)} for family in there],
    )
    for name, term in HEADERS.items():
        spec.components.header(name, {"description": term.sentence, "schema": term.schema})
    taken: dict[str, tuple[str, str]] = {}
    for family in there:
        _Writer(spec, family, settings, taken).write()
    made: dict[str, Json] = spec.to_dict()
    share(cast("Document", made))
    return made


def _about(family: Family) -> str:
    # Its mounts are written where the family is made, and the module says what it is.
    return (inspect.getdoc(inspect.getmodule(family.mounts)) or "").partition("\n")[0]


class _Writer:
    """Writes the routes of one family into a document."""

    def __init__(self, spec: APISpec, family: Family, settings: Settings, taken: dict[str, tuple[str, str]]) -> None:
        self._spec = spec
        self._family = family
        self._settings = settings
        self._dialect = family.dialect(settings)
        # Shape of a path, and method and shape: the family that is first there, and how it is written.
        self._taken = taken
        self._schemas: dict[str, JsonSchema] = {}

    def write(self) -> None:
        """Write them."""
        for name, scheme in self._family.schemes.items():
            if self._spec.components.security_schemes.setdefault(name, scheme) != scheme:
                raise GapError(f"{name} are two ways to log in")
        for route in self._family.routes:
            places: dict[str, list[Mount]] = {}
            for mount, path in self._family.places(route, self._settings):
                places.setdefault(template(path), []).append(mount)
            for number, (path, mounts) in enumerate(places.items(), 1):
                operations = dict(self._operations(route, path, "" if number == 1 else f".{number}"))
                free = {method: one for method, one in operations.items() if self._takes_place(path, method)}
                for operation in free.values():
                    operation.update(_servers(mounts))
                if free:
                    self._spec.path(path, operations=free)

    def _takes_place(self, path: str, method: str) -> bool:
        shape = re.sub(r"\{[^}]*\}", "{}", path)
        first, written = self._taken.setdefault(shape, (self._family.name, path))
        if written != path:
            if first == self._family.name:
                raise GapError(f"{first}: {written} and {path} are one path with two names for an argument")
            return False
        return self._taken.setdefault(f"{method} {shape}", (self._family.name, path))[0] == self._family.name

    def _operations(self, route: Route, path: str, suffix: str) -> Iterator[tuple[str, JsonSchema]]:
        for method in route.methods:
            of_method = f".{method.lower()}" if len(route.methods) > 1 else ""
            identifier = f"{self._family.name}.{route.endpoint}{of_method}{suffix}"
            yield method.lower(), self._operation(route, method, path, identifier)

    def _operation(self, route: Route, method: str, path: str, identifier: str) -> JsonSchema:
        summary, _, description = (inspect.getdoc(route.view) or "").partition("\n")
        schemes: list[Json] = [{name: []} for name in self._family.schemes]
        operation: JsonSchema = {
            "operationId": identifier,
            "tags": [self._family.name],
            "summary": summary,
            "description": description.strip(),
            "parameters": list(self._parameters(route, method)),
            "responses": self._responses(route, method, path),
            "security": [] if route.requirement is Open.PUBLIC else schemes,
            "x-privilege": describe(route.requirement),
            "x-privileges": _listed(privileges_of(route.requirement)),
            "x-privilege-optional": _listed(route.optional),
        }
        if route.body is not Body.NONE:
            operation["requestBody"] = self._body(route)
        return operation

    def _parameters(self, route: Route, method: str) -> Iterator[JsonSchema]:
        terms = self._family.terms
        for name in route.arguments:
            term = terms.get(name, Term(""))
            schema = {"minLength": 1, "maxLength": _longest(route, name), "pattern": f"^[^/{CONTROL}]+$", **term.schema}
            text = f"{term.sentence} {_SEGMENT}".strip()
            yield {"name": name, "in": "path", "required": True, "description": text, "schema": schema}
        for name in sorted(route.parameters | self._family.parameters):
            term = terms.get(name, Term(""))
            yield {"name": name, "in": "query", "description": term.sentence, "schema": self._asked(term.schema)}
        keys = (retries.KEY,) if route.takes_keys(method) else ()
        for name in (*route.headers, *keys, "X-Request-ID"):
            term = HEADERS.get(name) or terms.get(name, Term(""))
            yield {"name": name, "in": "header", "description": term.sentence, "schema": term.schema}

    def _asked(self, schema: JsonSchema) -> JsonSchema:
        """Say of a text in a query what the gate refuses, where the family has it look."""
        if gate.known_parameters in self._family.checks and schema.get("type") == "string":
            return {"pattern": f"^[^{CONTROL}]*$", **schema}
        return schema

    def _body(self, route: Route) -> JsonSchema:
        content: JsonSchema = {}
        if route.takes is not None:
            content["schema"] = self._named(route.takes.schema)
            content["examples"] = {name: {"value": example} for name, example in route.takes.examples.items()}
        if route.body is Body.FORM:
            return {
                "description": _CODINGS + self._family.reading.accepted,
                "required": True,
                "content": {"application/x-www-form-urlencoded": content},
            }
        needed = route.body in (Body.JSON, Body.MERGE_PATCH) or (
            route.body in (Body.ANY_JSON, Body.LOOSE_JSON) and route.takes is not None and route.takes.needed
        )
        types: JsonSchema = dict.fromkeys(sorted(self._family.types_of(route.body)), content)
        return {
            "description": f"{_BODY} {_CODINGS}{self._family.reading.accepted}",
            "required": needed,
            "content": types,
        }

    # -- Answers --------------------------------------------------------------

    def _responses(self, route: Route, method: str, path: str) -> JsonSchema:
        found = {status: _Response() for status in sorted(route.answers)}
        for status, answer in route.answers.items():
            found[status].add_answer(answer, self._named)
            if route.takes_keys(method):
                found[status].add_header(retries.REPLAYED)
            if status // 100 == 2 and route.takes is not None and route.takes.ignores is not None:
                found[status].add_header(ignored.IGNORED)
        told, errors = samples(method, path), self._named(self._dialect.errors)
        told[faults.UnsupportedCoding] = faults.UnsupportedCoding("br", self._family.reading.accepted)
        for one in faults_of(self._family, route, method):
            fault = told[one] if isinstance(one, type) else one
            for accepted in _ACCEPTED:
                response = tell(self._dialect, fault, method, path, accepted)
                found.setdefault(response.status_code, _Response()).add_fault(type(fault), response, errors)
        for response_to in found.values():
            for name in self._family.answer_headers:
                response_to.add_header(name)
        return {str(status): found[status].written(with_content=method != "HEAD") for status in sorted(found)}

    def _named(self, schema: JsonSchema) -> JsonSchema:
        """Put every schema with a title among the components, and give a reference to it."""
        inner = {key: value if key in _DATA else self._below(value) for key, value in schema.items()}
        title = schema.get("title")
        if not isinstance(title, str):
            return inner
        name = f"{self._family.name}.{title.replace(' ', '')}"
        if name not in self._schemas:
            self._schemas[name] = inner
            self._spec.components.schema(name, inner)
        elif self._schemas[name] != inner:
            raise GapError(f"{name} are two schemas")
        return {"$ref": f"#/components/schemas/{name}"}

    def _below(self, value: Json) -> Json:
        if isinstance(value, dict):
            return self._named(value)
        return [self._below(element) for element in value] if isinstance(value, list) else value


# Keywords that hold values and no schemas.
_DATA = frozenset(("const", "default", "enum", "examples", "required", "type"))


class _Response:
    """The answers of one status: all the ways in which it can come about."""

    def __init__(self) -> None:
        self._sentences: list[str] = []
        self._headers: set[str] = {"X-Request-ID"}
        self._schemas: dict[str, list[JsonSchema]] = {}
        self._examples: dict[str, dict[str, Json]] = {}

    def add_answer(self, answer: Answer, named: Callable[[JsonSchema], JsonSchema]) -> None:
        """Add what a route says."""
        self._sentences.append(answer.sentence)
        self._headers.update(answer.headers)
        if answer.schema is not None:
            for media_type in answer.media_types:
                self._add(media_type, named(answer.schema), "answer", answer.example)

    def add_header(self, name: str) -> None:
        """Add a header that the frame sets."""
        self._headers.add(name)

    def add_fault(self, kind: type[Fault], response: Response, errors: JsonSchema) -> None:
        """Add what a dialect says."""
        sentence = (inspect.getdoc(kind) or "").partition("\n")[0]
        if sentence not in self._sentences:
            self._sentences.append(sentence)
        self._headers.update(name for name, _ in response.headers if not name.startswith("Content-"))
        media_type = response.mimetype or ""
        if response.is_json:
            self._add(media_type, errors, kind.__name__, response.get_json())
        elif response.data:
            self._add(media_type, {"type": "string"}, kind.__name__, response.get_data(as_text=True))

    def _add(self, media_type: str, schema: JsonSchema, name: str, example: Json) -> None:
        schemas = self._schemas.setdefault(media_type, [])
        if schema not in schemas:
            schemas.append(schema)
        self._examples.setdefault(media_type, {}).setdefault(name, {"value": example})

    def written(self, *, with_content: bool) -> JsonSchema:
        """Write the response object."""
        content: JsonSchema = {}
        for media_type, schemas in self._schemas.items():
            one_or_more: list[Json] = list(schemas)
            schema: JsonSchema = schemas[0] if len(schemas) == 1 else {"anyOf": one_or_more}
            content[media_type] = {"schema": schema, "examples": self._examples[media_type]}
        sentences = self._sentences
        response: JsonSchema = {
            "description": sentences[0] if len(sentences) == 1 else "\n".join(f"* {line}" for line in sentences),
            "headers": {name: _header(name) for name in sorted(self._headers)},
        }
        return response | {"content": content} if content and with_content else response


def _header(name: str) -> JsonSchema:
    return {"$ref": f"#/components/headers/{name}"} if name in HEADERS else {"schema": {"type": "string"}}


def _longest(route: Route, argument: str) -> int:
    """Tell how long an argument may be: as long as its segment, without what stands around it."""
    (segment,) = (part for part in template(route.rule).split("/") if f"{{{argument}}}" in part)
    return LONGEST_SEGMENT - len(re.sub(r"\{[^}]*\}", "", segment).encode())


def _servers(mounts: Iterable[Mount]) -> JsonSchema:
    # OpenAPI knows no hosts of paths, but servers of operations.
    hosts = [mount.hosts for mount in mounts]
    if not all(hosts):
        return {}
    return {"servers": [{"url": f"https://{host}"} for host in sorted({host for some in hosts for host in some})]}


def template(path: str) -> str:
    """Write the arguments of a path as OpenAPI does."""
    return re.sub(r"<(?:[^<>:]*:)?([^<>]+)>", r"{\1}", path)


def tell(dialect: Dialect, fault: Fault, method: str, path: str, accepted: str) -> Response:
    """Ask a dialect how it tells `fault` to who accepts this."""
    asked = EnvironBuilder(path, method=method, headers=[("Accept", accepted)])
    return dialect.tell(fault, Request(asked.get_environ()))


def _listed(privileges: Iterable[Privilege]) -> list[Json]:
    return [_explained(privilege) for privilege in privileges]


def _explained(privilege: Privilege) -> Json:
    return {"privilege": privilege.action, "allows": privilege.sentence}
