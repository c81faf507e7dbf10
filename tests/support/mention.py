"""Mention's accounts, tokens and apps for tests, made in the store, where nobody has to be asked for leave.

John and Jane are as the recorded cases have them.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from functools import cache
from typing import Any

from sqlalchemy import text

from accounts_service.access.passwords import Passwords
from accounts_service.families.mention.schemas.accounts import NewAccount
from accounts_service.families.mention.store.accounts import Accounts
from accounts_service.families.mention.store.apps import Apps
from accounts_service.families.mention.store.tokens import Tokens
from accounts_service.storage.audit import Author
from accounts_service.web.services import Services
from tests.support.lines import narrow
from tests.support.service import Answer, Service

AUTHOR = Author("test", "fixture", "fixture-0001")

JOHN = "630929_4wgkw0o0go4wco40wos4gww44tbrsluiajok04g4gsscw8wssk"
JOHNS_PASSWORD, JANES_PASSWORD = "Mypass1", "Janepw1"  # the fixture's
CALLBACK = "http://example.com"
CLIENT_ID = "3_QIP8WdbQkSiiCmrhLRwE7GzPKk1U7eAu"
# 2016-01-18T14:49:37Z
BEGAN_US = 1453128577 * 1_000_000


@cache
def hash_of(password: str) -> str:
    """Hash a password as cheaply as argon2id allows; how it is to be checked stands in the hash."""
    return Passwords(narrow(), 1, memory_kib=8).hash(password)


def furnish(services: Services) -> dict[str, str]:
    """Make what most tests begin with, and give what stands for it by name, as in recorded cases."""
    with services.database.transaction(Apps, AUTHOR) as apps:
        accounts = Accounts(apps._session)
        john, jane = (
            accounts.create(NewAccount(name, email, "en", password), hash_of(password))
            for name, email, password in (
                ("John Smith", "j.smith@nasa.com", JOHNS_PASSWORD),
                ("Jane Doe", "jane@example.com", JANES_PASSWORD),
            )
        )
        client_id, secret = apps.register("appTestMention", [CALLBACK])
    with services.database.begin() as connection:
        # What no act of the API does: names that were known before.
        connection.execute(
            text("UPDATE mention_account SET id = :new, created_us = :at, updated_us = :at WHERE id = :old"),
            {"new": JOHN, "old": john.id, "at": BEGAN_US},
        )
        connection.execute(
            text("UPDATE mention_app SET client_id = :new WHERE client_id = :old"), {"new": CLIENT_ID, "old": client_id}
        )
    with services.database.transaction(Apps, AUTHOR) as apps:
        app = apps.app(CLIENT_ID)
        assert app is not None
        return {
            "ACCOUNT_JOHN": JOHN,
            "ACCOUNT_JANE": jane.id,
            "TOKEN_JOHN": apps.make(JOHN, "fixture", None, None)[1],
            "TOKEN_JANE": apps.make(jane.id, "fixture", None, 3600)[1],
            "TOKEN_EXPIRED": apps.make(JOHN, "fixture", None, -1)[1],
            "CLIENT_SECRET": secret,
            "AUTH_CODE": apps.give_code(app, jane.id, CALLBACK, (None, None)),
        }


class Mention:
    """Asks a furnished service, at the paths of the page unless another root is given."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.names = furnish(service.services)

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        by: str | None = "JOHN",
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> Answer:
        """Send a request with John's or Jane's token (None: with none); `{JOHN}` and `{JANE}` stand for their ids.

        So it is with whoever `know` was told of.
        """
        if body is not None:
            options["json"] = body
        credentials = {} if by is None else {"Authorization": f"Bearer {self.names[f'TOKEN_{by}']}"}
        path = re.sub(r"\{([A-Z]+)\}", lambda match: self.names[f"ACCOUNT_{match[1]}"], path)
        return self.service.ask(method, path, by=None, headers={**credentials, **(headers or {})}, **options)

    def know(self, name: str, account_id: str) -> str:
        """Make a token for an account that is called so from now on; gives the token."""
        with self.service.services.database.transaction(Tokens, AUTHOR) as tokens:
            _, token = tokens.make(account_id, "test", None, None)
        self.names |= {f"ACCOUNT_{name}": account_id, f"TOKEN_{name}": token}
        return token

    def ok(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """Send a request that must be answered with 200; gives the account, or the whole body where there is none."""
        answer = self.ask(method, path, body, **options)
        assert answer.status_code == 200, answer.text
        return answer.json.get("account", answer.json)

    def refused(self, status: int, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """Send a request that must be refused with `status`; gives the body."""
        answer = self.ask(method, path, body, **options)
        assert answer.status_code == status, answer.text
        return answer.json


class Person:
    """An account, made anew as often as it is wanted."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.account_id = ""

    def renew(self) -> None:
        """Make it."""
        with self.service.services.database.transaction(Accounts, AUTHOR) as accounts:
            wanted = NewAccount("Person", f"{uuid.uuid4().hex}@example.com", "en", "")
            self.account_id = accounts.create(wanted, None).id

    def ask(self, method: str, path: str, *, by: str | None) -> Answer:
        """Ask for a path with the names of arguments in it, and perhaps a host before it, with a body that is good."""
        host, _, rest = path.partition("/")
        body: dict[str, Any] | None = None
        if path.endswith("/accounts") and method == "POST":
            address = f"{uuid.uuid4().hex}@example.com"
            body = {"name": "New", "email": address, "password": "Mypass1", "language_code": "en"}
        elif method == "PUT":
            body = {"name": "Changed"}
        headers = {"Host": host} if host else {}
        asked = f"/{rest}".replace("<account_id>", self.account_id)
        return self.service.ask(method, asked, by=by, headers=headers, json=body)
