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
    "jira": {
        "url": "https://mycompany.atlassian.net",
        "user_name": "signals@mycompany.example",
        "auth_token": "XXXXXXXXXXXXXXXXXXXXXXXX",
    },
    "pagerduty": {"integration_key": "XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX"},
    "slack": {"url": "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX"},
    "webhook": {
        "url": "https://alerts.mycompany.example/hook",
        "method": "POST",
        "headers": {"Authorization": "Bearer XXXXXXXXXXXXXXXX"},
        "user": "signals",
        "password": "XXXXXXXX",
    },
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
    (
        "jira",
        {},
        {
            "status": 400,
            "error": "3 errors; see detail.",
            "detail": {
                "url": [{"error": "Required attribute is missing"}],
                "user_name": [{"error": "Required attribute is missing"}],
                "auth_token": [{"error": "Required attribute is missing"}],
            },
        },
    ),
    (
        "pagerduty",
        {"url": "https://events.eu.pagerduty.com/v2/enqueue"},
        {
            "status": 400,
            "error": "'integration_key': Required attribute is missing",
            "detail": {"integration_key": [{"error": "Required attribute is missing"}]},
        },
    ),
    (
        "webhook",
        {"url": "ftp://files.mycompany.example", "method": "FETCH", "headers": {"X-Key": "a\nb"}, "password": "p"},
        {
            "status": 400,
            "error": "4 errors; see detail.",
            "detail": {
                "url": [
                    {
                        "error": "Invalid value",
                        "value": "ftp://files.mycompany.example",
                        "expected": "An http or https URI without user information",
                    }
                ],
                "method": [{"error": "Invalid value", "value": "FETCH", "expected": "POST|PUT|PATCH|GET|DELETE"}],
                "headers": [{"error": "Invalid value", "value": None, "expected": "The value of a header"}],
                "user": [{"error": "A user must be specified if a password is specified"}],
            },
        },
    ),
]
