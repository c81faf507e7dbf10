"""What views work with, made once a process by the composition root and handed in."""

from __future__ import annotations

from dataclasses import dataclass

from accounts_service.access.snapshot import AccessControl
from accounts_service.config import Settings
from accounts_service.storage.database import Database


@dataclass(frozen=True, slots=True)
class Services:
    """The collaborators of every family."""

    settings: Settings
    access: AccessControl
    database: Database
