"""Signals accounts over HTTP, on both databases."""

from __future__ import annotations

import pytest

from accounts_service.families.signals import examples
from accounts_service.faults import Json
from tests.support.service import Service

EMAIL = "/_signals/account/email/default"


def test_the_first_put_creates_and_the_second_updates(service: Service) -> None:
    first = service.put(EMAIL, examples.GOOD["email"])
    assert (first.status_code, first.json) == (201, {"_id": "email/default", "_version": 1, "result": "created"})
    second = service.put(EMAIL, examples.GOOD["email"])
    assert (second.status_code, second.json) == (200, {"_id": "email/default", "_version": 2, "result": "updated"})


@pytest.mark.parametrize(("account_type", "body", "answer"), examples.BAD)
def test_all_faults_of_a_body_are_told_at_once(
    service: Service, account_type: str, body: Json, answer: dict[str, Json]
) -> None:
    response = service.put(f"/_signals/account/{account_type}/test", body)
    assert (response.status_code, response.json) == (400, answer)


def test_a_put_that_is_not_json_is_415_for_who_has_no_privilege_too(service: Service) -> None:
    response = service.ask("PUT", EMAIL, data="x", content_type="text/plain", by="stranger")
    assert response.status_code == 415
    assert response.json == {"status": 415, "error": "Accounts must be of content type application/json"}
