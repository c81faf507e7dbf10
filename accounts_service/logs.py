"""Log lines: one JSON object each, on standard error; and what a line may say of an exception."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import stat
import sys
import traceback

import structlog

_STANDARD_ERROR = 2
# A reader that pauses for a moment costs no line.
_PIPE_BYTES = 1024 * 1024


class _Stream:
    """Standard error, as long as it takes lines.

    A full disk or a log shipper that has died or stopped must not decide how a
    request is answered, least of all after its change was committed.
    """

    def __init__(self) -> None:
        self.waits = True
        # What a pipe did not take of a line. It goes first when there is room again.
        self._rest = b""
        self._lost = 0

    def write(self, text: str) -> None:
        """Write a line, or lose it. Called by one thread at a time."""
        if self.waits:
            with contextlib.suppress(OSError, ValueError):  # There is nowhere to say it.
                sys.stderr.write(text)
            return
        if self._rest:
            self._send(self._rest)
        notice = f'{{"event": "log.lines_lost", "level": "error", "lines": {self._lost}}}\n' if self._lost else ""
        if not self._rest and self._send((notice + text).encode(errors="backslashreplace")):
            self._lost = 0
        else:
            self._lost += 1

    def flush(self) -> None:
        """Flush, or lose what was not."""
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()

    def forget(self) -> None:
        """Leave to the process from which this one was forked what it could not write."""
        self._rest, self._lost = b"", 0

    def _send(self, data: bytes) -> bool:
        try:
            sent = os.write(_STANDARD_ERROR, data)
        except OSError:
            return False
        self._rest = data[sent:]
        return True


_STREAM = _Stream()


def never_wait() -> None:
    """Have lines be lost, and counted, when the reader of a pipe or socket at standard error has stopped reading.

    Otherwise each thread would wait for it, and no request would be answered. For all that writes there, in this
    process and its children. A pipe is opened anew, so that others who write into it are not affected.
    """
    kind = os.fstat(_STANDARD_ERROR).st_mode
    if stat.S_ISFIFO(kind):
        try:
            opened = os.open(f"/proc/self/fd/{_STANDARD_ERROR}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:  # Made by another user, as in a container, or no /proc.
            os.set_blocking(_STANDARD_ERROR, False)
        else:
            os.dup2(opened, _STANDARD_ERROR)
            os.close(opened)
        with contextlib.suppress(OSError):  # More than this user may have; the usual 64 KiB are as good, but for less.
            fcntl.fcntl(_STANDARD_ERROR, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    elif stat.S_ISSOCK(kind):
        os.set_blocking(_STANDARD_ERROR, False)
    else:
        return
    _STREAM.waits = False


def configure(level: str) -> None:
    """Write lines of `level` and above."""
    _STREAM.forget()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(_STREAM),  # type: ignore[arg-type]  # of a file it uses these two
    )


def describe(error: BaseException) -> list[str]:
    """Describe an exception and its causes for the log: types and places, no messages.

    The message of an exception that nobody foresaw may hold anything, a secret
    included; types, places and SQLSTATE are enough to find the line.
    """
    lines = []
    seen: BaseException | None = error
    while seen is not None:
        state = getattr(getattr(seen, "orig", None), "sqlstate", None)
        lines.append(f"{type(seen).__module__}.{type(seen).__qualname__}" + (f" [{state}]" if state else ""))
        lines.extend(
            f"  {frame.filename}:{frame.lineno} in {frame.name}" for frame in traceback.extract_tb(seen.__traceback__)
        )
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    return lines
