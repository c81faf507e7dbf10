"""The loop: each job when it is due, whatever becomes of the others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
import structlog

from accounts_service.faults import RefusedError, Unavailable
from accounts_service.jobs import loop
from accounts_service.jobs.loop import Job, Stopping


class Time:
    """Time that passes when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


@pytest.fixture(autouse=True)
def _ended_lanes() -> Iterator[None]:
    """Wait for lanes that outlive their loop: they would sleep in the time of the next test."""
    yield
    for thread in threading.enumerate():
        if thread.name.startswith("jobs-"):
            thread.join(60)


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    time = Time()
    monkeypatch.setattr(loop.time, "sleep", time.sleep)  # type: ignore[attr-defined]  # not its own name
    monkeypatch.setattr(loop.time, "monotonic", lambda: time.now)  # type: ignore[attr-defined]  # `time` is imported there, not exported
    return time


def after(time: Time, seconds: float) -> Stopping:
    end = time.now + seconds
    return lambda: time.now >= end


def noting(times: list[float], time: Time, error: Exception | None = None) -> Callable[[Stopping], None]:
    def run(_: Stopping) -> None:
        times.append(time.now - 1000)
        if error is not None:
            raise error

    return run


def test_each_job_is_done_at_once_and_then_every_so_often(time: Time) -> None:
    often: list[float] = []
    seldom: list[float] = []
    jobs = (Job("often", 2, noting(often, time)), Job("seldom", 5, noting(seldom, time)))
    assert loop.run(jobs, after(time, 11))
    assert (often, seldom) == ([0, 2, 4, 6, 8, 10], [0, 5, 10])


def test_a_job_that_fails_pauses_longer_each_time_and_the_others_go_on(time: Time) -> None:
    failing: list[float] = []
    well: list[float] = []
    canary = "canary of a value in an error"
    jobs = (Job("failing", 2, noting(failing, time, ValueError(canary))), Job("well", 50, noting(well, time)))
    with structlog.testing.capture_logs() as lines:
        assert not loop.run(jobs, after(time, 200))
    assert failing == [0, 2, 6, 14, 30, 62, 122, 182]
    assert well == [0, 50, 100, 150]
    assert lines[0] == {"event": "jobs.failed", "log_level": "error", "job": "failing", "error": "ValueError"}
    assert canary not in str(lines)


def test_after_a_failure_a_success_brings_the_usual_pace_back(time: Time) -> None:
    times: list[float] = []

    def away_for_a_while(_: Stopping) -> None:
        times.append(time.now - 1000)
        if time.now < 1006:
            raise RefusedError(Unavailable())

    with structlog.testing.capture_logs() as lines:
        assert loop.run((Job("job", 2, away_for_a_while),), after(time, 11))
    assert times == [0, 2, 6, 8, 10]
    assert [line["error"] for line in lines] == ["Unavailable"] * 2


def test_once_is_each_one_time(time: Time) -> None:
    first: list[float] = []
    second: list[float] = []
    jobs = (Job("first", 2, noting(first, time, ValueError())), Job("second", 5, noting(second, time)))
    with structlog.testing.capture_logs():
        assert not loop.run(jobs, lambda: False, once=True)
    assert (first, second) == ([0], [0])


def test_who_is_told_to_stop_begins_nothing_more() -> None:
    told = False

    def stop(_: Stopping) -> None:
        nonlocal told
        told = True

    def never(_: Stopping) -> None:
        raise AssertionError

    assert loop.run((Job("stop", 1, stop), Job("never", 1, never)), lambda: told)


def test_a_job_that_hangs_delays_its_own_lane_only() -> None:
    sealed = threading.Event()

    def hang(_: Stopping) -> None:
        assert sealed.wait(60)

    jobs = (Job("mail", 1, hang, lane="mail"), Job("seal", 1, lambda _: sealed.set(), lane="seals"))
    assert loop.run(jobs, sealed.is_set)


def test_a_lane_that_does_not_stop_is_left_behind() -> None:
    begun, end = threading.Event(), threading.Event()

    def hang(_: Stopping) -> None:
        begun.set()
        end.wait(60)

    jobs = (Job("mail", 1, hang, lane="mail"), Job("other", 1, lambda _: None))
    with structlog.testing.capture_logs() as lines:
        assert not loop.run(jobs, begun.is_set, patience_seconds=0)
    end.set()
    assert lines == [{"event": "jobs.left_behind", "log_level": "error", "lanes": ["mail"]}]


def test_a_job_to_the_end_goes_on_while_others_end_and_comes_last() -> None:
    told, sealed = threading.Event(), threading.Event()
    order = []

    def end_slowly(_: Stopping) -> None:
        told.set()
        assert sealed.wait(60)
        order.append("mail")

    def seal(_: Stopping) -> None:
        order.append("seal")
        if told.is_set():
            sealed.set()

    jobs = (Job("mail", 1, end_slowly, lane="mail"), Job("seal", 0, seal, lane="seals", to_the_end=True))
    assert loop.run(jobs, told.is_set)
    assert order[-1] == "seal"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_lane_that_dies_ends_the_loop() -> None:
    end = threading.Event()

    def die(_: Stopping) -> None:
        raise SystemExit

    jobs = (Job("dies", 1, die, lane="dead"), Job("other", 1, lambda _: None))
    with structlog.testing.capture_logs() as lines:
        assert not loop.run(jobs, end.is_set)
    end.set()
    assert lines == [{"event": "jobs.lane_died", "log_level": "error", "lanes": ["dead"]}]


def test_a_job_may_have_a_shorter_longest_pause(time: Time) -> None:
    failing: list[float] = []
    jobs = (Job("seal", 1, noting(failing, time, ValueError()), longest_pause_seconds=4),)
    with structlog.testing.capture_logs():
        assert not loop.run(jobs, after(time, 20))
    assert failing == [0, 2, 6, 10, 14, 18]
