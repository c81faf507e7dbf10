"""Tokens of accounts, for who sets an installation up: the first administrator comes from here."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Callable
from typing import TypeVar

import click

from accounts_service import app
from accounts_service.cli.shared import author, opened_database, settings_of_environment
from accounts_service.faults import AgainstTheRules, AlreadyExists, RefusedError
from accounts_service.storage import migrations
from accounts_service.web.services import BadTokenOrderError, NativeTokens, TokenFacts, TokenOrder

T = TypeVar("T")

# Characters; no token has a tenth of them.
_LONGEST_LINE = 4096

_FAMILIES = {name: family.tokens for name, family in app.FAMILIES.items() if family.tokens is not None}

_family = click.option("--family", type=click.Choice(sorted(_FAMILIES)), required=True, help="Whose tokens they are.")


def text(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    """Take what is text in UTF-8, since nothing else can be stored."""
    if value is not None and not value.isprintable():
        raise click.BadParameter("printable text")
    return value


@click.group()
def token() -> None:
    """Make, list and revoke tokens of accounts."""


@token.command()
@_family
@click.option("--principal", required=True, callback=text, help="Whose token it is to be.")
@click.option("--account", callback=text, help="The account that the principal belongs to, where the family has such.")
@click.option("--role", "roles", multiple=True, help="A role of the principal; may be repeated.")
@click.option("--permission", "permissions", multiple=True, help="What is permitted to him; may be repeated.")
@click.option("--create", "new", is_flag=True, help="Make the principal if there is none.")
@click.option("--name", default="command line", show_default=True, callback=text, help="What the token is called.")
@click.option("--expires-in", "days", type=click.IntRange(min=1), help="After so many days it is worth nothing.")
def create(  # noqa: PLR0913, PLR0917  # as many as there are options
    family: str,
    principal: str,
    account: str | None,
    roles: tuple[str, ...],
    permissions: tuple[str, ...],
    new: bool,  # noqa: FBT001  # click's
    name: str,
    days: int | None,
) -> None:
    """Make a token and print it, alone on a line. It is shown once."""
    order = TokenOrder(principal, new, name, permissions, roles, account, days)
    settings = settings_of_environment()
    click.echo(_changed(family, lambda tokens: tokens.create(order, settings)))


@token.command("list")
@_family
@click.option("--principal", help="Only those of this principal.")
def list_(family: str, principal: str | None) -> None:
    """List tokens: identifier, principal, name, when made and last used. No token itself is shown."""
    with opened_database() as database:
        migrations.require(database)
        with database.reading(_FAMILIES[family]) as tokens:
            facts = tokens.facts(principal)
    for one in facts:
        words = (one.identifier, one.principal, one.name or "-", _time(one.created_us), _use(one))
        click.echo("  ".join(map(on_one_line, words)))


@token.command()
@_family
@click.argument("identifiers", metavar="[IDENTIFIER]", nargs=-1)
def revoke(family: str, identifiers: tuple[str, ...]) -> None:
    """Revoke a token at once: the one on standard input, or that of IDENTIFIER, as `token list` shows it."""
    # Nothing that was given is printed: a token that was typed in the wrong place would be in the log of a terminal.
    if len(identifiers) > 1:
        raise click.UsageError("at most one IDENTIFIER; a token itself is read from standard input")
    if identifiers:
        revoked = _changed(family, lambda tokens: _revoked(tokens, identifiers[0]))
        missing = "there is no token of this identifier; a token itself is read from standard input"
    else:
        sent = _sent()
        revoked = _changed(family, lambda tokens: _revoked(tokens, tokens.identifier_of(sent) or sent))
        missing = f"there is no such token of {family}"
    if revoked is None:
        raise click.ClickException(missing)
    click.echo(f"The token {revoked} is revoked.")


def _sent() -> str:
    if sys.stdin.isatty():
        sent = str(click.prompt("Token", hide_input=True, err=True))
    else:
        sent = sys.stdin.readline(_LONGEST_LINE)
    sent = sent.strip()
    if not sent or not sent.isprintable():
        raise click.ClickException("there is no token on standard input")
    return sent


def _revoked(tokens: NativeTokens, identifier: str) -> str | None:
    return identifier if identifier.isprintable() and tokens.revoke(identifier) else None


def _changed(family: str, act: Callable[[NativeTokens], T]) -> T:
    with opened_database() as database:
        migrations.require(database)
        try:
            return database.written(_FAMILIES[family], author(), act)
        except BadTokenOrderError as error:
            raise click.ClickException(str(error)) from None
        except RefusedError as error:
            match error.fault:
                case AgainstTheRules(rule, subject):
                    raise click.ClickException(": ".join(filter(None, (rule.value, subject)))) from None
                case AlreadyExists(identifier):
                    raise click.ClickException(f"{identifier} is there already, as something else") from None
                case _:
                    raise  # What it means is told where the database was opened.


def on_one_line(text: str) -> str:
    """Show what was stored."""
    # A name that was stored by whatever way must not make another line, or steer a terminal.
    return "".join(sign if sign.isprintable() else "?" for sign in text)


def _time(microseconds: int) -> str:
    return dt.datetime.fromtimestamp(microseconds / 1_000_000, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _use(facts: TokenFacts) -> str:
    ends = "" if facts.expires_us is None else f", ends {_time(facts.expires_us)}"
    return (f"used {_time(facts.last_used_us)}" if facts.last_used_us is not None else "never used") + ends
