"""Bodies: one good one a type, and bad ones with all their faults. Tests and documents use them."""

from __future__ import annotations

from accounts_service.faults import Json

GOOD: dict[str, dict[str, Json]] = {
    "email": {
        "host": "mail.mycompany.example",
        "port": 587,
        "enable_tls": True,
        "default_from": "signals@mycompany.example.com",
        "default_bcc": "signals@mycompany.example.com",
    },
    "slack": {"url": "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX"},
}

# Each: a type, a body, and what it is answered with.
BAD: list[tuple[str, dict[str, Json], dict[str, Json]]] = [
    (
        "email",
        {
            "port": 587,
            "enable_tls": True,
            "default_from": "signals@mycompany.example.com",
            "default_bcc": "@",
        },
        {
            "status": 400,
            "error": "2 errors; see detail.",
            "detail": {
                "host": [{"error": "Required attribute is missing"}],
                "default_bcc": [{"error": "Invalid value", "value": "@", "expected": "E-mail address"}],
            },
        },
    ),
    (
        "email",
        {"port": 25},
        {
            "status": 400,
            "error": "'host': Required attribute is missing",
            "detail": {"host": [{"error": "Required attribute is missing"}]},
        },
    ),
    (
        "email",
        {"host": "h", "port": 25, "password": "p"},
        {
            "status": 400,
            "error": "'user': A user must be specified if a password is specified",
            "detail": {"user": [{"error": "A user must be specified if a password is specified"}]},
        },
    ),
    (
        "slack",
        {"url": "http://a b"},
        {
            "status": 400,
            "error": "'url': Invalid value",
            "detail": {"url": [{"error": "Invalid value", "value": None, "expected": "A URI"}]},
        },
    ),
]
