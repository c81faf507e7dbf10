"""Limits on log-ins, for tests that are about something else."""

from __future__ import annotations

from collections.abc import Callable


class Unlimited:
    """Stands for the limits on wrong passwords where none is wanted."""

    def checked(self, realm: str, name: str, network: str | None, check: Callable[[], bool]) -> bool:  # noqa: ARG002  # as LogInLimits
        """Return what `check` returns."""
        return check()
