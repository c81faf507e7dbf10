"""Settings: the environment is read once, as a whole, and every mistake in it is told."""

from __future__ import annotations

import dataclasses
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
