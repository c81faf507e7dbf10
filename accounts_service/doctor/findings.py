"""What a check says: a finding with how bad it is and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum


class Status(Enum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found. `todo` says what to do; `details` are more lines, such as ids."""

    status: Status
    check: str
    text: str
    todo: str = ""
    details: tuple[str, ...] = ()


def ok(check: str, text: str) -> Finding:
    """Return a finding that all is well."""
    return Finding(Status.OK, check, text)


def warn(check: str, text: str, todo: str) -> Finding:
    """Return a finding of what is likely to be wrong."""
    return Finding(Status.WARN, check, text, todo)


def fail(check: str, text: str, todo: str) -> Finding:
    """Return a finding of what is wrong."""
    return Finding(Status.FAIL, check, text, todo)


def carried_out(check: str, findings: Iterator[Finding]) -> Iterator[Finding]:
    """Turn an unexpected error of a check into a FAIL with its type alone, since its message may quote a secret."""
    try:
        yield from findings
    except Exception as error:  # noqa: BLE001  # whatever it is, the rest is still to be told
        yield fail(check, f"could not be carried out ({type(error).__name__})", "see what is special about it here")
