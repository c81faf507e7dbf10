"""Where a request would lead, found without asking anything of it.

By the dispatcher and the apps that the service routes with: whoever explains
a request and whoever answers it read its path in one and the same way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from flask import request

from accounts_service.config import Settings
from accounts_service.faults import BadPath, MethodNotAllowed, NoSuchRoute
from accounts_service.web.application import route_of, routed
from accounts_service.web.dispatcher import Dispatcher
from accounts_service.web.family import Family, Route
from accounts_service.web.gate import astray

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a request leads: its family and route, the arguments of its path, and the tenant it asks for."""

    family: Family
    route: Route
    arguments: Mapping[str, str]
    tenant: str | None


class Router:
    """Finds where requests lead among `families`, of which the last one takes what no other does."""

    def __init__(self, families: Iterable[Family], settings: Settings) -> None:
        """Raise GapError when a family is not whole."""
        self._families = {family.name: family for family in families}
        self._apps = {family.name: routed(family) for family in self._families.values()}
        mounts = {family.name: family.mounts(settings) for family in self._families.values()}
        self._dispatcher = Dispatcher(self._apps, mounts, otherwise=[*self._families][-1])

    def find(
        self, method: str, uri: str, host: str, headers: Mapping[str, str]
    ) -> Destination | BadPath | MethodNotAllowed | NoSuchRoute:
        """Find where a request leads, or say why it leads nowhere. `uri` is path and query as they are sent."""
        environ = _environ(method, uri, host, headers)
        family = self._families[self._dispatcher.place(environ)]
        app = self._apps[family.name]
        with app.request_context(environ):
            route = route_of(app, request)
            fault = astray(request, route, uri)
            if fault is not None or route is None:
                return fault or NoSuchRoute(method, uri)
            return Destination(family, route, dict(request.view_args or {}), family.tenant_of(request))


def _environ(method: str, uri: str, host: str, headers: Mapping[str, str]) -> WSGIEnvironment:
    sent = _sent(uri)
    path, _, query = sent.partition("?")
    return {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        # Decoded as gunicorn does; PEP 3333 wants bytes as latin-1.
        "PATH_INFO": unquote_to_bytes(path.encode("latin-1")).decode("latin-1"),
        "QUERY_STRING": query,
        "RAW_URI": sent,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.url_scheme": "http",
        "HTTP_HOST": _sent(host),
        **{f"HTTP_{name.upper().replace('-', '_')}": _sent(value) for name, value in headers.items()},
    }


def _sent(text: str) -> str:
    """Write text as it arrives: a client sends UTF-8, and a server reads it as latin-1."""
    return text.encode("utf-8", "surrogateescape").decode("latin-1")
