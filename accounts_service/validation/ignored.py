"""Attributes of a body that nothing looks at, because the original ignores them: often a typing error.

Their values are never told: `pasword` may hold a password. Nor are names that
may be secrets, where a client has put the value in the place of the name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from accounts_service.faults import Json

_LONGEST_GUESSED = 64
_SIMILARITY = 0.65  # `uri` and `url` are alike, `mime_layout` and any attribute of an e-mail account are not.

# Stands for a name whose value is the name of a secret: the two were swapped, and the name is the secret.
SWAPPED = "<swapped>"
_BLANKS = str.maketrans("", "", " \t\n_-")


def is_name_of_secret(value: Json, secrets: Sequence[str]) -> bool:
    """Return whether a value, or an element of it, is the name of a secret in any case and form.

    It costs little, since a body may have as many attributes as it has room for.
    """
    elements = value if isinstance(value, list) else [value]
    names = {_plain(secret) for secret in secrets}
    return any(isinstance(one, str) and len(one) <= _LONGEST_GUESSED and _plain(one) in names for one in elements)


def _plain(name: str) -> str:
    return name.translate(_BLANKS).lower()


@dataclass(frozen=True, slots=True)
class Ignored:
    """An attribute that is ignored: where it is in the body, and the attributes that are known there."""

    path: tuple[str | int, ...]
    known: tuple[str, ...]

    @property
    def meant(self) -> str | None:
        """Return the known attribute whose name is most like this one; None when none is like it."""
        name = str(self.path[-1])
        if len(name) > _LONGEST_GUESSED:
            return None
        folded = {known.lower(): known for known in self.known}
        close = get_close_matches(name.lower(), folded, n=1, cutoff=_SIMILARITY)
        return folded[close[0]] if close else None
