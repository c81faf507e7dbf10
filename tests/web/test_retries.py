"""Requests with an Idempotency-Key: done once, however often they are sent."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Row, delete, func, select, update

from accounts_service import app
from accounts_service.families.netbird.tables import USER
from accounts_service.families.signals import examples
from accounts_service.families.signals.store.accounts import Accounts
from accounts_service.families.signals.views import accounts as signals_views
from accounts_service.families.wavefront.store.groups import Groups
from accounts_service.families.wavefront.tables import GROUP
from accounts_service.storage import idempotency
from accounts_service.storage.database import SqliteDatabase, TransactionRefusedError
from accounts_service.storage.idempotency import IDEMPOTENCY
from accounts_service.web.body import json_response
from accounts_service.web.retries import Retry
from tests.support import wavefront
from tests.support.mention import Mention
from tests.support.netbird import NetBird
from tests.support.service import Answer, Service

SLACK = "/_signals/account/slack/test"
ORDER = {"name": "of the pipeline", "expires_in": 30}
PERSON = {"name": "New", "email": "new@example.com", "password": "Mypass1", "language_code": "en"}
DEADLINE_SECONDS = 30


def key(text: str = "1") -> dict[str, str]:
    return {"Idempotency-Key": text}


@dataclass
class Change:
    """A change that is not the same when it is done twice, by somebody who may make it, and a body to mistake it for.

    `twice`: what becomes of it without a key.
    """

    send: Callable[..., Answer]
    body: Any
    twice: int = 200

    def __call__(self, name: str | None = "1", body: Any = None) -> Answer:
        return self.send(body or self.body, headers={} if name is None else key(name))


def of_signals(service: Service) -> Change:
    return Change(partial(service.put, SLACK), examples.GOOD["slack"])


def of_wavefront(service: Service) -> Change:
    admin = wavefront.admin(service)

    def send(body: Any, headers: Mapping[str, str]) -> Answer:
        headers = {**wavefront.bearer(admin.token), **headers}
        return service.ask("POST", "/api/v2/usergroup", by=None, json=body, headers=headers)

    return Change(send, {"name": "g"})


def of_netbird(service: Service) -> Change:
    return Change(partial(NetBird(service).ask, "POST", "/users/{uid:svc_user}/tokens", by="admin"), ORDER)


def of_mention(service: Service) -> Change:
    return Change(partial(Mention(service).ask, "POST", "/accounts"), PERSON, twice=400)


EVERY = (of_signals, of_wavefront, of_netbird, of_mention)


def kept(service: Service) -> list[Row[Any]]:
    with service.services.database.looking() as connection:
        return list(connection.execute(select(IDEMPOTENCY)))


def groups(service: Service) -> int:
    with service.services.database.looking() as connection:
        return int(connection.execute(select(func.count()).select_from(GROUP)).scalar_one()) - 2


def is_replayed(answer: Answer) -> bool:
    return answer.headers.get("Idempotency-Replayed") == "true"


def told(answer: Answer) -> tuple[int, bytes, dict[str, str]]:
    own = ("X-Request-ID", "Idempotency-Replayed")
    return answer.status_code, answer.data, {name: value for name, value in answer.headers if name not in own}


@pytest.mark.parametrize("change_of", EVERY)
def test_a_change_that_is_sent_again_is_answered_again_and_not_done(
    service: Service, change_of: Callable[[Service], Change]
) -> None:
    change = change_of(service)
    first = change()
    assert (first.status_code, is_replayed(first)) == (200 if change_of is not of_signals else 201, False), first.text
    trail = len(service.audited())
    again = change()
    assert told(again) == told(first)
    assert is_replayed(again)
    assert again.headers["X-Request-ID"] != first.headers["X-Request-ID"]
    assert len(service.audited()) == trail
    # The same key for something else is a mistake, told in the family's words, and nothing is done.
    mistaken = change(body={**change.body, "name": "other"} if "name" in change.body else examples.GOOD["email"])
    assert mistaken.status_code == 422
    assert len(service.audited()) == trail
    # Another key, or none, is another change.
    for name in ("2", None):
        assert change(name).status_code == change.twice
    assert len(service.audited()) == trail + (0 if change.twice == 400 else 2)
    # What was answered is sealed: of a token that is shown once nothing lies about.
    sealed = [row.answer for row in kept(service)]
    assert all(answer.startswith("v1.") for answer in sealed)
    assert len(sealed) == (1 if change.twice == 400 else 2)


def test_references_are_made_once_and_a_body_that_is_not_read_does_not_count(service: Service) -> None:
    service.put(SLACK, examples.GOOD["slack"])
    path = "/_accounts/references/signals/slack/test/watch"
    assert [service.ask("PUT", path, headers=key()).status_code for _ in range(2)] == [201, 201]
    # Deleting it again is answered as the first time, and is not an error.
    assert [service.delete(path, headers=key()).status_code for _ in range(2)] == [204, 204]
    assert service.delete(path, headers=key("2")).status_code == 404
    admin = wavefront.admin(service)
    made = admin.ok("POST", "/account/serviceaccount", {"identifier": "sa::x"})
    assert made["active"]
    off = partial(service.ask, "POST", f"{wavefront.SERVICE}/sa::x/deactivate", by=None)
    headers = {**wavefront.bearer(admin.token), **key()}
    assert [is_replayed(off(headers=headers, json=body)) for body in ({}, {"a": 1})] == [False, True]


def test_a_key_is_for_one_caller_and_one_method_path_query_and_tenant(service: Service) -> None:
    body = examples.GOOD["slack"]
    assert not is_replayed(service.put(SLACK, body, headers=key()))
    assert service.put(SLACK, body, headers=key(), by="manager").json["_version"] == 2
    assert service.put(f"{SLACK}?pretty", body, headers=key()).json["_version"] == 3
    assert not is_replayed(service.put("/_signals/account/slack/other", body, headers=key()))
    assert not is_replayed(service.put("/_signals/account/blue/slack/test", body, headers=key()))
    assert service.delete(SLACK, headers=key()).status_code == 200
    assert is_replayed(service.delete(SLACK, headers=key()))
    assert is_replayed(service.put(SLACK, body, headers=key()))
    by_id, typed = "/_signals/account/test-1", {"type": "slack", **body}
    made = [
        service.put(by_id, typed, headers={**key(), **tenant})
        for tenant in ({}, {"sgtenant": "blue"}, {}, {"sgtenant": "blue"})
    ]
    assert [is_replayed(answer) for answer in made] == [False, False, True, True]


def test_what_was_refused_is_not_kept(service: Service) -> None:
    assert service.put(SLACK, {"url": 1}, headers=key()).status_code == 400
    assert service.delete(SLACK, headers=key()).status_code == 404
    assert service.put(SLACK, examples.GOOD["slack"], headers={**key(), "If-Match": '"7"'}).status_code == 412
    assert kept(service) == []
    assert service.put(SLACK, examples.GOOD["slack"], headers=key()).status_code == 201


def test_keys_are_visible_ascii_bare_or_quoted_and_told_about_after_the_privilege(service: Service) -> None:
    body = examples.GOOD["slack"]
    for number, sent in enumerate(("a", '"b"', r'"c\"\\d"', "e,f;g", "x" * 255, f'"{"y" * 255}"')):
        path = f"{SLACK}-{number}"
        assert service.put(path, body, headers=key(sent)).status_code == 201, sent
    for number, same in enumerate(('"a"', "b", 'c"\\d', '"e,f;g"', f'"{"x" * 255}"', "y" * 255)):
        assert is_replayed(service.put(f"{SLACK}-{number}", body, headers=key(same))), same
    for bad in ("", "a b", '"a', 'a"b"c d', '"a";b', '""', "x" * 256, "ü", '"a\\b"'):
        refused = service.put(SLACK, body, headers=key(bad))
        assert refused.status_code == 400, bad
        assert service.put(SLACK, body, headers=key(bad), by="stranger").status_code == 403
        assert service.get(SLACK, headers=key(bad)).status_code == 404
        assert (
            service.ask("POST", "/mention/oauth/v2/token", by=None, headers=key(bad)).json["error"] == "invalid_request"
        )
    twice = service.put(SLACK, body, headers={**key("a,b"), "X-Accounts-Repeated": "idempotency-key"})
    assert (twice.status_code, "more than once" in twice.text) == (400, True)


# -- Crashes and races --------------------------------------------------------


@pytest.mark.parametrize("change_of", EVERY)
def test_what_was_committed_and_never_answered_is_answered_the_second_time(
    service: Service, change_of: Callable[[Service], Change], monkeypatch: pytest.MonkeyPatch
) -> None:
    change = change_of(service)
    run = Retry._run

    def die(retry: Retry, view: Callable[[], Any]) -> Any:
        run(retry, view)
        raise KeyError("the answer got lost")

    monkeypatch.setattr(Retry, "_run", die)
    assert change().status_code == 500
    monkeypatch.undo()
    trail = len(service.audited())
    answer = change()
    assert (answer.status_code // 100, is_replayed(answer)) == (2, True)
    assert len(service.audited()) == trail


def test_who_fails_before_the_answer_is_kept_has_changed_nothing(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise KeyError("no answer to keep")

    change = of_wavefront(service)
    monkeypatch.setattr(Retry, "_written", fail)
    assert change().status_code == 500
    monkeypatch.undo()
    assert (groups(service), kept(service)) == (0, [])
    assert not is_replayed(change())


def test_a_lost_race_is_run_again_under_the_same_key(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    put, tries = Accounts.put, list[int]()

    def lose_once(*args: Any) -> Any:
        written = put(*args)
        if not tries:
            tries.append(1)
            raise TransactionRefusedError
        return written

    monkeypatch.setattr(Accounts, "put", lose_once)
    change = of_signals(service)
    assert change().json["_version"] == 1
    assert is_replayed(change())


def test_an_answer_that_is_no_success_is_not_kept_and_what_was_done_stays(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    change = of_signals(service)
    service.is_described = False
    monkeypatch.setattr(signals_views, "answer", lambda *_: json_response({}, 409))
    assert change().status_code == 409
    monkeypatch.undo()
    assert kept(service) == []
    assert change().json["_version"] == 2


def test_a_view_opens_one_transaction(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    delete_one = signals_views._delete

    def twice(call: Any, one: Any) -> Any:
        delete_one(call, one)
        return delete_one(call, one)

    service.put(SLACK, examples.GOOD["slack"])
    monkeypatch.setattr(signals_views, "_delete", twice)
    assert service.delete(SLACK, headers=key()).status_code == 500
    assert service.get(SLACK).status_code == 200


class Halted:
    """Holds whoever makes a group, after it was made, until he is let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.inside, self.go = threading.Event(), threading.Event()
        make = Groups.make

        def wait(*args: Any) -> Any:
            written = make(*args)
            self.inside.set()
            assert self.go.wait(DEADLINE_SECONDS)
            return written

        monkeypatch.setattr(Groups, "make", wait)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_one_who_comes_with_the_same_key_meanwhile_waits_for_the_same_answer_and_the_next_is_told_at_once(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    change, halted = of_wavefront(service), Halted(monkeypatch)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(change)
        assert halted.inside.wait(DEADLINE_SECONDS)
        second = pool.submit(change)
        running = service.services.running
        until(lambda: max(running._digests.values()) == 2)
        # Whoever waits has a connection, so that many would keep everybody else from theirs.
        refused = [change() for _ in range(3)]
        assert {(one.status_code, one.headers["Retry-After"]) for one in refused} == {(409, "1")}
        assert not second.done()
        halted.go.set()
        answers = first.result(), second.result()
    assert told(answers[0]) == told(answers[1])
    assert [is_replayed(answer) for answer in answers] == [False, True]
    assert groups(service) == 1
    assert not running._digests


def test_who_waits_too_long_for_his_own_request_is_told_to_come_again(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "_PATIENT", "SET LOCAL lock_timeout = '50ms'")
    if isinstance(service.services.database, SqliteDatabase):
        monkeypatch.setattr(service.services.database._turnstile, "_timeout", 0.05)
    change, halted = of_wavefront(service), Halted(monkeypatch)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(change)
        assert halted.inside.wait(DEADLINE_SECONDS)
        refused = change()
        halted.go.set()
        assert first.result().status_code == 200
    assert (refused.status_code, refused.headers["Retry-After"]) == (409, "1")
    assert (groups(service), is_replayed(change())) == (1, True)


def test_a_refusal_for_what_the_same_request_has_just_done_is_its_answer(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Mention looks for the address before it begins to write: whoever is between the two finds it taken.
    change = of_mention(service)
    first, find = change(), Retry._kept
    looks: list[int] = []

    def blind_once(retry: Retry) -> Any:
        looks.append(1)
        return None if len(looks) == 1 else find(retry)

    monkeypatch.setattr(Retry, "_kept", blind_once)
    again = change()
    assert (told(again), is_replayed(again), len(looks)) == (told(first), True, 2)


def test_answers_are_kept_for_a_day(service: Service) -> None:
    change = of_wavefront(service)
    change()
    for name in ("other", "third"):
        change(name)
    with service.services.database.begin() as connection:
        now_us = service.services.database.now_us()
        good = {row.digest for row in kept(service) if row.expires_us - now_us > 23 * 3600 * 10**6}
        assert len(good) == 3
        connection.execute(update(IDEMPOTENCY).where(IDEMPOTENCY.c.digest != max(good)).values(expires_us=now_us))
    taken = [name for name in ("1", "other", "third") if not is_replayed(change(name))]
    assert (len(taken), groups(service)) == (2, 5)
    with service.services.database.begin() as connection:
        connection.execute(update(IDEMPOTENCY).where(IDEMPOTENCY.c.digest != max(good)).values(expires_us=1))
    jobs = app.make_jobs(service.services.settings, service.services.database, service.services.limits)
    (job,) = (one for one in jobs if one.name == "answers-forgotten")
    job.run(lambda: False)
    assert [row.digest for row in kept(service)] == [max(good)]


# -- Rights -------------------------------------------------------------------


def test_who_has_lost_the_privilege_or_a_wider_view_gets_no_answer_that_was_kept(service: Service) -> None:
    def allow(*actions: str) -> None:
        service.configure({"sg_roles.yml": {"manager": {"cluster_permissions": [*actions]}}})

    change = partial(service.put, SLACK, examples.GOOD["slack"], headers=key(), by="manager")
    allow("SGS_SIGNALS_ALL")
    assert change().status_code == 201
    allow("SGS_SIGNALS_ACCOUNT_READ")
    assert change().status_code == 403
    # What he may still put, he was answered as one who may see secrets, too.
    allow("SGS_SIGNALS_ACCOUNT_MANAGE")
    assert change().status_code == 403
    allow("*")
    assert is_replayed(change())


def test_who_manages_no_users_any_more_gets_no_group_and_who_is_made_again_is_another(service: Service) -> None:
    admin = wavefront.admin(service)
    other = wavefront.Client(service, wavefront.token_of(service, "other@example.com", "user_management"))

    def make() -> Answer:
        headers = {**wavefront.bearer(other.token), **key()}
        return service.ask("POST", "/api/v2/usergroup", by=None, headers=headers, json={"name": "g"})

    assert make().status_code == 200
    assert is_replayed(make())
    admin.ok("POST", "/account/other@example.com/revoke/user_management")
    assert make().status_code == 403
    admin.ok("POST", "/account/other@example.com/grant/user_management")
    assert is_replayed(make())
    admin.ok("DELETE", "/account/other@example.com")
    assert make().status_code == 401
    other.token = wavefront.token_of(service, "other@example.com", "user_management")
    assert not is_replayed(make())


def test_who_is_blocked_or_no_administrator_any_more_gets_no_token_that_was_shown(service: Service) -> None:
    netbird = NetBird(service)

    def order() -> Answer:
        return netbird.ask("POST", "/users/{uid:svc_user}/tokens", ORDER, by="admin", headers=key())

    def make(**values: Any) -> None:
        with service.services.database.begin() as connection:
            connection.execute(update(USER).where(USER.c.id == netbird.names["uid:admin"]).values(**values))

    token = order().json["plain_token"]
    assert order().json["plain_token"] == token
    for lost in ({"blocked": 1}, {"blocked": 1, "pending": 1}, {"role": "user"}, {"role": "network_admin"}):
        make(**lost)
        assert (order().status_code, token in order().text) == (403, False), lost
        make(blocked=0, pending=0, role="admin")
    make(role="owner")
    assert is_replayed(order())
    with service.services.database.begin() as connection:
        connection.execute(delete(USER).where(USER.c.id == netbird.names["uid:admin"]))
    assert order().status_code == 401


def test_a_kept_answer_is_for_who_may_still_see_the_account(service: Service) -> None:
    mention = Mention(service)
    change = partial(mention.ask, "PUT", "/accounts/{JOHN}", {"name": "J"}, headers=key())
    assert change().status_code == 200
    assert is_replayed(change())
    assert change(by="JANE").status_code == 403
    # A new token of his is as good as the old one.
    mention.names["TOKEN_JANE"] = mention.know("JOHN", mention.names["ACCOUNT_JOHN"])
    assert is_replayed(change(by="JANE"))
    assert mention.ask("DELETE", "/accounts/{JOHN}", headers=key()).status_code == 204
    assert change().status_code == 401


def test_an_answer_of_one_does_not_open_in_the_row_of_another_and_that_is_an_outage(service: Service) -> None:
    change = of_wavefront(service)
    change("1")
    change(uuid.uuid4().hex)
    one, other = kept(service)
    with service.services.database.begin() as connection:
        connection.execute(update(IDEMPOTENCY).where(IDEMPOTENCY.c.digest == one.digest).values(answer=other.answer))
        connection.execute(update(IDEMPOTENCY).where(IDEMPOTENCY.c.digest == other.digest).values(answer=one.answer))
    trail = len(service.audited())
    answers = [change("1"), change("1")]
    assert {(one.status_code, one.headers["Retry-After"]) for one in answers} == {(503, "60")}
    assert len(service.audited()) == trail
