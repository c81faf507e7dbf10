"""Pages of other origins: what a browser is told that asks beforehand, and which answers a page may read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Response

from accounts_service import app
from accounts_service.access.privileges import Open
from accounts_service.access.snapshot import BuiltIns
from accounts_service.families.admin.views import FAMILY as ADMIN
from accounts_service.web.body import LARGEST_BODY, json_response
from accounts_service.web.family import Family
from accounts_service.web.gate import Call
from tests.support import personas
from tests.support.installation import Installation
from tests.support.service import Answer, Service
from tests.web.toy import make_family

TOYS = "/toys/api"
PLAYING = f"{TOYS}/_signals/account/email/default"
CHILD = {"X-Child": "ann;player"}
PAGE = {"Origin": "https://page.example"}
BEFOREHAND = PAGE | {"Access-Control-Request-Method": "PUT"}


def _open_family() -> Family:
    """Make a family that pages of other origins may ask, with a view that breaks and one for OPTIONS."""
    family = make_family()
    family.cross_origin = True

    @family.views[0].route("/toys/broken", methods=("GET",), privilege=Open.PUBLIC)
    def broken(_: Call) -> Response:
        raise ZeroDivisionError

    @family.views[0].route("/toys/options", methods=("OPTIONS",), privilege=Open.PUBLIC)
    def options(_: Call) -> Response:
        return json_response("played")

    return family


@pytest.fixture
def toys(tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """Give the service with toys beside the family of administrators, who let no page in."""
    families = (_open_family(), ADMIN)
    built_ins = BuiltIns.merge((each.action_groups, each.roles) for each in families)
    monkeypatch.setattr(app, "built_ins", lambda: built_ins)
    files = personas.configuration() | {"sg_roles.yml": {"player": {"cluster_permissions": ["TOY_ALL"]}}}
    service = Service(Installation(tmp_path / "toys", sqlite_url, files), families)
    yield service
    service.close()


def cors_headers(answer: Answer) -> dict[str, str]:
    """Give the headers of an answer that say what pages may do."""
    return {name: value for name, value in answer.headers.items() if name.startswith("Access-Control-")}


# What every answer to a page has, and no more.
READABLE = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "Accounts-Ignored, ETag, Idempotency-Replayed, Retry-After, X-Request-ID",
}


def allowed(names: str) -> dict[str, str]:
    """Give all that a browser is told that asks beforehand."""
    return READABLE | {
        "Access-Control-Allow-Methods": "HEAD, GET, POST, PUT, PATCH, DELETE",
        "Access-Control-Allow-Headers": names,
        "Access-Control-Max-Age": "7200",
    }


# -- Beforehand ---------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    (
        f"{TOYS}/toys",
        PLAYING,
        f"{TOYS}/toys/options",
        f"{TOYS}/toys/broken",
        f"{TOYS}/box/no/where",
        f"{TOYS}/toys/%2F",
    ),
)
@pytest.mark.parametrize("headers", ({}, CHILD))
def test_a_browser_is_answered_whoever_asks_and_wherever_the_path_leads(
    toys: Service, path: str, headers: dict[str, str]
) -> None:
    answer = toys.ask("OPTIONS", path, by=None, headers=BEFOREHAND | headers)
    assert (answer.status_code, answer.data) == (204, b"")
    assert cors_headers(answer) == allowed("*")
    assert answer.headers["X-Request-ID"]


@pytest.mark.parametrize("method", ("GET", "PUT", "NONSENSE", ""))
def test_whatever_method_is_asked_for_those_that_there_are_are_told(toys: Service, method: str) -> None:
    headers = PAGE | {"Access-Control-Request-Method": method}
    assert cors_headers(toys.ask("OPTIONS", PLAYING, by=None, headers=headers)) == allowed("*")


@pytest.mark.parametrize(
    "names",
    (
        "authorization",
        "authorization,content-type",
        "Authorization, Content-Type, If-Match",
        "x-a!#$%&'*+.^_`|~1",
        "x" * 1000,
        "*",
    ),
)
def test_the_headers_that_a_page_wants_to_send_may_be_sent(toys: Service, names: str) -> None:
    headers = BEFOREHAND | {"Access-Control-Request-Headers": names}
    assert cors_headers(toys.ask("OPTIONS", PLAYING, by=None, headers=headers)) == allowed(names)


@pytest.mark.parametrize("names", ("", "x;y", "x:y", "<script>", '"x"', "x(y)", "x/y", "x\ty", "\xfc", "x" * 1001))
def test_what_is_no_name_of_a_header_is_not_repeated(toys: Service, names: str) -> None:
    headers = BEFOREHAND | {"Access-Control-Request-Headers": names}
    assert cors_headers(toys.ask("OPTIONS", PLAYING, by=None, headers=headers)) == allowed("*")


def test_who_comes_from_no_page_is_told_of_none(toys: Service) -> None:
    answer = toys.ask("OPTIONS", PLAYING, by=None, headers={"Access-Control-Request-Method": "PUT"})
    assert answer.status_code == 204
    assert cors_headers(answer) == {name: one for name, one in allowed("*").items() if name not in READABLE}


@pytest.mark.parametrize(
    ("path", "status"), ((f"{TOYS}/toys/options", 200), (PLAYING, 405), (f"{TOYS}/box/no/where", 404))
)
def test_options_that_ask_for_no_method_are_a_request_like_others(toys: Service, path: str, status: int) -> None:
    headers = PAGE | {"Access-Control-Request-Headers": "authorization"}
    answer = toys.ask("OPTIONS", path, by=None, headers=headers)
    assert answer.status_code == status
    assert cors_headers(answer) == READABLE


@pytest.mark.parametrize("method", ("GET", "PUT"))
def test_another_method_asks_for_nothing_beforehand(toys: Service, method: str) -> None:
    answer = toys.ask(method, PLAYING, by=None, headers=BEFOREHAND | CHILD, json=[])
    assert answer.status_code == (200 if method == "PUT" else 405)
    assert cors_headers(answer) == READABLE


# -- Answers ------------------------------------------------------------------


@pytest.mark.parametrize("origin", ("https://page.example", "http://127.0.0.1:3000", "null", ""))
def test_pages_of_every_origin_may_read(toys: Service, origin: str) -> None:
    answer = toys.get(f"{TOYS}/toys", by=None, headers={"Origin": origin})
    assert (answer.status_code, cors_headers(answer)) == (200, READABLE)


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status"),
    (
        ("GET", f"{TOYS}/box", {}, b"", 401),
        ("GET", f"{TOYS}/box", {"X-Child": "ann;stranger"}, b"", 403),
        ("GET", f"{TOYS}/box/no/where", {}, b"", 404),
        ("GET", f"{TOYS}/toys/%2F", {}, b"", 400),
        ("DELETE", f"{TOYS}/toys", {}, b"", 405),
        ("PUT", PLAYING, CHILD, b"", 415),
        ("PUT", PLAYING, CHILD | {"Content-Type": "application/json"}, b"x" * (LARGEST_BODY + 1), 413),
        ("PUT", PLAYING, CHILD | {"Content-Type": "application/json"}, b"{", 422),
        ("GET", f"{TOYS}/toys/broken", {}, b"", 500),
    ),
)
def test_pages_may_read_what_is_wrong(  # noqa: PLR0917  # what a request is made of
    toys: Service, method: str, path: str, headers: dict[str, str], body: bytes, status: int
) -> None:
    answer = toys.ask(method, path, by=None, headers=PAGE | headers, data=body)
    assert (answer.status_code, cors_headers(answer)) == (status, READABLE)


def test_who_is_no_page_is_told_nothing_of_pages(toys: Service) -> None:
    for path in (f"{TOYS}/toys", f"{TOYS}/box", f"{TOYS}/box/no/where", f"{TOYS}/toys/broken"):
        assert cors_headers(toys.get(path, by=None)) == {}


# -- Families -----------------------------------------------------------------

PLACES = {
    "netbird": ("/api/accounts", "/api/nowhere"),
    "signals": ("/_signals/account/_search", "/_signals/nowhere"),
    "wavefront": ("/api/v2/account", "/api/v2/nowhere"),
    "mention": ("/accounts/me", "/app/data", "/mention/api/nowhere", "/mention/authorize"),
    "admin": ("/livez", "/openapi.json", "/_accounts/nowhere", "/nowhere"),
}


def test_netbird_alone_lets_pages_in() -> None:
    assert {name for name, family in app.FAMILIES.items() if family.cross_origin} == {"netbird"}
    assert PLACES.keys() == app.FAMILIES.keys()


@pytest.mark.any_database
@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("by", ("admin", None))
def test_pages_may_neither_ask_nor_read_where_they_are_not_let_in(service: Service, name: str, by: str | None) -> None:
    let_in = app.FAMILIES[name].cross_origin
    for path in PLACES[name]:
        assert cors_headers(service.get(path, by=by, headers=PAGE)) == (READABLE if let_in else {}), path
        asked = service.ask("OPTIONS", path, by=by, headers=BEFOREHAND)
        assert cors_headers(asked) == (allowed("*") if let_in else {}), path
        assert (asked.status_code == 204) is let_in
