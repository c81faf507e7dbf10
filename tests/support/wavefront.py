"""Wavefront's accounts and tokens for tests, made in the store, where nobody has to be asked for leave."""

from __future__ import annotations

from typing import Any

from accounts_service import app
from accounts_service.families.wavefront.store.native import AccountTokens
from accounts_service.families.wavefront.tables import SYSTEM_GROUPS
from accounts_service.storage.audit import Author
from accounts_service.web.services import Services, TokenOrder
from tests.support.served import Served
from tests.support.service import Answer, Service

ROOT = "/api/v2"
USER = f"{ROOT}/account/user"
SERVICE = f"{ROOT}/account/serviceaccount"

ADMIN = "admin@example.com"
PLAIN = "plain@example.com"
NOBODYS = "00000000-0000-4000-8000-000000000000"
EVERYONE, SERVICE_ACCOUNTS = (str(group["uid"]) for group in SYSTEM_GROUPS)

AUTHOR = Author("tests", "tests", "0" * 32)


def token_of(service: Service | Served, principal: str, *permissions: str) -> str:
    """Make a token; the user or service account (`sa::…`), too, if there is none, and let it hold the permissions."""
    if isinstance(service, Service):
        return _made(service.services, principal, permissions)
    services = app.make_services(service.installation.settings())
    try:
        return _made(services, principal, permissions)
    finally:
        services.database.dispose()


def _made(services: Services, principal: str, permissions: tuple[str, ...]) -> str:
    order = TokenOrder(principal, create=True, name="test", permissions=permissions)
    with services.database.transaction(AccountTokens, AUTHOR) as tokens:
        return tokens.create(order, services.settings)


def admin_of(service: Service | Served) -> str:
    """Make a token of one who may do everything."""
    return token_of(service, ADMIN, "user_management", "token_management")


def bearer(token: str) -> dict[str, str]:
    """Write the header with which most clients come."""
    return {"Authorization": f"Bearer {token}"}


def x_auth(token: str) -> dict[str, str]:
    """Write the header of the API's own."""
    return {"X-AUTH-TOKEN": token}


class Client:
    """Asks with a token; paths are below `/api/v2`."""

    def __init__(self, service: Service, token: str) -> None:
        self.service = service
        self.token = token

    def ask(self, method: str, path: str, body: Any = None, **options: Any) -> Answer:
        """Send a request; without `body` there is none."""
        if body is not None:
            options["json"] = body
        return self.service.ask(method, ROOT + path, by=None, headers=bearer(self.token), **options)

    def ok(self, method: str, path: str, body: Any = None, status: int = 200) -> Any:
        """Send a request that must be answered with `status`; gives what is in the answer, unwrapped."""
        answer = self.ask(method, path, body)
        assert answer.status_code == status, answer.text
        found = answer.json
        return found["response"] if isinstance(found, dict) and found.keys() == {"status", "response"} else found

    def refused(self, method: str, path: str, body: Any = None, status: int = 400) -> str:
        """Send a request that must be refused with `status`; gives the message."""
        answer = self.ask(method, path, body)
        assert answer.status_code == status, answer.text
        told = answer.json["status"]
        assert (told["result"], told["code"], answer.json.keys()) == ("ERROR", status, {"status"})
        return str(told["message"])

    def user(self, email: str, **lists: Any) -> Any:
        """Make or change a user."""
        return self.ok("POST", "/account/user", {"emailAddress": email, **lists})

    def group(self, name: str, **more: Any) -> str:
        """Make a group; gives its id."""
        return str(self.ok("POST", "/usergroup", {"name": name, **more})["id"])

    def role(self, name: str, *permissions: str) -> str:
        """Make a role; gives its id."""
        return str(self.ok("POST", "/role", {"name": name, "permissions": [*permissions]})["id"])


def admin(service: Service) -> Client:
    """Come as one who may do everything."""
    return Client(service, admin_of(service))
