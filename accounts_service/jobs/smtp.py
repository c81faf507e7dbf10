"""One exchange with a mail server, within deadlines.

smtplib's time-out is for each operation, so a server that sends a byte a second
holds a client for as long as it likes. Here a timer shuts the connection down
when the time is up, whatever is going on, and names are looked up beside it.
"""

from __future__ import annotations

import contextlib
import smtplib
import socket
import ssl
import threading
import time
from contextlib import closing
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, localtime
from typing import Any, BinaryIO, cast

from accounts_service.storage.outbox import Message
from accounts_service.web.services import MailServer

# For all of it but the mail's text: a good server takes a mail within a second or two, and the lease of a mail
# (storage/outbox.py) must be much longer.
DEADLINE_SECONDS = 30.0
# For the text and the answer to it, which filters may delay. Given up before that answer, a mail that the server has
# taken is sent again (RFC 1047; RFC 5321 section 4.5.3.2.6 asks for ten minutes).
ANSWER_SECONDS = 60.0
# For the end, once the mail is taken.
_QUIT_SECONDS = 5.0

# What a server says in one exchange; a good one needs a thousandth.
_MOST_BYTES = 64 * 1024

# 8BITMIME need not be asked for where there is nothing but ASCII.
_POLICY = SMTP.clone(cte_type="7bit")

# Said of how we have logged in, by servers that say so late; the next mail
# would hear the same (RFC 4954 section 6).
_ABOUT_THE_LOG_IN = frozenset((530, 534, 535, 538))

# The server ends the connection, whatever it was asked (RFC 5321 section 3.8).
_CLOSING = 421


@dataclass(frozen=True, slots=True)
class Delivered:
    """The server has taken the mail."""


@dataclass(frozen=True, slots=True)
class Unreached:
    """No mail was begun: connection, TLS or log-in failed, which is about the server. `error` as in Failed."""

    error: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The mail was begun and not taken.

    `error`: a type and a code, none of the server's words. `permanent`: another try would fail as well. `broken`: the
    connection failed, too.
    """

    error: str
    permanent: bool
    broken: bool = False


class NoMailboxError(ValueError):
    """An address that is not one mailbox."""


class _Meter:
    """A server's answers, up to a limit; what smtplib reads from."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._left = _MOST_BYTES

    def readline(self, most: int) -> bytes:
        """Read a line. Raises OSError beyond the limit."""
        line = self._file.readline(most)
        self._left -= len(line)
        if self._left < 0:
            raise OSError("too long an answer")
        return line

    def close(self) -> None:
        """Close."""
        self._file.close()


