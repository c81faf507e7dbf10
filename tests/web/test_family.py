"""A second family proves the frame: same paths at two hosts, its own order, its own words, no gaps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Response

from accounts_service import app, faults
from accounts_service.access.privileges import Open
from accounts_service.access.snapshot import BuiltIns
from accounts_service.families.admin.views import FAMILY as ADMIN
from accounts_service.families.signals import examples
from accounts_service.families.signals.privileges import SignalsPrivilege
from accounts_service.families.signals.views import FAMILY as SIGNALS
from accounts_service.faults import Fault, RefusedError
from accounts_service.storage.database import ReadInterruptedError, TransactionRefusedError
from accounts_service.web import gate
from accounts_service.web.body import LARGEST_BODY, json_response
from accounts_service.web.family import Body, Family, GapError, Mount
from accounts_service.web.gate import Call
from tests.support import personas
from tests.support.installation import Installation
from tests.support.service import Service
from tests.web.toy import HOST, ToyPrivilege, make_family

SAME_PATH = "/_signals/account/email/default"
PLAYER = {"X-Child": "ann;player;box-1"}

ROLES = {
    "player": {
        "cluster_permissions": ["TOY_ALL"],
        "exclude_cluster_permissions": ["cluster:admin:toy:box/_all/*", ToyPrivilege.WIND.action],
    },
    "winder": {"cluster_permissions": ["cluster:admin:toy:toy/*"]},
    "minder": {"cluster_permissions": ["TOY_ALL"]},
    "lender": {
        "tenant_permissions": [{"tenant_patterns": ["north"], "allowed_actions": [ToyPrivilege.LEND.action]}],
    },
}

Start = Callable[[Family], Service]


@pytest.fixture
def start(tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start the service with a toy family beside the real ones."""
    started: list[Service] = []

    def start(family: Family) -> Service:
        families = (SIGNALS, family, ADMIN)
        built_ins = BuiltIns.merge((each.action_groups, each.roles) for each in families)
        monkeypatch.setattr(app, "built_ins", lambda: built_ins)
        files = personas.configuration() | {"sg_roles.yml": ROLES, "sg_tenants.yml": {"north": {}, "south": {}}}
        started.append(Service(Installation(tmp_path / "toys", sqlite_url, files), families))
        return started[-1]

    yield start
    for service in started:
        service.close()


@pytest.fixture
def toys(start: Start) -> Service:
    """Give the service with the toy family as it is."""
    return start(make_family())


def test_one_path_at_two_hosts_is_two_families(toys: Service) -> None:
    body = examples.GOOD["email"]
    on_toys = toys.put(SAME_PATH, body, by=None, headers={**PLAYER, "Host": HOST})
    assert (on_toys.status_code, on_toys.json) == (200, ["email", "default", body])
    elsewhere = toys.put(SAME_PATH, body, headers={"Host": "accounts.example"})
    assert (elsewhere.status_code, elsewhere.json) == (
        201,
        {"_id": "email/default", "_version": 1, "result": "created"},
    )


@pytest.mark.parametrize("host", (HOST.upper(), f"{HOST}:8443", f"{HOST}."))
def test_a_host_is_the_same_in_capitals_with_a_port_and_with_a_final_dot(toys: Service, host: str) -> None:
    assert toys.put(SAME_PATH, {}, by=None, headers={**PLAYER, "Host": host}).status_code == 200


@pytest.mark.parametrize("host", ("toys.example.evil.org", "x.toys.example", "[::1]:80", ""))
def test_a_host_that_only_resembles_is_another(toys: Service, host: str) -> None:
    assert toys.put(SAME_PATH, {}, by=None, headers={**PLAYER, "Host": host}).status_code == 401


def test_only_the_root_of_a_mount_is_the_script_name(toys: Service) -> None:
    answer = toys.get("/toys/api/toys", by=None, headers={"Host": "any.example"})
    assert answer.json == {"host": "any.example", "root": "/toys/api"}


def test_each_family_has_its_own_order_of_checks(toys: Service) -> None:
    nobody = {"Host": HOST}
    # Toys say that there is no such route before they ask who is asking; Signals does not.
    assert toys.get("/_signals/nowhere", by=None, headers=nobody).status_code == 404
    assert toys.get("/_signals/nowhere", by=None).status_code == 401
    # A body where none is read comes before the privilege in both, but after the identity.
    assert toys.get("/toys/api/box?x=1", by=None).json == ["what", "x"]


def _raising(fault: Fault) -> Family:
    family = make_family()

    @family.views[0].route("/toys/fault", methods=("POST",), privilege=Open.PUBLIC, body=Body.JSON)
    def raising(_: Call) -> Response:
        raise RefusedError(fault)

    return family


