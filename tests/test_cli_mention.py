"""The commands by which Mention's apps and tokens come to be, as they are typed."""

from __future__ import annotations

import json
import os
import pwd
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text

from accounts_service import cli
from tests.support.installation import Installation
from tests.support.mention import JOHN, JOHNS_PASSWORD, Mention
from tests.support.mention_page import Browser, brought, cheaply, page_at, title_of
from tests.support.service import Service

CALLBACK = "https://app.example/cb"
TOKEN = "/mention/oauth/v2/token"
EMAIL = "ann@example.com"


@pytest.fixture(autouse=True)
def _installed(installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands find the installation, and no setting besides."""
    for name in os.environ:
        if name.startswith("ACCOUNTS_") and not name.startswith("ACCOUNTS_TEST_"):
            monkeypatch.delenv(name)
    for name, value in installation.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def service(installation: Installation) -> Iterator[Service]:
    service = Service(installation, change=cheaply)
    yield service
    service.close()


def run(*words: str, typed: str | None = None) -> Result:
    """Run the command."""
    return CliRunner().invoke(cli.main, words, input=typed)


def said(*words: str, typed: str | None = None) -> list[str]:
    """Run a command that must go well; gives the lines that it prints."""
    result = run(*words, typed=typed)
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


def refused(*words: str, status: int = 1, typed: str | None = None) -> str:
    """Run a command that must be refused; gives what it says."""
    result = run(*words, typed=typed)
    assert (result.exit_code, result.stdout) == (status, "")
    return result.stderr


def new_app(name: str = "Reader", *callbacks: str) -> dict[str, str]:
    """Register an app; gives how it says who it is."""
    options = [word for callback in callbacks or (CALLBACK,) for word in ("--callback", callback)]
    return dict(line.split("=") for line in said("app", "create", "--name", name, *options))


def new_token(*words: str) -> str:
    """Make a token."""
    (token,) = said("token", "create", "--family", "mention", *words)
    return token


def status_of(service: Service, token: str) -> int:
    """Ask with a token."""
    headers = {"Authorization": f"Bearer {token}"}
    return service.get("/accounts/me", by=None, headers=headers).status_code


def listed(*words: str) -> list[list[str]]:
    """List tokens: the columns of each."""
    return [line.split("  ") for line in said("token", "list", "--family", "mention", *words)]


# -- Apps ---------------------------------------------------------------------


def test_an_app_that_is_registered_gets_tokens(service: Service) -> None:
    made = new_app("Reader of mentions")
    assert made.keys() == {"client_id", "client_secret"}
    assert re.fullmatch(r"1_[A-Za-z0-9]{32}", made["client_id"])
    assert re.fullmatch(r"[A-Za-z0-9]{50}", made["client_secret"])
    mention = Mention(service)
    browser = Browser(service, page_at(client_id=made["client_id"], redirect_uri=CALLBACK))
    assert title_of(browser.signed_in("j.smith@nasa.com", JOHNS_PASSWORD)) == "Allow Reader of mentions?"
    code = brought(browser.send("allow"))["code"]
    order = {**made, "code": code, "redirect_uri": CALLBACK, "grant_type": "authorization_code"}
    token = service.ask("POST", TOKEN, by=None, data=order).json["access_token"]
    assert status_of(service, token) == 200
    assert mention.ok("GET", "/accounts/me", by=None, headers={"Authorization": f"Bearer {token}"})["id"] == JOHN
    # Another process takes it away, and it is worth nothing at once.
    assert said("app", "delete", made["client_id"]) == [f"The app {made['client_id']} is deleted."]
    assert status_of(service, token) == 401
    assert service.ask("POST", TOKEN, by=None, data=order).json["error"] == "invalid_client"
    assert mention.ask("GET", "/accounts/me").status_code == 200


def test_apps_are_listed_without_their_secrets() -> None:
    assert said("app", "list") == []
    one = new_app("Reader")
    two = new_app("Zweite App — ü", "http://localhost:3000", "https://[::1]:8443/x/", CALLBACK)
    assert said("app", "list") == [
        f"{one['client_id']}  Reader  {CALLBACK}",
        f"{two['client_id']}  Zweite App — ü  http://localhost:3000  https://[::1]:8443/x/  {CALLBACK}",
    ]
    assert two["client_id"].startswith("2_")
    assert one["client_secret"] != two["client_secret"]
    said("app", "delete", one["client_id"])
    assert [line.split("  ")[0] for line in said("app", "list")] == [two["client_id"]]


def test_two_apps_may_have_one_name() -> None:
    assert new_app()["client_id"] != new_app()["client_id"]


def test_each_callback_of_an_app_is_one() -> None:
    new_app("x", CALLBACK, "http://localhost")
    assert "Missing option '--callback'" in refused("app", "create", "--name", "x", status=2)
    assert "Missing option '--name'" in refused("app", "create", "--callback", CALLBACK, status=2)


NO_CALLBACKS = (
    *("", "x", "app.example", "//app.example", "ftp://app.example", "javascript:alert(1)", "myapp://cb"),
    *("https://u@app.example", "https://app.example?x", "https://app.example#x", "https://app.example/.."),
    *("https://app.example/a b", "https://app.example\n", "https://app.example:x", "https://app.example\\"),
)


def test_an_address_that_is_no_callback_is_named_and_nothing_is_made() -> None:
    for callback in NO_CALLBACKS:
        words = refused("app", "create", "--name", "x", "--callback", CALLBACK, "--callback", callback, status=2)
        assert "is no http or https address without user, query and fragment" in words, callback
    assert said("app", "list") == []


def test_a_name_is_printable() -> None:
    for name in ("a\nb", "a\x1b[31mb", "a\x00b", "a\u202eb"):
        assert "printable text" in refused("app", "create", "--name", name, "--callback", CALLBACK, status=2)


def test_a_name_is_not_empty() -> None:
    # People are asked whether they allow it.
    assert refused("app", "create", "--name", "", "--callback", CALLBACK, status=2)


def test_an_app_that_is_not_there_cannot_be_deleted() -> None:
    new_app()
    for client_id in ("1_nothing", "", "x" * 9999, "é", "'; --"):
        assert refused("app", "delete", client_id) == f"Error: there is no app {client_id}\n"
    assert len(said("app", "list")) == 1


def test_who_registered_an_app_is_on_record_and_no_secret_is(service: Service) -> None:
    made = new_app("Reader")
    said("app", "delete", made["client_id"])
    created, deleted = service.audited()
    for record in (created, deleted):
        assert (record.family, record.realm, record.actor) == ("mention", "command", user())
        assert record.object == f"app {made['client_id']}"
        assert made["client_secret"] not in str(record)
    assert "Reader" in created.detail
    assert CALLBACK in created.detail
    assert json.loads(deleted.detail) == {"deleted": True} | beside()


def test_only_the_digest_of_a_secret_is_kept(service: Service) -> None:
    made = new_app()
    with service.services.database.looking() as connection:
        everything = str(connection.execute(text("SELECT * FROM mention_app")).all())
    assert made["client_id"] in everything
    assert made["client_secret"] not in everything


# -- Tokens -------------------------------------------------------------------


def test_a_token_of_an_account_is_made_and_taken_away(service: Service) -> None:
    mention = Mention(service)
    token = new_token("--principal", "J.Smith@NASA.com", "--name", "of the pipeline")
    assert re.fullmatch(r"[a-zA-Z0-9]{86}", token)
    assert mention.ok("GET", "/accounts/me", by=None, headers={"Authorization": f"Bearer {token}"})["id"] == JOHN
    ((identifier, principal, name, made, used),) = [row for row in listed() if row[2] == "of the pipeline"]
    assert (principal, name) == ("j.smith@nasa.com", "of the pipeline")
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", made)
    assert used.startswith(("never used", "used "))
    assert said("token", "revoke", "--family", "mention", identifier) == [f"The token {identifier} is revoked."]
    assert status_of(service, token) == 401
    assert "there is no token of this identifier" in refused("token", "revoke", "--family", "mention", identifier)


def test_with_create_there_is_an_account_in_which_nobody_can_sign_in(service: Service) -> None:
    token = new_token("--principal", EMAIL, "--create")
    answer = service.get("/accounts/me", by=None, headers={"Authorization": f"Bearer {token}"})
    account = answer.json["account"]
    assert (account["name"], account["email"], account["language_code"]) == ("ann", EMAIL, "en")
    assert re.fullmatch(r"[1-9][0-9]*_[0-9a-z]{40,50}", account["id"])
    app = new_app()
    browser = Browser(service, page_at(client_id=app["client_id"], redirect_uri=CALLBACK))
    for password in ("", "ann", "None"):
        browser.open()
        assert browser.sign_in(EMAIL, password).status_code == 400
    # It is there now, and made once.
    again = new_token("--principal", EMAIL.upper(), "--create")
    assert service.get("/accounts/me", by=None, headers={"Authorization": f"Bearer {again}"}).json == answer.json


def test_without_create_an_account_must_be_there() -> None:
    words = ("token", "create", "--family", "mention", "--principal", EMAIL)
    assert refused(*words) == f"Error: mention has no {EMAIL}; add --create to make it\n"
    assert listed() == []


def test_a_principal_is_an_address() -> None:
    for principal in ("ann", "@", "a@", "@b", "a b@c.example", "x" * 250 + "@c.example", ""):
        words = ("token", "create", "--family", "mention", "--create", "--principal", principal)
        assert refused(*words) == f"Error: {principal} is no e-mail address\n"
    assert listed() == []


def test_what_tokens_of_mention_do_not_have_is_told() -> None:
    for option in ("--role", "--permission", "--account"):
        words = ("token", "create", "--family", "mention", "--create", "--principal", EMAIL, option, "x")
        assert refused(*words) == f"Error: tokens of mention have no {option}\n"
    assert listed() == []


def test_a_token_ends_when_it_was_told_to(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    token = new_token("--principal", EMAIL, "--create", "--expires-in", "2")
    endless = new_token("--principal", EMAIL)
    uses = [row[4] for row in listed()]
    assert sorted(use.partition(", ends ")[1] for use in uses) == ["", ", ends "]
    clock = service.services.database._clock
    monkeypatch.setattr(service.services.database, "_clock", lambda: clock() + 2 * 86_400 - 60)
    assert status_of(service, token) == 200
    monkeypatch.setattr(service.services.database, "_clock", lambda: clock() + 2 * 86_400 + 60)
    assert [status_of(service, one) for one in (token, endless)] == [401, 200]
    assert refused("token", "create", "--family", "mention", "--principal", EMAIL, "--expires-in", "0", status=2)


def test_tokens_are_listed_by_account_and_age_and_are_not_shown(service: Service) -> None:
    del service
    made = {
        new_token("--principal", principal, "--create", "--name", name)
        for principal, name in (("bob@example.com", "1"), ("Ann@example.com", "2"), ("ann@example.com", "3"))
    }
    rows = listed()
    assert [(row[1], row[2]) for row in rows] == [
        ("Ann@example.com", "2"),
        ("Ann@example.com", "3"),
        ("bob@example.com", "1"),
    ]
    assert [row[2] for row in listed("--principal", "ANN@example.com")] == ["2", "3"]
    assert listed("--principal", "nobody@example.com") == []
    assert len(made) == 3
    assert not any(token in str(rows) for token in made)


def test_tokens_of_apps_are_listed_and_revoked_as_others_are(service: Service) -> None:
    mention = Mention(service)
    order = {
        "client_id": "3_QIP8WdbQkSiiCmrhLRwE7GzPKk1U7eAu",
        "client_secret": mention.names["CLIENT_SECRET"],
        "code": mention.names["AUTH_CODE"],
        "redirect_uri": "http://example.com",
        "grant_type": "authorization_code",
    }
    token = service.ask("POST", TOKEN, by=None, data=order).json["access_token"]
    (identifier,) = (row[0] for row in listed("--principal", "jane@example.com") if row[2] == "appTestMention")
    said("token", "revoke", "--family", "mention", identifier)
    assert status_of(service, token) == 401


@pytest.mark.any_database
@pytest.mark.parametrize("family", ("mention", "netbird", "wavefront"))
def test_revoke_without_a_token_that_exists_repeats_nothing(family: str) -> None:
    words = ("token", "revoke", "--family", family)
    for sent in ("nothing", "canary-4e1f", "é", "nbp_" + "a" * 36, "x" * 9999, "\udc80", "a\x00b"):
        for told in (refused(*words, sent), refused(*words, "--", sent, "another", status=2)):
            assert "standard input" in told
            assert sent not in told
    for typed in ("canary-4e1f\n", "é", "nbp_" + "a" * 36, "x" * 9999):
        assert refused(*words, typed=typed) == f"Error: there is no such token of {family}\n"
    for typed in ("", "\n", " \n", "a\x00b\n"):
        assert refused(*words, typed=typed) == "Error: there is no token on standard input\n"


def test_revoke_reads_the_token_and_prints_its_identifier(service: Service) -> None:
    del service
    makes = {
        "mention": ("--principal", EMAIL),
        "netbird": ("--principal", "owner1", "--account", "example.com", "--role", "owner"),
        "wavefront": ("--principal", "sa::robot"),
    }
    for family, words in makes.items():
        token = said("token", "create", "--family", family, "--create", *words)[0]
        kept = said("token", "create", "--family", family, *words)[0]
        identifiers = {line.split("  ")[0] for line in said("token", "list", "--family", family)}
        (told,) = said("token", "revoke", "--family", family, typed=f"{token}\r\n")
        (left,) = {line.split("  ")[0] for line in said("token", "list", "--family", family, "--principal", words[1])}
        revoked = told.split()[2]
        assert told == f"The token {revoked} is revoked."
        assert revoked in identifiers - {left}
        assert not any(one in told for one in (token, kept))
        # The identifier may stand there as well.
        assert said("token", "revoke", "--family", family, typed=left) == [f"The token {left} is revoked."]


def user() -> str:
    return pwd.getpwuid(os.getuid()).pw_name


def beside() -> dict[str, int]:
    """Give what a record of a command has beside its actor on this machine."""
    try:
        login = int(Path("/proc/self/loginuid").read_text())
    except OSError:
        return {}
    return {} if login == 2**32 - 1 else {"login_uid": login}


@pytest.mark.any_database
def test_actor_of_command_is_its_user_and_not_its_environment(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME", "SUDO_USER"):
        monkeypatch.setenv(name, "somebody-else")
    monkeypatch.setenv("SUDO_UID", "1234")
    said("token", "create", "--family", "mention", "--principal", EMAIL, "--create")
    app = new_app()
    assert said("audit", "erase", f"app {app['client_id']}") == ["Names erased: 1."]
    for sudo in ("0", "", "-1", "4294967295", "ann"):
        monkeypatch.setenv("SUDO_UID", sudo)
        said("app", "create", "--name", sudo or "-", "--callback", CALLBACK)
    records = service.audited()
    assert {(record.realm, record.actor) for record in records} == {("command", user())}
    assert "somebody-else" not in str(records)
    details = [json.loads(record.detail) for record in records]
    uids = [{name: detail[name] for name in detail if name.endswith("_uid")} for detail in details]
    sudo_uids: list[dict[str, int]] = [{"sudo_uid": 1234}] * 4 + [{"sudo_uid": 0}] + [{}] * 4
    assert uids == [beside() | sudo_uid for sudo_uid in sudo_uids]


@pytest.mark.any_database
def test_actor_of_a_uid_without_a_name_is_its_number(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000_000)
    said("app", "create", "--name", "x", "--callback", CALLBACK)
    assert [record.actor for record in service.audited()] == ["4000000000"]


def test_who_made_a_token_is_on_record_and_no_token_is(service: Service) -> None:
    token = new_token("--principal", EMAIL, "--create")
    identifier = listed()[0][0]
    said("token", "revoke", "--family", "mention", identifier)
    account, made, revoked = service.audited()
    assert {(record.realm, record.actor) for record in (account, made, revoked)} == {("command", user())}
    assert [json.loads(record.detail) for record in (account, made, revoked)] == [
        {"created": True} | beside(),
        {"token": "made"} | beside(),
        {"token": "revoked"} | beside(),
    ]
    assert made.object.startswith(f"token {identifier} of ")
    assert token not in str((account, made, revoked))


# -- What may go wrong ------------------------------------------------------------

COMMANDS = (
    ("app", "create", "--name", "x", "--callback", CALLBACK),
    ("app", "list"),
    ("app", "delete", "1_x"),
    ("token", "create", "--family", "mention", "--principal", EMAIL, "--create"),
    ("token", "list", "--family", "mention"),
    ("token", "revoke", "--family", "mention", "x"),
)


def test_a_database_that_is_away_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCOUNTS_DATABASE_URL", "postgresql+psycopg://u:hunter2@127.0.0.1:1/d")
    for words in COMMANDS:
        told = refused(*words)
        assert told.startswith("Error: PostgreSQL at 127.0.0.1/d cannot be used: nothing listens at its address")
        assert told.count("\n") == 1


def test_a_database_that_was_not_migrated_is_left_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    empty = tmp_path / "empty.db"
    empty.touch()
    monkeypatch.setenv("ACCOUNTS_DATABASE_URL", f"sqlite:///{empty}")
    for words in COMMANDS:
        assert "accounts-service db upgrade" in refused(*words)
    assert empty.stat().st_size == 0


def test_without_keys_nothing_is_done(installation: Installation) -> None:
    installation.keys_file.unlink()
    for words in COMMANDS:
        assert "keys.json" in refused(*words)


def test_a_family_without_tokens_has_none() -> None:
    assert "Invalid value for '--family'" in refused("token", "list", "--family", "signals", status=2)
