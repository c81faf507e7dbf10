"""Content codings of bodies: gzip where the original decodes it, and a clear 415 for everything else."""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Iterable
from typing import Any

import pytest
from flask import Request
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.datastructures import Headers
from werkzeug.test import EnvironBuilder

from accounts_service.families.signals import examples
from accounts_service.faults import BodyTooLarge, MalformedBody, RefusedError
from accounts_service.web import body
from accounts_service.web.body import LARGEST_BODY, Reading
from tests.support.service import Answer, Service

pytestmark = pytest.mark.any_database

PATH = "/_signals/account/email/default"
GZIP = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
MARK = b"\xef\xbb\xbf"

# One route of each family that reads JSON, and one that reads a form.
ELSEWHERE = (
    ("POST", "/api/v2/usergroup"),
    ("POST", "/api/users"),
    ("POST", "/accounts"),
    ("POST", "/mention/oauth/v2/token"),
)


def document(**more: object) -> bytes:
    return json.dumps({**examples.GOOD["email"], **more}).encode()


def put(service: Service, data: bytes, coding: str | None = "gzip", **headers: str) -> Answer:
    codings = {} if coding is None else {"Content-Encoding": coding}
    return service.ask("PUT", PATH, headers={"Content-Type": "application/json", **codings, **headers}, data=data)


def reason(answer: Answer) -> tuple[int, str]:
    return answer.status_code, answer.json["error"]


@pytest.mark.parametrize("coding", ("gzip", "GZip", "x-gzip", "identity, gzip"))
def test_signals_decodes_gzip(service: Service, coding: str) -> None:
    assert put(service, gzip.compress(document(host="a.example")), coding).status_code == 201
    assert service.get(PATH).json["_source"]["host"] == "a.example"


def test_search_decodes_gzip(service: Service) -> None:
    put(service, gzip.compress(document()))
    query = gzip.compress(json.dumps({"query": {"term": {"type": "slack"}}}).encode())
    answer = service.ask("POST", "/_signals/account/_search", headers=GZIP, data=query)
    assert answer.json["hits"]["total"]["value"] == 0


@pytest.mark.parametrize("coding", ("identity", "", None, "identity, identity"))
def test_a_body_without_a_coding_is_read_as_it_is(service: Service, coding: str | None) -> None:
    assert put(service, document(), coding).status_code == 201


@pytest.mark.parametrize(
    "coding", ("br", "deflate", "zstd", "gzip, gzip", "br, gzip", "gzip,x-gzip", "x" * 300, "gzi\xff")
)
def test_signals_refuses_other_codings_by_name(service: Service, coding: str) -> None:
    answer = put(service, gzip.compress(document()), coding)
    named = re.sub(r"[^!-~]", "?", coding.replace(" ", ""))[:100]
    assert reason(answer) == (415, f"Content-Encoding [{named}] is not supported")
    assert answer.headers["Accept-Encoding"] == "gzip, identity"
    assert service.get(PATH).status_code == 404


def test_signals_refuses_a_coding_before_it_looks_at_the_privilege(service: Service) -> None:
    answer = service.ask("PUT", PATH, by="reader", headers={**GZIP, "Content-Encoding": "br"}, data=b"x")
    assert answer.status_code == 415
    assert service.ask("PUT", PATH, by=None, headers={**GZIP, "Content-Encoding": "br"}, data=b"x").status_code == 401


@pytest.mark.parametrize("coding", ("gzip", "br"))
@pytest.mark.parametrize(("method", "path"), ELSEWHERE)
def test_no_other_family_reads_a_coded_body(service: Service, method: str, path: str, coding: str) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": coding}
    answer = service.ask(method, path, headers=headers, data=gzip.compress(b"{}"))
    assert answer.status_code == 415, answer.text
    assert f"content-encoding {coding} is not supported" in answer.text.lower()
    assert answer.headers["Accept-Encoding"] == "identity"


# -- Damaged and oversized gzip ------------------------------------------------


def corrupted() -> Iterable[tuple[bytes, str]]:
    # The same bytes in every process, since tests are named by them.
    whole = gzip.compress(document(), mtime=0)
    yield b"{}", "the body is not gzip, as its Content-Encoding says"
    yield zlib.compress(document()), "the body is not gzip, as its Content-Encoding says"
    yield whole[:-8] + bytes(8), "the body is not gzip, as its Content-Encoding says"
    yield whole[:-1], "the gzip of the body ended early"
    yield whole[:5], "the gzip of the body ended early"
    yield whole + b"x", "the body goes on after the end of its gzip"
    yield whole + whole, "the body goes on after the end of its gzip"


