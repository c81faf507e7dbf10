"""Bodies that need not be announced, forms, whole prefixes of paths, and paths that a log must not show."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Request
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.datastructures import Headers
from werkzeug.test import EnvironBuilder

from accounts_service.access.privileges import Open
from accounts_service.faults import Json, MalformedBody, RefusedError, UnsupportedCoding, UnsupportedMediaType
from accounts_service.web.body import read_form, read_loosely
from accounts_service.web.errors import loggable_path
from accounts_service.web.family import Body, Mount
from tests.web.toy import make_family

JSON = frozenset(("application/json",))
FORM = "application/x-www-form-urlencoded"


def sent(data: bytes, content_type: str | None = None, **headers: str) -> Request:
    builder = EnvironBuilder("/", method="POST", data=data, content_type=content_type, headers=Headers(headers))
    return Request(builder.get_environ())


@pytest.mark.parametrize("data", (b"", b" \t\r\n", b"null", b" null\n"))
@pytest.mark.parametrize(
    "content_type", (None, "application/json", "text/plain", FORM, "application/octet-stream", "x")
)
def test_nothing_and_null_are_the_same_under_any_media_type(data: bytes, content_type: str | None) -> None:
    assert read_loosely(sent(data, content_type), JSON) is None


@pytest.mark.parametrize("data", (b"{}", b"[]", b'{"a": 1}', b"nullnull", b"x"))
@pytest.mark.parametrize("content_type", (None, "text/plain", "application/xml", "application/json; charset=latin-1"))
def test_something_has_to_be_announced(data: bytes, content_type: str | None) -> None:
    with pytest.raises(RefusedError) as caught:
        read_loosely(sent(data, content_type), JSON)
    assert caught.value.fault == UnsupportedMediaType()


@pytest.mark.parametrize("content_type", ("application/json", "Application/JSON; charset=UTF-8", FORM))
def test_what_is_announced_as_json_or_as_a_form_is_read_as_json(content_type: str) -> None:
    expected: Json = {"a": [1]}
    assert read_loosely(sent(b'{"a": [1]}', content_type), JSON) == expected
    with pytest.raises(RefusedError) as caught:
        read_loosely(sent(b"a=1", content_type), JSON)
    assert isinstance(caught.value.fault, MalformedBody)


@pytest.mark.parametrize("content_type", ("application/json", FORM))
def test_what_is_compressed_is_not_read(content_type: str) -> None:
    with pytest.raises(RefusedError) as caught:
        read_loosely(sent(b"{}", content_type, **{"Content-Encoding": "gzip"}), JSON)
    assert caught.value.fault == UnsupportedCoding("gzip", "identity")


# -- Forms --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "fields"),
    (
        (b"", {}),
        (b"a=b", {"a": "b"}),
        (b"a=b&a=c", {"a": "c"}),
        (b"a=&b", {"a": "", "b": ""}),
        (b"a=%C3%BC+x%26", {"a": "ü x&"}),
        ("a=ü".encode(), {"a": "ü"}),
    ),
)
def test_the_fields_of_a_form_are_read_and_the_last_of_one_name_counts(data: bytes, fields: dict[str, str]) -> None:
    for content_type in (FORM, "application/json", None):
        assert read_form(sent(data, content_type)) == fields


@given(st.binary(max_size=60))
def test_any_bytes_are_a_form_or_a_fault(data: bytes) -> None:
    try:
        read_form(sent(data, FORM))
    except RefusedError as refused:
        fault = refused.fault
    else:
        return
    assert fault == MalformedBody("not the fields of a form")


def test_a_form_has_only_so_many_fields() -> None:
    assert len(read_form(sent(b"&".join(b"a%d=b" % number for number in range(100))))) == 100
    with pytest.raises(RefusedError):
        read_form(sent(b"&".join(b"a%d=b" % number for number in range(101))))


# -- Mounts -------------------------------------------------------------------


def test_a_mount_without_segments_takes_all_below_its_root() -> None:
    assert all(Mount(segments=None, root="/api").takes(segment) for segment in ("a", "", "_b"))
    some = Mount(segments=frozenset(("a",)))
    assert (some.takes("a"), some.takes("b"), some.takes("")) == (True, False, False)


@pytest.mark.parametrize("body", (Body.LOOSE_JSON, Body.FORM))
def test_a_family_without_strict_bodies_needs_no_check_of_them(body: Body) -> None:
    family = make_family()
    family.views[0].routes[:] = [route for route in family.routes if route.body is Body.NONE]
    family.checks = tuple(check for check in family.checks if check.__name__ != "json_only")

    @family.views[0].route("/toys/loose", methods=("POST",), privilege=Open.PUBLIC, body=body)
    def loose(_: Any) -> Any:
        """Take anything."""

    family.verify()


# -- Logs ---------------------------------------------------------------------

TOKEN = "8F3b2d1e-8c0a-4d65-9f0e-3f6f2b7c1a01"


PAT = "nbp_abcdefghijklmnopqrstuvwxyz01232LolCm"


@pytest.mark.parametrize(
    ("path", "logged"),
    (
        (f"/api/v2/apitoken/{TOKEN}", "/api/v2/apitoken/<uuid>"),
        (f"/api/v2/apitoken/{TOKEN}?token={TOKEN}", "/api/v2/apitoken/<uuid>"),
        (f"/api/v2/APIToken/x/{TOKEN}/{TOKEN}", "/api/v2/APIToken/x/<uuid>/<uuid>"),
        (f"/%61pitoken/{TOKEN.replace('-', '%2D')}", "/apitoken/<uuid>"),
        (f"/api/v2/apitoken{TOKEN}x", "/api/v2/apitoken<uuid>x"),
        (f"/api/v2/usergroup/{TOKEN}", "/api/v2/usergroup/<uuid>"),
        ("/api/v2/account/a%40b", "/api/v2/account/a%40b"),
        (f"/api/users/ann/tokens/{PAT}", "/api/users/ann/tokens/<token>"),
        (f"/api/users/{PAT.replace('_', '%5F')}/tokens/{PAT.lower()}", "/api/users/<token>/tokens/<token>"),
    ),
)
def test_a_path_is_logged_without_tokens(path: str, logged: str) -> None:
    environ = EnvironBuilder(path).get_environ()
    environ["RAW_URI"] = path
    assert loggable_path(Request(environ)) == logged
