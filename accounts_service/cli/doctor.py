"""The command `accounts-service doctor`: whether an installation is well."""

from __future__ import annotations

import json
import os
import sys

import click

from accounts_service.doctor import Status, examine


@click.command()
@click.option("--secrets", is_flag=True, help="Also open every sealed secret; takes its time, shows none.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def doctor(secrets: bool, as_json: bool) -> None:  # noqa: FBT001  # click's
    """Check the installation, one line a check, with what to do. Exit status 1 when any says FAIL."""
    failed = False
    findings = []
    for finding in examine(os.environ, secrets=secrets):
        failed = failed or finding.status is Status.FAIL
        findings.append(finding)
        if not as_json:
            click.echo(
                f"{finding.status.value:4} {finding.check}: {finding.text}"
                + (f" -> {finding.todo}" if finding.todo else "")
            )
            for line in finding.details:
                click.echo(f"       {line}")
    if as_json:
        rows = [
            {
                "status": finding.status.value,
                "check": finding.check,
                "text": finding.text,
                "todo": finding.todo,
                "details": [*finding.details],
            }
            for finding in findings
        ]
        click.echo(json.dumps({"ok": not failed, "findings": rows}, indent=2))
    sys.exit(1 if failed else 0)