@pytest.mark.parametrize(("data", "expected"), tuple(corrupted()))
def test_what_is_not_one_whole_gzip_is_refused(service: Service, data: bytes, expected: str) -> None:
    assert reason(put(service, data)) == (400, f"Invalid JSON document: {expected}")
    assert service.get(PATH).status_code == 404


def test_a_body_may_be_as_large_decoded_as_it_may_be_plain(service: Service) -> None:
    filled = document(host="a.example") + b" " * LARGEST_BODY
    assert put(service, gzip.compress(filled[:LARGEST_BODY])).status_code == 201
    larger = filled[: LARGEST_BODY + 1]
    expected = (413, f"The document is larger than {LARGEST_BODY} bytes")
    assert reason(put(service, gzip.compress(larger))) == reason(put(service, larger, None)) == expected


def test_a_gzip_that_decodes_to_64_megabytes_is_too_large(service: Service) -> None:
    bomb = gzip.compress(bytes(64 << 20))
    assert len(bomb) < LARGEST_BODY // 10
    assert reason(put(service, bomb))[0] == 413


def test_an_empty_gzip_is_an_empty_document(service: Service) -> None:
    assert reason(put(service, gzip.compress(b""))) == (400, "The document is empty")
    assert reason(put(service, b"")) == (400, "The document is empty")


def requested(data: bytes) -> Request:
    builder = EnvironBuilder("/", method="POST", data=data, headers=Headers({"Content-Encoding": "gzip"}))
    return Request(builder.get_environ())


@given(st.binary(max_size=200), st.integers(0, 9))
def test_a_gzip_of_anything_is_read_as_it_was(data: bytes, level: int) -> None:
    assert body.read(requested(gzip.compress(data, level)), Reading(gzip=True)) == data


@given(st.binary(max_size=60), st.data())
def test_damaged_gzip_is_a_fault_or_decodes(data: bytes, drawn: Any) -> None:
    whole = bytearray(gzip.compress(data))
    whole[drawn.draw(st.integers(0, len(whole) - 1))] ^= drawn.draw(st.integers(1, 255))
    try:
        read = body.read(requested(bytes(whole)), Reading(gzip=True))
    except RefusedError as refused:
        fault = refused.fault
    else:
        # Only fields of the header, such as the time, are not covered by the checksum.
        assert read == data
        return
    assert isinstance(fault, MalformedBody | BodyTooLarge)


# -- Retries --------------------------------------------------------------------


def test_a_retry_is_the_same_request_in_whatever_coding(service: Service) -> None:
    key = {"Idempotency-Key": "one-of-these"}
    made = put(service, gzip.compress(document(), 1), **key)
    assert made.status_code == 201
    for again in (put(service, document(), None, **key), put(service, gzip.compress(MARK + document(), 9), **key)):
        assert (again.status_code, again.headers["Idempotency-Replayed"], again.data) == (201, "true", made.data)
    assert put(service, gzip.compress(document(port=1)), **key).status_code == 422


# -- Byte order marks -----------------------------------------------------------


def test_signals_skips_a_byte_order_mark(service: Service) -> None:
    assert put(service, MARK + document(), None).status_code == 201
    query = MARK + b'{"size": 0}'
    answer = service.ask("POST", "/_signals/account/_search", headers={"Content-Type": "application/json"}, data=query)
    assert (answer.status_code, answer.json["hits"]["hits"]) == (200, [])
    assert reason(put(service, MARK + b" ", None)) == (400, "The document is empty")
    assert reason(put(service, MARK * 2 + document(), None))[0] == 400


def test_wavefront_skips_a_byte_order_mark(service: Service) -> None:
    headers = {"Content-Type": "application/json"}
    made = service.ask("POST", "/api/v2/usergroup", headers=headers, data=MARK + b'{"name": "one"}')
    assert made.status_code == 200, made.text


def test_other_families_name_a_byte_order_mark(service: Service) -> None:
    headers = {"Content-Type": "application/json"}
    named = "it begins with a UTF-8 byte order mark"
    netbird = service.ask("POST", "/api/users", headers=headers, data=MARK + b"{}")
    assert (netbird.status_code, netbird.json["message"]) == (400, f"couldn't parse JSON request: {named}")
    mention = service.ask("POST", "/accounts", headers=headers, data=MARK + b"{}")
    assert (mention.status_code, named in mention.json["message"]) == (400, True)
