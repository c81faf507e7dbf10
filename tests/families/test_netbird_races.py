"""Several at once, at two workers: no change that was acknowledged is lost, and nobody is told that we broke.

The tests share a server for each database, and so its start; each has an account of its own there.
"""

from __future__ import annotations

import base64
import itertools
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from sqlalchemy import text

from accounts_service.access.configuration import NETBIRD_JWT
from accounts_service.families.netbird.store.changes import written
from accounts_service.families.netbird.store.native import UserTokens
from accounts_service.storage import migrations
from accounts_service.storage.database import open_database
from accounts_service.storage.sealed import Keyring, Vault
from accounts_service.web.services import Services, TokenOrder
from tests.families.test_wavefront_races import CLIENTS, at_once
from tests.support.installation import Installation
from tests.support.netbird import AUTHOR, ROOT, behind, give_groups
from tests.support.served import Answer, Served
from tests.support.tokens import SECRET, claims, token

pytestmark = pytest.mark.usefixtures("socket_enabled")

ISSUER = "https://idp.example"
JWT = {
    "signing_key": base64.b64encode(SECRET).decode(),
    "required_issuer": ISSUER,
    "required_audience": "netbird",
}
ROBOT = {"role": "admin", "is_service_user": True, "name": "robot", "auto_groups": []}
ORDER = {"name": "of the pipeline", "expires_in": 30}

# One for each account.
_numbers = itertools.count(1)


def token_of(services: Services, domain: str, principal: str, role: str = "owner") -> str:
    """Make a token, and whose it is; an owner founds the account of the domain."""
    order = TokenOrder(principal, create=True, name="test", roles=(role,), account=domain)
    with services.database.transaction(UserTokens, AUTHOR) as tokens:
        return tokens.create(order, services.settings)


@contextmanager
def serving(
    request: pytest.FixtureRequest, folders: pytest.TempPathFactory, files: dict[str, object], **settings: str
) -> Iterator[Served]:
    """Serve an empty database of the kind that the fixture is for, with these configuration files too."""
    folder = folders.mktemp("served")
    if request.param == "sqlite":
        url = f"sqlite:///{shutil.copy(request.getfixturevalue('migrated_sqlite'), folder / 'accounts.db')}"
    else:
        url = request.getfixturevalue("new_postgres_database")()
        database = open_database(url, Vault(Keyring.generate()))
        migrations.upgrade(database)
        database.dispose()
    installation = Installation(folder / "installation", url)
    for name, document in files.items():
        installation.write(name, document)
    with Served(installation, **settings) as server:
        yield server


@pytest.fixture(scope="module", params=("sqlite", "postgresql"))
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Give the service with room enough for all to wait for SQLite's writer at one worker.

    Each comes twice: with what it asks for, and to note that its token was used.
    """
    with serving(request, tmp_path_factory, {NETBIRD_JWT: JWT}, ACCOUNTS_THREADS=str(2 * 4 * CLIENTS)) as server:
        yield server


@pytest.fixture(scope="module")
def services(served: Served) -> Iterator[Services]:
    with behind(served) as services:
        yield services


def stored(services: Services, query: str, it: str = "") -> list[Any]:
    """Read one column of what is stored; `:it` may stand in the query."""
    with services.database.looking() as connection:
        return [*connection.execute(text(query), {"it": it} if ":it" in query else {}).scalars()]


class Asking:
    """Asks with a token; paths are below `/api`."""

    def __init__(self, served: Served, authorization: str) -> None:
        self._served = served
        self._headers = {"Authorization": authorization}

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        return self._served.ask(method, ROOT + path, by=None, headers=self._headers | more, body=body)

    def ok(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request that must be answered with 200; gives the body."""
        answer = self(method, path, body)
        assert answer.status == 200, answer.body
        return answer.json


class Home:
    """An account of a test's own. Who asks in it is known by a name, and by an id that is no other test's."""

    def __init__(self, served: Served, services: Services) -> None:
        self._served, self.services = served, services
        self._number = next(_numbers)
        self.domain = f"n{self._number}.example"
        self.owner = self.person("owner", "owner")
        self.id = self.owner.ok("GET", "/accounts")[0]["id"]
        self.path = f"/accounts/{self.id}"

    def name(self, name: str) -> str:
        """Give the id of whom the test calls so."""
        return f"{name}-{self._number}"

    def person(self, name: str, role: str) -> Asking:
        """Make somebody a user of the account, and ask as him."""
        return self.bringing(token_of(self.services, self.domain, self.name(name), role))

    def bringing(self, text: str) -> Asking:
        """Ask with a personal access token."""
        return Asking(self._served, f"Token {text}")

    def robot(self) -> str:
        """Make a service user; gives his id."""
        return str(self.owner.ok("POST", "/users", ROBOT)["id"])

    def owners(self) -> list[str]:
        """Name who owns the account, and is let in."""
        query = "SELECT id FROM netbird_user WHERE role = 'owner' AND blocked = 0 AND account_id = :it"
        return stored(self.services, query, self.id)

    def codes(self, by: Asking | None = None) -> list[str]:
        """Read the codes of what has happened, the newest first."""
        return [event["activity_code"] for event in (by or self.owner).ok("GET", "/events/audit")]


