"""The apps that act for an account: `/accounts/{id}/apps`, and the page `/apps` for people."""

from __future__ import annotations

from functools import partial

from flask import Response

from accounts_service.access.privileges import Open, Scoped
from accounts_service.families.mention import documents
from accounts_service.families.mention.dialect import TOKENS_REFUSED
from accounts_service.families.mention.privileges import MentionPrivilege
from accounts_service.families.mention.store.acting import ActingApps
from accounts_service.families.mention.views import browsers, models
from accounts_service.families.mention.views.browsers import Browser
from accounts_service.faults import Json, NoSuchObject, NotPermitted, Overloaded
from accounts_service.web.body import json_response
from accounts_service.web.family import Body, Routes
from accounts_service.web.gate import Call

ROUTES = Routes()

_APPS = "/accounts/<account_id>/apps"


@ROUTES.route(
    _APPS,
    methods=("GET",),
    privilege=Scoped(own=MentionPrivilege.OWN_APPS_GET, every=MentionPrivilege.ALL_APPS_GET),
    answers={200: documents.ACTING_APPS},
    raises=(*TOKENS_REFUSED, NoSuchObject),
)
def list_apps(call: Call, account_id: str) -> Response:
    """List the apps that act for an account, in the order in which they were registered."""
    with call.reading(ActingApps) as apps:
        listed = apps.acting(call.grant, account_id)
    shown: list[Json] = [models.acting_app(app) for app in listed]
    return json_response({"apps": shown})


@ROUTES.route(
    f"{_APPS}/<client_id>",
    methods=("DELETE",),
    privilege=Scoped(own=MentionPrivilege.OWN_APPS_DELETE, every=MentionPrivilege.ALL_APPS_DELETE),
    answers={204: documents.APP_GONE},
    raises=(*TOKENS_REFUSED, NoSuchObject),
)
def revoke_app(call: Call, account_id: str, client_id: str) -> Response:
    """End what an app may do for an account: all its tokens and codes become worthless."""
    with call.transaction(ActingApps) as apps:
        apps.revoke(call.grant, account_id, client_id)
    return Response(status=204, headers={"Cache-Control": "no-store"}, content_type="application/json")


# -- The page -------------------------------------------------------------------


@ROUTES.route("/apps", methods=("GET",), privilege=Open.PUBLIC, answers={200: documents.PAGE})
def show_apps(call: Call) -> Response:
    """Show the apps that act for the person who has signed in, or a page to sign in."""
    return _page(call, browsers.browser_of(call) or browsers.new_browser(call))


@ROUTES.route(
    "/apps",
    methods=("POST",),
    privilege=Open.PUBLIC,
    body=Body.FORM,
    takes=documents.APPS_FORM,
    answers={303: documents.BACK, 400: documents.PAGE_AGAIN, 429: documents.PAGE_AGAIN},
    raises=(NotPermitted, Overloaded),
)
def change_apps(call: Call) -> Response:
    """Take what was done on the page: sign in or out, end what an app may do."""
    browser = browsers.browser_of(call)
    if browser is None or not browsers.is_proven(call, browser):
        return _page(call, browser or browsers.new_browser(call), browsers.EXPIRED, 400)
    match call.form.get("action"):
        case "revoke":
            return _revoke(call, browser)
        case "sign-out":
            return browsers.sign_out(call, browser)
        case _:
            return browsers.sign_in(call, browser, partial(_page, call))


def _revoke(call: Call, browser: Browser) -> Response:
    if browser.account_id:
        author = browsers.author_of(call, browser.account_id)
        with call.services.database.transaction(ActingApps, author) as apps:
            signed_in = apps.revoke_on_page(browser.secret, browser.account_id, call.form.get("app", ""))
        if signed_in:
            return browsers.back_to_page(call, browser)
    return _page(call, browsers.new_browser(call), "Please sign in first.", 400)


def _page(call: Call, browser: Browser, problem: str = "", status: int = 200) -> Response:
    account = browsers.account_of(call, browser)
    if account is None:
        return browsers.page(call, browser, "sign_in.html", status, app=None, goal=None, problem=problem)
    acting = call.asked(ActingApps, lambda apps: apps.acting_for(account))
    shown = [(app, models.timestamp(app.since_us)[:10]) for app in acting]
    return browsers.page(call, browser, "apps.html", status, account=account, apps=shown, problem=problem)
