"""What a request costs whose sender is not known yet: next to nothing more than its 401, whatever is sent."""

from __future__ import annotations

import base64
import gzip
import io
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest
from werkzeug.test import run_wsgi_app

from accounts_service import app
from accounts_service.app import rehearse
from tests.support import personas
from tests.support.installation import Installation
from tests.support.mention import JOHN, Mention
from tests.support.service import Service

pytestmark = pytest.mark.any_database

# The bound: what an attack costs, in plain refusals of the same route.
MOST = 20
# What gunicorn lets through of a request line (`limit_request_line`) and of a header.
LINE = 4000
HEADER = 16 * 1024

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
MEBIBYTE = 1024 * 1024


@dataclass(frozen=True)
class Sent:
    """What a request brings along besides its path; `tail` is added to the path, `query` is its query."""

    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    tail: str = ""
    query: str = ""


def _body(raw: bytes, media_type: str, **headers: str) -> Sent:
    return Sent({"CONTENT_TYPE": media_type, "CONTENT_LENGTH": str(len(raw)), **headers}, raw)


def _authorization(value: str) -> Sent:
    return Sent({"HTTP_AUTHORIZATION": value[:HEADER]})


def _jwt(header: str, claims: str) -> str:
    return ".".join(base64.urlsafe_b64encode(part.encode()).decode() for part in (header, claims, "x"))


