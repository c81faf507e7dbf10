"""Several at once, at two workers: no change that was acknowledged is lost, and nobody is told that we broke."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from accounts_service.config import WAVEFRONT_PERMISSIONS
from tests.support.installation import Installation
from tests.support.served import Answer, Served
from tests.support.wavefront import ROOT, admin_of, bearer, token_of

CLIENTS = 8
ANN, ROBOT = "ann@example.com", "sa::robot"


class Asking:
    """Asks as one who may do everything."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._headers = bearer(admin_of(served))

    def __call__(self, method: str, path: str, body: Any = None) -> Answer:
        return self._served.ask(method, ROOT + path, by=None, headers=self._headers, body=body)


@pytest.fixture
def served(installation: Installation, socket_enabled: None) -> Iterator[Served]:
    """Give the service with room enough for all to wait for SQLite's writer at one worker.

    Each comes twice: with what it asks for, and to note that its token was used.
    """
    del socket_enabled
    with Served(installation, ACCOUNTS_THREADS=str(2 * 4 * CLIENTS)) as server:
        yield server


@pytest.fixture
def ask(served: Served) -> Asking:
    return Asking(served)


def at_once(*acts: Callable[[], Any]) -> list[Any]:
    """Let all begin together; gives what each returned."""
    barrier = threading.Barrier(len(acts))

    def run(act: Callable[[], Any]) -> Any:
        barrier.wait()
        return act()

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts))


@dataclass(frozen=True)
class Done:
    """A change that was acknowledged: between when, and what it said is so."""

    began: float
    ended: float
    permissions: tuple[str, ...]


def sets_of(client: int, number: int) -> list[str]:
    """Give a set of permissions that no other request has."""
    bits = 1 + client * 16 + number
    return [name for place, name in enumerate(WAVEFRONT_PERMISSIONS) if bits >> place & 1]


def possible_ends(done: Sequence[Done]) -> set[tuple[str, ...]]:
    """Name those that may have been the last: no other one began after it had ended."""
    return {one.permissions for one in done if not any(other.began > one.ended for other in done)}


def test_one_address_put_by_many_at_once_is_one_user_in_the_state_of_the_last(ask: Asking) -> None:
    done: list[Done] = []

    def change(client: int) -> Callable[[], list[int]]:
        def run() -> list[int]:
            statuses = []
            for number in range(6):
                permissions = sets_of(client, number)
                began = time.monotonic()
                if number % 2:
                    answer = ask("PUT", f"/account/user/{ANN}", {"groups": permissions})
                else:
                    answer = ask("POST", "/account/user", {"emailAddress": ANN, "groups": permissions})
                ended = time.monotonic()
                statuses.append(answer.status)
                if answer.status == 200:
                    assert answer.json["groups"] == permissions
                    done.append(Done(began, ended, tuple(permissions)))
            return statuses

        return run

    statuses = {status for each in at_once(*map(change, range(CLIENTS))) for status in each}
    assert statuses == {200}
    assert len(done) == CLIENTS * 6
    users = [one for one in ask("GET", "/account/user").json["response"] if one["identifier"] == ANN]
    assert len(users) == 1
    assert tuple(users[0]["groups"]) in possible_ends(done)


def test_one_address_in_several_spellings_is_made_once(ask: Asking) -> None:
    spellings = [ANN[:place].upper() + ANN[place:] for place in range(CLIENTS)]
    answers = at_once(*(lambda name=name: ask("POST", "/account/user", {"emailAddress": name}) for name in spellings))
    assert {answer.status for answer in answers} == {200}
    (identifier,) = {answer.json["identifier"] for answer in answers}
    assert identifier in spellings


def test_of_many_who_make_one_service_account_one_does(ask: Asking) -> None:
    acts = [lambda: ask("POST", "/account/serviceaccount", {"identifier": ROBOT}).status] * CLIENTS
    assert sorted(at_once(*acts)) == [200] + [400] * (CLIENTS - 1)


def test_of_many_who_make_a_role_of_one_name_one_does(ask: Asking) -> None:
    acts = [lambda: ask("POST", "/role", {"name": "R", "permissions": []}).status] * CLIENTS
    assert sorted(at_once(*acts)) == [200] + [400] * (CLIENTS - 1)


def test_different_permissions_granted_to_one_account_at_once_are_all_held(ask: Asking) -> None:
    ask("POST", "/account/user", {"emailAddress": ANN})
    granted = WAVEFRONT_PERMISSIONS[:CLIENTS]
    answers = at_once(*(lambda name=name: ask("POST", f"/account/{ANN}/grant/{name}") for name in granted))
    assert {answer.status for answer in answers} == {200}
    assert set(ask("GET", f"/account/user/{ANN}").json["groups"]) == set(granted)
    answers = at_once(*(lambda name=name: ask("POST", f"/account/revoke/{name}", [ANN]) for name in granted))
    assert {answer.status for answer in answers} == {200}
    assert ask("GET", f"/account/user/{ANN}").json["groups"] == []


def test_a_role_that_is_deleted_while_it_is_given_is_nobodys_afterwards(ask: Asking) -> None:
    people = [f"user{number}@example.com" for number in range(CLIENTS - 1)]
    for who in people:
        ask("POST", "/account/user", {"emailAddress": who})
    for _ in range(5):
        role = ask("POST", "/role", {"name": "R", "permissions": ["ingestion"]}).json["response"]["id"]
        acts: list[Callable[[], Answer]] = [lambda role=role: ask("DELETE", f"/role/{role}")]  # type: ignore[misc]  # bound
        for number, who in enumerate(people):
            if number % 2:
                acts.append(lambda who=who, role=role: ask("POST", f"/account/{who}/addRoles", [role]))  # type: ignore[misc]  # mypy infers no lambda with defaults
            else:
                acts.append(lambda who=who, role=role: ask("POST", f"/role/{role}/addAssignees", [who]))  # type: ignore[misc]  # the same
        deleted, *given = at_once(*acts)
        assert deleted.status == 200
        assert {answer.status for answer in given} <= {200, 202, 404}
        for who in people:
            account = ask("GET", f"/account/{who}").json["response"]
            assert (account["roles"], account["unitedPermissions"]) == ([], [])


def test_an_account_that_is_deleted_while_it_is_changed_is_gone_or_made_anew(ask: Asking) -> None:
    ask("POST", "/account/user", {"emailAddress": ANN})
    answers = at_once(
        lambda: ask("DELETE", f"/account/{ANN}"),
        *(lambda name=name: ask("POST", f"/account/{ANN}/grant/{name}") for name in WAVEFRONT_PERMISSIONS[:6]),
    )
    assert answers[0].status == 200
    assert {answer.status for answer in answers[1:]} <= {200, 404}
    assert ask("GET", f"/account/{ANN}").status == 404


def test_tokens_made_at_once_are_never_more_than_twenty(ask: Asking, served: Served) -> None:
    for _ in range(16):
        token_of(served, ROBOT)
    acts = [lambda: ask("POST", f"/apitoken/serviceaccount/{ROBOT}")] * CLIENTS
    answers = at_once(*acts)
    assert sorted(answer.status for answer in answers) == [200] * 4 + [400] * 4
    made = [answer.json["response"][-1]["tokenID"] for answer in answers if answer.status == 200]
    listed = [one["tokenID"] for one in ask("GET", f"/apitoken/serviceaccount/{ROBOT}").json["response"]]
    assert (len(listed), len(set(listed)), set(made) <= set(listed)) == (20, 20, True)