@pytest.fixture
def home(served: Served, services: Services) -> Home:
    return Home(served, services)


def logged_in(served: Served, user_id: str, domain: str, category: str = "private") -> Asking:
    """Ask with a JWT of the identity provider."""
    said = {"netbird/wt_account_domain": domain, "netbird/wt_account_domain_category": category}
    text = token(said=claims(sub=user_id, iss=ISSUER, aud="netbird", **said))
    return Asking(served, f"Bearer {text}")


# -- Settings -----------------------------------------------------------------

ROUNDS = 8

# A setting for each client, and what it is in each round; round 0 is what a new account has.
CHANGES: tuple[tuple[str, Callable[[int], Any]], ...] = (
    ("peer_login_expiration", lambda number: 86400 + number),
    ("peer_inactivity_expiration", lambda number: 600 - number),
    ("dns_domain", lambda number: f"round{number}.example" if number else ""),
    ("jwt_groups_claim_name", lambda number: f"claim{number}" if number else ""),
    ("jwt_allow_groups", lambda number: [f"group{one}" for one in range(number)]),
    ("auto_update_version", lambda number: f"0.{number}" if number else "disabled"),
    # Two that are written into one object.
    ("extra.peer_approval_enabled", lambda number: number % 2 == 1),
    ("extra.user_approval_required", lambda number: number % 2 == 0),
)


def patch_of(setting: str, value: Any) -> dict[str, Any]:
    outer, _, inner = setting.partition(".")
    return {"settings": {outer: {inner: value} if inner else value}}


def value_of(account: Any, setting: str) -> Any:
    found = account["settings"]
    for name in setting.split("."):
        found = found[name]
    return found


def test_different_settings_patched_at_once_are_all_kept_and_told_once(home: Home) -> None:
    def change(setting: str, value: Callable[[int], Any]) -> Callable[[], None]:
        def run() -> None:
            for number in range(1, ROUNDS + 1):
                account = home.owner.ok("PATCH", home.path, patch_of(setting, value(number)))
                assert value_of(account, setting) == value(number)

        return run

    assert len(CHANGES) == CLIENTS
    at_once(*(change(*one) for one in CHANGES))
    answer = home.owner("GET", "/accounts")
    assert answer.headers["ETag"] == f'"{1 + CLIENTS * ROUNDS}"'
    events = [one for one in home.owner.ok("GET", "/events/audit") if "setting" in one["meta"]]
    assert len(events) == CLIENTS * ROUNDS
    for setting, value in CHANGES:
        assert value_of(answer.json[0], setting) == value(ROUNDS)
        told = [(one["meta"]["old"], one["meta"]["new"]) for one in events if one["meta"]["setting"] == setting]
        values = [written(value(number)) for number in range(ROUNDS + 1)]
        assert told[::-1] == [*itertools.pairwise(values)]


def test_of_many_patches_of_one_version_one_is_made(home: Home) -> None:
    for number in range(ROUNDS):
        tag = home.owner("GET", "/accounts").headers["ETag"]
        bodies = [patch_of("peer_login_expiration", 4000 + CLIENTS * number + client) for client in range(CLIENTS)]
        answers = at_once(*(partial(home.owner, "PATCH", home.path, body, If_Match=tag) for body in bodies))
        assert sorted(answer.status for answer in answers) == [200] + [412] * (CLIENTS - 1)
        (made,) = (answer for answer in answers if answer.status == 200)
        after = home.owner("GET", "/accounts")
        assert (after.headers["ETag"], after.json[0]["settings"]["peer_login_expiration"]) == (
            made.headers["ETag"],
            made.json["settings"]["peer_login_expiration"],
        )
    assert home.codes().count("account.setting.peer.login.expiration.update") == ROUNDS


# -- Owners -------------------------------------------------------------------

OWNER = {"role": "owner", "auto_groups": []}


