"""What Signals accounts look like, one schema a type.

https://docs.search-guard.com/latest/elasticsearch-alerting-accounts — in the
order in which attributes are shown and problems are told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from marshmallow import EXCLUDE, post_load

from accounts_service.faults import InvalidBody, Json, Missing, NotOneOf, Problem, RefusedError
from accounts_service.validation import fields
from accounts_service.validation.ignored import Ignored
from accounts_service.validation.schema import BodySchema

# What the path says already. Kibana sends the first two with every account, and a fetched account has the others.
_SAID_BY_THE_PATH = frozenset(("type", "_id", "_name", "_tenant"))


class AccountSchema(BodySchema):
    """What all types share."""

    echoed: ClassVar[frozenset[str]] = _SAID_BY_THE_PATH

    class Meta:
        """Search Guard drops attributes it does not know, and its clients send some (`type`, `mime_layout`)."""

        unknown = EXCLUDE

    @post_load
    def _without_false_flags(self, attributes: dict[str, Any], **_: object) -> dict[str, Any]:
        # A flag that is off is not shown, as if it had not been sent.
        return {name: value for name, value in attributes.items() if value is not False}


# https://www.rfc-editor.org/rfc/rfc1035#section-2.3.4
_LONGEST_HOST = 255
# Keys of PagerDuty's Events API have 32 characters.
_LONGEST_KEY = 255


class EmailSchema(AccountSchema):
    """An SMTP server and what mails through it look like.

    Besides where it connects to, everything that decides who could listen is a
    destination: without TLS, or with any certificate trusted, a kept password
    could be read on the way, and `debug` writes it into the sender's log.
    """

    needs: ClassVar[Mapping[str, str]] = {"password": "user"}
    # Kibana's form has it in every account, and no version of Search Guard looks at it.
    echoed: ClassVar[frozenset[str]] = _SAID_BY_THE_PATH | {"mime_layout"}

    host = fields.Word(required=True, destination=True, longest=_LONGEST_HOST)
    port = fields.WholeNumber(low=1, high=65535, required=True, destination=True)
    user = fields.Text(destination=True)
    password = fields.Text(secret=True)
    proxy_host = fields.Word(destination=True, longest=_LONGEST_HOST)
    proxy_port = fields.WholeNumber(low=1, high=65535, destination=True)
    proxy_user = fields.Text(destination=True)
    proxy_password = fields.Text(secret=True)
    session_timeout = fields.Milliseconds()
    simulate = fields.Flag()
    debug = fields.Flag(destination=True)
    enable_tls = fields.Flag(destination=True)
    enable_start_tls = fields.Flag(destination=True)
    trust_all = fields.Flag(destination=True)
    trusted_hosts = fields.ListOf(fields.Word(), destination=True)
    default_from = fields.Mailbox()
    default_to = fields.ListOf(fields.Mailbox())
    default_cc = fields.ListOf(fields.Mailbox())
    default_bcc = fields.ListOf(fields.Mailbox())


class SlackSchema(AccountSchema):
    """An incoming webhook of Slack. Who knows its URL can post, so the URL is the secret."""

    url = fields.Uri(required=True, secret=True)


class PagerDutySchema(AccountSchema):
    """A service of PagerDuty; `url` stands in for its public address."""

    integration_key = fields.Word(required=True, secret=True, longest=_LONGEST_KEY)
    url = fields.Word(destination=True)


class JiraSchema(AccountSchema):
    """A user of a Jira site."""

    url = fields.Uri(required=True, destination=True)
    user_name = fields.Text(required=True, destination=True)
    auth_token = fields.Word(required=True, secret=True)


class WebhookSchema(AccountSchema):
    """Any HTTP endpoint.

    Search Guard's manual speaks of webhook connectors and has no such type, so
    this one is ours. Headers often carry a key, so each of their values is secret.
    """

    needs: ClassVar[Mapping[str, str]] = {"password": "user"}

    url = fields.WebAddress(required=True, destination=True)
    method = fields.Choice("POST", "PUT", "PATCH", "GET", "DELETE", otherwise="POST", destination=True)
    headers = fields.Headers()
    user = fields.Text(destination=True)
    password = fields.Text(secret=True)


SCHEMAS: dict[str, AccountSchema] = {
    "email": EmailSchema(),
    "jira": JiraSchema(),
    "pagerduty": PagerDutySchema(),
    "slack": SlackSchema(),
    "webhook": WebhookSchema(),
}


def sent_type(document: Json) -> str:
    """Give the `type` that stands in a body. Raises RefusedError(InvalidBody) when it is missing or no text."""
    value = document.get("type") if isinstance(document, dict) else None
    if value is None:
        raise RefusedError(InvalidBody((Problem(("type",), Missing()),)))
    if not isinstance(value, str):
        raise RefusedError(InvalidBody((Problem(("type",), NotOneOf(tuple(sorted(SCHEMAS))), value),)))
    return value


def schema_of(account_type: str) -> AccountSchema:
    """Give the schema of a type, in whatever case it is written.

    Raises RefusedError(InvalidBody) that names the types there are.
    """
    fields.require_choice("type", account_type, tuple(sorted(SCHEMAS)))
    return SCHEMAS[account_type.lower()]


def ignored(document: Json, arguments: Mapping[str, str]) -> Iterable[Ignored]:
    """Return the attributes of an account, or of a patch of one, that are ignored.

    The type is the one in the path, or where there is none that of the body; of
    a type that there is not nothing is known.
    """
    in_body = document.get("type") if isinstance(document, dict) else None
    schema = SCHEMAS.get(str(arguments.get("account_type", in_body)).lower())
    return () if schema is None else schema.ignored(document)