FAULTS: tuple[tuple[Fault, int, str], ...] = (
    (faults.NotAuthenticated(("A",)), 401, "who"),
    (faults.TokenRefused(faults.TokenFlaw.EXPIRED), 401, "too old"),
    (faults.TooManyAttempts(10, 5), 429, "again in 5"),
    (faults.GrantRefused(faults.GrantFlaw.NO_CODE), 400, "the code is missing"),
    (faults.NotPermitted(), 403, "may not"),
    (faults.ForbiddenHeader(), 400, "header"),
    (faults.BadOrigin("x"), 400, "origin"),
    (faults.NoSuchRoute("GET", "/"), 404, "nowhere"),
    (faults.MethodNotAllowed("GET", "/", ("PUT",)), 405, "not so"),
    (faults.BadPath("x"), 400, "path"),
    (faults.UnknownParameters("/", ("x",)), 400, "what"),
    (faults.BadParameter("x", "y"), 400, "unread"),
    (faults.BadHeader("x", "y"), 400, "unread"),
    (faults.UnexpectedBody("GET", "/"), 400, "no body"),
    (faults.UnsupportedMediaType(), 415, "not json"),
    (faults.UnsupportedCoding("br", "identity"), 415, "not in"),
    (faults.BodyTooLarge(1), 413, "too much"),
    (faults.BodyTooSlow(), 408, "too slow"),
    (faults.EmptyBody(), 422, "nothing"),
    (faults.MalformedBody("x"), 422, "broken"),
    (faults.InvalidBody((faults.Problem(("x", 0), faults.Missing()),)), 422, "wrong"),
    (faults.NoSuchObject("GET", "x"), 404, "gone"),
    (faults.BadQuery((faults.QueryProblem(faults.QueryFlaw.PARSING, "x"),)), 422, "ask again"),
    (faults.NoSuchScroll(), 404, "lost the page"),
    (faults.Ambiguous("x", ("a/x", "b/x")), 409, "which"),
    (faults.AlreadyExists("x"), 409, "there"),
    (faults.AnswerTooLarge(), 413, "too long a tale"),
    (faults.QuotaExceeded("tenant", "accounts", 5), 409, "full"),
    (faults.AgainstTheRules(faults.Rule.OWN_ACCOUNT, "x"), 400, "never"),
    (faults.InUse(), 409, "mine"),
    (faults.AlreadyExists("x"), 409, "there"),
    (faults.AgainstTheRules(faults.Rule.OWN_ACCOUNT), 400, "never"),
    (faults.PrivateTenant(), 400, "private"),
    (faults.PreconditionFailed(), 412, "changed"),
    (faults.PreconditionRequired(), 428, "which one"),
    (faults.KeyReused(), 422, "said before"),
    (faults.StillRunning(), 409, "not yet"),
    (faults.SecretUnreadable(), 503, "sealed"),
    (faults.Overloaded(), 503, "later"),
    (faults.Unavailable(), 503, "broken down"),
    (faults.Internal("id"), 500, "oops"),
)


def test_the_table_of_faults_is_whole() -> None:
    assert {type(fault) for fault, _, _ in FAULTS} == set(faults.Fault.__args__)


@pytest.mark.parametrize(("fault", "status", "word"), FAULTS)
def test_every_fault_is_told_in_the_familys_own_words(start: Start, fault: Fault, status: int, word: str) -> None:
    answer = start(_raising(fault)).ask("POST", "/toys/api/toys/fault", by=None, json={})
    assert (answer.status_code, answer.mimetype) == (status, "application/toy+json")
    assert answer.json[0] == word


def test_a_bug_says_nothing_but_the_request_id(start: Start, capfd: pytest.CaptureFixture[str]) -> None:
    family = make_family()

    @family.views[0].route("/toys/bug", methods=("GET",), privilege=Open.PUBLIC)
    def bug(_: Call) -> Response:
        raise ValueError("hunter2")

    answer = start(family).get("/toys/api/toys/bug", by=None, headers={"X-Request-ID": "abcdef0123456789"})
    assert (answer.status_code, answer.json) == (500, ["oops", "abcdef0123456789"])
    assert answer.headers["X-Request-ID"] == "abcdef0123456789"
    assert "hunter2" not in capfd.readouterr().err


@pytest.mark.parametrize("sent", ("short", "with space here", 'quo"te-quote', "x" * 65, "ünïcödé-ünïcödé"))
def test_a_request_id_that_is_none_is_replaced(toys: Service, sent: str) -> None:
    answer = toys.get("/toys/api/toys", by=None, headers={"X-Request-ID": sent.encode().decode("latin-1")})
    assert answer.headers["X-Request-ID"] != sent
    assert len(answer.headers["X-Request-ID"]) == 32


