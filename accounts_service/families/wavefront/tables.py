"""The tables of the Wavefront family."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, PrimaryKeyConstraint, Table, Text, UniqueConstraint, text

from accounts_service.storage.tables import METADATA, MICROSECONDS, NAME

# Users and service accounts have one namespace. `caseless` is the identifier folded (identifiers.folded), by which an
# account is found; `twin` is empty, but for accounts that were there before two spellings were one, which stay apart.
# `folded` is the identifier with ASCII letters in lower case: the exact spelling, which wins among twins. The other
# columns that end with `caseless` are what searches look at. `active` is 0 or 1, and a user's is always 1.
ACCOUNT = Table(
    "wavefront_account",
    METADATA,
    Column("uid", NAME, primary_key=True),
    Column("identifier", NAME, nullable=False),
    Column("folded", NAME, nullable=False),
    Column("kind", NAME, nullable=False),
    Column("active", BigInteger, nullable=False),
    Column("description", Text),
    Column("sso_id", Text),
    Column("last_login_us", MICROSECONDS),
    Column("created_us", MICROSECONDS, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("caseless", NAME),
    Column("twin", NAME, nullable=False, server_default=text("''")),
    Column("description_caseless", NAME),
    UniqueConstraint("folded"),
    Index(None, "caseless", "twin", unique=True),
    Index(None, "kind", "folded"),
)

# What an account is permitted directly, in the order in which it was said.
ACCOUNT_PERMISSION = Table(
    "wavefront_account_permission",
    METADATA,
    Column("account_uid", NAME, ForeignKey("wavefront_account.uid", ondelete="CASCADE"), nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("permission", NAME, nullable=False),
    PrimaryKeyConstraint("account_uid", "permission"),
    Index(None, "permission"),
)

ROLE = Table(
    "wavefront_role",
    METADATA,
    Column("uid", NAME, primary_key=True),
    Column("name", NAME, nullable=False),
    Column("description", Text),
    Column("created_us", MICROSECONDS, nullable=False),
    Column("updated_us", MICROSECONDS, nullable=False),
    Column("updated_by", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("name_caseless", NAME),
    Column("description_caseless", NAME),
    UniqueConstraint("name"),
)

ROLE_PERMISSION = Table(
    "wavefront_role_permission",
    METADATA,
    Column("role_uid", NAME, ForeignKey("wavefront_role.uid", ondelete="CASCADE"), nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("permission", NAME, nullable=False),
    PrimaryKeyConstraint("role_uid", "permission"),
    Index(None, "permission"),
)

# `system` is empty for a group that somebody made. The two system groups are rows like the others, so that they can
# have roles; who is in them is decided by the kind of the account and stands nowhere.
GROUP = Table(
    "wavefront_group",
    METADATA,
    Column("uid", NAME, primary_key=True),
    Column("name", NAME, nullable=False),
    Column("description", Text),
    Column("system", NAME, nullable=False),
    Column("created_us", MICROSECONDS, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("name_caseless", NAME),
    Column("description_caseless", NAME),
)

ACCOUNT_ROLE = Table(
    "wavefront_account_role",
    METADATA,
    Column("account_uid", NAME, ForeignKey("wavefront_account.uid", ondelete="CASCADE"), nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("role_uid", NAME, ForeignKey("wavefront_role.uid", ondelete="CASCADE"), nullable=False),
    PrimaryKeyConstraint("account_uid", "role_uid"),
    Index(None, "role_uid", "account_uid"),
)

ACCOUNT_GROUP = Table(
    "wavefront_account_group",
    METADATA,
    Column("account_uid", NAME, ForeignKey("wavefront_account.uid", ondelete="CASCADE"), nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("group_uid", NAME, ForeignKey("wavefront_group.uid", ondelete="CASCADE"), nullable=False),
    PrimaryKeyConstraint("account_uid", "group_uid"),
    Index(None, "group_uid", "account_uid"),
)

GROUP_ROLE = Table(
    "wavefront_group_role",
    METADATA,
    Column("group_uid", NAME, ForeignKey("wavefront_group.uid", ondelete="CASCADE"), nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("role_uid", NAME, ForeignKey("wavefront_role.uid", ondelete="CASCADE"), nullable=False),
    PrimaryKeyConstraint("group_uid", "role_uid"),
    Index(None, "role_uid", "group_uid"),
)

# `digest` is the SHA-256 of the token, by which it is looked up; `sealed` is the token, which its owner may list again.
TOKEN = Table(
    "wavefront_token",
    METADATA,
    Column("uid", NAME, primary_key=True),
    Column("account_uid", NAME, ForeignKey("wavefront_account.uid", ondelete="CASCADE"), nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("digest", NAME, nullable=False),
    Column("sealed", Text, nullable=False),
    Column("name", Text),
    Column("created_us", MICROSECONDS, nullable=False),
    Column("last_used_us", MICROSECONDS),
    Column("version", BigInteger, nullable=False),
    Column("name_caseless", NAME),
    UniqueConstraint("digest"),
    UniqueConstraint("account_uid", "number"),
)

EVERYONE = "everyone"
SERVICE_ACCOUNTS = "service_accounts"

# The same in every installation; 0005_wavefront writes them.
SYSTEM_GROUPS: list[dict[str, str | int]] = [
    {
        "uid": "5f3b2d1e-8c0a-4d65-9f0e-3f6f2b7c1a01",
        "name": "Everyone",
        "description": "System group which contains all users",
        "system": EVERYONE,
        "created_us": 0,
        "version": 1,
    },
    {
        "uid": "5f3b2d1e-8c0a-4d65-9f0e-3f6f2b7c1a02",
        "name": "Service Accounts",
        "description": "System group which contains all service accounts",
        "system": SERVICE_ACCOUNTS,
        "created_us": 0,
        "version": 1,
    },
]
