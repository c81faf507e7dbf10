"""Identifiers in paths: where a word of the API stands, no identifier does."""

from __future__ import annotations

from werkzeug.routing import BaseConverter


class AccountConverter(BaseConverter):
    """An account of either kind, at `/account/<account:id>`."""

    regex = r"(?!(?:user|serviceaccount|grant|revoke|deleteAccounts|validateAccounts)\Z)[^/]+"


class UserConverter(BaseConverter):
    """A user, at `/account/user/<user:id>` and `/user/<user:id>`."""

    regex = r"(?!(?:admin|invite|grant|revoke|deleteUsers|validateUsers)\Z)[^/]+"


class NamedConverter(BaseConverter):
    """A role, a group or a token, beside words of the API."""

    regex = r"(?!(?:grant|revoke|serviceaccount|customertokens)\Z)[^/]+"


CONVERTERS = {"account": AccountConverter, "user": UserConverter, "named": NamedConverter}
