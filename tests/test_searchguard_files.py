"""A directory as Search Guard has it: `config check`, `doctor` and `serve` take it, and say what has no effect."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner
from joserfc import jwt
from joserfc.jwk import OctKey

from accounts_service import cli
from accounts_service.access.authenticators.internal_users import hash_password
from tests.support.installation import Installation
from tests.support.served import Served

SECRET = "canary-51d0 of 64 bytes, with which tokens are signed and no other"
PASSWORD = "canary-62e1 of a password"
ENVIRONMENT = {
    "ADMIN_PASSWORD": PASSWORD,
    "PROXIES": "127.0.0.1",
    "JWT_SECRET": SECRET,
}
AUTHINFO = "/_searchguard/authinfo"

FILES: Mapping[str, str] = {
    "sg_roles.yml": """
        _sg_meta: {type: roles, config_version: 2}
        reader:
          cluster_permissions: SGS_SIGNALS_ACCOUNT_READ
          exclude_index_permissions: []
          index_permissions:
          - {index_patterns: ["dept_${user.attrs.dept}"], allowed_actions: [SGS_READ]}
          tenant_permissions:
            tenant_patterns: ["dept_${user.attrs.dept|toLowerCase}", "${user.nme}"]
            allowed_actions: ["*"]
        groups:
          exclude_index_permissions: ~
          tenant_permissions:
          - tenant_patterns: ["/team_${user.attrs.groups|toRegexFragment}/"]
            allowed_actions: [SGS_SIGNALS_ALL]
    """,
    "sg_roles_mapping.yml": """
        SGS_ALL_ACCESS: {users: ["#{env:ADMIN_NAME:-Root|toLowerCase}"]}
        reader: {users: ["#{env:UNSET_READER}", carl], hosts: ["*.example.com", 10.9.8.7]}
        groups: {and_backend_roles: [[ops, it], [staff]]}
    """,
    "sg_action_groups.yml": "",
    "sg_internal_users.yml": """
        root: {hash: "#{env:ADMIN_PASSWORD|bcrypt}"}
        bob: {hash: "#{file:secrets/bob.hash}", readonly: true, enabled: true, opendistro_security_roles: [x]}
        carl:
          backend_roles: [staff]
          attributes: {department: {name: Operations, number: 52}, teams: [red, blue]}
        "dan:x": {hash: "$2y$12$KixtRzHCdyLBa9fWHMhFueqnBvGdtRRrxm5pGYqhDXUmXBJbTGBGi"}
        eve: {hash: "#{var:eve|bcrypt}"}
    """,
    "sg_tenants.yml": "{dept_operations: {}, team_red: {}, team_blue: {}, team_green: {}}",
    "sg_authc.yml": """
        debug: false
        metrics: basic
        auth_domains:
        - type: basic/internal_users_db
          order: 1
        - type: ldap
        - type: jwt
          jwt.signing_key: "#{env:JWT_SECRET|base64}"
          user_mapping:
            user_name.from: {json_path: jwt.sub, pattern: "([a-z]+)[.]([a-z]+)@(?:example[.]com)"}
            roles.from: jwt["https://idp.example/roles"]
        - type: jwt
          jwt.signing_key: "#{env:JWT_SECRET|base64}"
          user_mapping.roles.from: "$..roles"
        - type: trusted_origin
          user_mapping:
            user_name.from: request.headers["x-proxy-user"]
            roles.from_comma_separated_string: request.headers.x-proxy-roles
            attrs.from:
              dept: user_entry.attributes.department.name
              groups: user_entry.attributes.teams
          additional_user_information: {type: internal_users_db}
        network.trusted_proxies: "#{env:PROXIES}"
    """,
    "sg_authz.yml": "ignore_unauthorized_indices.enabled: true",
    "sg_blocks.yml": "nobody: {type: name, value: [bob], verdict: disallow}",
    "sg_frontend_authc.yml": "default: {auth_domains: [{type: basic}]}",
}


@pytest.fixture
def installation(tmp_path: Path, sqlite_url: str) -> Installation:
    """Give an installation that Search Guard would start with as well."""
    made = Installation(tmp_path / "sg", sqlite_url, files=FILES)
    (made.config_dir / "secrets").mkdir()
    (made.config_dir / "secrets/bob.hash").write_text(hash_password("bob's", cost=4))
    (made.config_dir / "secrets/bob.hash").chmod(0o644)
    return made


EXPECTED = (
    "left out: auth_domains.1 (ldap): this service has no such authenticator",
    "left out: auth_domains.3 (jwt): roles.from in user_mapping: a JSON path is made of names",
    "warning: sg_roles.yml: reader.tenant_permissions.tenant_patterns: ${user.nme} can never match",
    "warning: sg_roles.yml: index_permissions is ignored, there are no indices here: reader",
    "warning: sg_roles_mapping.yml: reader.hosts: *.example.com can never match",
    "warning: sg_roles_mapping.yml: reader.users.0: #{env:UNSET_READER} has no value",
    "warning: sg_internal_users.yml: eve.hash: #{var:eve} has no value: variables of sgctl are not supported",
    "warning: sg_internal_users.yml: readonly is ignored: bob",
    "warning: sg_internal_users.yml: enabled is ignored: bob",
    "warning: sg_internal_users.yml: opendistro_security_roles is ignored: bob",
    "warning: sg_internal_users.yml: without a hash, so they cannot log in by password: carl, eve",
    "warning: sg_internal_users.yml: a name with a colon, so they cannot log in by password: dan:x",
    "warning: sg_authz.yml: ignore_unauthorized_indices: This has no effect here",
    "warning: sg_authc.yml: auth_domains.0.order: This has no effect here",
    "warning: sg_authc.yml: metrics: This has no effect here",
    "warning: sg_blocks.yml: this file is not read, and blocks no user",
    "warning: sg_frontend_authc.yml: this file is not read",
    "warning: with a hash of a cost below 10: bob -> hash their passwords anew: accounts-service hash-password",
    "No problem found, 16 warning(s).",
)


def test_config_check_and_doctor_name_all_that_has_no_effect(installation: Installation) -> None:
    run = CliRunner().invoke(cli.main, ["config", "check", str(installation.config_dir)], env=ENVIRONMENT)
    assert run.exit_code == 0, run.output
    lines = run.stdout.splitlines()
    assert [line.startswith(expected) for line, expected in zip(lines, EXPECTED, strict=True)] == [True] * len(lines)
    examined = CliRunner().invoke(cli.main, ["doctor"], env={**installation.environment(), **ENVIRONMENT})
    for line in lines[:-1]:
        assert line.partition(": ")[2] in examined.stdout
    assert "bob.hash is open to others, and a variable has its value from it" in examined.stdout
    assert not [text for text in (SECRET, PASSWORD) if text in run.output + examined.output]


def by_password(name: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


def by_token(subject: str) -> dict[str, str]:
    claims = {"sub": subject, "https://idp.example/roles": ["ops", "staff"]}
    return {"Authorization": "Bearer " + jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(SECRET))}


@pytest.mark.usefixtures("socket_enabled")
def test_the_service_starts_and_lets_in_whom_search_guard_lets_in(installation: Installation) -> None:
    with Served(installation, **ENVIRONMENT) as served:

        def known(headers: Mapping[str, str]) -> tuple[object, ...]:
            answer = served.ask("GET", AUTHINFO, by=None, headers=headers)
            if answer.status != 200:
                return (answer.status,)
            return answer.json["user_name"], answer.json["sg_roles"], {*answer.json["sg_tenants"]}

        assert known(by_password("root", PASSWORD))[:2] == ("root", ["SGS_ALL_ACCESS"])
        assert known(by_password("bob", "bob's"))[:2] == ("bob", [])
        assert known(by_token("ann.smith@example.com")) == ("annsmith", ["groups"], set())
        assert known(by_token("ann.jones@example.com"))[0] == "annjones"
        assert known(by_token("ann.jones@example.org")) == (401,)
        assert known({"x-proxy-user": "carl", "x-proxy-roles": "it"}) == (
            "carl",
            ["groups", "reader"],
            {"dept_operations", "team_red", "team_blue"},
        )
        assert known({"x-proxy-user": "#{env:UNSET_READER}"})[:2] == ("#{env:UNSET_READER}", [])
        for name, password in (("carl", ""), ("eve", ""), ("root", ""), ("dan", "x"), ("dan:x", "x")):
            assert known(by_password(name, password)) == (401,)
        log = served.log.read_text()
    assert "configuration.no_effect" in log
    assert not [text for text in (SECRET, PASSWORD) if text in log]
