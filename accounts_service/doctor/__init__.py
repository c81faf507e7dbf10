"""Checks of an installation: what is wrong or likely to be, and what to do about it.

They look; one writes a row into the database and takes it back, to see that it
can be done. Opening a SQLite database after a crash recovers it: SQLite takes its -wal into the main file, and -wal
and -shm may go. A finding names files, roles, users and settings;
no value of a secret, no hash and no password of the database.
"""

from accounts_service.doctor.configuration import judge_configuration
from accounts_service.doctor.examination import examine
from accounts_service.doctor.findings import Finding, Status

__all__ = ("Finding", "Status", "examine", "judge_configuration")
