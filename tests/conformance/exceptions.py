"""Which recorded cases the service does not meet, each by a rule that names its decision.

An excepted case is run and must fail; when it passes, its rule covers too much
and the case fails for that. So a rule says exactly what is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.conformance.recorded import Case


@dataclass(frozen=True, slots=True)
class Rule:
    """An exception. `decision`: the decision it follows, in a sentence; `covers`: the cases it is about."""

    name: str
    decision: str
    covers: Callable[[Case], bool]


def rule_of(case: Case) -> Rule | None:
    """Find the rule that excepts `case`."""
    return next((rule for rule in RULES if rule.covers(case)), None)


# None: every family meets all its cases.
RULES: tuple[Rule, ...] = ()
