"""Bodies: a good one of each kind, and bad ones with what each is told. Tests and documents use them."""

from __future__ import annotations

from accounts_service.faults import Json

GOOD: dict[str, dict[str, Json]] = {
    "user": {
        "emailAddress": "someone@mycompany.example",
        "groups": ["alerts_management", "events_management"],
        "userGroups": [],
        "roles": [],
    },
    "service account": {"identifier": "sa::collector", "active": True, "groups": ["ingestion"]},
    "user group": {"name": "Night shift", "description": "Who is woken", "roleIDs": []},
    "role": {"name": "Alerting", "permissions": ["alerts_management"], "description": "Keeps the alerts"},
}

# Each: a body of a user to be made, and the message of its refusal.
BAD: list[tuple[dict[str, Json], str]] = [
    ({"groups": []}, "emailAddress is required"),
    ({"emailAddress": "@"}, "Invalid email address: @"),
    (
        {"emailAddress": "someone", "groups": ["user_management", "nonsense"], "userGroups": "Everyone"},
        "Invalid email address: someone; Invalid permission: nonsense; userGroups must be an array",
    ),
    ({"emailAddress": "a@b", "groups": "user_management"}, "groups must be an array"),
]
