"""Mention's accounts over HTTP: what is taken, what is refused and in which words, and what stays."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from accounts_service.families.mention import examples
from tests.support.installation import Installation
from tests.support.mention import BEGAN_US, CALLBACK, CLIENT_ID, JANES_PASSWORD, JOHN, JOHNS_PASSWORD, Mention
from tests.support.mention_page import cheaply
from tests.support.service import Service

ACCOUNT = "/accounts/{JOHN}"
OLD, LATER = JOHNS_PASSWORD, "Mysecuredpass2"
JANES_PROOF = {"old_password": JANES_PASSWORD}
ME = "/accounts/me"
NEW = {"name": "New", "email": "new@example.com", "password": "Mypass1", "language_code": "en"}

# In the order in which errors are told.
POSTED = ("name", "email", "phone", "password", "language_code", "client")
PUT = (
    *("name", "email", "phone", "language_code", "old_password", "new_password"),
    "default_notification_phone",
)

# The page's request, with the commas that it lacks, and all members of its answer but `updated_at`.
REQUEST = {
    "name": "John Smith Jr",
    "email": "john1@nasa.com",
    "phone": "(202) 358-0001",
    "language_code": "fr",
    "old_password": "Mypass1",
    "new_password": "Mysecuredpass2",
}
AS_PRINTED = """{
    "name": "John Smith Jr"
    "email": "john1@nasa.com",
    "phone": "(202) 358-0001"
    "language_code": "fr",
    "old_password": "Mypass1",
    "new_password": "Mysecuredpass2"
}"""
BEGAN = "2016-01-18T14:49:37.0+00:00"
DEFAULTS: dict[str, Any] = {
    "grouped_email_notification": False,
    "default_email_notification_frequency": "daily",
    "default_desktop_notification_frequency": "hourly",
    "default_push_notification_frequency": "hourly",
    "default_trending_email_notification_frequency": "occasionally",
    # The page has the name of the one before once more.
    "default_trending_sms_notification_frequency": "never",
    "permissions": {
        "create_alert": True,
        "read_teammembers": True,
        "read_teamrequests": True,
        "read_quotastats": True,
    },
    "email_subscriptions": {"quota_exceeded": True},
}
ANSWERED: dict[str, Any] = {
    "id": JOHN,
    "name": "John Smith Jr",
    "email": "john1@nasa.com",
    "language_code": "fr",
    "created_at": BEGAN,
    **DEFAULTS,
}

ID = re.compile(r"([1-9][0-9]*)_([0-9a-z]{50})")
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.0\+00:00")


@pytest.fixture
def mention(service: Service) -> Mention:
    return Mention(service)


@pytest.fixture
def installed(installation: Installation) -> Iterator[Callable[..., Mention]]:
    """Give the service with other settings, and cheap passwords."""
    with ExitStack() as stack:

        def install(**settings: Any) -> Mention:
            return Mention(stack.enter_context(closing(Service(installation, change=cheaply, **settings))))

        yield install


def unfit(mention: Mention, method: str, path: str, body: Any) -> list[str]:
    """Send a body whose fields do not fit, and change nothing with it; gives the fields that have errors."""
    before = stored(mention)
    told = mention.refused(400, method, path, body)
    assert stored(mention) == before
    assert (told.keys(), told["form"].keys()) == ({"form"}, {"children"})
    children = told["form"]["children"]
    assert tuple(children) == (POSTED if method == "POST" else PUT)
    found = []
    for name, child in children.items():
        if child != []:
            assert child.keys() == {"errors"}
            assert child["errors"]
            assert all(isinstance(error, str) and error for error in child["errors"])
            found.append(name)
    return found


def stored(mention: Mention) -> tuple[Any, ...]:
    """Give all that a refused request leaves as it is."""
    return (mention.ok("GET", ME), mention.ok("GET", ME, by="JANE"), len(mention.service.audited()))


def has_password(mention: Mention, password: str) -> bool:
    """Tell whether it is John's password: the one with which he can have another, and the same again."""
    answer = mention.ask("PUT", ACCOUNT, {"old_password": password, "new_password": "Another1"})
    if answer.status_code == 200:
        mention.ok("PUT", ACCOUNT, {"old_password": "Another1", "new_password": password})
    return answer.status_code == 200


def set_clock(mention: Mention, monkeypatch: pytest.MonkeyPatch, now_us: int) -> None:
    monkeypatch.setattr(mention.service.services.database, "now_us", lambda: now_us)


# -- The page -----------------------------------------------------------------


def test_the_example_of_the_page_gives_each_member_of_its_answer(mention: Mention) -> None:
    answer = mention.ask("PUT", ACCOUNT, REQUEST, headers={"Accept-Version": "1.19"})
    assert answer.status_code == 200
    assert answer.content_type == "application/json"
    assert answer.json.keys() == {"account", "_links"}
    assert answer.json["_links"] == {"self": {"href": f"/api/accounts/{JOHN}"}}
    account = dict(answer.json["account"])
    updated = account.pop("updated_at")
    assert TIMESTAMP.fullmatch(updated)
    assert updated > BEGAN
    assert account == ANSWERED | {"phone": "(202) 358-0001"}

    assert mention.ok("GET", ACCOUNT) == account | {"updated_at": updated}
    assert not has_password(mention, "Mypass1")
    assert has_password(mention, "Mysecuredpass2")


