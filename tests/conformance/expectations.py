"""What an answer must be. Each function yields the differences it finds, a sentence each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

from tests.conformance.wire import Answer

Rule: TypeAlias = Callable[[Any, Answer], Iterator[str]]


def judged(line: Mapping[str, Any], answer: Answer, rules: Mapping[str, Rule]) -> Iterator[str]:
    """Hold an answer against every `expect…` of a line. Raises LookupError for one that has no rule."""
    for name, expected in line.items():
        if name.startswith("expect") and expected is not None:
            yield from rules[name](expected, answer)


def status(expected: int, answer: Answer) -> Iterator[str]:
    """Find the status that is expected."""
    if answer.status != expected:
        yield f"the status is {answer.status}, not {expected}"


def subset(expected: Any, actual: Any, place: str = "$") -> Iterator[str]:
    """Hold JSON against a recursive subset of it: objects by the keys expected, lists whole, `1` is not `true`."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        for key, value in expected.items():
            if key in actual:
                yield from subset(value, actual[key], f"{place}.{key}")
            else:
                yield f"{place}.{key} is missing"
    elif isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        for number, (one, other) in enumerate(zip(expected, actual, strict=True)):
            yield from subset(one, other, f"{place}[{number}]")
    elif expected != actual or isinstance(expected, bool) is not isinstance(actual, bool):
        yield f"{place} is {actual!r}, not {expected!r}"


def covered(expected: Any, actual: Any, place: str = "$") -> Iterator[str]:
    """Hold JSON against a part of it: objects by the keys expected, of lists each element expected is somewhere."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        for key, value in expected.items():
            if key in actual:
                yield from covered(value, actual[key], f"{place}.{key}")
            else:
                yield f"{place}.{key} is missing"
    elif isinstance(expected, list) and isinstance(actual, list):
        for number, element in enumerate(expected):
            if not any(not list(covered(element, one)) for one in actual):
                yield f"{place}[{number}] is nowhere: {element!r}"
    elif expected != actual or isinstance(expected, bool) is not isinstance(actual, bool):
        yield f"{place} is {actual!r}, not {expected!r}"


def contains(expected: list[str], text: str) -> Iterator[str]:
    """Find every one of `expected` in the body."""
    for part in expected:
        if part not in text:
            yield f"the body lacks {part!r}"


def lacks(unexpected: list[str], text: str) -> Iterator[str]:
    """Find none of `unexpected` in the body."""
    for part in unexpected:
        if part in text:
            yield f"the body holds {part!r}"


def header(name: str, expected: str | list[str] | None, actual: list[str]) -> Iterator[str]:
    """Hold the values of a header against one, a list of them, or None; Content-Type by its media type."""
    wanted = [] if expected is None else [expected] if isinstance(expected, str) else expected
    if name.lower() == "content-type":
        wanted, actual = ([value.partition(";")[0].strip().lower() for value in values] for values in (wanted, actual))
    if wanted != actual:
        yield f"{name} is {actual!r}, not {wanted!r}"
