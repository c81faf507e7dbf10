"""Who reaches which account of Mention's, by what he comes, and at which hosts and paths."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest

from accounts_service.families.wavefront.store.native import AccountTokens
from accounts_service.web.services import TokenOrder
from tests.families.test_wavefront_many import counted
from tests.families.test_wavefront_sites import FOREIGN, OWN
from tests.support import personas
from tests.support.installation import Installation
from tests.support.mention import AUTHOR, JOHN, JOHNS_PASSWORD, Mention
from tests.support.netbird import NetBird
from tests.support.service import Answer, Service

ACCOUNT = "/accounts/{JOHN}"
ME = "/accounts/me"
NEW = {"name": "New", "email": "new@example.com", "password": "Mypass1", "language_code": "en"}
WRONG = {"old_password": "Wrongpass7", "new_password": "Mysecuredpass2"}

NOT_YOURS = {"code": 403, "message": "You are not allowed to access this account"}
NOBODY = {"error": "access_denied", "error_description": "OAuth2 authentication required"}
INVALID = {"error": "invalid_grant", "error_description": "The access token provided is invalid."}
EXPIRED = {"error": "invalid_grant", "error_description": "The access token provided has expired."}
NOBODY_OF_NETBIRDS = {"message": "token invalid", "code": 401}
TWICE = {
    "error": "invalid_request",
    "error_description": "Only one method may be used to authenticate at a time (Auth header, GET or POST).",
}

HOSTS = ("api.mention.net", "api.mention.com", "web.mention.net", "web.mention.com")


@pytest.fixture
def mention(service: Service) -> Mention:
    return Mention(service)


@pytest.fixture
def installed(installation: Installation) -> Iterator[Callable[..., Mention]]:
    """Give the service with other settings."""
    with ExitStack() as stack:
        yield lambda **settings: Mention(stack.enter_context(closing(Service(installation, **settings))))


def token_of(mention: Mention, name: str = "JOHN") -> str:
    return mention.names[f"TOKEN_{name}"]


def told(answer: Answer) -> tuple[int, Any]:
    return answer.status_code, answer.json


# -- Others' accounts ---------------------------------------------------------


def test_a_foreign_id_and_none_are_answered_alike_and_nobody_looks(mention: Mention) -> None:
    mention.know("GONE", mention.ok("POST", "/accounts", NEW)["id"])
    assert mention.ask("DELETE", "/accounts/{GONE}", by="GONE").status_code == 204
    # That the token was used is noted now, and not again for a while.
    mention.ok("GET", ME)
    others = ("{JANE}", "{GONE}", "b", f"1_{'0' * 50}", JOHN[:-1], JOHN + "x", JOHN.upper(), "ME", "0", "é", "x" * 500)
    asked: tuple[tuple[str, Any], ...] = (
        *(("GET", None), ("DELETE", None), ("PUT", {"name": "Hacked"}), ("PUT", {}), ("PUT", {"email": "x"})),
        *(("PUT", []), ("PUT", WRONG), ("PUT", {"email": "jane@example.com"})),
    )
    seen = set()
    for other in others:
        for method, body in asked:
            for headers in ({}, {"If-Match": '"1"'}, {"If-None-Match": "*"}, {"Accept-Version": "1.9"}):
                with counted(mention.service) as statements:
                    answer = mention.ask(method, f"/accounts/{other}", body, headers=headers)
                shown = [(name, value) for name, value in answer.headers if name != "X-Request-ID"]
                seen.add((answer.status_code, answer.data, tuple(shown), tuple(statements)))
    ((status, data, _, sent),) = seen
    assert (status, json.loads(data)) == (403, NOT_YOURS)
    assert not [statement for statement in sent if "mention_account" in statement]
    assert mention.ok("GET", ME, by="JANE")["name"] == "Jane Doe"
    with counted(mention.service) as statements:
        mention.ok("GET", ACCOUNT)
    assert [statement for statement in statements if "mention_account" in statement]


def test_nobody_changes_or_deletes_me(mention: Mention) -> None:
    for method, body in (("PUT", {"name": "x"}), ("DELETE", None)):
        assert told(mention.ask(method, ME, body)) == (403, NOT_YOURS)
    assert mention.ok("GET", ME)["name"] == "John Smith"


def test_wrong_passwords_for_anothers_account_are_not_counted_against_it(installed: Callable[..., Mention]) -> None:
    mention = installed(ACCOUNTS_LOGIN_FAILURES_PER_BOTH="1")
    for _ in range(3):
        assert told(mention.ask("PUT", "/accounts/{JANE}", WRONG)) == (403, NOT_YOURS)
    mention.refused(400, "PUT", "/accounts/{JANE}", WRONG, by="JANE")


# -- What is told first -------------------------------------------------------


def test_who_asks_comes_first_then_whose_it_is_then_what_is_sent(mention: Mention) -> None:
    unreadable, unfit, good = b"{", b'{"email": "x"}', b'{"name": "x"}'
    paths = {"PUT": (ACCOUNT, "/accounts/{JANE}", "/accounts/b"), "POST": ("/accounts",)}
    for method, each in paths.items():
        for path in each:
            for raw in (b"", unreadable, unfit, good):
                assert told(mention.ask(method, path, data=raw, by=None)) == (401, NOBODY)
                assert told(mention.ask(method, path, data=raw, by="EXPIRED")) == (401, EXPIRED)
                twice = f"{path}?access_token={token_of(mention)}"
                assert told(mention.ask(method, twice, data=raw)) == (400, TWICE)
                if path in {"/accounts/{JANE}", "/accounts/b"}:
                    assert told(mention.ask(method, path, data=raw)) == (403, NOT_YOURS)
            if path in {ACCOUNT, "/accounts"}:
                for raw in (b"", unreadable):
                    assert mention.refused(400, method, path, data=raw).keys() == {"code", "message"}
                assert mention.refused(400, method, path, data=unfit).keys() == {"form"}
    stale = {"If-Match": '"0"'}
    assert mention.ask("PUT", "/accounts/{JANE}", data=good, headers=stale).status_code == 403
    assert mention.ask("PUT", ACCOUNT, data=unfit, headers=stale).status_code == 400
    assert mention.ask("PUT", ACCOUNT, data=good, headers=stale).status_code == 412


def test_other_methods_are_told_which_there_are(mention: Mention) -> None:
    allowed = {"/accounts": "POST", ME: "DELETE, GET, PUT", ACCOUNT: "DELETE, GET, PUT", "/app/data": "GET"}
    for path, methods in allowed.items():
        for method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} - set(methods.split(", ")):
            answer = mention.ask(method, path)
            assert (answer.status_code, answer.headers["Allow"]) == (405, methods), (method, path)
            if method != "HEAD":
                assert answer.json == {"code": 405, "message": "Method Not Allowed"}


# -- Tokens -------------------------------------------------------------------


def test_a_token_comes_in_the_header_the_query_or_a_form(mention: Mention) -> None:
    token = token_of(mention)
    assert mention.ok("GET", ME, by=None, headers={"Authorization": f"Bearer {token}"})["id"] == JOHN
    assert mention.ok("GET", f"{ME}?access_token={token}", by=None)["id"] == JOHN
    assert mention.ok("PUT", f"{ACCOUNT}?access_token={token}", {"name": "Query"}, by=None)["name"] == "Query"
    assert mention.ok("POST", f"/accounts?access_token={token}", NEW, by=None)["name"] == "New"
    form = {"access_token": token}
    assert told(mention.ask("DELETE", "/accounts/{JANE}", by=None, data=form)) == (403, NOT_YOURS)
    assert mention.ask("DELETE", ACCOUNT, by=None, data=form).status_code == 204


def test_a_form_of_a_get_or_under_another_name_brings_no_token(mention: Mention) -> None:
    form = {"access_token": token_of(mention)}
    assert told(mention.ask("GET", ME, by=None, data=form)) == (401, NOBODY)
    raw = f"access_token={token_of(mention)}"
    for content_type in ("text/plain", "application/json"):
        headers = {"Content-Type": content_type}
        assert told(mention.ask("DELETE", ACCOUNT, by=None, data=raw, headers=headers)) == (401, NOBODY)
    assert mention.ask("GET", f"{ME}?ACCESS_TOKEN={token_of(mention)}", by=None).status_code == 401


def test_two_tokens_at_once_are_refused_even_if_they_are_one(mention: Mention) -> None:
    token = token_of(mention)
    for other in (token, token_of(mention, "JANE"), "a"):
        for path, options in (
            (f"{{}}?access_token={other}", {}),
            (f"{{}}?access_token={token}&access_token={other}", {"by": None}),
            ("{}", {"data": {"access_token": other}}),
            (f"{{}}?access_token={token}", {"by": None, "data": {"access_token": other}}),
        ):
            answer = mention.ask("DELETE", path.replace("{}", ACCOUNT), **options)
            assert told(answer) == (400, TWICE), (path, options)
    assert mention.ok("GET", ME)["id"] == JOHN


def test_who_brings_no_token_or_a_bad_one_is_told_which(mention: Mention) -> None:
    token = token_of(mention)
    cases: dict[str, Any] = {
        "": NOBODY,
        token: NOBODY,
        f"Token {token}": NOBODY,
        f"bearer {token}": NOBODY,
        f"BEARER {token}": NOBODY,
        f"OAuth {token}": NOBODY,
        f"Bearer\t{token}": NOBODY,
        f"XBearer {token}": NOBODY,
        "Basic eDp5": NOBODY,
        "Bearer a": INVALID,
        f"Bearer {token[:-1]}": INVALID,
        f"Bearer {token}A": INVALID,
        f"Bearer {token.swapcase()}": INVALID,
        f"Bearer {'A' * 86}": INVALID,
        f"Bearer  {token}": INVALID,
        f"Bearer {token} {token}": INVALID,
        f"Bearer {token_of(mention, 'EXPIRED')}": EXPIRED,
    }
    for header, expected in cases.items():
        for path in (ME, ACCOUNT, "/accounts/{JANE}", "/accounts/b", "/app/data"):
            answer = mention.ask("GET", path, by=None, headers={"Authorization": header})
            assert told(answer) == (401, expected), (header, path)
            assert answer.content_type == "application/json"
            assert answer.headers["WWW-Authenticate"].startswith(
                f'Bearer realm="Service", error="{expected["error"]}", '
                f'error_description="{expected["error_description"]}"'
            )
            assert (answer.headers["Cache-Control"], answer.headers["Pragma"]) == ("no-store", "no-cache")
    assert told(mention.ask("GET", ME, by=None)) == (401, NOBODY)
    assert told(mention.ask("GET", f"{ME}?access_token=a", by=None)) == (401, INVALID)
    assert told(mention.ask("GET", f"{ME}?access_token={token_of(mention, 'EXPIRED')}", by=None)) == (401, EXPIRED)
    assert told(mention.ask("DELETE", ACCOUNT, by=None, data={"access_token": "a"})) == (401, INVALID)


def test_a_token_is_good_till_its_last_second(mention: Mention, monkeypatch: pytest.MonkeyPatch) -> None:
    database = mention.service.services.database
    made_us = database.now_us()
    # Jane's is for an hour, John's for good.
    for later_s, is_good in ((0, True), (3500, True), (3700, False)):
        monkeypatch.setattr(database, "now_us", lambda later_s=later_s: made_us + later_s * 1_000_000)
        assert mention.ask("GET", ME, by="JANE").status_code == (200 if is_good else 401)
    assert told(mention.ask("GET", ME, by="JANE")) == (401, EXPIRED)
    assert mention.ask("GET", ME).status_code == 200


# -- Those who come by sg_authc.yml -------------------------------------------


@pytest.fixture
def staffed(mention: Mention) -> Mention:
    """Give the service with those who have roles of Mention's besides those who always have some."""
    files = personas.configuration()
    roles, mapping = files["sg_roles.yml"], files["sg_roles_mapping.yml"]
    assert isinstance(roles, dict)
    assert isinstance(mapping, dict)
    roles["mention_reader"] = {"cluster_permissions": ["cluster:admin:mention:account/_all/get"]}
    mapping["MENTION_ADMIN"] = {"users": ["manager"]}
    mapping["MENTION_OWNER"] = {"users": ["revealer"]}
    mapping["mention_reader"] = {"users": ["reader"]}
    mention.service.configure({"sg_roles.yml": roles, "sg_roles_mapping.yml": mapping})
    return mention


