"""From what a request brings along to a name, roles and attributes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts_service.access.authenticators.user_mapping import (
    Names,
    Source,
    UserMapping,
    UserMappingError,
    parse_path,
)
from accounts_service.access.patterns import Expression
from accounts_service.faults import Json

ATTRIBUTES: dict[str, Json] = {
    "request": {
        "headers": {
            "x-user": "Alice",
            "x-roles": "a, b ,,c",
            "x-dn": "cn=alice,ou=sales",
            "x-empty": "",
            "x.dot": "d",
        },
        "originating_ip_address": None,
    },
    "user_entry": {"roles": ["r1", "R2", ""], "rooms": [{"number": 7}], "level": 3},
}


def source(path: str, pattern: str | None = None, split: str | None = None) -> Source:
    return Source(parse_path(path), None if pattern is None else Expression(pattern), split)


# -- Paths --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "steps"),
    (
        ("a", ("a",)),
        ("$.a.b", ("a", "b")),
        ("$['a']['b c']", ("a", "b c")),
        ("request.headers.x-user", ("request", "headers", "x-user")),
        ("request.headers['x.dot']", ("request", "headers", "x.dot")),
        ("a[0].b", ("a", 0, "b")),
        ("a[*]", ("a",)),
    ),
)
def test_a_path_is_names_indexes_and_stars(path: str, steps: tuple[str | int, ...]) -> None:
    assert parse_path(path) == steps


@pytest.mark.parametrize("path", ("", "$", "$.", "[*]", "a[", "a[x]", "a['b", "a[-1]", "a[12345]", "a['']", "a]"))
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="A JSON path of names"):
        parse_path(path)


@given(st.text())
def test_any_text_is_a_path_or_is_refused(text: str) -> None:
    try:
        steps = parse_path(text)
    except ValueError as error:
        told = str(error)
    else:
        assert steps
        assert all(Source(steps).values(ATTRIBUTES)), "no empty value"
        return
    assert told == "A JSON path of names"


# -- Values -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "values"),
    (
        ("request.headers.x-user", ["Alice"]),
        ("request.headers.X-User", ["Alice"]),
        ("request.headers.x-none", []),
        ("request.headers.x-empty", []),
        ("request.headers['x.dot']", ["d"]),
        ("request.headers", []),
        ("request.headers[0]", []),
        ("request.headers.x-user.more", []),
        ("request.headers.x-user[0]", []),
        ("request.originating_ip_address", []),
        ("user_entry.roles", ["r1", "R2"]),
        ("user_entry.roles[*]", ["r1", "R2"]),
        ("user_entry.roles[1]", ["R2"]),
        ("user_entry.roles[9]", []),
        ("user_entry.rooms", []),
        ("user_entry.rooms[0].number", ["7"]),
        ("user_entry.level", ["3"]),
    ),
)
def test_a_path_finds_texts_and_numbers_that_are_not_empty(path: str, values: list[str]) -> None:
    assert source(path).values(ATTRIBUTES) == values


def test_a_separator_makes_several_trimmed_values() -> None:
    assert source("request.headers.x-roles", split=",").values(ATTRIBUTES) == ["a", "b", "c"]
    assert source("request.headers.x-roles").values(ATTRIBUTES) == ["a, b ,,c"]


def test_only_blanks_and_tabs_are_trimmed() -> None:
    # What another program takes for a different name must not become this one.
    headers: dict[str, Json] = {"x": " admin\xa0,\x1fadmin,\tadmin "}
    assert source("h.x", split=",").values({"h": headers}) == ["admin\xa0", "\x1fadmin", "admin"]


@pytest.mark.parametrize(
    ("pattern", "values"),
    (
        ("cn=([a-z]+),.*", ["alice"]),
        ("cn=([a-z]+),ou=([a-z]+)", ["alicesales"]),
        ("cn=(al)(ice)(x)?,.*", ["alice"]),
        ("cn=((al)ice),.*", ["aliceal"]),
        ("cn=(?:al)(ice),.*", ["ice"]),
        ("cn=.*", []),
        ("cn=(?:.*)", []),
        ("cn=alice", []),
        ("cn=(x)?alice.*", []),
        ("cn=(x)?(y)?alice.*", []),
        ("cn=()alice.*", []),
        ("alice", []),
    ),
)
def test_a_pattern_must_match_the_whole_and_its_groups_are_the_value(pattern: str, values: list[str]) -> None:
    assert source("request.headers.x-dn", pattern).values(ATTRIBUTES) == values


@pytest.mark.parametrize(
    ("name", "value"),
    (
        ("all_access", ["all_access"]),
        ("user_ann", ["user_ann"]),
        ("ann.smith@example.com", ["ann.smith"]),
        ("ann.smith@other.com", []),
        ("all_access@example.org", ["all_access"]),
    ),
)
def test_a_pattern_may_list_alternatives(name: str, value: list[str]) -> None:
    alternatives = source("name", r"(all_access)|(user_.*)|(.+)@(?:example\.com|example\.org)")
    assert alternatives.values({"name": name}) == value


def test_two_people_with_one_first_name_are_two_users() -> None:
    mapping = UserMapping(Names((source("name", r"([a-z]+)\.([a-z]+)@example\.com"),)))
    names = [mapping.map({"name": f"{name}@example.com"}).user_name for name in ("ann.smith", "ann.jones")]
    assert names == ["annsmith", "annjones"]


@given(st.lists(st.sampled_from(("a", "bc", "")), min_size=1, max_size=5))
def test_a_value_is_all_groups_in_their_order(parts: list[str]) -> None:
    pattern = "-".join(f"({part})" for part in parts)
    joined = "".join(parts)
    assert source("name", pattern).values({"name": "-".join(parts)}) == ([joined] if joined else [])


def test_a_value_is_split_before_the_pattern_is_tried() -> None:
    assert source("request.headers.x-dn", "ou=(.*)", ",").values(ATTRIBUTES) == ["sales"]


@pytest.mark.parametrize(
    ("path", "header"),
    (
        ("request.headers.X-User", "x-user"),
        ("request.headers['x-user']", "x-user"),
        ("request.headers.x-user[0]", "x-user"),
        ("request.headers", None),
        ("request.direct_ip_address", None),
        ("headers.x-user", None),
    ),
)
def test_a_source_knows_which_header_it_reads(path: str, header: str | None) -> None:
    assert source(path).header == header


# -- The whole mapping --------------------------------------------------------

USER = Names((source("request.headers.x-user"),))


def test_the_name_comes_from_the_mapping_or_else_from_the_credentials() -> None:
    assert UserMapping(USER).map(ATTRIBUTES, "bob").user_name == "Alice"
    assert UserMapping().map(ATTRIBUTES, "bob").user_name == "bob"


@pytest.mark.parametrize(
    ("mapping", "default_name"),
    (
        (UserMapping(), None),
        (UserMapping(), ""),
        (UserMapping(Names()), "bob"),
        (UserMapping(Names((source("request.headers.x-none"),))), "bob"),
        (UserMapping(Names((source("request.headers.x-empty"),))), "bob"),
        (UserMapping(Names(static=("",))), "bob"),
    ),
)
def test_without_a_name_nobody_is_meant(mapping: UserMapping, default_name: str | None) -> None:
    with pytest.raises(UserMappingError, match=r"^No user name found$"):
        mapping.map(ATTRIBUTES, default_name)


@pytest.mark.parametrize(
    "names",
    (
        Names((source("user_entry.roles"),)),
        Names((source("request.headers.x-roles", split=","),)),
        Names((source("request.headers.x-user"), source("request.headers.x-dn"))),
        Names((source("request.headers.x-user"),), static=("fixed",)),
    ),
)
def test_two_names_are_nobody(names: Names) -> None:
    with pytest.raises(UserMappingError, match=r"^More than one candidate for the user name was found$"):
        UserMapping(names).map(ATTRIBUTES)


def test_the_same_name_twice_is_one() -> None:
    assert UserMapping(Names(USER.sources * 2, static=("Alice",))).map(ATTRIBUTES).user_name == "Alice"


def test_names_are_written_in_lower_case_where_that_is_asked_for() -> None:
    lower = UserMapping(
        Names(USER.sources, lower_case=True), Names((source("user_entry.roles"),), ("Fixed",), lower_case=True)
    ).map(ATTRIBUTES)
    assert lower.user_name == "alice"
    assert lower.backend_roles == {"r1", "r2", "fixed"}


def test_roles_are_all_that_is_found_and_what_is_always_there() -> None:
    roles = Names((source("user_entry.roles"), source("request.headers.x-roles", split=",")), ("fixed",))
    assert UserMapping(USER, roles).map(ATTRIBUTES).backend_roles == {"r1", "R2", "a", "b", "c", "fixed"}


def test_an_attribute_is_the_first_value_found_else_the_fixed_one_else_absent() -> None:
    mapping = UserMapping(
        USER,
        attribute_sources=(
            ("level", source("user_entry.level")),
            ("role", source("user_entry.roles")),
            ("none", source("user_entry.none")),
            ("absent", source("user_entry.none")),
        ),
        static_attributes=(("level", "9"), ("none", "fixed")),
    )
    assert mapping.map(ATTRIBUTES).attributes == (("level", "3"), ("none", "fixed"), ("role", "r1"))


def test_a_mapping_names_all_its_sources() -> None:
    one, two, three = source("request.headers.a"), source("request.headers.b"), source("request.headers.c")
    mapping = UserMapping(Names((one,)), Names((two,)), (("x", three),))
    assert list(mapping.sources()) == [one, two, three]
    assert list(UserMapping().sources()) == []


@pytest.mark.parametrize("path", ("request.headers.X-Proxy-User", "$.request.headers['X-PROXY-USER']"))
def test_a_header_may_be_written_in_capitals(path: str) -> None:
    assert parse_path(path) == ("request", "headers", "x-proxy-user")
    assert parse_path("user_entry.attributes.Room") == ("user_entry", "attributes", "Room")


def test_true_is_no_name() -> None:
    attributes: dict[str, Json] = {"jwt": {"sub": True, "roles": [True, "a", 7, None]}}
    assert source("jwt.roles").values(attributes) == ["a", "7"]
    assert source("jwt.sub").values(attributes) == []
