"""Conditions of RFC 9110 section 13, held against versions."""

from __future__ import annotations

import pytest
from flask import Flask, request

from accounts_service.faults import PreconditionFailed, RefusedError
from accounts_service.web.etags import REFERENCES, WHOLE, Conditions, tag_of


def conditions(**headers: str) -> Conditions:
    """Make the conditions of a request."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with Flask("asking").test_request_context("/", headers=named):
        return Conditions.of(request)


@pytest.mark.parametrize(
    ("headers", "version", "holds"),
    (
        ({}, None, True),
        ({}, 3, True),
        ({"If_Match": '"3"'}, 3, True),
        ({"If_Match": '"2"'}, 3, False),
        ({"If_Match": '"2", "3"'}, 3, True),
        ({"If_Match": '"3"'}, None, False),
        ({"If_Match": "*"}, 3, True),
        ({"If_Match": "*"}, None, False),
        ({"If_Match": 'W/"3"'}, 3, True),
        ({"If_Match": 'W/"2"'}, 3, False),
        ({"If_Match": 'W/"2", W/"3"'}, 3, True),
        ({"If_Match": 'W/"3"'}, None, False),
        ({"If_Match": 'W/"03"'}, 3, False),
        ({"If_Match": ""}, 3, False),
        ({"If_Match": '"03"'}, 3, False),
        ({"If_None_Match": "*"}, None, True),
        ({"If_None_Match": "*"}, 3, False),
        ({"If_None_Match": '"3"'}, 3, False),
        ({"If_None_Match": '"2"'}, 3, True),
        ({"If_None_Match": 'W/"3"'}, 3, False),
        ({"If_None_Match": ""}, 3, True),
        ({"If_Match": '"3"', "If_None_Match": '"3"'}, 3, False),
        ({"If_Match": '"3-references"'}, 3, True),
        ({"If_Match": '"2-references"'}, 3, False),
        ({"If_Match": 'W/"3-references"'}, 3, True),
        ({"If_Match": 'W/"2-references"'}, 3, False),
        ({"If_Match": '"3-secrets"'}, 3, False),
        ({"If_None_Match": '"3-references"'}, 3, False),
    ),
)
def test_a_write_happens_only_when_both_conditions_hold(
    headers: dict[str, str],
    version: int | None,
    holds: bool,  # noqa: FBT001  # a column of the table
) -> None:
    sent = conditions(**headers)
    if holds:
        sent.check(version)
    else:
        with pytest.raises(RefusedError) as caught:
            sent.check(version)
        assert caught.value.fault == PreconditionFailed()


@pytest.mark.parametrize("coding", ("gzip", "br", "zstd"))
@pytest.mark.parametrize("form", (WHOLE, REFERENCES))
@pytest.mark.parametrize("kind", ("", "slack"))
def test_a_coding_that_a_proxy_appended_does_not_change_the_version(coding: str, form: str, kind: str) -> None:
    """Apache and Caddy write `"3-gzip"` for a compressed answer whose tag was `"3"`."""
    for weak in ("", "W/"):
        sent = weak + tag_of(3, kind, form).removesuffix('"') + f'-{coding}"'
        conditions(If_Match=sent).check(3, kind)
        assert conditions(If_None_Match=sent).unmodified(3, kind, form)
        for version, another in ((2, kind), (3, "jira")):
            with pytest.raises(RefusedError):
                conditions(If_Match=sent).check(version, another)


@pytest.mark.parametrize(
    "sent",
    (
        *('"3-gzip-gzip"', '"3-rot13"', '"3-GZIP"', '"3gzip"', '"-gzip"', '"3-"', '"3;gzip"', '"3-gzip-references"'),
        *('W/W/"3"', 'W "3"', "W/", 'W/"3', "W/'3'", '"W/3"', '"3', "/3"),
    ),
)
def test_a_tag_that_no_proxy_makes_of_ours_matches_nothing(sent: str) -> None:
    with pytest.raises(RefusedError):
        conditions(If_Match=sent).check(3)


def test_a_reader_who_has_the_version_already_is_told_so() -> None:
    assert conditions(If_None_Match='"3"').unmodified(3)
    assert conditions(If_None_Match='W/"3"').unmodified(3)
    assert not conditions(If_None_Match='"2"').unmodified(3)
    assert not conditions().unmodified(3)
    for tag, form in (('"3"', WHOLE), ('"3-references"', REFERENCES)):
        other = REFERENCES if form == WHOLE else WHOLE
        assert tag_of(3, form=form) == tag
        assert conditions(If_None_Match=tag).unmodified(3, form=form)
        assert not conditions(If_None_Match=tag).unmodified(3, form=other)
        assert conditions(If_None_Match="*").unmodified(3, form=form)
