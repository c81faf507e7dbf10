"""The writer's queue: who is next, by counting turns and never by the clock."""

from __future__ import annotations

import contextlib
import fcntl
import gc
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from accounts_service.storage import turnstile as module
from accounts_service.storage.turnstile import Line, QueueBrokenError, QueueTimeoutError, Turnstile

# Never waited for unless something is wrong.
LONG = 60.0


def until(happened: Callable[[], bool]) -> None:
    """Wait for another thread or process; fail when it never comes there."""
    deadline = time.monotonic() + LONG
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.002)


def started(run: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def ended(*threads: threading.Thread) -> None:
    for thread in threads:
        thread.join(LONG)
        assert not thread.is_alive()


# -- Threads of one process ---------------------------------------------------


def waiting(line: Line, number: int) -> None:
    until(lambda: len(line._waiting) == number)


def test_threads_in_line_are_served_first_in_first_out() -> None:
    line = Line()
    served: list[int] = []
    assert line.enter(0)

    def stand(number: int) -> None:
        assert line.enter(LONG)
        served.append(number)
        line.leave()

    threads = []
    for number in range(12):
        threads.append(started(lambda number=number: stand(number)))  # type: ignore[misc]  # a lambda's default
        waiting(line, number + 1)
    line.leave()
    ended(*threads)
    assert served == list(range(12))
    assert line.enter(0)


def test_the_line_is_closed_while_somebody_holds_the_turn() -> None:
    line = Line()
    assert line.enter(0)
    assert not line.enter(0)
    line.leave()
    assert line.enter(0)


def test_who_gives_up_leaves_the_others_their_order() -> None:
    line = Line()
    served: list[int] = []
    gave_up: list[bool] = []
    assert line.enter(0)

    def stand(number: int) -> None:
        assert line.enter(LONG)
        served.append(number)
        line.leave()

    first = started(lambda: stand(1))
    waiting(line, 1)
    impatient = started(lambda: gave_up.append(line.enter(0.01)))
    ended(impatient)
    second = started(lambda: stand(2))
    waiting(line, 2)
    line.leave()
    ended(first, second)
    assert (gave_up, served) == ([False], [1, 2])
    assert line.enter(0)


class Late(threading.Event):
    """An event whose waiting times out at the very moment at which it is set."""

    line: Line

    def wait(self, timeout: float | None = None) -> bool:
        del timeout
        self.line.leave()
        return False


def test_a_turn_that_is_given_at_the_very_time_out_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line()
    monkeypatch.setattr(Late, "line", line, raising=False)
    monkeypatch.setattr(threading, "Event", Late)
    assert line.enter(0)
    assert line.enter(0.01)
    line.leave()
    assert line.enter(0)


class Interrupted(threading.Event):
    """An event whose waiting is interrupted, after the turn was given or before."""

    line: Line
    given: bool

    def wait(self, timeout: float | None = None) -> bool:
        del timeout
        if self.given:
            self.line.leave()
        raise KeyboardInterrupt


@pytest.mark.parametrize("given", (True, False))
def test_who_is_interrupted_while_waiting_does_not_keep_the_turn(monkeypatch: pytest.MonkeyPatch, given: bool) -> None:  # noqa: FBT001  # a parameter of the test
    line = Line()
    monkeypatch.setattr(Interrupted, "line", line, raising=False)
    monkeypatch.setattr(Interrupted, "given", given, raising=False)
    assert line.enter(0)
    with monkeypatch.context() as patched:
        patched.setattr(threading, "Event", Interrupted)
        with pytest.raises(KeyboardInterrupt):
            line.enter(LONG)
    if not given:
        line.leave()
    assert line.enter(0)


def test_many_impatient_threads_lose_no_turn() -> None:
    line = Line()
    inside: list[int] = []
    overlaps: list[int] = []

    def stand() -> None:
        for attempt in range(200):
            if line.enter(attempt % 3 / 1000):
                inside.append(1)
                if len(inside) > 1:
                    overlaps.append(1)
                inside.pop()
                line.leave()

    ended(*[started(stand) for _ in range(8)])
    assert not overlaps
    assert not line._waiting
    assert line.enter(0)


# -- The turnstile within one process -----------------------------------------


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "accounts.db"


@contextlib.contextmanager
def lock_file(path: Path, name: str) -> Iterator[int]:
    file = os.open(path.with_name(f"{path.name}-{name}"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        yield file
    finally:
        os.close(file)


@contextlib.contextmanager
def writer_elsewhere(path: Path) -> Iterator[None]:
    """Hold the turn as another process would: through an open file of one's own."""
    with lock_file(path, "writer") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def is_free(path: Path) -> bool:
    """Tell whether another process could have the turn at once."""
    with lock_file(path, "turn") as outer, lock_file(path, "writer") as inner:
        try:
            fcntl.flock(outer, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.flock(inner, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def test_the_turn_is_given_back_when_the_block_raises(path: Path) -> None:
    turnstile = Turnstile(path, LONG)
    with pytest.raises(ZeroDivisionError), turnstile.turn():
        raise ZeroDivisionError
    assert is_free(path)
    with turnstile.turn():
        assert not is_free(path)


def test_the_lock_files_are_their_owners_alone(path: Path) -> None:
    with Turnstile(path, LONG).turn():
        modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    assert modes == dict.fromkeys(("accounts.db-turn", "accounts.db-writer"), 0o600)


def test_while_another_process_has_the_turn_one_thread_waits_and_the_others_give_up(path: Path) -> None:
    turnstile = Turnstile(path, LONG)
    served = threading.Event()

    def stand() -> None:
        with turnstile.turn():
            served.set()

    with writer_elsewhere(path):
        thread = started(stand)
        until(lambda: turnstile._line._held)
        turnstile._timeout = 0.02
        for _ in range(3):
            with pytest.raises(QueueTimeoutError), turnstile.turn():
                pass
        assert not served.is_set()
    ended(thread)
    assert served.is_set()
    assert is_free(path)


def test_a_lock_file_that_cannot_be_opened_is_told_as_that(path: Path) -> None:
    turnstile = Turnstile(path.parent / "later" / "accounts.db", LONG)
    for _ in range(3):
        with pytest.raises(QueueBrokenError), turnstile.turn():
            pass
    (path.parent / "later").mkdir()
    with turnstile.turn():
        assert not is_free(path.parent / "later" / "accounts.db")


def test_of_two_lock_files_neither_stays_open_when_the_second_cannot_be_opened(path: Path) -> None:
    turnstile = Turnstile(path, LONG)
    in_the_way = path.with_name(path.name + "-writer")
    in_the_way.mkdir()
    with pytest.raises(QueueBrokenError), turnstile.turn():
        pass
    first = path.with_name(path.name + "-turn")
    assert first not in [file.resolve() for file in Path("/proc/self/fd").iterdir()]
    in_the_way.rmdir()
    with turnstile.turn():
        assert not is_free(path)


def locks_that_fail(monkeypatch: pytest.MonkeyPatch, *, after: int) -> None:
    """Let all locks fail that are asked for after the first few."""
    real = fcntl.flock
    asked = itertools.count()

    def failing(file: int, operation: int) -> None:
        if next(asked) >= after:
            raise OSError(37, "No locks available")
        real(file, operation)

    monkeypatch.setattr(fcntl, "flock", failing)


# The outer lock, the inner one, and giving the outer one back.
@pytest.mark.parametrize("after", range(3))
def test_locks_that_cannot_be_had_are_told_as_that_and_hold_up_nobody_afterwards(
    path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    turnstile = Turnstile(path, LONG)
    with monkeypatch.context() as patched:
        locks_that_fail(patched, after=after)
        with pytest.raises(QueueBrokenError, match="No locks available"), turnstile.turn():
            pass
    assert is_free(path)
    with turnstile.turn():
        assert not is_free(path)
    assert is_free(path)


def test_a_closed_turnstile_has_no_file_open_and_opens_it_again(path: Path) -> None:
    turnstile = Turnstile(path, LONG)
    with turnstile.turn():
        turnstile.close()
        assert not is_free(path), "who uses it keeps it"
        files = turnstile._files
    turnstile.close()
    assert len(files) == 2
    assert not any(Path(f"/proc/self/fd/{file}").is_symlink() for file in files)
    with turnstile.turn():
        assert not is_free(path)
    turnstile.close()


def test_a_turnstile_nobody_uses_is_forgotten(path: Path) -> None:
    gc.collect()
    known = len(module._ALL)
    turnstile = Turnstile(path, LONG)
    assert len(module._ALL) == known + 1
    del turnstile
    gc.collect()
    assert len(module._ALL) <= known


# -- Many processes -----------------------------------------------------------

# Each process takes its turns. It writes down when it asks for one, gets it and
# gives it back, in a file opened for appending, so the order in it is the order
# in which it happened. In the mode "all" nobody gives his turn back before
# every other process that still has turns to take has asked for one and, as the
# kernel's list of locks shows, is asleep in the queue.
PROGRAM = """
import os, sys, time
from pathlib import Path
from accounts_service.storage.turnstile import Turnstile

path, log, number, turns, all_in_line = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
turnstile = Turnstile(path, 60)
file = os.open(log, os.O_WRONLY | os.O_APPEND)

def say(word):
    os.write(file, f"{number} {word}\\n".encode())

def in_line(inodes):
    # Lines with an arrow are of those who sleep; the last part of the seventh column is the inode.
    locks = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    return sum("->" in lock and lock[6].rpartition(":")[2] in inodes for lock in locks)

say("is there")
sys.stdin.readline()
for _ in range(turns):
    say("asks")
    with turnstile.turn():
        say("gets")
        if all_in_line:
            inodes = [str(os.stat(f"{path}-{name}").st_ino) for name in ("turn", "writer")]
            while True:
                words = Path(log).read_text().split("\\n")
                here = sum(word.endswith(" is there") for word in words) - sum(word.endswith(" ends") for word in words)
                if in_line(inodes) >= here - 1:
                    break
                time.sleep(0.001)
        say("gives")
say("ends")
"""


def run(path: Path, processes: int, turns: int, *, all_in_line: bool) -> list[tuple[int, str]]:
    log = path.with_name("log")
    log.touch()
    running = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, path, log, str(number), str(turns), str(int(all_in_line))],
            stdin=subprocess.PIPE,
        )
        for number in range(processes)
    ]
    try:
        until(lambda: log.read_text().count("is there") == processes)
        for process in running:
            assert process.stdin is not None
            process.stdin.close()
        for process in running:
            assert process.wait(LONG) == 0
    finally:
        for process in running:
            process.kill()
            process.wait()
    words = [line.split(" ", 1) for line in log.read_text().splitlines()]
    return [(int(number), word) for number, word in words]


def assert_no_two_turns_overlap(log: list[tuple[int, str]]) -> list[int]:
    """Give the order of turns."""
    turns = [(number, word) for number, word in log if word in ("gets", "gives")]
    assert [word for _, word in turns] == ["gets", "gives"] * (len(turns) // 2)
    assert [number for number, _ in turns[::2]] == [number for number, _ in turns[1::2]]
    return [number for number, _ in turns[::2]]


def test_turns_of_eight_processes_never_overlap_and_none_is_lost(path: Path) -> None:
    order = assert_no_two_turns_overlap(run(path, 8, 150, all_in_line=False))
    assert {number: order.count(number) for number in range(8)} == dict.fromkeys(range(8), 150)


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="shows who waits for a lock; Linux only")
def test_nobody_has_two_turns_in_a_row_while_another_waits(path: Path) -> None:
    """The bound is the algorithm's.

    Before a turn ends all other processes sleep in line, one of them at the
    inner lock with the outer one in its hands. Who has just had a turn cannot
    pass the outer lock before that one has the inner. And everybody comes to an
    end, though all the others always want a turn as well.
    """
    processes, turns = 6, 40
    order = assert_no_two_turns_overlap(run(path, processes, turns, all_in_line=True))
    assert {number: order.count(number) for number in range(processes)} == dict.fromkeys(range(processes), turns)
    last = {number: len(order) - 1 - order[::-1].index(number) for number in range(processes)}
    for place, (one, next_one) in enumerate(itertools.pairwise(order)):
        alone = all(end <= place for number, end in last.items() if number != one)
        assert one != next_one or alone, f"turn {place}"


HOLDER = """
import sys, time
from pathlib import Path
from accounts_service.storage.turnstile import Turnstile
with Turnstile(Path(sys.argv[1]), 60).turn():
    print("holds", flush=True)
    sys.stdin.readline()
"""


@contextlib.contextmanager
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "holds\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_holder_that_is_killed_gives_the_turn_to_the_next(path: Path) -> None:
    with holder(path) as process:
        assert not is_free(path)
        turnstile = Turnstile(path, LONG)
        served = threading.Event()

        def stand() -> None:
            with turnstile.turn():
                served.set()

        thread = started(stand)
        until(lambda: turnstile._line._held)
        assert not served.is_set()
        process.send_signal(signal.SIGKILL)
        ended(thread)
        assert served.is_set()


def test_a_holder_that_is_stopped_holds_up_one_thread_of_another_process(path: Path) -> None:
    with holder(path) as process:
        process.send_signal(signal.SIGSTOP)
        turnstile = Turnstile(path, LONG)
        served = threading.Event()

        def stand() -> None:
            with turnstile.turn():
                served.set()

        thread = started(stand)
        until(lambda: turnstile._line._held)
        turnstile._timeout = 0.02
        with pytest.raises(QueueTimeoutError), turnstile.turn():
            pass
        process.kill()
        ended(thread)
        assert served.is_set()


FORK = """
import fcntl, os, sys
from pathlib import Path
from accounts_service.storage.turnstile import Turnstile

path = Path(sys.argv[1])
turnstile = Turnstile(path, 60)

def child(code):
    pid = os.fork()
    if pid == 0:
        os._exit(code())
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def refused():
    if turnstile._files or turnstile._line._held:
        return 1
    file = os.open(f"{path}-writer", os.O_RDWR)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return 0
    return 2

def served():
    with turnstile.turn():
        return 0

def left_by_an_exception():
    raise SystemExit

with turnstile.turn():
    assert child(refused) == 0, "a child does not have its parent's turn"
    pid = os.fork()
    if pid == 0:
        try:
            sys.exit(0)  # Leaves the parent's block as well, in the child.
        finally:
            pass
    assert os.waitpid(pid, 0)[1] == 0
    assert child(refused) == 0, "nor can it give it back"
assert child(served) == 0, "nor is its line held by the parent's threads"

with turnstile.turn():
    pid = os.fork()
    if pid == 0:
        print(os.getpid(), flush=True)  # By the child: now it is through with what a fork brings.
        sys.stdin.read()  # Lives on until the test ends.
        os._exit(0)
    os.waitpid(pid, 0)
"""


def test_a_forked_child_shares_neither_lock_nor_line(path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", FORK, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        assert not is_free(path)
        process.kill()
        process.wait(LONG)
        assert Path(f"/proc/{child}").exists()
        assert is_free(path), "nor does the lock live on with it"
    finally:
        process.kill()
        process.communicate()
