"""The command, as it is typed."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
from pathlib import Path

import bcrypt
import pytest
import yaml
from click.testing import CliRunner, Result

from accounts_service import app, cli
from accounts_service.access.configuration import FILES
from accounts_service.cli.shared import settings_of_environment
from accounts_service.config import Settings
from accounts_service.installation import make
from accounts_service.storage.sealed import load_keyring
from tests.support.disks import read_only
from tests.support.served import COMMAND

BROKEN = {
    "sg_roles.yml": "a: {foo: 1}\nb: {cluster_permissions: ['/(/']}\n",
    "sg_roles_mapping.yml": "a: {ips: [nowhere]}\n",
    "sg_action_groups.yml": "G: {}\n",
    "sg_internal_users.yml": "u: {backend_roles: true}\n",
    "sg_tenants.yml": "[]\n",
    "sg_authc.yml": "auth_domains: [{type: trusted_origin}]\n",
    "sg_authz.yml": "role_mapping.resolution_mode: ALL\n",
    "netbird_jwt.yml": "required_issuer: https://idp.example\n",
}


@pytest.fixture(autouse=True)
def _fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run every test in a folder of its own, with no setting."""
    for name in os.environ:
        if name.startswith("ACCOUNTS_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def run(*words: str, typed: str | None = None) -> Result:
    """Run the command."""
    return CliRunner().invoke(cli.main, words, input=typed)


def test_init_makes_everything_for_its_owner_alone() -> None:
    result = run("init")
    assert result.exit_code == 0
    for path in Path("var").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    assert stat.S_IMODE(Path("var").stat().st_mode) == 0o700
    password = result.stdout.split("PASSWORD='")[1].split("'")[0]
    users = yaml.safe_load(Path("var/config/sg_internal_users.yml").read_text())
    assert bcrypt.checkpw(password.encode(), users["admin"]["hash"].encode())
    assert len(load_keyring(Path("var/keys.json")).wrapping) == 1


def test_what_init_makes_has_no_problem() -> None:
    run("init")
    result = run("config", "check", "var/config")
    assert (result.exit_code, result.stdout) == (0, "No problem found.\n")


@pytest.mark.parametrize("there", ("var/keys.json", "var/config/sg_roles.yml", "var/config/sg_internal_users.yml"))
def test_init_never_overwrites_and_then_writes_nothing_at_all(there: str) -> None:
    Path(there).parent.mkdir(parents=True)
    Path(there).write_text("mine")
    result = run("init")
    assert result.exit_code == 1
    assert f"{there} is already there; nothing was changed" in result.stderr
    way_out = "hash-password" if there == "var/keys.json" else f"once these are removed: {there}."
    assert way_out in result.stderr
    assert [path for path in Path("var").rglob("*") if path.is_file()] == [Path(there)]


def test_the_database_is_moved_up_and_down_and_told_apart() -> None:
    run("init")
    missing = run("db", "check")
    assert (missing.exit_code, Path("var/accounts.db").exists()) == (1, False)
    assert run("db", "upgrade").exit_code == 0
    assert stat.S_IMODE(Path("var/accounts.db").stat().st_mode) == 0o600
    assert run("db", "upgrade").exit_code == 0
    assert run("db", "check").exit_code == 0
    assert run("db", "downgrade", "base", "--yes").exit_code == 0
    behind = run("db", "check")
    assert behind.exit_code == 1
    assert "run 'accounts-service db upgrade'" in behind.stderr
    assert run("db", "downgrade", "nonsense").exit_code == 1


def test_a_database_of_a_newer_release_is_left_alone_and_the_way_out_is_told() -> None:
    run("init")
    run("db", "upgrade")
    with sqlite3.connect("var/accounts.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    for words in (("db", "check"), ("db", "upgrade"), ("db", "downgrade", "0013", "--yes"), ("serve",)):
        result = run(*words)
        assert result.exit_code == 1
        assert "at revision 9999" in result.stderr
        assert "install the release that made this revision" in result.stderr
        assert "run 'accounts-service db upgrade'" not in result.stderr
    with sqlite3.connect("var/accounts.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0014'")
        connection.execute("INSERT INTO alembic_version VALUES ('0013')")
    for words in (("db", "check"), ("db", "upgrade"), ("serve",)):
        assert "alembic_version names 2 revisions (0013, 0014)" in run(*words).stderr
    assert "FAIL database: SQLite at" in run("doctor").stdout
    with sqlite3.connect("var/accounts.db") as connection:
        connection.execute("DELETE FROM alembic_version WHERE version_num = '0013'")
    assert "name the revision" in run("db", "downgrade", "", "--yes").stderr


def test_messages_name_the_file_whatever_the_working_directory_is() -> None:
    here = Path.cwd()
    assert f"{here}/var/keys.json: No such file" in run("db", "upgrade").stderr
    run("init")
    keys = Path("var/keys.json").read_text(encoding="ascii")
    for damaged in ("", keys[:-20], "[]"):
        Path("var/keys.json").write_text(damaged, encoding="ascii")
        assert run("db", "upgrade").stderr == f"Error: {here}/var/keys.json: the keys file is damaged\n"
    Path("var/keys.json").write_text(keys, encoding="ascii")
    assert f"SQLite at {here}/var/accounts.db cannot be used" in run("keys", "report").stderr
    Path("var/config").rename("elsewhere")
    assert f"{here}/var/config: There is no such directory" in run("doctor").stdout


def test_what_a_command_logs_does_not_stand_in_what_it_prints() -> None:
    run("init")
    run("db", "upgrade")
    before = load_keyring(Path("var/keys.json")).wrapping
    with read_only(Path("var/accounts.db")):
        added = run("keys", "add")
    (key,) = load_keyring(Path("var/keys.json")).wrapping.keys() - before.keys()
    assert (added.exit_code, added.stdout) == (0, f"{key}\n")
    assert added.stderr.count("keys.not_recorded") == 1


def test_output_that_cannot_be_written_is_told_and_no_traceback() -> None:
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            [COMMAND, "hash-password"], input="x" * 20, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert result.returncode != 0
    assert result.stderr.startswith("Error: standard output cannot be written (No space left on device)")
    assert "Traceback" not in result.stderr


def test_a_pipe_in_the_directory_is_a_problem_and_keeps_no_process_waiting() -> None:
    run("init")
    Path("var/config/sg_authc.yml").unlink()
    os.mkfifo("var/config/sg_authc.yml")
    assert run("config", "check").stdout == "sg_authc.yml: Not a regular file\n"
    assert "FAIL configuration: sg_authc.yml: Not a regular file" in run("doctor").stdout


@pytest.mark.parametrize(
    ("address", "told"),
    (
        ("127.0.0.1:99999/d", "a port or a parameter that cannot be used (port)"),
        ("127.0.0.1:1/d?sslmode=nonsense", "a port or a parameter that cannot be used (sslmode)"),
        ("127.0.0.1:1/d?hunter2=x", "a port or a parameter that cannot be used: correct"),
    ),
)
def test_an_address_that_no_driver_takes_is_one_line(monkeypatch: pytest.MonkeyPatch, address: str, told: str) -> None:
    run("init")
    monkeypatch.setenv("ACCOUNTS_DATABASE_URL", f"postgresql+psycopg://u:hunter2@{address}")
    result = run("db", "upgrade")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert told in result.stderr
    assert told.partition(":")[0] in run("doctor").stdout
    assert "hunter2" not in result.output + run("doctor").output


def test_a_database_that_is_away_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    run("init")
    monkeypatch.setenv("ACCOUNTS_DATABASE_URL", "postgresql+psycopg://u:hunter2@127.0.0.1:1/d")
    for words in (("db", "upgrade"), ("db", "check"), ("db", "downgrade", "base")):
        result = run(*words)
        assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
        assert result.stderr.startswith(
            "Error: PostgreSQL at 127.0.0.1/d cannot be used: nothing listens at its address (ECONNREFUSED): see that"
        )
        assert result.stdout == ""


def test_without_keys_no_command_touches_the_database() -> None:
    assert "keys.json" in run("db", "upgrade").stderr
    assert not Path("var").exists()


def test_config_check_names_every_problem_of_every_file(tmp_path: Path) -> None:
    for name, text in BROKEN.items():
        (tmp_path / name).write_text(text)
    result = run("config", "check", str(tmp_path))
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "sg_roles.yml: a.foo: Unsupported attribute",
        (
            "sg_roles.yml: b.cluster_permissions.0: Invalid value: a group without its ) at character 2 "
            "(expected: A regular expression pattern)"
        ),
        "sg_roles_mapping.yml: a.ips.0: Invalid value (expected: IP address or netmask in CIDR notation)",
        "sg_action_groups.yml: G.allowed_actions: Required attribute is missing",
        "sg_action_groups.yml: G.type: Required attribute is missing",
        "sg_internal_users.yml: u.backend_roles: Invalid value (expected: A list of strings)",
        "sg_tenants.yml: Invalid value (expected: A mapping)",
        "sg_authc.yml: auth_domains.0.user_mapping.user_name: Required attribute is missing",
        "sg_authz.yml: role_mapping.resolution_mode: Invalid value (expected: MAPPING_ONLY|BACKENDROLES_ONLY|BOTH)",
        "netbird_jwt.yml: required_audience: Required attribute is missing",
        "netbird_jwt.yml: signing: Required attribute is missing",
    ]


def test_config_check_names_what_is_left_out() -> None:
    make(settings_of_environment())
    config = Path("var/config")
    (config / "sg_authc.yml").write_text("auth_domains: [{type: ldap}, {type: basic/internal_users_db}]")
    result = run("config", "check", str(config))
    assert result.exit_code == 0
    assert result.stdout.startswith("left out: auth_domains.0 (ldap)")
    assert set(FILES) - {path.name for path in config.iterdir()} == {"sg_authz.yml", "netbird_jwt.yml"}


def test_config_check_reads_the_directory_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    make(settings_of_environment())
    result = run("config", "check")
    assert (result.exit_code, result.stdout) == (0, "No problem found.\n")
    Path("var/config/sg_roles.yml").write_text("r: {cluster_permissions: ['/(?=a)/']}")
    result = run("config", "check")
    assert result.exit_code == 1
    assert result.stdout.startswith("sg_roles.yml: r.cluster_permissions.0: Invalid value: a look-ahead at character 1")
    monkeypatch.setenv("ACCOUNTS_CONFIG_DIR", "elsewhere")
    result = run("config", "check")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "Error: ACCOUNTS_CONFIG_DIR: there is no directory elsewhere; correct the setting\n"


def test_config_check_finds_what_doctor_finds() -> None:
    make(settings_of_environment())
    config = Path("var/config")
    config.joinpath("sg_roles.yml").write_text(
        "operator: {cluster_permissions: [SGS_SINGALS_ALL, my_group]}\nforgotten: {cluster_permissions: [a:b]}\n"
    )
    config.joinpath("sg_action_groups.yml").write_text("mine: {type: cluster, allowed_actions: [SGS_NEVER]}\n")
    config.joinpath("sg_roles_mapping.yml").write_text("operator: {users: [ann]}\nopreator: {users: [bob]}\n")
    config.joinpath("sg_internal_users.yml").write_text(
        "ann: {hash: 'canary-73d5'}\nzoe: {search_guard_roles: [gone]}\n"
    )
    result = run("config", "check")
    expected = [
        "sg_internal_users.yml: without a hash, so they cannot log in by password: zoe",
        "gone is given to a user and not defined",
        "opreator is mapped and not defined",
        "given to no user: forgotten",
        "the action group mine names SGS_NEVER, which is not an action group",
        "the role operator names SGS_SINGALS_ALL, which is not an action group",
        "the role operator names my_group, which is not an action group",
        "nobody may do everything",
        "without a bcrypt hash: ann",
    ]
    lines = [line.removeprefix("warning: ").partition(" -> ")[0] for line in result.stdout.splitlines()]
    assert (result.exit_code, lines) == (0, [*expected, "No problem found, 9 warning(s)."])
    examined = run("doctor").stdout
    assert all(text in examined for text in expected)
    assert "canary" not in result.output + examined
    config.joinpath("sg_authc.yml").write_text("auth_domains: [{type: anonymous}]")
    config.joinpath("sg_roles_mapping.yml").write_text("SGS_ALL_ACCESS: {users: ['*']}\n")
    result = run("config", "check")
    assert result.exit_code == 1
    assert "problem: whoever comes is 'anonymous' and may do everything, by SGS_ALL_ACCESS" in result.stdout
    assert result.stdout.splitlines()[-1].startswith("1 problem(s) found, ")


def test_routes_lists_every_method_of_every_route() -> None:
    lines = run("routes").stdout.splitlines()
    there = [
        (method, min(mount.hosts, default="") + path)
        for family in app.FAMILIES.values()
        for route in family.routes
        for mount, path in family.places(route, Settings())
        for method in route.methods
    ]
    assert sorted(tuple(line.split()[:2]) for line in lines) == sorted(there)
    assert len(set(there)) == len(there)
    put = next(line for line in lines if line.startswith("PUT"))
    assert put.split() == [
        "PUT",
        "/_signals/account/<account_type>/<account:name>",
        "cluster:admin:searchguard:signals:account/put",
    ]


def test_a_hash_is_made_of_what_is_typed() -> None:
    result = run("hash-password", typed="correct horse\n")
    assert bcrypt.checkpw(b"correct horse", result.stdout.strip().encode())
    assert run("hash-password", typed="x" * 73 + "\n").exit_code == 1
    assert run("hash-password", typed="\n").exit_code == 1


def test_a_setting_that_is_none_stops_every_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCOUNTS_NONSENSE", "1")
    for words in (("init",), ("db", "upgrade"), ("routes",), ("serve",)):
        result = run(*words)
        assert (result.exit_code, result.stderr) == (1, "Error: ACCOUNTS_NONSENSE is not a setting\n")
