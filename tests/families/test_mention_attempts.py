"""How many wrong passwords of Mention's accounts are too many, on the page and where one is changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.installation import Installation
from tests.support.lines import occupied
from tests.support.mention import JANES_PASSWORD, JOHNS_PASSWORD, Mention
from tests.support.mention_page import NOON, Browser, Clock, brought, problem_of, started, title_of
from tests.support.service import Answer, Service

JOHNS, JANES = "j.smith@nasa.com", "jane@example.com"
QUARTER_S = 15 * 60
STRICT = {
    "ACCOUNTS_LOGIN_FAILURES_PER_BOTH": "3",
    "ACCOUNTS_LOGIN_FAILURES_PER_NETWORK": "5",
    "ACCOUNTS_LOGIN_FAILURES_PER_USER": "15",
}
# A line without places to wait in.
STRICT["ACCOUNTS_HASH_PLACES"] = STRICT["ACCOUNTS_HASHES_AT_ONCE"] = "2"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def mention(installation: Installation, clock: Clock) -> Iterator[Mention]:
    service = started(installation, clock)
    yield Mention(service)
    service.close()


@pytest.fixture
def strict(installation: Installation, clock: Clock) -> Iterator[Mention]:
    """Give a service that takes three wrong passwords of an account, and five from an address."""
    service = started(installation, clock, **STRICT)
    yield Mention(service)
    service.close()


def limited(answer: Answer, wait_s: int = QUARTER_S, reset_s: int = NOON + QUARTER_S) -> None:
    """Be sure that there were enough wrong passwords, for so long."""
    assert answer.status_code == 429, answer.text
    assert (answer.headers["X-Rate-Limit-Reset"], answer.headers["Retry-After"]) == (str(reset_s), str(wait_s))


def attempt(mention: Mention, email: str, password: str, **options: Any) -> Answer:
    """Sign in with a browser of its own."""
    headers = options.pop("headers", None)
    browser = Browser(mention.service, **options)
    browser.open()
    return browser.sign_in(email, password, headers=headers)


def statuses(mention: Mention, email: str, password: str, times: int, **options: Any) -> list[int]:
    return [attempt(mention, email, password, **options).status_code for _ in range(times)]


def put(mention: Mention, old: str, new: str = JOHNS_PASSWORD) -> Answer:
    """Change John's password."""
    return mention.ask("PUT", "/accounts/{JOHN}", {"old_password": old, "new_password": new})


def test_after_ten_wrong_passwords_not_even_the_right_one_is_tried(mention: Mention, clock: Clock) -> None:
    assert statuses(mention, JOHNS, "wrong", 10) == [400] * 10
    answer = attempt(mention, JOHNS, JOHNS_PASSWORD)
    limited(answer)
    assert title_of(answer) == "Sign in"
    assert problem_of(answer) == "Too many attempts. Please try again in 15 minutes."
    assert answer.headers["X-Frame-Options"] == "DENY"
    clock.seconds += QUARTER_S - 60
    answer = attempt(mention, JOHNS.upper(), JOHNS_PASSWORD)
    limited(answer, wait_s=60)
    assert problem_of(answer) == "Too many attempts. Please try again in 1 minute."
    told = put(mention, JOHNS_PASSWORD)
    limited(told, wait_s=60)
    assert told.json == {"code": 429, "message": "Too many attempts"}
    # Others are let in, and who has signed in before stays so.
    assert attempt(mention, JANES, JANES_PASSWORD).status_code == 303
    assert mention.ask("GET", "/accounts/me").status_code == 200
    clock.seconds += 60
    assert statuses(mention, JOHNS, "wrong", 10) == [400] * 10
    limited(attempt(mention, JOHNS, JOHNS_PASSWORD), reset_s=NOON + 2 * QUARTER_S)


def test_who_signs_in_is_not_signed_out_by_who_guesses(mention: Mention) -> None:
    browser = Browser(mention.service)
    browser.signed_in(JOHNS, JOHNS_PASSWORD)
    statuses(mention, JOHNS, "wrong", 11)
    assert "code" in brought(browser.send("allow"))


def test_a_hundred_wrong_passwords_from_one_address_are_enough(mention: Mention) -> None:
    browser = Browser(mention.service)
    browser.open()
    answers = [browser.sign_in(f"{number // 2}@example.com", "wrong") for number in range(100)]
    assert {answer.status_code for answer in answers} == {400}
    limited(browser.sign_in(JOHNS, JOHNS_PASSWORD))
    assert attempt(mention, JOHNS, JOHNS_PASSWORD, peer="192.0.2.1").status_code == 303


def test_right_passwords_do_not_count(strict: Mention) -> None:
    for _ in range(3):
        assert statuses(strict, JOHNS, JOHNS_PASSWORD, 3) == [303] * 3
        assert put(strict, JOHNS_PASSWORD).status_code == 200
    assert statuses(strict, JOHNS, "wrong", 2) == [400] * 2
    assert statuses(strict, JOHNS, JOHNS_PASSWORD, 6) == [303] * 6
    assert statuses(strict, JOHNS, "wrong", 2) == [400, 429]


