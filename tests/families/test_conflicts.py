"""Who changes what somebody else has changed meanwhile is told so, where he says what his change is one of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from accounts_service.families.signals import examples
from tests.support import wavefront
from tests.support.installation import Installation
from tests.support.mention import Mention
from tests.support.netbird import TWO, NetBird
from tests.support.scale import scaled
from tests.support.service import Answer, Service

CLIENTS, CHANGES = 8, scaled(5, 100)

# Sends a request: method, path, body, headers.
Ask = Callable[[str, str, Any, Mapping[str, str]], Answer]


@dataclass(frozen=True)
class Thing:
    """Something with versions: where it is, where it is read, and two changes of it."""

    ask: Ask
    path: str
    body: Any
    other: Any
    method: str = "PUT"
    # Where it is read, when not where it is changed.
    read: str = ""


def of_signals(service: Service) -> Thing:
    path = "/_signals/account/slack/test"
    body = examples.GOOD["slack"]
    service.put(path, body)
    return Thing(
        lambda method, path, body, headers: service.ask(method, path, json=body, headers=headers), path, body, body
    )


def _wavefront(service: Service) -> tuple[wavefront.Client, Ask]:
    admin = wavefront.admin(service)
    token = wavefront.bearer(admin.token)
    return admin, lambda method, path, body, headers: service.ask(
        method, wavefront.ROOT + path, by=None, headers={**token, **headers}, json=body
    )


def of_users(service: Service) -> Thing:
    admin, ask = _wavefront(service)
    admin.user("one@example.com")
    return Thing(ask, "/account/user/one@example.com", {"groups": ["ingestion"]}, {"groups": []})


def of_users_formerly(service: Service) -> Thing:
    admin, ask = _wavefront(service)
    admin.user("one@example.com")
    return Thing(ask, "/user/one@example.com", {"groups": ["ingestion"]}, {"groups": []})


def of_service_accounts(service: Service) -> Thing:
    admin, ask = _wavefront(service)
    admin.ok("POST", "/account/serviceaccount", {"identifier": "sa::x"})
    return Thing(ask, "/account/serviceaccount/sa::x", {"description": "a"}, {"description": "b"})


def of_groups(service: Service) -> Thing:
    admin, ask = _wavefront(service)
    return Thing(ask, f"/usergroup/{admin.group('g')}", {"description": "a"}, {"description": "b"})


def of_roles(service: Service) -> Thing:
    admin, ask = _wavefront(service)
    return Thing(ask, f"/role/{admin.role('r')}", {"description": "a"}, {"description": "b"})


def of_tokens(service: Service) -> Thing:
    admin, ask = _wavefront(service)
    token = admin.ok("POST", "/apitoken")[-1]["tokenID"]
    read = f"/apitoken/customertokens/{token}"
    return Thing(ask, f"/apitoken/{token}", {"tokenName": "a"}, {"tokenName": "b"}, read=read)


def _netbird(service: Service) -> tuple[NetBird, Ask]:
    netbird = NetBird(service)
    return netbird, lambda method, path, body, headers: netbird.ask(method, path, body, headers=headers)


def of_netbird_users(service: Service) -> Thing:
    _, ask = _netbird(service)
    # There is no reading of one user; a change that changes nothing shows his version.
    body = {"role": "user", "auto_groups": [], "is_blocked": False}
    return Thing(ask, "/users/{uid:user}", {**body, "role": "auditor"}, body)


def of_netbird_accounts(service: Service) -> Thing:
    _, ask = _netbird(service)
    on, off = ({"settings": {**TWO, "peer_login_expiration_enabled": flag}} for flag in (True, False))
    return Thing(ask, "/accounts/{A}", off, on, read="/accounts")


def of_mention(service: Service) -> Thing:
    mention = Mention(service)
    return Thing(
        lambda method, path, body, headers: mention.ask(method, path, body, headers=headers),
        "/accounts/{JOHN}",
        {"name": "A"},
        {"name": "B"},
    )


EVERY = (
    of_signals,
    of_users,
    of_users_formerly,
    of_service_accounts,
    of_groups,
    of_roles,
    of_tokens,
    of_netbird_users,
    of_netbird_accounts,
    of_mention,
)
# At whose path there is no deleting.
LASTING = frozenset((of_users, of_service_accounts))


def tag_of(thing: Thing) -> str:
    read = thing.read or thing.path
    answer = thing.ask("GET", read, None, {})
    if answer.status_code == 405:
        answer = thing.ask(thing.method, thing.path, thing.other, {})
    assert answer.status_code == 200, answer.text
    return str(answer.headers["ETag"])


@pytest.mark.parametrize("thing_of", EVERY)
def test_a_change_is_made_only_of_the_version_that_it_names(
    service: Service, thing_of: Callable[[Service], Thing]
) -> None:
    thing = thing_of(service)
    first = tag_of(thing)
    changed = thing.ask(thing.method, thing.path, thing.body, {"If-Match": first})
    assert (changed.status_code, changed.headers["ETag"] != first) == (200, True), changed.text
    second, trail = changed.headers["ETag"], len(service.audited())
    for method in (thing.method, "DELETE"):
        body = thing.other if method == thing.method else None
        if method == "DELETE" and thing_of in LASTING:
            continue
        for stale in ({"If-Match": first}, {"If-None-Match": second}, {"If-None-Match": "*"}, {"If-Match": ""}):
            assert thing.ask(method, thing.path, body, stale).status_code == 412, (method, stale)
    assert len(service.audited()) == trail
    assert (
        thing.ask(thing.method, thing.path, thing.other, {"If-Match": "*", "If-None-Match": first}).status_code == 200
    )
    third = tag_of(thing)
    assert len({first, second, third}) == 3
    if thing_of not in LASTING:
        assert thing.ask("DELETE", thing.path, None, {"If-Match": third}).status_code in (200, 204)


@pytest.mark.any_database
@pytest.mark.parametrize("thing_of", EVERY)
@pytest.mark.parametrize("change", (lambda tag: f"W/{tag}", lambda tag: f'{tag[:-1]}-gzip"'), ids=("nginx", "Apache"))
def test_a_tag_that_a_compressing_proxy_changed_names_its_version(
    service: Service, thing_of: Callable[[Service], Thing], change: Callable[[str], str]
) -> None:
    thing = thing_of(service)
    first = tag_of(thing)
    changed = thing.ask(thing.method, thing.path, thing.body, {"If-Match": change(first)})
    assert changed.status_code == 200, changed.text
    second, trail = changed.headers["ETag"], len(service.audited())
    for stale in ({"If-Match": change(first)}, {"If-None-Match": change(second)}):
        assert thing.ask(thing.method, thing.path, thing.other, stale).status_code == 412, stale
    assert len(service.audited()) == trail
    assert thing.ask(thing.method, thing.path, thing.other, {"If-None-Match": change(first)}).status_code == 200


def test_the_paths_of_one_wavefront_account_share_its_version_and_its_parts_count(service: Service) -> None:
    admin, ask = _wavefront(service)
    admin.user("one@example.com")
    group, role = admin.group("g"), admin.role("r")
    paths = ("/account/user/one@example.com", "/account/one@example.com", "/user/one@example.com")

    def tag() -> str:
        (one,) = {ask("GET", path, None, {}).headers["ETag"] for path in paths}
        return str(one)

    for path, body in (
        ("/account/one@example.com/grant/ingestion", None),
        ("/account/one@example.com/addUserGroups", [group]),
        ("/user/one@example.com/removeUserGroups", [group]),
        ("/account/one@example.com/addRoles", [role]),
        ("/account/one@example.com/removeRoles", [role]),
        ("/account/one@example.com/revoke/ingestion", None),
    ):
        before = tag()
        assert ask("POST", path, body, {"If-Match": before}).headers["ETag"] == tag() != before
        assert ask("POST", path, body, {"If-Match": before}).status_code == 412
    # Of many at once nobody says which version he means.
    before = tag()
    assert ask("POST", "/account/grant/ingestion", ["one@example.com"], {"If-Match": '"0"'}).status_code == 200
    # A user who is made again under the name of one who is gone is another.
    assert ask("DELETE", paths[1], None, {"If-Match": before}).status_code == 412
    assert ask("DELETE", paths[1], None, {"If-Match": tag()}).status_code == 200
    admin.user("one@example.com")
    assert ask("PUT", paths[0], {"groups": []}, {"If-Match": before}).status_code == 412
    for kind, body in (("addRoles", [role]), ("removeRoles", [role])):
        group_tag = ask("GET", f"/usergroup/{group}", None, {}).headers["ETag"]
        assert ask("POST", f"/usergroup/{group}/{kind}", body, {"If-Match": group_tag}).status_code == 200
        assert ask("POST", f"/usergroup/{group}/{kind}", body, {"If-Match": group_tag}).status_code == 412


@contextmanager
def strict(installation: Installation) -> Iterator[Service]:
    service = Service(installation, ACCOUNTS_REQUIRE_IF_MATCH="true")
    try:
        yield service
    finally:
        service.close()


@pytest.mark.any_database
@pytest.mark.parametrize("thing_of", EVERY)
def test_where_it_is_required_a_change_without_a_condition_is_refused(
    installation: Installation, thing_of: Callable[[Service], Thing]
) -> None:
    with strict(installation) as service:
        if thing_of is of_signals:
            service.put("/_signals/account/slack/test", examples.GOOD["slack"], headers={"If-None-Match": "*"})
        thing = thing_of(service)
        trail = len(service.audited())
        # Before the body is looked at, and after the privilege.
        for method, body in ((thing.method, thing.body), (thing.method, 7), ("DELETE", None)):
            if method == "DELETE" and thing_of in LASTING:
                continue
            # What a change is not one of is not what it is one of.
            for unsaid in ({}, {"If-None-Match": '"7"'}):
                assert thing.ask(method, thing.path, body, unsaid).status_code == 428, (method, body)
        assert len(service.audited()) == trail
        if thing_of is of_signals:
            assert service.put(thing.path, thing.body, by="stranger").status_code == 403
        assert thing.ask(thing.method, thing.path, thing.body, {"If-Match": "*"}).status_code == 200


def test_a_user_who_is_put_is_made_or_changed_on_the_conditions_of_who_is_there(installation: Installation) -> None:
    with strict(installation) as service:
        _, ask = _wavefront(service)

        def put(permission: str, headers: Mapping[str, str]) -> Answer:
            return ask("POST", "/account/user", {"emailAddress": "one@example.com", "groups": [permission]}, headers)

        for never in ({"If-Match": "*"}, {"If-Match": '"1"'}):
            assert put("ingestion", never).status_code == 412
        first = put("ingestion", {})
        assert first.status_code == 200
        trail = len(service.audited())
        for unsaid in ({}, {"If-None-Match": '"7"'}):
            assert put("host_tag_management", unsaid).status_code == 428
        for refused in ({"If-Match": '"x.1"'}, {"If-None-Match": "*"}):
            assert put("host_tag_management", refused).status_code == 412
        assert len(service.audited()) == trail
        assert put("host_tag_management", {"If-Match": first.headers["ETag"]}).status_code == 200
        assert put("ingestion", {"If-Match": first.headers["ETag"]}).status_code == 412
        # The former path leaves him as he is, whatever is said.
        assert ask("POST", "/user", {"emailAddress": "one@example.com", "groups": []}, {}).status_code == 200
    service = Service(installation)
    try:
        _, ask = _wavefront(service)
        body = {"emailAddress": "one@example.com", "groups": []}
        assert ask("POST", "/account/user", body, {"If-Match": first.headers["ETag"]}).status_code == 412
        assert ask("POST", "/account/user", body, {}).status_code == 200
    finally:
        service.close()


# -- Lost updates -------------------------------------------------------------


HOOK = "/_signals/account/webhook/test"


def read(service: Service) -> tuple[int, str]:
    answer = service.get(HOOK)
    return int(answer.json["_source"]["user"]), str(answer.headers["ETag"])


def write(service: Service, count: int, headers: Mapping[str, str]) -> int:
    return service.put(HOOK, {**examples.GOOD["webhook"], "user": str(count)}, headers=headers).status_code


def test_without_a_condition_the_later_of_two_changes_undoes_the_earlier(service: Service) -> None:
    assert write(service, 0, {}) == 201
    (mine, tag), (yours, _) = read(service), read(service)
    assert (write(service, mine + 1, {}), write(service, yours + 1, {})) == (200, 200)
    assert read(service)[0] == 1
    assert write(service, mine + 1, {"If-Match": tag}) == 412


@pytest.mark.proof
def test_with_a_condition_no_change_of_many_clients_is_lost(service: Service) -> None:
    write(service, 0, {})
    service.is_described = False

    def change(_: int) -> None:
        done = 0
        while done < CHANGES:
            count, tag = read(service)
            status = write(service, count + 1, {"If-Match": tag})
            assert status in (200, 412, 503)
            done += status == 200

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(change, range(CLIENTS)))
    assert read(service)[0] == CLIENTS * CHANGES
