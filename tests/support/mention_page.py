"""The page on which somebody lets an app act for him, asked by browsers that keep what they are given."""

from __future__ import annotations

import copy
import dataclasses
import html
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

from werkzeug.test import Client

from accounts_service.access.passwords import Passwords
from accounts_service.web.services import Services
from tests.support.installation import Installation
from tests.support.mention import CALLBACK, CLIENT_ID
from tests.support.service import Answer, Service

COOKIE = "mention_sign_in"
ASKED = {"client_id": CLIENT_ID, "redirect_uri": CALLBACK, "response_type": "code"}
# When the tests' clocks begin.
NOON = 1_800_000_000


class Clock:
    """A clock that stands where it is put."""

    def __init__(self) -> None:
        self.seconds = float(NOON)

    def __call__(self) -> float:
        return self.seconds


def page_at(root: str = "/mention", /, **changed: str | None) -> str:
    """Write the address to which an app sends a browser; None leaves a parameter out."""
    asked = {name: value for name, value in (ASKED | changed).items() if value is not None}
    return f"{root}/authorize?{urlencode(asked)}"


def cheaply(services: Services) -> Services:
    """Let passwords be hashed as cheaply as argon2 allows."""
    return dataclasses.replace(services, passwords=Passwords(services.lines.hashing, 4, memory_kib=8))


def started(installation: Installation, clock: Clock, **settings: str) -> Service:
    """Start the service, with cheap passwords and a clock that stands."""
    service = Service(installation, None, cheaply, **settings)
    service.services.database._clock = clock
    return service


def proof_of(answer: Answer) -> str:
    """Find what the forms of a page have to prove."""
    (proof,) = set(re.findall(r'name="proof" value="([^"]*)"', answer.text))
    return str(proof)


def problem_of(answer: Answer) -> str | None:
    """Read what a page says is wrong."""
    found = re.search(r'<p class="problem" role="alert">([^<]*)</p>', answer.text)
    return None if found is None else found[1]


def text_of(answer: Answer) -> str:
    """Read what a page says, as a person does."""
    body = answer.text.partition("<main>")[2]
    return " ".join(html.unescape(re.sub(r"<[^>]*>", "", body)).split())


def title_of(answer: Answer) -> str:
    """Read which page it is."""
    found = re.search(r"<title>(.*)</title>", answer.text)
    assert found is not None, answer.text
    return found[1]


def brought(answer: Answer) -> dict[str, str]:
    """Read what a redirection brings to an app."""
    assert answer.status_code == 303, answer.text
    pairs = parse_qsl(urlsplit(answer.headers["Location"]).query, keep_blank_values=True, strict_parsing=True)
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


class Browser:
    """A browser: it keeps the cookie and sends the proof of the page that it was shown last."""

    def __init__(self, service: Service, page: str | None = None, *, host: str = "localhost", **options: Any) -> None:
        self._service = copy.copy(service)
        # Cookies are kept here, where a test can spoil them.
        self._service._client = Client(service.application, use_cookies=False)
        self._options = options
        self.page, self.host = page or page_at(), host
        self.cookie = self.proof = ""

    def open(self, page: str | None = None, *, headers: Mapping[str, str] | None = None) -> Answer:
        """Go to the page, or to another one."""
        self.page = page or self.page
        return self._kept(self._ask("GET", headers=headers))

    def send(self, action: str | None, *, headers: Mapping[str, str] | None = None, **fields: str | None) -> Answer:
        """Send the form with the proof of the last page; None leaves a field out."""
        sent = {"proof": self.proof, "action": action, **fields}
        data = {name: value for name, value in sent.items() if value is not None}
        return self.sent(data, headers=headers)

    def sent(self, data: object, *, headers: Mapping[str, str] | None = None) -> Answer:
        """Send whatever to the page."""
        return self._kept(self._ask("POST", headers=headers, data=data))

    def sign_in(self, email: str, password: str, **options: Any) -> Answer:
        """Send an e-mail address and a password."""
        return self.send("sign-in", email=email, password=password, **options)

    def signed_in(self, email: str, password: str) -> Answer:
        """Go to the page and sign in; gives the page that asks for consent."""
        self.open()
        assert self.leads_back(self.sign_in(email, password))
        shown = self.open()
        assert title_of(shown).startswith("Allow "), shown.text
        return shown

    def leads_back(self, answer: Answer) -> bool:
        """Tell whether an answer leads to the page again."""
        return answer.status_code == 303 and urljoin(self.page, answer.headers["Location"]) == self.page

    def _ask(self, method: str, *, headers: Mapping[str, str] | None = None, **options: Any) -> Answer:
        sent = {"Host": self.host, **({"Cookie": f"{COOKIE}={self.cookie}"} if self.cookie else {}), **(headers or {})}
        return self._service.ask(method, self.page, by=None, headers=sent, **self._options, **options)

    def _kept(self, answer: Answer) -> Answer:
        found = re.match(rf"{COOKIE}=([^;]*);", answer.headers.get("Set-Cookie", ""))
        if found is not None:
            self.cookie = found[1]
        if 'name="proof"' in answer.text:
            self.proof = proof_of(answer)
        return answer
