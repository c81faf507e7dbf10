"""The mail servers that e-mail accounts describe, for mails of the service's own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from accounts_service.families.signals.store.accounts import FAMILY_NAME
from accounts_service.families.signals.tables import ACCOUNT
from accounts_service.storage.sealed import Place
from accounts_service.storage.statements import Statement, given
from accounts_service.validation.checks import is_mailbox
from accounts_service.web.services import MailServer, MailServers

_FIND = Statement(select(ACCOUNT).where(*(ACCOUNT.c[name] == given(name) for name in ("tenant", "type", "name"))))


class AccountMailServers(MailServers):
    """Global accounts of type `email`, by `email/name`."""

    def find(self, path: str) -> MailServer | None:
        """Give the server that the account describes; None if there is no such account."""
        account_type, _, name = path.partition("/")
        # Of another type it has no host, or one of another kind.
        if account_type != "email":
            return None
        row = self._session.read(_FIND, tenant="", type=account_type, name=name).one_or_none()
        if row is None:
            return None
        attributes: Mapping[str, Any] = json.loads(row.attributes)
        sealed: Mapping[str, str] = json.loads(row.secrets)
        password = None
        if "password" in sealed:
            password = self._session.vault.open(Place(FAMILY_NAME, row.uid, "password"), sealed["password"])
        return MailServer(
            host=attributes["host"],
            port=attributes["port"],
            user=attributes.get("user"),
            password=password,
            tls=attributes.get("enable_tls", False),
            start_tls=attributes.get("enable_start_tls", False),
            trust_all=attributes.get("trust_all", False),
            trusted_hosts=tuple(attributes.get("trusted_hosts", ())),
            proxy_host=attributes.get("proxy_host"),
            sender=_sender(attributes),
            simulate=attributes.get("simulate", False),
        )


def _sender(attributes: Mapping[str, Any]) -> str | None:
    # Whoever may log in as an address may, as a rule, send from it.
    for name in ("default_from", "user"):
        if is_mailbox(attributes.get(name, "")):
            return str(attributes[name])
    return None
