"""Users who are made and told so by mail, both in one transaction."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from accounts_service.access.privileges import Grant
from accounts_service.families.wavefront.store.accounts import Accounts, Applied, Making, Wish, Written
from accounts_service.families.wavefront.store.directory import USER, Ignored
from accounts_service.storage.outbox import Message, Outbox
from accounts_service.validation.checks import is_address

_SUBJECT = "An account was created for you"
_TEXT = """\
Hello,

{author} has created an account for you. You are known there as

    {identifier}

Ask {author} how to log in. If you do not know what this is about, you need not do anything.
"""


class Invitations(Accounts):
    """Users who are to hear that they have an account."""

    def put(self, grant: Grant, identifier: str, wish: Wish, making: Making, *, mail: bool) -> Written:
        """Make a user as Accounts.make does; with `mail`, one who is new is told so."""
        return self._put(grant, identifier, wish, making, mail=mail).written(self, grant)

    def invite(self, grant: Grant, users: Iterable[tuple[str, Wish]], making: Making) -> Written:
        """Make several users, all or none, and tell each; returns the last one, and what was passed over of any.

        Raises what Accounts.make does.
        """
        made = [self._put(grant, identifier, wish, making, mail=True) for identifier, wish in users]
        ignored = Ignored(
            groups=tuple(dict.fromkeys(one for written in made for one in written.ignored.groups)),
            roles=tuple(dict.fromkeys(one for written in made for one in written.ignored.roles)),
        )
        return replace(made[-1], ignored=ignored).written(self, grant)

    def _put(self, grant: Grant, identifier: str, wish: Wish, making: Making, *, mail: bool) -> Applied:
        applied = self._made(grant, identifier, USER, wish, making)
        # Where any text is an identifier, one that is no address has no mailbox.
        if mail and applied.created and is_address(identifier):
            text = _TEXT.format(author=self._session.author.name, identifier=identifier)
            Outbox(self._session).add(Message(identifier, _SUBJECT, text))
        return applied
