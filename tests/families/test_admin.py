"""Our own family over HTTP: health, and the 404 of what no family takes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from accounts_service.families.signals import examples
from accounts_service.storage import migrations
from tests.support.installation import Installation
from tests.support.service import Service

EMAIL = "/_signals/account/email/default"


@pytest.mark.parametrize("path", ("/livez", "/readyz"))
def test_health_is_public_and_answers_head_too(service: Service, path: str) -> None:
    assert service.get(path, by=None).json["status"] == "ok"
    head = service.ask("HEAD", path, by=None)
    assert (head.status_code, head.data) == (200, b"")
    assert service.ask("POST", path, by=None).headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize("path", ("/", "/foo", "/_signalsx/account/email/x", "/livez/", "/_accounts", "/static/x"))
def test_what_no_family_takes_is_not_found(service: Service, path: str) -> None:
    for by in (None, "admin"):
        answer = service.get(path, by=by)
        assert (answer.status_code, answer.mimetype) == (404, "application/problem+json")
        assert answer.json == {"type": "about:blank", "title": "Not Found", "status": 404}


def test_a_broken_configuration_does_not_make_the_service_unready(service: Service) -> None:
    access = service.services.access
    assert service.get("/readyz", by=None).json == {"status": "ok", "configuration": "current"}
    service.installation.write("sg_roles.yml", "[")
    access._clock = lambda: 2e9  # Quiet for long.
    service.get(EMAIL)
    answer = service.get("/readyz", by=None)
    assert (answer.status_code, answer.json["configuration"]) == (200, "last-good")


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
        assert (answer.status_code, answer.json["title"]) == (503, "Service Unavailable")
        assert service.get("/livez", by=None).status_code == 200
    finally:
        service.close()
