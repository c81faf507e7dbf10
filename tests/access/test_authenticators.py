"""Each way to find out who is asking, by itself."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from types import MappingProxyType
from unittest.mock import create_autospec

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from accounts_service.access.authenticators import (
    ANONYMOUS,
    BASIC,
    TRUSTED_ORIGIN,
    Conditions,
    Criteria,
    Facts,
    Identified,
    NoCredentials,
    Origin,
    Outcome,
    Peer,
    Rejected,
)
from accounts_service.access.authenticators.anonymous import Anonymous
from accounts_service.access.authenticators.basic import CHALLENGE, Basic
from accounts_service.access.authenticators.internal_users import (
    InternalUser,
    InternalUsers,
    VerifiedCredentials,
    hash_password,
)
from accounts_service.access.authenticators.trusted_origin import TrustedOrigin
from accounts_service.access.authenticators.user_mapping import Names, Source, UserMapping, parse_path
from accounts_service.access.patterns import Matcher
from accounts_service.access.roles import REALM, Identity
from accounts_service.faults import Overloaded, RefusedError
from tests.support.lines import narrow
from tests.support.log_ins import Unlimited
from tests.support.personas import hash_of, password

ADDRESS = ip_address("192.0.2.1")
PROXY = ip_address("10.0.0.1")
DIRECT = Origin(Peer(ADDRESS), trusted=False, address=ADDRESS)
PROXIED = Origin(Peer(PROXY), trusted=True, address=ADDRESS)

ALICE = InternalUser(
    hash=hash_of("alice"),
    backend_roles=frozenset(("sales",)),
    roles=frozenset(("reader",)),
    attributes=(("level", "1"), ("room", "7")),
)
USERS = InternalUsers({"alice": ALICE}, VerifiedCredentials(), narrow(), Unlimited())


def names(path: str) -> Names:
    return Names((Source(parse_path(path)),))


def token(name: str, secret: str | None = None) -> str:
    return base64.b64encode(f"{name}:{password(name) if secret is None else secret}".encode()).decode()


NOTHING: Mapping[str, str] = MappingProxyType({})


def basic(
    header: str | None,
    conditions: Conditions = Conditions(),  # noqa: B008  # frozen
    mapping: UserMapping = UserMapping(),  # noqa: B008  # frozen
    *,
    origin: Origin = DIRECT,
    challenge: bool = True,
    headers: Mapping[str, str] = NOTHING,
) -> Outcome:
    sent = headers if header is None else {"authorization": header, **headers}
    return Basic(conditions, USERS, mapping, challenge).authenticate(Facts(origin.peer, sent), origin)


def identity_of(outcome: Outcome) -> Identity:
    assert isinstance(outcome, Identified)
    return outcome.identity


# -- Basic --------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ("Basic ", "basic ", "BASIC ", "bAsIc   ", "  Basic "))
def test_the_right_password_identifies_under_the_scheme_in_any_case(scheme: str) -> None:
    assert identity_of(basic(scheme + token("alice"))) == Identity(
        realm=REALM,
        name="alice",
        backend_roles=ALICE.backend_roles,
        roles=ALICE.roles,
        attributes=ALICE.attributes,
        address=ADDRESS,
        domain=BASIC,
    )


def test_a_name_and_a_password_are_parted_at_the_first_colon() -> None:
    users = InternalUsers(
        {"x": InternalUser(hash=hash_password("pass:word:", cost=4))}, VerifiedCredentials(), narrow(), Unlimited()
    )
    facts = Facts(DIRECT.peer, {"authorization": "Basic " + token("x", "pass:word:")})
    assert identity_of(Basic(Conditions(), users).authenticate(facts, DIRECT)).name == "x"


NO_CREDENTIALS = (
    None,
    "",
    "Basic",
    "Basic ",
    "Bearer " + token("alice"),
    "BasicX " + token("alice"),
    token("alice"),
    "Basic " + base64.b64encode(b"alice").decode(),
    "Basic *" + token("alice"),
    "Basic " + token("alice")[:-1],
    "Basic " + token("alice") + "é",
    "Basic é",
    "Basic \xff\xfe",
    "Basic 日本",
    "Basic " + base64.b64encode(b"\xff\xfe:secret").decode(),
    f"Basic {token('alice')},Basic {token('alice')}",
)


@pytest.mark.parametrize("header", NO_CREDENTIALS)
def test_what_cannot_be_read_is_no_credentials_and_is_asked_for(header: str | None) -> None:
    assert basic(header) == NoCredentials(CHALLENGE)
    assert basic(header, challenge=False) == NoCredentials(None)


@given(st.one_of(st.text(), st.text().map("Basic {}".format), st.binary().map(lambda raw: raw.decode("latin-1"))))
@example("Basic OmE=")
@example("Basic Og==")
def test_no_header_makes_anything_but_an_outcome(header: str) -> None:
    nobody = create_autospec(InternalUsers, spec_set=True, instance=True)
    nobody.verify.return_value = None
    outcome = Basic(Conditions(), nobody).authenticate(Facts(DIRECT.peer, {"authorization": header}), DIRECT)
    assert isinstance(outcome, Rejected | NoCredentials)


@pytest.mark.parametrize(
    "header", ("Basic " + token("alice", "wrong"), "Basic " + token("bob"), "Basic " + token("", ""))
)
def test_a_wrong_password_is_rejected_and_not_asked_for_again(header: str) -> None:
    assert basic(header) == Rejected()


@pytest.mark.parametrize(
    "conditions",
    (
        Conditions(accept=Criteria(users=Matcher(["bob"]))),
        Conditions(skip=Criteria(users=Matcher(["al*"]))),
        Conditions(accept=Criteria(users=Matcher(["*"])), skip=Criteria(users=Matcher(["alice"]))),
    ),
)
def test_a_user_that_the_domain_is_not_for_is_rejected_with_the_right_password(conditions: Conditions) -> None:
    assert basic("Basic " + token("alice"), conditions) == Rejected()


@pytest.mark.parametrize(
    "conditions",
    (
        Conditions(accept=Criteria(users=Matcher(["alice"]))),
        Conditions(skip=Criteria(users=Matcher(["bob"]))),
    ),
)
def test_a_user_that_the_domain_is_for_is_identified(conditions: Conditions) -> None:
    assert identity_of(basic("Basic " + token("alice"), conditions)).name == "alice"


def test_too_many_log_ins_at_once_are_refused() -> None:
    hashing = narrow()
    domain = Basic(Conditions(), InternalUsers({}, VerifiedCredentials(), hashing, Unlimited()))
    with hashing.turn(), pytest.raises(RefusedError) as refused:
        domain.authenticate(Facts(DIRECT.peer, {"authorization": "Basic " + token("alice")}), DIRECT)
    assert isinstance(refused.value.fault, Overloaded)


def test_roles_and_attributes_are_mapped_from_the_entry_and_the_request() -> None:
    mapping = UserMapping(
        roles=names("user_entry.attributes.room"),
        attribute_sources=(
            ("level", Source(parse_path("credentials.user_name"))),
            ("from", Source(parse_path("request.direct_ip_address"))),
        ),
    )
    identity = identity_of(basic("Basic " + token("alice"), mapping=mapping))
    assert identity.backend_roles == {"sales", "7"}
    assert identity.attributes == (("from", "192.0.2.1"), ("level", "alice"), ("room", "7"))


def test_the_name_may_be_mapped_from_the_entry() -> None:
    mapping = UserMapping(names("user_entry.attributes.room"))
    assert identity_of(basic("Basic " + token("alice"), mapping=mapping)).name == "7"


def test_a_mapping_that_finds_no_name_rejects() -> None:
    assert basic("Basic " + token("alice"), mapping=UserMapping(names("user_entry.attributes.none"))) == Rejected()


def test_no_header_is_believed_from_anyone_but_a_trusted_proxy() -> None:
    mapping = UserMapping(names("request.headers.x-user"), names("request.headers.x-role"))
    header = "Basic " + token("alice")
    headers = {"x-user": "admin", "x-role": "all"}
    assert basic(header, mapping=mapping, headers=headers) == Rejected()
    assert identity_of(basic(header, mapping=mapping, origin=PROXIED, headers=headers)).name == "admin"
    only_roles = UserMapping(roles=mapping.roles)
    assert identity_of(basic(header, mapping=only_roles, headers=headers)).backend_roles == {"sales"}
    assert identity_of(basic(header, mapping=only_roles, origin=PROXIED, headers=headers)).backend_roles == {
        "sales",
        "all",
    }


# -- Trusted origin -----------------------------------------------------------

MAPPING = UserMapping(
    names("request.headers.x-user"),
    names("request.headers.x-role"),
    (("from", Source(parse_path("request.originating_ip_address"))),),
)


def proxied(
    conditions: Conditions = Conditions(),  # noqa: B008  # frozen
    more: InternalUsers | None = None,
    *,
    origin: Origin = PROXIED,
    headers: Mapping[str, str] = NOTHING,
) -> Outcome:
    return TrustedOrigin(conditions, MAPPING, more).authenticate(Facts(origin.peer, headers), origin)


def test_a_trusted_proxy_says_who_is_asking() -> None:
    assert identity_of(proxied(headers={"x-user": "alice", "x-role": "sales"})) == Identity(
        realm=REALM,
        name="alice",
        backend_roles=frozenset(("sales",)),
        attributes=(("from", "192.0.2.1"),),
        address=ADDRESS,
        domain=TRUSTED_ORIGIN,
    )


def test_anybody_else_says_nothing() -> None:
    assert proxied(origin=DIRECT, headers={"x-user": "alice"}) == NoCredentials()


@pytest.mark.parametrize("headers", ({}, {"x-user": ""}, {"x-role": "all"}))
def test_a_proxy_that_names_nobody_brings_no_credentials(headers: dict[str, str]) -> None:
    assert proxied(headers=headers) == NoCredentials()


def test_a_socket_has_no_address_to_map() -> None:
    origin = Origin(Peer(uid=33), trusted=True, address=None)
    identity = identity_of(proxied(origin=origin, headers={"x-user": "alice"}))
    assert (identity.attributes, identity.address) == ((), None)


def test_a_user_that_the_domain_is_not_for_is_rejected() -> None:
    assert proxied(Conditions(skip=Criteria(users=Matcher(["alice"]))), headers={"x-user": "alice"}) == Rejected()


def test_more_is_known_of_a_user_where_the_domain_asks_for_it() -> None:
    identity = identity_of(proxied(more=USERS, headers={"x-user": "alice", "x-role": "berlin"}))
    assert identity.backend_roles == {"berlin", "sales"}
    assert identity.roles == {"reader"}
    assert dict(identity.attributes) == {"from": "192.0.2.1", "level": "1", "room": "7"}
    assert identity_of(proxied(more=USERS, headers={"x-user": "bob"})).roles == frozenset()


# -- Anonymous ----------------------------------------------------------------


def anonymous(
    mapping: UserMapping = UserMapping(),  # noqa: B008  # frozen
    conditions: Conditions = Conditions(),  # noqa: B008  # frozen
    more: InternalUsers | None = None,
    *,
    origin: Origin = DIRECT,
    headers: Mapping[str, str] = NOTHING,
) -> Outcome:
    return Anonymous(conditions, mapping, more).authenticate(Facts(origin.peer, headers), origin)


def test_nobody_in_particular_is_let_in_under_a_name_that_says_so() -> None:
    assert anonymous() == Identified(Identity(realm=REALM, name="anonymous", address=ADDRESS, domain=ANONYMOUS))


@pytest.mark.parametrize("header", NO_CREDENTIALS[1:])
def test_what_somebody_sends_as_credentials_is_of_no_matter_to_the_anonymous_domain(header: str) -> None:
    assert anonymous(headers={"authorization": header}) == anonymous()


def test_nobody_in_particular_may_have_a_name_roles_and_attributes() -> None:
    mapping = UserMapping(
        Names(static=("nobody",)),
        Names(static=("guests",)),
        (("from", Source(parse_path("request.direct_ip_address"))),),
        (("kind", "guest"),),
    )
    assert identity_of(anonymous(mapping)) == Identity(
        realm=REALM,
        name="nobody",
        backend_roles=frozenset(("guests",)),
        attributes=(("from", "192.0.2.1"), ("kind", "guest")),
        address=ADDRESS,
        domain=ANONYMOUS,
    )


def test_an_anonymous_domain_believes_no_header_of_anyone_but_a_trusted_proxy() -> None:
    headers = {"x-user": "admin", "x-role": "all"}
    named = UserMapping(names("request.headers.x-user"))
    assert anonymous(named, headers=headers) == NoCredentials()
    assert identity_of(anonymous(named, origin=PROXIED, headers=headers)).name == "admin"
    with_role = UserMapping(roles=names("request.headers.x-role"))
    assert anonymous(with_role, headers=headers) == anonymous()
    assert identity_of(anonymous(with_role, origin=PROXIED, headers=headers)).backend_roles == {"all"}


def test_an_anonymous_name_that_the_domain_is_not_for_is_rejected() -> None:
    assert anonymous(conditions=Conditions(skip=Criteria(users=Matcher(["anon*"])))) == Rejected()
    assert anonymous(conditions=Conditions(accept=Criteria(users=Matcher(["alice"])))) == Rejected()


def test_more_may_be_known_of_the_anonymous_name() -> None:
    mapping = UserMapping(Names(static=("alice",)))
    assert identity_of(anonymous(mapping)).roles == frozenset()
    identity = identity_of(anonymous(mapping, more=USERS))
    assert identity.roles == {"reader"}
    assert identity.domain == ANONYMOUS


# -- Conditions ---------------------------------------------------------------

NEAR = (ip_network("10.0.0.0/8"),)
FAR = (ip_network("192.0.2.0/24"),)


@pytest.mark.parametrize(
    ("criteria", "meant"),
    (
        (Criteria(ips=NEAR), True),
        (Criteria(ips=FAR), False),
        (Criteria(ips=()), False),
        (Criteria(originating_ips=FAR), True),
        (Criteria(originating_ips=NEAR), False),
        (Criteria(trusted_ips=True), True),
        (Criteria(trusted_ips=False), False),
    ),
)
def test_a_criterion_is_about_the_peer_the_first_client_or_trust(criteria: Criteria, *, meant: bool) -> None:
    assert Conditions(accept=criteria).for_origin(PROXIED) is meant
    assert Conditions(skip=criteria).for_origin(PROXIED) is not meant


def test_without_criteria_a_domain_is_for_everyone() -> None:
    assert Conditions().for_origin(PROXIED)
    assert Conditions().for_user("anybody")


def test_to_be_accepted_every_criterion_must_hold_and_to_be_skipped_any() -> None:
    mixed = Criteria(ips=NEAR, originating_ips=NEAR)
    assert not Conditions(accept=mixed).for_origin(PROXIED)
    assert not Conditions(skip=mixed).for_origin(PROXIED)


def test_who_has_no_address_is_in_no_network() -> None:
    everywhere = (ip_network("0.0.0.0/0"), ip_network("::/0"))
    nowhere = Origin(Peer(uid=33), trusted=True, address=None)
    assert not Conditions(accept=Criteria(ips=everywhere)).for_origin(nowhere)
    assert not Conditions(accept=Criteria(originating_ips=everywhere)).for_origin(nowhere)


def test_facts_do_not_show_their_headers() -> None:
    assert "secret" not in repr(Facts(Peer(), {"authorization": "secret"}))
