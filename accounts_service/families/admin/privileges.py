"""Privileges of our own family."""

from __future__ import annotations

from accounts_service.access.privileges import Privilege

_OURS = "cluster:admin:accounts:"


class AdminPrivilege(Privilege):
    """What can be asked for at `/_accounts`."""

    AUDIT_GET = _OURS + "audit/get", "Read the audit trail."
    AUDIT_VERIFY = _OURS + "audit/verify", "Have the audit trail held against its keys."
    EXPLAIN_GET = _OURS + "explain/get", "Ask what others may do, and why; what one may oneself everyone is told."
    HEALTH_GET = _OURS + "health/get", "See which parts of the service are in trouble, and why."
    REFERENCE_GET = _OURS + "reference/get", "List who uses an account."
    REFERENCE_PUT = _OURS + "reference/put", "Note that somebody uses an account, which keeps it from being deleted."
    REFERENCE_DELETE = _OURS + "reference/delete", "Note that somebody uses an account no more."
