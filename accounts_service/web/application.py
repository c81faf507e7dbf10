"""One small Flask app a family: its blueprint, its gate, its words."""

from __future__ import annotations

import time
from functools import partial

from flask import Blueprint, Flask, Request, Response, g, request

from accounts_service.faults import BadHeader, InvalidBody, RefusedError
from accounts_service.storage.database import TRIES, ReadInterruptedError, TransactionRefusedError, pause_after
from accounts_service.web import cors, errors, etags, ignored, retries, trail
from accounts_service.web.body import LARGEST_BODY, LARGEST_UNKNOWN_BODY
from accounts_service.web.dispatcher import host_of
from accounts_service.web.family import Family, GapError, Route
from accounts_service.web.gate import Call, current_call
from accounts_service.web.retries import Retry
from accounts_service.web.services import Services

# Where an app keeps its routes by endpoint.
_ROUTES = "accounts_routes"


def build(family: Family, services: Services) -> Flask:
    """Make the Flask app of `family`. Raises GapError when the family is not whole."""
    app = routed(family)
    # Until it is known who is asking; see `gate` below. Whatever reads a body before that is held to it.
    app.config["MAX_CONTENT_LENGTH"] = LARGEST_UNKNOWN_BODY
    dialect = family.dialect(services.settings)
    allowed_hosts = frozenset(services.settings.allowed_hosts)
    errors.register(app, dialect)
    if family.cross_origin:
        cors.register(app)
    trail.register(app)

    @app.after_request
    def as_the_original(response: Response) -> Response:
        response.headers.update(family.answer_headers)
        return response

    @app.before_request
    def gate() -> None:
        call = Call(family, dialect, services, request, errors.request_id(), route_of(app, request))
        g.call = call
        if allowed_hosts and host_of(request.environ) not in allowed_hosts:
            raise RefusedError(BadHeader("Host", "not a host of this service"))
        for check in family.checks:
            check(call)
        if call.identity is not None:
            request.max_content_length = LARGEST_BODY

    return app


def routed(family: Family) -> Flask:
    """Make an app that knows where the paths of `family` lead, and no more. Raises GapError."""
    family.verify()
    app = Flask(family.name, static_folder=None)
    app.url_map.merge_slashes = False
    app.url_map.converters.update(family.converters)
    blueprint = Blueprint(family.name, family.name)
    for route in family.routes:
        blueprint.add_url_rule(
            route.rule,
            route.endpoint,
            partial(_run, route),
            methods=route.methods,
            provide_automatic_options=False,
            strict_slashes=True,
        )
    app.register_blueprint(blueprint)
    routes = {f"{family.name}.{route.endpoint}": route for route in family.routes}
    if unguarded := {rule.endpoint for rule in app.url_map.iter_rules()} - routes.keys():
        raise GapError(f"{family.name}: {min(unguarded)} has no privilege")

    for rule in app.url_map.iter_rules():
        rule.methods = set(routes[rule.endpoint].methods)  # werkzeug adds HEAD to every GET
    app.extensions[_ROUTES] = routes
    return app


def route_of(app: Flask, asked: Request) -> Route | None:
    """Give the route that a request in `app` has led to."""
    routes: dict[str, Route] = app.extensions[_ROUTES]
    return routes.get(asked.endpoint or "")


def _answer(route: Route, call: Call, **arguments: str) -> Response:
    """Run a view, and say what it ignored of the body, or refuse that along with what else is wrong.

    What an Idempotency-Key keeps of the answer has it, too.
    """
    try:
        response = route.view(call, **arguments)
        call.refuse_unknown()
    except RefusedError as error:
        unknown = call.refused_attributes
        if not unknown or not isinstance(error.fault, InvalidBody) or error.fault.problems is unknown:
            raise
        raise RefusedError(InvalidBody((*error.fault.problems, *unknown))) from error
    if response.status_code // 100 == 2 and call.ignored:
        response.headers[ignored.IGNORED] = ignored.header_of(call.ignored)
    return response


def _run(route: Route, **arguments: str) -> Response:
    """Run a view; again when its transaction lost a race, or once more when its read was cut off."""
    call = current_call()
    etags.require(call)
    key = retries.key_of(call)
    call.retry = None if key is None else Retry(call, key)
    view = partial(_answer, route, call, **arguments)
    for attempt in range(TRIES):
        try:
            return view() if call.retry is None else call.retry.answer(view)
        except TransactionRefusedError:
            if attempt == TRIES - 1:
                raise
            time.sleep(pause_after(attempt))
        except ReadInterruptedError:
            if attempt > 0:
                raise
    raise AssertionError("the last try returns or raises")
