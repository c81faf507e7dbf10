"""Answers in JSON, and the parameters by which Elasticsearch's clients choose what these show.

https://www.elastic.co/docs/reference/elasticsearch/rest-apis/common-options
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from flask import Response

from accounts_service.families.signals.dialect import is_pretty
from accounts_service.families.signals.schemas.filter_path import NAME as FILTER_PATH
from accounts_service.families.signals.schemas.filter_path import FilterPath, read_filter_path
from accounts_service.faults import BadParameter, Json, RefusedError
from accounts_service.web.body import json_response
from accounts_service.web.family import refuses
from accounts_service.web.gate import Call

_FLAGS = ("human", "error_trace")
COMMON_PARAMETERS = frozenset((*_FLAGS, "pretty", "format", FILTER_PATH))


@refuses(BadParameter)
def common_parameters(call: Call) -> None:
    """Check the parameters that every route takes: what cannot be obeyed is refused and never ignored."""
    args = call.request.args
    for name in COMMON_PARAMETERS:
        if len(args.getlist(name)) > 1:
            raise RefusedError(BadParameter(name, "sent more than once"))
    for name in _FLAGS:
        if args.get(name, "") not in ("", "true", "false"):
            raise RefusedError(BadParameter(name, "only [true] or [false] are allowed"))
    if "error_trace" in args and args["error_trace"] != "false":
        # As Elasticsearch with `http.detailed_errors.enabled: false`.
        raise RefusedError(BadParameter("error_trace", "error traces in responses are disabled"))
    if args.get("format", "json").lower() != "json":
        raise RefusedError(BadParameter("format", "only [json] is supported"))
    read_filter_path(args.getlist(FILTER_PATH))


def filter_of(call: Call) -> FilterPath:
    """Return the filter of the answer, which `common_parameters` has checked."""
    return read_filter_path(call.request.args.getlist(FILTER_PATH))


def answer(call: Call, document: dict[str, Json], tag: str | None = None, status: int = 200) -> Response:
    """Return the answer with what `filter_path` selects of a document, indented for `?pretty`; `tag` is its ETag.

    Everything but an error is answered by this. Errors are shown whole, as Elasticsearch does.
    """
    response = json_response(filter_of(call).of(document), status, pretty=is_pretty(call.request))
    if tag is not None:
        response.headers["ETag"] = tag
    return response


def holds_any(document: Json, values: Collection[str]) -> bool:
    """Return whether one of `values` is anywhere in a document, of which parts may have been left out."""
    match document:
        case dict():
            return any(holds_any(value, values) for value in document.values())
        case list():
            return any(holds_any(value, values) for value in document)
        case _:
            return document in values


def shows_any(
    call: Call, document: Callable[[Mapping[str, str]], dict[str, Json]], references: Mapping[str, str]
) -> bool:
    """Return whether `filter_path` selects any secret of a document, looked for by the references for secrets."""
    return holds_any(filter_of(call).of(document(references)), references.values())
