"""NetBird: tenants' accounts and their settings, users, personal access tokens, groups and events."""

from __future__ import annotations

from accounts_service.access.privileges import Open
from accounts_service.config import Settings
from accounts_service.families.netbird import documents, documents_identity_provider, documents_inventory
from accounts_service.families.netbird.dialect import STANDING, NetBirdDialect, with_account
from accounts_service.families.netbird.privileges import ACTION_GROUPS, ROLES, NetBirdPrivilege
from accounts_service.families.netbird.store.accounts import FAMILY_NAME
from accounts_service.families.netbird.store.native import UserTokens
from accounts_service.families.netbird.store.stored import STORED
from accounts_service.families.netbird.views import (
    accounts,
    events,
    identity_provider,
    instance,
    inventory,
    tokens,
    users,
)
from accounts_service.faults import AgainstTheRules, RefusedError, Rule
from accounts_service.web import gate
from accounts_service.web.family import Family, Mount, Route, refuses
from accounts_service.web.gate import Call


@refuses(AgainstTheRules, on=lambda route: route.requirement is not Open.PUBLIC)
def in_good_standing(call: Call) -> None:
    """Check that the caller is neither blocked nor waits for approval; his token is good all the same."""
    caller = call.identity
    standing = dict(caller.attributes).get(STANDING) if caller is not None and caller.realm == FAMILY_NAME else None
    if standing is not None:
        raise RefusedError(AgainstTheRules(Rule.PENDING if standing == "pending" else Rule.BLOCKED))


def _names_an_account(route: Route) -> bool:
    return "account_id" in route.arguments


@refuses(AgainstTheRules, on=_names_an_account)
def in_own_account(call: Call) -> None:
    """Check that it is the caller's own account that the path names, if he has one.

    Whether another one is there is not told, and neither is what a role would allow in it.
    """
    named = call.arguments.get("account_id")
    if named is not None and call.caller.own is not None and named != call.caller.own:
        raise RefusedError(AgainstTheRules(Rule.ANOTHER_ACCOUNT))


def _mounts(_: Settings) -> tuple[Mount, ...]:
    # All below it is this family's, so that what is unknown there is told as NetBird's router tells it.
    return (Mount(segments=None, root="/api"),)


FAMILY = Family(
    name=FAMILY_NAME,
    mounts=_mounts,
    # NetBird's router answers before anybody is asked who he is. A body is looked at by the view, after the privilege,
    # under whatever media type it comes; that leaves pages of other sites to be kept out.
    checks=(
        gate.routed,
        gate.authenticated,
        in_good_standing,
        gate.of_one_site,
        in_own_account,
        gate.permitted,
    ),
    dialect=NetBirdDialect,
    privileges=NetBirdPrivilege,
    refuses_unknown=lambda settings: settings.netbird_unknown_attributes == "refuse",
    views=(
        accounts.ROUTES,
        users.ROUTES,
        tokens.ROUTES,
        events.ROUTES,
        inventory.ROUTES,
        instance.ROUTES,
        identity_provider.ROUTES,
    ),
    action_groups=ACTION_GROUPS,
    roles=ROLES,
    converters={"user": users.UserConverter},
    known_as=with_account,
    tokens=UserTokens,
    terms={**documents.TERMS, **documents_inventory.TERMS, **documents_identity_provider.TERMS},
    schemes=documents.SCHEMES,
    cross_origin=True,
    stored=STORED,
)
