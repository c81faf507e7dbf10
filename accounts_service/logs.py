"""Log lines: one JSON object each, on standard error; and what a line may say of an exception."""

from __future__ import annotations

import contextlib
import logging
import sys
import traceback

import structlog


class _Stream:
    """Standard error, as long as it takes lines.

    A full disk or a log shipper that has died must not decide how a request is
    answered, least of all after its change was committed.
    """

    def write(self, text: str) -> None:
        """Write, or lose the line."""
        with contextlib.suppress(OSError, ValueError):  # There is nowhere to say it.
            sys.stderr.write(text)

    def flush(self) -> None:
        """Flush, or lose what was not."""
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()


def configure(level: str) -> None:
    """Write lines of `level` and above."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(_Stream()),  # type: ignore[arg-type]  # of a file it uses these two
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
