"""Clients that are slow, or never finish, straight at our own server: they wait for themselves, and others do not."""

from __future__ import annotations

import re
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from accounts_service.worker import Socket, Unreader
from tests.support import personas
from tests.support.installation import Installation
from tests.support.served import Served

# Many times as many as there are threads.
MANY = 200
ROUTE = "/_signals/account/email/default"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path) -> Iterator[Served]:
    """Start a server of one worker with as few threads as there may be, and a deadline of two seconds."""
    with _serving(tmp_path_factory.mktemp("slow"), migrated_sqlite, "2") as server:
        yield server


def _serving(folder: Path, migrated: Path, request_seconds: str) -> Served:
    database = folder / "accounts.db"
    database.write_bytes(migrated.read_bytes())
    settings = {"ACCOUNTS_WORKERS": "1", "ACCOUNTS_THREADS": "16", "ACCOUNTS_REQUEST_SECONDS": request_seconds}
    return Served(Installation(folder / "installation", f"sqlite:///{database}"), **settings)


def _head(method: str, path: str, *headers: str) -> bytes:
    return "\r\n".join((f"{method} {path} HTTP/1.1", "Host: localhost", *headers, "", "")).encode()


ADMIN = f"Authorization: {personas.authorization('admin')['Authorization']}"
FORM = "Content-Type: application/x-www-form-urlencoded"
SLOW = {
    "nothing": b"",
    "half a head": b"GET /livez HTTP/1.1\r\nHost: local",
    "half a body": _head("POST", "/mention/oauth/v2/token", FORM, "Content-Length: 100") + b"grant_type=",
    "half a body in chunks": _head("POST", "/mention/oauth/v2/token", FORM, "Transfer-Encoding: chunked") + b"5\r\ng",
    "half a body that is waited for": _head("POST", "/accounts", FORM, "Expect: 100-continue", "Content-Length: 9"),
    "half a body whose length has zeros before it": _head(
        "POST", "/mention/oauth/v2/token", FORM, "Content-Length: 00000000000100"
    )
    + b"grant_type=",
    "trailers without end": _head("POST", "/mention/oauth/v2/token", FORM, "Transfer-Encoding: chunked")
    + b"0\r\n"
    + b"A: b\r\n" * 25_000,
    "chunks that say little": _head("POST", "/mention/oauth/v2/token", FORM, "Transfer-Encoding: chunked")
    + (b"1;" + b"x" * 1000 + b"\r\na\r\n") * 200,
    "a large body without credentials": _head("PUT", ROUTE, "Content-Type: application/json", "Content-Length: 900000"),
    "a large body": _head("PUT", ROUTE, ADMIN, "Content-Type: application/json", "Content-Length: 900000") + b"{",
    "an answer that nobody takes": _head("GET", "/docs/swagger-ui-bundle.js") * 2,
    "a connection that nobody closes": _head("GET", "/livez", "Connection: close"),
}


def _opened(served: Served, sent: bytes, source: str = "127.0.0.1") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", served.port), timeout=60, source_address=(source, 0))
    connection.sendall(sent)
    return connection


def _large_in_two_pieces(served: Served) -> int:
    """Have a known caller send a body that a thread waits for; returns the status."""
    document = b'{"host": "mail.example", "port": 25}'
    length = f"Content-Length: {len(document) + 20_000}"
    connection = _opened(
        served, _head("PUT", ROUTE, ADMIN, "Content-Type: application/json", length, "Connection: close")
    )
    for _ in range(5):
        # Until a thread has begun to wait, or has refused to.
        served.ask("GET", "/livez", by=None)
    with suppress(OSError):
        connection.sendall(b" " * 20_000 + document)
    return _received(connection)[0]


def _received(connection: socket.socket) -> tuple[int, bytes]:
    """Read until the server closes; returns the status (0: no answer) and the body."""
    with connection:
        raw = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = raw.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]) if head else 0, body


