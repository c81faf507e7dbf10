"""Which recorded cases the service does not meet, each by a rule that names its decision.

An excepted case is run and must fail; when it passes, its rule covers too much
and the case fails for that. So a rule says exactly what is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from accounts_service import config
from tests.conformance.recorded import Case

# A family's lines cannot even be sent before it is there.
UNBUILT_FAMILIES = ("mention",)


class StaleRuleError(Exception):
    """A rule speaks of something that has changed."""


@dataclass(frozen=True, slots=True)
class Rule:
    """An exception. `decision`: the decision it follows, in a sentence; `covers`: the cases it is about."""

    name: str
    decision: str
    covers: Callable[[Case], bool]


def rule_of(case: Case) -> Rule | None:
    """Find the rule that excepts `case`. Raises StaleRuleError when its family is built and still listed as unbuilt."""
    require_unbuilt(case.family)
    return next((rule for rule in RULES if rule.covers(case)), None)


def require_unbuilt(family: str) -> None:
    """Raise StaleRuleError when `family` is listed as unbuilt and is there."""
    if family in UNBUILT_FAMILIES and family in config.FAMILIES:
        raise StaleRuleError(f"{family} is built: take it out of UNBUILT_FAMILIES")


def _not_built(case: Case) -> bool:
    return case.family in UNBUILT_FAMILIES


RULES = (
    Rule(
        "not built yet",
        "The service is built from the inside out: what is not there yet is added in one of its next steps.",
        _not_built,
    ),
)
