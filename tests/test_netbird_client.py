"""Clients that nobody here wrote, NetBird's for Python and netbirdexport, against the service as it is run."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import netbird  # type: ignore[import-untyped]  # it has no types
import pytest
from netbird.models import (  # type: ignore[import-untyped]  # it has no types
    Account,
    AccountSettings,
    AuditEvent,
    GroupCreate,
    GroupUpdate,
    TokenCreate,
    User,
    UserCreate,
    UserInviteCreate,
    UserUpdate,
)
from netbird.resources.accounts import AccountsResource  # type: ignore[import-untyped]  # it has no types
from netbird.resources.events import EventsResource  # type: ignore[import-untyped]  # it has no types
from netbird.resources.groups import GroupsResource  # type: ignore[import-untyped]  # it has no types
from netbird.resources.tokens import TokensResource  # type: ignore[import-untyped]  # it has no types
from netbird.resources.users import UsersResource  # type: ignore[import-untyped]  # it has no types

from accounts_service.families.netbird.store.accounts import Person
from accounts_service.families.netbird.store.tokens import Tokens
from accounts_service.web.services import Services
from tests.families.test_netbird_races import serving, token_of
from tests.support.netbird import AUTHOR, INVITE, behind
from tests.support.served import COMMAND, Served

pytestmark = pytest.mark.usefixtures("socket_enabled")

# One for each account.
_numbers = itertools.count(1)

NETBIRDEXPORT = Path(sys.executable).with_name("netbirdexport")

# At once, and users that each of them makes.
WRITERS, USERS = 10, 3

# Well formed, and nobody's.
NOBODYS = "nbp_9999EUDNdkeusjentDLSJEn1902u84390W6W"

RESOURCES = {
    "accounts": AccountsResource,
    "users": UsersResource,
    "tokens": TokensResource,
    "events": EventsResource,
    "groups": GroupsResource,
}
_INVITE = UserInviteCreate(email="ann@example.com", name="Ann", role="user", auto_groups=[])

# What needs an identity provider of the service's own, and the message of its refusal.
_LINKS = "invite links are only available with embedded identity provider"
_PASSWORDS = "password change is only available with embedded identity provider"
NO_PROVIDER: dict[str, tuple[tuple[Any, ...], str]] = {
    "users.invite": (("x",), "idp manager must be enabled to send user invites"),
    "users.change_password": (("x", "old", "new"), _PASSWORDS),
    "users.list_invites": ((), _LINKS),
    "users.create_invite": ((_INVITE,), _LINKS),
    "users.delete_invite": (("x",), _LINKS),
    "users.regenerate_invite": (("x", 60), _LINKS),
    "users.get_invite_info": ((INVITE,), _LINKS),
    "users.accept_invite": ((INVITE, "password"), _LINKS),
}
# What there is no endpoint for: there is no traffic here, and what is listed is read only.
NOT_HERE: dict[str, tuple[Any, ...]] = {
    "events.get_network_traffic_events": (),
    "events.get_proxy_events": (),
    "groups.create": (GroupCreate(name="x"),),
    "groups.update": ("x", GroupUpdate(name="x")),
    "groups.delete": ("x",),
}


class Client(netbird.APIClient):  # type: ignore[misc]  # it has no types
    """NetBird's client. `called`: what a test has called of it."""

    def __init__(self, served: Served, token: str, scheme: str = "Token") -> None:
        super().__init__(host=f"http://127.0.0.1:{served.port}", api_token=token, auth_scheme=scheme)
        self.called: set[str] = set()
        for resource, kind in RESOURCES.items():
            for name in methods_of(kind):
                part = getattr(self, resource)
                setattr(part, name, self._counting(f"{resource}.{name}", getattr(part, name)))

    def _counting(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **more: Any) -> Any:
            self.called.add(name)
            return method(*arguments, **more)

        return call

    def has_called_all_of(self, resource: str) -> bool:
        """Tell whether a test has called whatever a resource can be asked here."""
        asked = {f"{resource}.{name}" for name in methods_of(RESOURCES[resource])}
        return asked - NOT_HERE.keys() - NO_PROVIDER.keys() <= self.called


def asked(client: Client, name: str) -> Any:
    """Find a method by the names of its resource and its own."""
    resource, _, method = name.partition(".")
    return getattr(getattr(client, resource), method)


