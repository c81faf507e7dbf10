"""Which tenant a request to Signals is about."""

from __future__ import annotations

import pytest

from accounts_service.families.signals.privileges import requested_tenant


@pytest.mark.parametrize(
    ("path", "tenant"),
    (
        ("/_signals/account/t/email/x", "t"),
        ("/_signals/account/admin%20tenant/email/x", "admin tenant"),
        ("/_signals/acc%6funt/t/email/x", "t"),
        ("/_signals/account/t/_search", "t"),
        ("/_signals/account/t/%5fsearch", "t"),
        ("/_signals/watch/t/x", "t"),
        ("/_signals/watch/t", "t"),
        ("/_signals/tenant/t/_active", "t"),
        ("/_signals/account/_main/email/x", None),
        ("/_signals/watch/_main/x", None),
    ),
)
def test_a_path_that_names_a_tenant_wins_over_the_header(path: str, tenant: str | None) -> None:
    assert requested_tenant(path, {"sgtenant": "other"}) == tenant


@pytest.mark.parametrize(
    "path",
    (
        "/_signals/account/email/x",
        "/_signals/account/x",
        "/_signals/account/_search",
        "/_signals/account/a/b/c/d",
        "/_signals/watch",
        "/other/_signals/watch/t/x",
    ),
)
def test_elsewhere_the_header_names_it(path: str) -> None:
    assert requested_tenant(path, {}) is None
    assert requested_tenant(path, {"sgtenant": "other"}) == "other"


def test_sgtenant_wins_over_sg_tenant_and_an_empty_header_names_nothing() -> None:
    path = "/_signals/account/email/x"
    assert requested_tenant(path, {"sgtenant": "one", "sg_tenant": "two"}) == "one"
    assert requested_tenant(path, {"sg_tenant": "two"}) == "two"
    assert requested_tenant(path, {"sgtenant": ""}) is None
