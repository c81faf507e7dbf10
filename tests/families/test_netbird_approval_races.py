"""Several decide about one approval at once, at two workers: one decision counts, and the others are told so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from accounts_service.access.configuration import NETBIRD_JWT
from accounts_service.web.services import Services
from tests.families.test_netbird_races import JWT, ROUNDS, Asking, Home, logged_in, serving
from tests.families.test_wavefront_races import CLIENTS, at_once
from tests.support.netbird import behind
from tests.support.served import Served

pytestmark = pytest.mark.usefixtures("socket_enabled")


@pytest.fixture(scope="module", params=("sqlite", "postgresql"))
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve with room enough for all to wait for SQLite's writer at one worker."""
    with serving(request, tmp_path_factory, {NETBIRD_JWT: JWT}, ACCOUNTS_THREADS=str(2 * 4 * CLIENTS)) as server:
        yield server


@pytest.fixture(scope="module")
def services(served: Served) -> Iterator[Services]:
    with behind(served) as services:
        yield services


@pytest.fixture
def home(served: Served, services: Services) -> Home:
    return Home(served, services)


def waiting(served: Served, home: Home, name: str) -> tuple[str, Asking]:
    """Have a person log in for the first time; give their id, and a way to ask as them."""
    person = logged_in(served, home.name(name), home.domain)
    assert person("GET", "/users/current").status == 403
    return home.name(name), person


def there(home: Home, user_id: str) -> Any:
    return next((one for one in home.owner.ok("GET", "/users") if one["id"] == user_id), None)


def test_of_ten_approvals_at_once_one_counts(served: Served, home: Home) -> None:
    user, person = waiting(served, home, "ann")
    answers = at_once(*(partial(home.owner, "POST", f"/users/{user}/approve") for _ in range(10)))
    assert Counter(answer.status for answer in answers) == {200: 1, 422: 9}
    assert home.codes().count("user.approve") == 1
    assert person.ok("GET", "/users/current")["id"] == user


def test_of_ten_rejections_at_once_one_counts(served: Served, home: Home) -> None:
    user, _ = waiting(served, home, "ann")
    answers = at_once(*(partial(home.owner, "DELETE", f"/users/{user}/reject") for _ in range(10)))
    assert Counter(answer.status for answer in answers) == {200: 1, 404: 9}
    assert (home.codes().count("user.reject"), home.codes().count("user.delete")) == (1, 1)
    assert there(home, user) is None


def test_of_an_approval_and_a_rejection_at_once_one_counts(served: Served, home: Home) -> None:
    for number in range(ROUNDS):
        user, _ = waiting(served, home, f"person{number}")
        path = f"/users/{user}"
        approved, rejected = at_once(
            partial(home.owner, "POST", f"{path}/approve"), partial(home.owner, "DELETE", f"{path}/reject")
        )
        assert (approved.status, rejected.status) in {(200, 422), (404, 200)}
        found = there(home, user)
        assert found is None if rejected.status == 200 else found["pending_approval"] is False
    codes = home.codes()
    assert codes.count("user.approve") + codes.count("user.reject") == ROUNDS


def test_of_an_approval_and_a_change_at_once_none_undoes_the_other(served: Served, home: Home) -> None:
    for number in range(ROUNDS):
        user, _ = waiting(served, home, f"person{number}")
        change = {"role": "auditor", "auto_groups": [], "is_blocked": False}
        approved, changed = at_once(
            partial(home.owner, "POST", f"/users/{user}/approve"), partial(home.owner, "PUT", f"/users/{user}", change)
        )
        assert (approved.status, changed.status) in {(200, 200), (422, 200)}
        found = there(home, user)
        assert (found["role"], found["pending_approval"], found["is_blocked"]) == ("auditor", False, False)
    assert home.codes().count("user.approve") == ROUNDS


def test_a_request_of_one_key_sent_ten_times_at_once_is_done_once(served: Served, home: Home) -> None:
    user, _ = waiting(served, home, "ann")
    answers = at_once(
        *(partial(home.owner, "DELETE", f"/users/{user}/reject", Idempotency_Key="one") for _ in range(10))
    )
    assert {answer.status for answer in answers} <= {200, 409}
    assert 200 in {answer.status for answer in answers}
    assert home.codes().count("user.reject") == 1
