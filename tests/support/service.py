"""The service in this process, asked through werkzeug's test client."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol, cast

from sqlalchemy import Row
from werkzeug.datastructures import Headers
from werkzeug.test import Client, TestResponse

from accounts_service import app
from accounts_service.access.snapshot import read_directory
from accounts_service.faults import Json
from accounts_service.web import application
from accounts_service.web.family import Family
from accounts_service.web.services import Services
from tests.support import personas
from tests.support.described import described
from tests.support.installation import Installation
from tests.support.trail import named

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


class Answer(Protocol):
    """What a test looks at of a response; a body that is no JSON fails where it is read as such."""

    status_code: int
    headers: Headers
    mimetype: str
    content_type: str
    data: bytes
    text: str
    json: Any

    def close(self) -> None:
        """Be done with it; what a call leaves behind is recorded then."""


class _Later:
    """The application of a family, made when it is first asked."""

    def __init__(self, family: Family, services: Services) -> None:
        self._make = cache(lambda: application.build(family, services))

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return self._make()(environ, start_response)


class Service:
    """An installation that answers. `families`: others than the service's own, for tests of the frame."""

    def __init__(
        self,
        installation: Installation,
        families: Iterable[Family] | None = None,
        change: Callable[[Services], Services] = lambda services: services,
        **settings: str,
    ) -> None:
        self.installation = installation
        self.services = change(app.make_services(installation.settings(**settings)))
        # A test asks one or two of our families, and each takes a while to make.
        build = _Later if families is None else application.build
        self.application = app.assemble(self.services, families or app.FAMILIES.values(), build)
        self._client = Client(self.application)
        # Whether answers are held against the document; ten thousand elements of one take longer than all the rest.
        self.is_described = families is None

    def configure(self, files: Mapping[str, object]) -> None:
        """Put other configuration files into force at once."""
        for name, document in files.items():
            self.installation.write(name, document)
        # Without waiting for the second that a change has to be old.
        access = self.services.access
        access._current = access._compile(read_directory(self.installation.config_dir))

    def audited(self) -> list[Row[Any]]:
        """Read the audit trail, with names in the place of references."""
        with self.services.database.looking() as connection:
            return named(connection)

    def close(self) -> None:
        """Close the database."""
        self.services.database.dispose()

    def ask(
        self,
        method: str,
        path: str,
        *,
        by: str | None = "admin",
        headers: Mapping[str, str] | None = None,
        peer: str = "127.0.0.1",
        **options: Any,
    ) -> Answer:
        """Send a request as a persona (None: as nobody); `json=` and `data=` make the body.

        What comes back must be what the service's document says.
        """
        credentials = {} if by is None else personas.authorization(by)
        response = self._client.open(
            path,
            method=method,
            headers={**credentials, **(headers or {})},
            environ_overrides={"REMOTE_ADDR": peer},
            **options,
        )
        if self.is_described:
            described(self._family_of(response)).check(method, path, response)
        return cast(Answer, response)

    def _family_of(self, response: TestResponse) -> str:
        asked = response.request
        return self.application.place({"PATH_INFO": asked.root_path + asked.path, "HTTP_HOST": asked.host})

    def put(self, path: str, body: Json, **options: Any) -> Answer:
        """PUT a JSON body."""
        return self.ask("PUT", path, json=body, **options)

    def get(self, path: str, **options: Any) -> Answer:
        """GET."""
        return self.ask("GET", path, **options)

    def delete(self, path: str, **options: Any) -> Answer:
        """DELETE."""
        return self.ask("DELETE", path, **options)
