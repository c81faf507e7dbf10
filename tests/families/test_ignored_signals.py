"""Attributes that Signals ignores, as Search Guard does: they are named in the answer and in the audit record."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts_service.families.signals import examples
from accounts_service.families.signals.schemas.accounts import SCHEMAS, ignored
from accounts_service.faults import Json
from accounts_service.validation.ignored import Ignored
from accounts_service.web.ignored import IGNORED, header_of
from tests.support.service import Service

pytestmark = pytest.mark.any_database

EMAIL = "/_signals/account/email/x"
PATCH = {"Content-Type": "application/merge-patch+json"}
TYPING_ERRORS: dict[str, Json] = {"enable_tsl": True, "pasword": "hunter2"}


def email(**more: Json) -> dict[str, Json]:
    return {"host": "mail.mycompany.example", "port": 587, **more}


def details(service: Service) -> list[Any]:
    return [json.loads(row.detail).get("ignored") for row in service.audited()]


def test_a_put_names_the_attributes_that_it_ignored(service: Service) -> None:
    answer = service.put(EMAIL, email(**TYPING_ERRORS))
    assert (answer.status_code, answer.headers[IGNORED]) == (201, "enable_tsl, pasword")
    stored = service.get(EMAIL)
    assert stored.json["_source"] == {"type": "email", "_name": "x", **email()}
    assert IGNORED not in stored.headers
    assert details(service) == [["enable_tsl", "pasword"]]
    assert "hunter2" not in str([tuple(row) for row in service.audited()])


def test_a_put_that_ignores_nothing_has_no_header(service: Service) -> None:
    for account_type, body in examples.GOOD.items():
        answer = service.put(f"/_signals/account/{account_type}/x", body)
        assert (answer.status_code, IGNORED in answer.headers) == (201, False)
    assert details(service) == [None] * len(examples.GOOD)


def test_a_patch_names_the_attributes_that_it_ignored(service: Service) -> None:
    service.put(EMAIL, email())
    for patch, result in (({"enable_tsl": True, "port": 25}, "updated"), ({"enable_tsl": None}, "noop")):
        answer = service.ask("PATCH", EMAIL, data=json.dumps(patch), headers=PATCH)
        assert (answer.status_code, answer.json["result"], answer.headers[IGNORED]) == (200, result, "enable_tsl")
    assert details(service) == [None, ["enable_tsl"]]


def test_the_form_of_2019_and_tenants_name_them_too(service: Service) -> None:
    answer = service.put("/_signals/account/one", {"type": "email", **email(**TYPING_ERRORS)})
    assert (answer.status_code, answer.headers[IGNORED]) == (201, "enable_tsl, pasword")
    answer = service.put("/_signals/account/_main/email/x", email(**TYPING_ERRORS))
    assert (answer.status_code, answer.headers[IGNORED]) == (201, "enable_tsl, pasword")
    answer = service.ask("PATCH", "/_signals/account/_main/email/x", data='{"hots": "y"}', headers=PATCH)
    assert (answer.status_code, answer.headers[IGNORED]) == (200, "hots")


def test_an_attribute_of_another_type_is_ignored(service: Service) -> None:
    answer = service.put("/_signals/account/pagerduty/x", {"integration_key": "k", "uri": "https://x", "host": "h"})
    assert (answer.status_code, answer.headers[IGNORED]) == (201, "uri, host")


def test_what_clients_are_known_to_send_is_not_named(service: Service) -> None:
    sent = email(type="email", _id="email/x", _name="x", _tenant="t", mime_layout="default")
    assert IGNORED not in service.put(EMAIL, sent).headers
    fetched = service.get(EMAIL).json["_source"]
    answer = service.put(EMAIL, fetched)
    assert (answer.status_code, IGNORED in answer.headers) == (200, False)


def test_a_refused_request_names_nothing(service: Service) -> None:
    answer = service.put(EMAIL, {"hsot": "x", "port": 25})
    assert (answer.status_code, IGNORED in answer.headers) == (400, False)


def test_a_replayed_answer_names_them_again(service: Service) -> None:
    headers = {"Idempotency-Key": "once-and-again"}
    first, second = (service.put(EMAIL, email(**TYPING_ERRORS), headers=headers) for _ in range(2))
    assert second.headers["Idempotency-Replayed"] == "true"
    assert first.headers[IGNORED] == second.headers[IGNORED] == "enable_tsl, pasword"
    assert details(service) == [["enable_tsl", "pasword"]]


# -- Names that are anything ---------------------------------------------------


@pytest.mark.parametrize(
    ("name", "item"),
    (
        ("a", "a"),
        ("a-b.c_d", "a-b.c_d"),
        ("", '""'),
        ("9a", '"9a"'),
        ("*", '"*"'),
        ("a b", '"a b"'),
        ('a"b\\c', '"a\\"b\\\\c"'),
        ("a, b;c=d", '"a, b;c=d"'),
        ("ü", '%"%c3%bc"'),
        ('100% "ü"', '%"100%25 %22%c3%bc%22"'),
        ("a\r\nSet-Cookie: b=c", '%"a%ef%bf%bd%ef%bf%bdSet-Cookie: b=c"'),
        ("\x7f", '%"%ef%bf%bd"'),
        ("x" * 65, "x" * 61 + "..."),
        ("x" * 64, "x" * 64),
        # What a client may have put in the place of a name.
        ("nbp_0123456789abcdef", '"<token>"'),
        ("9c0e6a1a-8f5f-4a4e-9d0c-0e3c9a1b2c3d", '"<uuid>"'),
        ("https://hooks.slack.com/services/T0/B0/X", '"<token>"'),
        ("0123456789abcdef0123456789abcdef", '"<token>"'),
        ("someone@mycompany.example", '"<token>"'),
        ("xoxb-1234567890-abcdefghijkl", '"<token>"'),
        ("glpat-aB3dEf7hIj_kLmNoPqRs", '"<token>"'),
        ("sk_live_4eC39HqLyjWD", '"<token>"'),
        ("A1b2/C3d4+E5f6=G7h8", '"<token>"'),
        ("Bearer abc", '"<token>"'),
        ("smtp_server_v2_of_the_installation", "smtp_server_v2_of_the_installation"),
        ("mimeLayoutOfTheMessage", "mimeLayoutOfTheMessage"),
    ),
)
def test_a_name_is_written_as_one_item_of_a_structured_field(service: Service, name: str, item: str) -> None:
    answer = service.put(EMAIL, email(**{name: 1}))
    assert (answer.status_code, answer.headers[IGNORED]) == (201, item)


@pytest.mark.parametrize("value", ("password", "Password", " PASSWORD", "pass_word", ["password"]))
def test_a_name_whose_value_names_a_secret_is_not_told(service: Service, value: Json) -> None:
    answer = service.put(EMAIL, email(hunter2=value))
    assert answer.headers[IGNORED] == '"<swapped>"'
    assert details(service) == [["<swapped>"]]


@pytest.mark.parametrize("part", ("a", "aB-", "eyJ", "a_"))
def test_name_of_a_megabyte_is_told_shortened(service: Service, part: str) -> None:
    """Looking for secrets in it takes no longer than its length; else the worker would answer nobody for hours."""
    answer = service.put(EMAIL, email(**{part * (1_000_000 // len(part)): 1}))
    assert answer.status_code == 201
    assert len(answer.headers[IGNORED]) <= 64


def test_only_twenty_names_are_told_and_recorded(service: Service) -> None:
    more = {f"x{number:04}": None for number in range(1000)}
    answer = service.put(EMAIL, email(**more))
    names = [f"x{number:04}" for number in range(20)]
    assert answer.headers[IGNORED] == ", ".join((*names, "*;more=980"))
    assert details(service) == [[*names, "... and 980 more"]]


@given(st.lists(st.text(), min_size=1, max_size=40))
def test_the_header_is_one_line_of_ascii_that_is_a_structured_list(names: list[str]) -> None:
    value = header_of([Ignored((name,), ()) for name in names])
    assert value.isascii()
    assert value.isprintable()
    assert len(value) < 1600
    *told, last = items_of(value)
    more = re.fullmatch(r"\*;more=([0-9]+)", last)
    assert len(told) + (int(more[1]) if more else 1) == len(names)
    assert len(told) <= 20


def items_of(value: str) -> Iterator[str]:
    """Read a list of RFC 9651 whose items are tokens, strings and display strings; all of it or AssertionError."""
    item = re.compile(
        r"""(?: %"(?:[\x20-\x24\x26-\x7e](?<!")|%[0-9a-f]{2})*"
            | "(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*"
            | [A-Za-z*][!#$%&'*+.^_`|~0-9A-Za-z:/-]*(?:;more=[0-9]+)? )(?:,[ ]|\Z)""",
        re.VERBOSE,
    )
    at = 0
    while at < len(value):
        match = item.match(value, at)
        assert match, value[at:]
        yield match[0]
        at = match.end()


@given(st.dictionaries(st.text(), st.none() | st.booleans() | st.text()), st.sampled_from(sorted(SCHEMAS)))
def test_what_is_kept_of_a_body_is_never_called_ignored(body: dict[str, Json], account_type: str) -> None:
    named = {one.path[0] for one in ignored(body, {"account_type": account_type.upper()})}
    assert named.isdisjoint(SCHEMAS[account_type].fields)