def test_even_right_ones_are_tried_a_hundred_times_and_no_more(mention: Mention, clock: Clock) -> None:
    # Each costs a hash, as a wrong one does.
    browser = Browser(mention.service)
    browser.open()
    for _ in range(100):
        assert browser.sign_in(JOHNS, JOHNS_PASSWORD).status_code == 303
        browser.open()
        browser.send("sign-out")
        browser.open()
    limited(browser.sign_in(JOHNS, JOHNS_PASSWORD))
    limited(put(mention, JOHNS_PASSWORD))
    assert attempt(mention, JANES, JANES_PASSWORD).status_code == 303
    clock.seconds += QUARTER_S
    assert attempt(mention, JOHNS, JOHNS_PASSWORD).status_code == 303


def test_a_wrong_old_password_counts_as_one_on_the_page(strict: Mention) -> None:
    answer = put(strict, "wrong")
    assert (answer.status_code, bool(answer.json["form"]["children"]["old_password"])) == (400, True)
    assert statuses(strict, JOHNS, "wrong", 1) == [400]
    assert put(strict, "wrong").status_code == 400
    limited(put(strict, "wrong"))
    limited(put(strict, JOHNS_PASSWORD))
    limited(attempt(strict, JOHNS, JOHNS_PASSWORD))
    # What needs no password is not held back.
    assert strict.ask("PUT", "/accounts/{JOHN}", {"name": "Somebody"}).status_code == 200


def test_a_wrong_old_password_counts_whatever_else_is_wrong(strict: Mention) -> None:
    told = [put(strict, "wrong", "short") for _ in range(3)]
    assert {answer.status_code for answer in told} == {400}
    limited(put(strict, "wrong", "short"))
    limited(put(strict, JOHNS_PASSWORD))


def test_what_tries_no_password_counts_none(strict: Mention) -> None:
    bodies = ({"new_password": "Mypass2"}, {"old_password": "wrong"}, {"old_password": 7, "new_password": "Mypass2"})
    for body in bodies * 3:
        assert strict.ask("PUT", "/accounts/{JOHN}", body).status_code in {200, 400}
        assert (
            strict.ask("PUT", "/accounts/{JANE}", {"old_password": "x", "new_password": "Mypass2"}).status_code == 403
        )
    assert put(strict, JOHNS_PASSWORD).status_code == 200


def test_an_address_that_nobody_has_is_counted_as_well(strict: Mention) -> None:
    assert statuses(strict, "nobody@example.com", "x", 4) == [400, 400, 400, 429]
    assert statuses(strict, "NOBODY@example.com ", "x", 1) == [429]
    assert statuses(strict, JOHNS, JOHNS_PASSWORD, 1) == [303]


def test_from_one_address_only_so_many_are_tried(strict: Mention) -> None:
    peer = "192.0.2.7"
    assert [attempt(strict, f"{number}@example.com", "x", peer=peer).status_code for number in range(5)] == [400] * 5
    limited(attempt(strict, JOHNS, JOHNS_PASSWORD, peer=peer))
    limited(attempt(strict, "another@example.com", "x", peer=peer))
    assert statuses(strict, JOHNS, JOHNS_PASSWORD, 9, peer="192.0.2.8") == [303] * 9


def test_who_is_held_back_for_his_address_holds_nobody_elses_account_back(strict: Mention) -> None:
    assert [attempt(strict, f"{number}@example.com", "x", peer="192.0.2.7").status_code for number in range(5)] == [
        400
    ] * 5
    assert statuses(strict, JOHNS, "wrong", 101, peer="192.0.2.7") == [429] * 101
    assert statuses(strict, JOHNS, "wrong", 2, peer="192.0.2.8") == [400] * 2
    assert statuses(strict, JOHNS, JOHNS_PASSWORD, 1, peer="192.0.2.8") == [303]


def test_of_version_six_the_network_of_a_site_is_one_address(strict: Mention) -> None:
    for number in range(5):
        peer = f"2001:db8:0:1{number:02}:{number}:2:3:{number}"
        assert attempt(strict, f"{number}@example.com", "x", peer=peer).status_code == 400
    limited(attempt(strict, JOHNS, JOHNS_PASSWORD, peer="2001:db8:0:1ff:ffff::1"))
    assert attempt(strict, JOHNS, JOHNS_PASSWORD, peer="2001:db8:0:200::1").status_code == 303


def test_an_address_of_version_four_is_itself_however_it_is_written(strict: Mention) -> None:
    for number in range(5):
        peer = ("192.0.2.7", "::ffff:192.0.2.7")[number % 2]
        assert attempt(strict, f"{number}@example.com", "x", peer=peer).status_code == 400
    limited(attempt(strict, JOHNS, JOHNS_PASSWORD, peer="::ffff:c000:207"))
    assert attempt(strict, JOHNS, JOHNS_PASSWORD, peer="::ffff:192.0.2.8").status_code == 303


PROXY = {"auth_domains": [{"type": "basic/internal_users_db"}], "network": {"trusted_proxies": "10.0.0.0/8"}}


