"""Our own family over HTTP: health, and the 404 of what no family takes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from configparser import ConfigParser
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from accounts_service import app
from accounts_service.families.admin import documents
from accounts_service.families.signals import examples
from accounts_service.storage import migrations
from tests.support.described import referred
from tests.support.installation import Installation
from tests.support.service import Service

EMAIL = "/_signals/account/email/default"


@pytest.mark.parametrize("path", ("/livez", "/readyz"))
def test_health_is_public_and_answers_head_too(service: Service, path: str) -> None:
    assert service.get(path, by=None).json["status"] == "ok"
    head = service.ask("HEAD", path, by=None)
    assert (head.status_code, head.data) == (200, b"")
    assert service.ask("POST", path, by=None).headers["Allow"] == "GET, HEAD"


@pytest.mark.any_database
@pytest.mark.parametrize("path", ("/", "/foo", "/_signalsx/account/email/x", "/livez/", "/_accounts", "/static/x"))
def test_what_no_family_takes_is_not_found(service: Service, path: str) -> None:
    for by in (None, "admin"):
        answer = service.get(path, by=by)
        assert (answer.status_code, answer.mimetype) == (404, "application/problem+json")
        assert answer.json == {"type": "about:blank", "title": "Not Found", "status": 404}


def test_without_its_schema_the_service_is_unready_and_says_so_to_everyone(
    tmp_path: Path, new_postgres_database: Callable[[], str]
) -> None:
    service = Service(Installation(tmp_path / "installation", new_postgres_database()))
    try:
        assert service.get("/livez", by=None).status_code == 200
        for answer in (service.get("/readyz", by=None), service.put(EMAIL, examples.GOOD["email"]), service.get(EMAIL)):
            assert answer.status_code == 503
            assert int(answer.headers["Retry-After"]) > 0
        migrations.upgrade(service.services.database)
        assert service.get("/readyz", by=None).status_code == 200
        assert service.put(EMAIL, examples.GOOD["email"]).status_code == 201
    finally:
        service.close()


def test_a_database_that_is_away_makes_the_service_unready(tmp_path: Path) -> None:
    service = Service(Installation(tmp_path / "installation", "postgresql+psycopg://nobody@127.0.0.1:1/none"))
    try:
        answer = service.get("/readyz", by=None)
        assert (answer.status_code, answer.json) == (503, {"status": "unavailable"})
        assert int(answer.headers["Retry-After"]) > 0
        assert service.get("/livez", by=None).status_code == 200
    finally:
        service.close()


# -- Documents ----------------------------------------------------------------


@pytest.fixture
def sqlite_service(tmp_path: Path, sqlite_url: str) -> Iterator[Service]:
    """Give a service on SQLite: what is the same for everyone needs no database."""
    service = Service(Installation(tmp_path / "installation", sqlite_url))
    yield service
    service.close()


@pytest.mark.parametrize("path", ("/openapi.json", "/openapi/signals.json", "/docs", "/docs/start.js", "/docs/NOTICE"))
def test_documents_are_public_and_unchanged_until_the_next_release(sqlite_service: Service, path: str) -> None:
    first = sqlite_service.get(path, by=None)
    assert first.status_code == 200
    assert first.headers["Cache-Control"] == "no-cache"
    assert first.headers["X-Content-Type-Options"] == "nosniff"
    assert first.headers["Referrer-Policy"] == "no-referrer"
    again = sqlite_service.get(path, by=None, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
    head = sqlite_service.ask("HEAD", path, by=None)
    assert (head.status_code, head.data, head.headers["ETag"]) == (200, b"", first.headers["ETag"])
    assert head.headers["Content-Length"] == str(len(first.data))


def _written_out(document: Any) -> dict[str, dict[str, object]]:
    """Give the operations of a document with what they refer to in its place: each document has names of its own."""
    return {
        path: {
            method: operation
            | {"parameters": [referred(document, one) for one in operation["parameters"]]}
            | {"responses": {status: referred(document, one) for status, one in operation["responses"].items()}}
            for method, operation in item.items()
        }
        for path, item in document["paths"].items()
    }


def test_each_family_that_is_served_has_a_document(sqlite_service: Service) -> None:
    everything = sqlite_service.get("/openapi.json", by=None).json
    apart = {name: sqlite_service.get(f"/openapi/{name}.json", by=None).json for name in app.FAMILIES}
    # Of two operations at one path, told apart by host, the first one stands there.
    together: dict[str, dict[str, object]] = {}
    for document in apart.values():
        for path, item in _written_out(document).items():
            together[path] = item | together.get(path, {})
    assert _written_out(everything) == together
    assert [tag["name"] for tag in everything["tags"]] == [*app.FAMILIES]


@pytest.mark.parametrize("path", ("/openapi/links.json", "/openapi/.json", "/openapi/", "/openapi/signals"))
def test_a_family_that_is_not_served_has_no_document(sqlite_service: Service, path: str) -> None:
    assert sqlite_service.get(path, by=None).status_code == 404


@pytest.mark.parametrize(
    "path", ("/docs/page.html", "/docs/VENDORED.txt", "/docs/..", "/docs/__init__.py", "/docs/", "/docs/x/start.js")
)
def test_only_the_files_of_the_page_are_given_out(sqlite_service: Service, path: str) -> None:
    assert sqlite_service.get(path, by=None).status_code == 404


def test_the_page_may_load_nothing_but_our_own_files(sqlite_service: Service) -> None:
    page = sqlite_service.get("/docs", by=None)
    policy = page.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert "http" not in policy
    assert re.findall(r'(?:src|href)="([^"]+)"', page.text) == [
        "data:,",
        "docs/swagger-ui.css",
        "docs/swagger-ui-bundle.js",
        "docs/start.js",
        "openapi.json",
    ]


def test_vendored_files_are_what_they_are_said_to_be() -> None:
    folder = resources.files("accounts_service.families.admin").joinpath("swagger_ui")
    told = folder.joinpath("VENDORED.txt").read_text(encoding="utf-8")
    hashes = dict(reversed(line.split("  ")) for line in re.findall(r"^[0-9a-f]{64}  .+$", told, re.MULTILINE))
    there = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}
    del there["VENDORED.txt"]
    assert there == hashes


def test_the_files_of_the_page_are_in_the_package() -> None:
    setup = ConfigParser()
    setup.read(Path(__file__).parents[2] / "setup.cfg")
    packed = setup["options.package_data"]["accounts_service.families.admin"].split(", ")
    for folder in ("page", "swagger_ui"):
        assert f"{folder}/*" in packed
    for name in documents.FILES:
        assert any(
            resources.files("accounts_service.families.admin").joinpath(pack[:-2], name).is_file() for pack in packed
        )
