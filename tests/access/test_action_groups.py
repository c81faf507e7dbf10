"""Action groups: to any depth, through cycles, and with the way told."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts_service.access.action_groups import STATIC, chain, resolve

NAMES = st.sampled_from("ABCDEFxyz")
GRAPHS = st.dictionaries(st.sampled_from("ABCDEF"), st.lists(NAMES, max_size=4).map(tuple))


def fixpoint(names: list[str], groups: dict[str, tuple[str, ...]]) -> set[str]:
    reached = set(names)
    while more := {member for name in reached for member in groups.get(name, ())} - reached:
        reached |= more
    return reached


@given(st.lists(NAMES, max_size=4), GRAPHS)
def test_a_list_holds_what_it_names_and_all_that_is_held_by_that(
    names: list[str], groups: dict[str, tuple[str, ...]]
) -> None:
    assert set(resolve(names, groups)) == fixpoint(names, groups)


@given(st.lists(NAMES, max_size=4), GRAPHS)
def test_a_chain_leads_from_the_list_through_groups_to_the_name(
    names: list[str], groups: dict[str, tuple[str, ...]]
) -> None:
    reached = resolve(names, groups)
    for name in reached:
        links = chain(name, reached)
        assert links[0] in names
        assert links[-1] == name
        assert len(set(links)) == len(links)
        assert all(member in groups[group] for group, member in itertools.pairwise(links))


def test_what_is_listed_itself_needs_no_group() -> None:
    reached = resolve(["A", "x"], {"A": ("x",)})
    assert chain("x", reached) == ("x",)


def test_cycles_are_fine() -> None:
    assert list(resolve(["A"], {"A": ("B", "A"), "B": ("C",), "C": ("A", "x")})) == ["A", "B", "C", "x"]


def test_a_name_that_is_no_group_stays_a_literal() -> None:
    assert resolve(["SGS_SIGNALS_READ"], STATIC) == {"SGS_SIGNALS_READ": None}


def test_a_pattern_does_not_name_groups() -> None:
    assert resolve(["SGS_*"], STATIC) == {"SGS_*": None}


# -- Search Guard's own -------------------------------------------------------


def test_all_groups_of_search_guard_but_those_of_signals_are_there() -> None:
    # Search Guard has 51 static groups; 14 are named SGS_SIGNALS_… and stand with the family.
    assert len(STATIC) == 37
    assert not [name for name in STATIC if "SIGNALS" in name]


def test_every_group_is_named_as_search_guard_names_them_and_holds_something() -> None:
    for name, members in STATIC.items():
        assert name.startswith("SGS_")
        assert members
        assert len(set(members)) == len(members)


def test_every_group_that_a_group_names_exists() -> None:
    members = {member for group in STATIC.values() for member in group}
    assert {member for member in members if member.startswith("SGS_")} <= STATIC.keys()


@pytest.mark.parametrize(
    ("group", "holds"),
    (
        ("SGS_CRUD", {"SGS_CRUD", "SGS_READ", "SGS_WRITE", "indices:data/read*", "indices:data/write*"}),
        ("SGS_CLUSTER_ALL", {"cluster:*"}),
        ("SGS_UNLIMITED", {"*"}),
        ("SGS_CLUSTER_COMPOSITE_OPS", {"indices:data/read/scroll*", "indices:data/write/bulk"}),
        ("SGS_SEARCH", {"indices:data/read/suggest*"}),
        ("SGS_CREATE_DATA_STREAM", {"indices:admin/auto_create", "indices:admin/data_stream/create"}),
    ),
)
def test_a_group_of_search_guard_holds_what_its_page_says(group: str, holds: set[str]) -> None:
    assert set(resolve([group], STATIC)) >= holds
