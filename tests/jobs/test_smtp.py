"""One exchange with a mail server, good, bad and none at all."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography.x509.oid import NameOID

from accounts_service.jobs import smtp
from accounts_service.jobs.smtp import Delivered, Failed, Unreached, deliver
from accounts_service.storage.outbox import LEASE_SECONDS, Message
from accounts_service.web import services
from tests.support.certificates import Authority
from tests.support.mail_server import PASSWORD, MailServer, dead_port, dripping

MESSAGE = Message("ann@mycompany.example", "You were invited", "Come here:\n\n  https://accounts.example/x\n.\nBye\n")
MESSAGE_ID = "<0123@accounts-service.invalid>"


def server(port: int, **more: object) -> services.MailServer:
    """Describe the server at `port`."""
    described: dict[str, object] = {"host": "127.0.0.1", "sender": "Accounts <accounts@mycompany.example>", **more}
    return services.MailServer(port=port, **described)  # type: ignore[arg-type]  # any setting of it


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Give a certificate for 127.0.0.1 that is believed."""
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    return authority.issue("mail", [(NameOID.COMMON_NAME, "mail")])


@pytest.fixture
def strange_certificate(tmp_path: Path) -> tuple[Path, Path]:
    """Give one of an authority that nobody has heard of."""
    return Authority(tmp_path).issue("mail", [(NameOID.COMMON_NAME, "mail")])


def test_a_mail_arrives_with_the_headers_it_needs() -> None:
    with MailServer() as postbox:
        assert deliver(server(postbox.port), MESSAGE, MESSAGE_ID) == Delivered()
        (mail,), (envelope,) = postbox.mails, postbox.taken
        assert postbox.text() == MESSAGE.text
    assert (envelope.mail_from, envelope.rcpt_tos) == ("accounts@mycompany.example", ["ann@mycompany.example"])
    assert mail["From"] == "Accounts <accounts@mycompany.example>"
    assert (mail["To"], mail["Subject"]) == ("ann@mycompany.example", "You were invited")
    assert (mail["Message-ID"], mail["Auto-Submitted"]) == (MESSAGE_ID, "auto-generated")
    assert abs(mail["Date"].datetime.timestamp() - time.time()) < 3600


def test_a_mail_in_any_script_arrives() -> None:
    message = Message("Zoë <zoë@mycompany.example>", "Grüße, 世界 " + "lang " * 30, "Straße ☃\n" + "x" * 2000 + "\n")
    with MailServer() as postbox:
        assert deliver(server(postbox.port), message, MESSAGE_ID) == Delivered()
        assert (
            deliver(server(postbox.port), Message("a@b.example", message.subject, message.text), "<1@x>") == Delivered()
        )
        assert [postbox.text(0), postbox.text(1)] == [message.text] * 2
        assert [mail["Subject"].strip() for mail in postbox.mails] == [message.subject.strip()] * 2
        international, plain = postbox.taken
    assert "SMTPUTF8" in international.mail_options
    assert international.rcpt_tos == ["zoë@mycompany.example"]
    assert plain.mail_options == [option for option in plain.mail_options if option.startswith("SIZE=")]
    assert isinstance(plain.content, bytes)
    assert plain.content.isascii()


@pytest.mark.parametrize("start_tls", (False, True), ids=("tls", "start_tls"))
def test_over_tls_a_known_certificate_is_needed(certificate: tuple[Path, Path], *, start_tls: bool) -> None:
    with MailServer(certificate, start_tls=start_tls, wants_log_in=start_tls) as postbox:
        described = server(postbox.port, tls=not start_tls, start_tls=start_tls, user="accounts", password=PASSWORD)
        if not start_tls:
            described = server(postbox.port, tls=True)
        assert deliver(described, MESSAGE, MESSAGE_ID) == Delivered()
        assert postbox.secured == [True]
        assert postbox.logged_in == ([(b"accounts", PASSWORD.encode())] if start_tls else [])


