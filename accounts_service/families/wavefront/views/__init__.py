"""Wavefront: user and service accounts, user groups, roles, API tokens, and searches in them."""

from __future__ import annotations

from accounts_service.config import Settings
from accounts_service.families.wavefront import documents
from accounts_service.families.wavefront.dialect import WavefrontDialect
from accounts_service.families.wavefront.privileges import ACTION_GROUPS, ROLES, WavefrontPrivilege
from accounts_service.families.wavefront.store.directory import FAMILY_NAME
from accounts_service.families.wavefront.store.native import AccountTokens
from accounts_service.families.wavefront.store.stored import STORED, TWINS
from accounts_service.families.wavefront.store.tokens import SEALED
from accounts_service.families.wavefront.views import (
    accounts,
    apitokens,
    facets,
    former,
    roles,
    search,
    serviceaccounts,
    usergroups,
    users,
)
from accounts_service.families.wavefront.views.paths import CONVERTERS
from accounts_service.web import gate
from accounts_service.web.body import Reading
from accounts_service.web.family import Family, Mount


def _mounts(_: Settings) -> tuple[Mount, ...]:
    # All below it is this family's, so that what is unknown there is told as Wavefront's server tells it.
    return (Mount(segments=None, root="/api/v2"),)


FAMILY = Family(
    name=FAMILY_NAME,
    mounts=_mounts,
    # Who is nobody is not told which paths there are. Parameters that nobody asked for are passed over, as are bodies
    # where none is read: clients send `{}`, `null` and nothing alike, under any media type, so the type of a body is
    # looked at only where something was sent, when the body is read. That leaves pages of other sites to be kept out.
    checks=(gate.authenticated, gate.routed, gate.of_one_site, gate.permitted),
    dialect=WavefrontDialect,
    privileges=WavefrontPrivilege,
    refuses_unknown=lambda settings: settings.wavefront_unknown_attributes == "refuse",
    views=(
        accounts.ROUTES,
        users.ROUTES,
        serviceaccounts.ROUTES,
        former.ROUTES,
        usergroups.ROUTES,
        roles.ROUTES,
        apitokens.ROUTES,
        search.ROUTES,
        facets.ROUTES,
    ),
    action_groups=ACTION_GROUPS,
    roles=ROLES,
    converters=CONVERTERS,
    sealed=SEALED,
    tokens=AccountTokens,
    terms=documents.TERMS,
    schemes=documents.SCHEMES,
    stored=STORED,
    # Jackson reads the bytes of a body, and skips the mark.
    reading=Reading(skips_mark=True),
    twins=TWINS,
)
