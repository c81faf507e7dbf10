"""Programs of the system that some tests need, and how to get them; .ci/run installs them all."""

from __future__ import annotations

import os
import shutil

NEEDS = {
    "chromium": "apt-get install --no-install-recommends chromium",
    "nginx": "apt-get install nginx-light",
}

_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


def find(program: str) -> str | None:
    """Find a program; Debian keeps servers where an ordinary user's PATH does not look."""
    return shutil.which(program, path=_PATH)


def missing() -> dict[str, str]:
    """Name the programs that are not here, with the way to get each."""
    return {program: way for program, way in NEEDS.items() if find(program) is None}
