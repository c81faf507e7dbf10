"""`make docs`: writes docs/settings.md and docs/privileges.md, which tests/test_docs.py holds against the code."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from accounts_service import app, config
from accounts_service.access import action_groups, roles
from accounts_service.access.privileges import describe
from accounts_service.access.roles import Role
from accounts_service.config import Settings
from accounts_service.web.family import Family

DOCS = Path(__file__).parent.parent / "docs"

_SETTINGS = """\
# Settings

Read once from the environment when a process starts. An unknown name that begins with `ACCOUNTS_` or a bad value stops
the start; all problems are told at once. A relative path is relative to the working directory. No secret has a default.
Names that begin with `ACCOUNTS_TEST_` belong to the tests and are read past.

Every setting can be read from a file: `ACCOUNTS_DATABASE_URL_FILE` is the path of a UTF-8 file that holds the value of
`ACCOUNTS_DATABASE_URL`, and so on for each name below. One line break at the end does not count. Both at once, and a
file that is missing, empty or cannot be read, are problems. The file is read when a process starts.

Service links of Kubernetes, such as `ACCOUNTS_SERVICE_HOST` or `ACCOUNTS_PORT_80_TCP` for a Service named `accounts`,
are ignored. `ACCOUNTS_PORT=8080` is not one, and is a problem.
"""

_PRIVILEGES = """\
# Privileges

What each route asks for, what that allows, and which action groups and roles are there without being defined. Own
groups and roles stand in `sg_action_groups.yml` and `sg_roles.yml`; a built-in name cannot be defined again.
`accounts-service routes` prints every route with what it asks for.
"""

_ROUTES = """\
`PUBLIC` is for everyone, `ANY_IDENTITY` for everyone who is somebody. A privilege under "also looked at" is not needed;
who holds it is shown or allowed more.
"""

_GROUPS = """\
A member is an action, a pattern (`*` any characters, `?` one) or another group. Those of Search Guard that name index
actions are there so that its configuration files can be used as they are; of such actions, routes here ask for those
of scrolling alone, which cluster permissions decide.
"""

_ROLES = """\
Search Guard's own roles; only what decides about cluster and tenant actions, since there are no indices here.
"""


def settings_markdown() -> str:
    """Write docs/settings.md."""
    rows = ([_code(name), _code(default), sentence] for name, default, sentence in config.settings_table())
    return _document(_SETTINGS, _table(("name", "default", "meaning"), rows))


def privileges_markdown() -> str:
    """Write docs/privileges.md."""
    families = app.FAMILIES.values()
    built_ins = app.built_ins()
    parts = [_PRIVILEGES, "## Routes\n", _ROUTES]
    for family in families:
        parts += [f"### {family.name}\n", _table(("method", "path", "privilege", "also looked at"), _routes(family))]
    parts.append("## What each allows\n")
    parts.append(
        _table(
            ("privilege", "sentence"),
            ([_code(privilege.action), privilege.sentence] for family in families for privilege in family.privileges),
        )
    )
    parts += ["## Action groups\n", _GROUPS]
    sources = {"Search Guard": action_groups.STATIC} | {family.name: family.action_groups for family in families}
    for source, groups in sources.items():
        if groups:
            parts += [
                f"### {source}\n",
                _table(("group", "members"), ([_code(n), _codes(m)] for n, m in groups.items())),
            ]
    parts += ["## Roles\n", _ROLES, _table(("role", "cluster permissions", "tenant permissions"), _roles(roles.STATIC))]
    own = {name: role for name, role in built_ins.roles.items() if name not in roles.STATIC}
    if own:
        parts += ["### Of the families\n", _table(("role", "cluster permissions", "tenant permissions"), _roles(own))]
    return _document(*parts)


def _routes(family: Family) -> Iterator[list[str]]:
    for route in family.routes:
        for path in family.paths(route, Settings()):
            for method in route.methods:
                optional = _codes(privilege.action for privilege in route.optional)
                yield [_code(method), _code(path), _code(describe(route.requirement)), optional]


def _roles(named: Mapping[str, Role]) -> Iterator[list[str]]:
    for name, role in named.items():
        tenant = "; ".join(
            f"{_codes(permission.allowed_actions)} in {_codes(permission.tenant_patterns)}"
            for permission in role.tenant_permissions
        )
        yield [_code(name), _codes(role.cluster_permissions), tenant]


def _code(text: str) -> str:
    return f"`{text}`"


def _codes(texts: Iterable[str]) -> str:
    return ", ".join(map(_code, texts))


def _table(header: tuple[str, ...], rows: Iterable[list[str]]) -> str:
    lines = [list(header), ["---"] * len(header), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def _document(*parts: str) -> str:
    title, _, rest = parts[0].partition("\n")
    return "\n".join((f"{title}\n\n<!-- Written by `make docs`; do not edit. -->\n{rest}", *parts[1:]))


GENERATED = {"settings.md": settings_markdown, "privileges.md": privileges_markdown}


def main() -> None:
    """Write all generated documents."""
    for name, markdown in GENERATED.items():
        (DOCS / name).write_text(markdown(), encoding="utf-8")


if __name__ == "__main__":
    main()