@pytest.mark.parametrize(
    ("child", "path", "status", "answer"),
    (
        ("ann;player;box-1", "/box", 200, "box-1"),
        ("ann;player", "/box", 403, ["may not"]),
        ("max;minder", "/box", 200, "every box"),
        ("max;minder;box-2", "/box", 200, "every box"),
        ("eve;nothing;box-3", "/box", 403, ["may not"]),
        ("lea;lender", "/box/north/lent", 200, ["north", "north"]),
        ("lea;lender", "/box/south/lent", 403, ["may not"]),
        ("lea;lender", "/box/nowhere/lent", 403, ["may not"]),
        ("max;minder", "/box/north/lent", 403, ["may not"]),
        ("eve;nothing", "/toys/car/me", 200, ["car", "eve"]),
        ("", "/toys/car/me", 401, ["who", "Child"]),
        ("eve;nothing", "/toys/car", 403, ["may not"]),
        ("wes;winder", "/toys/car", 200, ["car", True]),
        ("ann;player", "/toys/car", 200, ["car", False]),
    ),
)
def test_what_a_route_states_is_what_it_asks_for(
    toys: Service, child: str, path: str, status: int, answer: object
) -> None:
    response = toys.get(f"/toys/api{path}", by=None, headers={"X-Child": child})
    assert (response.status_code, response.json) == (status, answer)


@pytest.mark.parametrize("method", ("HEAD", "OPTIONS", "POST", "PATCH", "TRACE", "BREW"))
def test_no_method_is_answered_that_was_not_registered(toys: Service, method: str) -> None:
    answer = toys.ask(method, "/toys/api/toys", by=None)
    assert (answer.status_code, answer.headers.get("Allow")) == (405, None)


@pytest.mark.parametrize("path", ("/toys/api/toys/", "/toys/api//toys", "//toys/api/toys", "/toys/api", "/toys/api/"))
def test_slashes_are_neither_merged_nor_added(toys: Service, path: str) -> None:
    assert toys.get(path, by=None).status_code == 404


@pytest.mark.parametrize(("error", "runs"), ((TransactionRefusedError, 5), (ReadInterruptedError, 2)))
def test_a_view_that_lost_a_race_runs_again_but_not_for_ever(start: Start, error: type[Exception], runs: int) -> None:
    family = make_family()
    seen: list[None] = []

    @family.views[0].route("/toys/race", methods=("GET",), privilege=Open.PUBLIC)
    def race(_: Call) -> Response:
        seen.append(None)
        raise error

    answer = start(family).get("/toys/api/toys/race", by=None)
    assert (answer.status_code, answer.json, len(seen)) == (503, ["broken down", 1], runs)


def test_a_view_that_wins_at_the_second_try_answers_as_if_nothing_had_been(start: Start) -> None:
    family = make_family()
    tries = iter((TransactionRefusedError, None))

    @family.views[0].route("/toys/race", methods=("GET",), privilege=Open.PUBLIC)
    def race(_: Call) -> Response:
        error = next(tries)
        if error:
            raise error
        return json_response("won")

    assert start(family).get("/toys/api/toys/race", by=None).json == "won"


# -- What stops the start -----------------------------------------------------


def _nothing(_: Call) -> Response:
    raise AssertionError("never called")


def test_a_route_cannot_be_registered_without_a_privilege() -> None:
    with pytest.raises(TypeError, match="privilege"):
        make_family().views[0].route("/x", methods=("GET",))  # type: ignore[call-arg]  # that is what is tested


def test_a_privilege_that_the_family_does_not_declare_stops_the_start(start: Start) -> None:
    family = make_family()
    family.views[0].route("/toys/x/y/z", methods=("GET",), privilege=SignalsPrivilege.ACCOUNT_GET)(_nothing)
    with pytest.raises(GapError, match="no privilege of the family"):
        start(family)


def test_a_string_is_no_privilege(start: Start) -> None:
    family = make_family()
    family.views[0].route("/toys/x/y/z", methods=("GET",), privilege="cluster:admin:toy:toy/play")(_nothing)  # type: ignore[arg-type]  # that is what is tested
    with pytest.raises(GapError, match="no privilege of the family"):
        start(family)


@pytest.mark.parametrize("check", (gate.routed, gate.authenticated, gate.json_only, gate.permitted))
def test_a_missing_check_stops_the_start(start: Start, check: Callable[[Call], None]) -> None:
    family = make_family()
    family.checks = tuple(kept for kept in family.checks if kept is not check)
    with pytest.raises(GapError, match="missing"):
        start(family)


