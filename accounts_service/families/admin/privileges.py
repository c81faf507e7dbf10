"""Privileges of our own family. None yet: what it answers so far is open."""

from __future__ import annotations

from accounts_service.access.privileges import Privilege


class AdminPrivilege(Privilege):
    """What can be asked for at `/_accounts`."""
