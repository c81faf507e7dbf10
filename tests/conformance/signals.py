"""The conventions of Signals' cases.

* A group is a name before its dot, without one the letter of C and X lines; B
  and U lines stand alone. The store is empty when a group starts.
* `body`: null is no body, `{"__raw__": text}` the text itself, all else JSON.
* `x-test-identity` and `x-test-peer-ip` are no headers: who sends, and from where.
* A header given as a list is sent once for each element.
* `${name}` is the value of `name` in the last earlier answer of the group that has one.
* `dialect`: the setting of ACCOUNTS_SIGNALS_ERRORS that a line holds for; both without it.
* The method UNIT asks for a piece of logic: see units.py.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from accounts_service.config import PREFIX, Settings
from tests.conformance import expectations, fixture, recorded, units
from tests.conformance.recorded import Case
from tests.conformance.wire import Answer, Wire

IDENTITY = "x-test-identity"
PEER = "x-test-peer-ip"
DIALECTS = ("documented", "flx")

_SETTING = "signals_errors"
_PLACEHOLDER = re.compile(r"\$\{(\w+)\}")


def group_of(name: str) -> str | None:
    """Name the group of a line; None when it stands alone."""
    number = name.split(maxsplit=1)[0]
    group, dot, _ = number.partition(".")
    if number[0] in "BU":
        return None
    if dot:
        return group
    return number[0] if number[0] in "CX" else None


def differences(
    case: Case, cases: Sequence[Case], new_service: Callable[[Mapping[str, object], Mapping[str, str]], Wire]
) -> list[str]:
    """Run a case of the file on an empty store, after the earlier lines of its group; list what is not as expected.

    `new_service` makes a service from configuration files and settings.
    """
    if case.line["method"] == "UNIT":
        return list(units.differences(case.line["path"], case.line["body"], case.line["expect_json"]))
    earlier = recorded.earlier(case, cases, group_of)
    found = []
    for settings in _settings(case):
        service = new_service(_files(case), settings)
        answers: list[Answer] = []
        for one in (*earlier, case):
            answers.append(_send(service, one, answers))
        found += [f"{difference} {settings or ''}".rstrip() for difference in judge(case, answers[-1])]
        if found:
            found.append(f"answer: {answers[-1].status} {answers[-1].text}")
            break
    return found


def _settings(case: Case) -> list[dict[str, str]]:
    if _SETTING not in {field.name for field in dataclasses.fields(Settings)}:
        return [{}]
    dialects = (case.line["dialect"],) if "dialect" in case.line else DIALECTS
    return [{PREFIX + _SETTING.upper(): dialect} for dialect in dialects]


def _files(case: Case) -> dict[str, object]:
    if not case.name.startswith("B"):
        return fixture.signals()
    return fixture.tokens() if case.name.startswith("B09") else fixture.authentication()


def _send(service: Wire, case: Case, answers: Sequence[Answer]) -> Answer:
    line = _filled(case.line, answers)
    headers = []
    peer = "127.0.0.1"
    for name, values in line["headers"].items():
        for value in values if isinstance(values, list) else [values]:
            match name.lower():
                case "x-test-identity":
                    headers.append(("Authorization", fixture.authorization(value)))
                case "x-test-peer-ip":
                    peer = value
                case _:
                    headers.append((name, value))
    return service.send(line["method"], line["path"], headers, _body(line["body"]), peer)


def _body(body: Any) -> bytes | None:
    if body is None:
        return None
    if isinstance(body, dict) and "__raw__" in body:
        return str(body["__raw__"]).encode()
    return json.dumps(body).encode()


def _filled(node: Any, answers: Sequence[Answer]) -> Any:
    if isinstance(node, dict):
        return {name: _filled(value, answers) for name, value in node.items()}
    if isinstance(node, list):
        return [_filled(value, answers) for value in node]
    if isinstance(node, str):
        return _PLACEHOLDER.sub(lambda match: _found(match[1], match[0], answers), node)
    return node


def _found(name: str, otherwise: str, answers: Sequence[Answer]) -> str:
    documents = (answer.json for answer in reversed(answers))
    values = (document[name] for document in documents if isinstance(document, dict) and name in document)
    return str(next(values, otherwise))


def judge(case: Case, answer: Answer) -> Iterator[str]:
    """Hold an answer against every `expect…` of a line. Raises LookupError for one that has no rule here."""
    yield from expectations.judged(case.line, answer, _EXPECTATIONS)


def _headers(expected: Mapping[str, Any], answer: Answer) -> Iterator[str]:
    for name, value in expected.items():
        yield from expectations.header(name, value, answer.headers.getlist(name))


def _detail_size(expected: int, answer: Answer) -> Iterator[str]:
    detail = _inside(answer.json, "detail")
    if not isinstance(detail, dict) or len(detail) != expected:
        yield f"detail is {detail!r}, not of {expected} keys"


def _max_hits(expected: int, answer: Answer) -> Iterator[str]:
    hits = _inside(_inside(answer.json, "hits"), "hits")
    if not isinstance(hits, list) or len(hits) > expected:
        yield f"hits are {hits!r}, not at most {expected}"


def _inside(document: Any, name: str) -> Any:
    return document.get(name) if isinstance(document, dict) else None


_EXPECTATIONS: dict[str, expectations.Rule] = {
    "expect_status": expectations.status,
    "expect_body_contains": lambda expected, answer: expectations.contains(expected, answer.text),
    "expect_not_contains": lambda expected, answer: expectations.lacks(expected, answer.text),
    "expect_json": lambda expected, answer: expectations.subset(expected, answer.json),
    "expect_headers": _headers,
    "expect_detail_size": _detail_size,
    "expect_max_hits": _max_hits,
}
