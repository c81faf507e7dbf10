"""gunicorn's worker with threads, in which no thread waits for the network of a caller who is not known.

gunicorn hands a connection to a thread when its first byte is there, and the
thread waits for the rest, for as long as the client likes; when an answer is
sent, the loop that serves everyone waits two seconds for the client to close.
Here the loop gathers the head of a request and a small body, sends what a
client is slow to take, and closes without waiting, all with deadlines. Only a
body that is larger than what is read of an unknown caller is read in a thread,
at a minimum rate, and by a part of the threads (docs/adr/0040).
"""

from __future__ import annotations

import errno
import os
import re
import selectors
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from functools import cached_property, partial
from ipaddress import ip_address
from itertools import chain
from typing import Any

from gunicorn import http, util  # type: ignore[import-untyped]  # gunicorn has no types
from gunicorn.http.unreader import SocketUnreader  # type: ignore[import-untyped]  # the same
from gunicorn.workers.gthread import TConn, ThreadWorker  # type: ignore[import-untyped]  # the same

from accounts_service.access.authenticators import Origin, Peer
from accounts_service.access.roles import plain
from accounts_service.faults import BodyTooSlow, Overloaded, RefusedError
from accounts_service.web.body import LARGEST_BODY, LARGEST_UNKNOWN_BODY
from accounts_service.web.gate import user_of

# Of request line and headers together; a token may be 16 KiB long.
LONGEST_HEAD = 64 * 1024
# What a chunked body of 16 KiB may take on the wire: the parser's work is by chunk, and does not depend on who asks.
_LONGEST_CHUNKED = 4 * LARGEST_UNKNOWN_BODY
_MOST_CHUNKS = 4096
# What a client must at least send of a large body, or take of an answer, on average.
BYTES_PER_SECOND = 16 * 1024
# What all answers that wait to be taken may occupy in a worker.
_MOST_UNSENT = 64 * 1024 * 1024
_LINGER_SECONDS = 2.0
_PIECE = 64 * 1024

_LENGTH = re.compile(rb"\r\nContent-Length:[ \t]*0*([0-9]{1,9})[ \t]*\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\nTransfer-Encoding:", re.IGNORECASE)
_EXPECTS = re.compile(rb"\r\nExpect:[ \t]*100-continue[ \t]*\r\n", re.IGNORECASE)
_BARE_LINE_FEED = re.compile(rb"(?<!\r)\n")
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_TOO_LATE = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_TOO_LONG = b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_TOO_MANY_CHUNKS = b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Socket(socket.socket):
    """A connection. What its client is slow to take of an answer waits in `unsent` and not in a thread."""

    def __init__(self, accepted: socket.socket) -> None:
        family, kind, number = accepted.family, accepted.type, accepted.proto
        super().__init__(family, kind, number, fileno=accepted.detach())
        self.unsent = bytearray()

    def sendall(self, data: Any, _: int = 0) -> None:  # noqa: ANN401  # bytes of any kind
        """Send what can be sent at once, and keep the rest."""
        self.unsent += data
        self.send_more()

    def send_more(self) -> None:
        """Send what can be sent at once of what is left."""
        try:
            while self.unsent:
                with memoryview(self.unsent) as view:
                    sent = self.send(view[:LARGEST_BODY], socket.MSG_DONTWAIT)
                del self.unsent[:sent]
        except BlockingIOError:
            pass


class Unreader(SocketUnreader):  # type: ignore[misc]  # gunicorn has no types
    """What comes from a client, with a deadline; threads that wait for it take one of `places`.

    Raises RefusedError: BodyTooSlow, or Overloaded where all places are taken.
    """

    def __init__(self, connection: Socket, patience_s: float, places: threading.Semaphore) -> None:
        super().__init__(connection)
        self._patience_s = patience_s
        self._places = places
        self.deadline: float | None = None

    def read(self, size: int | None = None, read_ahead: int | None = None) -> bytes:
        """Return the next bytes: of what is held no more at once than came at once.

        The parser copies what it holds with each chunk of a body, so that one in
        chunks of a byte would cost the square of its length.
        """
        if size is None and self.buf.seek(0, os.SEEK_END) > self.mxchunk:
            size = self.mxchunk
        data: bytes = super().read(size, read_ahead)
        return data

    def chunk(self, size_hint: int | None = None) -> bytes:
        """Return the next bytes; none when the client has closed."""
        now = time.monotonic()
        if self.deadline is None:
            self.deadline = now + self._patience_s
        size = max(self.mxchunk, min(size_hint or 0, self.max_body_chunk))
        try:
            data: bytes = self.sock.recv(size, socket.MSG_DONTWAIT)
        except BlockingIOError:
            if self.deadline <= now:
                raise RefusedError(BodyTooSlow()) from None
            data = self._awaited(self.deadline - now, size)
        self.deadline += len(data) / BYTES_PER_SECOND
        return data

    def _awaited(self, timeout_s: float, size: int) -> bytes:
        if not self._places.acquire(blocking=False):
            raise RefusedError(Overloaded(retry_after=1))
        try:
            self.sock.settimeout(timeout_s)
            data: bytes = self.sock.recv(size)
        except TimeoutError:
            raise RefusedError(BodyTooSlow()) from None
        finally:
            self.sock.settimeout(None)
            self._places.release()
        return data


