"""A secret of its own in every place that takes one, and then a search in all that the service has written or said.

What is marked secret in a schema is found by the mark, so a new secret attribute
is looked for without a line here. Where an API shows a secret, CONTRACT says so.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from click.testing import CliRunner
from sqlalchemy import create_engine, select, text

from accounts_service import app, cli
from accounts_service.access.authenticators.internal_users import hash_password
from accounts_service.config import Settings
from accounts_service.families.mention.store.apps import Apps
from accounts_service.families.signals import examples
from accounts_service.families.signals.schemas.accounts import SCHEMAS
from accounts_service.faults import Json
from accounts_service.storage.sealed import Keyring
from accounts_service.storage.tables import METADATA
from accounts_service.web.routing import Destination, Router
from tests.support import mention, personas, tokens, wavefront
from tests.support.canary import Canaries, forms_of
from tests.support.installation import Installation
from tests.support.mail_server import MailServer
from tests.support.netbird import behind
from tests.support.scale import FULL
from tests.support.served import Answer, Served
from tests.support.service import Service

SECRETS = {name: schema.marked("secret") for name, schema in SCHEMAS.items()}
_OF_SIGNALS = {"X-Key", *(name for names in SECRETS.values() for name in names if name != "headers")}

# Which answers show a secret, and by which attributes: to who may reveal; once, when it is made; or to its owner.
CONTRACT: dict[tuple[str, str, str], set[str]] = {
    ("signals", "GET", "/_signals/account/<account_type>/<account:name>"): _OF_SIGNALS,
    ("signals", "POST", "/_signals/account/_search"): _OF_SIGNALS,
    ("wavefront", "GET", "/apitoken"): {"tokenID"},
    ("wavefront", "POST", "/apitoken"): {"tokenID"},
    ("wavefront", "PUT", "/apitoken/<named:token>"): {"tokenID"},
    # Those that are left.
    ("wavefront", "DELETE", "/apitoken/<named:token>"): {"tokenID"},
    ("netbird", "POST", "/users/<user_id>/tokens"): {"plain_token"},
    ("mention", "POST", "/oauth/v2/token"): {"access_token"},
}

_PATIENCE_SECONDS = 60


def _keys_that_show(node: Any, canaries: Canaries, key: str = "") -> Iterator[str]:
    if isinstance(node, dict):
        for name, value in node.items():
            assert not canaries.found_in(name.encode())
            yield from _keys_that_show(value, canaries, name)
    elif isinstance(node, list):
        for value in node:
            yield from _keys_that_show(value, canaries, key)
    elif canaries.found_in(str(node).encode()):
        yield key


@dataclass
class Walk:
    """Asks, and looks at each answer."""

    served: Served
    canaries: Canaries = field(default_factory=Canaries)
    shown: dict[tuple[str, str, str], set[str]] = field(default_factory=dict)
    unforeseen: list[tuple[str, str, int]] = field(default_factory=list)
    router: Router = field(default_factory=lambda: Router(app.FAMILIES.values(), Settings()))

    def ask(self, method: str, path: str, status: int | None = None, **options: Any) -> Answer:
        """Send a request. What shows a secret is noted, by its route."""
        answer = self.sent(method, path, **options)
        if status not in (None, answer.status):
            self.unforeseen.append((method, path.partition("?")[0], answer.status))
        self.look(method, path, answer)
        return answer

    def sent(self, method: str, path: str, *, caller: Mapping[str, str] | None = None, **options: Any) -> Answer:
        """Send a request whose answer is not looked at yet; `caller` are the headers of who has a token."""
        if caller is not None:
            options |= {"by": None, "headers": {**caller, **options.get("headers", {})}}
        return self.served.ask(method, path, **options)

    def look(self, method: str, path: str, answer: Answer) -> None:
        """Note what an answer shows."""
        assert not self.canaries.found_in(str(answer.headers).encode())
        if not (found := self.canaries.found_in(answer.body)):
            return
        place = self.router.find(method, path, "localhost", {})
        assert isinstance(place, Destination), found
        route = (place.family.name, method, place.route.rule)
        keys = set(_keys_that_show(answer.json, self.canaries)) if answer.status in (200, 201) else {f"{answer.status}"}
        self.shown.setdefault(route, set()).update(keys)

    def wrong(self, method: str, path: str, body: Mapping[str, Any], name: str, **options: Any) -> None:
        """Put a secret in each place and form that no schema takes."""
        secret = self.canaries.make(f"{path} {name} in bad bodies")
        for bad in (
            {"X-Key": secret},
            [secret],
            {secret: [{secret: secret}]},
            [[secret]],
            f"{secret}\0",
            f"\ud800{secret}",
        ):
            self.ask(method, path, body={**body, name: bad}, **options)
        self.ask(method, path, body=f'{{"{name}": "{secret}" "x"'.encode(), **options)
        self.ask(method, path, body=f'{{"{name}": "{secret}", "{name}": "{secret}"}}'.encode(), **options)
        self.ask(method, path, body=f'["{secret}"]'.encode(), **options)
        self.ask(method, path, body=f'"{secret}"'.encode(), **options)
        self.ask(method, path, body=f"{name}={secret}".encode(), headers={"Content-Type": "text/plain"}, **options)


def _too_large(walk: Walk) -> None:
    for path in ("/_signals/account/email/canary", "/api/v2/role/x", "/api/accounts/x", "/mention/api/accounts/x"):
        secret = walk.canaries.make(f"{path} in a large body")
        walk.ask("PUT", path, body=b'{"x":"%s%s"}' % (secret.encode(), b"x" * 1_100_000))


def _signals(walk: Walk) -> None:
    for account_type, names in SECRETS.items():
        path = f"/_signals/account/{account_type}/canary"
        good: dict[str, Any] = {
            **examples.GOOD[account_type],
            **({"user": "u"} if "user" in SCHEMAS[account_type].fields else {}),
        }
        for name in names:
            secret = walk.canaries.make(f"{account_type} {name}")
            good[name] = (
                {"X-Key": secret} if name == "headers" else f"https://x.example/{secret}" if name == "url" else secret
            )
        walk.ask("PUT", path, 201, body=good)
        walk.ask("PUT", path, 412, body=good, headers={"If-None-Match": "*"})
        walk.ask("PUT", f"/_signals/account/blue/{account_type}/canary", 201, body=good)
        walk.ask("PUT", path, 403, body=good, by="reader")
        for name in names:
            walk.wrong("PUT", path, good, name)
            # What is secret in one type is no attribute of another.
            for other in SCHEMAS.keys() - {account_type}:
                if name not in SCHEMAS[other].fields:
                    walk.ask("PUT", f"/_signals/account/{other}/bad", body={**examples.GOOD[other], name: good[name]})
        for by in ("reader", "manager", "native", "admin"):
            walk.ask("GET", path, by=by)
            walk.ask("GET", f"/_signals/account/blue/{account_type}/canary", by="native")
        lie = walk.canaries.know(f"a reference of {account_type}", walk.canaries.make("longer than one")[:22])
        walk.ask(
            "PUT",
            path,
            400,
            body={**good, names[-1]: {"X-Key": f"secret:{lie}"} if names[-1] == "headers" else f"secret:{lie}"},
        )
        walk.ask("DELETE", f"/_signals/account/blue/{account_type}/canary", 200)
        for name in names:
            sought = good[name]["X-Key"] if name == "headers" else good[name]
            query = {"query": {"term": {name: sought}}}
            for by in ("reader", "admin"):
                walk.sent("POST", "/_signals/account/_search", body=query, by=by)
    for by in ("reader", "admin"):
        walk.ask("POST", "/_signals/account/_search", 200, body={"size": 100}, by=by)


def _wavefront(walk: Walk) -> None:
    token = walk.canaries.know("wavefront token", wavefront.admin_of(walk.served))
    by: dict[str, Any] = {"caller": wavefront.bearer(token)}
    made = walk.sent("POST", "/api/v2/apitoken", **by)
    second = walk.canaries.know("wavefront second token", made.json["response"][-1]["tokenID"])
    walk.look("POST", "/api/v2/apitoken", made)
    walk.ask("GET", "/api/v2/apitoken", 200, **by)
    walk.ask("PUT", f"/api/v2/apitoken/{second}", 200, body={"tokenID": second, "tokenName": "x"}, **by)
    walk.ask("GET", f"/api/v2/apitoken/{second}", **by)
    walk.ask("POST", f"/api/v2/apitoken/{second}", **by)
    walk.wrong("PUT", f"/api/v2/apitoken/{second}", {"tokenName": "x"}, "tokenID", **by)
    walk.ask("GET", f"/_signals/account/email/{second}?token={second}", **by)
    walk.ask("GET", f"/api/v2/account?token={second}", **by)
    walk.ask("DELETE", f"/api/v2/apitoken/{second}", **by)
    walk.ask("GET", "/api/v2/account", 401, by=None, headers=wavefront.x_auth(second))
    walk.ask("POST", "/api/v2/account/user/invite", 200, body=[{"emailAddress": "someone@example.com"}], **by)


def _netbird(walk: Walk) -> None:
    found = CliRunner().invoke(
        cli.main,
        (
            "token",
            "create",
            "--family",
            "netbird",
            "--principal",
            "ann",
            "--account",
            "acme.example",
            "--role",
            "owner",
            "--create",
            "--name",
            "t",
        ),
        env=walk.served.installation.environment(),
    )
    token = walk.canaries.know("netbird token", found.stdout.strip())
    by: dict[str, Any] = {"caller": {"Authorization": f"Token {token}"}}
    ann = walk.ask("GET", "/api/users/current", 200, **by).json["id"]
    made = walk.sent("POST", f"/api/users/{ann}/tokens", body={"name": "two", "expires_in": 5}, **by)
    second = walk.canaries.know("netbird second token", made.json["plain_token"])
    walk.look("POST", f"/api/users/{ann}/tokens", made)
    walk.ask("GET", f"/api/users/{ann}/tokens", 200, **by)
    walk.ask("GET", f"/api/users/{ann}/tokens/{second}", **by)
    walk.ask("DELETE", f"/api/users/{second}/tokens/{second}?token={second}", **by)
    walk.wrong("POST", f"/api/users/{ann}/tokens", {"name": "x"}, "expires_in", **by)
    walk.ask("GET", "/api/events/audit", 200, **by)
    for scheme in ("Token", "Bearer", "Basic", "Nonsense"):
        walk.ask("GET", "/api/users", by=None, headers={"Authorization": f"{scheme} {second}x"})


def _mention(walk: Walk) -> None:
    with behind(walk.served) as services:
        known = mention.furnish(services)
        with services.database.transaction(Apps, mention.AUTHOR) as apps:
            client = apps.app(mention.CLIENT_ID)
            assert client is not None
            spent = apps.give_code(client, known["ACCOUNT_JANE"], mention.CALLBACK, (None, None))
    for name in ("TOKEN_JOHN", "TOKEN_JANE", "TOKEN_EXPIRED", "CLIENT_SECRET", "AUTH_CODE"):
        walk.canaries.know(f"mention {name}", known[name])
    walk.canaries.know("mention second code", spent)
    password, guess = walk.canaries.make("mention password"), walk.canaries.make("mention wrong password")
    new = {"name": "New", "email": "new@example.com", "password": password, "language_code": "en"}
    account = walk.ask("POST", "/mention/api/accounts", 200, body=new).json["account"]["id"]
    walk.ask("POST", "/mention/api/accounts", body=new)
    walk.wrong("POST", "/mention/api/accounts", new, "password")
    jane: dict[str, Any] = {"caller": {"Authorization": f"Bearer {known['TOKEN_JANE']}"}}
    change = {"old_password": guess, "new_password": walk.canaries.make("mention new password")}
    walk.ask("PUT", f"/mention/api/accounts/{known['ACCOUNT_JANE']}", 400, body=change, **jane)
    for name in change:
        walk.wrong("PUT", f"/mention/api/accounts/{known['ACCOUNT_JANE']}", {}, name, **jane)
    walk.ask("GET", f"/mention/api/accounts/{account}")
    walk.ask("GET", f"/mention/api/accounts/me?access_token={quote(known['TOKEN_EXPIRED'])}", 401, by=None)
    walk.ask("GET", f"/mention/api/accounts/{known['TOKEN_JOHN']}/x", **jane)
    order = {
        "client_id": mention.CLIENT_ID,
        "client_secret": known["CLIENT_SECRET"],
        "redirect_uri": mention.CALLBACK,
        "grant_type": "authorization_code",
        "code": known["AUTH_CODE"],
    }
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for changed in (
        {"client_secret": guess},
        {"code": guess},
        {"code": known["TOKEN_JOHN"]},
        {"grant_type": guess},
        {"redirect_uri": guess},
    ):
        sent = urlencode(order | {"code": spent} | changed)
        walk.ask("POST", "/mention/oauth/v2/token", 400, by=None, headers=form, body=sent.encode())
        walk.ask("GET", f"/mention/oauth/v2/token?{sent}", 400, by=None)
    made = walk.sent("POST", "/mention/oauth/v2/token", by=None, headers=form, body=urlencode(order).encode())
    walk.canaries.know("mention access token", made.json["access_token"])
    walk.look("POST", "/mention/oauth/v2/token", made)
    walk.ask("POST", "/mention/oauth/v2/token", 400, by=None, headers=form, body=urlencode(order).encode())
    asked = {"client_id": mention.CLIENT_ID, "redirect_uri": mention.CALLBACK, "response_type": "code"}
    walk.ask("GET", f"/mention/authorize?{urlencode(asked)}", by=None)
    for sign_in in (
        {"email": "j.smith@nasa.com", "password": guess},
        {"email": guess, "password": guess},
        {"proof": guess},
    ):
        walk.ask(
            "POST", f"/mention/authorize?{urlencode(asked)}", by=None, headers=form, body=urlencode(sign_in).encode()
        )


def _log_ins(walk: Walk, password: str) -> None:
    right = {"Authorization": _basic("canary", password)}
    walk.ask("GET", "/_searchguard/authinfo", 200, by=None, headers=right)
    guess = walk.canaries.make("a wrong password")
    walk.canaries.know("a whole header", _basic("admin", guess).partition(" ")[2])
    jwt = tokens.token()
    walk.canaries.know("the signature of a JWT", jwt.rpartition(".")[2])
    expired = tokens.token(said=tokens.claims(exp=1))
    walk.canaries.know("the signature of an expired JWT", expired.rpartition(".")[2])
    for path in (
        "/_signals/account/email/canary",
        "/api/v2/account",
        "/api/users",
        "/mention/api/accounts/me",
        "/_accounts/explain?method=GET&path=/livez",
    ):
        for name in ("admin", "nobody", guess):
            walk.ask("GET", path, 401, by=None, headers={"Authorization": _basic(name, guess)})
        for token in (jwt, expired, f"{jwt}x", jwt.rpartition(".")[0], guess):
            walk.ask("GET", path, by=None, headers={"Authorization": f"Bearer {token}"})
        for root in (path.partition("?")[0], "", "/_signals", "/_signals/account/email/canary/x"):
            walk.ask("GET", f"{root}/{jwt}?access_token={jwt}&{jwt}=1")
    for token in (jwt, guess):
        for asked in (
            {"method": "GET", "path": f"/_signals/account/email/x?t={token}"},
            {"method": token, "path": "/livez"},
            {"ip": token},
        ):
            walk.ask("GET", f"/_accounts/explain?{urlencode(asked)}")


def _basic(name: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"


def _commands(walk: Walk) -> None:
    environment = walk.served.installation.environment()
    for words in (
        ("doctor", "--secrets", "--json"),
        ("doctor",),
        ("routes",),
        ("explain", "--principal", "canary", "GET", "/_signals/account/email/canary"),
        *(("token", "list", "--family", family) for family in ("wavefront", "netbird", "mention")),
        ("token", "create", "--family", "netbird", "--principal", "nobody"),
    ):
        done = CliRunner().invoke(cli.main, words, env=environment)
        assert walk.canaries.found_in(done.output.encode() + repr(done.exception).encode()) == set(), words


def _rows(url: str) -> Iterator[tuple[str, bytes]]:
    engine = create_engine(url)
    with engine.connect() as connection:
        for name, table in METADATA.tables.items():
            for row in connection.execute(select(table)):
                for value in row:
                    yield name, value if isinstance(value, bytes) else str(value).encode()
    engine.dispose()


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _files(walk: Walk) -> None:
    installation = walk.served.installation
    for path in installation.folder.parent.rglob("*"):
        kept = path == installation.keys_file or installation.config_dir in path.parents or "last-good" in str(path)
        if path.is_file() and not kept:
            assert walk.canaries.found_in(path.read_bytes()) == set(), path


@pytest.mark.proof
@pytest.mark.parametrize("database", ("sqlite", "postgresql") if FULL else ("sqlite",))
def test_no_secret_is_anywhere_but_where_the_api_shows_it(
    database: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
    socket_enabled: None,
) -> None:
    del socket_enabled
    installation = Installation(tmp_path / "installation", request.getfixturevalue(f"{database}_url"))
    canaries = Canaries()
    password = canaries.make("password of an internal user")
    users = {name: {"hash": personas.hash_of(name)} for name in personas.NAMES}
    installation.write("sg_internal_users.yml", users | {"canary": {"hash": hash_password(password, cost=4)}})
    key = canaries.know("key of a jwt domain", base64.b64encode(tokens.SECRET).decode())
    jwt = {"type": "jwt", "jwt": {"signing_key": key}}
    installation.write("sg_authc.yml", {"auth_domains": [{"type": "basic/internal_users_db"}, jwt]})
    _know_keys(canaries, installation)
    more = {
        "ACCOUNTS_LOG_LEVEL": "debug",
        "ACCOUNTS_SERVE_JOBS": "true",
        "ACCOUNTS_MAIL_ACCOUNT": "email/mail",
        "ACCOUNTS_WORKERS": "1",
    }
    with MailServer(answers={"MAIL": "550 no"}) as refusing, Served(installation, **more) as served:
        walk = Walk(served, canaries)
        mail = {"host": "127.0.0.1", "port": refusing.port, "user": "u", "password": canaries.make("mail server")}
        walk.ask("PUT", "/_signals/account/email/mail", 201, body=mail)
        for part in (_signals, _wavefront, _netbird, _mention, _too_large):
            part(walk)
        _log_ins(walk, password)
        _commands(walk)
        _wait_for(lambda: '"mail.' in served.log.read_text())
        assert (walk.shown, walk.unforeseen) == (CONTRACT, [])
        _files(walk)
        assert {
            (name, found) for name, value in _rows(installation.database_url) for found in canaries.found_in(value)
        } == set()
        # Bugs, by what nobody writes but who writes the database: no JSON, and envelopes that were exchanged.
        engine = create_engine(installation.database_url)
        with engine.begin() as connection:
            lie = {"lie": "{" + canaries.make("a bug")}
            connection.execute(text("UPDATE signals_account SET attributes = :lie WHERE type = 'jira'"), lie)
            connection.execute(text("UPDATE signals_account SET secrets = :lie WHERE type = 'slack'"), lie)
        engine.dispose()
        for account_type in ("jira", "slack"):
            walk.ask("GET", f"/_signals/account/{account_type}/canary", 500)
        (worker,) = served.workers()
        os.kill(worker, signal.SIGABRT)
        _wait_for(lambda: served.workers() not in ([], [worker]))
        # One that is not yet there to hear it would not be stopped by a signal.
        walk.ask("GET", "/livez", 200)
        served.end()
    log = served.log.read_bytes()
    assert b'"bug"' in log
    assert canaries.found_in(log) == set()
    # Of another keys file nothing opens.
    installation.keys_file.write_text(Keyring.generate().to_json())
    _know_keys(canaries, installation)
    _in_process(installation, canaries)
    _commands(walk)
    said = capsys.readouterr()
    assert canaries.found_in((said.out + said.err).encode()) == set()


def _in_process(installation: Installation, canaries: Canaries) -> None:
    service = Service(installation)
    secret = canaries.make("a password that is not stored")
    body: dict[str, Json] = {"host": "h", "port": 25, "user": "u", "password": secret}
    for answer in (
        service.put("/_signals/account/email/x", body),
        service.get("/_signals/account/email/canary"),
        service.get("/_signals/account/_search"),
        service.get("/api/v2/account", by=None, headers=wavefront.x_auth(wavefront.NOBODYS)),
    ):
        assert canaries.found_in(answer.data) == set()
    service.close()


def _know_keys(canaries: Canaries, installation: Installation) -> None:
    keys = json.loads(installation.keys_file.read_text())
    for name, key in {**keys["wrapping"], "mac": keys["mac"], "fingerprint": keys["fingerprint"]}.items():
        canaries.know(f"key {name}", key)


def test_a_database_that_is_away_is_not_told_of_with_its_password(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    canaries = Canaries()
    url = f"postgresql+psycopg://nobody:{canaries.make('password of the database')}@127.0.0.1:1/none"
    installation = Installation(tmp_path / "away", url)
    _in_process(installation, canaries)
    done = CliRunner().invoke(cli.main, ("doctor",), env=installation.environment())
    said = capsys.readouterr()
    assert "storage.unavailable" in said.out
    assert canaries.found_in((said.out + said.err + done.output).encode()) == set()


def test_the_message_of_a_bug_is_not_logged(
    service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    canaries = Canaries()
    secret = canaries.make("in a message")

    def broken(*_: object) -> None:
        raise ValueError(secret) from KeyError(secret)

    monkeypatch.setattr(SCHEMAS["email"], "shown", broken)
    service.put("/_signals/account/email/x", examples.GOOD["email"])
    assert canaries.found_in(service.get("/_signals/account/email/x").data) == set()
    said = capsys.readouterr()
    assert "ValueError" in said.out
    assert canaries.found_in((said.out + said.err).encode()) == set()


@pytest.mark.parametrize("before", ("", "x", "xy", "xyz"))
def test_what_is_looked_for_is_found_in_any_form(before: str) -> None:
    canaries = Canaries()
    secret = canaries.make("one")
    for form in (
        secret.encode(),
        base64.b64encode(f"{before}{secret}:y".encode()),
        base64.urlsafe_b64encode(f"{before}{secret}".encode()).rstrip(b"="),
        secret.encode().hex().encode(),
    ):
        assert canaries.found_in(b"..." + form + b"...") == {"one"}
    assert len(set(forms_of('a b/"ü' * 3))) > 6
