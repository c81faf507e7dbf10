"""What two versions of an account have that is not the same."""

from __future__ import annotations

from collections.abc import Mapping

from accounts_service.faults import Json


def differences(
    before: Mapping[str, Json], secrets_before: Mapping[str, str], after: Mapping[str, Json], secrets: Mapping[str, str]
) -> dict[str, Json]:
    """Say of each attribute that is not the same what it was and is, and of each secret how it stands.

    A secret is known by its reference alone, so sealing the same one anew makes it `different`.
    """
    found: dict[str, Json] = {}
    for name in sorted(before.keys() | after.keys()):
        if name not in before or name not in after or before[name] != after[name]:
            sides = (("from", before), ("to", after))
            found[name] = {side: values[name] for side, values in sides if name in values}
    return found | {
        name: _told(secrets_before, secrets, name) for name in sorted(secrets_before.keys() | secrets.keys())
    }


def _told(before: Mapping[str, str], after: Mapping[str, str], name: str) -> str:
    if name not in before:
        return "added"
    if name not in after:
        return "removed"
    return "same" if before[name] == after[name] else "different"
