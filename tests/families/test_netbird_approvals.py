"""NetBird's approvals over HTTP: who lets people in, and what becomes of those who are rejected."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.families.test_netbird_jwt import FILES, OF_A, PENDING, ask, jwt, kept_out, let_in, listed
from tests.support.installation import Installation
from tests.support.netbird import NetBird
from tests.support.service import Service

APPROVE, REJECT = ("POST", "/users/{uid:pending}/approve"), ("DELETE", "/users/{uid:pending}/reject")
CALLS = (APPROVE, REJECT)


@pytest.fixture
def netbird(service: Service) -> NetBird:
    service.configure(FILES)
    return NetBird(service)


def _at(call: tuple[str, str], name: str) -> tuple[str, str]:
    return call[0], call[1].replace("pending", name)


# -- As the dashboard does it ---------------------------------------------------


def test_an_approved_person_acts_at_once(netbird: NetBird) -> None:
    kept_out(netbird, jwt(**OF_A), 403, PENDING)
    (waiting,) = (one for one in netbird.ok("GET", "/users") if one["pending_approval"] and one["id"] == "alice")
    assert (waiting["is_blocked"], waiting["status"]) == (True, "blocked")
    approved = netbird.ok("POST", "/users/alice/approve", by="admin")
    assert approved == waiting | {"pending_approval": False, "is_blocked": False, "status": "active"}
    assert listed(netbird, "alice") == approved
    assert let_in(netbird, jwt(**OF_A))["id"] == "alice"


def test_a_rejected_person_is_gone_and_waits_again_after_another_log_in(netbird: NetBird) -> None:
    kept_out(netbird, jwt(**OF_A), 403, PENDING)
    assert netbird.ok("DELETE", "/users/alice/reject", by="admin") == {}
    assert "alice" not in {one["id"] for one in netbird.ok("GET", "/users")}
    assert netbird.refused(404, "DELETE", "/users/alice/reject") == "user: alice not found"
    kept_out(netbird, jwt(**OF_A), 403, PENDING)
    assert listed(netbird, "alice")["pending_approval"] is True


def test_the_tokens_of_a_rejected_person_die_with_them(netbird: NetBird) -> None:
    netbird.refused(403, "GET", "/users/current", by="pending")
    netbird.ok(*REJECT)
    assert netbird.refused(401, "GET", "/users/current", by="pending") == "token invalid"


def test_an_approval_may_have_a_body(netbird: NetBird) -> None:
    assert netbird.ok(*APPROVE, {})["pending_approval"] is False


# -- Who does not wait ------------------------------------------------------------


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", ("user", "blocked", "admin", "owner", "svc_user"))
def test_a_user_who_does_not_wait_is_neither_approved_nor_rejected(
    netbird: NetBird, call: tuple[str, str], name: str
) -> None:
    before = netbird.ok("GET", "/users")
    told = netbird.refused(422, *_at(call, name))
    assert told == f"user {netbird.names[f'uid:{name}']} is not pending approval"
    assert (netbird.ok("GET", "/users"), netbird.events()) == (before, [])


@pytest.mark.parametrize("call", CALLS)
def test_a_user_is_approved_once(netbird: NetBird, call: tuple[str, str]) -> None:
    netbird.ok(*APPROVE)
    assert netbird.refused(422, *call) == "user pending-id is not pending approval"
    assert netbird.codes() == ["user.approve"]


@pytest.mark.parametrize("call", CALLS)
def test_a_user_who_was_let_in_by_a_change_no_longer_waits(netbird: NetBird, call: tuple[str, str]) -> None:
    netbird.ok("PUT", "/users/{uid:pending}", {"role": "user", "auto_groups": [], "is_blocked": False})
    netbird.refused(422, *call)


@pytest.mark.any_database
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("by", "message"),
    (
        ("user", "permission denied"),
        ("auditor", "permission denied"),
        ("network_admin", "permission denied"),
        ("svc_user", "permission denied"),
        ("pending", f"failed to validate user permissions: {PENDING}"),
        ("blocked", "failed to validate user permissions: user is blocked"),
    ),
)
def test_only_administrators_decide_about_approval(
    netbird: NetBird, call: tuple[str, str], by: str, message: str
) -> None:
    assert netbird.refused(403, *call, by=by) == message
    assert listed(netbird, "pending-id")["pending_approval"] is True


def test_an_administrator_of_the_installation_approves_by_id(netbird: NetBird) -> None:
    answer = netbird.service.ask("POST", "/api/users/pending-id/approve", by="admin")
    assert (answer.status_code, answer.json["pending_approval"]) == (200, False)
    assert netbird.service.ask("DELETE", "/api/users/pending-id/reject", by="admin").status_code == 422


# -- Events and the audit trail -------------------------------------------------


def test_an_approval_tells_who_let_in_whom(netbird: NetBird) -> None:
    netbird.ok(*APPROVE, by="admin")
    (event,) = netbird.events()
    assert (event["activity_code"], event["activity"]) == ("user.approve", "User approved")
    assert (event["initiator_id"], event["target_id"]) == ("admin-id", "pending-id")
    assert event["meta"] == {"email": "pending@test.com", "username": "pending"}


def test_a_rejection_tells_who_kept_out_whom(netbird: NetBird) -> None:
    netbird.ok(*REJECT, by="admin")
    rejected, deleted = netbird.events()
    assert (rejected["activity_code"], rejected["activity"]) == ("user.reject", "User rejected")
    assert (rejected["initiator_id"], rejected["target_id"]) == ("admin-id", "pending-id")
    assert rejected["meta"] == {"name": "pending"}
    assert (deleted["activity_code"], deleted["target_id"]) == ("user.delete", "pending-id")


@pytest.mark.parametrize(("call", "act"), ((APPROVE, "users/update"), (REJECT, "users/delete")))
def test_a_decision_about_approval_is_audited(netbird: NetBird, call: tuple[str, str], act: str) -> None:
    before = len(netbird.service.audited())
    netbird.ok(*call)
    (record,) = netbird.service.audited()[before:]
    assert record.act == f"cluster:admin:netbird:{act}"
    netbird.refused(404 if call is REJECT else 422, *call)
    assert len(netbird.service.audited()) == before + 1


# -- Conditions and keys ------------------------------------------------------------


@pytest.mark.parametrize("call", CALLS)
def test_a_decision_about_approval_depends_on_the_version(netbird: NetBird, call: tuple[str, str]) -> None:
    change = {"role": "user", "auto_groups": [], "is_blocked": True}
    first = netbird.ask("PUT", "/users/{uid:pending}", change).headers["ETag"]
    second = netbird.ask("PUT", "/users/{uid:pending}", change | {"role": "auditor"}).headers["ETag"]
    for stale in ({"If-Match": first}, {"If-Match": ""}, {"If-None-Match": "*"}, {"If-None-Match": second}):
        netbird.refused(412, *call, headers=stale)
    assert listed(netbird, "pending-id")["pending_approval"] is True
    done = netbird.ask(*call, headers={"If-Match": second})
    assert done.status_code == 200
    if call is APPROVE:
        assert done.headers["ETag"] not in {first, second}
        netbird.refused(412, *REJECT, headers={"If-Match": second})


@pytest.mark.parametrize("call", CALLS)
def test_a_decision_about_approval_is_answered_again_by_its_key(netbird: NetBird, call: tuple[str, str]) -> None:
    first, second = (netbird.ask(*call, headers={"Idempotency-Key": "k1"}) for _ in range(2))
    assert (first.status_code, second.status_code, second.json) == (200, 200, first.json)
    assert ("Idempotency-Replayed" in first.headers, second.headers["Idempotency-Replayed"]) == (False, "true")
    assert len(netbird.codes()) == (1 if call is APPROVE else 2)


@pytest.fixture
def strict(installation: Installation) -> Iterator[NetBird]:
    """Give NetBird in an installation that requires conditions."""
    service = Service(installation, ACCOUNTS_REQUIRE_IF_MATCH="true")
    yield NetBird(service)
    service.close()


@pytest.mark.parametrize("call", CALLS)
def test_a_decision_about_approval_names_a_version_where_one_is_required(
    strict: NetBird, call: tuple[str, str]
) -> None:
    strict.refused(428, *call)
    assert strict.ask(*call, headers={"If-Match": "*"}).status_code == 200


def test_an_unapproved_person_learns_nothing(netbird: NetBird) -> None:
    for path in ("/users/current", "/groups", "/peers", "/setup-keys", "/instance/version", "/users"):
        assert ask(netbird, jwt(**OF_A), path).status_code == 403, path
