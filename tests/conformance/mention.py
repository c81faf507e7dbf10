"""The conventions of Mention's cases.

* A group is what stands in names before their first dot. The lines of a group are sent in the order of the file, to
  a service as the fixture leaves it.
* `${NAME}` is what the fixture has under this name, `${CASE:PATH}` what stands at a dotted path in the answer to an
  earlier line of the group.
* `body`: null is no body, a text is sent as it is, all else is JSON.
* An object that is expected of a body is a part of it. In it `$any` is whatever is there, `$nonempty` whatever is
  there and not empty, `$absent` what is not there, and `$regex:PATTERN` a text in which the pattern is found.
  Of a list each text is somewhere in the body; null is no expectation.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from tests.conformance import expectations, recorded
from tests.conformance.recorded import Case
from tests.conformance.wavefront import captured
from tests.conformance.wire import Answer, Wire
from tests.support import personas
from tests.support.mention import furnish

NewService = Callable[[Mapping[str, object], Mapping[str, str]], Wire]

_PLACEHOLDER = re.compile(r"\$\{([^{}:]+)(?::([^{}]+))?\}")
_ANY, _NONEMPTY, _ABSENT, _REGEX = "$any", "$nonempty", "$absent", "$regex:"


def group_of(name: str) -> str:
    """Name the group of a line."""
    return name.partition(".")[0]


def differences(case: Case, cases: Sequence[Case], new_service: NewService) -> list[str]:
    """Run a case on the fixture, after the earlier lines of its group; list what is not as expected.

    Raises LookupError, TypeError or ValueError when a placeholder stands for nothing.
    """
    service = new_service(personas.configuration(), {})
    names = furnish(service.services)
    answers: dict[str, Answer] = {}
    for one in recorded.earlier(case, cases, group_of):
        answers[one.name] = _sent(service, filled(one.line, names, answers))
    line = filled(case.line, names, answers)
    answer = _sent(service, line)
    found = list(expectations.judged(line, answer, _EXPECTATIONS))
    return [*found, f"answer: {answer.status} {answer.text}"] if found else []


def _sent(service: Wire, line: Mapping[str, Any]) -> Answer:
    body = line["body"]
    raw = None if body is None else body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return service.send(line["method"], line["path"], line["headers"].items(), raw, "127.0.0.1")


def filled(node: Any, names: Mapping[str, str], answers: Mapping[str, Answer]) -> Any:
    """Put in what placeholders stand for. Raises LookupError, TypeError or ValueError when there is no such thing."""
    if isinstance(node, dict):
        return {key: filled(value, names, answers) for key, value in node.items()}
    if isinstance(node, list):
        return [filled(value, names, answers) for value in node]
    if isinstance(node, str):
        return _PLACEHOLDER.sub(
            lambda match: names[match[1]] if match[2] is None else captured(answers[match[1]].json, match[2]), node
        )
    return node


def _body(expected: Any, answer: Answer) -> Iterator[str]:
    if isinstance(expected, list):
        yield from expectations.contains(expected, answer.text)
    else:
        yield from fits(expected, answer.json)


def fits(expected: Any, actual: Any, place: str = "$") -> Iterator[str]:
    """Hold JSON against a recursive subset of it, in which some texts stand for more than themselves."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        for key, value in expected.items():
            if (key in actual) is (value == _ABSENT):
                yield f"{place}.{key} is {'there' if key in actual else 'missing'}"
            elif key in actual:
                yield from fits(value, actual[key], f"{place}.{key}")
    elif isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        for number, (one, other) in enumerate(zip(expected, actual, strict=True)):
            yield from fits(one, other, f"{place}[{number}]")
    elif not _stands_for(expected, actual):
        yield from expectations.subset(expected, actual, place)


def _stands_for(expected: Any, actual: Any) -> bool:
    if expected == _NONEMPTY:
        return actual not in (None, "", [], {})
    if isinstance(expected, str) and expected.startswith(_REGEX):
        return isinstance(actual, str) and re.search(expected.removeprefix(_REGEX), actual) is not None
    return bool(expected == _ANY)


_EXPECTATIONS: dict[str, expectations.Rule] = {
    "expect_status": expectations.status,
    "expect_body_contains": _body,
}