def methods_of(resource: type) -> list[str]:
    """Name what a resource can be asked."""
    return [name for name in vars(resource) if name[0] != "_"]


def refused(kind: Any, call: Callable[..., Any], *arguments: Any) -> tuple[int, str]:
    """Make a call that is to be refused with just this kind of error; gives the status, and the message of the body."""
    with pytest.raises(kind) as caught:
        call(*arguments)
    error = caught.value
    assert type(error) is kind
    if error.response_data.keys() == {"message", "code"}:
        assert error.response_data == {"message": error.message, "code": error.status_code}
    return error.status_code, error.message


# -- The service, and who asks it ----------------------------------------------


@pytest.fixture(scope="module", params=("sqlite", "postgresql"))
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Give the service behind gunicorn; its tests share it, each with an account of its own."""
    with serving(request, tmp_path_factory, {}) as server:
        yield server


@pytest.fixture(scope="module")
def services(served: Served) -> Iterator[Services]:
    with behind(served) as services:
        yield services


class Domain:
    """An account of a test's own. Who asks in it is known by a name, and by an id that is no other test's."""

    def __init__(self, served: Served, services: Services, name: str) -> None:
        self.name = name
        self._served, self._services = served, services

    def id_of(self, name: str) -> str:
        """Give the id of whom the test calls so, as some identity providers would."""
        return f"idp|{name}@{self.name}"

    def token(self, name: str, role: str = "owner") -> str:
        """Make a token, and whose it is."""
        return token_of(self._services, self.name, self.id_of(name), role)

    def wait(self, name: str) -> str:
        """Have a person log in who is to be approved; give their token."""
        with self._services.database.transaction(Tokens, AUTHOR) as users:
            account = users.primary(self.name)
            assert account is not None
            user = users.join(account.id, Person(self.id_of(name), name, ""), "user", approved=False)
            return users.make_token_for(user, "test", 1, created_by=user.id)[0]

    @contextmanager
    def asked_by(self, token: str, scheme: str = "Token") -> Iterator[Client]:
        """Ask with a token."""
        with Client(self._served, token, scheme) as client:
            yield client


@pytest.fixture
def domain(served: Served, services: Services) -> Domain:
    return Domain(served, services, f"n{next(_numbers)}.example")


@pytest.fixture
def owner(domain: Domain) -> Iterator[Client]:
    with domain.asked_by(domain.token("owner")) as client:
        yield client


@pytest.fixture
def account(owner: Client) -> str:
    """Give the id of the owner's account."""
    return str(owner.accounts.list()[0]["id"])


# -- Round trips ---------------------------------------------------------------


