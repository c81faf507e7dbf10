"""The service as it is run: gunicorn, two workers, real connections."""

from __future__ import annotations

from accounts_service.families.signals import examples
from tests.support.served import Served

EMAIL = "/_signals/account/email/default"


def test_an_account_is_stored_over_http(served: Served) -> None:
    assert served.ask("PUT", EMAIL, body=examples.GOOD["email"]).status == 201
    assert served.ask("PUT", EMAIL, body=examples.GOOD["email"]).status == 200
    assert served.ask("GET", EMAIL).json["_version"] == 2
    assert served.ask("PUT", EMAIL, body=b"x", headers={"Content-Type": "text/plain"}).status == 415
    assert served.ask("PUT", EMAIL, body=examples.GOOD["email"], by="stranger").status == 403
    assert served.ask("PUT", EMAIL, body=examples.GOOD["email"], by="excluded").status == 403