def test_a_check_after_the_decision_stops_the_start(start: Start) -> None:
    family = make_family()
    family.checks = (gate.permitted, *(check for check in family.checks if check is not gate.permitted))
    with pytest.raises(GapError, match="permitted last"):
        start(family)


def test_two_rules_of_one_shape_stop_the_start(start: Start) -> None:
    family = make_family()
    family.views[0].route("/toys/<identifier>", methods=("GET",), privilege=ToyPrivilege.PLAY)(_nothing)
    with pytest.raises(GapError, match="there twice"):
        start(family)


def test_two_views_of_one_name_stop_the_start(start: Start) -> None:
    family = make_family()
    family.views[0].route("/toys/a/b/c", methods=("GET",), privilege=ToyPrivilege.PLAY)(_nothing)
    family.views[0].route("/toys/a/b/d", methods=("GET",), privilege=ToyPrivilege.PLAY)(_nothing)
    with pytest.raises(GapError, match="two views"):
        start(family)


def test_two_equal_mounts_stop_the_start(start: Start) -> None:
    family = make_family()
    family.mounts = lambda _: (Mount(segments=frozenset(("_signals", "toys"))),)
    with pytest.raises(GapError, match="both answer at /_signals"):
        start(family)


def test_a_group_that_two_families_build_in_stops_the_start() -> None:
    with pytest.raises(ValueError, match="built in twice"):
        BuiltIns.merge([({"TOY_ALL": ()}, {}), ({"TOY_ALL": ()}, {})])


# -- Paths --------------------------------------------------------------------


@pytest.mark.parametrize(
    "segment",
    ("a%2Fb", "a%2fb", "%ff", "%fe", "%c3", "a%00b", "a%0ab", "%7f", "%c2%85", "x" * 513, "%61" * 513),
)
def test_an_identifier_is_strict_utf8_without_control_characters(toys: Service, segment: str) -> None:
    answer = toys.get(f"/toys/api/toys/{segment}", by=None, headers=PLAYER)
    assert (answer.status_code, answer.json[0]) == (400, "path")


@pytest.mark.parametrize("segment", ("x" * 512, "%C3%BC", "%ef%bb%bf", "a%20b", "%E2%82%AC", "%25", "a%3Fb", "..."))
def test_every_other_character_is_fine(toys: Service, segment: str) -> None:
    assert toys.get(f"/toys/api/toys/{segment}", by=None, headers=PLAYER).status_code == 200


def test_who_is_nobody_does_not_learn_what_is_wrong_with_a_path_in_signals(toys: Service) -> None:
    assert toys.get("/_signals/account/email/a%2Fb", by=None).status_code == 401
    assert toys.get("/_signals/account/email/a%2Fb").status_code == 400


# -- Bodies -------------------------------------------------------------------


def test_a_body_up_to_the_limit_is_read_and_a_larger_one_refused(toys: Service) -> None:
    fits = b'"' + b"x" * (LARGEST_BODY - 2) + b'"'
    headers = {**PLAYER, "Host": HOST}
    options: dict[str, Any] = {"by": None, "headers": headers, "content_type": "application/json"}
    assert toys.ask("PUT", SAME_PATH, data=fits, **options).status_code == 200
    assert toys.ask("PUT", SAME_PATH, data=fits + b" ", **options).json == ["too much", LARGEST_BODY]


@pytest.mark.parametrize(
    "headers",
    (
        {"Content-Type": "text/plain"},
        {"Content-Type": ""},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Type": "application/json; charset=utf-16"},
        {"Content-Type": "application/yaml"},
    ),
)
def test_what_is_not_announced_as_plain_json_in_utf8_is_415(toys: Service, headers: dict[str, str]) -> None:
    answer = toys.ask("PUT", SAME_PATH, by=None, headers={**PLAYER, "Host": HOST, **headers}, data=b"{}")
    assert (answer.status_code, answer.json) == (415, ["not json"])


@pytest.mark.parametrize(
    "content_type", ("application/json", "Application/JSON; charset=UTF-8", "application/toy+json; charset=utf8")
)
def test_json_may_be_announced_in_several_ways(toys: Service, content_type: str) -> None:
    headers = {**PLAYER, "Host": HOST, "Content-Type": content_type}
    assert toys.ask("PUT", SAME_PATH, by=None, headers=headers, data=b"{}").status_code == 200


def test_a_body_where_none_is_read_is_refused(toys: Service) -> None:
    assert toys.get("/toys/api/toys", by=None, json={}).json == ["no body"]
    chunked = {"Transfer-Encoding": "chunked"}
    assert toys.get("/toys/api/toys", by=None, headers=chunked).json == ["no body"]
