"""Behind a real nginx, with the configuration that deploy/ ships, over a unix socket."""

from __future__ import annotations

import gzip
import http.client
import json
import os
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from pathlib import Path

import pytest
from cryptography.x509.oid import NameOID

from accounts_service.families.signals import examples
from tests.support import personas
from tests.support.certificates import Authority
from tests.support.installation import Installation
from tests.support.needs import find
from tests.support.served import Served

pytestmark = pytest.mark.needs("nginx")

SHIPPED = Path(__file__).parents[1] / "deploy" / "nginx.conf"
EMAIL = "/_signals/account/email/default"
BODY = json.dumps(examples.GOOD["email"]).encode()

AUTHC = {
    "auth_domains": [
        {
            "type": "trusted_origin",
            "user_mapping.user_name.from": "request.headers.x-proxy-user",
            "user_mapping.roles.from_comma_separated_string": "request.headers.x-proxy-roles",
        },
        {"type": "basic/internal_users_db"},
    ]
}


@dataclass(frozen=True)
class Proxy:
    """nginx in front of the service, and people with certificates."""

    port: int
    authority: Authority
    log: Path

    def put(self, *headers: tuple[str, str], person: str | None = None, path: str = EMAIL) -> int:
        """PUT an account as a person with a certificate, or without one; returns the status."""
        status, _, _ = self.ask("PUT", *headers, person=person, path=path)
        return status

    def present(self, certificate: Path) -> int:
        """PUT an account with a certificate that was issued before; returns the status."""
        context = self.context()
        context.load_cert_chain(certificate, certificate.with_suffix(".key"))
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=30, context=context)
        try:
            connection.request("PUT", EMAIL, BODY, {"Content-Type": "application/json"})
            return connection.getresponse().status
        finally:
            connection.close()

    def context(self) -> ssl.SSLContext:
        """Return how to connect as nobody."""
        return ssl.create_default_context(cafile=self.authority.certificate)

    def ask(
        self, method: str, *headers: tuple[str, str], person: str | None = None, path: str = EMAIL
    ) -> tuple[int, Message, bytes]:
        """Send a request, with an account if it is a PUT; returns the status, the headers and the body as sent."""
        context = self.context()
        if person:
            context.load_cert_chain(*self.authority.issue("client", [(NameOID.COMMON_NAME, person)]))
        body = BODY if method == "PUT" else b""
        framing = (("Content-Type", "application/json"), ("Content-Length", str(len(body)))) if body else ()
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=30, context=context)
        try:
            # http.client asks for `identity` by itself.
            connection.putrequest(method, path, skip_accept_encoding=True)
            for name, value in (*headers, *framing):
                connection.putheader(name, value)
            connection.endheaders(body)
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()


COMPRESSING = "gzip on; gzip_types application/json; gzip_min_length 1;"


@pytest.fixture
def proxy(tmp_path: Path, sqlite_url: str, socket_enabled: None) -> Iterator[Proxy]:
    """Start the service and nginx."""
    del socket_enabled
    with _proxy(tmp_path, sqlite_url) as started:
        yield started


@pytest.fixture
def compressing(tmp_path: Path, sqlite_url: str, socket_enabled: None) -> Iterator[Proxy]:
    """Start the service, and an nginx that compresses its answers."""
    del socket_enabled
    with _proxy(tmp_path, sqlite_url, ("gzip off;", COMPRESSING)) as started:
        yield started


@contextmanager
def _proxy(
    tmp_path: Path, sqlite_url: str, *changed: tuple[str, str], authority: Authority | None = None
) -> Iterator[Proxy]:
    files = personas.configuration() | {
        "sg_authc.yml": AUTHC,
        "sg_roles_mapping.yml": {
            "manager": {"backend_roles": ["account_manager"]},
            "SGS_ALL_ACCESS": {"users": ["admin"]},
        },
    }
    bind = tmp_path / "accounts.sock"
    settings = {"ACCOUNTS_BIND": f"unix:{bind}", "ACCOUNTS_TRUSTED_SOCKET_USERS": str(os.getuid())}
    authority = authority or Authority(tmp_path)
    authority.issue("server", [(NameOID.COMMON_NAME, "accounts.example")])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with Served(Installation(tmp_path / "installation", sqlite_url, files), **settings):
        process = _start_nginx(tmp_path, port, *changed)
        try:
            yield Proxy(port, authority, tmp_path / "access.log")
        finally:
            process.terminate()
            process.wait(30)