def as_persona(mention: Mention, name: str, method: str, path: str, body: Any = None, **options: Any) -> Answer:
    headers = personas.authorization(name) | options.pop("headers", {})
    return mention.ask(method, path, body, by=None, headers=headers, **options)


@pytest.mark.parametrize("name", ("admin", "manager"))
def test_who_may_reach_all_accounts_does_so_by_their_ids(staffed: Mention, name: str) -> None:
    for person in ("JOHN", "JANE"):
        path = f"/accounts/{{{person}}}"
        answer = as_persona(staffed, name, "GET", path)
        assert told(answer) == (200, staffed.ask("GET", ME, by=person).json)
        changed = as_persona(staffed, name, "PUT", path, {"phone": "1"}, headers={"If-Match": answer.headers["ETag"]})
        assert changed.json["account"]["phone"] == "1"
    made = as_persona(staffed, name, "POST", "/accounts", NEW).json
    staffed.names["ACCOUNT_NEW"] = made["account"]["id"]
    assert as_persona(staffed, name, "GET", "/accounts/{NEW}").json == made
    assert as_persona(staffed, name, "DELETE", "/accounts/{NEW}").status_code == 204
    for path in ("/accounts/{NEW}", "/accounts/b"):
        for method, body in (("GET", None), ("PUT", {"name": "x"}), ("PUT", WRONG), ("DELETE", None)):
            assert as_persona(staffed, name, method, path, body).status_code == 404
            assert as_persona(staffed, name, method, path, body).json["code"] == 404


