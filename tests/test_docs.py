"""Documents are as true as the code: generated ones fresh, links alive, nothing left out."""

from __future__ import annotations

import dataclasses
import json
import re
from configparser import ConfigParser
from pathlib import Path

import click
import pytest

from accounts_service import app, cli, config
from accounts_service.access import configuration
from accounts_service.config import Settings
from accounts_service.web.family import Family
from tests.support import tokens
from tools.generated_docs import DOCS, GENERATED

ROOT = DOCS.parent
DOCUMENTS = (ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md")))

_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_YAML = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_DECISIONS = sorted((DOCS / "adr").glob("[0-9]*.md"))


def _named_in_table(document: str) -> set[str]:
    return set(re.findall(r"^\| ([A-Za-z0-9_.-]+) \|", (DOCS / document).read_text(), re.MULTILINE))


def _requirements() -> set[str]:
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    lists = [setup["options"]["install_requires"], *setup["options.extras_require"].values()]
    names = (re.match(r"[A-Za-z0-9_.-]+", line) for listed in lists for line in listed.splitlines())
    return {name[0] for name in names if name}


def _commands(group: click.Group, before: str = "") -> list[str]:
    commands = []
    for name, command in group.commands.items():
        words = f"{before}{name}"
        commands += _commands(command, f"{words} ") if isinstance(command, click.Group) else [words]
    return commands


def _anchors(document: Path) -> set[str]:
    headings = _HEADING.findall(_FENCE.sub("", document.read_text()))
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", GENERATED)
def test_a_generated_document_is_fresh(name: str) -> None:
    assert (DOCS / name).read_text() == GENERATED[name](), f"docs/{name} is stale: run `make docs`"


@pytest.mark.parametrize("field", dataclasses.fields(Settings), ids=lambda field: field.name)
def test_every_setting_is_documented(field: dataclasses.Field[object]) -> None:
    assert f"`{config.PREFIX}{field.name.upper()}`" in (DOCS / "settings.md").read_text(), "run `make docs`"


@pytest.mark.parametrize("family", app.FAMILIES.values(), ids=lambda family: family.name)
def test_every_privilege_and_route_is_documented(family: Family) -> None:
    document = (DOCS / "privileges.md").read_text()
    for privilege in family.privileges:
        assert f"| `{privilege.action}` | {privilege.sentence} |" in document, "run `make docs`"
    for route in family.routes:
        for method in route.methods:
            assert re.search(rf"^\| `{method}` \| `\S*{re.escape(route.rule)}", document, re.MULTILINE), (
                "run `make docs`"
            )


def test_every_built_in_group_and_role_is_documented() -> None:
    document = (DOCS / "privileges.md").read_text()
    built_ins = app.built_ins()
    for name in (*built_ins.groups, *built_ins.roles):
        assert f"\n| `{name}` |" in document, "run `make docs`"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    for link in _LINK.findall(_FENCE.sub("", document.read_text())):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = document.parent / path if path else document
        assert target.exists(), f"{link} does not exist"
        assert not anchor or anchor in _anchors(target), f"{link} has no such heading"


@pytest.mark.parametrize("document", ("authentication.md", "proxy.md"))
def test_examples_of_domains_are_read_and_none_is_left_out(document: str) -> None:
    examples = _YAML.findall((DOCS / document).read_text())
    assert examples
    key_sets = {"idp.jwks.json": json.dumps({"keys": [tokens.jwk(tokens.elliptic())]})}
    for example in examples:
        # An example of another file begins with its name.
        native = example.startswith(f"# {configuration.NETBIRD_JWT}\n")
        file = configuration.NETBIRD_JWT if native else configuration.AUTHC
        texts = dict.fromkeys(configuration.REQUIRED, "") | {file: example, **key_sets}
        found, problems = configuration.read(texts)
        assert (problems, found.left_out) == ([], ())
        assert found.domains
        assert (found.netbird_jwt is not None) is native


@pytest.mark.parametrize("name", sorted(_requirements()))
def test_every_dependency_has_a_reason(name: str) -> None:
    assert name in _named_in_table("dependencies.md"), f"say in docs/dependencies.md why {name} is here"


def test_no_reason_is_given_for_what_is_not_there() -> None:
    there = (DOCS / "dependencies.md").read_text().partition("## Not taken")[0]
    assert set(re.findall(r"^\| ([A-Za-z0-9_.-]+) \|", there, re.MULTILINE)) - {"package", "---"} == _requirements()


@pytest.mark.parametrize("decision", _DECISIONS, ids=lambda path: path.stem)
def test_every_decision_has_its_parts_and_is_listed(decision: Path) -> None:
    text = decision.read_text()
    title = re.match(rf"# {decision.stem[:4]}\. (.+)\n\nDate: [0-9-]+\. Status: \w+", text)
    assert title is not None
    assert _HEADING.findall(text)[1:] == ["Context", "Decision", "Consequences"]
    assert f"| [{decision.stem[:4]}]({decision.name}) | {title[1]} |" in (DOCS / "adr" / "README.md").read_text()


@pytest.mark.parametrize("command", _commands(cli.main))
def test_every_command_is_in_the_readme(command: str) -> None:
    assert re.search(rf"^\| `{command}[ `]", (ROOT / "README.md").read_text(), re.MULTILINE)


def test_every_document_can_be_found_from_the_readme() -> None:
    linked = set(_LINK.findall((ROOT / "README.md").read_text()))
    tops = {str(path.relative_to(ROOT)) for path in DOCS.glob("*.md")} | {"CHANGELOG.md", "docs/adr/README.md"}
    assert tops <= linked
