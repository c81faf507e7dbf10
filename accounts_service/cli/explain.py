"""The command `accounts-service explain`: who may do what, and why."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

import click

from accounts_service import app
from accounts_service.access import explanations
from accounts_service.access.configuration import Configuration
from accounts_service.access.decisions import Rules, normal_tenant
from accounts_service.access.explanations import Decision
from accounts_service.access.log_ins import Caller, caller_of
from accounts_service.access.privileges import Level, Open, Privilege, describe, level_of, privileges_of
from accounts_service.access.roles import GLOBAL_TENANT, REALM, Address, Identity
from accounts_service.access.snapshot import BadConfigurationError, LastGood, in_use, rules_of
from accounts_service.cli.shared import settings_of_environment
from accounts_service.config import Settings
from accounts_service.faults import BadPath, Json, MethodNotAllowed, NoSuchRoute
from accounts_service.web.routing import Destination, Router

# A realm without mappings: its people have the roles they are given, no more.
_ROLES_ONLY = "explain"


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
            identity = Identity(_ROLES_ONLY, "", roles=frozenset(self.roles), address=self.address)
            return Caller(identity, None, ())
        identity = Identity(REALM, self.principal, backend_roles=frozenset(self.backend_roles), address=self.address)
        return caller_of(configuration, identity, by_socket=bool(settings.trusted_socket_users))

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
        address = None if value is None else ip_address(value)
    except ValueError:
        raise click.BadParameter("not an IP address") from None
    # As the service reads it: no network of the configuration has an address of the other form.
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or IPv6Address(int(address))
    return address


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
    settings, notes = _settings(), list[str]()
    configuration = _configuration(settings, notes)
    rules = rules_of(configuration, app.built_ins())
    asker = Asker(principal, roles, backend_roles, address)
    caller = asker.caller(configuration, settings)
    identity, obstacle = caller.identity, caller.obstacle
    notes += caller.notes
    notes += (
        f"the role {role!r} is not defined and grants nothing"
        for role in sorted(rules.effective_roles(identity))
        if not rules.is_defined(role)
    )
    if privilege is not None:
        answer = _of_privilege(rules, identity, privilege, tenant, notes)
    else:
        place = _destination(settings, method or "", path or "", host, tenant)
        answer = _of_request(rules, identity, f"{method} {path}", place)
    held = rules.held_roles(identity)
    # What is open to everybody is so without a log-in.
    allowed = answer.allowed and (obstacle is None or answer.is_open)
    if as_json:
        head: dict[str, Json] = {"principal": principal, "asked": answer.asked, "notes": [*notes]}
        why: list[Json] = [explanations.held_document(role) for role in held]
        document = {**head, "roles": why, **answer.document, "allowed": allowed, "cannot_log_in": obstacle}
        click.echo(json.dumps(document, indent=2))
    else:
        asked = _shown(answer.asked)
        lines = [f"{'ALLOWED' if allowed else 'DENIED'}: {asker}: {asked}"]
        if obstacle is not None and not answer.is_open:
            lines = [f"CANNOT LOG IN: {asker}: {obstacle}"]
            lines += [f"with a log-in it would be {'ALLOWED' if answer.allowed else 'DENIED'}: {asked}"]
        elif obstacle is not None:
            lines += [f"note: {obstacle}"]
        lines += (f"note: {note}" for note in notes)
        lines += (f"role {role.role}: {explanations.reason_for_role(role)}" for role in held)
        for line in (*lines, *answer.lines):
            click.echo(_line(line))
    sys.exit(0 if allowed else 1)


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


def _configuration(settings: Settings, notes: list[str]) -> Configuration:
    try:
        found = in_use(settings.config_dir, LastGood(settings.last_good_dir), app.built_ins())
    except BadConfigurationError as error:
        raise UnexplainedError("\n".join(map(str, error.problems))) from None
    if found.problems:
        notes.append("the configuration directory has problems and is not used; this is the last good state")
        notes += map(str, found.problems)
    return found.configuration


def _settings() -> Settings:
    try:
        return settings_of_environment()
    except click.ClickException as error:
        raise UnexplainedError(error.message) from None


def _destination(settings: Settings, method: str, path: str, host: str, tenant: str | None) -> Destination:
    headers = {} if tenant is None else {"sgtenant": tenant}
    found = Router(app.served(settings), settings).find(method, path, host, headers)
    match found:
        case Destination():
            return found
        case BadPath(reason):
            raise UnexplainedError(f"the path is refused, whoever asks: {reason}")
        case MethodNotAllowed(_, _, allowed):
            raise UnexplainedError(f"{_shown(path)} is not answered to {_shown(method)}, only to {', '.join(allowed)}")
        case NoSuchRoute():
            raise UnexplainedError(f"no route leads to {_shown(path)}; 'accounts-service routes' lists all")


# -- What is told -------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answer:
    """An explanation in both forms."""

    allowed: bool
    asked: str
    lines: tuple[str, ...]
    document: dict[str, Json]
    is_open: bool = False


def _of_privilege(rules: Rules, identity: Identity, action: str, tenant: str | None, notes: list[str]) -> Answer:
    if rules.is_group(action):
        raise UnexplainedError(f"{_shown(action)} is an action group; ask for an action")
    decision = rules.explain(identity, action, tenant)
    if tenant is not None and level_of(action) is not Level.TENANT:
        notes.append("this is no tenant action: it is decided without a tenant")
    if action not in _known():
        notes.append(f"no route of this service asks for {action}")
    document: dict[str, Json] = {"decisions": [explanations.decision_document(decision)]}
    return Answer(decision.allowed, action, tuple(_lines("privilege", [decision])), document)


def _of_request(rules: Rules, identity: Identity, asked: str, place: Destination) -> Answer:
    route = place.route
    explanation = rules.explain_request(identity, route.requirement, place.arguments, route.optional, place.tenant)
    tenant = normal_tenant(place.tenant or "")
    lines = [f"route {place.family.name} {route.endpoint}: {describe(route.requirement)}"]
    lines += [] if tenant == GLOBAL_TENANT else [f"tenant {tenant}"]
    lines += _lines("privilege", explanation.decisions)
    lines += _lines("optional", explanation.optional)
    document: dict[str, Json] = {
        "family": place.family.name,
        "route": route.endpoint,
        "tenant": tenant,
        **explanations.document(explanation),
    }
    return Answer(explanation.allowed, asked, tuple(lines), document, route.requirement is Open.PUBLIC)


def _known() -> dict[str, Privilege]:
    routes = [route for family in app.FAMILIES.values() for route in family.routes]
    return {
        privilege.action: privilege
        for route in routes
        for privilege in (*privileges_of(route.requirement), *route.optional)
    }


def _lines(kind: str, decisions: Iterable[Decision]) -> Iterable[str]:
    known = _known()
    for decision in decisions:
        where = "" if decision.tenant is None else f" in {decision.tenant}"
        yield f"{kind} {decision.action}{where}: {'held' if decision.allowed else 'not held'}"
        if kind == "optional" and decision.action in known:
            yield f"  {known[decision.action].sentence}"
        yield from (f"  {line}" for line in explanations.reason_of(decision))