def test_a_new_password_needs_the_old_one_whoever_asks(staffed: Mention) -> None:
    for body in (WRONG, {"new_password": "Mysecuredpass2"}):
        answer = as_persona(staffed, "admin", "PUT", ACCOUNT, body)
        assert answer.status_code == 400
        assert answer.json["form"]["children"]["old_password"] != []
    body = {"old_password": JOHNS_PASSWORD, "new_password": "Mysecuredpass2"}
    assert as_persona(staffed, "admin", "PUT", ACCOUNT, body).status_code == 200


def test_who_has_no_account_has_no_me(staffed: Mention) -> None:
    for name in personas.NAMES:
        for method, body in (("GET", None), ("PUT", {}), ("DELETE", None)):
            # Who may reach all accounts may reach one called so, which is none.
            status = 404 if method != "GET" and name in {"admin", "manager", "excluded"} else 403
            assert as_persona(staffed, name, method, ME, body).status_code == status, (name, method)


def test_who_may_read_may_no_more(staffed: Mention) -> None:
    assert as_persona(staffed, "reader", "GET", ACCOUNT).json["account"]["name"] == "John Smith"
    assert as_persona(staffed, "reader", "GET", "/accounts/b").status_code == 404
    for method, path, body in (("PUT", ACCOUNT, {}), ("DELETE", ACCOUNT, None), ("POST", "/accounts", NEW)):
        assert told(as_persona(staffed, "reader", method, path, body)) == (403, NOT_YOURS)


