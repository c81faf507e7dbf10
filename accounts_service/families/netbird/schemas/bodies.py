"""What bodies of NetBird look like.

Its server reads them as Go does: keys count in any case, the exact one before
others and the last of these; null is an absent member; what is not known is passed over. Our
own reader's refusals stay (web/body.py): no key twice, nothing after the end.
Kinds are looked at here, and whether values fit where what is stored is known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from marshmallow import EXCLUDE

from accounts_service.faults import InvalidBody, Json, Kind, NotA, Problem, RefusedError
from accounts_service.validation import fields
from accounts_service.validation.fields import Attribute
from accounts_service.validation.ignored import Ignored
from accounts_service.validation.json_schema import JsonSchema
from accounts_service.validation.schema import BodySchema


class GoSchema(BodySchema):
    """An object as Go's reader takes it."""

    class Meta:
        """NetBird's clients send members that its server does not know."""

        unknown = EXCLUDE

    def read_as(self, document: Mapping[str, Json]) -> dict[str, str]:
        """Return which member each name in `document` is read as; of several spellings of one, one is read."""
        folded = {name.lower(): name for name in document}
        spelled = {name: name if name in document else folded.get(name.lower()) for name in self.fields}
        return {sent: name for name, sent in spelled.items() if sent is not None}

    def known(self, document: Mapping[str, Json]) -> dict[str, Json]:
        """Give the members that are known, under their own names; null ones included."""
        return {name: document[sent] for sent, name in self.read_as(document).items()}

    def check(self, document: Json) -> dict[str, Any]:
        """Return the members of `document` that are there and known; null has none.

        Raises RefusedError(InvalidBody) with everything that is of the wrong kind.
        """
        if document is not None and not isinstance(document, dict):
            raise RefusedError(InvalidBody((Problem((), NotA(Kind.OBJECT)),)))
        return super().check(self.known(document or {}))


class Part(Attribute[dict[str, Any]]):
    """An object within another."""

    def __init__(self, schema: GoSchema) -> None:
        super().__init__()
        self.schema_of_part = schema

    def accept(self, value: Json) -> dict[str, Any]:
        """Return what is kept of `value`, or raise `flawed`."""
        if not isinstance(value, dict):
            raise self.flawed(NotA(Kind.OBJECT), value)
        members = self.schema_of_part.known(value)
        loaded: dict[str, Any] = self.schema_of_part.load(
            {name: member for name, member in members.items() if member is not None}
        )
        return loaded

    def ignored(self, value: Json, path: tuple[str | int, ...]) -> Iterator[Ignored]:
        """Return the members of the part that are ignored."""
        return self.schema_of_part.ignored(value, path)

    def taken(self) -> JsonSchema:
        """Say in JSON Schema what `accept` takes."""
        # Without a title: it is no schema of its own.
        return {"type": "object", "properties": self.schema_of_part.taken("")["properties"]}


_LONGEST = 1024


def _ruled() -> fields.ExactText:
    # A rule of its own says what the text may hold, in words of its own (settings.py, users.py).
    return fields.ExactText(line=False, longest=_LONGEST)


def _texts() -> fields.Listed:
    return fields.Listed(fields.ExactText(), once=False)


class ExtraSchema(GoSchema):
    """Settings of NetBird's cloud."""

    peer_approval_enabled = fields.Flag()
    user_approval_required = fields.Flag()
    network_traffic_logs_enabled = fields.Flag()
    network_traffic_logs_groups = _texts()
    network_traffic_packet_counter_enabled = fields.Flag()


class FeaturesSchema(GoSchema):
    """What its dashboard shows."""

    agent_network = fields.Flag()


class SettingsSchema(GoSchema):
    """The settings of an account, in the order in which they are shown."""

    # They follow from how the server runs.
    echoed: ClassVar[frozenset[str]] = frozenset(("embedded_idp_enabled", "local_auth_disabled"))

    peer_login_expiration_enabled = fields.Flag()
    peer_login_expiration = fields.ExactNumber()
    peer_inactivity_expiration_enabled = fields.Flag()
    peer_inactivity_expiration = fields.ExactNumber()
    regular_users_view_blocked = fields.Flag()
    groups_propagation_enabled = fields.Flag()
    jwt_groups_enabled = fields.Flag()
    jwt_groups_claim_name = fields.ExactText(longest=_LONGEST)
    jwt_allow_groups = _texts()
    routing_peer_dns_resolution_enabled = fields.Flag()
    dns_domain = _ruled()
    network_range = _ruled()
    network_range_v6 = _ruled()
    peer_expose_enabled = fields.Flag()
    peer_expose_groups = _texts()
    extra = Part(ExtraSchema())
    lazy_connection_enabled = fields.Flag()
    auto_update_version = _ruled()
    auto_update_always = fields.Flag()
    metrics_push_enabled = fields.Flag()
    agent_network_only = fields.Flag()
    dashboard_features = Part(FeaturesSchema())
    local_mfa_enabled = fields.Flag()
    ipv6_enabled_groups = _texts()


class OnboardingSchema(GoSchema):
    """What a new account's owner is still to be shown."""

    signup_form_pending = fields.Flag()
    onboarding_flow_pending = fields.Flag()


class AccountSchema(GoSchema):
    """An account to be changed."""

    echoed: ClassVar[frozenset[str]] = frozenset(("id", "domain", "domain_category", "created_at", "created_by"))

    settings = Part(SettingsSchema())
    onboarding = Part(OnboardingSchema())


class NewUserSchema(GoSchema):
    """A service user to be made; others come by logging in."""

    role = _ruled()
    auto_groups = _texts()
    is_service_user = fields.Flag()
    name = _ruled()
    email = _ruled()


class UserSchema(GoSchema):
    """A user to be changed."""

    echoed: ClassVar[frozenset[str]] = frozenset(
        (
            *("id", "email", "name", "status", "is_current", "is_service_user", "pending_approval"),
            *("issued", "last_login", "permissions"),
        )
    )

    role = _ruled()
    auto_groups = _texts()
    is_blocked = fields.Flag()


class TokenSchema(GoSchema):
    """A personal access token to be made; it holds for so many days."""

    name = _ruled()
    expires_in = fields.ExactNumber()


EXTRA = ExtraSchema()
FEATURES = FeaturesSchema()
SETTINGS = SettingsSchema()
ONBOARDING = OnboardingSchema()
ACCOUNT = AccountSchema()
NEW_USER = NewUserSchema()
USER = UserSchema()
TOKEN = TokenSchema()


def ignored_of_new_user(document: Json, _: Mapping[str, str]) -> Iterator[Ignored]:
    """Return the members of a service user to be made that are ignored; it has no address, though one may be sent."""
    yield from NEW_USER.ignored(document)
    if isinstance(document, dict) and NEW_USER.known(document).get("email"):
        yield Ignored(("email",), tuple(NEW_USER.fields))