def test_without_phones_in_answers_they_are_the_pages_to_a_member(installed: Callable[..., Mention]) -> None:
    mention = installed(ACCOUNTS_MENTION_PHONE_IN_ANSWERS="false")
    account = mention.ok("PUT", ACCOUNT, REQUEST | {"default_notification_phone": {"number": "+33123456789"}})
    assert account == ANSWERED | {"updated_at": account["updated_at"]}
    assert mention.ok("GET", ME) == account


def test_the_example_as_it_is_printed_is_refused_with_line_and_column(mention: Mention) -> None:
    before = stored(mention)
    headers = {"Content-Type": "application/json", "Accept-Version": "1.19"}
    told = mention.refused(400, "PUT", ACCOUNT, data=AS_PRINTED, headers=headers)
    assert told["code"] == 400
    assert re.fullmatch(r"Invalid json message received: .* at line 3, column 5", told["message"])
    assert stored(mention) == before


def test_the_minimal_example_of_the_page_puts_an_address_into_the_name(mention: Mention) -> None:
    assert mention.ok("PUT", ACCOUNT, {"name": "NEW_ACCOUNT_EMAIL"})["name"] == "NEW_ACCOUNT_EMAIL"


def test_bad_examples_are_told_where_they_are_wrong(mention: Mention) -> None:
    for body, fields in examples.BAD:
        assert unfit(mention, "PUT", ACCOUNT, body) == list(fields)


# -- The answer ---------------------------------------------------------------

HOSTS = ("api.mention.net", "api.mention.com", "web.mention.net", "web.mention.com")


def test_an_answer_is_the_same_at_every_path_and_its_link_is_the_one_of_the_api(mention: Mention) -> None:
    places = [("", "localhost"), ("/mention/api", "localhost"), ("/mention/api", HOSTS[0])]
    places += [("/api", host) for host in (*HOSTS, "API.Mention.NET", "web.mention.net.", "api.mention.com:443")]
    expected = mention.ask("GET", ME).json
    assert expected["_links"] == {"self": {"href": f"/api/accounts/{JOHN}"}}
    for root, host in places:
        for method, path, body in (("GET", ME, None), ("GET", ACCOUNT, None), ("PUT", ACCOUNT, {})):
            answer = mention.ask(method, root + path, body, headers={"Host": host})
            assert (answer.status_code, answer.json) == (200, expected), (method, root, path, host)


def test_answers_are_for_nobody_else_to_keep_and_differ_by_version(mention: Mention) -> None:
    for answer in (mention.ask("GET", ME), mention.ask("PUT", ACCOUNT, {}), mention.ask("POST", "/accounts", NEW)):
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Vary"] == "Accept-Version"


# -- Timestamps ---------------------------------------------------------------


def test_what_is_changed_was_updated_and_what_is_not_was_not(mention: Mention, monkeypatch: pytest.MonkeyPatch) -> None:
    before, recorded = mention.ask("GET", ME), len(mention.service.audited())
    assert before.json["account"]["updated_at"] == BEGAN
    same = {"name": "John Smith", "email": "j.smith@nasa.com", "language_code": "en", "phone": None}
    for body in ({}, same, {"unknown": 1}, {"client": "x"}, {"password": "Brandnew9"}, {"old_password": "x"}):
        answer = mention.ask("PUT", ACCOUNT, body)
        assert (answer.json, answer.headers["ETag"]) == (before.json, before.headers["ETag"]), body
    assert len(mention.service.audited()) == recorded

    tags = {before.headers["ETag"]}
    bodies: tuple[Any, ...] = (
        *(
            {"name": "Johnny"},
            {"email": "J.Smith@nasa.com", "old_password": OLD},
            {"phone": "1"},
            {"phone": ""},
            {"language_code": "fr"},
        ),
        *({"default_notification_phone": {"number": "123"}}, {"default_notification_phone": None}),
        *(
            {"old_password": "Mypass1", "new_password": "Mypass2"},
            {"old_password": "Mypass2", "new_password": "Mypass2"},
        ),
    )
    for seconds, body in enumerate(bodies, start=1):
        set_clock(mention, monkeypatch, BEGAN_US + seconds * 1_000_000)
        answer = mention.ask("PUT", ACCOUNT, body)
        account = answer.json["account"]
        assert account["updated_at"] == f"2016-01-18T14:49:{37 + seconds}.0+00:00", body
        assert account["created_at"] == BEGAN
        assert mention.ask("GET", ME).headers["ETag"] == answer.headers["ETag"]
        tags.add(answer.headers["ETag"])
    assert len(tags) == 1 + len(bodies)


