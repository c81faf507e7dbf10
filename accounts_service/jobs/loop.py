"""The loop of the jobs process: lanes, each a thread, in which jobs run one after another."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import structlog

from accounts_service.faults import RefusedError

log = structlog.get_logger(__name__)

_TICK_SECONDS = 0.5

# Longer than the deadline of an exchange with another system (jobs/smtp.py), shorter than what `serve` waits.
_PATIENCE_SECONDS = 31.0

# Whether the process was told to end: asked between two pieces of work.
Stopping: TypeAlias = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Job:
    """Work outside requests, done every `every_seconds`. Any number of processes may do it at once.

    Jobs of one `lane` run one after another; a job that hangs delays its own lane only. A job that talks to another
    system has a lane of its own, and a bound on what it does in one turn. A job that raises is done again after a
    pause that doubles with each failure, up to `longest_pause_seconds`. A lane with a job `to_the_end` goes on until
    the other lanes have ended what they had begun, and then that job has one more turn.
    """

    name: str
    every_seconds: float
    run: Callable[[Stopping], None]
    lane: str = "upkeep"
    longest_pause_seconds: float = 60.0
    to_the_end: bool = False


def run(
    jobs: Sequence[Job], stopping: Stopping, *, once: bool = False, patience_seconds: float = _PATIENCE_SECONDS
) -> bool:
    """Do `jobs`, each when it is due, until told to stop; with `once`, each one time.

    Return whether the last turn of each went well. Returns early when a lane has died, so that the process can be
    started again. A lane that is still at work `patience_seconds` after the process was told to stop is left behind.
    """
    lanes: dict[str, list[Job]] = {}
    for job in jobs:
        lanes.setdefault(job.lane, []).append(job)
    to_the_end = {lane for lane, its_jobs in lanes.items() if any(job.to_the_end for job in its_jobs)}
    at_the_end = threading.Event()
    went_well = dict.fromkeys(lanes, False)

    def work(lane: str) -> None:
        told = at_the_end.is_set if lane in to_the_end else stopping
        went_well[lane] = _run_lane(lanes[lane], told, once=once)

    # Daemons: a lane that is left behind does not keep the process alive.
    threads = {lane: threading.Thread(target=work, args=(lane,), name=f"jobs-{lane}", daemon=True) for lane in lanes}
    for thread in threads.values():
        thread.start()
    told_at: float | None = None
    while working := [lane for lane, thread in threads.items() if thread.is_alive()]:
        if stopping():
            told_at = time.monotonic() if told_at is None else told_at
            is_over = time.monotonic() - told_at > patience_seconds
            if is_over or to_the_end.issuperset(working):
                at_the_end.set()
            if is_over:
                return _left(threads)
        elif not once and len(working) < len(threads):
            log.error("jobs.lane_died", lanes=sorted(threads.keys() - set(working)))
            return False
        threads[working[0]].join(_TICK_SECONDS)
    return all(went_well.values())


def _left(threads: Mapping[str, threading.Thread]) -> bool:
    for thread in threads.values():
        thread.join(_TICK_SECONDS)
    log.error("jobs.left_behind", lanes=[lane for lane, thread in threads.items() if thread.is_alive()])
    return False


def _run_lane(jobs: Sequence[Job], stopping: Stopping, *, once: bool) -> bool:
    due = dict.fromkeys((job.name for job in jobs), 0.0)
    failures: Counter[str] = Counter()
    while not stopping():
        for job in jobs:
            if stopping() or time.monotonic() < due[job.name]:
                continue
            failures[job.name] = 0 if _done(job, stopping) else failures[job.name] + 1
            pause = job.every_seconds
            if failures[job.name]:
                pause = min(2.0 ** min(failures[job.name], 10), job.longest_pause_seconds)
            due[job.name] = time.monotonic() + pause
        if once:
            return not any(failures.values())
        # In short pieces: a handler of signals does not end a sleep.
        time.sleep(_TICK_SECONDS)
    # What was committed since their last turn would otherwise wait for the next process.
    last = [_done(job, stopping) for job in jobs if job.to_the_end]
    return all(last) and not any(failures.values())


def _done(job: Job, stopping: Stopping) -> bool:
    try:
        job.run(stopping)
    except Exception as error:  # noqa: BLE001  # an outage must not end the process, nor a bug in one job the others
        # Types only: the words may quote anything.
        cause = error.fault if isinstance(error, RefusedError) else error
        log.error("jobs.failed", job=job.name, error=type(cause).__name__)
        return False
    return True
