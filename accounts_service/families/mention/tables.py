"""The tables of the Mention family."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Table, Text, UniqueConstraint, text

from accounts_service.storage.tables import METADATA, MICROSECONDS, NAME

# `id` is a growing number and a suffix that nobody guesses. `email_caseless` is the address folded
# (identifiers.folded), by which an account is found; `email_twin` is empty, but for accounts that were there before two
# spellings were one, which stay apart. `email_folded` is the exact spelling in lower case, which wins among those.
# `password` is argon2id's hash, or null where nobody can sign in.
ACCOUNT = Table(
    "mention_account",
    METADATA,
    Column("id", NAME, primary_key=True),
    Column("uid", NAME, nullable=False),
    Column("name", Text, nullable=False),
    Column("email", Text, nullable=False),
    Column("email_folded", NAME, nullable=False),
    Column("phone", Text),
    Column("language_code", NAME, nullable=False),
    Column("client", Text),
    Column("sms_phone", Text),
    Column("password", NAME),
    Column("created_us", MICROSECONDS, nullable=False),
    Column("updated_us", MICROSECONDS, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("email_caseless", NAME),
    Column("email_twin", NAME, nullable=False, server_default=text("''")),
    UniqueConstraint("uid"),
    UniqueConstraint("email_folded"),
    Index(None, "email_caseless", "email_twin", unique=True),
)

# Who asks for tokens of others' accounts. `client_id` is `NUMBER_RANDOM`, `digest` the SHA-256 of the secret, and
# `callbacks` a JSON list of addresses that redirections may begin with.
APP = Table(
    "mention_app",
    METADATA,
    Column("client_id", NAME, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("name", Text, nullable=False),
    Column("digest", NAME, nullable=False),
    Column("callbacks", Text, nullable=False),
    Column("created_us", MICROSECONDS, nullable=False),
    UniqueConstraint("number"),
)

# `digest` is the SHA-256 of the token, which is shown once. Without an app it was made at the command line.
TOKEN = Table(
    "mention_token",
    METADATA,
    Column("id", NAME, primary_key=True),
    Column("account_id", NAME, ForeignKey("mention_account.id", ondelete="CASCADE"), nullable=False),
    Column("client_id", NAME, ForeignKey("mention_app.client_id", ondelete="CASCADE")),
    Column("name", Text, nullable=False),
    Column("digest", NAME, nullable=False),
    Column("created_us", MICROSECONDS, nullable=False),
    Column("expires_us", MICROSECONDS),
    Column("last_used_us", MICROSECONDS),
    UniqueConstraint("digest"),
    Index(None, "account_id"),
    Index(None, "client_id"),
)

# What an app gets for a token, once and within seconds. `challenge` is PKCE's (RFC 7636), `token_id` the token that
# it was exchanged for.
CODE = Table(
    "mention_code",
    METADATA,
    Column("digest", NAME, primary_key=True),
    Column("client_id", NAME, ForeignKey("mention_app.client_id", ondelete="CASCADE"), nullable=False),
    Column("account_id", NAME, ForeignKey("mention_account.id", ondelete="CASCADE"), nullable=False),
    Column("redirect_uri", Text, nullable=False),
    Column("challenge", Text),
    Column("challenge_method", NAME),
    Column("expires_us", MICROSECONDS, nullable=False),
    Column("token_id", NAME),
    Index(None, "client_id"),
    Index(None, "account_id"),
)

# A browser in which a person is signed in. `digest` is the SHA-256 of the secret in its cookie.
SESSION = Table(
    "mention_session",
    METADATA,
    Column("digest", NAME, primary_key=True),
    Column("account_id", NAME, ForeignKey("mention_account.id", ondelete="CASCADE"), nullable=False),
    Column("expires_us", MICROSECONDS, nullable=False),
    Index(None, "account_id"),
)