def _start_nginx(folder: Path, port: int, *changed: tuple[str, str]) -> subprocess.Popen[bytes]:
    shipped = SHIPPED.read_text()
    for there, here in (
        ("listen 443 ssl http2;", f"listen 127.0.0.1:{port} ssl http2;"),
        ("/run/accounts/accounts.sock", str(folder / "accounts.sock")),
        ("/var/log/nginx/accounts.log", str(folder / "access.log")),
        ("/etc/accounts/tls/clients-ca.crt", str(folder / "ca.crt")),
        ("/etc/accounts/tls/", f"{folder}/"),
        *changed,
    ):
        assert there in shipped
        shipped = shipped.replace(there, here)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = "\n".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    user = "user root;" if os.getuid() == 0 else ""
    main = f"{user} daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; events {{}}"
    (folder / "nginx.conf").write_text(f"{main}\nhttp {{ access_log off;\n{paths}\n{shipped}\n}}\n")
    process = subprocess.Popen([find("nginx") or "", "-p", folder, "-c", folder / "nginx.conf"])
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return process
        assert process.poll() is None, (folder / "error.log").read_text()
        time.sleep(0.05)
    raise AssertionError("nginx does not listen")


def test_no_token_in_an_address_is_logged(proxy: Proxy) -> None:
    token = "3f1b0a52-7c1d-4a6e-9a55-0d7e3c2b1a90"
    assert proxy.put(path=f"/api/v2/apitoken/{token}") == 401
    assert proxy.put(path=f"/api/v2/api%74oken/{token}") == 401
    assert proxy.put(path=f"/accounts/x?access%5ftoken={token}") == 401
    assert proxy.put(path=f"/accounts/{'0' * 50}{token.replace('-', '0')}") == 401
    assert proxy.put(path=f"/api/users/nbp_{token}") == 401
    assert proxy.put(path=f"/api/users/invites/nbi_{token}/accept") == 405
    assert proxy.put() == 401
    # nginx writes a line when its request has ended, in order.
    while EMAIL not in (logged := proxy.log.read_text()):
        time.sleep(0.05)
    assert token not in logged


def test_a_certificate_says_who_is_asking_and_nothing_else_does(proxy: Proxy) -> None:
    basic = tuple(personas.authorization("admin").items())
    assert proxy.put(person="alice") == 201
    assert proxy.put(person="bob") == 403
    assert proxy.put() == 401
    assert proxy.put(*basic) == 200
    # Every way to say the name oneself.
    for name in ("X-Proxy-User", "x-proxy-user", "X_Proxy_User", "X.Proxy.User", "X-Proxy_User"):
        assert proxy.put((name, "alice"), ("X-Proxy-Roles", "account_manager")) == 401, name
    assert proxy.put(("X-Proxy-User", "alice"), ("X-Proxy-User", "alice")) == 401
    assert proxy.put(("Connection", "X-Proxy-User, X-Proxy-Roles"), person="bob") == 403
    assert proxy.put(("X-Proxy-User", "alice"), ("X-Proxy-Roles", "account_manager"), person="bob") == 403
    assert proxy.put(("X-Forwarded-For", "nonsense"), person="alice") == 200
    assert proxy.put(("SCRIPT_NAME", "/x"), ("PATH_INFO", "/livez"), person="alice") == 200


def test_a_subject_of_another_form_is_nobody(proxy: Proxy) -> None:
    others = ("alice,CN=bob", "CN=alice", "alice bob", "alice+bob", "älice")
    assert {person: proxy.put(person=person) for person in others} == dict.fromkeys(others, 401)


