"""Recorded cases: what a client sends and what it must be answered, one JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

OWN = Path(__file__).with_name("cases")

# All that a folder may hold.
FAMILIES = ("signals", "wavefront", "netbird", "mention")


class BadCasesError(Exception):
    """A folder of cases cannot be run."""


@dataclass(frozen=True, slots=True)
class Case:
    """One line. `line` is the whole object; what its other keys mean is a convention of the family."""

    family: str
    name: str
    line: dict[str, Any] = field(repr=False, hash=False)


def read(directory: Path) -> dict[str, list[Case]]:
    """Read `<family>.jsonl` for each family from `directory`; one without a file is left out.

    Raises BadCasesError: no file, a file of no family, a line that is no case,
    since a case that is not run must not look like one that passes.
    """
    files = sorted(directory.glob("*.jsonl"))
    if unknown := [file.name for file in files if file.stem not in FAMILIES]:
        raise BadCasesError(f"{directory}: cases of no known family: {', '.join(unknown)}")
    if not files:
        raise BadCasesError(f"{directory}: no <family>.jsonl")
    return {file.stem: list(_cases(file)) for file in files}


def _cases(file: Path) -> Sequence[Case]:
    cases = []
    for number, text in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        if not text.strip():
            continue
        try:
            line = json.loads(text)
            cases.append(Case(file.stem, line["name"], line))
        except (ValueError, LookupError, TypeError) as error:
            raise BadCasesError(f"{file}:{number}: no case: {error!r}") from None
    if not cases:
        raise BadCasesError(f"{file}: no cases")
    return cases


def identifiers(cases: Sequence[Case]) -> list[str]:
    """Give each case of a file an id of its own: family and name, numbered where a name comes again."""
    seen: dict[str, int] = {}
    ids = []
    for case in cases:
        seen[case.name] = seen.get(case.name, 0) + 1
        suffix = "" if seen[case.name] == 1 else f" #{seen[case.name]}"
        ids.append(f"{case.family} {case.name}{suffix}")
    return ids


def earlier(case: Case, cases: Sequence[Case], group_of: Callable[[str], str | None]) -> list[Case]:
    """Name the lines of the case's group before it, in the order of the file; none when it stands alone."""
    group = group_of(case.name)
    if group is None:
        return []
    before = cases[: next(number for number, one in enumerate(cases) if one is case)]
    return [one for one in before if group_of(one.name) == group]