def test_whose_address_it_is_only_a_trusted_proxy_says(strict: Mention) -> None:
    strict.service.configure({"sg_authc.yml": PROXY})

    def status(number: int, peer: str, forwarded: str) -> int:
        headers = {"X-Forwarded-For": forwarded}
        return attempt(strict, f"{number}@example.com", "x", peer=peer, headers=headers).status_code

    # Whoever comes by himself is who he is, whatever he says.
    assert [status(number, "192.0.2.7", f"198.51.100.{number}") for number in range(6)] == [400] * 5 + [429]
    assert [status(number, "10.0.0.1", "192.0.2.7") for number in (10, 11)] == [429] * 2
    # What he makes up before the proxy adds his address is not looked at.
    assert [status(20 + number, "10.0.0.1", f"198.51.100.{number}, 192.0.2.9") for number in range(6)] == [400] * 5 + [
        429
    ]
    assert status(30, "10.0.0.2", "192.0.2.10, 10.0.0.9") == 400
    assert status(31, "10.0.0.2", "nowhere") == 400
    refused = attempt(strict, JOHNS, JOHNS_PASSWORD, peer="10.0.0.1", headers={"X-Forwarded-For": "nowhere"})
    assert refused.json == {"code": 400, "message": "x-forwarded-for is not a list of addresses"}


def test_callers_without_an_address_have_one_limit_together(strict: Mention) -> None:
    assert statuses(strict, JOHNS, "wrong", 4, peer="") == [400, 400, 400, 429]
    assert [attempt(strict, f"{number}@example.com", "x", peer="").status_code for number in range(3)] == [
        400,
        400,
        429,
    ]
    assert statuses(strict, JOHNS, JOHNS_PASSWORD, 1, peer="192.0.2.8") == [303]


def test_guesses_from_one_network_lock_no_owner_out_of_another(strict: Mention) -> None:
    assert statuses(strict, JOHNS, "wrong", 4, peer="192.0.2.7") == [400] * 3 + [429]
    assert statuses(strict, JOHNS, JOHNS_PASSWORD, 1, peer="192.0.2.8") == [303]
    for number in range(10, 14):
        statuses(strict, JOHNS, "wrong", 3, peer=f"192.0.2.{number}")
    # All that is checked per user is used up; where John has been, he signs in.
    assert statuses(strict, JOHNS, JOHNS_PASSWORD, 1, peer="192.0.2.9") == [429]
    assert statuses(strict, JOHNS, JOHNS_PASSWORD, 1, peer="192.0.2.8") == [303]


@pytest.mark.parametrize("password", (JOHNS_PASSWORD + "\0", JOHNS_PASSWORD + "\0" + JOHNS_PASSWORD))
def test_password_with_nul_is_wrong_and_counted(strict: Mention, password: str) -> None:
    assert statuses(strict, JOHNS, password, 4) == [400, 400, 400, 429]


def test_after_a_quarter_of_an_hour_one_may_try_again(strict: Mention, clock: Clock) -> None:
    statuses(strict, JOHNS, "wrong", 1)
    clock.seconds += 600
    statuses(strict, JOHNS, "wrong", 2)
    limited(attempt(strict, JOHNS, JOHNS_PASSWORD), wait_s=300)
    clock.seconds += 299.9
    limited(attempt(strict, JOHNS, JOHNS_PASSWORD), wait_s=1)
    clock.seconds += 0.1
    assert statuses(strict, JOHNS, "wrong", 2) == [400] * 2
    assert attempt(strict, JOHNS, JOHNS_PASSWORD).status_code == 303


def test_what_was_counted_outlasts_a_restart(strict: Mention, installation: Installation, clock: Clock) -> None:
    names = strict.names
    assert statuses(strict, JOHNS, "wrong", 3) == [400] * 3
    strict.service.close()
    again = copy_of(strict, started(installation, clock, **STRICT))
    assert again.names is names
    limited(attempt(again, JOHNS, JOHNS_PASSWORD))
    assert attempt(again, JANES, JANES_PASSWORD).status_code == 303
    again.service.close()


def test_two_that_serve_at_once_count_together(strict: Mention, installation: Installation, clock: Clock) -> None:
    other = copy_of(strict, started(installation, clock, **STRICT))
    got = [attempt(one, JOHNS, "wrong").status_code for one in (strict, other, strict, other, strict)]
    assert got == [400, 400, 400, 429, 429]
    for one in (strict, other):
        limited(put(one, JOHNS_PASSWORD))
    other.service.close()


def copy_of(mention: Mention, service: Service) -> Mention:
    """Ask another service, which has the same accounts."""
    other = object.__new__(Mention)
    other.service, other.names = service, mention.names
    return other


def test_when_too_many_are_hashing_one_is_told_to_come_again_and_nothing_is_counted(strict: Mention) -> None:
    browser = Browser(strict.service)
    browser.open()
    with occupied(strict.service.services.lines.hashing, 2):
        for _ in range(5):
            for answer in (browser.sign_in(JOHNS, "wrong"), put(strict, "wrong")):
                assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert statuses(strict, JOHNS, "wrong", 2) == [400] * 2
    assert attempt(strict, JOHNS, JOHNS_PASSWORD).status_code == 303
