"""NetBird's accounts, users and tokens for tests, made in the store, where nobody has to be asked for leave.

What stands for them has a name: `{A}` and `{B}` are accounts, `{uid:ROLE}` is a
user, `{pat:ROLE}` a token of his and `{tid:ROLE}` its id, `{group}` a group of A.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import text

from accounts_service import app
from accounts_service.access.privileges import Grant, Own
from accounts_service.families.netbird.privileges import NetBirdPrivilege
from accounts_service.families.netbird.store.accounts import Person
from accounts_service.families.netbird.store.tokens import Tokens
from accounts_service.storage.audit import Author
from accounts_service.web.services import Services
from tests.support.served import Served
from tests.support.service import Answer, Service

ROOT = "/api"
AUTHOR = Author("test", "fixture", "fixture-0001")

_NAME = re.compile(r"\{([A-Za-z]+(?::[a-z_]+)?)\}")
_PEOPLE = ("owner", "admin", "network_admin", "auditor", "user", "billing_admin", "blocked", "pending")
_ROLES = {"blocked": "admin", "pending": "user"}
_SERVICES = {"svc_admin": "admin", "svc_user": "user"}

# The form of an invite token, which is nobody's: the secret and its checksum are those of a token in the manual.
INVITE = "nbi_abcdefghijklmnopqrstuvwxyz01232LolCm"

# The two settings that the page has; the rest is as if it were nothing.
TWO: dict[str, Any] = {"peer_login_expiration_enabled": True, "peer_login_expiration": 86400}


def furnish(services: Services) -> dict[str, str]:
    """Make the accounts and users that most tests begin with, and give what stands for them by name."""
    names: dict[str, str] = {}
    with services.database.transaction(Tokens, AUTHOR) as users:
        for letter, domain, prefix in (("A", "test.com", ""), ("B", "other.com", "b_")):
            account = users.make(domain, "private", Person(f"{prefix}owner-id", "owner", f"owner@{domain}"))
            names[letter] = account.id
            own = Grant(NetBirdPrivilege.USERS_CREATE, Own(account.id))
            people = _PEOPLE if letter == "A" else ("owner",)
            served = _SERVICES if letter == "A" else {"svc": "admin"}
            made = {
                f"{prefix}{name}": users.join(
                    account.id,
                    Person(f"{prefix}{name}-id", name, f"{name}@{domain}"),
                    _ROLES.get(name, name),
                    approved=name != "pending",
                )
                for name in people
            }
            made |= {f"{prefix}{name}": users.create_service_user(own, name, role, ()) for name, role in served.items()}
            for name, user in made.items():
                names[f"uid:{name}"] = user.id
                names[f"pat:{name}"], token = users.make_token_for(user, "fixture", 30, created_by=user.id)
                names[f"tid:{name}"] = token.id
            if letter == "A":
                names["group"] = account.all_group
                names["pat:expired"], token = users.make_token_for(made["owner"], "old", 1, created_by="owner-id")
                names["tid:expired"] = token.id
    _age(services, names)
    return names


def _age(services: Services, names: Mapping[str, str]) -> None:
    # What no act of the API does: time that has passed, and a fixture that nobody was told of.
    with services.database.begin() as connection:
        connection.execute(text("UPDATE netbird_token SET expires_us = 1 WHERE id = :id"), {"id": names["tid:expired"]})
        connection.execute(text("UPDATE netbird_user SET blocked = 1 WHERE id = :id"), {"id": names["uid:blocked"]})
        connection.execute(text("DELETE FROM netbird_event"))
        (stored,) = connection.execute(
            text("SELECT settings FROM netbird_account WHERE id = :id"), {"id": names["A"]}
        ).one()
        settings = {**json.loads(stored), "regular_users_view_blocked": False}
        connection.execute(
            text("UPDATE netbird_account SET settings = :settings WHERE id = :id"),
            {"id": names["A"], "settings": json.dumps(settings)},
        )


def filled(node: Any, names: Mapping[str, str]) -> Any:
    """Put names in; one that is not known stays."""
    if isinstance(node, dict):
        return {key: filled(value, names) for key, value in node.items()}
    if isinstance(node, list):
        return [filled(value, names) for value in node]
    if isinstance(node, str):
        return _NAME.sub(lambda match: names.get(match[1], match[0]), node)
    return node


def token_header(token: str) -> dict[str, str]:
    """Write the header with which NetBird's clients come."""
    return {"Authorization": f"Token {token}"}


@contextmanager
def behind(served: Served) -> Iterator[Services]:
    """Open what a running server works with."""
    services = app.make_services(served.installation.settings())
    try:
        yield services
    finally:
        services.database.dispose()


def give_groups(services: Services, user_id: str, groups: Sequence[str]) -> None:
    """Give a user groups that do not exist, as releases did that took any."""
    values = {"id": user_id, "groups": json.dumps([*groups])}
    with services.database.begin() as connection:
        connection.execute(text("UPDATE netbird_user SET auto_groups = :groups WHERE id = :id"), values)