@pytest.mark.parametrize("sent", SLOW.values(), ids=SLOW)
def test_200_slow_clients_leave_other_callers_answered(served: Served, socket_enabled: None, sent: bytes) -> None:
    del socket_enabled
    with ExitStack() as opened:
        for _ in range(MANY):
            opened.enter_context(_opened(served, sent))
        answers = [served.ask("GET", path, by=by) for path, by in (("/livez", None), (ROUTE, "admin"), ("/docs", None))]
        assert [answer.status for answer in answers] in ([200, 404, 200], [200, 200, 200])
        if ADMIN.encode() not in sent:
            assert _large_in_two_pieces(served) in (200, 201), "a thread waits for somebody who is not known"
        made = served.ask("PUT", "/_signals/account/email/other", body={"host": "mail.example", "port": 25})
        assert made.status in (200, 201), made.body


def test_late_requests_are_408_in_the_words_of_their_family(served: Served, socket_enabled: None) -> None:
    del socket_enabled
    waiting = {
        name: _opened(served, sent) for name, sent in SLOW.items() if "answer" not in name and "closes" not in name
    }
    answers = {name: _received(connection) for name, connection in waiting.items()}
    late = b'{"code":408,"message":"The body did not arrive in time"}'
    assert answers["nothing"] == (0, b"")
    assert answers["half a head"] == (408, b"")
    assert answers["half a body"] == (408, late)
    assert answers["half a body in chunks"] == (408, late)
    assert answers["a large body without credentials"][0] == 401
    assert answers["a large body"] == (
        408,
        b'{\n  "status": 408,\n  "error": "The document did not arrive in time"\n}',
    )


def test_bodies_in_pieces_arrive_whole(served: Served, socket_enabled: None) -> None:
    """In as many pieces as there are bytes, in chunks, announced first, large, and two requests at once."""
    del socket_enabled
    document = b'{"host": "mail.example", "port": 25, "default_subject": "' + b"x" * 300 + b'"}'
    json = ("Content-Type: application/json", ADMIN)
    length, chunked = f"Content-Length: {len(document)}", "Transfer-Encoding: chunked"
    chunks = b"".join(b"%x;a=b\r\n%s\r\n" % (len(part), part) for part in (document[:10], document[10:])) + b"0\r\n\r\n"
    close = "Connection: close"
    for sent, step in (
        (_head("PUT", ROUTE, *json, length, close) + document, 1),
        (_head("PUT", ROUTE, *json, chunked, close) + chunks, 1),
        (_head("PUT", ROUTE, *json, chunked, close) + chunks, 7),
        (b"\r\n" + _head("PUT", ROUTE, *json, length) + document + _head("GET", ROUTE, ADMIN, close), 50),
        (
            _head("PUT", ROUTE, *json, f"Content-Length: {len(document) + 900_000}", close) + b" " * 900_000 + document,
            10**5,
        ),
    ):
        connection = _opened(served, b"")
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(sent), step):
            connection.sendall(sent[start : start + step])
        status, _ = _received(connection)
        assert status in (200, 201), sent[:100]


def test_clients_that_go_when_they_are_told_to_continue_leave_the_worker_running(
    served: Served, socket_enabled: None
) -> None:
    """The loop that serves everyone sends `100 Continue`, also to the second of two requests that came at once."""
    del socket_enabled
    workers = served.workers()
    asked = _head("POST", "/mention/oauth/v2/token", FORM, "Expect: 100-continue", "Content-Length: 9")
    for number in range(90):
        connection = _opened(served, _head("GET", "/livez") + asked)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if number % 2:
            connection.recv(1)
        connection.close()
    assert served.ask("GET", "/livez", by=None).status == 200
    assert served.workers() == workers


def test_head_that_is_too_long_is_refused(served: Served, socket_enabled: None) -> None:
    del socket_enabled
    long = _head("GET", "/livez", *(f"X-{number}: {'x' * 8000}" for number in range(90)))
    assert _received(_opened(served, long[:80_000]))[0] == 431


