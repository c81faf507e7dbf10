"""Privileges: how they are named, and which part of a role decides them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts_service.access.privileges import (
    AlsoInTenant,
    Either,
    InTenant,
    Level,
    Mine,
    Open,
    Privilege,
    Requirement,
    Scoped,
    Within,
    describe,
    level_of,
    privileges_of,
)


class ToyPrivilege(Privilege):
    PLAY = "cluster:admin:toy:toy/play", "Play with a toy."
    WATCH = "cluster:admin:toy:toy/watch", "Watch somebody play."


def declare(action: str, sentence: str = "Do it.") -> Privilege:
    class One(Privilege):
        MEMBER = action, sentence

    return One.MEMBER


def test_a_privilege_has_its_action_for_value_and_a_sentence() -> None:
    assert ToyPrivilege.PLAY.action == ToyPrivilege.PLAY.value == "cluster:admin:toy:toy/play"
    assert ToyPrivilege.PLAY.sentence == "Play with a toy."
    assert ToyPrivilege("cluster:admin:toy:toy/play") is ToyPrivilege.PLAY  # type: ignore[call-arg]  # mypy takes the members' form for the look-up's


@pytest.mark.parametrize(
    "action", ("cluster:a/b", "cluster:admin:toy:box/_own/read", "indices:data/read/scroll", "cluster:a_b:c/d/e")
)
def test_a_name_is_cluster_or_indices_then_words_then_verbs(action: str) -> None:
    assert declare(action).action == action


@pytest.mark.parametrize(
    "action",
    (
        "",
        "*",
        "cluster:*",
        "cluster:a/*",
        "cluster:a",
        "cluster/a",
        "cluster:a/",
        "cluster:A/b",
        "cluster:a/b ",
        "cluster:a/b\n",
        " cluster:a/b",
        "kibana:a/b",
        "cluster::a/b",
        "cluster:a//b",
        "cluster:a/b1",
    ),
)
def test_any_other_name_stops_the_import(action: str) -> None:
    with pytest.raises(ValueError, match="is not a privilege's name"):
        declare(action)


@pytest.mark.parametrize("sentence", ("", "Do it", "Do it. "))
def test_a_privilege_without_a_sentence_stops_the_import(sentence: str) -> None:
    with pytest.raises(ValueError, match="needs a sentence"):
        declare("cluster:a/b", sentence)


def test_an_action_that_stands_twice_stops_the_import() -> None:
    with pytest.raises(ValueError, match="twice"):

        class _Twice(Privilege):
            ONE = "cluster:a/b", "Do one thing."
            OTHER = "cluster:a/b", "Do another."


@pytest.mark.parametrize(
    ("action", "level"),
    (
        ("cluster:admin:searchguard:signals:account/get", Level.CLUSTER),
        ("cluster:admin:searchguard:tenant:signals:account/get", Level.TENANT),
        ("cluster:admin:searchguard:tenants/get", Level.CLUSTER),
        ("kibana:saved_objects/_/write", Level.TENANT),
        ("searchguard:cluster:x", Level.CLUSTER),
        ("indices:data/read/scroll", Level.CLUSTER),
        ("indices:data/write/bulk", Level.CLUSTER),
        ("indices:data/read/scroll/more", Level.INDEX),
        ("indices:data/read/search", Level.INDEX),
        ("Cluster:monitor", Level.INDEX),
        ("", Level.INDEX),
    ),
)
def test_the_name_of_an_action_says_what_decides_it(action: str, level: Level) -> None:
    assert level_of(action) is level


@given(st.text())
def test_what_begins_like_a_tenant_action_is_one(rest: str) -> None:
    assert level_of("cluster:admin:searchguard:tenant:" + rest) is Level.TENANT


@pytest.mark.parametrize(
    ("requirement", "words"),
    (
        (Open.PUBLIC, "PUBLIC"),
        (Open.ANY_IDENTITY, "ANY_IDENTITY"),
        (ToyPrivilege.PLAY, "cluster:admin:toy:toy/play"),
        (InTenant(ToyPrivilege.PLAY, "room"), "cluster:admin:toy:toy/play in <room>"),
        (
            Scoped(own=ToyPrivilege.PLAY, every=ToyPrivilege.WATCH),
            "cluster:admin:toy:toy/watch or, for one's own, cluster:admin:toy:toy/play",
        ),
        (Mine(ToyPrivilege.PLAY), "cluster:admin:toy:toy/play, for one's own"),
        (Within(ToyPrivilege.PLAY), "cluster:admin:toy:toy/play, within one's own account"),
        (
            Within(ToyPrivilege.PLAY, otherwise=ToyPrivilege.WATCH),
            "cluster:admin:toy:toy/play, within one's own account, or, for oneself, cluster:admin:toy:toy/watch",
        ),
        (
            Either(ToyPrivilege.PLAY, ToyPrivilege.WATCH),
            "cluster:admin:toy:toy/play or cluster:admin:toy:toy/watch",
        ),
        (
            AlsoInTenant(ToyPrivilege.PLAY, within=ToyPrivilege.WATCH),
            "cluster:admin:toy:toy/play and, in a tenant, cluster:admin:toy:toy/watch",
        ),
    ),
)
def test_what_a_route_asks_for_can_be_read(requirement: Requirement, words: str) -> None:
    assert describe(requirement) == words


@pytest.mark.parametrize(
    ("requirement", "privileges"),
    (
        (Open.PUBLIC, ()),
        (Open.ANY_IDENTITY, ()),
        (ToyPrivilege.PLAY, (ToyPrivilege.PLAY,)),
        (InTenant(ToyPrivilege.PLAY, "room"), (ToyPrivilege.PLAY,)),
        (Scoped(own=ToyPrivilege.PLAY, every=ToyPrivilege.WATCH), tuple(ToyPrivilege)),
        (Mine(ToyPrivilege.PLAY), (ToyPrivilege.PLAY,)),
        (Within(ToyPrivilege.PLAY), (ToyPrivilege.PLAY,)),
        (Within(ToyPrivilege.PLAY, otherwise=ToyPrivilege.WATCH), tuple(ToyPrivilege)),
        (Either(ToyPrivilege.PLAY, ToyPrivilege.WATCH), tuple(ToyPrivilege)),
        (AlsoInTenant(ToyPrivilege.PLAY, within=ToyPrivilege.WATCH), tuple(ToyPrivilege)),
    ),
)
def test_a_requirement_speaks_of_these_privileges(requirement: Requirement, privileges: tuple[Privilege, ...]) -> None:
    assert privileges_of(requirement) == privileges
