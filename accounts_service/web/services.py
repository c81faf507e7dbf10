"""What views work with, made once a process by the composition root and handed in."""

from __future__ import annotations

from dataclasses import dataclass, field

from accounts_service.access.snapshot import AccessControl
from accounts_service.config import Settings
from accounts_service.storage.database import Database
from accounts_service.web.openapi import Documents


@dataclass(frozen=True, slots=True)
class Services:
    """The collaborators of every family."""

    settings: Settings
    access: AccessControl
    database: Database
    # Of the families that are served; app.assemble knows which those are.
    documents: Documents = field(default_factory=Documents)
