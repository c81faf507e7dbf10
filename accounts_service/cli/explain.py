"""The command `accounts-service explain`: who may do what, and why."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address

import click

from accounts_service import app
from accounts_service.access import explanations, log_ins
from accounts_service.access.configuration import Configuration
from accounts_service.access.explanations import (
    Decision,
    PrivilegeInQuestion,
    Question,
    RequestInQuestion,
    Routed,
    Told,
)
from accounts_service.access.log_ins import Caller
from accounts_service.access.privileges import describe
from accounts_service.access.roles import GLOBAL_TENANT, REALM, Address, Identity, plain
from accounts_service.access.snapshot import BadConfigurationError, InUse, LastGood, in_use, rules_of
from accounts_service.cli.shared import settings_of_environment
from accounts_service.config import Settings
from accounts_service.identifiers import normalized
from accounts_service.web.explaining import Explainer, notes_on


class UnexplainedError(click.ClickException):
    """What was asked cannot be explained; neither a yes nor a no."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Asker:
    """Who is asking, as he was given on the command line."""

    principal: str | None
    roles: tuple[str, ...]
    backend_roles: tuple[str, ...]
    address: Address | None

    def caller(self, configuration: Configuration, settings: Settings) -> Caller:
        """Find out whom the service would take him for."""
        if self.principal is None:
            return log_ins.holder_of(self.roles, self.address)
        identity = Identity(
            REALM,
            normalized(self.principal),
            backend_roles=frozenset(map(normalized, self.backend_roles)),
            address=self.address,
        )
        return log_ins.caller_of(configuration, identity, by_socket=bool(settings.trusted_socket_users))

    def __str__(self) -> str:
        """Name him on one line."""
        if self.principal is None:
            return ", ".join(f"role {_shown(role)}" for role in self.roles)
        return _shown(self.principal)


def _shown(text: str) -> str:
    # A line feed would begin a line that looks like one of ours.
    return text if text.isprintable() else repr(text)


def _line(text: str) -> str:
    # Names out of the files come here too; a terminal obeys what is not printable.
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _address(_: click.Context, __: click.Parameter, value: str | None) -> Address | None:
    try:
        return None if value is None else plain(ip_address(value))
    except ValueError:
        raise click.BadParameter("not an IP address") from None


@click.command()
@click.argument("method", required=False)
@click.argument("path", required=False)
@click.option("--principal", metavar="NAME", help="Who asks: a user of sg_internal_users.yml, or who comes by a proxy.")
@click.option("--backend-role", "backend_roles", multiple=True, metavar="ROLE", help="A backend role besides.")
@click.option("--ip", "address", callback=_address, metavar="ADDRESS", help="Where the principal comes from.")
@click.option("--role", "roles", multiple=True, metavar="ROLE", help="Instead of a principal: a role somebody has.")
@click.option("--privilege", metavar="ACTION", help="What is asked for, instead of METHOD and PATH.")
@click.option("--tenant", metavar="TENANT", help="The tenant asked for; with a request, what its sgtenant would say.")
@click.option("--host", default="localhost", metavar="HOST", help="The host that the request names.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def explain(  # noqa: PLR0913, PLR0917  # click hands all over by name
    method: str | None,
    path: str | None,
    principal: str | None,
    backend_roles: tuple[str, ...],
    address: Address | None,
    roles: tuple[str, ...],
    privilege: str | None,
    tenant: str | None,
    host: str,
    as_json: bool,  # noqa: FBT001  # click's
) -> None:
    """Say who may do what, and why: `explain --principal carol GET /_signals/account/email/default`.

    Exit status: 0 allowed, 1 denied or no log-in can succeed, 2 for what cannot be explained.
    """
    _check_usage(principal, roles, backend_roles, privilege, path)
    settings = _settings()
    found = _configuration(settings)
    asker = Asker(principal, roles, backend_roles, address)
    question: Question = (
        PrivilegeInQuestion(privilege, tenant)
        if privilege is not None
        else RequestInQuestion(method or "", path or "", host, tenant)
    )
    told = _told(settings, found, asker, question)
    if as_json:
        click.echo(json.dumps(explanations.told_document(told), indent=2))
    else:
        for line in _lines(asker, told):
            click.echo(_line(line))
    sys.exit(0 if told.allowed else 1)


def _check_usage(
    principal: str | None,
    roles: tuple[str, ...],
    backend_roles: tuple[str, ...],
    privilege: str | None,
    path: str | None,
) -> None:
    if (principal is None) is (not roles):
        raise click.UsageError("say who asks: either --principal or --role")
    if roles and backend_roles:
        raise click.UsageError("--backend-role goes with --principal: with --role nothing is mapped")
    if (privilege is None) is (path is None):
        raise click.UsageError("say what is asked: either METHOD and PATH, or --privilege")
    if path is not None and not path.startswith("/"):
        raise click.UsageError("PATH begins with a slash")


def _configuration(settings: Settings) -> InUse:
    try:
        return in_use(settings.config_dir, LastGood(settings.last_good_dir), app.built_ins())
    except BadConfigurationError as error:
        raise UnexplainedError("\n".join(map(str, error.problems))) from None


def _settings() -> Settings:
    try:
        return settings_of_environment()
    except click.ClickException as error:
        raise UnexplainedError(error.message) from None


def _told(settings: Settings, found: InUse, asker: Asker, question: Question) -> Told:
    rules = rules_of(found.configuration, app.built_ins())
    caller = asker.caller(found.configuration, settings)
    notes = notes_on(found.problems, all_of_them=True)
    try:
        return Explainer(app.served(settings), settings).explain(rules, asker.principal, caller, question, notes)
    except explanations.UnexplainedError as error:
        raise UnexplainedError(_worded(error.words, question)) from None


def _worded(words: str, question: Question) -> str:
    match question:
        case RequestInQuestion(method, path):
            return words.format(method=_shown(method), path=_shown(path))
        case PrivilegeInQuestion(action):
            return words.format(action=_shown(action))


# -- What is told -------------------------------------------------------------


def _lines(asker: Asker, told: Told) -> Iterator[str]:
    asked = _shown(told.asked)
    if told.obstacle is not None and not told.is_open:
        yield f"CANNOT LOG IN: {asker}: {told.obstacle}"
        yield f"with a log-in it would be {'ALLOWED' if told.found.allowed else 'DENIED'}: {asked}"
    else:
        yield f"{'ALLOWED' if told.allowed else 'DENIED'}: {asker}: {asked}"
        if told.obstacle is not None:
            yield f"note: {told.obstacle}"
    yield from (f"note: {note}" for note in told.notes)
    yield from (f"role {held.role}: {explanations.reason_for_role(held)}" for held in told.held)
    match told.found:
        case Routed(family, route, tenant, explanation):
            yield f"route {family} {route}: {describe(explanation.requirement)}"
            if tenant != GLOBAL_TENANT:
                yield f"tenant {tenant}"
            yield from _decided("privilege", explanation.decisions)
            yield from _decided("optional", explanation.optional)
        case decision:
            yield from _decided("privilege", [decision])


def _decided(kind: str, decisions: Iterable[Decision]) -> Iterator[str]:
    sentences = {
        privilege.action: privilege.sentence for family in app.FAMILIES.values() for privilege in family.privileges
    }
    for decision in decisions:
        where = "" if decision.tenant is None else f" in {decision.tenant}"
        yield f"{kind} {decision.action}{where}: {'held' if decision.allowed else 'not held'}"
        if kind == "optional":
            yield f"  {sentences[decision.action]}"
        yield from (f"  {line}" for line in explanations.reason_of(decision))
