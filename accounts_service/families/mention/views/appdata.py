"""App data: `/app/data`, the words that accounts may use."""

from __future__ import annotations

from flask import Response

from accounts_service.access.privileges import Open
from accounts_service.families.mention import documents
from accounts_service.families.mention.dialect import TOKENS_REFUSED
from accounts_service.families.mention.schemas.vocabulary import APP_DATA
from accounts_service.web.body import json_response
from accounts_service.web.family import Routes
from accounts_service.web.gate import Call

ROUTES = Routes()


@ROUTES.route(
    "/app/data",
    methods=("GET",),
    privilege=Open.ANY_IDENTITY,
    answers={200: documents.APP_DATA},
    raises=TOKENS_REFUSED,
    headers=("Accept-Version",),
)
def get_app_data(_: Call) -> Response:
    """List languages, and how often somebody can be told."""
    return json_response(APP_DATA)
