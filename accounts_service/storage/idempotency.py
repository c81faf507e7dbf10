"""Answers that are kept for the Idempotency-Key of their requests."""

from __future__ import annotations

from sqlalchemy import Column, Index, Table, Text

from accounts_service.storage.envelopes import Sealed
from accounts_service.storage.tables import METADATA, MICROSECONDS, NAME

# `digest` is a MAC over who asked for what with which key, `body` one over what was sent with it. `answer` is an
# envelope (storage/sealed.py).
IDEMPOTENCY = Table(
    "idempotency",
    METADATA,
    Column("digest", NAME, primary_key=True),
    Column("body", NAME, nullable=False),
    Column("answer", Text),
    Column("expires_us", MICROSECONDS, nullable=False),
    Index(None, "expires_us"),
)

SEALED = Sealed("stored answers", IDEMPOTENCY.c.answer, "idempotency", uid="digest", attribute="answer")
