"""What becomes of a caller as far as the configuration alone decides it."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
import yaml

from accounts_service.access.authenticators import JWT
from accounts_service.access.configuration import AUTHC, REQUIRED, USERS, Configuration, read
from accounts_service.access.log_ins import Caller, caller_of
from accounts_service.access.roles import REALM, Address, Identity
from tests.support import personas

BASIC = {"type": "basic/internal_users_db"}
BY_PROXY = {"type": "trusted_origin", "user_mapping": {"user_name": {"from": "request.headers.x-user"}}}
BY_TOKEN = {"type": "jwt", "jwt": {"signing_key": "c2VjcmV0" * 8}}


def configured(*domains: object, **network: object) -> Configuration:
    texts = dict.fromkeys(REQUIRED, "")
    texts[USERS] = yaml.safe_dump({"carol": {"hash": personas.hash_of("carol"), "attributes": {"alias": "caroline"}}})
    texts[AUTHC] = yaml.safe_dump({"auth_domains": list(domains), "network": network})
    configuration, problems = read(texts)
    assert not problems
    return configuration


def found(configuration: Configuration, name: str, address: str | None = None) -> Caller:
    where: Address | None = None if address is None else ip_address(address)
    return caller_of(configuration, Identity(REALM, name, address=where), by_socket=False)


@pytest.mark.parametrize("proxies", ({"trusted_proxies_regex": r"10\..*"}, {"trusted_proxies": "10.0.0.0/8"}))
def test_a_proxy_is_a_way_for_whoever_is_behind_it(proxies: dict[str, object]) -> None:
    assert found(configured(BY_PROXY, **proxies), "dave", "192.0.2.1").obstacle is None
    assert found(configured(BY_PROXY), "dave", "192.0.2.1").obstacle is not None


def test_no_token_names_who_cannot_be_printed() -> None:
    configuration = configured(BY_TOKEN)
    assert found(configuration, "dave").identity.domain == JWT
    assert found(configuration, "da\x1bve").obstacle is not None


def _renaming(source: str) -> Caller:
    return found(configured({**BASIC, "user_mapping": {"user_name": {"from": source}}}), "carol")


def test_a_mapping_may_know_somebody_by_another_name() -> None:
    caller = _renaming("user_entry.attributes.alias")
    assert caller.identity.name == "caroline"
    assert "the user_mapping has 'carol' known as 'caroline'" in caller.notes


def test_what_only_a_header_tells_is_noted_and_not_guessed() -> None:
    caller = _renaming("request.headers.x-user")
    assert caller.identity.name == "carol"
    assert any("is not known here" in note for note in caller.notes)
