"""The installation: `/instance`, which clients read before a log-in."""

from __future__ import annotations

from importlib.metadata import version

from flask import Response

from accounts_service.access.privileges import Open
from accounts_service.families.netbird import documents_inventory as documents
from accounts_service.families.netbird.dialect import answer
from accounts_service.faults import AgainstTheRules, Rule
from accounts_service.web.family import Routes
from accounts_service.web.gate import Call

ROUTES = Routes()


@ROUTES.route("/instance", methods=("GET",), privilege=Open.PUBLIC, answers={200: documents.INSTANCE})
def get_instance(_: Call) -> Response:
    """Return whether the first owner is still to be made. It never is: the command line makes owners."""
    return answer({"setup_required": False})


@ROUTES.route(
    "/instance/version",
    methods=("GET",),
    privilege=Open.ANY_IDENTITY,
    answers={200: documents.VERSION},
    raises=(AgainstTheRules(Rule.BLOCKED),),
)
def get_version(_: Call) -> Response:
    """Return the version of this service. It looks for no later one."""
    return answer({"management_current_version": version("accounts-service"), "management_update_available": False})