def test_of_many_who_are_made_the_owner_at_once_one_is(home: Home) -> None:
    people = {home.name(f"heir{number}"): home.person(f"heir{number}", "admin") for number in range(CLIENTS)}
    people[home.name("owner")] = home.owner
    owner = home.name("owner")
    for _ in range(ROUNDS):
        answers = at_once(*(partial(people[owner], "PUT", f"/users/{heir}", OWNER) for heir in people if heir != owner))
        assert sorted(answer.status for answer in answers) == [200] + [403] * (CLIENTS - 1)
        (heir,) = (answer.json["id"] for answer in answers if answer.status == 200)
        assert home.owners() == [heir]
        roles = {one["id"]: one["role"] for one in people[heir].ok("GET", "/users")}
        assert roles == dict.fromkeys(people, "admin") | {heir: "owner"}
        owner = heir
    assert home.codes(people[owner]).count("transferred.owner.role") == ROUNDS


def test_an_heir_who_is_changed_at_the_same_moment_leaves_one_owner(home: Home) -> None:
    admin = home.person("admin", "admin")
    owner, giver = home.name("owner"), home.owner
    for number in range(ROUNDS):
        heir, inheriting = home.name(f"heir{number}"), home.person(f"heir{number}", "user")
        path = f"/users/{heir}"
        given, _, _, deleted = answers = at_once(
            partial(giver, "PUT", path, OWNER),
            partial(admin, "PUT", path, OWNER | {"role": "auditor"}),
            partial(admin, "PUT", path, OWNER | {"role": "user", "is_blocked": True}),
            partial(admin, "DELETE", path),
        )
        assert {answer.status for answer in answers} <= {200, 403, 404}
        # Whose the role is cannot be deleted; whoever was deleted cannot be given it.
        assert given.status == 404 or deleted.status == 403
        if given.status == 200:
            owner, giver = heir, inheriting
        assert home.owners() == [owner]


def test_an_owner_who_is_changed_while_he_gives_his_role_away_has_given_it(home: Home) -> None:
    home.person("heir", "admin")
    admin = home.person("admin", "admin")
    # Groups that it may keep, so that each change is another one.
    give_groups(home.services, home.name("owner"), [*map(str, range(CLIENTS))])
    given, *changed = at_once(
        partial(home.owner, "PUT", f"/users/{home.name('heir')}", OWNER),
        *(
            partial(admin, "PUT", f"/users/{home.name('owner')}", OWNER | {"auto_groups": [str(number)]})
            for number in range(CLIENTS - 1)
        ),
    )
    assert given.status == 200
    assert {answer.status for answer in changed} <= {200, 403, 422}
    assert home.owners() == [home.name("heir")]


# -- Log-ins ------------------------------------------------------------------


def test_of_many_who_log_in_first_one_founds_the_account_and_the_others_join_it(
    served: Served, services: Services
) -> None:
    for _ in range(ROUNDS):
        number = next(_numbers)
        domain = f"the-domain-{number}.example"
        spellings = [domain[:place].upper() + domain[place:] for place in range(CLIENTS)]
        people = {
            f"person{place}-{number}": logged_in(served, f"person{place}-{number}", spelling)
            for place, spelling in enumerate(spellings)
        }
        told = at_once(*(partial(ask, "GET", "/users/current") for ask in people.values()))
        answers = dict(zip(people, told, strict=True))
        assert sorted(answer.status for answer in answers.values()) == [200] + [403] * (CLIENTS - 1)
        (founder,) = (who for who, answer in answers.items() if answer.status == 200)
        shown = {one["id"]: (one["role"], one["pending_approval"]) for one in people[founder].ok("GET", "/users")}
        assert shown == dict.fromkeys(people, ("user", True)) | {founder: ("owner", False)}
        codes = [event["activity_code"] for event in people[founder].ok("GET", "/events/audit")]
        assert sorted(codes) == ["account.create"] + ["user.join"] * CLIENTS
        assert stored(services, "SELECT count(*) FROM netbird_account WHERE lower(domain) = :it", domain) == [1]


@pytest.mark.parametrize("category", ("private", "public"))
def test_one_person_who_logs_in_first_many_times_at_once_is_one(
    served: Served, services: Services, category: str
) -> None:
    for _ in range(ROUNDS):
        number = next(_numbers)
        ask = logged_in(served, f"person-{number}", f"n{number}.example", category)
        answers = at_once(*[partial(ask, "GET", "/accounts")] * CLIENTS)
        assert {answer.status for answer in answers} == {200}
        (account,) = {answer.json[0]["id"] for answer in answers}
        assert stored(services, "SELECT id FROM netbird_account WHERE domain = :it", f"n{number}.example") == [account]
        assert [one["id"] for one in ask.ok("GET", "/users")] == [f"person-{number}"]
        codes = [event["activity_code"] for event in ask.ok("GET", "/events/audit")]
        assert codes == ["user.join", "account.create"]


