"""From marshmallow's errors to problems: every flaw with its path and value, in the schema's order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from marshmallow import ValidationError

from accounts_service.faults import Flaw, Json, Problem


@dataclass(frozen=True, slots=True)
class Found:
    """A flaw and the value that has it, as a field reports it."""

    flaw: Flaw
    value: Json = None


def flawed(flaw: Flaw, value: Json = None, attribute: str | None = None) -> ValidationError:
    """Make the error a field or schema raises. `attribute` is needed only in a schema's own checks."""
    error = [Found(flaw, value)]
    return ValidationError(error) if attribute is None else ValidationError({attribute: error})


def problems_of(error: ValidationError) -> tuple[Problem, ...]:
    """Flatten what marshmallow collected."""
    return tuple(_flatten(error.messages, ()))


def _flatten(messages: Any, path: tuple[str | int, ...]) -> Iterator[Problem]:  # noqa: ANN401  # marshmallow's own type
    if isinstance(messages, Found):
        yield Problem(path, messages.flaw, messages.value)
    elif isinstance(messages, dict):
        for key, inner in messages.items():
            yield from _flatten(inner, (*path, key))
    elif isinstance(messages, list):
        for inner in messages:
            yield from _flatten(inner, path)
    else:
        raise TypeError(f"a field speaks for itself: {type(messages).__name__}")
