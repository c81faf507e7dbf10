"""The tables of the NetBird family."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Table, Text, UniqueConstraint

from accounts_service.storage.tables import METADATA, MICROSECONDS, NAME, SERIAL

# `settings` is a JSON object with every setting, `onboarding` one or null. The ranges are those that were allocated,
# whatever the settings ask for; `all_group` is the id of the group that everybody is in.
ACCOUNT = Table(
    "netbird_account",
    METADATA,
    Column("id", NAME, primary_key=True),
    Column("domain", NAME, nullable=False),
    Column("domain_category", NAME, nullable=False),
    Column("created_us", MICROSECONDS, nullable=False),
    Column("created_by", NAME, nullable=False),
    Column("settings", Text, nullable=False),
    Column("onboarding", Text),
    Column("network_range", NAME, nullable=False),
    Column("network_range_v6", NAME, nullable=False),
    Column("all_group", NAME, nullable=False),
    Column("version", BigInteger, nullable=False),
)

# Of a private domain there is one account that its people join.
PRIMARY = Table(
    "netbird_primary",
    METADATA,
    Column("domain", NAME, primary_key=True),
    Column("account_id", NAME, ForeignKey("netbird_account.id", ondelete="CASCADE"), nullable=False),
    Index(None, "account_id"),
)

# `id` is the identity provider's name for a person, or a UUID for a service user. The flags are 0 or 1.
USER = Table(
    "netbird_user",
    METADATA,
    Column("id", NAME, primary_key=True),
    Column("uid", NAME, nullable=False),
    Column("account_id", NAME, ForeignKey("netbird_account.id", ondelete="CASCADE"), nullable=False),
    Column("role", NAME, nullable=False),
    Column("name", Text, nullable=False),
    Column("email", Text, nullable=False),
    Column("service_user", BigInteger, nullable=False),
    Column("auto_groups", Text, nullable=False),
    Column("blocked", BigInteger, nullable=False),
    Column("pending", BigInteger, nullable=False),
    Column("created_us", MICROSECONDS, nullable=False),
    Column("last_login_us", MICROSECONDS),
    Column("version", BigInteger, nullable=False),
    UniqueConstraint("uid"),
    Index(None, "account_id"),
)

# `digest` is the SHA-256 of the token, which is never shown again.
TOKEN = Table(
    "netbird_token",
    METADATA,
    Column("id", NAME, primary_key=True),
    Column("user_id", NAME, ForeignKey("netbird_user.id", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    Column("digest", NAME, nullable=False),
    Column("created_by", NAME, nullable=False),
    Column("created_us", MICROSECONDS, nullable=False),
    Column("expires_us", MICROSECONDS, nullable=False),
    Column("last_used_us", MICROSECONDS),
    UniqueConstraint("digest"),
    Index(None, "user_id"),
)

# What the people of an account are told of its changes. It outlasts who did them, and the account.
EVENT = Table(
    "netbird_event",
    METADATA,
    Column("id", SERIAL, primary_key=True),
    Column("account_id", NAME, nullable=False),
    Column("at_us", MICROSECONDS, nullable=False),
    Column("code", NAME, nullable=False),
    Column("initiator_id", NAME, nullable=False),
    Column("initiator_name", Text, nullable=False),
    Column("initiator_email", Text, nullable=False),
    Column("target_id", NAME, nullable=False),
    Column("meta", Text, nullable=False),
    Index(None, "account_id", "id"),
)
