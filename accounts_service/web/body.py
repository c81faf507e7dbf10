"""JSON in and out. In: strict. Out: UTF-8, as it is stored.

Python's own reader takes `NaN`, lets the last of two equal keys win, turns
`1e999` into infinity and dies of depth. Between a proxy, this service and its
databases each of these means something else to someone, so none is accepted.
"""

from __future__ import annotations

import json
import math
import re
import zlib
from dataclasses import dataclass
from typing import NoReturn
from urllib.parse import parse_qsl

from flask import Request, Response
from werkzeug.exceptions import HTTPException

from accounts_service.faults import (
    BodyTooLarge,
    EmptyBody,
    Json,
    MalformedBody,
    RefusedError,
    UnsupportedCoding,
    UnsupportedMediaType,
)

LARGEST_BODY = 1024 * 1024
# Of a caller who is not known yet. No token, log-in or order of a token needs more.
LARGEST_UNKNOWN_BODY = 16 * 1024
DEEPEST = 32
_LOWEST_INTEGER, _HIGHEST_INTEGER = -(2**63), 2**63 - 1
_LONGEST_INTEGER = 20

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
BYTE_ORDER_MARK = "it begins with a UTF-8 byte order mark"


@dataclass(frozen=True, slots=True)
class Reading:
    """How a family reads bodies, as its original does.

    `gzip`: it decodes this content coding. `skips_mark`: it ignores a UTF-8 byte order mark before JSON.
    """

    gzip: bool = False
    skips_mark: bool = False

    @property
    def accepted(self) -> str:
        """The value of Accept-Encoding in an answer (RFC 9110 section 12.5.3)."""
        return "gzip, identity" if self.gzip else "identity"


_PLAIN = Reading()


class _NotAcceptedError(ValueError):
    """JSON, perhaps, but not what we accept. The message never shows a value."""


def parse(raw: bytes) -> Json:
    """Read one JSON document (RFC 8259) from `raw`.

    Raises RefusedError: EmptyBody, or MalformedBody with the place where it is known.
    """
    if not raw.strip(b" \t\r\n"):
        raise RefusedError(EmptyBody())
    if raw.startswith(_BYTE_ORDER_MARK):
        raise RefusedError(MalformedBody(BYTE_ORDER_MARK, 1, 1))
    try:
        text = raw.decode("utf-8")
        document: Json = _DECODER.decode(text)
        if raw.count(b"[") + raw.count(b"{") > DEEPEST or b"\\u" in raw:
            _inspect(document)
    except json.JSONDecodeError as error:
        raise RefusedError(MalformedBody(error.msg, error.lineno, error.colno)) from None
    except UnicodeDecodeError:
        raise RefusedError(MalformedBody("not UTF-8")) from None
    except RecursionError:
        raise RefusedError(MalformedBody(f"nested deeper than {DEEPEST}")) from None
    except _NotAcceptedError as error:
        raise RefusedError(MalformedBody(str(error))) from None
    return document


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise _NotAcceptedError("a key stands twice in one object")
    return result


def _constant(_: str) -> NoReturn:
    raise _NotAcceptedError("NaN and Infinity are not numbers of JSON")


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _NotAcceptedError("a number is too large")
    return number


def _integer(text: str) -> int:
    # The length first: reading a long row of digits is slow.
    if len(text) > _LONGEST_INTEGER or not _LOWEST_INTEGER <= (number := int(text)) <= _HIGHEST_INTEGER:
        raise _NotAcceptedError("an integer has more than 64 bits")
    return number


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant, parse_float=_float, parse_int=_integer)


def _inspect(document: Json) -> None:
    # What only escapes or deep nesting can bring in, so most bodies skip it.
    depth, level = 0, [document]
    while level:
        below: list[Json] = []
        for value in level:
            if isinstance(value, list | dict) and depth == DEEPEST:
                raise _NotAcceptedError(f"nested deeper than {DEEPEST}")
            if isinstance(value, str):
                _inspect_text(value)
            elif isinstance(value, list):
                below.extend(value)
            elif isinstance(value, dict):
                below.extend(value.keys())
                below.extend(value.values())
        depth, level = depth + 1, below


def _inspect_text(text: str) -> None:
    if "\0" in text:
        raise _NotAcceptedError("a text holds a NUL character")
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise _NotAcceptedError("a text holds half of a surrogate pair")


def has_body(request: Request) -> bool:
    """Tell whether the request carries a body, of known length or chunked."""
    return bool(request.content_length) or "chunked" in request.headers.get("Transfer-Encoding", "").lower()


def read(request: Request, reading: Reading = _PLAIN) -> bytes:
    """Read the whole body, without its content coding.

    Raises RefusedError with UnsupportedCoding, MalformedBody or BodyTooLarge, or werkzeug's RequestEntityTooLarge; and
    of our own server (worker.py) RefusedError with BodyTooSlow or Overloaded.
    """
    require_coding(request, reading)
    raw = _received(request)
    if raw and _codings(request):
        raw = _gunzipped(raw)
    return raw.removeprefix(_BYTE_ORDER_MARK) if reading.skips_mark else raw


