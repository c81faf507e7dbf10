"""The one place where faults and exceptions meet the families' words; and the request id."""

from __future__ import annotations

import re
import time
import uuid

import structlog
from flask import Flask, Request, Response, g, request
from werkzeug.exceptions import ClientDisconnected, HTTPException, RequestEntityTooLarge

from accounts_service.faults import (
    BodyTooLarge,
    Fault,
    Internal,
    MalformedBody,
    RefusedError,
    SecretUnreadable,
    Unavailable,
)
from accounts_service.logs import describe
from accounts_service.storage.database import ReadInterruptedError, TransactionRefusedError
from accounts_service.storage.sealed import UnreadableSecretError
from accounts_service.web import dispatcher
from accounts_service.web.body import LARGEST_BODY
from accounts_service.web.family import Dialect

log = structlog.get_logger(__name__)

_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{8,64}\Z")


def request_id() -> str:
    """Give the id of this request: the proxy's X-Request-ID if it looks like one, else a new one."""
    if _KNOWN_AS not in request.environ:
        given = request.headers.get("X-Request-ID", "")
        request.environ[_KNOWN_AS] = given if _REQUEST_ID.match(given) else uuid.uuid4().hex
    return tracking_id(request)


def tracking_id(asked: Request) -> str:
    """Give the id of a request, or zeros for one that nobody has sent, as documents of the API are made with."""
    return str(asked.environ.get(_KNOWN_AS, "0" * 32))


# Where in a request's environ its id is kept.
_KNOWN_AS = "accounts.request_id"


def sent_path(asked: Request) -> str:
    """Give the path as it was sent, without the query, which may hold what a log should not."""
    return str(asked.environ.get("RAW_URI") or asked.path).partition("?")[0]


def loggable_path(asked: Request) -> str:
    """Give the path of a request for a log."""
    return dispatcher.loggable_path(asked.environ, sent_path(asked))


def register(app: Flask, dialect: Dialect) -> None:  # noqa: C901  # one handler a kind of exception
    """Answer whatever is raised in `app` in the words of `dialect`."""

    def tell(fault: Fault) -> Response:
        return dialect.tell(fault, request)

    # An outage has its lines where it is noticed: storage/outage.py.
    @app.errorhandler(RefusedError)
    def refused(error: RefusedError) -> Response:
        return tell(error.fault)

    @app.errorhandler(UnreadableSecretError)
    def unreadable(error: UnreadableSecretError) -> Response:
        place = error.place
        log.error("secret.unreadable", request_id=request_id(), of=place.family, uid=place.uid, key=error.key)
        return tell(SecretUnreadable(error.key))

    @app.errorhandler(HTTPException)
    def http_exception(error: HTTPException) -> Response:
        match error:
            case RequestEntityTooLarge():
                return tell(BodyTooLarge(request.max_content_length or LARGEST_BODY))
            case ClientDisconnected():
                return tell(MalformedBody("the body ended early"))
            case _:
                return unexpected(error)

    @app.errorhandler(TransactionRefusedError)
    @app.errorhandler(ReadInterruptedError)
    def given_up(error: Exception) -> Response:
        log.error("storage.given_up", request_id=request_id(), cause=describe(error))
        return tell(Unavailable(retry_after=1))

    @app.errorhandler(Exception)
    def unexpected(error: Exception) -> Response:
        log.error("bug", request_id=request_id(), cause=describe(error))
        return tell(Internal(request_id()))

    @app.before_request
    def started() -> None:
        g.started = time.perf_counter_ns()

    @app.after_request
    def logged(response: Response) -> Response:
        response.headers["X-Request-ID"] = request_id()
        log.info(
            "request",
            request_id=request_id(),
            family=app.name,
            method=request.method,
            path=loggable_path(request),
            status=response.status_code,
            us=(time.perf_counter_ns() - g.started) // 1000,
        )
        return response