class Connection(TConn):  # type: ignore[misc]  # gunicorn has no types
    """A connection, and what has arrived of its next request."""

    sock: Socket
    # Whether the loop is told what happens to it.
    is_watched = False

    @cached_property
    def peer(self) -> str:
        """Where it comes from: an address or a network of IP version 6, or the user of a unix socket."""
        if self.sock.family == socket.AF_UNIX:
            return f"user {user_of(self.sock)}"
        address = plain(ip_address(self.client[0].partition("%")[0]))
        return Origin(Peer(address), trusted=False, address=address).network or ""

    def begin(self, received: bytes, deadline: float) -> None:
        """Wait for a request, of which the connection has brought some bytes already."""
        self.received = bytearray()
        self.deadline = deadline
        # Where the body begins, how long it is (None for one in chunks), and where its next chunk begins.
        self.body_at = 0
        self.length: int | None = 0
        self._chunk_at = 0
        # How much of the body has arrived in chunks, and how much of that in whole ones.
        self._arrived = self._whole = 0
        self.chunks = 0
        self.is_whole = self.add(received) if received else False

    def add(self, data: bytes) -> bool:
        """Take bytes; returns whether a thread can answer now, without waiting for more."""
        seen = len(self.received)
        self.received += data
        if not self.body_at:
            end = self.received.find(b"\r\n\r\n", max(0, seen - 3))
            if end < 0:
                # A line that ends otherwise: the parser refuses it without reading on.
                return _BARE_LINE_FEED.search(self.received, seen) is not None
            self._read_head(end + 4)
        return self._has_body()

    def _read_head(self, end: int) -> None:
        head = bytes(self.received[:end])
        self.body_at = self._chunk_at = end
        length = _LENGTH.search(head)
        self.length = None if _CHUNKED.search(head) else int(length[1]) if length else 0
        if _EXPECTS.search(head) and (self.length is None or self.length <= LARGEST_UNKNOWN_BODY):
            # Called by the loop, which no client may end. One that is gone shows when more is read.
            with suppress(OSError):
                self.sock.sendall(_CONTINUE)

    @property
    def is_large(self) -> bool:
        """Whether the body is larger than what the loop waits for, so that a thread may wait for the rest."""
        return (self._arrived if self.length is None else self.length) > LARGEST_UNKNOWN_BODY

    def _has_body(self) -> bool:
        if self.length is not None:
            return self.is_large or len(self.received) >= self.body_at + self.length
        # What takes too much for the little that it says, as chunks of a byte or many trailers, is not waited for.
        return self._has_last_chunk() or self.is_large or len(self.received) > self.body_at + _LONGEST_CHUNKED

    def _has_last_chunk(self) -> bool:
        # Data that is not a chunk counts as the last one: the parser refuses it without reading on.
        while (end := self.received.find(b"\r\n", self._chunk_at)) >= 0:
            try:
                size = int(self.received[self._chunk_at : end].partition(b";")[0], 16)
            except ValueError:
                return True
            if size <= 0:
                return size < 0 or self.received.find(b"\r\n\r\n", end) >= 0
            following = end + 2 + size + 2
            self._arrived = self._whole + min(size, len(self.received) - end - 2)
            if self.is_large or following > len(self.received):
                return False
            self._whole += size
            self.chunks += 1
            if self.chunks > _MOST_CHUNKS:
                return True
            self._chunk_at = following
        return False


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """A worker. `nr_conns` counts connections, as gunicorn's does; each is with a thread or in one of these places."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.patience_s: float = self.app.request_seconds
        self._places = threading.Semaphore(max(1, self.cfg.threads // 4))
        # The oldest first.
        self._arriving: dict[Connection, None] = {}
        self._sending: dict[Connection, None] = {}
        self._lingering: dict[Connection, None] = {}
        self._next_look = 0.0

    # -- Arriving -------------------------------------------------------------

    def accept(self, listener: socket.socket) -> None:
        """Accept a connection, and wait for its request."""
        try:
            accepted, address = listener.accept()
        except OSError as error:
            if error.errno in _NO_ROOM:
                self._make_room()
                # The connection still waits, so this would be called again at once.
                time.sleep(0.01)
            elif error.errno not in (errno.EAGAIN, errno.ECONNABORTED, errno.EWOULDBLOCK):
                raise
            return
        self.nr_conns += 1
        conn = Connection(self.cfg, Socket(accepted), address, listener.getsockname())
        # What must not wait says so itself (MSG_DONTWAIT).
        conn.sock.settimeout(None)
        self._await(conn)
        if self.nr_conns >= self.worker_connections:
            self._make_room()

    def on_client_socket_readable(self, conn: Connection, client: socket.socket) -> None:
        """Take the next request of a connection that was kept."""
        if conn in self.keepalived_conns:
            self.poller.unregister(client)
            self.keepalived_conns.remove(conn)
            self._await(conn)

    def _await(self, conn: Connection, received: bytes = b"") -> None:
        conn.begin(received, time.monotonic() + self.patience_s)
        self._arriving[conn] = None
        if conn.is_whole:
            self._hand_over(conn)
            return
        # Most often everything is there by now.
        self._on_arriving(conn)
        if conn in self._arriving:
            self._watch(conn, selectors.EVENT_READ, self._on_arriving)

    def _on_arriving(self, conn: Connection) -> None:
        if conn not in self._arriving:
            return
        try:
            data = conn.sock.recv(_PIECE, socket.MSG_DONTWAIT)
            is_whole = conn.add(data) if data else bool(conn.body_at)
        except BlockingIOError:
            return
        except OSError:
            data, is_whole = b"", False
        if is_whole:
            self._hand_over(conn)
        elif not data:
            self._drop(conn, self._arriving)
        elif not conn.body_at and len(conn.received) > LONGEST_HEAD:
            self._turn_away(conn, _TOO_LONG)

    def _hand_over(self, conn: Connection, *, late: bool = False) -> None:
        if conn.chunks > _MOST_CHUNKS:
            self._turn_away(conn, _TOO_MANY_CHUNKS)
            return
        self._forget(conn, self._arriving)
        if conn.parser is None:
            conn.parser = http.get_parser(self.cfg, conn.sock, conn.client)
            conn.parser.unreader = Unreader(conn.sock, self.patience_s, self._places)
            conn.initialized = True
        conn.parser.unreader.unread(bytes(conn.received))
        # However the parser understands what is there: a thread waits for the rest of a large body only.
        conn.parser.unreader.deadline = None if conn.is_large and not late else 0.0
        conn.received.clear()
        self.enqueue_req(conn)

    def _turn_away(self, conn: Connection, answer: bytes) -> None:
        self._forget(conn, self._arriving)
        self._finish(conn, keep=False, answer=answer)

    # -- Leaving --------------------------------------------------------------

    def handle_request(self, req: Any, conn: Connection) -> bool:  # noqa: ANN401  # gunicorn has no types
        """Answer a request; the answer says so if the connection is closed after it."""
        if conn.length != 0:
            was_asked = req.should_close
            # Called when the head of the answer is written, and after its end.
            req.should_close = lambda: was_asked() or not self._has_read_body(conn)
        return bool(super().handle_request(req, conn))

    def _has_read_body(self, conn: Connection) -> bool:
        """Drop what is left of the body; returns whether it is all there. What nobody has read is not waited for."""
        # (With a deadline of its own finish_body would wait.)
        conn.parser.unreader.deadline = 0.0
        try:
            return bool(conn.parser.finish_body(max_bytes=LARGEST_UNKNOWN_BODY))
        except RefusedError:
            return False

    def _keepalive_after(self, conn: Connection, keepalive: bool) -> bool:  # noqa: FBT001  # gunicorn's
        return keepalive and self._has_read_body(conn)

    def finish_request(self, conn: Connection, fs: Future[Any]) -> None:
        """Go on with a connection whose thread is done."""
        self._finish(conn, keep=not fs.cancelled() and fs.exception() is None and fs.result() is True)

    def _finish(self, conn: Connection, *, keep: bool, answer: bytes = b"") -> None:
        try:
            conn.sock.sendall(answer)
        except OSError:
            conn.sock.unsent.clear()
            keep = False
        if conn.sock.unsent:
            self._send(conn, keep=keep)
        elif keep:
            self._keep(conn)
        else:
            self._linger(conn)

    def _send(self, conn: Connection, *, keep: bool) -> None:
        conn.deadline = time.monotonic() + self.patience_s + len(conn.sock.unsent) / BYTES_PER_SECOND
        self._sending[conn] = None
        self._watch(conn, selectors.EVENT_WRITE, partial(self._on_writable, keep))
        while len(self._sending) > 1 and sum(len(one.sock.unsent) for one in self._sending) > _MOST_UNSENT:
            # A client that reads slowly loses nothing to a peer that has many answers wait.
            greediest = _most(self._sending, lambda one: len(one.sock.unsent))
            its = (one for one in self._sending if one.peer == greediest)
            self._drop(max(its, key=lambda one: len(one.sock.unsent)), self._sending)

    def _on_writable(self, keep: bool, conn: Connection) -> None:  # noqa: FBT001  # bound before the other
        if conn not in self._sending:
            return
        try:
            conn.sock.send_more()
        except OSError:
            self._drop(conn, self._sending)
            return
        if not conn.sock.unsent:
            self._forget(conn, self._sending)
            self._finish(conn, keep=keep)

    def _keep(self, conn: Connection) -> None:
        received = conn.parser.unreader.take_buffered()
        if received:
            self._await(conn, received)
            return
        conn.set_timeout()
        if not self.alive:
            conn.timeout = min(conn.timeout, time.monotonic() + _LINGER_SECONDS)
        self.keepalived_conns.append(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.on_client_socket_readable, conn))

    def _linger(self, conn: Connection) -> None:
        # Closed with something unread, the answer could be lost (RFC 9112 section 9.6).
        conn.begin(b"", time.monotonic() + _LINGER_SECONDS)
        conn.length = LARGEST_BODY
        self._lingering[conn] = None
        try:
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._drop(conn, self._lingering)
        else:
            self._watch(conn, selectors.EVENT_READ, self._on_lingering)

    def _on_lingering(self, conn: Connection) -> None:
        if conn not in self._lingering:
            return
        try:
            got = len(conn.sock.recv(_PIECE, socket.MSG_DONTWAIT))
        except BlockingIOError:
            return
        except OSError:
            got = 0
        conn.length = (conn.length or 0) - got
        if got == 0 or conn.length <= 0:
            self._drop(conn, self._lingering)

    # -- Deadlines and room ---------------------------------------------------

    def murder_pending(self) -> None:
        """Close what is late. Called after each turn of the loop."""
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + 0.5
        for place in (self._sending, self._lingering):
            for conn in [one for one in place if one.deadline <= now]:
                self._drop(conn, place)
        for conn in [one for one in self._arriving if one.deadline <= now or not (self.alive or one.received)]:
            if conn.body_at:
                # Its family answers, in its words.
                self._hand_over(conn, late=True)
            elif conn.received:
                self._turn_away(conn, _TOO_LATE)
            else:
                self._drop(conn, self._arriving)

    def _make_room(self) -> None:
        """Close a connection of the peer with the most that no thread works for.

        It is the one that has waited longest without a whole request, or else without use.
        """
        places = (self._arriving, self._lingering, self._sending)
        idle = [*chain(*places), *self.keepalived_conns]
        if not idle:
            return
        greediest = _most(idle, lambda _: 1)
        conn = next(one for one in idle if one.peer == greediest)
        for place in places:
            if conn in place:
                self._drop(conn, place)
                return
        self.keepalived_conns.remove(conn)
        self.keepalived_conns.appendleft(conn)
        conn.timeout = 0.0
        self.murder_keepalived()

    def _watch(self, conn: Connection, event: int, then: Callable[[Connection], None]) -> None:
        conn.is_watched = True
        self.poller.register(conn.sock, event, lambda _: then(conn))

    def _forget(self, conn: Connection, place: dict[Connection, None]) -> None:
        del place[conn]
        if conn.is_watched:
            conn.is_watched = False
            self.poller.unregister(conn.sock)

    def _drop(self, conn: Connection, place: dict[Connection, None]) -> None:
        self._forget(conn, place)
        self.nr_conns -= 1
        util.close(conn.sock)


def _most(connections: Iterable[Connection], weight: Callable[[Connection], int]) -> str:
    """Return the peer whose connections weigh most together."""
    weights = Counter[str]()
    for conn in connections:
        weights[conn.peer] += weight(conn)
    return max(weights, key=weights.__getitem__)
