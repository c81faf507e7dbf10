"""Merge patches of accounts: what is sent changes, what is not sent stays, secrets included."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings, strategies
from sqlalchemy import update

from accounts_service.families.signals import examples
from accounts_service.families.signals.schemas.patch import merged
from accounts_service.families.signals.tables import ACCOUNT, ACCOUNT_VERSION
from accounts_service.faults import Json
from accounts_service.storage.sealed import Vault
from tests.support.service import Answer, Service

MERGE_PATCH = "application/merge-patch+json"
WEBHOOK = "/_signals/account/webhook/hook"
EMAIL = "/_signals/account/email/default"
BODY: dict[str, Json] = {**examples.GOOD["webhook"], "headers": {"Authorization": "Bearer one", "X-Key": "two"}}
MAIL: dict[str, Json] = {**examples.GOOD["email"], "user": "u", "password": "p"}


def patch(service: Service, path: str, body: Json, **options: Any) -> Answer:
    headers = {"Content-Type": MERGE_PATCH, **options.pop("headers", {})}
    return service.ask("PATCH", path, json=body, headers=headers, **options)


def clear(service: Service, path: str) -> Any:
    return service.get(path).json["_source"]


def test_what_is_sent_changes_and_secrets_that_are_not_sent_stay_unopened(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.put(WEBHOOK, BODY)
    before = clear(service, WEBHOOK)

    def opened(*_: object) -> None:
        raise AssertionError("opened")

    with monkeypatch.context() as sealed:
        sealed.setattr(Vault, "_try_open", opened)
        answer = patch(service, WEBHOOK, {"headers": {"X-Key": None}}, by="manager")
        assert (answer.status_code, answer.json) == (
            200,
            {"_id": "webhook/hook", "_version": 2, "result": "updated"},
        )
        assert answer.headers["ETag"] == '"2"'
        # Another header may lead it elsewhere, so this takes `reveal`, which opens nothing either.
        assert patch(service, WEBHOOK, {"headers": {"Authorization": "Bearer three"}}, by="revealer").status_code == 200
    assert clear(service, WEBHOOK) == {**before, "headers": {"Authorization": "Bearer three"}}
    assert patch(service, WEBHOOK, {"password": None, "user": None}).status_code == 200
    shown = clear(service, WEBHOOK)
    assert "password" not in shown
    assert "user" not in shown
    recorded = [one for one in service.audited() if not one.act.endswith("/reveal")][-1]
    assert (recorded.act, recorded.version) == ("cluster:admin:searchguard:signals:account/put", 4)


def test_where_a_secret_is_damaged_a_patch_and_the_versions_are_an_outage_and_say_so(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    service.put(WEBHOOK, BODY)
    service.put(WEBHOOK, {**BODY, "url": "https://example.com/2"})
    damaged = json.dumps({"headers.Authorization": "damaged"})
    with service.services.database.begin() as connection:
        connection.execute(update(ACCOUNT).values(secrets=damaged))
        connection.execute(update(ACCOUNT_VERSION).values(secrets=damaged))
    for answer in (
        patch(service, WEBHOOK, {"user": "x"}),
        service.get(f"{WEBHOOK}/_versions"),
        service.get(f"{WEBHOOK}/_versions/1"),
        service.get(f"{WEBHOOK}/_versions/2?compare_with=1"),
    ):
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "60"), answer.text
        assert "Bearer" not in answer.text
    logged = capsys.readouterr().out
    assert "secret.unreadable" in logged
    assert not {"Bearer", "damaged", "Traceback"} & set(logged.split())


def test_a_patch_that_changes_nothing_writes_nothing(service: Service) -> None:
    service.put(WEBHOOK, BODY)
    reference = service.get(WEBHOOK, by="manager").json["_source"]["password"]
    nothing: list[Json] = [{}, {"method": "post"}, {"password": reference}, {"headers": {"X-No": None}}, {"unknown": 1}]
    for sent in nothing:
        answer = patch(service, WEBHOOK, sent, by="manager")
        assert (answer.status_code, answer.json["result"], answer.json["_version"]) == (200, "noop", 1), sent
    assert len(service.audited()) == 1


def test_a_kept_secret_stays_bound_to_its_destination(service: Service) -> None:
    service.put(EMAIL, MAIL)
    refused = patch(service, EMAIL, {"host": "evil.example"}, by="manager")
    assert refused.status_code == 400
    assert refused.json["detail"] == {
        "password": [
            {"error": "A stored secret cannot be kept while this changes: host", "expected": "The secret itself"}
        ]
    }
    service.put(WEBHOOK, BODY)
    # One more header may lead it elsewhere, and so may another value of one, but not that there is one less.
    for headers in ({"X-New": "v"}, {"X-Key": "v"}, {"X-Key": "two"}, {"X-Key": "v", "Authorization": "w"}):
        refused = patch(service, WEBHOOK, {"headers": {**headers}}, by="manager")
        assert (refused.status_code, "changes: headers" in refused.json["detail"]["password"][0]["error"]) == (
            400,
            True,
        )
    assert patch(service, WEBHOOK, {"headers": {"X-Key": "v", "Authorization": None}}, by="manager").status_code == 400
    assert patch(service, WEBHOOK, {"headers": {"X-Key": None}}, by="manager").status_code == 200
    everything: Json = {"headers": {"X-Key": "v", "Authorization": "w"}, "password": "q"}
    assert patch(service, WEBHOOK, everything, by="manager").status_code == 200
    assert patch(service, EMAIL, {"host": "new.example", "password": "q"}, by="manager").status_code == 200
    assert patch(service, EMAIL, {"host": "newer.example"}, by="revealer").status_code == 200
    assert (clear(service, EMAIL)["host"], clear(service, EMAIL)["password"]) == ("newer.example", "q")


def test_the_result_is_checked_as_a_whole_with_all_faults_at_once(service: Service) -> None:
    service.put(EMAIL, MAIL)
    refused = patch(service, EMAIL, {"host": None, "port": "x", "user": None, "default_to": ["@"]}, by="manager")
    assert (refused.status_code, list(refused.json["detail"])) == (400, ["host", "port", "user", "default_to"])
    others: list[Json] = [None, [], "text", 1]
    for sent in others:
        assert patch(service, EMAIL, sent).status_code == 400
    # A list is replaced, not merged; a header is not there twice in two cases.
    assert patch(service, EMAIL, {"default_bcc": ["a@b.example"]}).status_code == 200
    assert clear(service, EMAIL)["default_bcc"] == ["a@b.example"]
    service.put(WEBHOOK, BODY)
    assert patch(service, WEBHOOK, {"headers": {"x-key": "v"}}).status_code == 400
    stale: Json = {"password": "secret:" + "A" * 22}
    assert patch(service, WEBHOOK, stale).json["detail"]["password"][0]["expected"].endswith("current reference")
    assert service.get(WEBHOOK).json["_version"] == 1


def test_a_patch_makes_nothing_and_honours_conditions(service: Service) -> None:
    assert patch(service, EMAIL, MAIL).json == {"status": 404, "error": "Not found"}
    assert patch(service, "/_signals/account/fax/x", {}).status_code == 400
    service.put(EMAIL, MAIL)
    for headers, status in (({"If-Match": '"2"'}, 412), ({"If-None-Match": "*"}, 412), ({"If-Match": '"1"'}, 200)):
        assert patch(service, EMAIL, {"port": 25, "password": "q"}, headers=headers).status_code == status
    of_tenant = "/_signals/account/blue/email/default"
    service.put(of_tenant, MAIL)
    assert patch(service, of_tenant, {"user": "v", "password": "q"}, by="native").json["_id"] == "blue/email/default"
    assert patch(service, of_tenant, {}, by="foreigner").status_code == 403
    assert service.ask("PATCH", "/_signals/account/default", json={}).status_code == 405


def test_a_patch_is_announced_as_one_or_as_json(service: Service) -> None:
    service.put(EMAIL, MAIL)
    for media_type, status in ((MERGE_PATCH, 200), ("application/json", 200), ("application/json-patch+json", 415)):
        answer = service.ask("PATCH", EMAIL, data=b"{}", content_type=media_type)
        assert (answer.status_code, answer.headers.get("Accept-Patch")) == (
            status,
            None if status == 200 else MERGE_PATCH,
        )
    refused = service.ask("PUT", EMAIL, data=b"{}", content_type=MERGE_PATCH)
    assert (refused.status_code, "Accept-Patch" in refused.headers) == (415, False)
    assert service.ask("PATCH", EMAIL, data=b"", content_type=MERGE_PATCH).status_code == 400


NAMES = strategies.sampled_from(("a", "b", "c"))
VALUES = strategies.recursive(
    strategies.none() | strategies.integers(0, 3) | strategies.text("xy", max_size=2),
    lambda inner: strategies.lists(inner, max_size=3) | strategies.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


def by_the_book(target: Any, patch: Any) -> Any:
    """Do as the pseudocode of RFC 7396 section 2 does, changing the target."""
    if isinstance(patch, dict):
        if not isinstance(target, dict):
            target = {}
        for name in patch:
            if patch[name] is None:
                if name in target:
                    del target[name]
            else:
                target[name] = by_the_book(target.get(name), patch[name])
        return target
    return patch


@settings(max_examples=50, derandomize=True, database=None)
@given(VALUES, VALUES)
def test_patches_merge_as_rfc_7396_says(target: Any, sent: Any) -> None:
    before, sent_before = copy.deepcopy(target), copy.deepcopy(sent)
    assert merged(target, sent) == by_the_book(copy.deepcopy(target), sent)
    assert (target, sent) == (before, sent_before)
    # Doing it twice changes nothing more.
    assert merged(merged(target, sent), sent) == merged(target, sent)
