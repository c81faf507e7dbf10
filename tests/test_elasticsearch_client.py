"""Elastic's own client for Python, against the service as it is run."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from elasticsearch import ApiError, BadRequestError, Elasticsearch, NotFoundError

from accounts_service.families.signals import examples
from tests.support import personas
from tests.support.served import Served

pytestmark = pytest.mark.usefixtures("socket_enabled")

ROOT = "/_signals/account"
WRITERS = 10


def connected(served: Served, **options: Any) -> Elasticsearch:
    """Make a client as its users do; the credentials are a persona's."""
    return Elasticsearch(
        f"http://127.0.0.1:{served.port}",
        headers={**personas.authorization("admin")},
        max_retries=0,
        request_timeout=60,
        **options,
    )


@pytest.fixture(params=(False, True), ids=("plain", "http_compress"))
def client(served: Served, request: pytest.FixtureRequest) -> Iterator[Elasticsearch]:
    client = connected(served, http_compress=request.param)
    yield client
    client.close()


def asking(client: Elasticsearch) -> Callable[..., Any]:
    """Ask for paths that the client has no method for, as its documentation says."""

    def ask(method: str, path: str, body: Any = None, **params: str) -> Any:
        headers = {"accept": "application/json"} | ({} if body is None else {"content-type": "application/json"})
        return client.perform_request(method, path, params=params, headers=headers, body=body).body

    return ask


def test_an_elasticsearch_client_puts_reads_and_deletes(client: Elasticsearch) -> None:
    ask = asking(client)
    body = {**examples.GOOD["email"], "user": "signals", "password": "hunter2"}
    assert ask("PUT", f"{ROOT}/email/mail", body)["result"] == "created"
    assert ask("PUT", f"{ROOT}/email/mail", body)["result"] == "updated"
    assert ask("GET", f"{ROOT}/email/mail")["_source"]["password"] == "hunter2"
    assert ask("GET", f"{ROOT}/email/mail", filter_path="_source,-**.password")["_source"].keys() == (
        {"type", "_name", *body} - {"password"}
    )
    with pytest.raises(BadRequestError) as invalid:
        ask("PUT", f"{ROOT}/email/mail", {"port": 587})
    assert invalid.value.body["detail"].keys() == {"host"}
    assert ask("DELETE", f"{ROOT}/email/mail")["result"] == "deleted"
    with pytest.raises(NotFoundError):
        ask("GET", f"{ROOT}/email/mail")


def test_an_elasticsearch_client_searches_and_scrolls(client: Elasticsearch) -> None:
    ask = asking(client)
    for number in range(5):
        ask("PUT", f"{ROOT}/slack/hook_{number}", examples.GOOD["slack"])
    query = {"query": {"query_string": {"query": "type:slack AND _name:hook_*"}}, "sort": [{"_name.keyword": "asc"}]}
    page = ask("POST", f"{ROOT}/_search", {**query, "size": 2, "track_total_hits": True, "version": True})
    names = []
    while page["hits"]["hits"]:
        names += [hit["_source"]["_name"] for hit in page["hits"]["hits"]]
        last = page["hits"]["hits"][-1]["sort"]
        page = ask("POST", f"{ROOT}/_search", {**query, "size": 2, "search_after": last})
    page = ask("POST", f"{ROOT}/_search", {**query, "size": 2}, scroll="1m")
    scrolled = []
    while page["hits"]["hits"]:
        scrolled += [hit["_source"]["_name"] for hit in page["hits"]["hits"]]
        # These have methods of their own.
        page = client.scroll(scroll_id=page["_scroll_id"], scroll="1m").body
    assert names == scrolled == [f"hook_{number}" for number in range(5)]
    assert client.clear_scroll(scroll_id=page["_scroll_id"]).body["succeeded"] is True
    assert ask("POST", f"{ROOT}/_search", query, filter_path="hits.total.value") == {"hits": {"total": {"value": 5}}}


@pytest.mark.parametrize("version", (8, 9))
def test_the_media_types_of_both_clients_are_taken(served: Served, version: int) -> None:
    """What elasticsearch 8 and 9 send, byte by byte; only one of them can be installed."""
    compatible = f"application/vnd.elasticsearch+json; compatible-with={version}"
    headers = {
        "Accept": compatible,
        "Content-Type": compatible,
        "Content-Encoding": "gzip",
        "Accept-Encoding": "gzip",
        "User-Agent": f"elasticsearch-py/{version}.19.3",
        "x-elastic-client-meta": f"es={version}.19.3,py=3.11.2,t=8.17.1,ur=2.5.0",
    }
    body = gzip.compress(json.dumps(examples.GOOD["slack"]).encode())
    answer = served.ask("PUT", f"{ROOT}/slack/of_{version}", headers=headers, body=body)
    assert (answer.status, answer.headers["X-Elastic-Product"]) == (201, "Elasticsearch")
    unknown = served.ask("GET", f"{ROOT}/slack/nobody", headers={"Accept": compatible}, by=None)
    assert (unknown.status, unknown.json["error"]["type"]) == (401, "authentication_exception")


def test_ten_parallel_elasticsearch_writers_all_succeed(served: Served) -> None:
    with connected(served, http_compress=True, connections_per_node=WRITERS) as client:

        def write(writer: int) -> list[int]:
            statuses = []
            for number in range(10):
                answer = client.perform_request(
                    "PUT",
                    f"{ROOT}/slack/w{writer}_{number % 3}",
                    headers={"accept": "application/json", "content-type": "application/json"},
                    body=examples.GOOD["slack"],
                )
                statuses.append(answer.meta.status)
            return statuses

        with ThreadPoolExecutor(WRITERS) as writers:
            try:
                statuses = [status for listed in writers.map(write, range(WRITERS)) for status in listed]
            except ApiError as error:
                pytest.fail(f"a writer was answered {error.meta.status}")
    assert (len(statuses), {*statuses} - {200, 201}) == (100, set())
