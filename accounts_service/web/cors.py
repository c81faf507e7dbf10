"""Requests from pages of other origins (https://fetch.spec.whatwg.org/#http-cors-protocol).

Without credentials: a page that has a token may use it, and no page gets to use
a password or certificate that the browser knows.
"""

from __future__ import annotations

import re

from flask import Flask, Response, request

_METHODS = "HEAD, GET, POST, PUT, PATCH, DELETE"
_NAMES = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~, -]{1,1000}")
_LONGEST_SECONDS = "7200"
_EXPOSED = "Accounts-Ignored, ETag, Idempotency-Replayed, Retry-After, X-Request-ID"


def register(app: Flask) -> None:
    """Let pages of every origin ask `app`, and answer browsers that ask beforehand."""

    @app.before_request
    def preflight() -> Response | None:
        if request.method != "OPTIONS" or "Access-Control-Request-Method" not in request.headers:
            return None
        wanted = request.headers.get("Access-Control-Request-Headers", "")
        headers = {
            "Access-Control-Allow-Methods": _METHODS,
            # Not the star alone: `Authorization` is not among all.
            "Access-Control-Allow-Headers": wanted if _NAMES.fullmatch(wanted) else "*",
            "Access-Control-Max-Age": _LONGEST_SECONDS,
        }
        return Response(status=204, headers=headers)

    @app.after_request
    def readable(response: Response) -> Response:
        if "Origin" in request.headers:
            response.headers["Access-Control-Allow-Origin"] = "*"
            response.headers["Access-Control-Expose-Headers"] = _EXPOSED
        return response
