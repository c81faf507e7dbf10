"""The conventions of NetBird's cases.

* Each case is sent to a service of its own, as the fixture leaves it.
* `{A}` is the account of the caller and `{B}` another one; `{uid:ROLE}` a user,
  `{pat:ROLE}` a token of his, `{tid:ROLE}` its id, `{group}` a group of A.
* `before`: requests that are sent first.
* `body`: null is no body, a text is sent as it is, all else is JSON.
* A text that is expected is somewhere in the body, written as JSON without
  blanks, or as it is where it is none; null is no expectation.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from tests.conformance import expectations
from tests.conformance.recorded import Case
from tests.conformance.wire import Answer, Wire
from tests.support import personas
from tests.support.netbird import filled, furnish

NewService = Callable[[Mapping[str, object], Mapping[str, str]], Wire]


def differences(case: Case, cases: Sequence[Case], new_service: NewService) -> list[str]:
    """Run a case on the fixture; list what is not as expected."""
    del cases
    service = new_service(personas.configuration(), {})
    names = furnish(service.services)
    line = filled(case.line, names)
    for one in line.get("before", ()):
        _sent(service, one)
    answer = _sent(service, line)
    found = list(expectations.judged(line, answer, _EXPECTATIONS))
    return [*found, f"answer: {answer.status} {answer.text}"] if found else []


def _sent(service: Wire, line: Mapping[str, Any]) -> Answer:
    body = line.get("body")
    raw = None if body is None else body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return service.send(line["method"], line["path"], line["headers"].items(), raw, "127.0.0.1")


def _body(expected: Any, answer: Answer) -> Iterator[str]:
    if isinstance(expected, str):
        document = answer.json
        written = answer.text if document is None else json.dumps(document, separators=(",", ":"), ensure_ascii=False)
        yield from expectations.contains([expected], written)
    else:
        yield from expectations.subset(expected, answer.json)


_EXPECTATIONS: dict[str, expectations.Rule] = {
    "expect_status": expectations.status,
    "expect_body_contains": _body,
}
