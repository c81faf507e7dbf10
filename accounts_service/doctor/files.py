"""Checks of SQLite's files and of the disk that they are on."""

from __future__ import annotations

import re
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from accounts_service.doctor.findings import Finding, Status, fail, ok, warn
from accounts_service.storage.causes import MISSING, RESTORE
from accounts_service.storage.checkup import SqliteFacts

_LITTLE_SPACE = 512 * 1024 * 1024
# Much more than the service itself leaves behind.
_LARGE_LOG = 64 * 1024 * 1024
_NO_SPACE = 64 * 1024 * 1024

_MOUNTS = Path("/proc/self/mountinfo")
_REMOTE = re.compile(r"(nfs4?|cifs|smb3|smbfs|9p|afs|ceph|glusterfs|lustre|ncpfs|fuse(\..*)?)\Z")


def judge_files(path: Path) -> Iterator[Finding]:
    """Find out who else can read SQLite's files, and whether they are where SQLite works."""
    if not path.exists():
        yield fail("database", f"there is no {path}", MISSING.todo)
        return
    strange = []
    for file in (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm")), path.parent):
        mode = stat.S_IMODE(file.stat().st_mode) if file.exists() else 0
        if file == path.parent and mode & 0o002 and not mode & stat.S_ISVTX:
            strange.append(fail("files", f"others may write in {file}", f"chmod o= {file}"))
        elif file == path.parent and mode & 0o005:
            strange.append(warn("files", f"others may look into {file}", f"chmod o= {file}"))
        elif file != path.parent and mode & 0o007:
            strange.append(fail("files", f"{file} is open to others", f"chmod o= {file}"))
    yield from strange or [ok("files", f"{path} is for its owner alone")]
    kind = file_system_of(path, _mounts())
    if kind is not None and _REMOTE.match(kind):
        yield warn("disk", f"{path} is on {kind}; SQLite's locks need a local disk", "move it, or use PostgreSQL")
    free = shutil.disk_usage(path.parent).free
    if free < _LITTLE_SPACE:
        status = Status.FAIL if free < _NO_SPACE else Status.WARN
        yield Finding(status, "space", f"{free // 1024 // 1024} MiB are free beside {path}", "make room")
    else:
        yield ok("space", f"{free // 1024 // 1024} MiB are free")
    log = path.with_name(path.name + "-wal")
    if log.exists() and (size := log.stat().st_size) > _LARGE_LOG:
        text = f"{log} has {size // 1024 // 1024} MiB: what reads the database for long keeps it from beginning anew"
        yield warn("journal", text, "find what else has the file open, such as a backup that hangs (lsof)")


def _mounts() -> str:
    try:
        return _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""  # No Linux.


def file_system_of(path: Path, mounts: str) -> str | None:
    """Return the kind of file system of `path`, by the lines of mountinfo (proc(5)); None if they do not say."""
    real, found = path.resolve(), (-1, "")
    for line in mounts.splitlines():
        mounted, _, described = line.partition(" - ")
        fields = mounted.split(" ")
        if len(fields) < 5 or not described:
            continue
        point = Path(re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), fields[4]))
        # What is mounted later at the same place hides what was there.
        if real.is_relative_to(point) and len(point.parts) >= found[0]:
            found = (len(point.parts), described.split(" ")[0])
    return found[1] or None


def judge_sqlite(facts: SqliteFacts) -> Iterator[Finding]:
    """Find damage, and a journal with which readers wait for writers."""
    if facts.damages:
        yield Finding(Status.FAIL, "integrity", "the file is damaged", RESTORE, facts.damages[:10])
    else:
        yield ok("integrity", "quick_check found nothing")
    if facts.journal_mode != "wal":
        text = f"the journal is {facts.journal_mode}, so that readers wait for writers"
        yield warn("journal", text, "nothing: the first write of the service turns it to wal")
    else:
        yield ok("journal", "wal")