class NetBird:
    """Asks a furnished service; paths are below `/api`, and names stand in paths and bodies."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.names = furnish(service.services)

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        by: str | None = "owner",
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> Answer:
        """Send a request with the token of a user (None: as nobody); without `body` there is none."""
        if body is not None:
            options["json"] = filled(body, self.names)
        credentials = {} if by is None else token_header(self.names[f"pat:{by}"])
        path = filled(ROOT + path, self.names)
        return self.service.ask(method, path, by=None, headers={**credentials, **(headers or {})}, **options)

    def ok(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """Send a request that must be answered with 200; gives the body."""
        answer = self.ask(method, path, body, **options)
        assert answer.status_code == 200, answer.text
        return answer.json

    def refused(self, status: int, method: str, path: str, body: Any = None, **options: Any) -> str:
        """Send a request that must be refused with `status`; gives the message."""
        answer = self.ask(method, path, body, **options)
        assert answer.status_code == status, answer.text
        assert answer.json == {"message": answer.json["message"], "code": status}
        return str(answer.json["message"])

    def account(self, by: str = "owner") -> Any:
        """Read the account of a user."""
        return self.ok("GET", "/accounts", by=by)[0]

    def settings(self, by: str = "owner") -> Any:
        """Read the settings of his account."""
        return self.account(by)["settings"]

    def put(self, **settings: Any) -> Any:
        """Put settings, besides the two that are always enough; gives those of the answer."""
        return self.ok("PUT", "/accounts/{A}", {"settings": TWO | settings})["settings"]

    def patch(self, **settings: Any) -> Any:
        """Patch settings; gives those of the answer."""
        return self.ok("PATCH", "/accounts/{A}", {"settings": settings})["settings"]

    def events(self, by: str = "owner") -> list[Any]:
        """Read what has happened, the newest first."""
        return list(self.ok("GET", "/events/audit", by=by))

    def codes(self) -> list[str]:
        """Read the codes of what has happened, the newest first."""
        return [event["activity_code"] for event in self.events()]

    def token(self, name: str) -> str:
        """Make another token for a user; gives its id."""
        with self.service.services.database.transaction(Tokens, AUTHOR) as users:
            user = users.find(self.names[f"uid:{name}"])
            assert user is not None
            self.names[f"second:{name}"], token = users.make_token_for(user, "second", 30, created_by=user.id)
        return token.id

    def join(self, name: str, role: str = "user") -> None:
        """Make another person a user of A."""
        with self.service.services.database.transaction(Tokens, AUTHOR) as users:
            user = users.join(self.names["A"], Person(f"{name}-id", name, ""), role, approved=True)
            self.names[f"uid:{name}"] = user.id
            self.names[f"pat:{name}"], token = users.make_token_for(user, "joined", 30, created_by=user.id)
            self.names[f"tid:{name}"] = token.id

    def serve(self, name: str, role: str = "user") -> None:
        """Make another service user of A, and a token for him."""
        own = Grant(NetBirdPrivilege.USERS_CREATE, Own(self.names["A"]))
        with self.service.services.database.transaction(Tokens, AUTHOR) as users:
            user = users.create_service_user(own, name, role, ())
            self.names[f"uid:{name}"] = user.id
            self.names[f"pat:{name}"], token = users.make_token_for(user, "served", 30, created_by=user.id)
            self.names[f"tid:{name}"] = token.id


class Tenancy:
    """An account with an owner, and a service user with a token, made anew as often as it is wanted."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.names: dict[str, str] = {}
        self.waiting = ""

    def renew(self) -> None:
        """Make them."""
        owner = uuid.uuid4().hex
        with self.service.services.database.transaction(Tokens, AUTHOR) as users:
            account = users.make(f"{owner}.example", "private", Person(owner, owner, ""))
            users.join(account.id, Person(owner, owner, ""), "owner", approved=True)
            waiting = users.join(account.id, Person(f"{owner}-new", "new", ""), "user", approved=False)
            user = users.create_service_user(Grant(NetBirdPrivilege.USERS_CREATE, Own(account.id)), "x", "user", ())
            _, token = users.make_token_for(user, "x", 1, created_by=owner)
        self.waiting = waiting.id
        self.names = {
            "account_id": account.id,
            "user_id": user.id,
            "token_id": token.id,
            "group_id": account.all_group,
            "peer_id": "x",
            "key_id": "x",
            "invite": INVITE,
        }

    def ask(self, method: str, path: str, *, by: str | None) -> Answer:
        """Ask for a path with the names of arguments in it, with a body that is good there."""
        who = {"user_id": self.waiting} if path.endswith(("/approve", "/reject")) else {}
        for argument, value in (self.names | who).items():
            path = re.sub(rf"<(\w+:)?{argument}>", value, path)
        return self.service.ask(method, path, by=by, json=_GOOD.get((method, path.count("/"))))


_GOOD: dict[tuple[str, int], Any] = {
    ("POST", 2): {"role": "user", "is_service_user": True, "auto_groups": []},
    ("PUT", 3): {"settings": TWO, "role": "user", "auto_groups": []},
    ("PATCH", 3): {"settings": TWO},
    ("POST", 4): {"name": "x", "expires_in": 1},
    ("POST", 3): {},
    ("PUT", 4): {},
    ("POST", 5): {},
}