# Each decoding shows one more escape: `%%341` is `%41`, and that is `A`.
SPIRAL = "%" * (LINE // 2 - 10) + "3" * (LINE // 2 - 10) + "41"

FORM_OF_ESCAPES = _body(b"%41=%41&" * (MEBIBYTE // 8), FORM)

# Sent to every route.
EVERYWHERE = {
    "a form of escapes": FORM_OF_ESCAPES,
    "a small form of escapes": _body(b"%41" * (16 * 1024 // 3), FORM),
    "a small form of fields": _body(b"%41=&" * 99 + b"&" * 15_000, FORM),
    "deep JSON": _body(b"[" * MEBIBYTE, JSON),
    "escapes within escapes in the path": Sent(tail="/" + SPIRAL),
    "many segments": Sent(tail="/" * LINE),
    "many parameters": Sent(query="&".join(f"p{number}=%41" for number in range(LINE // 9))),
    "a redirection of escapes within escapes": Sent(
        query="response_type=code&client_id=x&redirect_uri=http://example.com/" + SPIRAL[:3900]
    ),
    "many long headers": Sent(
        {
            "CONTENT_TYPE": (FORM + ';a="b"' * HEADER)[:HEADER],
            "CONTENT_LENGTH": "0",
            "HTTP_ACCEPT": ("a/b;q=0.1," * HEADER)[:HEADER],
            "HTTP_AUTHORIZATION": "Bearer " + _jwt("[" * 6000, "[" * 5000),
            "HTTP_CONTENT_ENCODING": "gzip," * (HEADER // 5),
            "HTTP_COOKIE": ("a=b; " * HEADER)[:HEADER],
            "HTTP_IDEMPOTENCY_KEY": "a" * HEADER,
            "HTTP_SGTENANT": "%41" * (HEADER // 3),
            "HTTP_X_REQUEST_ID": "a" * HEADER,
            **{f"HTTP_X_{number}": "\xc3\xbc" * 250 for number in range(80)},
        }
    ),
}

# Sent to a few routes of each family: what no route looks at differently.
SOMEWHERE = {
    "a form of fields": _body(b"a&" * (MEBIBYTE // 2), FORM),
    "a small form of JSON": _body(b"[" * (16 * 1024), FORM),
    "long JSON": _body(json.dumps({"x" * 900: ["\\u0000" * 100]}).encode() * 100, JSON),
    "a gzip of zeros": _body(gzip.compress(bytes(16 * MEBIBYTE), 1), JSON, HTTP_CONTENT_ENCODING="gzip"),
    "many tags": Sent(
        {"HTTP_IF_MATCH": ('"a",' * HEADER)[:HEADER], "HTTP_IF_NONE_MATCH": ('W/"a",' * HEADER)[:HEADER]}
    ),
    "a gzip form": _body(gzip.compress(b"%41=%41&" * MEBIBYTE), FORM, HTTP_CONTENT_ENCODING="gzip"),
    "a multipart": _body(
        b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n' * 15_000, "multipart/form-data; boundary=x"
    ),
    "a multipart of dashes": _body(b"-" * MEBIBYTE, "multipart/form-data; boundary=" + "-" * 70),
    "many escapes in the path": Sent(tail="/" + "%41" * (LINE // 3)),
    "escapes of escapes in the path": Sent(tail="/%" + "25" * (LINE // 2) + "41"),
    "segments of escapes within escapes": Sent(tail=("/" + "%" * 200 + "3" * 200 + "41") * (LINE // 410)),
    "many segments of escapes": Sent(tail="/%41" * (LINE // 4)),
    "beginnings of tokens in the path": Sent(tail="/" + "eyJ" * (LINE // 3)),
    "halves of ids in the path": Sent(tail="/" + "00000000-0000-0000-0000-" * (LINE // 24)),
    "one short parameter many times": Sent(query="a&" * (LINE // 2)),
    "one parameter many times": Sent(query="access_token=x&" * (LINE // 15)),
    "a parameter of escapes": Sent(query="access_token=" + "%41" * (LINE // 3)),
    "a parameter of control characters": Sent(query="%01" * (LINE // 3)),
    "a long Bearer": _authorization("Bearer " + "a" * HEADER),
    "a Bearer of dots": _authorization("Bearer " + "." * HEADER),
    "a wide JWT": _authorization("Bearer " + _jwt('{"alg":"HS256","kid":"' + "x" * 5000 + '"}', "{" + '"a":1,' * 800)),
    "a long Basic": _authorization("Basic " + base64.b64encode(b"nobody:" + b"x" * 12_000).decode()),
    "a Basic of colons": _authorization("Basic " + base64.b64encode(b":" * 12_000).decode()),
    "a Token": _authorization("Token nbp_" + "a" * HEADER),
    "a cookie of escapes": Sent({"HTTP_COOKIE": ('a="' + "\\101" * HEADER)[:HEADER]}),
    "a host of dots": Sent({"HTTP_HOST": "." * HEADER}),
    "a list of proxies": Sent({"HTTP_X_FORWARDED_FOR": "127.0.0.1," * (HEADER // 10) + "::1"}),
    "a list of short addresses": Sent({"HTTP_X_FORWARDED_FOR": "::1," * (HEADER // 4) + "::1"}),
}
# Those of which a body or a page is read before it is known who asks, and some of the others.
SOME = ("/accounts", "/mention/oauth/v2/token", "/mention/authorize", "/_signals/account/x/x", "/api/users", "/docs")

BEHIND_A_PROXY = {
    "auth_domains": [{"type": "basic/internal_users_db"}],
    "network": {"trusted_proxies": ["127.0.0.1"], "trusted_proxies_regex": "/10\\.0\\..*/"},
}


def _environ(method: str, path: str, sent: Sent) -> dict[str, Any]:
    path += sent.tail
    return {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "RAW_URI": path + (f"?{sent.query}" if sent.query else ""),
        "QUERY_STRING": sent.query,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "localhost",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(sent.body),
        "wsgi.input_terminated": True,
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        **sent.headers,
    }


def _cost(service: Service, method: str, path: str, sent: Sent, times: int) -> tuple[int, int]:
    """Return the least of the processor time that this thread spends on an answer, and the answer's status."""
    least, said = 1 << 62, ""
    for _ in range(times):
        environ = _environ(method, path, sent)
        started = time.thread_time_ns()
        answer, said, _ = run_wsgi_app(service.application, environ, buffered=True)
        b"".join(answer)
        least = min(least, time.thread_time_ns() - started)
    return least, int(said[:3])


def _routes(service: Service) -> Iterator[tuple[str, str]]:
    for family in app.FAMILIES.values():
        for route in family.routes:
            path = family.paths(route, service.services.settings)[0]
            for method in route.methods:
                yield method, re.sub(r"<[^>]*>", "x", path)


def test_no_unknown_caller_costs_more_than_twenty_refusals(service: Service) -> None:
    """On every route, whatever is sent. Ratios of processor time within this thread, so that no machine matters."""
    # Of a peer that is not trusted, addresses of other clients are not read.
    service.configure({"sg_authc.yml": BEHIND_A_PROXY})
    dear = []
    for method, path in _routes(service):
        plain, _ = _cost(service, method, path, Sent(), 3)
        for name, sent in (EVERYWHERE | SOMEWHERE if path in SOME else EVERYWHERE).items():
            cost, status = _cost(service, method, path, sent, 1)
            if cost > MOST * plain:
                # Once may be the collector of garbage, or the first use of something.
                cost, status = _cost(service, method, path, sent, 3)
            assert status < 500, (method, path, name)
            if cost > MOST * plain:
                dear.append(f"{method} {path}: {name} costs {cost / plain:.0f} refusals ({status})")
    assert dear == [], "\n".join(dear)


def test_only_known_callers_have_large_bodies_read(service: Service) -> None:
    """curl calls any text a form, so the body of a caller with a token in a header may be JSON of any length."""
    mention = Mention(service)
    account, form = f"/accounts/{JOHN}", {"Content-Type": FORM}
    long = json.dumps({"name": "Long", "unknown": "x" * 20_000})
    assert mention.ask("PUT", account, data=long, headers=form).status_code == 200
    token = f"access_token={mention.names['TOKEN_JOHN']}"
    answers = {
        body_of: mention.ask("DELETE", account, by=None, data=data, headers=form).status_code
        for body_of, data in (
            ("17 KiB", f"{token}&a={'x' * 17_000}"),
            ("101 fields", "a=&" * 100 + token),
            ("100 fields", "a=&" * 99 + token),
        )
    }
    assert answers == {"17 KiB": 401, "101 fields": 401, "100 fields": 204}
    order = "grant_type=authorization_code&client_secret=" + "x" * 17_000
    refused = mention.ask("POST", "/mention/oauth/v2/token", by=None, data=order, headers=form)
    assert (refused.status_code, refused.json["message"]) == (413, "The body is larger than 16384 bytes")


def test_hosts_that_are_not_allowed_are_refused(installation: Installation) -> None:
    """Before anything else is looked at, in every family, and in the words of each."""
    service = Service(installation, ACCOUNTS_ALLOWED_HOSTS="accounts.example,localhost,[::1],my_pod")
    service.is_described = False
    for path in ("/livez", "/_signals/account/email/x", "/api/v2/account", "/accounts/me"):
        hosts = ("accounts.EXAMPLE.:8443", "localhost", "[::1]", "[::1]:8080", "my_pod:80")
        allowed = [service.ask("GET", path, headers={"Host": host}) for host in hosts]
        assert {answer.status_code for answer in allowed} <= {200, 401, 403, 404}
        for host in (
            *("evil.example", "accounts.example.evil.example", "127.0.0.1", "", "accounts.example:@evil.example"),
            *("accounts.example:80@evil.example", "accounts.example:80/x", "localhost:8 0", "[::1]evil.example"),
        ):
            refused = service.ask("GET", path, headers={"Host": host})
            assert (refused.status_code, "Host: not a host of this service" in refused.text) == (400, True)
    service.close()


def test_start_that_others_reach_without_a_proxy_is_warned_of(
    installation: Installation, capfd: pytest.CaptureFixture[str]
) -> None:
    for bind, is_warned_of in (
        ("127.0.0.1:80", False),
        ("[::1]:80", False),
        ("localhost:80", False),
        ("unix:/run/x", False),
        ("0.0.0.0:80", True),
        ("[::]:80", True),
        ("accounts.example:80", True),
    ):
        rehearse(installation.settings(ACCOUNTS_BIND=bind))
        assert ("server.exposed" in "".join(capfd.readouterr())) is is_warned_of, bind
    authc = {"auth_domains": [{"type": "basic/internal_users_db"}], "network": {"trusted_proxies": ["10.0.0.1"]}}
    files = {**personas.configuration(), "sg_authc.yml": authc}
    proxied = Installation(installation.folder / "proxied", installation.database_url, files)
    # A database belongs to one keys file.
    rehearse(proxied.settings(ACCOUNTS_BIND="0.0.0.0:80", ACCOUNTS_KEYS_FILE=str(installation.keys_file)))
    assert "server.exposed" not in "".join(capfd.readouterr())
