"""How much a tenant and a caller may store, and that it is counted right whatever happens to accounts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from alembic.script import ScriptDirectory
from sqlalchemy import text

from accounts_service.doctor import Status
from accounts_service.doctor.contents import judge_quotas
from accounts_service.families.signals import examples
from accounts_service.families.signals.store.leftovers import AccountLeftovers
from accounts_service.jobs.leftovers import Forgetting
from accounts_service.storage import migrations
from accounts_service.storage.usage import Amount, Subject
from accounts_service.storage.usages import Usages
from tests.support.installation import Installation
from tests.support.service import Service

EMAIL = examples.GOOD["email"]
LARGE = {**EMAIL, "user": "u" * 8000, "trusted_hosts": ["h" * 60] * 1000}
WRITERS = 10


@contextmanager
def limited(installation: Installation, **quotas: int) -> Iterator[Service]:
    settings: dict[str, Any] = {f"ACCOUNTS_{name.upper()}": str(most) for name, most in quotas.items()}
    service = Service(installation, **settings)
    yield service
    service.close()


def put(service: Service, path: str, body: Any = EMAIL, **options: Any) -> int:
    status: int = service.put(f"/_signals/account/{path}", body, **options).status_code
    return status


def drift(service: Service) -> dict[Subject, Amount]:
    """Return what is stored besides what is counted."""
    with service.services.database.snapshot(AccountLeftovers) as leftovers:
        return dict(leftovers.drift().amounts)


def test_refusal_of_a_global_account_names_the_global_scope(installation: Installation) -> None:
    with limited(installation, tenant_accounts=1) as service:
        assert put(service, "email/a") == 201
        refused = service.put("/_signals/account/email/b", EMAIL)
        assert refused.json["error"].startswith("The global scope would have more than 1 accounts stored")


def test_ten_writers_at_once_store_as_many_accounts_as_allowed(installation: Installation) -> None:
    with limited(installation, tenant_accounts=5) as service:
        service.is_described = False
        with ThreadPoolExecutor(WRITERS) as pool:
            answers = list(pool.map(lambda number: put(service, f"blue/email/a{number}"), range(WRITERS)))
        assert Counter(answers) == {201: 5, 409: 5}
        assert drift(service) == {}
        refused = service.put("/_signals/account/blue/email/one-more", EMAIL)
        assert refused.json["error"].startswith("The tenant would have more than 5 accounts stored")
        # Neither another tenant nor a change of what is there is refused, and what is deleted makes room.
        assert put(service, "red/email/a") == 201
        names = [f"a{number}" for number, status in enumerate(answers) if status == 201]
        assert put(service, f"blue/email/{names[0]}") == 200
        assert service.ask("DELETE", f"/_signals/account/blue/email/{names[0]}").status_code == 200
        assert put(service, "blue/email/one-more") == 201
        # What comes back from the bin counts as what is new does.
        (binned,) = service.get("/_signals/tenant/blue/bin").json["deleted"]
        undeleted = service.ask("POST", f"/_signals/tenant/blue/bin/{binned['uid']}:undelete")
        assert undeleted.status_code == 409
        assert drift(service) == {}


def test_a_caller_is_limited_apart_from_others(installation: Installation) -> None:
    with limited(installation, principal_accounts=2) as service:
        assert [put(service, f"email/a{number}") for number in range(3)] == [201, 201, 409]
        assert put(service, "email/b", by="manager") == 201
        # Who deletes it does not count for it, but the one who made it.
        assert service.ask("DELETE", "/_signals/account/email/a0", by="manager").status_code == 200
        assert put(service, "email/a2") == 201
        assert drift(service) == {}


def test_versions_take_bytes_till_they_are_forgotten(installation: Installation) -> None:
    with limited(installation, tenant_mebibytes=1) as service:
        answers = [put(service, "email/a", LARGE) for _ in range(20)]
        assert (answers[0], answers[1], answers[-1]) == (201, 200, 409)
        # A smaller account is one more version; deleting takes nothing.
        assert put(service, "red/email/a", LARGE) == 201
        assert service.ask("DELETE", "/_signals/account/email/a").status_code == 200
        assert put(service, "email/b", LARGE) == 409
        (binned,) = service.get("/_signals/bin").json["deleted"]
        assert service.ask("DELETE", f"/_signals/bin/{binned['uid']}").status_code == 200
        assert put(service, "email/b", LARGE) == 201
        assert drift(service) == {}


def test_usage_follows_all_that_happens_to_accounts(service: Service) -> None:
    for number in range(3):
        put(service, "email/a", {**EMAIL, "user": "u" * number, "password": "p"})
    service.ask("POST", "/_signals/account/email/a/_versions/1:restore", by="manager")
    put(service, "blue/email/a", by="native")
    service.ask("PATCH", "/_signals/account/blue/email/a", json={"user": "v"})
    service.ask("DELETE", "/_signals/account/blue/email/a")
    (binned,) = service.get("/_signals/tenant/blue/bin").json["deleted"]
    service.ask("POST", f"/_signals/tenant/blue/bin/{binned['uid']}:undelete")
    for kind in ("slack", "email"):
        changed = service.put("/_signals/account/same", {"type": kind, **examples.GOOD[kind]})
        assert changed.status_code < 300, changed.text
    assert drift(service) == {}
    database = service.services.database
    forgetting = Forgetting(database, (AccountLeftovers,), kept=1, days=0)
    forgetting.prune(lambda: False)
    assert drift(service) == {}
    # What a release before quotas writes is counted later.
    with database.begin() as connection:
        connection.execute(text("UPDATE signals_account SET owner = NULL, realm = NULL"))
        connection.execute(text("UPDATE quota_usage SET bytes = 7 WHERE kind = 'tenant'"))
    assert drift(service) != {}
    forgetting.recount(lambda: False)
    assert drift(service) == {}


def test_doctor_names_who_is_near_a_quota(installation: Installation) -> None:
    with limited(installation, tenant_accounts=10) as service:
        for number in range(10):
            put(service, f"blue/email/a{number}")
        put(service, "red/email/a")
        with service.services.database.reading(Usages) as usages:
            (finding,) = judge_quotas(usages.all(), service.services.database.quotas)
    assert finding.status is Status.WARN
    assert finding.details == ("tenant 'blue': 10 of 10 accounts",)


def test_migration_counts_what_is_there(installation: Installation) -> None:
    with limited(installation) as service:
        put(service, "email/a")
        put(service, "email/a", LARGE)
        put(service, "blue/email/b")
        service.ask("DELETE", "/_signals/account/blue/email/b")
        scripts = ScriptDirectory.from_config(migrations.alembic_config())
        before = scripts.get_revision("0011").down_revision
        migrations.downgrade(service.services.database, str(before))
        migrations.upgrade(service.services.database)
        with service.services.database.reading(Usages) as usages:
            counted = {usage.subject.name: usage.amount.objects for usage in usages.all()}
        assert counted == {"": 1, "blue": 0}
        assert drift(service) == {}
