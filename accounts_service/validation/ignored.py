"""Attributes of a body that nothing looks at, because the original ignores them: often a typing error.

Their values are never told: `pasword` may hold a password. Nor are names that
may be secrets, where a client has put the value in the place of the name.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

_LONGEST_GUESSED = 64
_SIMILARITY = 0.65  # `uri` and `url` are alike, `mime_layout` and any attribute of an e-mail account are not.

# Stands for a name whose value is the name of a secret: the two were swapped, and the name is the secret.
SWAPPED = "<swapped>"


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
