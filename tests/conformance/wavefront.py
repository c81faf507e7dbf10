"""The conventions of Wavefront's cases.

* All lines of a file are sent in its order, to one service; what a line
  `capture`s of its answer stands for `{{NAME}}` in later ones, as do the tokens
  of the fixture.
* `mode`: a line that is `observed` holds where changes of users are answered in
  both styles at once, every other one by default.
* A `precondition` that begins with OPTIONAL needs a switch; such a line is sent
  by itself to a service that has it on.
* `body`: null is no body, a text is sent as it is, all else is JSON.
* A text that is expected of a body is somewhere in it; of a list each element
  that is expected is somewhere in it; null is no expectation.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from accounts_service.families.wavefront.store.native import AccountTokens
from accounts_service.storage.audit import Author
from accounts_service.web.services import TokenOrder
from tests.conformance import expectations
from tests.conformance.recorded import Case
from tests.conformance.wire import Answer, Wire
from tests.support import personas

NewService = Callable[[Mapping[str, object], Mapping[str, str]], Wire]

SWITCHES = {
    "SSO": {"ACCOUNTS_WAVEFRONT_SSO_ENABLED": "true"},
    "STRICT": {"ACCOUNTS_WAVEFRONT_STRICT_REQUIRED": "true"},
}

_CUSTOMER = {"ACCOUNTS_WAVEFRONT_CUSTOMER": "test"}
_HYBRID = {"ACCOUNTS_WAVEFRONT_RESPONSE_STYLE": "hybrid"}
_NAME = re.compile(r"\{\{(\w+)\}\}")

# What became of the lines of a file that was run; it is run once, not once for each of its lines.
_RUN: dict[tuple[int, bool], dict[int, list[str]]] = {}


def differences(case: Case, cases: Sequence[Case], new_service: NewService) -> list[str]:
    """Run the file of a case, or the case alone where it needs a switch; list what is not as expected of the case."""
    if _is_optional(case):
        names = fixture(service := new_service(personas.configuration(), _CUSTOMER | switch_of(case)))
        return _ask(service, case, names)
    observed = case.line.get("mode") == "observed"
    found = _RUN.get((id(cases), observed))
    if found is None:
        service = new_service(personas.configuration(), _CUSTOMER | (_HYBRID if observed else {}))
        names = fixture(service)
        found = _RUN[id(cases), observed] = {}
        for one in cases:
            if not _is_optional(one):
                found[id(one)] = _ask(service, one, names)
    return found[id(case)]


def _is_optional(case: Case) -> bool:
    return str(case.line.get("precondition") or "").startswith("OPTIONAL")


def switch_of(case: Case) -> dict[str, str]:
    """Give the settings that an optional line needs. Raises LookupError for one that speaks of no switch we have."""
    for word, settings in SWITCHES.items():
        if word in case.line["precondition"]:
            return settings
    raise LookupError(f"{case.name}: no switch for {case.line['precondition']!r}")


def fixture(service: Wire) -> dict[str, str]:
    """Make the users that the cases begin with, and give their tokens by name."""
    author = Author("test", "fixture", "fixture-0001")
    orders = {
        "ADMIN_TOKEN": TokenOrder(
            "admin@example.com", create=True, name="a", permissions=("user_management", "token_management")
        ),
        "PLAIN_TOKEN": TokenOrder("plain@example.com", create=True, name="p"),
    }
    names = {}
    for name, order in orders.items():
        with service.services.database.transaction(AccountTokens, author) as tokens:
            names[name] = tokens.create(order, service.services.settings)
    return names


def _ask(service: Wire, case: Case, names: dict[str, str]) -> list[str]:
    line = filled(case.line, names)
    body = line["body"]
    raw = None if body is None else body.encode() if isinstance(body, str) else json.dumps(body).encode()
    answer = service.send(line["method"], line["path"], line["headers"].items(), raw, "127.0.0.1")
    found = list(expectations.judged(line, answer, _EXPECTATIONS))
    for name, path in (line.get("capture") or {}).items():
        try:
            names[name] = captured(answer.json, path)
        except (LookupError, TypeError, ValueError):
            found.append(f"{path} cannot be captured")
    return [*found, f"answer: {answer.status} {answer.text}"] if found else []


def filled(node: Any, names: Mapping[str, str]) -> Any:
    """Put names in; one that is not known stays."""
    if isinstance(node, dict):
        return {key: filled(value, names) for key, value in node.items()}
    if isinstance(node, list):
        return [filled(value, names) for value in node]
    if isinstance(node, str):
        return _NAME.sub(lambda match: names.get(match[1], match[0]), node)
    return node


def captured(document: Any, path: str) -> str:
    """Follow a dotted path; a number is a place in a list, -1 the last. Raises LookupError, TypeError or ValueError."""
    for part in path.split("."):
        document = document[int(part)] if isinstance(document, list) else document[part]
    return str(document)


def _body(expected: Any, answer: Answer) -> Iterator[str]:
    if isinstance(expected, str):
        yield from expectations.contains([expected], answer.text)
    else:
        yield from expectations.covered(expected, answer.json)


_EXPECTATIONS: dict[str, expectations.Rule] = {
    "expect_status": expectations.status,
    "expect_body_contains": _body,
    "expect_body_not_contains": lambda expected, answer: expectations.lacks(expected, answer.text),
}
