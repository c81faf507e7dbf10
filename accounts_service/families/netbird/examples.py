"""Bodies: a good one of each kind, and bad ones with what each is told. Tests and documents use them."""

from __future__ import annotations

from accounts_service.faults import Json

GOOD: dict[str, dict[str, Json]] = {
    "account": {"settings": {"peer_login_expiration_enabled": True, "peer_login_expiration": 86400}},
    "patch": {"settings": {"dns_domain": "mycompany.example", "extra": {"user_approval_required": False}}},
    "service user": {"name": "ci", "role": "admin", "is_service_user": True, "auto_groups": []},
    "user": {"role": "auditor", "auto_groups": [], "is_blocked": False},
    "invite": {"email": "ann@mycompany.example", "name": "Ann", "role": "user", "auto_groups": [], "expires_in": 86400},
    "regeneration": {"expires_in": 3600},
    "acceptance": {"password": "a-password-of-ones-own"},
    "passwords": {"old_password": "the-old-one", "new_password": "the-new-one"},
    "token": {"name": "of the pipeline", "expires_in": 30},
}

# Each: a body of an account to be put, the status, and the message of its refusal.
BAD: list[tuple[Json, int, str]] = [
    (
        {"settings": {"peer_login_expiration_enabled": True, "peer_login_expiration": 0}},
        422,
        "peer login expiration can't be smaller than one hour",
    ),
    (
        {"settings": {"peer_login_expiration": 15552001, "dns_domain": "*.example", "peer_expose_enabled": True}},
        422,
        (
            "peer login expiration can't be larger than 180 days; "
            'invalid domain "*.example" provided for dns domain; peer expose requires at least one group'
        ),
    ),
    ({"settings": {"peer_login_expiration": "3600"}}, 400, "couldn't parse JSON request"),
    ([], 400, "couldn't parse JSON request"),
]
