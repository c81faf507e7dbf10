"""The service in this process, asked as gunicorn would ask it."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from werkzeug.datastructures import Headers
from werkzeug.test import run_wsgi_app

from accounts_service import app
from accounts_service.server import mark_repeated_headers
from accounts_service.web.services import Services
from tests.support.installation import Installation

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: Headers
    text: str

    @property
    def json(self) -> Any:
        """The body as JSON; None when it is none."""
        try:
            return json.loads(self.text)
        except ValueError:
            return None


class Wire:
    """The service of an installation."""

    def __init__(self, installation: Installation, **settings: str) -> None:
        self._services = app.make_services(installation.settings(**settings))
        self._application = app.assemble(self._services, app.FAMILIES.values())

    @property
    def services(self) -> Services:
        """What it works with."""
        return self._services

    def close(self) -> None:
        """Close the database."""
        self._services.database.dispose()

    def send(
        self, method: str, target: str, headers: Iterable[tuple[str, str]], body: bytes | None, peer: str
    ) -> Answer:
        """Send one request; headers are pairs, in which a name may repeat."""
        environ = environ_of(method, target, headers, body, peer)
        parts, status, received = run_wsgi_app(self._application, environ, buffered=True)
        return Answer(int(status.split()[0]), received, b"".join(parts).decode())


def environ_of(
    method: str, target: str, headers: Iterable[tuple[str, str]], body: bytes | None, peer: str
) -> WSGIEnvironment:
    """Make the environ that gunicorn makes with this service's settings.

    Repeated headers are marked and joined by commas; those with an underscore
    are dropped (`header_map`), since a WSGI server cannot tell them from others.
    """
    request = SimpleNamespace(headers=[(name.upper(), _latin(value)) for name, value in headers if "_" not in name])
    mark_repeated_headers(None, request)
    path, _, query = _latin(target).partition("?")
    environ: WSGIEnvironment = {
        "REQUEST_METHOD": method,
        "RAW_URI": _latin(target),
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path.encode("latin-1")).decode("latin-1"),
        "QUERY_STRING": query,
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8080",
        "REMOTE_ADDR": peer,
        "HTTP_HOST": "localhost",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body or b""),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    if body is not None:
        environ["CONTENT_LENGTH"] = str(len(body))
    values: dict[str, list[str]] = {}
    for name, value in request.headers:
        key = name.replace("-", "_")
        values.setdefault(key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}", []).append(value)
    environ.update({key: ",".join(listed) for key, listed in values.items()})
    return environ


def _latin(text: str) -> str:
    # WSGI's way to write bytes as text (PEP 3333).
    return text.encode().decode("latin-1")
