"""Bodies of the calls that need an identity provider of the service's own, of which there is none.

Their kinds are checked, since NetBird refuses what is of another kind first. Nothing of them is kept.
"""

from __future__ import annotations

from accounts_service.families.netbird.schemas.bodies import GoSchema
from accounts_service.validation import fields

_LONGEST = 1024


def _text(*, secret: bool = False) -> fields.ExactText:
    return fields.ExactText(line=False, longest=_LONGEST, secret=secret)


class InviteSchema(GoSchema):
    """A person to invite by a link."""

    email = _text()
    name = _text()
    role = _text()
    auto_groups = fields.Listed(_text(), once=False)
    expires_in = fields.ExactNumber()


class RegenerationSchema(GoSchema):
    """A new link for a person who was invited."""

    expires_in = fields.ExactNumber()


class AcceptanceSchema(GoSchema):
    """The password that an invited person chooses."""

    password = _text(secret=True)


class PasswordSchema(GoSchema):
    """A user's password, and the one to replace it."""

    old_password = _text(secret=True)
    new_password = _text(secret=True)


INVITE = InviteSchema()
REGENERATION = RegenerationSchema()
ACCEPTANCE = AcceptanceSchema()
PASSWORD = PasswordSchema()
