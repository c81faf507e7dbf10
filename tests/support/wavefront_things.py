"""What the paths of Wavefront's routes name in the tables of who may do what, and a good body for each."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Any

from accounts_service.faults import Json
from tests.support.service import Answer, Service
from tests.support.wavefront import ROOT, Client, admin, token_of

TARGET = "target@example.com"
SERVICE = "sa::target"


class Things:
    """A user, a service account with a token, a group and a role; each is made again when it is gone."""

    def __init__(self, service: Service) -> None:
        self._admin: Client = admin(service)
        self._numbers = count()
        self._group = self._role = self._token = ""

    def renew(self) -> None:
        """Make what was deleted."""
        self._admin.user(TARGET)
        if not self._is_there(f"/account/serviceaccount/{SERVICE}"):
            self._admin.ok("POST", "/account/serviceaccount", {"identifier": SERVICE})
        if not self._group or not self._is_there(f"/usergroup/{self._group}"):
            self._group = self._admin.group("Group")
        if not self._role or not self._is_there(f"/role/{self._role}"):
            self._role = self._admin.role(f"Role {next(self._numbers)}")
        if not self._token or not self._is_there(f"/apitoken/customertokens/{self._token}"):
            self._token = token_of(self._admin.service, SERVICE)

    def _is_there(self, path: str) -> bool:
        return self._admin.ask("GET", path).status_code == 200

    def ask(
        self,
        method: str,
        path: str,
        *,
        account: str = TARGET,
        mine: str | None = None,
        more: Mapping[str, Json] | None = None,
        **who: Any,
    ) -> Answer:
        """Send a good request to a route.

        `account`: whose path it is, `mine`: a token of the caller's own, `more`: attributes besides those of the body,
        or of each object in it.
        """
        asked = path.removeprefix(ROOT)
        filled = path
        for argument, value in {
            "<account:id>": account,
            "<user:id>": account,
            "<named:id>": self._role,
            "<named:token>": mine or self._token,
            "<id>": self._group if asked.startswith("/usergroup") else SERVICE,
            "<token>": self._token,
            "<permission>": "alerts_management",
            **{f"<{kind}_facet>": "id" for kind in ("account", "group", "role")},
            "<token_facet>": "account",
        }.items():
            filled = filled.replace(argument, value)
        options: dict[str, Any] = {}
        if asked in ("/user/<user:id>/grant", "/user/<user:id>/revoke"):
            options["data"] = {"group": "alerts_management", **(more or {})}
        elif method in ("POST", "PUT"):
            body = self._body(method, asked)
            options["json"] = [_with(one, more) for one in body] if isinstance(body, list) else _with(body, more)
        return self._admin.service.ask(method, filled, **who, **options)

    def _body(self, method: str, path: str) -> Json:  # noqa: C901, PLR0911, PLR0912  # one case a body
        new = f"new{next(self._numbers)}"
        match method, path.split("/")[1:]:
            case "POST", ["search", _, "facets"]:
                return {"query": None, "facets": []}
            case "POST", ["search", *_]:
                return {"query": None}
            case "POST", ["user"] | ["account", "user"]:
                return {"emailAddress": TARGET}
            case "POST", ["user", "invite"] | ["account", "user", "invite"]:
                return [{"emailAddress": f"{new}@example.com"}]
            case "POST", ["account", "serviceaccount"]:
                return {"identifier": new}
            case "POST", ["role" | "usergroup"]:
                return {"name": new}
            case "PUT", ["apitoken", "customertokens", "revoke"]:
                return {"tokenID": self._token}
            case "POST", ["role", "grant" | "revoke", _]:
                return [self._role]
            case _, [*_, "addRoles" | "removeRoles"]:
                return [self._role]
            case _, [*_, "addUserGroups" | "removeUserGroups"]:
                return [self._group]
            case "POST", ["apitoken" | "account", "serviceaccount", *_]:
                return {}
            case "POST", _:
                return [TARGET]
            case _:
                return {}


def _with(body: Json, more: Mapping[str, Json] | None) -> Json:
    return {**body, **more} if isinstance(body, dict) and more else body