@pytest.mark.parametrize("name", ("stranger", "foreigner"))
def test_without_a_role_of_mentions_nothing_is_allowed_but_the_words(staffed: Mention, name: str) -> None:
    for path in (ACCOUNT, "/accounts/{JANE}", "/accounts/b"):
        for method, body in (("GET", None), ("PUT", {"name": "x"}), ("PUT", []), ("DELETE", None)):
            assert told(as_persona(staffed, name, method, path, body)) == (403, NOT_YOURS)
    assert told(as_persona(staffed, name, "POST", "/accounts", NEW)) == (403, NOT_YOURS)
    assert as_persona(staffed, name, "GET", "/app/data").status_code == 200


def test_the_role_of_owners_without_an_account_is_for_nobodys(staffed: Mention) -> None:
    for path in (ACCOUNT, "/accounts/b", ME):
        for method, body in (("GET", None), ("PUT", {"name": "x"}), ("DELETE", None)):
            assert told(as_persona(staffed, "revealer", method, path, body)) == (403, NOT_YOURS)
    assert as_persona(staffed, "revealer", "POST", "/accounts", NEW).status_code == 200


def test_who_has_said_nothing_is_told_of_the_domains_too(mention: Mention) -> None:
    for sent, challenges in (({}, ['Basic realm="Search Guard"']), ({"Authorization": "Basic eDp5"}, [])):
        answer = mention.ask("GET", ME, by=None, headers=sent)
        assert told(answer) == (401, NOBODY)
        assert answer.headers.getlist("WWW-Authenticate")[1:] == challenges