def test_timestamps_are_whole_seconds_of_utc(mention: Mention, monkeypatch: pytest.MonkeyPatch) -> None:
    for now_us, written in (
        (BEGAN_US, BEGAN),
        (BEGAN_US + 999_999, BEGAN),
        (951_782_400_000_001, "2000-02-29T00:00:00.0+00:00"),
        (4_102_444_799_999_999, "2099-12-31T23:59:59.0+00:00"),
    ):
        set_clock(mention, monkeypatch, now_us)
        account = mention.ok("POST", "/accounts", NEW | {"email": f"{now_us}@example.com"})
        assert (account["created_at"], account["updated_at"]) == (written, written)
        assert datetime.fromisoformat(written) == datetime.fromtimestamp(now_us // 1_000_000, UTC)
        assert datetime.fromisoformat(written).utcoffset() == timedelta(0)


# -- POST ---------------------------------------------------------------------


def test_a_new_account_has_mentions_members_and_defaults(mention: Mention) -> None:
    answer = mention.ask("POST", "/accounts", NEW)
    assert answer.status_code == 200
    assert list(answer.json) == ["account", "_links"]
    account = answer.json["account"]
    assert answer.json["_links"] == {"self": {"href": f"/api/accounts/{account['id']}"}}
    assert ID.fullmatch(account["id"])
    assert account["created_at"] == account["updated_at"]
    assert TIMESTAMP.fullmatch(account["created_at"])
    assert account == {
        "id": account["id"],
        "name": "New",
        "email": "new@example.com",
        "language_code": "en",
        "created_at": account["created_at"],
        "updated_at": account["updated_at"],
        **DEFAULTS,
    }
    mention.know("NEW", account["id"])
    assert mention.ask("GET", ME, by="NEW").json == answer.json


def test_ids_grow_and_nobody_guesses_their_ends(mention: Mention) -> None:
    made = [mention.ok("POST", "/accounts", NEW | {"email": f"n{number}@example.com"})["id"] for number in range(5)]
    parts = [match.groups() for match in map(ID.fullmatch, made) if match is not None]
    assert len(parts) == len(made)
    numbers = [int(number) for number, _ in parts]
    assert numbers == sorted(numbers)
    ends = [end for _, end in parts]
    # A position that is the same in all of them is a chance of one in 36^4, but for the first: 2^256 is 6… in base 36.
    assert sum(len(set(column)) == 1 for column in zip(*ends, strict=True)) < 3
    assert len(set(ends)) == len(ends)


def test_phone_and_client_may_be_said_and_the_client_is_not_shown(mention: Mention) -> None:
    account = mention.ok("POST", "/accounts", NEW | {"phone": "(202) 358-0001", "client": "appTestMention"})
    assert account["phone"] == "(202) 358-0001"
    assert not {"client", "registration_client", "password"} & account.keys()


def test_an_empty_phone_is_none(mention: Mention) -> None:
    for email, nothing in (("a@example.com", ""), ("b@example.com", None)):
        body = NEW | {"email": email, "phone": nothing, "client": nothing}
        assert "phone" not in mention.ok("POST", "/accounts", body)


def test_what_nobody_asks_for_is_passed_over(mention: Mention) -> None:
    more = {
        "id": "1_zzz",
        "created_at": BEGAN,
        "default_notification_phone": {"number": "+33123456789"},
        "invit_id": "x",
        "inviter_id": 7,
        "permissions": {"create_alert": False},
    }
    account = mention.ok("POST", "/accounts", NEW | more)
    assert not {"default_notification_phone", "invit_id", "inviter_id"} & account.keys()
    assert account["id"] != "1_zzz"
    assert account["created_at"] > BEGAN
    assert account["permissions"] == DEFAULTS["permissions"]


def test_who_makes_an_account_has_no_right_to_it(mention: Mention) -> None:
    mention.know("NEW", mention.ok("POST", "/accounts", NEW)["id"])
    for by in ("JOHN", "JANE"):
        for method, body in (("GET", None), ("PUT", {"name": "Mine"}), ("DELETE", None)):
            told = mention.refused(403, method, "/accounts/{NEW}", body, by=by)
            assert told == {"code": 403, "message": "You are not allowed to access this account"}
    assert mention.ok("PUT", "/accounts/{NEW}", {"phone": "1"}, by="NEW")["name"] == "New"
    assert mention.ask("DELETE", "/accounts/{NEW}", by="NEW").status_code == 204


@pytest.mark.parametrize("status", (200, 201))
def test_with_which_status_an_account_is_made_is_a_setting(installed: Callable[..., Mention], status: int) -> None:
    mention = installed(ACCOUNTS_MENTION_CREATED_STATUS=str(status))
    answer = mention.ask("POST", "/accounts", NEW)
    assert (answer.status_code, answer.json["account"]["name"]) == (status, "New")
    assert mention.ask("PUT", ACCOUNT, {}).status_code == 200


# -- PUT ----------------------------------------------------------------------


def test_what_is_sent_is_changed_and_all_else_stays(mention: Mention) -> None:
    phone = "default_notification_phone"
    bodies: tuple[tuple[dict[str, Any], dict[str, Any]], ...] = (
        ({"name": "Jöhn \U0001f600"}, {}),
        ({"name": "x" * 255}, {}),
        ({"email": "john1@nasa.com", "old_password": OLD}, {}),
        ({"phone": "call me"}, {}),
        ({"phone": "x" * 255}, {}),
        ({"language_code": "iw"}, {}),
        ({phone: {"number": "+33123456789"}}, {}),
        ({phone: {"number": "0049 (30) 901-820"}}, {}),
        ({phone: {"number": 33123456789}}, {phone: {"number": "33123456789"}}),
        ({phone: {"number": "123", "unknown": 1}}, {phone: {"number": "123"}}),
    )
    before, jane = mention.ok("GET", ME), mention.ok("GET", ME, by="JANE")
    for body, kept in bodies:
        account = mention.ok("PUT", ACCOUNT, body)
        shown = {name: value for name, value in body.items() if name != "old_password"}
        assert account == before | shown | kept | {"updated_at": account["updated_at"]}
        assert mention.ok("GET", ME) == account
        before = account
    assert mention.ok("GET", ME, by="JANE") == jane


def test_null_and_an_empty_text_clear_a_phone(mention: Mention) -> None:
    before = mention.ok("GET", ME)
    phones = {"phone": "1", "default_notification_phone": {"number": "+33123456789"}}
    nothings: tuple[dict[str, Any], ...] = (
        *({"phone": None}, {"phone": ""}, {"default_notification_phone": None}),
        dict.fromkeys(phones),
    )
    for nothing in nothings:
        assert mention.ok("PUT", ACCOUNT, phones).items() >= phones.items()
        account = mention.ok("PUT", ACCOUNT, nothing)
        left = {name: value for name, value in phones.items() if name not in nothing}
        assert account == before | left | {"updated_at": account["updated_at"]}


def test_null_is_an_absent_member_elsewhere(mention: Mention) -> None:
    before = mention.ok("GET", ME)
    nulls = dict.fromkeys(("name", "email", "language_code", "old_password", "new_password", "id", "unknown"))
    assert mention.ok("PUT", ACCOUNT, nulls) == before
    account = mention.ok("PUT", ACCOUNT, nulls | {"phone": "1"})
    assert account == before | {"phone": "1", "updated_at": account["updated_at"]}


def test_a_fetched_account_may_be_sent_back(mention: Mention) -> None:
    mention.ok("PUT", ACCOUNT, {"phone": "1", "default_notification_phone": {"number": "+33123456789"}})
    before = mention.ask("GET", ME)
    for body in (before.json["account"], before.json["account"] | before.json, before.json):
        assert mention.ask("PUT", ACCOUNT, body).json == before.json


def test_what_only_the_server_writes_and_what_nobody_knows_is_passed_over(mention: Mention) -> None:
    before = mention.ok("GET", ME)
    others = {name: value for name, value in before.items() if name not in {"name", "email", "language_code"}}
    lies: dict[str, Any] = {name: "x" if isinstance(value, str) else {"x": False} for name, value in others.items()}
    assert {"id", "created_at", "updated_at", "permissions", "grouped_email_notification"} <= lies.keys()
    for body in (lies, dict.fromkeys(lies), {"company": "Acme", "language": "fr", "timezone": "UTC", "_links": []}):
        assert mention.ok("PUT", ACCOUNT, body) == before


def test_a_plain_password_and_a_client_are_not_for_a_change(mention: Mention) -> None:
    before = mention.ok("GET", ME)
    for body in ({"password": "Brandnew9"}, {"password": "x"}, {"password": 7}, {"client": "x"}, {"client": [7]}):
        assert mention.ok("PUT", ACCOUNT, body) == before
    assert not has_password(mention, "Brandnew9")
    assert has_password(mention, JOHNS_PASSWORD)


def test_a_body_need_not_be_announced(mention: Mention) -> None:
    for number, content_type in enumerate((None, "application/json", "application/json; charset=utf-8", "text/plain")):
        headers = {} if content_type is None else {"Content-Type": content_type}
        put = mention.ok("PUT", ACCOUNT, data=f'{{"name": "Put {number}"}}', headers=headers)
        assert put["name"] == f"Put {number}"
        body = json.dumps(NEW | {"email": f"n{number}@example.com"})
        assert mention.ok("POST", "/accounts", data=body, headers=headers)["email"] == f"n{number}@example.com"


# -- Passwords ----------------------------------------------------------------

DOCUMENTED = {
    "Mypas1": True,
    "1aaaaa": True,
    "naïveté1": True,
    "密碼很長的1": True,
    "a1    ": True,
    "0123456789abcdef" * 8: True,
    "a1" * 2048: True,
    "Pass1": False,
    "abcdefgh": False,
    "12345678": False,
    "123": False,
    "!$%&/()": False,
    "": False,
    "a1" * 2048 + "a": False,
}
NIST = {
    "fifteen letters": True,
    "123456789012345": True,
    "!" * 15: True,
    "fourteen1 long": False,
    "zxcvbnm123456789": False,
    "ZXCvbnm123456789": False,
    "1234567890987654321": False,
    "Mysecuredpass2": False,
}


@pytest.mark.parametrize(("policy", "passwords"), (("documented", DOCUMENTED), ("nist", NIST)))
def test_which_passwords_are_good_enough_is_a_setting(
    installed: Callable[..., Mention], policy: str, passwords: dict[str, bool]
) -> None:
    mention = installed(ACCOUNTS_MENTION_PASSWORD_POLICY=policy)
    current = JOHNS_PASSWORD
    for number, (password, is_good) in enumerate(passwords.items()):
        posted = NEW | {"email": f"n{number}@example.com", "password": password}
        put = {"old_password": current, "new_password": password}
        if is_good:
            mention.ok("POST", "/accounts", posted)
            mention.ok("PUT", ACCOUNT, put)
            current = password
        else:
            assert unfit(mention, "POST", "/accounts", posted) == ["password"], password
            assert unfit(mention, "PUT", ACCOUNT, put) == ["new_password"], password
    assert mention.ok("PUT", ACCOUNT, {"old_password": current, "new_password": current})


def test_all_that_is_against_a_password_is_told(mention: Mention) -> None:
    told = mention.refused(400, "POST", "/accounts", NEW | {"password": "!"})
    assert len(told["form"]["children"]["password"]["errors"]) == 3


UNPROVEN: tuple[tuple[dict[str, Any], list[str]], ...] = (
    ({"new_password": LATER}, ["old_password"]),
    ({"new_password": LATER, "old_password": None}, ["old_password"]),
    ({"new_password": LATER, "old_password": ""}, ["old_password"]),
    ({"new_password": LATER, "old_password": "Mypass2"}, ["old_password"]),
    ({"new_password": LATER, "old_password": "mypass1"}, ["old_password"]),
    ({"new_password": LATER, "old_password": OLD + " "}, ["old_password"]),
    ({"new_password": LATER, "old_password": JANES_PASSWORD}, ["old_password"]),
    ({"new_password": LATER, "password": OLD}, ["old_password"]),
    ({"new_password": "weak"}, ["old_password", "new_password"]),
    ({"new_password": "weak", "old_password": OLD}, ["new_password"]),
    ({"new_password": "", "old_password": OLD}, ["new_password"]),
    ({"new_password": 7, "old_password": OLD}, ["new_password"]),
    ({"new_password": LATER, "old_password": OLD, "email": "x"}, ["email"]),
    ({"new_password": LATER, "old_password": OLD, "email": "jane@example.com"}, ["email"]),
)


def test_a_new_password_needs_the_old_one_and_has_to_be_good(mention: Mention) -> None:
    for body, fields in UNPROVEN:
        assert unfit(mention, "PUT", ACCOUNT, {"name": "Changed", **body}) == fields, body
    assert has_password(mention, OLD)


def test_an_old_password_by_itself_is_passed_over(mention: Mention) -> None:
    for password in (OLD, "wrong"):
        for body in ({"old_password": password}, {"old_password": password, "new_password": None}):
            assert mention.ok("PUT", ACCOUNT, body)["updated_at"] == BEGAN
    assert has_password(mention, OLD)


# -- E-mail -------------------------------------------------------------------


def address(length: int) -> str:
    """Write an address of this length."""
    end = "@example.com"
    return "x" * (length - len(end)) + end


NO_ADDRESSES = (
    *("a", "ab", "@", "a@", "@b", address(256), "", " a@b.c", "a@b.c ", "a b@c.d"),
    *("A <a@b.c>", "<a@b.c>", "a@b@c", "a@b\n"),
)


def test_what_is_no_address_of_2_to_255_characters_is_refused(mention: Mention) -> None:
    for email in NO_ADDRESSES:
        assert unfit(mention, "PUT", ACCOUNT, {"email": email}) == ["email"], email
        assert unfit(mention, "POST", "/accounts", NEW | {"email": email}) == ["email"], email


def test_length_and_form_of_an_address_are_told_apart(mention: Mention) -> None:
    said = {}
    for length, email in ((1, "a"), (2, "ab"), (256, address(256))):
        told = mention.refused(400, "PUT", ACCOUNT, {"email": email})
        (said[length],) = told["form"]["children"]["email"]["errors"]
    assert said[1] == said[256]
    assert said[1] != said[2]
    assert "2 to 255" in said[1]


def test_an_address_is_kept_as_it_is(mention: Mention) -> None:
    for email in ("a@b", address(255), "jöhn@exämple.com", "A+b.C@[127.0.0.1]"):
        assert mention.ok("PUT", ACCOUNT, {"email": email, "old_password": OLD})["email"] == email
        mention.ok("PUT", ACCOUNT, {"email": "j.smith@nasa.com", "old_password": OLD})
        assert mention.ok("POST", "/accounts", NEW | {"email": email})["email"] == email


def test_an_address_has_one_account_in_whatever_case(mention: Mention) -> None:
    for email in ("jane@example.com", "JANE@example.com", "Jane@Example.COM"):
        assert unfit(mention, "PUT", ACCOUNT, {"email": email, "old_password": OLD}) == ["email"]
        assert unfit(mention, "POST", "/accounts", NEW | {"email": email}) == ["email"]
        assert mention.ok("PUT", "/accounts/{JANE}", {"email": email, **JANES_PROOF}, by="JANE")["email"] == email


def test_an_address_is_free_again_when_it_was_changed(mention: Mention) -> None:
    mention.ok("PUT", "/accounts/{JANE}", {"email": "other@example.com", **JANES_PROOF}, by="JANE")
    body = {"email": "Jane@example.com", "old_password": OLD}
    assert mention.ok("PUT", ACCOUNT, body)["email"] == "Jane@example.com"
    assert unfit(mention, "POST", "/accounts", NEW | {"email": "OTHER@example.com"}) == ["email"]
    assert mention.ok("POST", "/accounts", NEW | {"email": "j.smith@nasa.com"})["email"] == "j.smith@nasa.com"


# -- Languages ----------------------------------------------------------------


# As Mention lists them.
LISTED = (
    "fr en es de it pt af ar hy be bg ca zh hr cs da nl eo et fi el iw hu is "
    "ms ja ko lv lt no fa pl ro ru sr sk sl sw sv tl th tr uk vi"
)
LANGUAGES = LISTED.split()
# name: (id, whether it can be chosen)
PUSHED = {
    "default": (302, True),
    "instantly": (101, True),
    "5min": (205, True),
    "15min": (215, False),
    "30min": (230, False),
    "hourly": (260, True),
    "daily": (102, False),
    "weekly": (103, False),
    "never": (100, True),
}
MAILED = {"default": (302, True), "daily": (102, True), "weekly": (103, True), "never": (100, True)}
TRENDING = {"default": (302, True), "occasionally": (495, True), "often": (450, True), "never": (100, True)}


def test_the_words_are_mentions(mention: Mention) -> None:
    data = mention.ok("GET", "/app/data")
    shown = {code: language["name"] for code, language in data["app_languages"].items()}
    assert shown == {"fr": "Français", "en": "English", "de": "Deutsch", "es": "Español"}
    assert data["locale"] == "en"
    languages = data["alert_languages"]
    assert [(code, one["code"], one["order"]) for code, one in languages.items()] == [
        (code, code, order) for order, code in enumerate(LANGUAGES)
    ]
    assert (languages["iw"]["name"], languages["ms"]["name"]) == ("Hebrew", "Indonesian")
    for name, known in (
        *(("push", PUSHED), ("desktop", PUSHED), ("email", MAILED)),
        *(("trending_email", TRENDING), ("trending_sms", TRENDING)),
    ):
        found = data[f"{name}_notification_frequencies"]
        assert {one: (way["id"], way["enabled"]) for one, way in found.items()} == known
        assert [way["order"] for way in found.values()] == list(range(len(known)))
        account = mention.ok("GET", ME)
        assert account[f"default_{name}_notification_frequency"] in found


def test_all_languages_of_alerts_are_taken(mention: Mention) -> None:
    assert len(LANGUAGES) == 44
    for code in LANGUAGES:
        assert mention.ok("PUT", ACCOUNT, {"language_code": code})["language_code"] == code
    assert mention.ok("POST", "/accounts", NEW | {"language_code": "vi"})["language_code"] == "vi"


def test_other_languages_are_refused(mention: Mention) -> None:
    for code in ("xx", "eng", "EN", "En", "he", "id", "e", "", "en ", "en-GB", "français"):
        assert unfit(mention, "PUT", ACCOUNT, {"language_code": code}) == ["language_code"], code
        assert unfit(mention, "POST", "/accounts", NEW | {"language_code": code}) == ["language_code"], code


# -- Errors -------------------------------------------------------------------


NO_TEXTS: tuple[Any, ...] = (7, 1.5, True, [], ["a@b.c"], {}, {"a": 1})
NO_NUMBERS: tuple[Any, ...] = (
    *(None, True, 1.5, 1e3, 12, -33123456789, "", "x", "12", "1" * 42, "1\n23", "\uff11\uff12\uff13", ["123"], {}),
)


def test_a_member_of_a_new_account_that_is_no_text_is_refused(mention: Mention) -> None:
    for name in POSTED:
        for value in NO_TEXTS:
            assert unfit(mention, "POST", "/accounts", NEW | {name: value}) == [name], value


def test_a_member_of_a_change_that_is_of_another_type_is_refused(mention: Mention) -> None:
    for name in PUT:
        more = {"old_password": OLD} if name == "new_password" else {}
        for value in NO_TEXTS:
            assert unfit(mention, "PUT", ACCOUNT, {**more, name: value}) == [name], value
    phone = "default_notification_phone"
    for value in ("+33123456789", *({"number": number} for number in NO_NUMBERS)):
        assert unfit(mention, "PUT", ACCOUNT, {phone: value}) == [phone], value


def test_a_text_that_is_no_line_of_255_characters_is_refused(mention: Mention) -> None:
    for body in ({"name": ""}, {"name": "x" * 256}, {"name": "a\nb"}, {"phone": "x" * 256}, {"phone": "1\r2"}):
        assert unfit(mention, "PUT", ACCOUNT, body) == list(body)
        assert unfit(mention, "POST", "/accounts", NEW | body) == list(body)


def test_what_is_no_object_is_told_at_the_root(mention: Mention) -> None:
    before = stored(mention)
    for raw in (b"[]", b'[{"name": "x"}]', b'"x"', b"1", b"true", b"null"):
        for method, path, fields in (("PUT", ACCOUNT, PUT), ("POST", "/accounts", POSTED)):
            told = mention.refused(400, method, path, data=raw)
            assert told["form"].keys() == {"errors", "children"}
            assert told["form"]["errors"]
            assert told["form"]["children"] == {name: [] for name in fields}
    assert stored(mention) == before


UNREADABLE = (
    b"",
    b"{",
    b"{'name': 'x'}",
    b'{"name": "x"} x',
    b'{"name": "x", "name": "y"}',
    b'{"name": NaN}',
    b'{"name": "\xff"}',
    b'{"name": "\\u0000"}',
    # As the page has it.
    b'{"default_notification_phone": {"number": +33123456789}}',
)


def test_what_cannot_be_read_is_told_with_its_status(mention: Mention) -> None:
    before = stored(mention)
    for raw in UNREADABLE:
        for method, path in (("PUT", ACCOUNT), ("POST", "/accounts")):
            told = mention.refused(400, method, path, data=raw, headers={"Content-Type": "application/json"})
            assert (told.keys(), told["code"]) == ({"code", "message"}, 400)
            assert told["message"].startswith("Invalid json message received")
    assert stored(mention) == before


@pytest.mark.parametrize("empty", ([], {}))
def test_all_fields_that_fail_are_told_at_once_and_the_rest_is_empty(
    installed: Callable[..., Mention], empty: Any
) -> None:
    mention = installed(ACCOUNTS_MENTION_EMPTY_CHILD="list" if empty == [] else "object")

    def failing(method: str, path: str, body: Any) -> list[str]:
        told = mention.refused(400, method, path, body)
        assert told.keys() == {"form"}
        children = told["form"]["children"]
        assert all(child == empty or child["errors"] for child in children.values())
        assert tuple(children) == (POSTED if method == "POST" else PUT)
        return [name for name, child in children.items() if child != empty]

    bad = {"name": "", "email": "a", "phone": 7, "language_code": "xx", "default_notification_phone": 7}
    assert failing("PUT", ACCOUNT, bad | {"new_password": "weak"}) == list(PUT)
    assert failing("PUT", ACCOUNT, {"name": "", "new_password": "weak", "old_password": OLD}) == [
        "name",
        "new_password",
    ]
    assert failing("POST", "/accounts", bad | {"password": "weak", "client": 7}) == list(POSTED)
    assert failing("POST", "/accounts", {}) == ["name", "email", "password", "language_code"]
    assert failing("POST", "/accounts", dict.fromkeys(POSTED)) == ["name", "email", "password", "language_code"]
    v1 = {"name": "Acme", "email": "a@b.c", "password": "secure-password1", "language": "en", "company": None}
    assert failing("POST", "/accounts", v1) == ["language_code"]


# -- DELETE -------------------------------------------------------------------


def test_who_deletes_his_account_is_gone_with_his_tokens(mention: Mention) -> None:
    mention.know("AGAIN", JOHN)
    answer = mention.ask("DELETE", ACCOUNT)
    assert (answer.status_code, answer.data) == (204, b"")
    for by in ("JOHN", "AGAIN", "EXPIRED"):
        for method, path in (
            ("GET", ME),
            ("GET", ACCOUNT),
            ("PUT", ACCOUNT),
            ("DELETE", ACCOUNT),
            ("GET", "/app/data"),
        ):
            told = mention.refused(401, method, path, by=by)
            assert told == {"error": "invalid_grant", "error_description": "The access token provided is invalid."}
    gone, never = (mention.ask("GET", path, by="JANE") for path in (ACCOUNT, "/accounts/b"))
    assert (gone.status_code, gone.json) == (never.status_code, never.json) == (403, gone.json)
    assert mention.ok("GET", ME, by="JANE")["name"] == "Jane Doe"

    again = mention.ok("POST", "/accounts", NEW | {"email": "J.SMITH@nasa.com"}, by="JANE")
    assert again["id"] != JOHN
    assert mention.ask("GET", ME).status_code == 401


def test_a_code_of_who_is_gone_gets_no_token(mention: Mention) -> None:
    assert mention.ask("DELETE", "/accounts/{JANE}", by="JANE").status_code == 204
    fields = {
        "grant_type": "authorization_code",
        "client_id": CLIENT_ID,
        "client_secret": mention.names["CLIENT_SECRET"],
        "code": mention.names["AUTH_CODE"],
        "redirect_uri": CALLBACK,
    }
    told = mention.refused(400, "POST", "/mention/oauth/v2/token", by=None, data=fields)
    assert told["error"] == "invalid_grant"


@pytest.mark.parametrize("status", (200, 204))
def test_with_which_status_an_account_is_deleted_is_a_setting(installed: Callable[..., Mention], status: int) -> None:
    mention = installed(ACCOUNTS_MENTION_DELETED_STATUS=str(status))
    answer = mention.ask("DELETE", ACCOUNT)
    assert (answer.status_code, answer.data) == (status, b"")
    assert mention.ask("GET", ME).status_code == 401


# -- Conditions ---------------------------------------------------------------


MET = (
    *(("If-Match", "{tag}"), ("If-Match", '"x", {tag}'), ("If-Match", "*"), ("If-Match", "W/{tag}")),
    *(("If-None-Match", '"x"'), ("If-None-Match", 'W/"x"'), ("If-None-Match", "")),
)
UNMET = (
    *(("If-Match", 'W/"x"'), ("If-Match", '"x"'), ("If-Match", "")),
    *(
        ("If-None-Match", "{tag}"),
        ("If-None-Match", "W/{tag}"),
        ("If-None-Match", '"x", {tag}'),
        ("If-None-Match", "*"),
    ),
)


def test_a_change_that_depends_on_something_else_is_not_made(mention: Mention) -> None:
    before, tag = stored(mention), mention.ask("GET", ME).headers["ETag"]
    for header, value in UNMET:
        headers = {header: value.format(tag=tag)}
        for method, body in (("PUT", {"name": "Changed"}), ("PUT", {}), ("DELETE", None)):
            told = mention.refused(412, method, ACCOUNT, body, headers=headers)
            assert (told.keys(), told["code"]) == ({"code", "message"}, 412), headers
    assert stored(mention) == before


def test_a_change_that_depends_on_what_is_there_is_made(mention: Mention) -> None:
    for number, (header, value) in enumerate(MET):
        tag = mention.ask("GET", ME).headers["ETag"]
        mention.ok("PUT", ACCOUNT, {"name": f"Changed {number}"}, headers={header: value.format(tag=tag)})
        made = mention.ask("POST", "/accounts", NEW)
        mention.know("NEW", made.json["account"]["id"])
        headers = {header: value.format(tag=made.headers["ETag"])}
        assert mention.ask("DELETE", "/accounts/{NEW}", by="NEW", headers=headers).status_code == 204


def test_a_tag_is_good_till_the_next_change(mention: Mention) -> None:
    first = mention.ask("GET", ME).headers["ETag"]
    second = mention.ask("PUT", ACCOUNT, {"name": "Second"}, headers={"If-Match": first}).headers["ETag"]
    assert second != first
    for method, body in (("PUT", {"name": "Third"}), ("PUT", {}), ("DELETE", None)):
        mention.refused(412, method, ACCOUNT, body, headers={"If-Match": first})
    mention.refused(412, "PUT", ACCOUNT, {"old_password": OLD, "new_password": LATER}, headers={"If-Match": first})
    assert has_password(mention, OLD)
    current = mention.ask("GET", ME).headers["ETag"]
    assert mention.ask("PUT", ACCOUNT, {}, headers={"If-Match": current}).headers["ETag"] == current
    assert mention.ask("DELETE", ACCOUNT, headers={"If-Match": current}).status_code == 204


# -- Secrets ------------------------------------------------------------------


def test_no_answer_and_no_log_line_holds_a_password_or_a_token(
    mention: Mention, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    john, secret = mention.names["TOKEN_JOHN"], mention.names["CLIENT_SECRET"]
    passwords = (OLD, JANES_PASSWORD, LATER, "Wrongpass7", "fivey", "Unwanted9")
    hashes = [row for row in _column(mention, "password") if row]
    digests = _column(mention, "digest", "mention_token")
    text = ""
    with capture_logs() as logged:
        for method, path, body, options in (
            ("GET", ME, None, {}),
            ("GET", f"{ME}?access_token={john}", None, {"by": None}),
            ("GET", f"{ME}?access_token={john}", None, {}),
            ("GET", f"/nowhere?access_token={john}", None, {}),
            ("GET", f"/mention/api/nowhere?access_token={john}", None, {}),
            ("GET", ME, None, {"by": "EXPIRED"}),
            ("GET", ME, None, {"by": None, "headers": {"Authorization": f"Bearer {john[:-1]}"}}),
            ("GET", ME, None, {"by": None, "headers": {"Authorization": f"Token {john}"}}),
            ("DELETE", "/accounts/{JANE}", None, {"by": None, "data": {"access_token": john}}),
            ("POST", "/accounts", NEW | {"password": "fivey"}, {}),
            ("POST", "/accounts", NEW | {"password": ["Unwanted9"]}, {}),
            ("POST", "/accounts", NEW | {"password": LATER}, {}),
            ("PUT", ACCOUNT, {"password": "Unwanted9"}, {}),
            ("PUT", ACCOUNT, {"old_password": "Wrongpass7", "new_password": LATER}, {}),
            ("PUT", ACCOUNT, {"old_password": OLD, "new_password": "fivey"}, {}),
            ("PUT", ACCOUNT, {"old_password": {"x": OLD}, "new_password": [LATER]}, {}),
            ("PUT", ACCOUNT, {"old_password": OLD, "new_password": LATER}, {}),
            ("PUT", ACCOUNT, None, {"data": f'{{"old_password": "{OLD}" "new_password": "{LATER}"}}'}),
            (
                "POST",
                "/mention/oauth/v2/token",
                None,
                {"by": None, "data": {"client_id": CLIENT_ID, "client_secret": secret}},
            ),
            ("DELETE", ACCOUNT, None, {}),
            ("GET", ME, None, {}),
        ):
            answer = mention.ask(method, path, body, **options)
            text += f"{answer.text}{answer.headers}"
    assert len(logged) >= 21
    told = f"{text}{logged}{caplog.text}{mention.service.audited()}"
    tokens = [value for name, value in mention.names.items() if not name.startswith("ACCOUNT_")]
    assert [shown for shown in (*passwords, *hashes, *digests, *tokens, john[:-1]) if shown in told] == []


def _column(mention: Mention, name: str, table: str = "mention_account") -> list[str]:
    with mention.service.services.database.looking() as connection:
        return [str(row[0]) for row in connection.exec_driver_sql(f"SELECT {name} FROM {table}")]  # noqa: S608  # the test's own words
