"""`doctor`: what is well is said to be, and each thing that is wrong is found, with what to do."""

from __future__ import annotations

import base64
import json
import re
import shutil
import sys
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
import yaml
from click.testing import CliRunner, Result
from sqlalchemy import create_engine, make_url, text

from accounts_service import app, cli
from accounts_service import installation as new
from accounts_service.access.configuration import Configuration
from accounts_service.access.snapshot import LastGood, parse, read_directory
from accounts_service.config import Settings
from accounts_service.doctor import Finding, Status
from accounts_service.doctor.configuration import judge_anonymous, judge_roles, judge_users
from accounts_service.doctor.contents import judge_outbox, judge_work
from accounts_service.doctor.database import judge_postgres
from accounts_service.doctor.files import file_system_of, judge_files, judge_sqlite
from accounts_service.doctor.network import judge_network
from accounts_service.faults import Json
from accounts_service.jobs.mail import Waiting
from accounts_service.jobs.seal import Trail
from accounts_service.storage import checkup, migrations
from accounts_service.storage.audit import Author
from accounts_service.storage.checkup import PostgresFacts, SqliteFacts, Work
from accounts_service.storage.database import ReadInterruptedError, SqliteDatabase
from accounts_service.storage.outbox import Message, Outbox, Standing
from accounts_service.storage.rotation import Process
from accounts_service.storage.sealed import BadKeysFileError, Keyring
from accounts_service.web.services import MailServer
from tests.storage.kit import opened
from tests.support import personas
from tests.support.disks import fill, read_only, small_disk
from tests.support.installation import Installation
from tests.support.service import Service

CANARY = "canary-5b1e-do-not-show"
PATH = "/_signals/account/email/default"


class Patient:
    """A new installation, as `init` makes it, on a database that is migrated."""

    def __init__(self, folder: Path, database_url: str) -> None:
        self.environment = {
            "ACCOUNTS_DATABASE_URL": database_url,
            "ACCOUNTS_CONFIG_DIR": str(folder / "config"),
            "ACCOUNTS_KEYS_FILE": str(folder / "keys.json"),
        }
        self.settings = Settings.from_environment(self.environment)
        new.make(self.settings)

    def write(self, name: str, document: object) -> None:
        """Write a configuration file."""
        (self.settings.config_dir / name).write_text(
            document if isinstance(document, str) else yaml.safe_dump(document)
        )

    def run(self, *words: str, **settings: str) -> Result:
        """Run the command."""
        return CliRunner().invoke(cli.main, ("doctor", *words), env={**self.environment, **settings})

    def lines(self, *words: str, **settings: str) -> list[str]:
        """Run the command, and give what is not ok."""
        return [line for line in self.run(*words, **settings).stdout.splitlines() if not line.startswith("ok ")]


@pytest.fixture
def patient(tmp_path: Path, sqlite_url: str) -> Patient:
    return Patient(tmp_path / "patient", sqlite_url)


def found(findings: Iterable[Finding]) -> list[tuple[Status, str]]:
    return [(finding.status, finding.check) for finding in findings if finding.status is not Status.OK]


def test_a_new_installation_is_well(tmp_path: Path, database_url: str) -> None:
    patient = Patient(tmp_path / "patient", database_url)
    result = patient.run("--secrets")
    # The server of the tests gives durability up.
    wrong = [line for line in result.stdout.splitlines() if not line.startswith(("ok ", "warn commit"))]
    assert (result.exit_code, wrong) == (0, [])
    assert re.search(r"^ok   keys: 1 in .*, k[0-9a-f]{8} is active$", result.stdout, re.MULTILINE)
    for name in ("signals", "outbox"):
        assert f"ok   secrets: {name}: 0 in all, 0 opened, 0 unreadable" in result.stdout
    assert "ok   outbox: nothing waits" in result.stdout


def test_json_says_the_same(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1024**4))
    (patient.settings.keys_file).unlink()
    result = patient.run("--json")
    document: dict[str, Any] = json.loads(result.stdout)
    assert (result.exit_code, document["ok"]) == (1, False)
    lines = patient.run().stdout.splitlines()
    assert [f"{row['status']:4} {row['check']}: {row['text']}" for row in document["findings"]] == [
        line.partition(" -> ")[0] for line in lines
    ]
    assert all(row["todo"] for row in document["findings"] if row["status"] != "ok")


def test_nothing_is_changed_by_looking(patient: Patient) -> None:
    folder = patient.settings.config_dir.parent
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    patient.run("--secrets")
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


# -- Settings and keys --------------------------------------------------------


def test_settings_that_are_none_end_the_visit(patient: Patient) -> None:
    result = patient.run(ACCOUNTS_NONSENSE=CANARY, ACCOUNTS_WORKERS="many")
    assert (result.exit_code, result.stdout.splitlines()) == (
        1,
        [
            "FAIL settings: ACCOUNTS_NONSENSE is not a setting -> see docs/settings.md",
            "FAIL settings: ACCOUNTS_WORKERS must be a whole number from 1 to 64 -> see docs/settings.md",
        ],
    )


@pytest.mark.parametrize("damage", ("gone", "open", "broken"))
def test_keys_that_cannot_be_used_fail_and_the_rest_is_looked_at(patient: Patient, damage: str) -> None:
    keys = patient.settings.keys_file
    match damage:
        case "gone":
            keys.unlink()
        case "open":
            keys.chmod(0o644)
        case _:
            keys.write_text(f'{{"mac": "{CANARY}"}}')
    result = patient.run("--secrets")
    assert result.exit_code == 1
    assert [line.split(":")[0] for line in patient.lines("--secrets")] == ["FAIL keys"]
    assert "ok   database: " in result.stdout
    assert CANARY not in result.output