def test_body_in_thousands_of_chunks_is_refused_before_it_is_parsed(served: Served, socket_enabled: None) -> None:
    del socket_enabled
    asked = _head("POST", "/accounts", FORM, "Transfer-Encoding: chunked", "Connection: close")
    assert _received(_opened(served, asked + b"1\r\na\r\n" * 10_000 + b"0\r\n\r\n")) == (413, b"")
    large = _head(
        "PUT", ROUTE, ADMIN, "Content-Type: application/json", "Transfer-Encoding: chunked", "Connection: close"
    )
    spaces = b"5\r\n     \r\n" * 10_000
    document = b'{"host": "mail.example", "port": 25}'
    last = b"%x\r\n%s\r\n0\r\n\r\n" % (len(document), document)
    assert _received(_opened(served, large + spaces + last))[0] in (200, 201)
    assert _received(_opened(served, asked + b"1\r\na\r\n" * 1_000 + b"0\r\n\r\n"))[0] == 401


def test_answer_that_is_taken_in_small_pieces_is_whole(served: Served, socket_enabled: None) -> None:
    del socket_enabled
    whole = served.ask("GET", "/docs/swagger-ui-bundle.js", by=None).body
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", served.port))
    connection.sendall(_head("GET", "/docs/swagger-ui-bundle.js", "Connection: close"))
    assert _received(connection) == (200, whole)


def test_answers_after_which_the_connection_is_closed_say_so(served: Served, socket_enabled: None) -> None:
    """A client that believes `keep-alive` sends its next request into a closed connection, and may not repeat it."""
    del socket_enabled
    json = ("Content-Type: application/json",)
    broken = _head("PUT", ROUTE, ADMIN, *json, "Transfer-Encoding: chunked") + b"no size\r\n"
    unread = [SLOW[name] for name in ("half a body", "a large body", "a large body without credentials")]
    for sent, statuses in zip((*unread, broken), ([408], [408], [401], [400]), strict=True):
        assert _answers(_opened(served, sent)) == [(status, "close") for status in statuses], sent
    # What is there is dropped, and the next request answered.
    there = _head("PUT", ROUTE, *json, "Content-Length: 2") + b"{}" + _head("GET", "/livez", "Connection: close")
    assert _answers(_opened(served, there)) == [(401, "keep-alive"), (200, "close")]


def _answers(connection: socket.socket) -> list[tuple[int, str]]:
    """Read until the server closes; returns the status of each answer, and what it says about the connection."""
    with connection:
        raw = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    found = re.findall(r"HTTP/1.1 (\d+) .*?\r\nConnection: (\S+)", raw, re.DOTALL)
    return [(int(status), word) for status, word in found]


def test_connections_of_one_address_do_not_end_those_of_another(
    tmp_path: Path, migrated_sqlite: Path, socket_enabled: None
) -> None:
    """Whether the places of a worker run out, or its memory for answers that their clients do not take."""
    del socket_enabled
    bundle = "/docs/swagger-ui-bundle.js"
    # More of them than the kernel keeps for one connection.
    sent = _head("GET", bundle) * 3 + _head("GET", bundle, "Connection: close")
    with _serving(tmp_path, migrated_sqlite, "60") as served, ExitStack() as opened:
        slow_to_read, slow_to_ask = _opened(served, sent), _opened(served, b"GET /livez HTTP/1.1\r\n")
        for _ in range(60):
            opened.enter_context(_opened(served, sent, "127.0.0.2"))
        assert served.ask("GET", "/livez", by=None).status == 200
        for _ in range(1010):
            opened.enter_context(_opened(served, b"GET", "127.0.0.2"))
        slow_to_ask.sendall(b"Host: localhost\r\nConnection: close\r\n\r\n")
        assert _received(slow_to_ask)[0] == 200
        assert _answers(slow_to_read) == [(200, "keep-alive")] * 3 + [(200, "close")]


@pytest.mark.any_database
def test_body_in_chunks_of_a_byte_is_copied_a_little_at_a_time() -> None:
    """The parser copies what it is given with each chunk, so it is given little, whatever has come."""
    sent = bytes(range(256)) * 300
    near, far = socket.socketpair()
    with far, Socket(near) as connection:
        unreader = Unreader(connection, 1.0, threading.Semaphore(1))
        unreader.unread(sent)
        pieces = [unreader.read() for _ in range(10)]
        far.sendall(b"the rest")
        assert b"".join(pieces) == sent
        assert max(map(len, pieces)) <= unreader.mxchunk
        assert unreader.read() == b"the rest"
