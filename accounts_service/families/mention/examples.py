"""One good body a kind, and bad ones with what each gets; documents and tests use them."""

from __future__ import annotations

from accounts_service.faults import Json

GOOD: dict[str, Json] = {
    "account": {
        "name": "John Smith",
        "email": "j.smith@mycompany.example",
        "phone": "(202) 358-0001",
        "password": "Mypass1",
        "language_code": "en",
    },
    "change": {"name": "John Smith Jr", "language_code": "fr"},
    "password": {"old_password": "Mypass1", "new_password": "Mysecuredpass2"},
    "token order": {
        "client_id": "1_abc",
        "client_secret": "its secret",
        "code": "what the redirection brought",
        "redirect_uri": "https://app.mycompany.example/callback",
        "grant_type": "authorization_code",
    },
    "revocation": {"proof": "from the page", "action": "revoke", "app": "1_abc"},
    "consent": {"proof": "from the page", "action": "allow"},
}

# A body of PUT, and the fields whose errors it gets.
BAD: tuple[tuple[Json, tuple[str, ...]], ...] = (
    ({"name": ""}, ("name",)),
    ({"email": "a"}, ("email",)),
    ({"language_code": "xx"}, ("language_code",)),
    ({"new_password": "Mysecuredpass2"}, ("old_password",)),
    ({"name": 7, "email": "nobody", "new_password": "short"}, ("name", "email", "old_password", "new_password")),
)