def test_the_advice_for_keys_fits(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = patient.settings.keys_file
    keys.chmod(0o644)
    assert patient.lines()[0].endswith(f" -> chmod 600 {keys}")
    keys.chmod(0o600)
    with monkeypatch.context() as patched:
        patched.setattr("os.access", lambda *_: False)  # Root may read everything.
        patched.setattr("accounts_service.doctor.examination.load_keyring", _forbidden)
        assert " -> run this as the service's user" in patient.lines()[0]
    keys.unlink()
    assert " -> restore the keys file" in patient.lines()[0]


def _forbidden(path: Path) -> NoReturn:
    raise BadKeysFileError(f"{path}: Permission denied")


# -- Configuration ------------------------------------------------------------


def test_every_problem_of_the_directory_is_named(patient: Patient) -> None:
    patient.write("sg_roles.yml", {"a": {"x": CANARY}, "b": {"y": CANARY}})
    assert patient.lines() == [
        "FAIL configuration: sg_roles.yml: a.x: Unsupported attribute -> correct the file; the service does not start",
        "FAIL configuration: sg_roles.yml: b.y: Unsupported attribute -> correct the file; the service does not start",
    ]


def test_the_last_good_state_is_told_from_the_directory(patient: Patient) -> None:
    LastGood(patient.settings.last_good_dir).save(read_directory(patient.settings.config_dir))
    patient.write("sg_roles.yml", {"a": {"x": CANARY}})
    (patient.settings.config_dir / "sg_internal_users.yml").unlink()
    assert [line.split(":")[0] for line in patient.lines()] == [
        "FAIL configuration",
        "FAIL configuration",
        "warn last-good",
    ]


def test_domains_left_out_are_named(patient: Patient) -> None:
    patient.write("sg_authc.yml", {"auth_domains": [{"type": "ldap"}, {"type": "basic/internal_users_db"}]})
    assert [line.partition(" -> ")[0] for line in patient.lines()] == [
        "warn left-out: auth_domains.0 (ldap): this service has no such authenticator"
    ]


def test_what_has_no_effect_is_named_once(patient: Patient) -> None:
    users = {"carl": {"readonly": True, "search_guard_roles": ["reader"]}, "sha": {"hash": CANARY}}
    patient.write("sg_internal_users.yml", users)
    patient.write("sg_tenants.yml", "# #{file:none} #{file:open}\n")
    (patient.settings.config_dir / "sg_internal_users.yml").chmod(0o600)
    (patient.settings.config_dir / "open").write_text(CANARY)
    (patient.settings.config_dir / "open").chmod(0o604)
    (patient.settings.config_dir / "sg_blocks.yml").touch()
    lines = [line.partition(" -> ")[0] for line in patient.lines()]
    assert [line for line in lines if line.startswith(("warn no-effect", "warn variables"))] == [
        "warn no-effect: sg_internal_users.yml: readonly is ignored: carl",
        "warn no-effect: sg_internal_users.yml: without a hash, so they cannot log in by password: carl",
        "warn no-effect: sg_blocks.yml: this file is not read, and blocks no user",
        f"warn variables: {patient.settings.config_dir}/open is open to others, and a variable has its value from it",
    ]
    assert [line for line in lines if "sha" in line] == [
        "warn users: without any role: sha",
        "warn users: without a bcrypt hash: sha",
    ]


OCT = {"kty": "oct", "k": base64.urlsafe_b64encode(b"k" * 64).decode().rstrip("="), "kid": "one"}
BASIC = {"type": "basic/internal_users_db"}


def test_a_key_that_is_passed_over_is_no_domain_left_out(patient: Patient) -> None:
    jwks = {"keys": [OCT, {"kty": "OKP", "crv": "Ed25519", "x": "x"}]}
    patient.write("sg_authc.yml", {"auth_domains": [BASIC, {"type": "jwt", "jwt": {"signing": {"jwks": jwks}}}]})
    (patient.settings.config_dir / "sg_authc.yml").chmod(0o600)
    (line,) = patient.lines()
    assert line.startswith("warn left-out: ")
    assert line.endswith(" -> tokens signed with this key are refused; those of the other keys are not touched by it")


NETBIRD_JWT = {"required_issuer": "https://idp.example", "required_audience": ["netbird", "nb"]}


def test_whose_jwts_netbird_takes_is_said(patient: Patient) -> None:
    assert "ok   netbird-jwt: there is no netbird_jwt.yml; NetBird takes no JWT" in patient.run().stdout.splitlines()
    jwks = {"keys": [OCT, {"kty": "OKP", "crv": "Ed25519", "x": "x"}]}
    patient.write("netbird_jwt.yml", {**NETBIRD_JWT, "signing": {"jwks": jwks}, "user_id_claim": "oid"})
    (patient.settings.config_dir / "netbird_jwt.yml").chmod(0o600)
    assert (
        "ok   netbird-jwt: netbird_jwt.yml takes tokens of 'https://idp.example' for 'netbird' or 'nb', "
        "keys: 1, users by the claim 'oid'"
    ) in patient.run().stdout.splitlines()
    (line,) = patient.lines()
    assert line.startswith("warn left-out: netbird_jwt.yml: signing.jwks.keys.1: no key for signatures")
    assert line.endswith(" -> tokens signed with this key are refused; those of the other keys are not touched by it")


@pytest.mark.parametrize(
    "form", ({"signing_key": base64.b64encode(b"k" * 64).decode()}, {"signing.jwks.keys": [OCT]}), ids=str
)
def test_secrets_of_netbirds_tokens_that_others_may_read_are_found(patient: Patient, form: dict[str, object]) -> None:
    patient.write("netbird_jwt.yml", {**NETBIRD_JWT, **form})
    path = patient.settings.config_dir / "netbird_jwt.yml"
    path.chmod(0o644)
    assert patient.lines() == [
        f"warn netbird-jwt: {path} is open to others, and holds a secret that tokens are signed with -> chmod o= {path}"
    ]
    path.chmod(0o640)
    assert patient.lines() == []


@pytest.mark.parametrize("form", ("signing_key", "jwks", "file"))
def test_secrets_of_tokens_that_others_may_read_are_found(patient: Patient, form: str) -> None:
    match form:
        case "signing_key":
            settings: dict[str, object] = {"signing_key": base64.b64encode(b"k" * 64).decode()}
        case "jwks":
            settings = {"signing": {"jwks": {"keys": [OCT]}}}
        case _:
            settings = {"signing": {"jwks_file": "idp.jwks.json"}}
            patient.write("idp.jwks.json", json.dumps({"keys": [OCT]}))
    patient.write("sg_authc.yml", {"auth_domains": [BASIC, {"type": "jwt", "jwt": settings}]})
    open_to_others = "idp.jwks.json" if form == "file" else "sg_authc.yml"
    path = patient.settings.config_dir / open_to_others
    path.chmod(0o644)
    text = f"warn authc: {path} is open to others, and holds a secret that tokens are signed with -> chmod o= {path}"
    assert patient.lines() == [text]
    path.chmod(0o640)
    assert patient.lines() == []


@pytest.mark.parametrize(
    ("domains", "mapping", "expected"),
    (
        ([BASIC], {}, []),
        ([BASIC, {"type": "anonymous"}], {}, []),
        ([{"type": "anonymous"}, BASIC], {}, [(Status.WARN, "anonymous")]),
        ([{"type": "anonymous", "accept": {"ips": "10.0.0.0/8"}}, BASIC], {}, []),
        ([{"type": "anonymous", "skip": {"users": "anonymous"}}, BASIC], {}, []),
        (
            [BASIC, {"type": "anonymous", "user_mapping": {"roles": {"static": "guests"}}}],
            {"SGS_ALL_ACCESS": {"backend_roles": "guests"}},
            [(Status.FAIL, "anonymous")],
        ),
        ([BASIC, {"type": "anonymous"}], {"SGS_ALL_ACCESS": {"users": "*"}}, [(Status.FAIL, "anonymous")]),
        ([BASIC, {"type": "anonymous"}], {"reader": {"users": "*"}}, []),
    ),
)
def test_who_comes_without_a_name_is_looked_at(
    domains: list[object], mapping: Mapping[str, object], expected: list[tuple[Status, str]]
) -> None:
    configuration = configured(authc={"auth_domains": domains}, roles_mapping=mapping)
    findings = [*judge_anonymous(configuration, app.built_ins())]
    assert found(findings) == expected
    if expected == [(Status.WARN, "anonymous")]:
        assert findings[0].text.endswith("never asked after it: basic/internal_users_db")


def test_users_that_others_may_read_are_found(patient: Patient) -> None:
    (patient.settings.config_dir / "sg_internal_users.yml").chmod(0o644)
    assert [line.split(" ")[:2] for line in patient.lines()] == [["warn", "users:"]]
    assert "is open to others, and holds hashes" in patient.run().stdout


def configured(**files: object) -> Configuration:
    documents: dict[str, object] = {**personas.configuration()}
    for name in ("roles", "roles_mapping", "action_groups", "internal_users", "tenants", "authc", "authz"):
        if name in files:
            documents[f"sg_{name}.yml"] = files[name]
    return parse({name: yaml.safe_dump(document) for name, document in documents.items()}, app.built_ins())


def of_roles(**files: object) -> list[str]:
    findings = judge_roles(configured(**files), app.built_ins())
    return [f"{finding.check}: {finding.text}" for finding in findings if finding.status is not Status.OK]


def test_a_mapping_to_a_role_that_is_not_defined_is_found() -> None:
    mapping = {"SGS_ALL_ACCESS": {"users": "admin"}, "raeder": {"users": "x"}}
    assert of_roles(roles={}, roles_mapping=mapping) == ["roles: raeder is mapped and not defined"]


def test_a_role_that_a_user_is_given_and_that_is_not_defined_is_found() -> None:
    users = {"u": {"hash": "x", "search_guard_roles": ["SGS_ALL_ACCESS", "raeder"]}}
    assert of_roles(internal_users=users) == ["roles: raeder is given to a user and not defined"]


def test_a_group_that_is_none_is_found_where_it_is_named() -> None:
    roles = {
        "a": {"cluster_permissions": ["SGS_SIGNALS_ALL", "SGS_SINGALS_ALL", "SGS_*", "own", "onw", "/x/", "a:b", "*"]},
        "b": {"exclude_cluster_permissions": ["SGS_NONE"]},
        "c": {"tenant_permissions": [{"tenant_patterns": ["*"], "allowed_actions": ["SGS_NOTHING"]}]},
    }
    groups = {"own": {"allowed_actions": ["SGS_NEVER"], "type": "x"}}
    mapping = {"SGS_ALL_ACCESS": {"users": "admin"}, **{name: {"users": "x"} for name in "abc"}}
    assert of_roles(roles=roles, action_groups=groups, roles_mapping=mapping) == [
        "groups: the action group own names SGS_NEVER, which is not an action group",
        "groups: the role a names SGS_SINGALS_ALL, which is not an action group",
        "groups: the role a names onw, which is not an action group",
        "groups: the role b names SGS_NONE, which is not an action group",
        "groups: the role c names SGS_NOTHING, which is not an action group",
    ]


def test_role_that_no_mapping_and_no_user_gives_is_found() -> None:
    roles = {name: {"cluster_permissions": "*"} for name in ("mapped", "given", "empty", "forgotten")}
    users = {"u": {"hash": "x", "search_guard_roles": ["given"]}}
    mapping = {"mapped": {"hosts": "10.*"}, "empty": {"users": []}}
    files: dict[str, object] = {"roles": roles, "internal_users": users, "roles_mapping": mapping}
    assert of_roles(**files) == ["roles: given to no user: empty, forgotten"]
    for mode in ("BOTH", "BACKENDROLES_ONLY"):
        assert of_roles(**files, authz={"role_mapping": {"resolution_mode": mode}}) == []


@pytest.mark.parametrize(
    ("files", "somebody"),
    (
        ({"roles_mapping": {"SGS_ALL_ACCESS": {"backend_roles": "admins"}}}, True),
        ({"roles_mapping": {"SGS_ALL_ACCESS": {"ips": "10.0.0.1"}}}, True),
        ({"roles_mapping": {"SGS_ALL_ACCESS": {"hosts": "10.*"}}}, True),
        ({"roles_mapping": {"SGS_ALL_ACCESS": {"and_backend_roles": "admins"}}}, True),
        ({"roles_mapping": {"SGS_ALL_ACCESS": {"users": []}}}, False),
        ({"roles_mapping": {"reader": {"users": "admin"}, "excluded": {"users": "*"}}}, False),
        ({"roles": {"own": {"cluster_permissions": "SGS_UNLIMITED"}}, "roles_mapping": {"own": {"users": "x"}}}, True),
        (
            {
                "roles_mapping": {},
                "internal_users": {"u": {"hash": "x", "search_guard_roles": ["SGS_ALL_ACCESS"]}},
            },
            True,
        ),
        ({"roles_mapping": {}}, False),
    ),
)
def test_an_installation_without_an_administrator_is_found(files: Mapping[str, object], *, somebody: bool) -> None:
    missing = "administrator: nobody may do everything"
    assert (missing in of_roles(**files)) is not somebody


def of_users(users: Mapping[str, object], mapping: Mapping[str, object]) -> list[str]:
    configuration = configured(internal_users=users, roles_mapping=mapping)
    findings = judge_users(configuration, app.built_ins())
    return [f"{finding.status.value} {finding.text}" for finding in findings]


def test_users_that_can_do_nothing_are_found_unless_addresses_give_roles() -> None:
    users = {name: {"hash": "$2b$10$" + "." * 53} for name in ("a", "b", *map(str, range(12)))}
    names = "0, 1, 10, 11, 2, 3, 4, 5, 6, 7"
    assert of_users(users, {"reader": {"users": "a"}}) == [f"warn without any role: {names} and 3 more"]
    for by_address in ({"ips": "10.0.0.0/8"}, {"hosts": "10.*"}):
        assert of_users(users, {"reader": by_address}) == ["ok 14 in sg_internal_users.yml"]


def test_hashes_that_are_cheap_or_none_are_found() -> None:
    users = {
        "cheap": {"hash": personas.hash_of("x")},
        "nine": {"hash": "$2y$09$" + "." * 53},
        "ten": {"hash": "$2y$10$" + "." * 53},
        "none": {"hash": CANARY},
    }
    assert of_users(users, {"reader": {"users": "*"}}) == [
        "warn without a bcrypt hash: none",
        "warn with a hash of a cost below 10: cheap, nine",
    ]


# -- Trust --------------------------------------------------------------------

PROXY_DOMAIN = {"type": "trusted_origin", "user_mapping": {"user_name": {"from": "request.headers.x-user"}}}


@pytest.mark.parametrize(
    ("network", "settings", "expected"),
    (
        ({}, {}, []),
        ({"trusted_proxies": "10.1.2.3"}, {}, []),
        ({"trusted_proxies": ["10.1.0.0/16", "fd00::/48"]}, {}, []),
        ({"trusted_proxies": "0.0.0.0/0"}, {}, [(Status.FAIL, "proxies")]),
        ({"trusted_proxies": "::/0"}, {}, [(Status.FAIL, "proxies")]),
        ({"trusted_proxies": ["0.0.0.0/1", "128.0.0.0/1"]}, {}, [(Status.FAIL, "proxies")] * 2),
        ({"trusted_proxies": ["10.0.0.0/8", "fd00::/16"]}, {}, [(Status.WARN, "proxies")] * 2),
        ({"trusted_proxies_regex": ".*"}, {}, [(Status.FAIL, "proxies")]),
        ({"trusted_proxies_regex": "10[.]1[.].*"}, {}, []),
        ({"trusted_proxies": "10.1.2.3"}, {"ACCOUNTS_BIND": "0.0.0.0:80"}, [(Status.WARN, "bind")]),
        ({"trusted_proxies": "10.1.2.3"}, {"ACCOUNTS_BIND": "accounts.example:80"}, [(Status.WARN, "bind")]),
        ({"trusted_proxies": "10.1.2.3"}, {"ACCOUNTS_BIND": "[::1]:80"}, []),
        ({"trusted_proxies": "10.1.2.3"}, {"ACCOUNTS_BIND": "localhost:80"}, []),
        ({"trusted_proxies": "10.1.2.3"}, {"ACCOUNTS_BIND": "unix:/run/x"}, []),
        ({}, {"ACCOUNTS_BIND": "0.0.0.0:80"}, []),
        ({}, {"ACCOUNTS_BIND": "unix:/run/x", "ACCOUNTS_TRUSTED_SOCKET_USERS": "root"}, []),
        ({}, {"ACCOUNTS_TRUSTED_SOCKET_USERS": "root"}, [(Status.WARN, "bind")]),
        (
            {},
            {"ACCOUNTS_BIND": "unix:/run/x", "ACCOUNTS_TRUSTED_SOCKET_USERS": "no-such-user"},
            [(Status.FAIL, "socket-users")],
        ),
    ),
)
def test_who_is_believed_without_need_is_found(
    network: Mapping[str, object], settings: Mapping[str, str], expected: list[tuple[Status, str]]
) -> None:
    configuration = configured(authc={"auth_domains": [{"type": "basic/internal_users_db"}], "network": network})
    assert found(judge_network(configuration, Settings.from_environment(settings))) == expected


def test_a_proxy_that_nobody_trusts_is_found() -> None:
    alone = configured(authc={"auth_domains": [PROXY_DOMAIN]})
    assert found(judge_network(alone, Settings())) == [(Status.WARN, "proxies")]
    trusted = configured(authc={"auth_domains": [PROXY_DOMAIN], "network": {"trusted_proxies": "127.0.0.1"}})
    assert found(judge_network(trusted, Settings())) == []


# -- Database -----------------------------------------------------------------


def test_a_database_that_is_away_shows_no_password(patient: Patient) -> None:
    url = f"postgresql+psycopg://somebody:{CANARY}@127.0.0.1:1/accounts?application_name={CANARY}"
    result = patient.run(ACCOUNTS_DATABASE_URL=url)
    assert result.exit_code == 1
    assert (
        "FAIL database: PostgreSQL at 127.0.0.1/accounts cannot be used: nothing listens at its address (ECONNREFUSED)"
        in result.stdout
    )
    assert CANARY not in result.output


@pytest.mark.parametrize(
    ("password", "after"),
    (
        ("p@canary/w0rd", ""),
        ("p@canary", ""),
        ("p@canary?w", ""),
        ("p@canary/w:0", ""),
        ("p/canary@x", ""),
        ("p@canary:1/w", ""),
        ("p@canary#w", "?application_name=x"),
    ),
)
def test_a_password_that_is_not_encoded_is_not_shown(patient: Patient, password: str, after: str) -> None:
    url = f"postgresql+psycopg://accounts:{password}@127.0.0.1:1/accounts{after}"
    result = patient.run(ACCOUNTS_DATABASE_URL=url)
    assert result.exit_code == 1
    assert "must be percent-encoded" in result.stdout
    told = [line for line in result.stdout.splitlines() if " database: " in line]
    assert "canary" not in "".join(told)


@pytest.mark.parametrize(
    ("url", "name"),
    (
        ("postgresql+psycopg://u:p%40q@db.example/accounts", "PostgreSQL at db.example/accounts"),
        ("postgresql+psycopg://u:p@[::1]:5432/accounts", "PostgreSQL at ::1/accounts"),
        ("postgresql+psycopg:///accounts?host=/run/postgresql", "PostgreSQL at the local socket/accounts"),
    ),
)
def test_a_good_address_is_named(url: str, name: str) -> None:
    assert checkup.name_of(url) == name


def test_what_nobody_foresaw_is_a_finding_and_the_rest_goes_on(
    patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise TypeError("cannot use a string pattern on a bytes-like object")

    def stumble(*_: object) -> None:
        raise KeyError(CANARY)

    monkeypatch.setattr("accounts_service.doctor.database.facts_of", fail)
    assert patient.lines()[-1].startswith("FAIL database: could not be carried out (TypeError) -> if its encoding")
    monkeypatch.setattr("accounts_service.doctor.database.facts_of", stumble)
    monkeypatch.setattr("accounts_service.doctor.configuration.action_groups", None)
    result = patient.run()
    assert result.exit_code == 1
    assert "FAIL roles: could not be carried out (AttributeError)" in result.stdout
    assert "FAIL database: could not be carried out (KeyError)" in result.stdout
    assert CANARY not in result.output


def test_an_address_that_is_none_shows_no_password(patient: Patient) -> None:
    result = patient.run(ACCOUNTS_DATABASE_URL=f"postgresql+psycopg://u:x@h:{CANARY}/d")
    assert "FAIL database: ACCOUNTS_DATABASE_URL is not the address of a database" in result.stdout
    assert CANARY not in result.output


def test_a_driver_that_is_missing_is_found(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    url = f"postgresql+psycopg://u:{CANARY}@h/d"
    install = "pip install 'accounts-service[postgresql]'"
    assert (
        f"FAIL database: the driver of PostgreSQL is not installed -> {install}"
        in patient.run(ACCOUNTS_DATABASE_URL=url).stdout.splitlines()
    )
    for words in (("db", "upgrade"), ("jobs", "--once"), ("serve",)):
        result = CliRunner().invoke(cli.main, words, env={**patient.environment, "ACCOUNTS_DATABASE_URL": url})
        assert result.stderr == f"Error: the driver of PostgreSQL is not installed: {install}\n"


@pytest.mark.parametrize("revision", ("base", "other"))
def test_a_schema_that_does_not_fit_is_found(tmp_path: Path, database_url: str, revision: str) -> None:
    patient = Patient(tmp_path / "patient", database_url)
    change = "DELETE FROM alembic_version" if revision == "base" else "UPDATE alembic_version SET version_num = 'x9'"
    engine = create_engine(database_url)
    with engine.begin() as connection:
        before = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
        connection.execute(text(change))
    try:
        lines = [line for line in patient.lines("--secrets") if "commit" not in line]
    finally:
        with engine.begin() as connection:  # The tests of one process share a database.
            connection.execute(text("DELETE FROM alembic_version"))
            connection.execute(text("INSERT INTO alembic_version VALUES (:before)"), {"before": before})
        engine.dispose()
    assert len(lines) == 1
    assert f"is at revision {'none' if revision == 'base' else 'x9'}, this release needs" in lines[0]
    todo = "run 'accounts-service db upgrade'" if revision == "base" else "install the release that made this revision"
    assert f"-> {todo}" in lines[0]


def test_a_missing_file_is_found_and_not_made(patient: Patient, tmp_path: Path) -> None:
    (tmp_path / "accounts.db").unlink()
    assert [line.split(":")[0] for line in patient.lines()] == ["FAIL database"]
    assert not (tmp_path / "accounts.db").exists()


def test_a_file_that_is_no_database_is_found(patient: Patient, tmp_path: Path) -> None:
    (tmp_path / "accounts.db").write_text(CANARY * 100)
    result = patient.run()
    assert re.search(
        r"^FAIL integrity: SQLite at .* is damaged or no database -> .* restore a backup$", result.stdout, re.MULTILINE
    )
    assert CANARY not in result.output


def test_a_file_with_a_hole_is_found(patient: Patient, tmp_path: Path) -> None:
    database = tmp_path / "accounts.db"
    with database.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * (database.stat().st_size - 100))
    assert [line.partition(":")[0] for line in patient.lines()] == ["FAIL integrity"]
    assert "restore a backup" in patient.run().stdout


def test_a_read_that_is_cut_off_is_told(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut_off(_: object) -> None:
        raise ReadInterruptedError

    monkeypatch.setattr("accounts_service.doctor.database.facts_of", cut_off)
    assert "cannot be used: it cannot be reached or read, or is busy" in patient.run().stdout


@pytest.mark.parametrize("error", (PermissionError(13, "Permission denied"), OSError(5, "Input/output error")))
def test_what_cannot_be_looked_at_is_told(patient: Patient, monkeypatch: pytest.MonkeyPatch, error: OSError) -> None:
    def refuse(_: object) -> None:
        raise error

    monkeypatch.setattr("accounts_service.doctor.database.judge_files", refuse)
    result = patient.run()
    assert result.exit_code == 1
    assert f"cannot be looked at: {error.strerror} -> run this as the service's user" in result.stdout


def test_a_server_that_refuses_is_told_without_its_words(tmp_path: Path, postgresql_url: str) -> None:
    role = f"stranger_{uuid.uuid4().hex[:8]}"
    engine = create_engine(postgresql_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE ROLE {role} LOGIN"))
    url = make_url(postgresql_url).set(username=role).render_as_string(hide_password=False)
    try:
        patient = Patient(tmp_path / "patient", url)
        result = patient.run()
        upgrade = CliRunner().invoke(cli.main, ("db", "upgrade"), env=patient.environment)
    finally:
        with engine.connect() as connection:
            connection.execute(text(f"DROP ROLE {role}"))
        engine.dispose()
    assert result.exit_code == 1
    assert "refuses the role what the service asks (SQLSTATE 42501) -> see that the tables" in result.stdout
    told = "refuses the role what the service asks (SQLSTATE 42501): see that the tables belong to the user"
    assert (upgrade.exit_code, told in upgrade.output) == (1, True)


def test_a_database_that_does_not_exist_or_is_no_text_fails_and_nothing_falls(
    tmp_path: Path, postgresql_url: str
) -> None:
    name = f"ascii_{uuid.uuid4().hex[:8]}"
    url = make_url(postgresql_url).set(database=name).render_as_string(hide_password=False)
    result = Patient(tmp_path / "before", url).run()
    assert re.search(
        r"^FAIL database: PostgreSQL .*: the database does not exist \(SQLSTATE 3D000\) -> create it",
        result.stdout,
        re.MULTILINE,
    )
    engine = create_engine(postgresql_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(
            text(f"CREATE DATABASE {name} ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
        )
    try:
        result = Patient(tmp_path / "after", url).run()
    finally:
        with engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name}"))
        engine.dispose()
    assert (result.exit_code, isinstance(result.exception, SystemExit)) == (1, True)
    assert "create it anew with ENCODING 'UTF8'" in result.stdout


@pytest.mark.parametrize(
    ("name", "mode", "status"),
    (
        ("accounts.db", 0o604, Status.FAIL),
        ("accounts.db", 0o602, Status.FAIL),
        ("accounts.db", 0o640, None),
        ("accounts.db-wal", 0o644, Status.FAIL),
        ("accounts.db-shm", 0o644, Status.FAIL),
        (".", 0o755, Status.WARN),
        (".", 0o702, Status.FAIL),
        (".", 0o1703, Status.WARN),
        (".", 0o750, None),
    ),
)
def test_files_that_others_may_read_are_found(
    tmp_path: Path, sqlite_url: str, name: str, mode: int, status: Status | None
) -> None:
    database = Path(sqlite_url.removeprefix("sqlite:///"))
    path = tmp_path / name
    path.touch()
    path.chmod(mode)
    assert found(judge_files(database)) == ([] if status is None else [(status, "files")])


@pytest.mark.parametrize(("free", "status"), ((600, Status.OK), (100, Status.WARN), (10, Status.FAIL)))
def test_a_disk_that_is_nearly_full_is_found(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch, free: int, status: Status
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free * 1024 * 1024))
    findings = judge_files(Path(sqlite_url.removeprefix("sqlite:///")))
    assert [finding.status for finding in findings if finding.check == "space"] == [status]


MOUNTS = """\
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw
30 27 0:30 / /srv/with\\040space rw shared:2 master:3 - nfs4 server:/x rw
31 27 0:31 / /srv/hidden rw - nfs server:/y rw
32 27 0:32 / /srv/hidden rw - xfs /dev/sdb rw
nonsense
33 27 0:33 / /no-dash rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    (
        ("/var/accounts.db", "ext4"),
        ("/srv/with space/accounts.db", "nfs4"),
        ("/srv/with spaces/accounts.db", "ext4"),
        ("/srv/hidden/accounts.db", "xfs"),
    ),
)
def test_a_path_is_on_the_deepest_and_latest_mount(path: str, kind: str) -> None:
    assert file_system_of(Path(path), MOUNTS) == kind
    assert file_system_of(Path(path), "") is None


@pytest.mark.parametrize(
    ("kind", "warned"),
    (
        *((kind, True) for kind in ("nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "fuse", "fuse.sshfs")),
        *((kind, False) for kind in ("ext4", "xfs", "btrfs", "overlay", "tmpfs", "fuseblk", "zfs")),
    ),
)
def test_a_disk_that_is_elsewhere_is_found(
    tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch, kind: str, *, warned: bool
) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"1 0 0:1 / / rw - {kind} x rw\n")
    monkeypatch.setattr("accounts_service.doctor.files._MOUNTS", mounts)
    database = Path(sqlite_url.removeprefix("sqlite:///"))
    assert found(judge_files(database)) == ([(Status.WARN, "disk")] if warned else [])
    mounts.unlink()
    assert found(judge_files(database)) == []


def test_damage_and_a_slow_journal_are_found() -> None:
    assert found(judge_sqlite(SqliteFacts((), "wal"))) == []
    assert found(judge_sqlite(SqliteFacts((), "delete"))) == [(Status.WARN, "journal")]
    damaged = [*judge_sqlite(SqliteFacts(("row 1 missing from index x",), "wal"))]
    assert found(damaged) == [(Status.FAIL, "integrity")]
    assert damaged[0].details == ("row 1 missing from index x",)


def test_a_damaged_file_is_found(patient: Patient, tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'accounts.db'}")
    with engine.begin() as connection:
        # An index that says other things than its table.
        connection.execute(text("CREATE TABLE t (a)"))
        connection.execute(text("INSERT INTO t VALUES (1)"))
        connection.execute(text("CREATE INDEX i ON t (a)"))
        connection.execute(text("PRAGMA writable_schema = ON"))
        connection.execute(text("UPDATE sqlite_master SET sql = 'CREATE TABLE t (a NOT NULL)' WHERE name = 't'"))
    with engine.begin() as connection:
        connection.execute(text("PRAGMA writable_schema = RESET"))
    with engine.begin() as connection:
        connection.execute(text("PRAGMA writable_schema = ON"))
        connection.execute(text("UPDATE sqlite_master SET sql = 'CREATE TABLE t (a)' WHERE name = 't'"))
        connection.execute(text("PRAGMA writable_schema = RESET"))
        connection.execute(text("UPDATE t SET a = NULL"))
        connection.execute(text("PRAGMA writable_schema = ON"))
        connection.execute(text("UPDATE sqlite_master SET sql = 'CREATE TABLE t (a NOT NULL)' WHERE name = 't'"))
    engine.dispose()
    result = patient.run()
    assert result.exit_code == 1
    assert "FAIL integrity: the file is damaged" in result.stdout
    assert "       NULL value in t.a" in result.stdout


FACTS = PostgresFacts(version=160002, connections=97, synchronous_commit="on", encoding="UTF8", ahead_seconds=0.1)


@pytest.mark.parametrize(
    ("change", "expected"),
    (
        ({}, []),
        ({"version": 130000}, []),
        ({"version": 120011}, [(Status.FAIL, "version")]),
        ({"connections": 76}, []),
        ({"connections": 75}, [(Status.WARN, "connections")]),
        ({"connections": 37}, [(Status.FAIL, "connections")]),
        ({"synchronous_commit": "local"}, []),
        ({"synchronous_commit": "off"}, [(Status.WARN, "commit")]),
        ({"encoding": "SQL_ASCII"}, [(Status.FAIL, "encoding")]),
        ({"ahead_seconds": -1.9}, []),
        ({"ahead_seconds": -2.1}, [(Status.WARN, "clock")]),
        ({"ahead_seconds": 2.1}, [(Status.WARN, "clock")]),
    ),
)
def test_a_server_that_cannot_do_what_we_rely_on_is_found(
    change: Mapping[str, Any], expected: list[tuple[Status, str]]
) -> None:
    facts = PostgresFacts(**{name: change.get(name, getattr(FACTS, name)) for name in PostgresFacts.__slots__})
    assert found(judge_postgres(facts, Settings())) == expected


def test_a_server_is_asked_for_what_it_is(postgresql_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from accounts_service.storage.database import open_database
    from accounts_service.storage.sealed import Vault

    database = open_database(postgresql_url, Vault(Keyring.generate()))
    facts = checkup.facts_of(database)
    assert isinstance(facts, PostgresFacts)
    assert (facts.version >= 130000, facts.connections, facts.synchronous_commit, facts.encoding) == (
        True,
        197,
        "off",
        "UTF8",
    )
    assert abs(facts.ahead_seconds) < 60
    monkeypatch.setattr(checkup, "time", SimpleNamespace(time=lambda: 1_000_000.0))
    later = checkup.facts_of(database)
    assert isinstance(later, PostgresFacts)
    assert later.ahead_seconds > 1_000_000
    database.dispose()


@pytest.mark.parametrize(
    ("processes", "unsealed_s", "expected"),
    (
        ((), None, []),
        ((), 60, [(Status.FAIL, "seals")]),
        (("worker", "jobs"), 10, []),
        (("worker", "jobs"), 11, [(Status.FAIL, "seals")]),
        (("worker",), None, [(Status.FAIL, "jobs")]),
        (("jobs",), None, []),
    ),
)
def test_work_that_is_not_done_is_found(
    processes: Iterable[str], unsealed_s: float | None, expected: list[tuple[Status, str]]
) -> None:
    work = Work(tuple(Process("1", kind, "host", 1, (), "") for kind in processes), unsealed_s)
    assert found(judge_work(work)) == expected


def test_disk_without_room_for_a_write_is_found(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        SqliteDatabase.create(disk / "accounts.db")
        url = f"sqlite:///{disk}/accounts.db"
        patient = Patient(tmp_path / "patient", url)
        with opened(url) as database:
            migrations.upgrade(database)
            fill(disk)
            # A service that runs keeps -shm, for which there would be no room.
            lines = [line for line in patient.lines() if " writes: " in line]
        told = f"SQLite at {disk}/accounts.db takes no writes: its disk is full (SQLITE_FULL)"
        assert lines == [f"FAIL writes: {told} -> make room on the disk"]


def test_read_only_file_is_found_and_another_users_is_left_alone(
    patient: Patient, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    assert patient.lines() == []  # Its first write leaves the check values of the keys behind.
    with read_only(path):
        assert [line.split(":")[0] for line in patient.lines()] == ["FAIL writes"]
    before = {*path.parent.iterdir()}
    monkeypatch.setattr("os.geteuid", lambda: path.stat().st_uid + 1)
    (path.parent / "accounts.db-turn").unlink(missing_ok=True)
    assert [line.split(":")[0] for line in patient.lines()] == ["warn writes"]
    assert {*path.parent.iterdir()} <= before


# -- Outbox -------------------------------------------------------------------

NOW = 1_700_000_000
SERVER = MailServer("h", 25)


@pytest.mark.parametrize(
    ("standing", "server", "wrong"),
    (
        (Standing(0, None, None, 0), Waiting.UNSET, []),
        (Standing(0, None, None, 0), SERVER, []),
        (Standing(2, (NOW - 900) * 10**6, (NOW - 500) * 10**6, 0), SERVER, []),
        (
            Standing(2, (NOW - 900) * 10**6, (NOW - 700) * 10**6, 0),
            SERVER,
            ["2 waiting, the oldest for 900 s; one is due for 700 s, and it was never tried"],
        ),
        (
            Standing(2, (NOW - 5) * 10**6, None, 1),
            Waiting.UNSET,
            ["2 waiting, the oldest for 5 s; ACCOUNTS_MAIL_ACCOUNT is not set", "1 given up"],
        ),
        (
            Standing(0, None, None, 0),
            Waiting.MISSING,
            ["nothing waits; the account that ACCOUNTS_MAIL_ACCOUNT names is not there"],
        ),
        (Standing(0, None, None, 3), SERVER, ["3 given up"]),
    ),
)
def test_mails_that_wait_in_vain_are_found(standing: Standing, server: MailServer | Waiting, wrong: list[str]) -> None:
    findings = [one for one in judge_outbox(standing, server, NOW) if one.status is not Status.OK]
    assert [one.text for one in findings] == wrong
    assert all(one.status is Status.WARN and one.todo for one in findings)


def test_the_outbox_is_looked_at_and_opened(service: Service) -> None:
    with service.services.database.transaction(Outbox, Author("realm", "somebody", "")) as outbox:
        outbox.add(Message(f"{CANARY}@mycompany.example", CANARY, CANARY))
    environment = service.installation.environment()

    def said(*words: str, **settings: str) -> str:
        return CliRunner().invoke(cli.main, ("doctor", *words), env={**environment, **settings}).output

    assert "1 waiting, the oldest for " in said()
    assert "; ACCOUNTS_MAIL_ACCOUNT is not set -> " in said()
    assert "names is not there" in said(ACCOUNTS_MAIL_ACCOUNT="email/none")
    service.put(PATH, {"host": "h", "port": 25, "default_from": "a@b.example"})
    output = said("--secrets", ACCOUNTS_MAIL_ACCOUNT="email/default")
    assert re.search(r"^ok   outbox: 1 waiting", output, re.MULTILINE)
    assert "ok   secrets: outbox: 1 in all, 1 opened, 0 unreadable" in output
    service.installation.keys_file.write_text(Keyring.generate().to_json())
    output = said("--secrets")
    assert "FAIL secrets: outbox: 1 in all, 0 opened, 1 unreadable" in output
    assert CANARY not in output


def test_a_late_seal_fails_and_a_time_in_the_future_is_named(service: Service) -> None:
    database = service.services.database
    service.put(PATH, {"host": "h", "port": 25})
    with database.transaction(Outbox, Author("realm", "somebody", "")) as outbox:
        outbox.add(Message("ann@mycompany.example", CANARY, CANARY))

    def said() -> str:
        return CliRunner().invoke(cli.main, ("doctor",), env=service.installation.environment()).output

    assert "ok   times: no stored time lies in the future" in said()
    with database.begin() as connection:
        connection.execute(text("UPDATE audit_record SET at_us = at_us - 3600000000"))
    late = r"^FAIL seals: an audit record has waited 36\d\d s for its seal; the limit is 10 s"
    assert re.search(late, said(), re.MULTILINE)
    with database.begin() as connection:
        connection.execute(text("UPDATE outbox_message SET due_us = 4102444800000000"))
    Trail(database, None).seal(lambda: False)
    output = said()
    assert "ok   seals: every audit record is sealed" in output
    assert "warn times: rows with a time in the future: 1" in output
    assert "outbox_message.due_us: rows 1, the furthest 2100-01-01T00:00:00+00:00" in output


# -- Secrets ------------------------------------------------------------------

BODY: Json = {"host": "mail.example", "port": 25, "user": "u", "password": CANARY}


def secrets_of(installation: Installation) -> tuple[int, list[str]]:
    result = CliRunner().invoke(cli.main, ("doctor", "--secrets"), env=installation.environment())
    lines = result.stdout.splitlines()
    start = next(number for number, line in enumerate(lines) if " secrets: " in line)
    assert CANARY not in result.output
    assert "$2" not in result.output
    # Of what keeps none here it says so.
    return result.exit_code, [line for line in lines[start:] if ": 0 in all" not in line]


def test_every_secret_of_accounts_versions_and_bin_is_opened(service: Service) -> None:
    service.put(PATH, BODY)
    service.put(PATH, BODY)
    service.put(f"{PATH}2", BODY)
    service.delete(f"{PATH}2")
    # One in use, two states of it, one state and one in the bin of the other.
    assert secrets_of(service.installation) == (0, ["ok   secrets: signals: 5 in all, 5 opened, 0 unreadable"])


def test_secrets_under_keys_that_are_gone_are_counted_and_named(service: Service) -> None:
    service.put(PATH, BODY)
    key = service.services.vault.active
    service.installation.keys_file.write_text(Keyring.generate().to_json())
    status, lines = secrets_of(service.installation)
    assert (status, lines[0].partition(" -> ")[0]) == (
        1,
        "FAIL secrets: signals: 2 in all, 0 opened, 2 unreadable",
    )
    assert [re.sub(r"[0-9a-f]{32}", "UID", line.strip()) for line in lines[1:]] == [
        f"signals_account UID version 1 password: needs the key {key}",
        f"signals_account_version UID version 1 password: needs the key {key}",
    ]


@pytest.mark.parametrize("damaged", ("nonsense", "[]", '{"password": 1}', '{"password": "v1.x"}'))
def test_a_row_that_is_damaged_is_named_and_the_rest_is_opened(service: Service, damaged: str) -> None:
    service.put(PATH, BODY)
    engine = create_engine(service.installation.database_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE signals_account_version SET secrets = :damaged"), {"damaged": damaged})
    engine.dispose()
    status, lines = secrets_of(service.installation)
    assert (status, lines[0].partition(" -> ")[0]) == (
        1,
        "FAIL secrets: signals: 2 in all, 1 opened, 1 unreadable",
    )
    assert lines[1].strip().startswith("signals_account_version ")


def test_no_secret_hash_or_password_is_ever_shown(installation: Installation) -> None:
    environment = installation.environment()
    for words in ((), ("--json",), ("--secrets", "--json")):
        output = CliRunner().invoke(cli.main, ("doctor", *words), env=environment).output
        keys = json.loads(installation.keys_file.read_text())
        for canary in ("$2b$", keys["mac"], keys["fingerprint"], *keys["wrapping"].values()):
            assert canary not in output