# -- What is deleted ----------------------------------------------------------

# What is left over of something that was deleted.
LEFT_OVER = (
    "SELECT id FROM netbird_user WHERE account_id NOT IN (SELECT id FROM netbird_account)",
    "SELECT id FROM netbird_token WHERE user_id NOT IN (SELECT id FROM netbird_user)",
    "SELECT domain FROM netbird_primary WHERE account_id NOT IN (SELECT id FROM netbird_account)",
)


def test_an_account_that_is_deleted_while_it_is_used_is_gone_with_everybody(served: Served, services: Services) -> None:
    for _ in range(ROUNDS):
        home = Home(served, services)
        admin, robot = home.person("admin", "admin"), home.robot()
        itself = home.bringing(admin.ok("POST", f"/users/{robot}/tokens", ORDER)["plain_token"])
        newcomer = logged_in(served, home.name("newcomer"), home.domain)
        deleted, again, token_made, *others = at_once(
            partial(home.owner, "DELETE", home.path),
            partial(home.owner, "DELETE", home.path),
            partial(admin, "POST", f"/users/{robot}/tokens", ORDER),
            partial(admin, "POST", "/users", ROBOT),
            partial(itself, "GET", "/users"),
            partial(newcomer, "GET", "/users/current"),
            *(partial(home.owner, "PATCH", home.path, patch_of(setting, value(1))) for setting, value in CHANGES),
        )
        statuses = sorted((deleted.status, again.status))
        assert statuses in ([200, 401], [200, 403])
        assert token_made.status in {200, 401, 403, 404}
        assert {answer.status for answer in others} <= {200, 401, 403}
        assert {ask("GET", "/accounts").status for ask in (home.owner, admin, itself)} == {401}
        assert stored(services, "SELECT id FROM netbird_account WHERE id = :it", home.id) == []
        assert [row for query in LEFT_OVER for row in stored(services, query)] == []
        # The newcomer has joined it and gone with it, or has founded another one. Either way he has one now.
        assert newcomer.ok("GET", "/accounts")[0]["domain"] == home.domain
        assert newcomer.ok("GET", "/users/current")["role"] == "owner"


def test_a_service_user_who_is_deleted_while_he_is_given_tokens_has_none(home: Home, services: Services) -> None:
    total = home.codes().count("personal.access.token.create")
    for _ in range(ROUNDS):
        robot = home.robot()
        path = f"/users/{robot}"
        deleted, again, *others = at_once(
            partial(home.owner, "DELETE", path),
            partial(home.owner, "DELETE", path),
            partial(home.owner, "PUT", path, OWNER | {"role": "auditor"}),
            *[partial(home.owner, "POST", f"{path}/tokens", ORDER)] * CLIENTS,
        )
        assert sorted((deleted.status, again.status)) == [200, 404]
        assert {answer.status for answer in others} <= {200, 404}
        made = [home.bringing(answer.json["plain_token"]) for answer in others[1:] if answer.status == 200]
        assert {ask("GET", "/accounts").status for ask in made} <= {401}
        assert [row for query in LEFT_OVER for row in stored(services, query)] == []
        total += len(made)
        assert home.codes().count("personal.access.token.create") == total


@pytest.mark.parametrize("ended", ("token", "user"))
def test_a_token_that_is_deleted_while_it_is_used_is_good_until_then_and_never_after(home: Home, ended: str) -> None:
    robot = home.robot()
    made = home.owner.ok("POST", f"/users/{robot}/tokens", ORDER)
    path = f"/users/{robot}" + (f"/tokens/{made['personal_access_token']['id']}" if ended == "token" else "")
    used = threading.Barrier(CLIENTS)
    gone = threading.Event()

    def use() -> list[int]:
        ask = home.bringing(made["plain_token"])
        statuses = [ask("GET", "/accounts").status]
        used.wait()
        while not gone.is_set():
            statuses.append(ask("GET", "/accounts").status)
        assert {ask("GET", "/accounts").status for _ in range(3)} == {401}
        return statuses

    def delete() -> int:
        used.wait()
        try:
            return home.owner("DELETE", path).status
        finally:
            gone.set()

    deleted, *uses = at_once(delete, *[use] * (CLIENTS - 1))
    assert deleted == 200
    for statuses in uses:
        good = statuses.count(200)
        assert (good > 0, statuses) == (True, [200] * good + [401] * (len(statuses) - good))
