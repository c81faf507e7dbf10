"""Settings: the environment is read once, as a whole, and every mistake in it is told."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from accounts_service.config import BadSettingsError, Settings, settings_table


def problems(**environment: str) -> list[str]:
    """Give what is wrong with an environment."""
    with pytest.raises(BadSettingsError) as caught:
        Settings.from_environment(environment)
    return caught.value.problems


def test_without_a_setting_everything_has_its_default() -> None:
    settings = Settings.from_environment({"PATH": "/bin", "ACCOUNTSX": "1"})
    assert settings == Settings()
    assert settings.database_url == "sqlite:///var/accounts.db"
    assert settings.last_good_dir == Path("var/config.last-good")


def test_the_table_shows_the_defaults_that_hold() -> None:
    for field, (name, default, sentence) in zip(dataclasses.fields(Settings), settings_table(), strict=True):
        assert name == f"ACCOUNTS_{field.name.upper()}"
        assert sentence.endswith(".")
        if not default.startswith("("):  # Said in words, where there is none.
            assert Settings.from_environment({name: default}) == Settings()


def test_all_mistakes_are_told_at_once() -> None:
    assert problems(ACCOUNTS_WORKERS="0", ACCOUNTS_NONSENSE="1", ACCOUNTS_LOG_LEVEL="loud") == [
        "ACCOUNTS_LOG_LEVEL must be one of debug, info, warning, error",
        "ACCOUNTS_NONSENSE is not a setting",
        "ACCOUNTS_WORKERS must be a whole number from 1 to 64",
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    (
        ("BIND", "8080"),
        ("BIND", "127.0.0.1:99999"),
        ("BIND", "unix:relative"),
        ("BIND", "a b:80"),
        ("WORKERS", "65"),
        ("WORKERS", "two"),
        ("WORKERS", "٣"),
        ("REQUEST_SECONDS", "0"),
        ("ALLOWED_HOSTS", "accounts.example:443"),
        ("ALLOWED_HOSTS", "::1"),
        ("ALLOWED_HOSTS", "[::1]:443"),
        ("THREADS", "-1"),
        ("THREADS", "3"),
        ("DATABASE_URL", "sqlite://"),
        ("DATABASE_URL", "sqlite:///"),
        ("DATABASE_URL", "sqlite:///:memory:"),
        ("DATABASE_URL", "postgresql://host/db"),
        ("DATABASE_URL", "mysql://host/db"),
        ("CONFIG_DIR", ""),
        ("FAMILIES", "signals,signals"),
        ("FAMILIES", "tails"),
        ("FAMILIES", ""),
        ("TRUSTED_SOCKET_USERS", "a b"),
        ("MAIL_ACCOUNT", ""),
        ("MAIL_ACCOUNT", "email"),
        ("MAIL_ACCOUNT", "email/"),
        ("MAIL_ACCOUNT", "slack/default"),
        ("MAIL_ACCOUNT", "blue/email/default"),
        ("SERVE_JOBS", "no"),
        ("SERVE_JOBS", "True"),
    ),
)
def test_a_value_that_cannot_be_meant_is_refused(name: str, text: str) -> None:
    (problem,) = problems(**{f"ACCOUNTS_{name}": text})
    assert problem.startswith(f"ACCOUNTS_{name} must be ")


@pytest.mark.parametrize("service", ("", "SERVICE_", "DB_", "SERVICE_JOBS_2_"))
def test_service_links_of_kubernetes_are_ignored(service: str) -> None:
    links = {
        "SERVICE_HOST": "10.96.0.12",
        "SERVICE_PORT": "80",
        "SERVICE_PORT_HTTP_ALT": "8080",
        "PORT": "tcp://10.96.0.12:80",
        "PORT_80_TCP": "tcp://[fd00::12]:80",
        "PORT_80_TCP_PROTO": "tcp",
        "PORT_80_TCP_PORT": "80",
        "PORT_80_TCP_ADDR": "fd00::12",
        "PORT_132_SCTP": "sctp://10.96.0.12:132",
        "PORT_53_UDP_ADDR": "10.96.0.12",
    }
    environment = {f"ACCOUNTS_{service}{name}": value for name, value in links.items()}
    assert Settings.from_environment(environment) == Settings()


@pytest.mark.parametrize(
    ("name", "value"),
    (
        ("PORT", "8080"),
        ("BIND_PORT", "8080"),
        ("PORT_80_TCP", "80"),
        ("SERVICE_PORT", "unix:/x"),
        ("SERVICE_HOST", "accounts.example"),
        ("PORT_80_ICMP_PORT", "80"),
        ("PORT_80_TCP_PROTO", "udp tcp"),
    ),
)
def test_what_only_looks_like_a_service_link_is_refused(name: str, value: str) -> None:
    (problem,) = problems(**{f"ACCOUNTS_{name}": value})
    assert problem.startswith(f"ACCOUNTS_{name} is not a setting")


def test_no_setting_looks_like_a_service_link_or_the_file_of_another() -> None:
    names = {name for name, _, _ in settings_table()}
    assert not any(f"{name}_FILE" in names for name in names)
    for name in names:
        assert not name.endswith(("_SERVICE_HOST", "_PORT", "_TCP", "_UDP", "_SCTP", "_PROTO", "_ADDR"))
        assert "_SERVICE_PORT" not in name


@pytest.mark.parametrize(
    ("name", "meant"),
    (
        ("WORKER", "WORKERS"),
        ("DATABSE_URL", "DATABASE_URL"),
        ("DATABASE_URI_FILE", "DATABASE_URL_FILE"),
        ("KEY_FILE", "KEYS_FILE"),
        ("LOGLEVEL", "LOG_LEVEL"),
    ),
)
def test_unknown_setting_suggests_the_nearest_name(name: str, meant: str) -> None:
    told = f"ACCOUNTS_{name} is not a setting; did you mean ACCOUNTS_{meant}?"
    assert problems(**{f"ACCOUNTS_{name}": "1"}) == [told]


@pytest.mark.parametrize("end", ("ACCOUNT", "ADDRESS_FILE"))
def test_setting_of_an_earlier_release_names_what_took_its_place(end: str) -> None:
    (problem,) = problems(**{f"ACCOUNTS_MENTION_WRONG_PASSWORDS_PER_{end}": "5"})
    assert "not a setting any more; " in problem
    assert "ACCOUNTS_LOGIN_FAILURES_PER_BOTH" in problem


def test_value_is_read_from_a_file(tmp_path: Path) -> None:
    secret = "postgresql+psycopg://u:hunter2@h/d"
    for end in ("", "\n", "\r\n"):
        (tmp_path / "url").write_bytes((secret + end).encode())
        (tmp_path / "workers").write_text("7\n")
        settings = Settings.from_environment(
            {
                "ACCOUNTS_DATABASE_URL_FILE": str(tmp_path / "url"),
                "ACCOUNTS_WORKERS_FILE": str(tmp_path / "workers"),
                "ACCOUNTS_KEYS_FILE": "keys",
            }
        )
        assert (settings.database_url, settings.workers, settings.keys_file) == (secret, 7, Path("keys"))
    (tmp_path / "url").write_text(f"{secret}\n\n")
    told = (
        f"ACCOUNTS_DATABASE_URL_FILE: the contents of {tmp_path}/url for ACCOUNTS_DATABASE_URL must be sqlite:///PATH"
    )
    assert problems(ACCOUNTS_DATABASE_URL_FILE=str(tmp_path / "url")) == [f"{told} or postgresql+psycopg://…"]
    told = "ACCOUNTS_DATABASE_URL_FILE: must be the path of a file, not the value itself"
    assert problems(ACCOUNTS_DATABASE_URL_FILE=secret) == [told]


def test_file_without_a_value_is_told_by_its_name_and_not_its_contents(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "bytes").write_bytes(b"hunter2\xff")
    (tmp_path / "long").write_bytes(b"hunter2" * 10_000)
    os.mkfifo(tmp_path / "pipe")
    reasons = {
        "none": "there is no file {}",
        "pipe": "{} is not a file",
        "empty": "{} is empty",
        "bytes": "{} is not a text file",
        "long": "{} is too long",
    }
    for name, reason in reasons.items():
        path = str(tmp_path / name)
        assert problems(ACCOUNTS_BIND_FILE=path) == [f"ACCOUNTS_BIND_FILE: {reason.format(path)}"]
    assert problems(ACCOUNTS_BIND_FILE=str(tmp_path / "empty"), ACCOUNTS_BIND="127.0.0.1:1") == [
        "ACCOUNTS_BIND and ACCOUNTS_BIND_FILE are both set: set one of them"
    ]


def test_a_password_in_the_databases_address_is_never_told() -> None:
    secret = "hunter2"
    settings = Settings.from_environment({"ACCOUNTS_DATABASE_URL": f"postgresql+psycopg://u:{secret}@h/d"})
    assert secret not in repr(settings)
    assert secret not in str(problems(ACCOUNTS_DATABASE_URL=f"postgres://u:{secret}@h/d"))


@pytest.mark.parametrize("bind", ("0.0.0.0:80", "[::1]:8080", "localhost:0", "unix:/run/accounts.sock"))
def test_an_address_is_a_port_of_a_host_or_a_socket(bind: str) -> None:
    assert Settings.from_environment({"ACCOUNTS_BIND": bind}).bind == bind


def test_mails_need_an_account_and_jobs_are_served_unless_told_otherwise() -> None:
    assert (Settings().mail_account, Settings().serve_jobs) == (None, True)
    settings = Settings.from_environment({"ACCOUNTS_MAIL_ACCOUNT": "email/für uns", "ACCOUNTS_SERVE_JOBS": "false"})
    assert (settings.mail_account, settings.serve_jobs) == ("email/für uns", False)


def test_users_are_names_or_numbers() -> None:
    settings = Settings.from_environment({"ACCOUNTS_TRUSTED_SOCKET_USERS": "www-data, 33,"})
    assert settings.trusted_socket_users == ("www-data", "33")


def test_limit_per_user_that_one_network_could_use_up_is_refused() -> None:
    with pytest.raises(BadSettingsError) as caught:
        Settings.from_environment({"ACCOUNTS_LOGIN_FAILURES_PER_BOTH": "21"})
    assert caught.value.problems == [
        "ACCOUNTS_LOGIN_FAILURES_PER_USER must be at least 5 times ACCOUNTS_LOGIN_FAILURES_PER_BOTH, which is 21"
    ]
    Settings.from_environment({"ACCOUNTS_LOGIN_FAILURES_PER_BOTH": "20"})
