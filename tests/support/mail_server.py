"""A real SMTP server on 127.0.0.1, and servers that are none."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any, Self, cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

PASSWORD = "canary-of-a-mail-password"


@dataclass
class MailServer:
    """Takes mails. `answers`: what it says to a command instead of taking it, such as `{"RCPT": "550 no"}`."""

    certificate: tuple[Path, Path] | None = None
    start_tls: bool = False
    wants_log_in: bool = False
    answers: dict[str, str] = field(default_factory=dict)
    # Before a mail is taken, so that somebody can be caught at it.
    pause: float = 0.0
    taken: list[Envelope] = field(default_factory=list)
    logged_in: list[tuple[bytes, bytes]] = field(default_factory=list)
    secured: list[bool] = field(default_factory=list)

    def __enter__(self) -> Self:
        context = None
        if self.certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self.certificate)
        self._controller = _OnAnyPort(
            self,
            ssl_context=None if self.start_tls else context,
            tls_context=context if self.start_tls else None,
            require_starttls=self.start_tls,
            auth_required=self.wants_log_in,
            # Otherwise it warns, and warnings are errors.
            auth_require_tls=self.wants_log_in,
            authenticator=self._authenticate if self.wants_log_in else None,
            enable_SMTPUTF8=True,
        )
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        # aiosmtpd drops what it has not come round to, such as the end of a
        # connection, and a socket that nobody closes is an error.
        asyncio.run_coroutine_threadsafe(_come_round(), self._controller.loop).result()
        self._controller.stop()

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._controller.port

    @property
    def mails(self) -> list[EmailMessage]:
        """What was taken, read as its reader does."""
        return [message_from_bytes(cast(bytes, envelope.content), policy=default) for envelope in self.taken]

    def text(self, number: int = 0) -> str:
        """Give what a mail says, with the ends of lines as they were before they travelled."""
        return str(self.mails[number].get_content()).replace("\r\n", "\n")

    def _authenticate(self, _: SMTP, __: Session, ___: Envelope, ____: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.logged_in.append((data.login, data.password))
        return AuthResult(success=data.password == PASSWORD.encode(), handled=False)

    async def handle_MAIL(  # noqa: N802  # aiosmtpd's names, here and below
        self, _: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Answer MAIL FROM."""
        self.secured.append(session.ssl is not None or (self.certificate is not None and not self.start_tls))
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return self.answers.get("MAIL", "250 OK")

    async def handle_RCPT(  # noqa: N802  # aiosmtpd's name
        self, _: SMTP, __: Session, envelope: Envelope, address: str, ___: list[str]
    ) -> str:
        """Answer RCPT TO."""
        answer = self.answers.get(f"RCPT {address}", self.answers.get("RCPT", "250 OK"))
        if answer.startswith("2"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, _: SMTP, __: Session, envelope: Envelope) -> str:  # noqa: N802  # aiosmtpd's name
        """Answer DATA, when the mail is there."""
        await asyncio.sleep(self.pause)
        answer = self.answers.get("DATA", "250 OK")
        if answer.startswith("2"):
            self.taken.append(envelope)
        return answer


async def _come_round() -> None:
    for _ in range(20):
        await asyncio.sleep(0.001)


class _OnAnyPort(Controller):
    """aiosmtpd's own wants to know the port beforehand."""

    def __init__(self, handler: MailServer, **options: Any) -> None:
        self._bound = socket.create_server(("127.0.0.1", 0))
        super().__init__(handler, hostname="127.0.0.1", port=self._bound.getsockname()[1], **options)

    def _create_server(self) -> Any:
        return self.loop.create_server(self._factory_invoker, sock=self._bound, ssl=self.ssl_context)


@contextmanager
def dead_port() -> Iterator[int]:
    """Give a port where nobody listens, and nobody will."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@contextmanager
def dripping(line: bytes, pause: float) -> Iterator[int]:
    """Give the port of a server that says `line` over and over, a byte each `pause` seconds, and never ends."""
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.1)

        def drip(connection: socket.socket) -> None:
            with connection:
                while not ended.is_set():
                    for byte in line if pause else (line * 1000,):
                        try:
                            connection.sendall(bytes((byte,)) if isinstance(byte, int) else byte)
                        except OSError:
                            return
                        time.sleep(pause)

        def serve() -> None:
            threads = []
            while not ended.is_set():
                try:
                    connection, _ = listening.accept()
                except TimeoutError:
                    continue
                threads.append(threading.Thread(target=drip, args=(connection,)))
                threads[-1].start()
            for thread in threads:
                thread.join()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            ended.set()
            thread.join()
