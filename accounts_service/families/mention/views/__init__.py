"""Mention: a person's own account, and the tokens of apps that act for him."""

from __future__ import annotations

from accounts_service.config import Settings
from accounts_service.families.mention import documents
from accounts_service.families.mention.dialect import MentionDialect
from accounts_service.families.mention.privileges import ACTION_GROUPS, ROLES, MentionPrivilege
from accounts_service.families.mention.store.accounts import FAMILY_NAME
from accounts_service.families.mention.store.native import AccountTokens
from accounts_service.families.mention.store.stored import STORED, TWINS
from accounts_service.families.mention.views import accounts, appdata, apps, consent, oauth
from accounts_service.faults import NotPermitted, RefusedError
from accounts_service.web import gate
from accounts_service.web.family import Family, Mount, Route, refuses
from accounts_service.web.gate import Call

_API = frozenset(("accounts", "app"))
_PAGES = frozenset(("oauth", "authorize", "apps"))


def _names_an_account(route: Route) -> bool:
    return "account_id" in route.arguments


@refuses(NotPermitted, on=_names_an_account)
def in_own_account(call: Call) -> None:
    """Check that it is the caller's own account that the path names, if he has one.

    Whether another one is there is not told, and nothing is looked up: a foreign
    id and none take as long.
    """
    named = call.arguments.get("account_id")
    if named is not None and call.caller.own is not None and named != call.caller.own:
        raise RefusedError(NotPermitted())


def _mounts(settings: Settings) -> tuple[Mount, ...]:
    hosts = frozenset(settings.mention_hosts)
    everywhere = (
        Mount(_API),
        Mount(_API, "/mention/api", whole=True),
        Mount(_PAGES, "/mention"),
    )
    # Where a client comes by Mention's own names it finds Mention's own paths.
    return (*everywhere, Mount(_API, "/api", hosts, whole=True), Mount(_PAGES, hosts=hosts)) if hosts else everywhere


FAMILY = Family(
    name=FAMILY_NAME,
    mounts=_mounts,
    # Where no route is its server answers with a page before it asks anybody who he is. A body is read by the view,
    # after all of this and whatever it is announced as, since a client announces nothing; so pages of other sites are
    # kept out here.
    checks=(
        gate.routed,
        gate.authenticated,
        gate.of_one_site,
        in_own_account,
        gate.permitted,
    ),
    dialect=MentionDialect,
    privileges=MentionPrivilege,
    refuses_unknown=lambda settings: settings.mention_unknown_attributes == "refuse",
    views=(accounts.ROUTES, appdata.ROUTES, oauth.ROUTES, consent.ROUTES, apps.ROUTES),
    action_groups=ACTION_GROUPS,
    roles=ROLES,
    tokens=AccountTokens,
    terms=documents.TERMS,
    schemes=documents.SCHEMES,
    stored=STORED,
    twins=TWINS,
)