# -- Pages of other sites -----------------------------------------------------


@pytest.mark.any_database
@pytest.mark.parametrize("headers", FOREIGN)
def test_a_page_of_another_site_changes_nothing_with_a_password(staffed: Mention, headers: dict[str, str]) -> None:
    for method, path, body in (("PUT", ACCOUNT, {"name": "x"}), ("DELETE", ACCOUNT, None), ("POST", "/accounts", NEW)):
        assert told(as_persona(staffed, "manager", method, path, body, headers=headers)) == (403, NOT_YOURS)
    assert as_persona(staffed, "manager", "GET", ACCOUNT, headers=headers).json["account"]["name"] == "John Smith"
    # A token is nothing that a browser sends along.
    assert staffed.ok("PUT", ACCOUNT, {"name": "Johnny"}, headers=headers)["name"] == "Johnny"


def test_pages_of_our_own_and_other_clients_do(staffed: Mention) -> None:
    for number, headers in enumerate(OWN):
        body = {"name": f"Name {number}"}
        answer = as_persona(staffed, "manager", "PUT", ACCOUNT, body, headers=headers)
        assert answer.json["account"]["name"] == f"Name {number}"


# -- Other families -----------------------------------------------------------


@pytest.fixture
def tokens_of_others(service: Service) -> tuple[NetBird, str]:
    """Give NetBird's tokens, and one of Wavefront's."""
    order = TokenOrder("admin@mycompany.example", create=True, name="t", permissions=("user_management",))
    with service.services.database.transaction(AccountTokens, AUTHOR) as tokens:
        token = tokens.create(order, service.services.settings)
    return NetBird(service), token


def test_a_token_of_mentions_is_worth_nothing_elsewhere(mention: Mention) -> None:
    token = token_of(mention)
    for scheme in ("Bearer {}", "Token {}", "Basic {}", "{}"):
        for path in (
            *("/api/accounts", "/api/users", "/api/users/current", f"/api/accounts?access_token={token}"),
            *("/api/v2/account", "/api/v2/account/user", f"/api/v2/account?access_token={token}"),
            *("/_signals/account/email/x", f"/_signals/account/email/x?access_token={token}", "/_searchguard/authinfo"),
        ):
            headers = {"Authorization": scheme.format(token), "X-AUTH-TOKEN": token}
            answer = mention.service.ask("GET", path, by=None, headers=headers)
            assert answer.status_code == 401, (scheme, path, answer.text)


def test_a_token_of_another_family_is_worth_nothing_here(
    mention: Mention, tokens_of_others: tuple[NetBird, str]
) -> None:
    netbird, wavefront = tokens_of_others
    pat = netbird.names["pat:owner"]
    for host, root in (("localhost", ""), ("localhost", "/mention/api"), ("api.mention.net", "/api")):
        for token in (pat, wavefront):
            for path in (ME, ACCOUNT, "/app/data"):
                for headers, expected in (
                    ({"Authorization": f"Bearer {token}"}, INVALID),
                    ({"Authorization": f"Token {token}"}, NOBODY),
                    ({"X-AUTH-TOKEN": token}, NOBODY),
                ):
                    answer = mention.ask("GET", root + path, by=None, headers={"Host": host, **headers})
                    assert told(answer) == (401, expected)


