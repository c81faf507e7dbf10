"""Which version of Mention's API somebody is answered in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.support.installation import Installation
from tests.support.mention import Mention
from tests.support.service import Service

ME = "/accounts/me"
NEW = {"email": "new@example.com", "name": "New", "password": "Mypass1", "language_code": "en"}
ALL = {"create_alert": True, "read_teammembers": True, "read_teamrequests": True, "read_quotastats": True}

BEFORE = ("0.0", "0.99", "1.0", "1.1", "1.8", "1.9", "1.9.99", "1.11", "1.11.12", "01.011")
SINCE = (
    *("1.12", "1.12.0", "1.13", "1.14", "1.15", "1.16", "1.17", "1.18", "1.19", "1.19.7", "1.21"),
    # Numbers, not texts and not fractions; and nobody knows the last ones.
    *("1.100", "1.20", "2.0", "10.0", "1.0012", "9999.9999"),
)
NONSENSE = (
    *("", "1", "1.", ".9", "1.x", "x", "v1.9", "1.9.", "1.9.x", "1.9.1.1", "-1.9", "1.-9", "1,9", "1.9, 1.11", "1.9 1"),
    *("1.9;q=1", "1.99999", "99999.1", "\u00b9.9", "*"),
)


@pytest.fixture(params=("1.19", "1.9"), ids=lambda version: f"default {version}")
def default(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def mention(installation: Installation, default: str) -> Iterator[Mention]:
    with closing(Service(installation, ACCOUNTS_MENTION_DEFAULT_VERSION=default)) as service:
        yield Mention(service)


def test_an_account_has_permissions_since_1_12(mention: Mention) -> None:
    whole = mention.ok("GET", ME, headers={"Accept-Version": "1.19"})
    assert whole["permissions"] == ALL
    without = {name: value for name, value in whole.items() if name != "permissions"}
    for version in BEFORE:
        assert mention.ok("GET", ME, headers={"Accept-Version": version}) == without, version
    for version in SINCE:
        assert mention.ok("GET", ME, headers={"Accept-Version": version}) == whole, version


def test_without_a_version_and_with_nonsense_it_is_the_one_that_is_set(mention: Mention, default: str) -> None:
    expected = mention.ok("GET", ME, headers={"Accept-Version": default})
    assert ("permissions" in expected) is (default == "1.19")
    assert mention.ok("GET", ME) == expected
    for version in NONSENSE:
        assert mention.ok("GET", ME, headers={"Accept-Version": version}) == expected, version


def test_every_answer_with_an_account_is_of_the_version(mention: Mention) -> None:
    asked = (("GET", ME, None), ("GET", "/accounts/{JOHN}", None), ("PUT", "/accounts/{JOHN}", {"name": "Johnny"}))
    for version, has_permissions in (("1.11", False), ("1.12", True)):
        headers = {"Accept-Version": version}
        posted = ("POST", "/accounts", NEW | {"email": f"{version}@example.com"})
        for method, path, body in (*asked, posted):
            account = mention.ok(method, path, body, headers=headers)
            assert ("permissions" in account) is has_permissions, (method, path, version)


def test_no_version_changes_what_is_stored_or_what_else_is_told(mention: Mention) -> None:
    old, new = {"Accept-Version": "1.9"}, {"Accept-Version": "1.21"}
    mention.ok("PUT", "/accounts/{JOHN}", {"name": "Johnny"}, headers=old)
    assert mention.ok("GET", ME, headers=new)["name"] == "Johnny"
    for method, path, body in (
        ("GET", "/app/data", None),
        ("GET", "/accounts/{JANE}", None),
        ("PUT", "/accounts/{JOHN}", {"email": "x"}),
        ("GET", "/accounts/me/nowhere", None),
    ):
        one, other = (mention.ask(method, path, body, headers=headers) for headers in (old, new))
        assert (one.status_code, one.data) == (other.status_code, other.data)
