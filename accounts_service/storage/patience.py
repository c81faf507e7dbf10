"""A connection to PostgreSQL that waits for an answer no longer than the server may need for one.

The server's own time-outs end a statement, and the kernel's end a connection to a machine that is gone. Neither helps
where a proxy or a stopped server keeps the connection open and says nothing.
"""

from __future__ import annotations

from typing import Any, TypeVar

import psycopg
from psycopg.errors import _WaitTimeout

T = TypeVar("T")


class PatientConnection(psycopg.Connection[tuple[Any, ...]]):
    """A connection that is closed when an answer takes more than `patience_s` seconds; None waits for ever."""

    patience_s: float | None = None

    def wait(self, gen: Any, *args: Any, **options: Any) -> Any:  # noqa: ANN401  # psycopg's generators
        """Wait for an answer. Raises OperationalError when it does not come in time."""
        try:
            return super().wait(gen, *args, **{"timeout": self.patience_s, **options})
        except _WaitTimeout:
            # What comes on it later would be taken for the answer to another question.
            self.pgconn.finish()
            raise psycopg.OperationalError("timed out: the server keeps the connection and says nothing") from None