def test_names_in_certificates_are_compared_with_their_case(proxy: Proxy) -> None:
    """Who is called ALICE is somebody, and not alice, whose roles the proxy knows."""
    spellings = ("alice", "ALICE", "Alice")
    assert [proxy.put(person=person) for person in spellings] == [201, 403, 403]


def test_revoked_certificate_is_refused(tmp_path: Path, sqlite_url: str, socket_enabled: None) -> None:
    del socket_enabled
    authority = Authority(tmp_path)
    (revoked, _), (good, _) = (authority.issue(file, [(NameOID.COMMON_NAME, "alice")]) for file in ("old", "new"))
    authority.revoke(revoked)
    shown = ("# ssl_crl ", "ssl_crl ")
    with _proxy(tmp_path, sqlite_url, shown, authority=authority) as proxy:
        assert (proxy.present(revoked), proxy.present(good)) == (400, 201)


def test_requests_and_connections_of_an_address_are_limited(
    tmp_path: Path, sqlite_url: str, socket_enabled: None
) -> None:
    del socket_enabled
    fewer = (
        ("rate=50r/s", "rate=1r/m"),
        ("burst=200", "burst=4"),
        ("accounts_connections 32", "accounts_connections 1"),
    )
    with _proxy(tmp_path, sqlite_url, *fewer) as proxy:
        raw = socket.create_connection(("127.0.0.1", proxy.port), timeout=30)
        with proxy.context().wrap_socket(raw, server_hostname="127.0.0.1") as slow:
            slow.sendall(b"PUT /x HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
            assert proxy.ask("GET", path="/livez")[0] == 429
        answers = [proxy.ask("GET", path="/livez") for _ in range(8)]
    statuses = [status for status, _, _ in answers]
    assert set(statuses) == {200, 429}
    assert statuses == sorted(statuses)
    _, headers, body = answers[-1]
    assert (headers["Retry-After"], json.loads(body)) == ("1", {"message": "Too many requests from this address"})


def test_an_encoded_slash_passes_the_proxy_as_it_was_sent(proxy: Proxy) -> None:
    assert proxy.put(person="alice", path="/_signals/account/email/a%2Fb") == 400
    assert proxy.put(person="alice", path="/_signals/account/email%2Fdefault") == 400
    assert proxy.put(person="alice", path="/_signals/account/email/%C3%BC") == 201


ZIPPED = ("Accept-Encoding", "gzip")


def test_the_weak_tag_of_a_compressed_answer_names_its_version(compressing: Proxy) -> None:
    basic = tuple(personas.authorization("admin").items())
    assert compressing.put(*basic) == 201
    status, headers, body = compressing.ask("GET", *basic, ZIPPED)
    assert (status, headers["Content-Encoding"], headers["ETag"]) == (200, "gzip", 'W/"1"')
    assert json.loads(gzip.decompress(body))["_version"] == 1
    # The answer to a change is compressed, too.
    status, headers, _ = compressing.ask("PUT", *basic, ZIPPED, ("If-Match", 'W/"1"'))
    assert (status, headers["ETag"]) == (200, 'W/"2"')
    assert compressing.put(*basic, ZIPPED, ("If-Match", 'W/"1"')) == 412
    assert compressing.put(*basic, ZIPPED, ("If-None-Match", 'W/"2"')) == 412
    status, headers, body = compressing.ask("GET", *basic, ZIPPED, ("If-None-Match", 'W/"2"'))
    assert (status, body) == (304, b"")
    assert compressing.ask("DELETE", *basic, ZIPPED, ("If-Match", 'W/"1"'))[0] == 412
    assert compressing.ask("DELETE", *basic, ZIPPED, ("If-Match", 'W/"2"'))[0] == 200


def test_the_shipped_configuration_compresses_no_answer(proxy: Proxy) -> None:
    basic = tuple(personas.authorization("admin").items())
    assert proxy.put(*basic) == 201
    for path in (EMAIL, "/openapi.json", "/docs"):
        status, headers, _ = proxy.ask("GET", *basic, ZIPPED, path=path)
        assert (status, headers["Content-Encoding"]) == (200, None)
    assert proxy.ask("GET", *basic, ZIPPED)[1]["ETag"] == '"1"'
