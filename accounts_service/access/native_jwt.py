"""The JWTs of the NetBird family: which are good, and what they say of who brings one.

netbird_jwt.yml says which; sg_authc.yml has no part in it, for natives exist in
their family alone. Names of claims are NetBird's
(https://github.com/netbirdio/netbird, shared/auth/jwt/extractor.go). As with the
tokens of a domain, one that is not good is nothing but that, and what a token
says is in no representation.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from accounts_service.access.authenticators.jwt import Tokens
from accounts_service.faults import Json

# Characters, of any text that is taken from a token.
_LONGEST = 255

# As many as a segment of a path may have.
_MOST_BYTES = 512

# What a database refuses for text, and what ends a line of a log.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

_NO_IDS = re.compile(r"\.\.?|current|invites|.*[/\\].*")

_RFC_3339 = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})")


@dataclass(frozen=True, slots=True, repr=False)
class NativeClaims:
    """What a good token says. A text that it does not give is empty; `said`: all of its claims."""

    user_id: str
    account_id: str = ""
    domain: str = ""
    domain_category: str = ""
    last_login: dt.datetime | None = None
    invited: bool = False
    email: str = ""
    name: str = ""
    preferred_username: str = ""
    said: Mapping[str, Json] = field(default_factory=lambda: MappingProxyType({}))

    def groups(self, claim_name: str) -> tuple[str, ...]:
        """Give the groups in a claim that is a text or a list of texts; what else stands there is passed over."""
        claim = self.said.get(claim_name)
        texts = map(_shown, claim if isinstance(claim, list) else [claim])
        return tuple(dict.fromkeys(filter(None, texts)))


@dataclass(frozen=True, slots=True)
class NativeJwt:
    """What netbird_jwt.yml says. `claims_namespace`: what stands before the names of NetBird's own claims."""

    tokens: Tokens
    user_id_claim: str
    claims_namespace: str

    def verified(self, token: str, now: Callable[[], int] | None = None) -> NativeClaims | None:
        """Give what `token` says, or None if it is not good. `now`: another clock than the system's."""
        said = self.tokens.verified(token, now)
        if said is None:
            return None
        user_id = _user_id(said.get(self.user_id_claim))
        account_id, domain, category = (
            _decisive(said.get(self._own(name)))
            for name in ("wt_account_id", "wt_account_domain", "wt_account_domain_category")
        )
        if user_id is None or account_id is None or domain is None or category is None:
            return None
        return NativeClaims(
            user_id,
            account_id,
            domain,
            category,
            last_login=_moment(said.get(self._own("nb_last_login"))),
            invited=said.get(self._own("nb_invited")) is True,
            email=_shown(said.get("email")),
            name=_shown(said.get("name")),
            preferred_username=_shown(said.get("preferred_username")),
            said=MappingProxyType(said),
        )

    def _own(self, name: str) -> str:
        # What Go's url.JoinPath makes of an address without a query.
        return f"{self.claims_namespace.rstrip('/')}/{name}" if self.claims_namespace else name


def is_user_id(text: str) -> bool:
    """Return whether `text` can be a user's id in NetBird: one segment of a path that is no word of its paths."""
    # A dot or two proxies would take out; what is no line of text would stand in logs.
    fits = 0 < len(text) <= _LONGEST and text.isprintable() and not _NO_IDS.fullmatch(text)
    return fits and len(text.encode()) <= _MOST_BYTES


def _user_id(claim: Json) -> str | None:
    return claim if isinstance(claim, str) and is_user_id(claim) else None


def _decisive(claim: Json) -> str | None:
    # Which account somebody belongs to depends on these. To pass over one that
    # makes no sense would be to let him in as if it had not been said.
    if claim is None:
        return ""
    return claim if isinstance(claim, str) and claim.isprintable() and len(claim) <= _LONGEST else None


def _shown(claim: Json) -> str:
    # Nobody is kept out for a name; and names have joiners, which isprintable() knows nothing of.
    return claim if isinstance(claim, str) and len(claim) <= _LONGEST and not _CONTROL.search(claim) else ""


def _moment(claim: Json) -> dt.datetime | None:
    if not isinstance(claim, str) or not _RFC_3339.fullmatch(claim):
        return None
    try:
        moment = dt.datetime.fromisoformat(claim).astimezone(dt.UTC)
    except (ValueError, OverflowError):
        return None
    return None if moment.year == dt.MINYEAR else moment  # Go's zero time says that there was none.