class _Deadline:
    """When the time is up; it can be set anew."""

    def __init__(self, seconds: float, answer_seconds: float) -> None:
        self.answer_seconds = answer_seconds
        self.allow(seconds)

    def allow(self, seconds: float) -> None:
        """Let the time be up after that many seconds from now."""
        self._at = time.monotonic() + seconds

    @property
    def is_over(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() >= self._at

    def left(self) -> float:
        """Return how many seconds are left. Raises TimeoutError when none are."""
        left = self._at - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


class _Connection(smtplib.SMTP):
    """A connection that ends when its time is up."""

    # smtplib's, which its types do not tell.
    file: _Meter | None
    sock: socket.socket | None

    def __init__(self, server: MailServer, deadline: _Deadline) -> None:
        self._server = server
        self._deadline = deadline
        # The same connection by a descriptor of its own: TLS takes the first one
        # over, and a handshake must be cut off as well.
        self._line: socket.socket | None = None
        self._timer = self._started_timer()
        try:
            super().__init__(server.host, server.port, local_hostname=_own_name())
        except BaseException:
            self.close()
            raise

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        """Connect; smtplib's own place for that, which its class for TLS overrides, too."""
        del timeout
        connection = self._connected(_looked_up(host, port, self._deadline.left()))
        # From here on the timer ends what takes too long.
        connection.settimeout(None)
        self._line = connection.dup()
        try:
            self._deadline.left()  # The timer may have come before there was anything to cut.
        except TimeoutError:
            connection.close()
            raise
        return self._secured(connection) if self._server.tls else connection

    def _connected(self, addresses: list[Any]) -> socket.socket:
        problem: OSError = TimeoutError()
        for tried, address in enumerate(addresses):
            try:
                # Each gets its share: one that is silent must not hide the next.
                share = self._deadline.left() / (len(addresses) - tried)
                return socket.create_connection(address[:2], timeout=share)
            except OSError as error:
                problem = error
        raise problem

    def _started_timer(self) -> threading.Timer:
        timer = threading.Timer(self._deadline.left(), self._cut)
        timer.daemon = True
        timer.start()
        return timer

    def allow(self, seconds: float) -> None:
        """Let what comes next take that many seconds."""
        self._timer.cancel()
        self._deadline.allow(seconds)
        self._timer = self._started_timer()

    def data(self, msg: Any) -> tuple[int, bytes]:  # noqa: ANN401  # a buffer, as smtplib's types have it
        """Send the text, and read the answer to it."""
        self.allow(self._deadline.answer_seconds)
        return super().data(msg)

    def _secured(self, connection: socket.socket) -> socket.socket:
        return context_for(self._server).wrap_socket(connection, server_hostname=self._server.host)

    def _cut(self) -> None:
        if self._line is not None:
            with contextlib.suppress(OSError):
                self._line.shutdown(socket.SHUT_RDWR)

    def getreply(self) -> tuple[int, bytes]:
        """Read an answer, of those that this server may give in all."""
        if self.file is None and self.sock is not None:
            self.file = _Meter(cast(BinaryIO, self.sock.makefile("rb")))
        return super().getreply()

    def close(self) -> None:
        """Close the connection, and stop the clock."""
        self._timer.cancel()
        super().close()
        if self._line is not None:
            self._line.close()


def deliver(
    server: MailServer,
    message: Message,
    message_id: str,
    seconds: float = DEADLINE_SECONDS,
    answer_seconds: float = ANSWER_SECONDS,
) -> Delivered | Unreached | Failed:
    """Hand a mail to `server`.

    However slow the server is, no more than about `seconds` pass before the mail's text, and `answer_seconds` with it.
    """
    try:
        mail = compose(server, message, message_id)
    except Exception as error:  # noqa: BLE001  # no server and no later time would make another mail of it
        return Failed(type(error).__name__, permanent=True)
    deadline = _Deadline(seconds, answer_seconds)
    begun = False
    try:
        with closing(_Connection(server, deadline)) as connection:
            _introduce(server, connection)
            begun = True
            _send(connection, mail)
    except Exception as error:  # noqa: BLE001  # a mail that nothing good comes of must not be tried for ever
        # What is cut off fails in many ways, and for one reason.
        judged = _judged(TimeoutError() if deadline.is_over else error)
        return judged if begun else Unreached(judged.error)
    return Delivered()


def _introduce(server: MailServer, connection: _Connection) -> None:
    if server.start_tls and not server.tls:
        # Raises where the server has none; in clear nothing is said to it.
        connection.starttls(context=context_for(server))
    connection.ehlo_or_helo_if_needed()
    if server.user is not None and server.password is not None:
        connection.login(server.user, server.password)


def _send(connection: _Connection, mail: EmailMessage) -> None:
    (sender,), (recipient,) = mail["From"].addresses, mail["To"].addresses
    connection.send_message(mail, sender.addr_spec, [recipient.addr_spec])
    # It is delivered, however the server takes its leave.
    with contextlib.suppress(OSError):
        connection.allow(_QUIT_SECONDS)
        connection.quit()


def compose(server: MailServer, message: Message, message_id: str) -> EmailMessage:
    """Make the mail as it is sent. Raises ValueError."""
    mail = EmailMessage(policy=_POLICY)
    mail["From"] = server.sender
    mail["To"] = message.to
    mail["Subject"] = message.subject
    mail["Date"] = format_datetime(localtime())
    mail["Message-ID"] = message_id
    # So that no absent person's program answers (RFC 3834 section 5).
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(message.text)
    written = {"From": server.sender or "", "To": message.to}
    for name, address in written.items():
        if len(mail[name].addresses) != 1 or not mail[name].addresses[0].domain:
            raise NoMailboxError
        # What looks like an encoded word (RFC 2047) in an address would be decoded to another one.
        if mail[name].addresses[0].addr_spec not in address:
            raise NoMailboxError
    return mail


def context_for(server: MailServer) -> ssl.SSLContext:
    """Make the rules of TLS: certificates count, but for a server whose account says otherwise.

    As JavaMail takes mail.smtp.ssl.trust, which Signals sets from these attributes.
    """
    context = ssl.create_default_context()
    trusted = {host.lower() for host in server.trusted_hosts}
    if server.trust_all or trusted & {"*", server.host.lower()}:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _own_name() -> str:
    # Who has no name of a domain gives an address (RFC 5321 section 4.1.4);
    # asking the DNS for one, as smtplib does, has no time limit.
    name = socket.gethostname()
    return name if "." in name and name.isascii() else "[127.0.0.1]"


def _looked_up(host: str, port: int, seconds: float) -> list[Any]:
    # The resolver has its own idea of time and cannot be interrupted. A thread
    # that is left behind does nothing but wait for it.
    found: list[list[Any] | OSError] = []

    def look() -> None:
        try:
            found.append([entry[4] for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)])
        except (OSError, UnicodeError) as error:
            found.append(error if isinstance(error, OSError) else OSError())

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    thread.join(seconds)
    match found:
        case [list() as addresses]:
            return addresses
        case [OSError() as error]:
            raise error
        case _:
            raise TimeoutError


def _judged(error: Exception) -> Failed:
    """Tell whether trying again may help: 5yz is for good, but only where it is said of this mail."""
    name = type(error).__name__
    match error:
        case smtplib.SMTPRecipientsRefused(recipients=recipients):
            code = next(code for code, _ in recipients.values())
            return Failed(f"{name} {code}", permanent=_is_for_good(code), broken=code == _CLOSING)
        case smtplib.SMTPDataError(smtp_code=int() as code):
            return Failed(f"{name} {code}", permanent=_is_for_good(code), broken=code == _CLOSING)
        case smtplib.SMTPResponseException(smtp_code=code):
            # Of us, of the account, of the server itself: the account can be corrected.
            return Failed(f"{name} {code}", permanent=False, broken=code == _CLOSING)
        case smtplib.SMTPServerDisconnected():
            return Failed(name, permanent=False, broken=True)
        case _:
            # smtplib's own errors are OSErrors, too.
            broken = isinstance(error, OSError) and not isinstance(error, smtplib.SMTPException)
            return Failed(name, permanent=False, broken=broken)


def _is_for_good(code: int) -> bool:
    return 500 <= code <= 599 and code not in _ABOUT_THE_LOG_IN
