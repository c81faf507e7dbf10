"""The loop of the jobs process."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import structlog

from accounts_service.faults import RefusedError

log = structlog.get_logger(__name__)

_TICK_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 60.0

# Whether the process was told to end: asked between two pieces of work.
Stopping: TypeAlias = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Job:
    """Work outside requests, done every so often. Any number of processes may do it at once.

    What `run` raises puts the job off, and nothing else.
    """

    name: str
    every_seconds: float
    run: Callable[[Stopping], None]


def run(jobs: Sequence[Job], stopping: Stopping, *, once: bool = False) -> bool:
    """Do `jobs`, each when it is due, until told to stop; with `once`, each one time. Tells whether the last went well.

    A job that fails, as when the database is away, is done again after a pause
    that doubles with each failure, and keeps the others from nothing.
    """
    due = dict.fromkeys((job.name for job in jobs), 0.0)
    failures: Counter[str] = Counter()
    while not stopping():
        for job in jobs:
            if stopping() or time.monotonic() < due[job.name]:
                continue
            failures[job.name] = 0 if _done(job, stopping) else failures[job.name] + 1
            pause = job.every_seconds
            if failures[job.name]:
                pause = min(2.0 ** failures[job.name], _LONGEST_PAUSE_SECONDS)
            due[job.name] = time.monotonic() + pause
        if once:
            break
        # In short pieces: a handler of signals does not end a sleep.
        time.sleep(_TICK_SECONDS)
    return not any(failures.values())


def _done(job: Job, stopping: Stopping) -> bool:
    try:
        job.run(stopping)
    except Exception as error:  # noqa: BLE001  # an outage must not end the process, nor a bug in one job the others
        # Types only: the words may quote anything.
        cause = error.fault if isinstance(error, RefusedError) else error
        log.error("jobs.failed", job=job.name, error=type(cause).__name__)
        return False
    return True
