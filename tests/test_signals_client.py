"""A client that nobody here wrote: Elastic's own transport, against the service as it is run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from elastic_transport import NodeConfig, Transport

from accounts_service.families.signals import examples
from accounts_service.storage.sealed import REFERENCE
from tests.support import personas
from tests.support.served import Served

pytestmark = pytest.mark.usefixtures("socket_enabled")


class Client:
    """Asks as a persona; gives the status and what the transport made of the body."""

    def __init__(self, served: Served, who: str) -> None:
        self._transport = Transport([NodeConfig("http", "127.0.0.1", served.port)], max_retries=0)
        self._headers = {"accept": "application/json", **personas.authorization(who)}

    def ask(self, method: str, target: str, body: Any = None) -> tuple[int, Any]:
        headers = self._headers if body is None else {**self._headers, "content-type": "application/json"}
        answer = self._transport.perform_request(method, target, headers=headers, body=body)
        return answer.meta.status, answer.body

    def close(self) -> None:
        self._transport.close()


@pytest.fixture
def client(served: Served) -> Iterator[Client]:
    client = Client(served, "admin")
    yield client
    client.close()


def test_the_round_trip_of_the_current_form(client: Client) -> None:
    path = "/_signals/account/email/default"
    body = {**examples.GOOD["email"], "user": "signals", "password": "hunter2"}
    assert client.ask("PUT", path, body) == (201, {"_id": "email/default", "_version": 1, "result": "created"})
    assert client.ask("PUT", path, body) == (200, {"_id": "email/default", "_version": 2, "result": "updated"})
    status, found = client.ask("GET", path)
    assert (status, found["_source"]["password"], found["_source"]["default_bcc"]) == (
        200,
        "hunter2",
        ["signals@mycompany.example.com"],
    )
    status, told = client.ask("PUT", path, {"port": 587, "default_bcc": "@"})
    assert (status, told["error"], set(told["detail"])) == (400, "2 errors; see detail.", {"host", "default_bcc"})
    assert client.ask("DELETE", path) == (200, {"_id": "email/default", "_version": 3, "result": "deleted"})
    assert client.ask("GET", path) == (404, {"status": 404, "error": "Not found"})


def test_the_round_trip_of_the_form_of_2019(client: Client) -> None:
    path = "/_signals/account/default_slack"
    body = {"type": "slack", **examples.GOOD["slack"]}
    assert client.ask("PUT", path, body) == (201, {"_id": "default_slack", "_version": 1, "result": "created"})
    status, found = client.ask("GET", path)
    assert (status, found["_id"], found["_source"]["type"]) == (200, "default_slack", "slack")
    assert client.ask("PUT", path, {"type": "email", **examples.GOOD["email"]})[0] == 200
    assert client.ask("DELETE", path)[1] == {"_id": "default_slack", "_version": 3, "result": "deleted"}


def test_search_and_scroll(client: Client, served: Served) -> None:
    for number in range(7):
        client.ask("PUT", f"/_signals/account/slack/hook_{number}", examples.GOOD["slack"])
    client.ask("PUT", "/_signals/account/email/mail", examples.GOOD["email"])
    query = {"query": {"match": {"type": "SLACK"}}, "sort": [{"_name.keyword": "desc"}], "size": 3}
    status, page = client.ask("POST", "/_signals/account/_search?scroll=60s", query)
    assert (status, page["hits"]["total"]) == (200, {"value": 7, "relation": "eq"})
    seen = []
    while page["hits"]["hits"]:
        seen += [hit["_source"]["_name"] for hit in page["hits"]["hits"]]
        status, page = client.ask("POST", "/_search/scroll", {"scroll": "60s", "scroll_id": page["_scroll_id"]})
        assert status == 200
    assert seen == [f"hook_{number}" for number in reversed(range(7))]
    assert client.ask("DELETE", "/_search/scroll", {"scroll_id": page["_scroll_id"]})[0] == 200
    status, everything = client.ask("GET", "/_signals/account/_search?size=1000")
    assert (status, len(everything["hits"]["hits"])) == (200, 8)
    reader = Client(served, "reader")
    status, seen_by_reader = reader.ask("POST", "/_signals/account/_search", {"query": {"term": {"type": "slack"}}})
    reader.close()
    assert status == 200
    assert all(REFERENCE.fullmatch(hit["_source"]["url"]) for hit in seen_by_reader["hits"]["hits"])
