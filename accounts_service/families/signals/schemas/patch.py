"""JSON Merge Patch (RFC 7396)."""

from __future__ import annotations

from accounts_service.faults import Json


def merged(target: Json, patch: Json) -> Json:
    """Give what `patch` makes of `target`, in the words of section 2: a null removes, objects merge, all else replaces.

    Neither is changed. As deep as a body may be, which is bounded.
    """
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result
