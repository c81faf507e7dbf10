"""What a stored text, a page and many pages at once may take of a worker's memory."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import text

from accounts_service.families.signals import examples
from accounts_service.families.signals.schemas.accounts import SCHEMAS
from accounts_service.faults import Json
from accounts_service.storage.sealed import REFERENCE
from accounts_service.validation import fields
from tests.support.service import Service

SEARCH = "/_signals/account/_search"
LONG = "x" * 900_000
MEBIBYTE = 1024 * 1024


def search(service: Service, path: str = SEARCH, by: str = "admin", **body: Any) -> Any:
    """Search, and read the answer to its end."""
    answer = service.ask("POST", path, by=by, json={"size": 10_000, **body})
    assert answer.data
    answer.close()
    return answer


def grow(service: Service, names: str, size: int) -> None:
    """Make the accounts whose name is like that as large as a release before bounds took them."""
    stored = json.dumps({"host": "mail.example", "port": 587, "user": "u" * size})
    with service.services.database.begin() as connection:
        connection.execute(
            text("UPDATE signals_account SET attributes = :stored WHERE name LIKE :names"),
            {"stored": stored, "names": names},
        )


def _bodies() -> list[tuple[str, str, Json]]:
    bodies: list[tuple[str, str, Json]] = []
    for name, schema in SCHEMAS.items():
        for attribute, field in schema.fields.items():
            if isinstance(field, fields.WholeNumber | fields.Flag | fields.Choice):
                continue
            several = isinstance(field, fields.ListOf)
            values: list[Json] = [LONG] if not several else [[LONG], ["a@b.example" + "x" * 500] * 1000]
            values = (
                values
                if not isinstance(field, fields.Headers)
                else [{"X": LONG}, {f"X{n}": "x" * 80 for n in range(1000)}]
            )
            bodies += [(name, attribute, value) for value in values]
    return bodies


@pytest.mark.any_database
def test_no_attribute_takes_a_text_of_a_megabyte(service: Service) -> None:
    for name, attribute, value in _bodies():
        answer = service.put(f"/_signals/account/{name}/long", {**examples.GOOD[name], attribute: value})
        assert answer.status_code == 400, (name, attribute)
        assert attribute in answer.json["detail"], (name, attribute)
    taken = service.put("/_signals/account/email/longest", {**examples.GOOD["email"], "user": "x" * 8192})
    assert taken.status_code == 201


def test_a_page_of_large_accounts_is_refused_and_a_smaller_one_is_shown(service: Service) -> None:
    for number in range(12):
        service.put(f"/_signals/account/email/large{number:02}", examples.GOOD["email"])
    grow(service, "large%", 900_000)
    refused = search(service)
    assert (refused.status_code, refused.json["error"]["type"]) == (400, "illegal_argument_exception")
    assert f"at most [{8 * MEBIBYTE}]" in refused.json["error"]["reason"]
    assert search(service, size=9).json["hits"]["total"]["value"] == 12
    assert len(search(service, size=9).json["hits"]["hits"]) == 9
    # A scroll reads all of them, and what is stored is shown however long it is.
    scroll = search(service, f"{SEARCH}?scroll=1m", size=8)
    rest = service.ask("POST", "/_search/scroll", json={"scroll_id": scroll.json["_scroll_id"]})
    shown = [hit["_source"]["user"] for one in (scroll, rest) for hit in one.json["hits"]["hits"]]
    assert shown == ["u" * 900_000] * 12
    # What is not shown does not count.
    for source in (False, ["type"], {"excludes": ["*"]}):
        named = search(service, _source=source)
        assert len(named.json["hits"]["hits"]) == 12, source


def test_a_source_filter_shows_the_same_whatever_columns_it_needs(service: Service) -> None:
    body = {**examples.GOOD["email"], "user": "u", "password": "hunter2"}
    service.put("/_signals/account/email/a", body)
    (whole,) = (hit["_source"] for hit in search(service, by="reader").json["hits"]["hits"])
    for names in (["host"], ["password"], ["type", "_name"], ["pass*"], ["user", "port"], ["nothing"]):
        wanted = {name: whole[name] for name in whole if name in names or (names == ["pass*"] and name == "password")}
        (shown,) = (hit["_source"] for hit in search(service, by="reader", _source=names).json["hits"]["hits"])
        assert shown == wanted
    assert REFERENCE.match(whole["password"])


@pytest.mark.any_database
def test_large_pages_that_are_not_read_do_not_take_more_than_a_share(service: Service) -> None:
    for number in range(8):
        service.put(f"/_signals/account/email/large{number}", examples.GOOD["email"])
    grow(service, "large%", 900_000)
    service.is_described = False
    # Answers of a test client are on their way until they are closed.
    kept = [service.ask("POST", SEARCH, json={"size": 8}) for _ in range(2)]
    assert [one.status_code for one in kept] == [200, 200]
    refused = search(service)
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
    assert search(service, size=0).status_code == 200
    other = service.ask("POST", SEARCH, json={"size": 8}, by="manager")
    assert other.status_code == 200
    for one in (*kept, other):
        one.close()
    assert search(service).status_code == 200