def _received(request: Request) -> bytes:
    try:
        raw = request.get_data(cache=True)
    except (HTTPException, RefusedError):
        raise
    except Exception:  # noqa: BLE001  # each server has exceptions of its own for a body that is not well framed
        raise RefusedError(MalformedBody("the body is not well framed")) from None
    if len(raw) < (request.content_length or 0):
        # RFC 9112 section 8: what is incomplete must not be acted on.
        raise RefusedError(MalformedBody("the body ended early"))
    return raw


# `x-gzip` is the same (RFC 9110 section 8.4.1.3).
_GZIP = (["gzip"], ["x-gzip"])
_LONGEST_CODING = 100


def _codings(request: Request) -> list[str]:
    """Return the content codings of the body in lower case, in the order in which they were applied."""
    listed = [coding.strip().lower() for coding in request.headers.get("Content-Encoding", "").split(",")]
    return [coding for coding in listed if coding not in ("", "identity")]


def is_coded(request: Request) -> bool:
    """Return whether the body has a content coding."""
    return bool(_codings(request))


def require_coding(request: Request, reading: Reading = _PLAIN) -> None:
    """Raise RefusedError(UnsupportedCoding) unless the content coding of the body can be decoded.

    At most one: each further one multiplies what a body can grow to.
    """
    codings = _codings(request)
    if codings and not (reading.gzip and codings in _GZIP):
        told = re.sub(r"[^!-~]", "?", ",".join(codings))[:_LONGEST_CODING]
        raise RefusedError(UnsupportedCoding(told, reading.accepted))


def _gunzipped(raw: bytes) -> bytes:
    """Decode one gzip member (RFC 1952) of at most `LARGEST_BODY` bytes; nothing larger is ever in memory."""
    decoder = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        decoded = decoder.decompress(raw, LARGEST_BODY + 1)
    except zlib.error:
        raise RefusedError(MalformedBody("the body is not gzip, as its Content-Encoding says")) from None
    if len(decoded) > LARGEST_BODY:
        raise RefusedError(BodyTooLarge(LARGEST_BODY))
    if not decoder.eof:
        raise RefusedError(MalformedBody("the gzip of the body ended early"))
    if decoder.unused_data:
        raise RefusedError(MalformedBody("the body goes on after the end of its gzip"))
    return decoded


_FORM = "application/x-www-form-urlencoded"


def read_loosely(request: Request, media_types: frozenset[str], reading: Reading = _PLAIN) -> Json:
    """Read a body of which nothing, blanks and `null` mean that there is none; None for these.

    What is announced as a form is read all the same: it is what curl calls any
    text. Raises RefusedError as `read` does, or with UnsupportedMediaType for
    something that is announced as something else.
    """
    raw = read(request, reading) if has_body(request) else b""
    if raw.strip(b" \t\r\n") in (b"", b"null"):
        return None
    if request.mimetype != _FORM:
        require_json(request, media_types)
    return parse(raw)


_MOST_FIELDS = 100
_CREDENTIAL = "access_token"


def read_form(request: Request) -> dict[str, str]:
    """Read the fields of a form, the last of each name. Raises as `read` does."""
    return dict(read_fields(request))


def read_fields(request: Request) -> list[tuple[str, str]]:
    """Read the fields of a form, whatever it is announced as. Raises as `read` does."""
    raw = read(request)
    try:
        text = raw.decode("utf-8")
        return parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise RefusedError(MalformedBody("not the fields of a form")) from None


def tokens_of_form(request: Request) -> list[str]:
    """Return the values of `access_token` (RFC 6750 section 2.2) among the first fields of a body announced as a form.

    For callers who are not known yet, so at most 16 KiB are read. A body that is larger, or that is sent in chunks
    and may be, is not looked at. Raises as `read` does.
    """
    # werkzeug takes a media type with thousands of parameters apart.
    announced = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if announced != _FORM or is_coded(request) or not 0 < (request.content_length or 0) <= LARGEST_UNKNOWN_BODY:
        return []
    # Read and kept: it may be JSON all the same, since curl calls any text a form.
    fields = read(request).decode("utf-8", "replace").split("&", _MOST_FIELDS)[:_MOST_FIELDS]
    return [value for name, value in parse_qsl("&".join(fields)) if name == _CREDENTIAL]


def require_json(request: Request, media_types: frozenset[str]) -> None:
    """Raise RefusedError(UnsupportedMediaType) unless the body is announced as JSON, in UTF-8."""
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    if request.mimetype not in media_types or charset not in ("utf-8", "utf8"):
        raise RefusedError(UnsupportedMediaType())


def json_response(
    document: Json, status: int = 200, *, pretty: bool = False, media_type: str = "application/json"
) -> Response:
    """Answer with a JSON document; `pretty` for a person to read."""
    text = json.dumps(
        document,
        ensure_ascii=False,
        allow_nan=False,
        indent=2 if pretty else None,
        separators=None if pretty else (",", ":"),
    )
    # Accounts may hold secrets; nothing here is for a cache to keep.
    return Response(text, status, {"Cache-Control": "no-store"}, content_type=media_type)
