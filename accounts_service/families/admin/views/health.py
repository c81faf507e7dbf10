"""Whether this process answers, and whether requests can be served."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from flask import Response

from accounts_service.access.privileges import Open
from accounts_service.families.admin import documents
from accounts_service.families.admin.privileges import AdminPrivilege
from accounts_service.faults import BadOrigin, Json, NotAuthenticated, NotPermitted, RefusedError, Unavailable
from accounts_service.storage import migrations
from accounts_service.storage.causes import MISSING, cause_of
from accounts_service.storage.checkup import Workings
from accounts_service.storage.database import ReadInterruptedError
from accounts_service.storage.rotation import JOBS
from accounts_service.storage.sealed import BadKeysFileError, load_keyring
from accounts_service.storage.seals import LATE_SECONDS
from accounts_service.web.body import json_response
from accounts_service.web.family import Routes
from accounts_service.web.gate import Call, recognised

ROUTES = Routes()


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the service; there is something to do where it is not well."""

    name: str
    detail: str
    todo: str = ""

    @property
    def is_well(self) -> bool:
        """Whether there is nothing to do."""
        return not self.todo

    @property
    def told(self) -> Json:
        """The part as JSON."""
        return {"ok": self.is_well, "detail": self.detail, "todo": self.todo}


@ROUTES.route("/livez", methods=("GET", "HEAD"), privilege=Open.PUBLIC, answers={200: documents.ALIVE})
def live(_: Call) -> Response:
    """Return 200 while this process answers. Restart it when it does not."""
    return json_response({"status": "ok"})


@ROUTES.route(
    "/readyz",
    methods=("GET", "HEAD"),
    privilege=Open.PUBLIC,
    optional=(AdminPrivilege.HEALTH_GET,),
    answers={200: documents.READY, 503: documents.UNREADY},
    raises=(NotAuthenticated, NotPermitted, BadOrigin),
)
def ready(call: Call) -> Response:
    """Return 200 while requests can be served: the database answers, has our schema, and takes writes.

    Send no requests otherwise. Callers with the privilege, who send their
    credentials, see each part. What goes on without the part, as requests do
    without jobs, does not make a worker unready.
    """
    may_know = recognised(call) and call.allows(AdminPrivilege.HEALTH_GET)
    needed = (_database(call), _writes(call))
    is_ready = all(part.is_well for part in needed)
    told: dict[str, Json] = {"status": "ok" if is_ready else "unavailable"}
    if may_know:
        told["parts"] = {part.name: part.told for part in (*needed, *_besides(call))}
    response = json_response(told, 200 if is_ready else 503)
    if not is_ready:
        response.headers["Retry-After"] = str(Unavailable().retry_after)
    return response


def _database(call: Call) -> Part:
    try:
        fits = _fits(call)
    except (RefusedError, ReadInterruptedError) as error:
        cause = cause_of(error)
        return Part("database", cause.text, cause.todo)
    if call.services.database.is_missing():
        return Part("database", MISSING.text, MISSING.todo)
    if not fits:
        return Part("database", "its schema is not the one of this release", _UPGRADE)
    return Part("database", "it answers, with the schema of this release")


def _fits(call: Call) -> bool:
    try:
        return migrations.fits(call.services.database)
    except RefusedError:
        # The connection may be one from before an outage; with it all others were given up.
        return migrations.fits(call.services.database)


_UPGRADE = "run 'accounts-service db upgrade'"


def _writes(call: Call) -> Part:
    cause = call.services.writability.why_not()
    if cause is not None:
        return Part("writes", cause.text, cause.todo)
    return Part("writes", "the database takes writes")


def _besides(call: Call) -> Iterator[Part]:
    yield _configuration(call)
    yield _keys(call)
    yield from _work(call)


def _configuration(call: Call) -> Part:
    problems = call.services.access.problems
    if problems:
        detail = f"the last good state is in use; problems of the directory: {len(problems)}"
        return Part("configuration", detail, "run 'accounts-service config check', or read the log")
    return Part("configuration", "the files of the directory are in use")


def _keys(call: Call) -> Part:
    problem = call.services.vault.problem
    try:
        load_keyring(call.services.settings.keys_file)
    except BadKeysFileError as error:
        problem = str(error)
    if problem:
        todo = "restore the keys file before the last process that holds the keys ends"
        return Part("keys", f"the keys are only in memory: {problem}", todo)
    return Part("keys", "the keys file can be read")


def _work(call: Call) -> Iterator[Part]:
    try:
        work = call.asked(Workings, Workings.work)
    except (RefusedError, ReadInterruptedError) as error:
        cause = cause_of(error)
        for name in ("jobs", "seals"):
            yield Part(name, f"not known: {cause.text}", cause.todo)
        return
    if work.has(JOBS):
        yield Part("jobs", "a jobs process runs")
    else:
        yield Part("jobs", "no jobs process has reported within 30 s", _JOBS)
    waited_s = work.unsealed_s or 0
    if waited_s > LATE_SECONDS:
        yield Part("seals", f"audit records wait for their seal, the oldest for {waited_s:.0f} s", _JOBS)
    else:
        yield Part("seals", "all audit records are sealed in time")


_JOBS = "see that 'accounts-service jobs' runs, or that ACCOUNTS_SERVE_JOBS is true, and read jobs.failed in the log"
