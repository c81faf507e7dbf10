"""The runner of recorded cases: what it takes, and that nothing is left unjudged in silence."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from werkzeug.datastructures import Headers

from accounts_service.access.configuration import AUTHC, read
from accounts_service.web.gate import REPEATED
from tests.conformance import exceptions, expectations, fixture, mention, recorded, signals, test_cases, units
from tests.conformance.exceptions import Rule
from tests.conformance.recorded import BadCasesError, Case
from tests.conformance.wire import Answer, environ_of


def case(name: str, family: str = "signals", **line: Any) -> Case:
    return Case(family, name, {"name": name, "method": "GET", "path": "/", "headers": {}, "body": None, **line})


def unit(name: str, expected: str | None) -> Case:
    body = {"tenant": None, "type": "email", "id": "x"}
    return case(name, method="UNIT", path="account.scoped_id", body=body, expect_json={"value": expected})


def write(directory: Path, family: str, *cases: Case) -> None:
    directory.joinpath(f"{family}.jsonl").write_text("".join(json.dumps(one.line) + "\n" for one in cases))


def answer(document: Any, status: int = 200, headers: Sequence[tuple[str, str]] = ()) -> Answer:
    return Answer(status, Headers(list(headers)), json.dumps(document))


# -- Which cases are run -------------------------------------------------------


def test_a_family_without_a_file_is_left_out(tmp_path: Path) -> None:
    write(tmp_path, "mention", case("one", "mention"), case("two", "mention"))
    assert {family: [one.name for one in cases] for family, cases in recorded.read(tmp_path).items()} == {
        "mention": ["one", "two"]
    }


@pytest.mark.parametrize(
    ("name", "text"),
    (("other.jsonl", "{}"), ("signals.jsonl", "{}"), ("signals.jsonl", "["), ("signals.jsonl", ""), ("a.txt", "")),
)
def test_a_folder_with_something_that_would_not_be_run_is_refused(tmp_path: Path, name: str, text: str) -> None:
    tmp_path.joinpath(name).write_text(text)
    with pytest.raises(BadCasesError):
        recorded.read(tmp_path)


def test_names_that_come_again_are_numbered() -> None:
    assert recorded.identifiers([case("a"), case("b"), case("a")]) == ["signals a", "signals b", "signals a #2"]


@pytest.mark.parametrize(
    ("name", "group"),
    (
        ("A03.1 a sentence. And one more", "A03"),
        ("C01 docs: e.g. this", "C"),
        ("X16 get", "X"),
        ("A12 no dot", None),
        ("B02 json", None),
        ("B02.1 json", None),
        ("U01 nested", None),
    ),
)
def test_a_group_is_the_name_before_its_dot_or_the_letter_of_c_and_x(name: str, group: str | None) -> None:
    assert signals.group_of(name) == group


def test_what_comes_before_a_line_is_its_own_group_only() -> None:
    cases = [case(name) for name in ("X1 a", "A1.1 b", "X2 c", "X3 d", "B1 e", "B2 f")]
    assert [one.name for one in recorded.earlier(cases[3], cases, signals.group_of)] == ["X1 a", "X2 c"]
    assert recorded.earlier(cases[5], cases, signals.group_of) == []


# -- How they are sent ---------------------------------------------------------


def test_a_header_that_is_sent_twice_is_joined_and_marked() -> None:
    environ = environ_of("GET", "/", [("X-User", "a"), ("x-user", "b"), ("X-Other", "c")], None, "127.0.0.1")
    assert environ["HTTP_X_USER"] == "a,b"
    assert environ["HTTP_X_OTHER"] == "c"
    assert environ["HTTP_" + REPEATED.upper().replace("-", "_")] == "x-user"


def test_headers_that_the_server_drops_do_not_arrive() -> None:
    environ = environ_of("GET", "/", [("sg_tenant", "a"), (REPEATED, "b")], None, "127.0.0.1")
    assert not {"HTTP_SG_TENANT", "HTTP_" + REPEATED.upper().replace("-", "_")} & environ.keys()


def test_path_and_body_arrive_as_the_server_hands_them_on() -> None:
    environ = environ_of("PUT", "/a%20b/%C3%A9?x=%20", [("Content-Type", "text/plain")], b"body", "127.0.0.9")
    assert environ["RAW_URI"] == "/a%20b/%C3%A9?x=%20"
    assert environ["PATH_INFO"] == "/a b/é".encode().decode("latin-1")
    assert environ["QUERY_STRING"] == "x=%20"
    assert (environ["CONTENT_TYPE"], environ["CONTENT_LENGTH"], environ["REMOTE_ADDR"]) == (
        "text/plain",
        "4",
        "127.0.0.9",
    )


def test_a_placeholder_is_the_last_earlier_value_and_stays_when_there_is_none() -> None:
    answers = [answer({"id": 1}), answer({"id": 2}), answer([]), answer({})]
    assert signals._filled({"a": ["${id}/${other}"]}, answers) == {"a": ["2/${other}"]}


def test_mentions_placeholders_are_the_fixtures_or_of_earlier_answers_and_never_stay() -> None:
    answers = {"post.it": answer({"account": {"id": "1_a", "list": [{"n": 7}]}})}
    line = {"path": "/${ACCOUNT}/${post.it:account.id}", "body": ["${post.it:account.list.0.n}", None, 1]}
    filled = mention.filled(line, {"ACCOUNT": "x"}, answers)
    assert filled == {"path": "/x/1_a", "body": ["7", None, 1]}
    for odd in ("${NOBODY}", "${post.it:account.none}", "${get.it:account.id}", "${post.it:account.list.9}"):
        with pytest.raises(LookupError):
            mention.filled(odd, {"ACCOUNT": "x"}, answers)


def test_a_group_of_mentions_is_the_name_before_its_first_dot() -> None:
    cases = [case(name, "mention") for name in ("put.a", "get.a.b", "put.b", "alone", "get.c.d")]
    assert [one.name for one in recorded.earlier(cases[4], cases, mention.group_of)] == ["get.a.b"]
    assert [one.name for one in recorded.earlier(cases[2], cases, mention.group_of)] == ["put.a"]
    assert recorded.earlier(cases[3], cases, mention.group_of) == []


def test_the_fixtures_are_whole_and_name_every_domain_that_is_left_out() -> None:
    for files in (fixture.signals(), fixture.authentication(), fixture.tokens()):
        configuration, problems = read({name: yaml.safe_dump(document) for name, document in files.items()})
        assert problems == []
        authc = files.get(AUTHC, {"auth_domains": [None]})
        assert isinstance(authc, dict)
        assert len(configuration.domains) + len(configuration.left_out) == len(authc["auth_domains"])


# -- How they are judged -------------------------------------------------------


@pytest.mark.parametrize(
    ("expected", "actual", "met"),
    (
        ({"a": 1}, {"a": 1, "b": 2}, True),
        ({"a": {"b": None}}, {"a": {"b": None, "c": 1}}, True),
        ({"a": None}, {}, False),
        ({"a": 1}, {"a": True}, False),
        ({"a": True}, {"a": 1}, False),
        ({"a": 1}, [], False),
        ([{"a": 1}], [{"a": 1, "b": 2}], True),
        ([1], [1, 2], False),
        ([1, 2], [2, 1], False),
    ),
)
def test_json_is_expected_as_a_subset_with_lists_whole(expected: Any, actual: Any, met: bool) -> None:  # noqa: FBT001  # a parameter of the test
    assert (not list(expectations.subset(expected, actual))) is met


@pytest.mark.parametrize(
    ("expected", "actual", "met"),
    (
        ({"a": "$any"}, {"a": None}, True),
        ({"a": "$any"}, {}, False),
        ({"a": "$nonempty"}, {"a": ["x"]}, True),
        ({"a": "$nonempty"}, {"a": 0}, True),
        ({"a": "$nonempty"}, {"a": []}, False),
        ({"a": "$nonempty"}, {"a": ""}, False),
        ({"a": "$nonempty"}, {}, False),
        ({"a": {"b": "$absent"}}, {"a": {"c": 1}}, True),
        ({"a": {"b": "$absent"}}, {"a": {"b": None}}, False),
        ({"a": {"b": "$absent"}}, {}, False),
        ({"a": "$regex:^[0-9]+_"}, {"a": "12_x"}, True),
        ({"a": "$regex:^[0-9]+_"}, {"a": "x12_"}, False),
        ({"a": "$regex:1"}, {"a": 1}, False),
        ({"a": [{"b": "$any"}]}, {"a": [{"b": 1, "c": 2}]}, True),
        ({"a": ["$any"]}, {"a": []}, False),
        ({"a": []}, {"a": {}}, False),
        ({"a": 1}, {"a": True}, False),
        ({"a": 1}, None, False),
    ),
)
def test_some_texts_of_mentions_stand_for_more_than_themselves(expected: Any, actual: Any, met: bool) -> None:  # noqa: FBT001  # a parameter of the test
    assert (not list(mention.fits(expected, actual))) is met


def test_content_type_counts_by_its_media_type_and_other_headers_whole() -> None:
    assert not list(expectations.header("Content-Type", "application/json", ["Application/JSON; charset=utf-8"]))
    assert list(expectations.header("Content-Type", "application/json", ["text/plain"]))
    assert list(expectations.header("Allow", "GET", ["GET, PUT"]))
    assert not list(expectations.header("WWW-Authenticate", ["a", "b"], ["a", "b"]))
    assert list(expectations.header("WWW-Authenticate", None, ["a"]))


def test_every_expectation_that_is_not_met_is_told() -> None:
    line = case(
        "A",
        expect_status=201,
        expect_body_contains=["x"],
        expect_not_contains=["hits"],
        expect_json={"a": 1},
        expect_headers={"ETag": "1"},
        expect_detail_size=1,
        expect_max_hits=1,
    )
    assert len(list(signals.judge(line, answer({"hits": {"hits": [1, 2]}, "detail": {}})))) == 7
    met = answer({"hits": {"hits": [1]}, "detail": {"x": 1}}, 201, [("ETag", "1")])
    assert not list(
        signals.judge(Case("signals", "A", {**line.line, "expect_not_contains": [], "expect_json": {}}), met)
    )


def test_an_expectation_or_operation_without_a_rule_is_an_error() -> None:
    with pytest.raises(LookupError):
        list(signals.judge(case("A", expect_miracle=1), answer({})))
    with pytest.raises(units.BadUnitError):
        list(units.differences("make.coffee", {}, {}))
    with pytest.raises(units.BadUnitError):
        list(units.differences("email.valid_flx", "a@b", {"miracle": True}))


@pytest.mark.parametrize(
    ("operation", "body", "expected"),
    (
        (
            "config.validate_role",
            {"exclude_index_permissions": [{"index_patterns": ["a"]}]},
            {"error_contains": "This attribute is no longer supported"},
        ),
        (
            "authz.has_tenant_permission",
            {
                "roles": {"r": {"tenant_permissions": [{"tenant_patterns": ["t"], "allowed_actions": ["*"]}]}},
                "user_roles": ["r"],
                "tenant": "t",
                "action": "cluster:admin:searchguard:tenant:signals:watch/get",
            },
            {"allowed": True},
        ),
        ("tenant.resolve", {"uri": "/_signals/account/email/x", "headers": {"sgTenant": "t"}}, {"tenant": "t"}),
        (
            "role_mapping.evaluate",
            {"mapping": {"r": {"users": "u"}}, "mode": "BOTH", "user": {"name": "u", "backend_roles": ["b"]}},
            {"set": ["b", "r"]},
        ),
        ("account.scoped_id", {"tenant": "t", "type": "email", "id": "x"}, {"value": "t/email/x"}),
    ),
)
def test_operations_are_those_of_the_service(operation: str, body: Any, expected: Mapping[str, Any]) -> None:
    assert not list(units.differences(operation, body, expected))


# -- Exceptions ----------------------------------------------------------------


def _run(one: Case, monkeypatch: pytest.MonkeyPatch, *rules: Rule) -> list[tuple[str, object]]:
    properties: list[tuple[str, object]] = []
    monkeypatch.setattr(exceptions, "RULES", rules)

    def no_service(*_: object) -> Any:
        raise AssertionError("a UNIT line asks no service")

    test_cases.test_case(one, [one], no_service, lambda name, value: properties.append((name, value)))
    return properties


def test_a_case_passes_or_fails_by_its_differences(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _run(unit("U", "email/x"), monkeypatch) == []
    with pytest.raises(AssertionError, match="email/y"):
        _run(unit("U", "email/y"), monkeypatch)


def test_an_excepted_case_must_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    rule = Rule("some rule", "A decision.", lambda _: True)
    with pytest.raises(pytest.xfail.Exception, match="some rule"):
        _run(unit("U", "email/y"), monkeypatch, rule)
    with pytest.raises(pytest.fail.Exception, match="must no longer cover it"):
        _run(unit("U", "email/x"), monkeypatch, rule)


def test_the_last_line_sums_up_what_several_processes_ran(tmp_path: Path) -> None:
    write(tmp_path, "signals", unit("U1", "email/x"), unit("U2", "email/x"), unit("U3", "email/y"))
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "2", "tests/conformance", "--cases", tmp_path],
        check=False,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
    )
    assert run.returncode == 1
    assert run.stdout.splitlines()[-1] == "conformance: 3 cases, 2 passed, 0 excepted, 0 skipped"