@pytest.mark.parametrize("start_tls", (False, True), ids=("tls", "start_tls"))
def test_a_strange_certificate_is_refused_unless_the_account_says_otherwise(
    strange_certificate: tuple[Path, Path], *, start_tls: bool
) -> None:
    with MailServer(strange_certificate, start_tls=start_tls) as postbox:

        def tried(**more: object) -> Delivered | Unreached | Failed:
            return deliver(server(postbox.port, tls=not start_tls, start_tls=start_tls, **more), MESSAGE, MESSAGE_ID)

        assert tried() == Unreached("SSLCertVerificationError")
        assert tried(trusted_hosts=("mail.example",)) == Unreached("SSLCertVerificationError")
        assert postbox.taken == []
        assert tried(trust_all=True) == Delivered()
        assert tried(trusted_hosts=("mail.example", "127.0.0.1")) == Delivered()
        assert tried(trusted_hosts=("*",)) == Delivered()


def looked_up_as_this_machine(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Let every name lead to these addresses."""
    entries = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in addresses]
    look_up = socket.getaddrinfo

    def looks(host: str, port: int, *words: Any, **options: Any) -> list[Any]:
        if host == "mail.example":
            return [(*entry[:4], (entry[4][0], port)) for entry in entries]
        return look_up(host, port, *words, **options)

    monkeypatch.setattr(socket, "getaddrinfo", looks)


def test_of_a_servers_addresses_one_that_answers_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    connect = socket.create_connection
    tried: list[str] = []

    def connects(address: tuple[str, int], timeout: float) -> socket.socket:
        tried.append(address[0])
        if len(tried) == 1:
            assert timeout <= 10
            raise TimeoutError
        return connect(("127.0.0.1", address[1]), timeout)

    looked_up_as_this_machine(monkeypatch, "192.0.2.1", "127.0.0.1")
    with MailServer() as postbox:
        monkeypatch.setattr(socket, "create_connection", connects)
        assert deliver(server(postbox.port, host="mail.example"), MESSAGE, MESSAGE_ID, 20) == Delivered()
    assert tried == ["192.0.2.1", "127.0.0.1"]


def test_a_certificate_for_somebody_else_is_refused(
    certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up_as_this_machine(monkeypatch, "127.0.0.1")
    with MailServer(certificate) as postbox:
        described = server(postbox.port, host="mail.example", tls=True)
        assert deliver(described, MESSAGE, MESSAGE_ID) == Unreached("SSLCertVerificationError")


def test_nothing_is_said_in_clear_where_tls_was_asked_for() -> None:
    with MailServer(wants_log_in=True) as postbox:
        for way in ("tls", "start_tls"):
            described = server(postbox.port, user="u", password=PASSWORD, **{way: True})
            outcome = deliver(described, MESSAGE, MESSAGE_ID)
            assert outcome in (Unreached("SMTPNotSupportedError"), Unreached("SSLError"))
        assert (postbox.taken, postbox.logged_in) == ([], [])


def test_a_log_in_is_done_and_a_wrong_password_is_no_fault_of_the_mail(strange_certificate: tuple[Path, Path]) -> None:
    with MailServer(strange_certificate, start_tls=True, wants_log_in=True) as postbox:

        def tried(**more: object) -> Delivered | Unreached | Failed:
            return deliver(server(postbox.port, start_tls=True, trust_all=True, **more), MESSAGE, MESSAGE_ID)

        assert tried(user="u", password=PASSWORD) == Delivered()
        assert tried(user="u", password="wrong") == Unreached("SMTPAuthenticationError 535")
        assert tried() == Failed("SMTPSenderRefused 530", permanent=False)
        assert tried(user="u", password="pä") == Unreached("UnicodeEncodeError")
        assert len(postbox.taken) == 1


@pytest.mark.parametrize(
    ("command", "answer", "outcome"),
    (
        ("RCPT", "550 5.1.1 ann@mycompany.example is unknown", Failed("SMTPRecipientsRefused 550", permanent=True)),
        ("RCPT", "450 4.2.1 busy", Failed("SMTPRecipientsRefused 450", permanent=False)),
        ("RCPT", "421 going", Failed("SMTPRecipientsRefused 421", permanent=False, broken=True)),
        ("RCPT", "530 log in first", Failed("SMTPRecipientsRefused 530", permanent=False)),
        ("MAIL", "550 not you", Failed("SMTPSenderRefused 550", permanent=False)),
        ("DATA", "554 spam", Failed("SMTPDataError 554", permanent=True)),
        ("DATA", "452 full", Failed("SMTPDataError 452", permanent=False)),
    ),
)
def test_only_what_is_said_of_the_mail_for_good_is_permanent(command: str, answer: str, outcome: Failed) -> None:
    with MailServer(answers={command: answer}) as postbox:
        assert deliver(server(postbox.port), MESSAGE, MESSAGE_ID) == outcome


@pytest.mark.parametrize("address", ("nobody", "a@b.example, c@d.example", "", "@", "<>"))
def test_an_address_that_is_none_is_given_up_before_anything_is_sent(address: str) -> None:
    with dead_port() as port:
        assert deliver(server(port), Message(address, "s", "t"), MESSAGE_ID).permanent is True  # type: ignore[union-attr]  # None fails the test too


def test_nobody_at_the_port_is_told_as_such() -> None:
    with dead_port() as port:
        assert deliver(server(port), MESSAGE, MESSAGE_ID) == Unreached("ConnectionRefusedError")


def test_a_name_that_is_none_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert deliver(server(25, host="mail.example"), MESSAGE, MESSAGE_ID) == Unreached("gaierror")
    assert deliver(server(25, host="x" * 64), MESSAGE, MESSAGE_ID) == Unreached("gaierror")


def test_a_look_up_that_takes_for_ever_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    def looks(*_: object, **__: object) -> list[object]:
        time.sleep(1)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", looks)
    assert deliver(server(25, host="mail.example"), MESSAGE, MESSAGE_ID, 0.2) == Unreached("TimeoutError")


@pytest.mark.parametrize(("seconds", "late"), ((0.0, 0.0), (0.1, 0.3)))
def test_who_connects_too_late_says_nothing(monkeypatch: pytest.MonkeyPatch, seconds: float, late: float) -> None:
    ours, theirs = socket.socketpair()

    def slowly(*_: object, **__: object) -> socket.socket:
        time.sleep(late)
        return ours

    monkeypatch.setattr(socket, "create_connection", slowly)
    with ours, theirs:
        assert deliver(server(25), MESSAGE, MESSAGE_ID, seconds) == Unreached("TimeoutError")
        ours.close()
        assert theirs.recv(1) == b""


@pytest.mark.parametrize(
    ("line", "more"),
    (
        (b"220-hello\r\n", {}),
        (b"2", {}),
        (b"\x16\x03\x03\x01\x00" + bytes(256), {"tls": True}),
    ),
    ids=("lines", "one line", "handshake"),
)
def test_a_server_that_drips_is_cut_off(line: bytes, more: dict[str, object]) -> None:
    with dripping(line, 0.02) as port:
        before = time.monotonic()
        outcome = deliver(server(port, **more), MESSAGE, MESSAGE_ID, 0.5)
        assert isinstance(outcome, Unreached)
        # Without an end it would go on for as long as this test may.
        assert time.monotonic() - before < 30


def test_a_server_that_never_stops_talking_is_not_listened_to() -> None:
    with dripping(b"220-hello\r\n", 0) as port:
        assert deliver(server(port), MESSAGE, MESSAGE_ID) == Unreached("SMTPServerDisconnected")


def test_a_server_that_says_nothing_is_cut_off() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        outcome = deliver(server(listening.getsockname()[1]), MESSAGE, MESSAGE_ID, 0.3)
        assert outcome == Unreached("TimeoutError")


def test_server_that_is_slow_to_answer_the_text_has_longer_and_gets_no_mail_twice() -> None:
    with MailServer(pause=1.0) as postbox:
        assert deliver(server(postbox.port), MESSAGE, MESSAGE_ID, 0.8) == Delivered()
        outcome = deliver(server(postbox.port), MESSAGE, MESSAGE_ID, 5, 0.2)
        assert outcome == Failed("TimeoutError", permanent=False, broken=True)
    assert len(postbox.mails) >= 1


def test_a_lease_outlives_an_exchange_by_far() -> None:
    assert LEASE_SECONDS >= 2 * (smtp.DEADLINE_SECONDS + smtp.ANSWER_SECONDS)


def test_nothing_of_a_server_shows_its_password() -> None:
    assert PASSWORD not in repr(server(25, user="u", password=PASSWORD))


@pytest.mark.parametrize("name", ("host.mycompany.example", "host", "hôst.example"))
def test_who_has_no_name_of_a_domain_gives_an_address(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: name)
    assert smtp._own_name() == (name if name == "host.mycompany.example" else "[127.0.0.1]")
