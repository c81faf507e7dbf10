"""Accounts as Mention's API writes them."""

from __future__ import annotations

import datetime as dt

from accounts_service.config import Settings
from accounts_service.families.mention.schemas.versions import WITH_PERMISSIONS, Version
from accounts_service.families.mention.store.accounts import Account
from accounts_service.families.mention.store.acting import ActingApp
from accounts_service.faults import Json

Object = dict[str, Json]

_PERMISSIONS = ("create_alert", "read_teammembers", "read_teamrequests", "read_quotastats")


def account(stored: Account, version: Version, settings: Settings) -> Object:
    """Write an account in its envelope."""
    shown: Object = {
        "id": stored.id,
        "name": stored.name,
        "email": stored.email,
        "language_code": stored.language_code,
        "created_at": timestamp(stored.created_us),
        "updated_at": timestamp(stored.updated_us),
        "grouped_email_notification": False,
        "default_email_notification_frequency": "daily",
        "default_desktop_notification_frequency": "hourly",
        "default_push_notification_frequency": "hourly",
        "default_trending_email_notification_frequency": "occasionally",
        "default_trending_sms_notification_frequency": "never",
    }
    if version >= WITH_PERMISSIONS:
        shown["permissions"] = dict.fromkeys(_PERMISSIONS, True)
    shown["email_subscriptions"] = {"quota_exceeded": True}
    if settings.mention_phone_in_answers:
        if stored.phone is not None:
            shown["phone"] = stored.phone
        if stored.sms_phone is not None:
            shown["default_notification_phone"] = {"number": stored.sms_phone}
    # The path at Mention's own hosts, whichever mount was asked.
    return {"account": shown, "_links": {"self": {"href": f"/api/accounts/{stored.id}"}}}


def acting_app(app: ActingApp) -> Object:
    """Return the answer's object for an app that acts for an account."""
    return {
        "client_id": app.client_id,
        "name": app.name,
        "since": timestamp(app.since_us),
        "last_used_at": None if app.used_us is None else timestamp(app.used_us),
        "expires_at": None if app.expires_us is None else timestamp(app.expires_us),
    }


def timestamp(microseconds: int) -> str:
    """Write a moment as Mention does: whole seconds with `.0`, and UTC as an offset."""
    moment = dt.datetime.fromtimestamp(microseconds // 1_000_000, dt.UTC).replace(tzinfo=None)
    return f"{moment.isoformat()}.0+00:00"
