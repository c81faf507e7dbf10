"""Log lines: one JSON object each, on standard error."""

from __future__ import annotations

import contextlib
import logging
import sys

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
