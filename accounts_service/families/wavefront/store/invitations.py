"""Users who are made and told so by mail, both in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from accounts_service.access.privileges import Grant
from accounts_service.families.wavefront.store.accounts import Accounts, Making, Wish, Written
from accounts_service.families.wavefront.store.directory import USER, Ignored
from accounts_service.faults import InvalidBody, Problem, RefusedError, TooMany
from accounts_service.storage.mail_limits import MailLimits
from accounts_service.storage.outbox import Message, Outbox
from accounts_service.validation.checks import is_address

_KIND = "wavefront-invitation"
_SUBJECT = "An account was created for you"
_TEXT = """\
Hello,

{author} has created an account for you. You are known there as

    {identifier}

Ask {author} how to log in. If you do not know what this is about, you need not do anything.
"""


class Invitations(Accounts):
    """Users who are to hear that they have an account."""

    def put(self, grant: Grant, identifier: str, wish: Wish, making: Making, *, mails_an_hour: int | None) -> Written:
        """Make a user as Accounts.make does; one who is new is told so by mail, unless `mails_an_hour` is None.

        Raises what Accounts.make does, and RefusedError(TooManyAttempts) beyond `mails_an_hour` of one caller.
        """
        applied = self._made(grant, identifier, USER, wish, making)
        if mails_an_hour is not None and applied.created:
            self._tell([identifier], mails_an_hour)
        return applied.written(self, grant)

    def invite(self, grant: Grant, users: Iterable[tuple[str, Wish]], making: Making, *, mails_an_hour: int) -> Written:
        """Make several users, all or none, and tell each; returns the last one, and what was passed over of any.

        Raises what `put` does, and RefusedError(InvalidBody) for more users than may be told in an hour.
        """
        asked = [*users]
        made = [self._made(grant, identifier, USER, wish, making) for identifier, wish in asked]
        self._tell([identifier for (identifier, _), one in zip(asked, made, strict=True) if one.created], mails_an_hour)
        ignored = Ignored(
            groups=tuple(dict.fromkeys(one for written in made for one in written.ignored.groups)),
            roles=tuple(dict.fromkeys(one for written in made for one in written.ignored.roles)),
        )
        return replace(made[-1], ignored=ignored).written(self, grant)

    def _tell(self, identifiers: Sequence[str], mails_an_hour: int) -> None:
        # Where any text is an identifier, one that is no address has no mailbox.
        addresses = [identifier for identifier in identifiers if is_address(identifier)]
        if len(addresses) > mails_an_hour:
            # No later time would do.
            raise RefusedError(InvalidBody((Problem(("users",), TooMany(mails_an_hour)),)))
        if not addresses:
            return
        limits, outbox = MailLimits(self._session), Outbox(self._session)
        unwritten = limits.unwritten(_KIND, addresses)
        if unwritten:
            limits.take(_KIND, len(unwritten), mails_an_hour)
        for address in unwritten:
            text = _TEXT.format(author=self._session.author.name, identifier=address)
            outbox.add(Message(address, _SUBJECT, text))