def test_netbird_and_mention_share_a_path_and_are_told_apart_by_host(
    mention: Mention, tokens_of_others: tuple[NetBird, str]
) -> None:
    netbird, _ = tokens_of_others
    pat = {"Authorization": f"Token {netbird.names['pat:owner']}"}
    for host in ("localhost", "netbird.mycompany.example", "api.netbird.io", "mention.net", "x.api.mention.net"):
        answer = mention.service.ask("GET", "/api/accounts", by=None, headers={"Host": host, **pat})
        assert [account["id"] for account in answer.json] == [netbird.names["A"]]
        assert told(mention.ask("GET", "/api/accounts", headers={"Host": host})) == (401, NOBODY_OF_NETBIRDS)
    for host in HOSTS:
        answer = mention.ask("GET", f"/api{ME}", headers={"Host": host})
        assert answer.json["account"]["id"] == JOHN
        assert told(mention.service.ask("GET", f"/api{ME}", by=None, headers={"Host": host, **pat})) == (401, NOBODY)
        assert mention.ask("GET", "/api/accounts", headers={"Host": host}).status_code == 405


# -- Hosts and paths ----------------------------------------------------------


def is_the_page(answer: Answer) -> bool:
    return (
        answer.status_code == 404
        and answer.mimetype == "text/html"
        and answer.text.lower().startswith("<!doctype html>")
        and "<title>An Error Occurred: Not Found</title>" in answer.text
        and 'The server returned a "404 Not Found".' in answer.text
    )


NOWHERE = (
    *("/", "/nowhere", "/accounts/", "/accounts/me/", "/accounts/{JOHN}/", "/accounts/{JOHN}/alerts", "/accounts//me"),
    *(
        "/accounts/{JOHN}/alerts/1/preferences",
        "/app",
        "/app/data/",
        "/users",
        "/groups",
        "/authorize",
        "/oauth/v2/token",
    ),
    *("/accounts/a%2Fb", "/accounts/%FF", "/accounts/%00", "/accounts/" + "x" * 513, "//accounts/me"),
)


@pytest.mark.parametrize("by", (None, "JOHN", "EXPIRED"))
def test_where_no_route_is_there_is_the_page_whoever_asks(mention: Mention, by: str | None) -> None:
    for root, host in (("/mention/api", "localhost"), ("/mention/api", HOSTS[0]), *(("/api", host) for host in HOSTS)):
        for path in NOWHERE:
            for method in ("GET", "POST", "DELETE"):
                answer = mention.ask(method, root + path, by=by, headers={"Host": host, "Accept": "application/json"})
                assert is_the_page(answer), (root, host, method, path, answer.text)


def test_the_page_repeats_nothing(mention: Mention) -> None:
    answers = [mention.ask("GET", f"/mention/api/{path}") for path in ("nowhere", "%3Cscript%3E?q=%3Cscript%3E")]
    assert answers[0].data == answers[1].data


def test_below_the_root_mention_has_its_own_two_segments_and_no_more(mention: Mention) -> None:
    assert is_the_page(mention.ask("GET", "/accounts/"))
    assert is_the_page(mention.ask("GET", "/app"))
    for path in ("/nowhere", "/mention/nowhere"):
        assert mention.ask("GET", path).mimetype == "application/problem+json"


@pytest.mark.parametrize("hosts", ("mentions.mycompany.example", "a.example, B.example ,", ""))
def test_at_which_hosts_mention_has_its_own_paths_is_a_setting(installed: Callable[..., Mention], hosts: str) -> None:
    mention = installed(ACCOUNTS_MENTION_HOSTS=hosts)
    names = [name.strip().lower() for name in hosts.split(",") if name.strip()]
    for host in (*names, *HOSTS, "localhost"):
        headers = {"Host": host}
        for root in ("", "/mention/api"):
            assert mention.ask("GET", root + ME, headers=headers).json["account"]["id"] == JOHN
        nowhere = mention.ask("GET", "/api/nowhere", headers=headers)
        if host in names:
            assert mention.ask("GET", f"/api{ACCOUNT}", headers=headers).json["account"]["id"] == JOHN
            assert is_the_page(nowhere)
        else:
            assert told(mention.ask("GET", "/api/accounts", headers=headers)) == (401, NOBODY_OF_NETBIRDS)
            assert not is_the_page(nowhere)
        for path in ("/authorize", "/oauth/v2/token"):
            answer = mention.ask("GET", path, by=None, headers=headers)
            assert answer.status_code == (400 if host in names else 404)
            assert mention.ask("GET", f"/mention{path}", by=None, headers=headers).status_code == 400
