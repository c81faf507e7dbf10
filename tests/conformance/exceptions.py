"""Which recorded cases the service does not meet, each by a rule that names its decision.

An excepted case is run and must fail; when it passes, its rule covers too much
and the case fails for that. So a rule says exactly what is missing.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from accounts_service import config
from tests.conformance.recorded import Case
from tests.conformance.signals import PEER

# A family's lines cannot even be sent before it is there.
UNBUILT_FAMILIES = ("wavefront", "netbird", "mention")


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
    if case.family in UNBUILT_FAMILIES:
        return True
    if case.line["method"] == "UNIT":
        return False
    return any(needs(case) for needs in (_other_root, _search, _tenant_path, _2019_form, _type, _anonymous))


# Each of these knows what is answered as long as the thing is not there, and
# leaves out the cases that expect just that.


def _other_root(case: Case) -> bool:
    """`/_searchguard/…` and `/_search/scroll`: 404 for everyone."""
    return _path(case).startswith(("/_searchguard/", "/_search/")) and _status(case) != 404


def _search(case: Case) -> bool:
    """`…/account/{tenant}/_search`: taken for the account `_search`, so a caller without privileges gets his 403."""
    match _account_path(case):
        case [_, "_search"]:
            # A GET is answered as that of an account is; every other method with 405.
            as_an_account = {401, 403} if case.line["method"] == "GET" else {401, 405}
            return _status(case) not in as_an_account or "security_exception" in _expected(case)
        case _:
            return False


def _tenant_path(case: Case) -> bool:
    """`…/account/{tenant}/{type}/{id}`: no such route, once somebody is asking."""
    return len(_account_path(case)) == 3 and not _expects_no_route(case)


def _2019_form(case: Case) -> bool:
    """`…/account/{id}` and `…/account/_search`: no such route, once somebody is asking."""
    return len(_account_path(case)) == 1 and not _expects_no_route(case)


def _type(case: Case) -> bool:
    """Jira and PagerDuty: unknown types, none of which is stored."""
    match _account_path(case):
        case [kind, _] if kind.lower() in ("jira", "pagerduty"):
            return _status(case) in (200, 201) or (_status(case) == 400 and _says_more(case))
        case [_, _] if case.line["method"] == "PUT":
            # The answer to an unknown type lists those there are.
            return "pagerduty" in _expected(case)
        case _:
            return False


def _anonymous(case: Case) -> bool:
    """Domains for nobody in particular: left out, so nobody is 401."""
    return case.line["headers"].get(PEER) in ("127.0.0.33", "127.0.0.34") and _status(case) != 401


def _path(case: Case) -> str:
    return str(case.line["path"]).partition("?")[0]


def _account_path(case: Case) -> list[str]:
    path = _path(case)
    root = "/_signals/account/"
    return path.removeprefix(root).split("/") if path.startswith(root) else []


def _status(case: Case) -> int | None:
    status: int | None = case.line["expect_status"]
    return status


def _expected(case: Case) -> str:
    return json.dumps({name: value for name, value in case.line.items() if name.startswith("expect")})


def _says_more(case: Case) -> bool:
    return any(case.line.get(name) for name in ("expect_body_contains", "expect_json", "expect_detail_size"))


def _expects_no_route(case: Case) -> bool:
    no_route = "no handler found" in _expected(case) or not _says_more(case)
    return _status(case) == 401 or (_status(case) == 400 and no_route)


RULES = (
    Rule(
        "not built yet",
        "The service is built from the inside out: what is not there yet is added in one of its next steps.",
        _not_built,
    ),
)