def test_the_first_account_owner_and_token_come_from_the_command_line(served: Served) -> None:
    words = "token create --family netbird --account example.com --principal owner1 --role owner --create"
    made = subprocess.run(
        [COMMAND, *words.split()],
        env=served.installation.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    token = made.stdout.removesuffix("\n")
    assert made.stdout == f"{token}\n"
    for scheme in ("Token", "Bearer"):
        with Client(served, token, scheme) as client:
            (account,) = client.accounts.list()
            assert (account["domain"], account["created_by"]) == ("example.com", "owner1")
            me = client.users.get_current()
            assert (me["id"], me["role"], User(**me).status) == ("owner1", "owner", "active")


def test_a_round_trip_of_the_account(owner: Client, domain: Domain) -> None:
    (new,) = owner.accounts.list()
    assert Account(**new).domain == domain.name
    assert new["settings"]["extra"]["user_approval_required"] is True

    # What was read, with one thing changed: its nulls are sent, and `extra` is under a name that nobody knows.
    settings = AccountSettings(**new["settings"])
    settings.dns_domain = "in.example"
    sent = settings.model_dump(exclude_unset=True)
    assert (sent["peer_expose_groups"], "extra" in sent, "extra_settings" in sent) == (None, False, True)
    changed = owner.accounts.update(new["id"], settings)
    assert changed == new | {"settings": new["settings"] | {"dns_domain": "in.example"}}
    assert owner.accounts.list() == [changed]

    # What the client calls `extra` does not arrive, and what is there stays.
    settings = AccountSettings(
        peer_login_expiration_enabled=True, peer_login_expiration=7200, extra={"user_approval_required": False}
    )
    assert settings.model_dump(exclude_unset=True)["extra_settings"] == {"user_approval_required": False}
    assert owner.accounts.update(new["id"], settings)["settings"]["extra"] == new["settings"]["extra"]

    # Two settings, and with them all others.
    changed = owner.accounts.update(
        new["id"], AccountSettings(peer_login_expiration_enabled=True, peer_login_expiration=3600)
    )
    (listed,) = owner.accounts.list()
    effective = {name: new["settings"][name] for name in ("network_range", "network_range_v6")}
    assert listed == changed | {"settings": changed["settings"] | effective}
    set_now = {name: value for name, value in changed["settings"].items() if value not in (False, None, [], "", 0)}
    assert set_now == {
        "peer_login_expiration_enabled": True,
        "peer_login_expiration": 3600,
        "extra": new["settings"]["extra"],
    }
    assert changed["onboarding"] == new["onboarding"]

    # What the client has under names of its own is passed over.
    legacy = AccountSettings(
        peer_login_expiration_enabled=True,
        peer_login_expiration=3600,
        group_propagation_enabled=True,
        dns_resolution_enabled=True,
        network_traffic_logging_enabled=True,
        user_view_restrictions={"x": True},
    )
    assert owner.accounts.update(new["id"], legacy) == changed

    assert owner.accounts.delete(new["id"]) is None
    assert refused(netbird.NetBirdAuthenticationError, owner.accounts.list) == (401, "token invalid")
    with domain.asked_by(domain.token("owner")) as again:
        assert again.accounts.list()[0]["id"] != new["id"]
    assert owner.has_called_all_of("accounts")


def test_a_round_trip_of_users(owner: Client, domain: Domain) -> None:
    me, ann = domain.id_of("owner"), domain.id_of("ann")
    domain.token("ann", "user")
    current = owner.users.get_current()
    assert (current["id"], current["is_current"], current["role"]) == (me, True, "owner")
    assert current["permissions"]["modules"]["settings"] == dict.fromkeys(("read", "create", "update", "delete"), True)

    robot = owner.users.create(UserCreate(email="robot@example.com", name="robot", role="admin", is_service_user=True))
    assert (robot["name"], robot["role"], robot["email"], robot["is_service_user"]) == ("robot", "admin", "", True)
    listed = owner.users.list()
    assert [one["id"] for one in listed] == [me, ann, robot["id"]]
    assert [User(**one).id for one in listed] == [me, ann, robot["id"]]
    person = UserCreate(email="bob@example.com", name="bob", role="user")
    assert refused(netbird.NetBirdAPIError, owner.users.create, person)[0] == 412
    assert refused(netbird.NetBirdAPIError, owner.users.get, robot["id"]) == (405, "HTTP 405")

    changed = owner.users.update(robot["id"], UserUpdate(role="user", auto_groups=[], is_blocked=True))
    assert changed == robot | {"role": "user", "is_blocked": True, "status": "blocked"}
    assert owner.users.update(ann, UserUpdate(role="admin", auto_groups=[]))["role"] == "admin"
    assert [one["role"] for one in owner.users.list()] == ["owner", "admin", "user"]
    assert owner.users.delete(robot["id"]) is None
    assert owner.users.delete(ann) is None
    assert [one["id"] for one in owner.users.list()] == [me]

    token, other = domain.wait("bea"), domain.wait("carl")
    waiting = [one["id"] for one in owner.users.list() if one["pending_approval"]]
    assert waiting == [domain.id_of("bea"), domain.id_of("carl")]
    assert owner.users.approve(waiting[0])["pending_approval"] is False
    assert owner.users.reject(waiting[1]) is None
    with domain.asked_by(token) as bea, domain.asked_by(other) as carl:
        assert bea.users.get_current()["id"] == waiting[0]
        assert refused(netbird.NetBirdAuthenticationError, carl.users.get_current) == (401, "token invalid")
    again = refused(INVALID, owner.users.approve, waiting[0])
    assert again == (422, f"user {waiting[0]} is not pending approval")
    assert refused(NOT_FOUND, owner.users.reject, waiting[1]) == (404, f"user: {waiting[1]} not found")
    assert owner.has_called_all_of("users")


def test_clients_test_their_connection(owner: Client, domain: Domain) -> None:
    (group,) = owner.groups.list()
    assert (group["name"], group["peers_count"], group["peers"]) == ("All", 0, [])
    assert owner.groups.get(group["id"]) == group
    assert owner.accounts.list()[0]["settings"]["ipv6_enabled_groups"] == [group["id"]]
    assert (owner.peers.list(), owner.peers.list(name="x"), owner.setup_keys.list()) == ([], [], [])
    assert owner.instance.get_status() == {"setup_required": False}
    assert owner.instance.get_version()["management_update_available"] is False
    with domain.asked_by(domain.token("ann", "user"), "Token") as ann:
        assert ann.peers.list() == []
        for call in (ann.groups.list, ann.setup_keys.list):
            assert refused(DENIED, call) == (403, "permission denied")
    assert owner.has_called_all_of("groups")


@pytest.mark.parametrize("name", NO_PROVIDER)
def test_what_needs_an_identity_provider_is_the_clients_error(owner: Client, name: str) -> None:
    arguments, message = NO_PROVIDER[name]
    assert refused(DENIED, asked(owner, name), *arguments) == (412, message)


def test_ten_parallel_netbird_writers_all_succeed(owner: Client, domain: Domain) -> None:
    # As many at once as Terraform has by default, each with what its provider sends for a user and a token.
    token = domain.token("admin", "admin")
    start = threading.Barrier(WRITERS)

    def write(number: int) -> list[str]:
        with domain.asked_by(token) as client:
            start.wait()
            made = []
            for count in range(USERS):
                user = UserCreate(
                    email="x@example.com",
                    name=f"robot {number} {count}",
                    role="user",
                    auto_groups=[],
                    is_service_user=True,
                )
                robot = client.users.create(user)["id"]
                client.users.update(robot, UserUpdate(role="admin", auto_groups=[], is_blocked=False))
                client.tokens.create(robot, TokenCreate(name="terraform", expires_in=30))
                made.append(robot)
            return made

    with ThreadPoolExecutor(WRITERS) as pool:
        made = [robot for some in pool.map(write, range(WRITERS)) for robot in some]
    roles = {one["id"]: one["role"] for one in owner.users.list() if one["is_service_user"]}
    assert roles == dict.fromkeys(made, "admin")
    assert len(made) == WRITERS * USERS


def test_a_round_trip_of_tokens(owner: Client, domain: Domain) -> None:
    (mine,) = owner.tokens.list(domain.id_of("owner"))
    assert mine["name"] == "test"
    made = owner.tokens.create(domain.id_of("owner"), TokenCreate(name="mine", expires_in=1))
    assert [one["name"] for one in owner.tokens.list(domain.id_of("owner"))] == ["test", "mine"]
    with domain.asked_by(made["plain_token"]) as itself:
        assert itself.users.get_current()["id"] == domain.id_of("owner")

    robot = owner.users.create(UserCreate(email="robot@example.com", role="admin", is_service_user=True))["id"]
    # There is a null where there is none, as in NetBird.
    assert owner.get(f"users/{robot}/tokens") is None
    assert owner.tokens.list(robot) == []
    made = owner.tokens.create(robot, TokenCreate(name="of the pipeline", expires_in=365))
    token = made["personal_access_token"]
    assert (token["name"], token["created_by"]) == ("of the pipeline", domain.id_of("owner"))
    assert owner.tokens.get(robot, token["id"]) == token
    assert owner.tokens.list(robot) == [token]

    with domain.asked_by(made["plain_token"]) as itself:
        (account,) = itself.accounts.list()
        itself.accounts.update(account["id"], AccountSettings(peer_login_expiration=3600))
        assert {one["id"]: one["is_current"] for one in itself.users.list()} == {
            domain.id_of("owner"): False,
            robot: True,
        }
        # It is for people.
        assert refused(netbird.NetBirdAPIError, itself.users.get_current) == (403, "permission denied")
        assert owner.tokens.delete(robot, token["id"]) is None
        assert refused(netbird.NetBirdAuthenticationError, itself.accounts.list) == (401, "token invalid")
    assert owner.tokens.list(robot) == []
    assert owner.has_called_all_of("tokens")


def test_events_are_the_newest_first_with_old_and_new_values(owner: Client, account: str, domain: Domain) -> None:
    settings = AccountSettings(**owner.accounts.list()[0]["settings"])
    settings.peer_login_expiration = 3600
    owner.accounts.update(account, settings)
    settings.peer_login_expiration_enabled = False
    settings.dns_domain = "in.example"
    owner.accounts.update(account, settings)
    robot = owner.users.create(UserCreate(email="robot@example.com", name="r", role="user", is_service_user=True))["id"]
    events = owner.events.get_audit_events()
    # The token is of another's making, at the command line.
    initiators = {event.activity_code: event.initiator_id for event in (AuditEvent(**one) for one in events)}
    del initiators["personal.access.token.create"]
    assert {*initiators.values()} == {domain.id_of("owner")}
    assert [event["id"] for event in events] == sorted((event["id"] for event in events), key=int, reverse=True)
    newest, *of_settings = [
        (event["activity_code"], event["target_id"], event["meta"].get("old"), event["meta"].get("new"))
        for event in events
    ]
    assert newest == ("service.user.create", robot, None, None)
    assert set(of_settings[:2]) == {
        ("account.dns.domain.update", account, "", "in.example"),
        ("account.setting.peer.login.expiration.disable", account, "true", "false"),
    }
    # The ranges that the list shows are those that hold, and asking for them is no news.
    assert of_settings[2] == ("account.setting.peer.login.expiration.update", account, "86400", "3600")
    assert [code for code, *_ in of_settings[3:]] == ["personal.access.token.create", "user.join", "account.create"]
    assert owner.has_called_all_of("events")


@pytest.mark.parametrize("scheme", ("Token", "Bearer"))
def test_a_token_comes_after_either_word(domain: Domain, scheme: str) -> None:
    with domain.asked_by(domain.token("owner"), scheme) as client:
        assert client.accounts.list()[0]["domain"] == domain.name
        assert client.users.get_current()["id"] == domain.id_of("owner")
        assert len(client.tokens.list(domain.id_of("owner"))) == 1
        assert len(client.events.get_audit_events()) == 3
    with domain.asked_by(NOBODYS, scheme) as client:
        assert refused(netbird.NetBirdAuthenticationError, client.accounts.list) == (401, "token invalid")


# -- Refusals ------------------------------------------------------------------

DENIED, NOT_FOUND = netbird.NetBirdAPIError, netbird.NetBirdNotFoundError
INVALID = netbird.NetBirdValidationError
ANOTHERS = "ch8i4ug6lnn4g9hqv7l0"


def _settings(**settings: Any) -> AccountSettings:
    return AccountSettings(**{"peer_login_expiration": 3600, **settings})


# Who asks, for what, and how he is refused. `{owner}` and `{account}` stand for ids.
REFUSED: tuple[tuple[str, str, tuple[Any, ...], Any, int, str], ...] = (
    ("user", "accounts.list", (), DENIED, 403, "permission denied"),
    ("user", "events.get_audit_events", (), DENIED, 403, "permission denied"),
    ("auditor", "accounts.update", ("{account}", _settings()), DENIED, 403, "permission denied"),
    (
        *("admin", "accounts.delete", ("{account}",), DENIED, 403),
        "user is not allowed to delete account. only account owner can delete account",
    ),
    (
        *("owner", "accounts.update", (ANOTHERS, _settings()), DENIED, 403),
        "failed to validate user permissions: user is not part of this account",
    ),
    ("admin", "tokens.list", ("{owner}",), DENIED, 403, "admin role required to perform this action"),
    (
        *("owner", "users.create", (UserCreate(email="bob@example.com", name="bob", role="user"),), DENIED, 412),
        "idp manager must be enabled to send user invites",
    ),
    ("owner", "users.get", ("{owner}",), DENIED, 405, "HTTP 405"),
    ("owner", "users.delete", ("nobody",), NOT_FOUND, 404, "user: nobody not found"),
    ("owner", "tokens.get", ("{owner}", "none"), NOT_FOUND, 404, "pat: none not found"),
    (
        "owner",
        "tokens.create",
        ("nobody", TokenCreate(name="x", expires_in=1)),
        NOT_FOUND,
        404,
        "user: nobody not found",
    ),
    ("owner", "users.delete", ("{owner}",), INVALID, 422, "self deletion is not allowed"),
    ("owner", "users.update", ("{owner}", UserUpdate(role="owner")), INVALID, 400, "auto_groups field can't be absent"),
    (
        *("owner", "accounts.update", ("{account}", _settings(peer_login_expiration=15552001)), INVALID, 422),
        "peer login expiration can't be larger than 180 days",
    ),
    (
        *("owner", "accounts.update", ("{account}", AccountSettings(dns_domain="*.Example.com")), INVALID, 422),
        'peer login expiration can\'t be smaller than one hour; invalid domain "*.example.com" provided for dns domain',
    ),
)


@pytest.mark.parametrize(
    ("role", "name", "arguments", "kind", "status", "message"),
    REFUSED,
    ids=[f"{role}: {name}: {message}" for role, name, _, _, _, message in REFUSED],
)
def test_a_refusal_is_the_clients_kind_of_error_with_our_words(
    owner: Client,
    account: str,
    domain: Domain,
    *,
    role: str,
    name: str,
    arguments: tuple[Any, ...],
    kind: Any,
    status: int,
    message: str,
) -> None:
    ids = {"{account}": account, "{owner}": domain.id_of("owner")}
    filled = [ids.get(one, one) if isinstance(one, str) else one for one in arguments]
    with nullcontext(owner) if role == "owner" else domain.asked_by(domain.token("other", role)) as client:
        before = owner.accounts.list(), owner.users.list()
        assert refused(kind, asked(client, name), *filled) == (status, message)
    assert (owner.accounts.list(), owner.users.list()) == before


def test_what_there_is_no_endpoint_for_is_not_found(owner: Client) -> None:
    for name, arguments in NOT_HERE.items():
        with pytest.raises(netbird.NetBirdAPIError) as caught:
            asked(owner, name)(*arguments)
        # Of one with the path of a user it is the method that is not there.
        assert caught.value.status_code in {404, 405}, name
    assert owner.called == NOT_HERE.keys()


# -- netbirdexport -------------------------------------------------------------


@pytest.fixture
def export(served: Served, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run netbirdexport; it writes into the folder of the test."""

    def run(token: str, *options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [NETBIRDEXPORT, "--url", f"http://127.0.0.1:{served.port}", "--out", tmp_path / "export", *options],
            env={"NETBIRD_TOKEN": token},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.mark.parametrize("scheme", ((), ("--bearer",)), ids=("Token", "Bearer"))
def test_users_are_exported(
    export: Callable[..., subprocess.CompletedProcess[str]],
    owner: Client,
    domain: Domain,
    tmp_path: Path,
    scheme: tuple[str, ...],
) -> None:
    domain.token("ann", "user")
    owner.users.create(UserCreate(email="robot@example.com", name="röbot", role="user", is_service_user=True))
    token = domain.token("admin", "admin")
    done = export(token, "--resources", "users", *scheme)
    assert (done.returncode, done.stderr) == (0, "")
    exported = json.loads((tmp_path / "export" / "users.json").read_text(encoding="utf-8"))
    assert exported == [one | {"is_current": one["id"] == domain.id_of("admin")} for one in owner.users.list()]
    assert [one["name"] for one in exported] == [*map(domain.id_of, ("owner", "ann")), "röbot", domain.id_of("admin")]
    written = "".join(path.read_text(encoding="utf-8") for path in (tmp_path / "export").iterdir())
    assert token not in done.stdout + written


def test_an_export_with_a_bad_token_fails_and_does_not_show_it(
    export: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    done = export(NOBODYS, "--resources", "users")
    assert (done.returncode, done.stdout) == (1, "")
    assert "/api/users returned HTTP 401" in done.stderr
    assert NOBODYS not in done.stderr
    assert not (tmp_path / "export").exists()


def test_an_export_of_what_is_not_here_fails(
    export: Callable[..., subprocess.CompletedProcess[str]], domain: Domain
) -> None:
    token = domain.token("owner")
    done = export(token, "--resources", "policies")
    assert done.returncode == 1
    assert "/api/policies returned HTTP 404" in done.stderr
    assert token not in done.stdout + done.stderr


def test_what_is_exported_by_default_is_here(
    export: Callable[..., subprocess.CompletedProcess[str]], owner: Client, domain: Domain, tmp_path: Path
) -> None:
    done = export(domain.token("admin", "admin"))
    assert (done.returncode, done.stderr) == (0, "")
    exported = {
        path.stem: json.loads(path.read_text(encoding="utf-8")) for path in (tmp_path / "export").glob("*.json")
    }
    assert exported["groups"] == owner.groups.list()
    assert [one["id"] for one in exported["users"]] == [domain.id_of("owner"), domain.id_of("admin")]
    assert exported["peers"] == []
    assert exported.get("setup-keys", exported.get("setup_keys")) == []
