"""Accounts, users, tokens and events as NetBird's API writes them."""

from __future__ import annotations

from accounts_service.access.roles import Identity
from accounts_service.access.snapshot import Snapshot
from accounts_service.families.netbird.privileges import MODULES, OPERATIONS, action_of
from accounts_service.families.netbird.schemas.settings import NO_ONBOARDING
from accounts_service.families.netbird.store.accounts import Account, Event, timestamp
from accounts_service.families.netbird.store.changes import TEXTS
from accounts_service.families.netbird.store.groups import Group
from accounts_service.families.netbird.store.tokens import Token
from accounts_service.families.netbird.store.users import Caller, User
from accounts_service.faults import Json

Object = dict[str, Json]


def account(stored: Account, *, effective: bool) -> Object:
    """Write an account; `effective`: with the ranges that hold, and not only those that were asked for."""
    settings: Object = stored.effective() if effective else dict(stored.settings)
    # What this service has no part of.
    settings |= {"embedded_idp_enabled": False, "local_auth_disabled": False}
    optional = ("network_range", "network_range_v6", "dashboard_features")
    onboarding: Object = dict(stored.onboarding or NO_ONBOARDING)
    return {
        "id": stored.id,
        "domain": stored.domain,
        "domain_category": stored.domain_category,
        "created_at": timestamp(stored.created_us),
        "created_by": stored.created_by,
        "onboarding": onboarding,
        "settings": {name: value for name, value in settings.items() if value is not None or name not in optional},
    }


def user(stored: User, caller: Caller) -> Object:
    """Write a user, for who asks."""
    return {
        "id": stored.id,
        "email": stored.email,
        "name": stored.name,
        "role": stored.role,
        "status": "blocked" if stored.blocked else "active",
        "auto_groups": [*stored.auto_groups],
        "is_current": stored.id == caller.id,
        "is_service_user": stored.service_user,
        "is_blocked": stored.blocked,
        "pending_approval": stored.pending,
        "issued": "api",
        "last_login": timestamp(stored.last_login_us),
    }


def permissions(identity: Identity, snapshot: Snapshot, *, restricted: bool) -> Object:
    """Write what the caller may do in each module."""
    modules: Object = {
        module: {
            operation: snapshot.rules.allows_action(identity, action_of(module, operation)) for operation in OPERATIONS
        }
        for module in MODULES
    }
    return {"is_restricted": restricted, "modules": modules}


def token(stored: Token) -> Object:
    """Write a personal access token, without the token."""
    used: Object = {} if stored.last_used_us is None else {"last_used": timestamp(stored.last_used_us)}
    return {
        "id": stored.id,
        "name": stored.name,
        "expiration_date": timestamp(stored.expires_us),
        "created_by": stored.created_by,
        "created_at": timestamp(stored.created_us),
        **used,
    }


def group(stored: Group) -> Object:
    """Write a group; no peer and no resource is in one."""
    return {
        "id": stored.id,
        "name": stored.name,
        "peers_count": 0,
        "resources_count": 0,
        "issued": "api",
        "peers": [],
        "resources": [],
    }


def event(stored: Event) -> Object:
    """Write something that has happened."""
    meta: Object = dict(stored.meta)
    return {
        "id": str(stored.id),
        "timestamp": timestamp(stored.at_us),
        "activity": TEXTS.get(stored.code, stored.code),
        "activity_code": stored.code,
        "initiator_id": stored.initiator_id,
        "initiator_name": stored.initiator_name,
        "initiator_email": stored.initiator_email,
        "target_id": stored.target_id,
        "meta": meta,
    }
