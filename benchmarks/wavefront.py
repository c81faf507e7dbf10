"""What Wavefront costs among many users: part of `make bench`.

Prints, for SQLite and PostgreSQL, the median and the longest time of a few
requests, each sent several times to the service in this process. No test
asserts any of it.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from sqlalchemy import create_engine, insert, make_url, text
from werkzeug.test import Client

from accounts_service import app, logs
from accounts_service.families.wavefront.store.native import AccountTokens
from accounts_service.families.wavefront.tables import ACCOUNT, ACCOUNT_PERMISSION
from accounts_service.faults import Json
from accounts_service.storage import migrations
from accounts_service.storage.audit import Author
from accounts_service.storage.database import SqliteDatabase
from accounts_service.web.services import TokenOrder
from tests.support.installation import Installation
from tests.support.postgres import PostgresServer

USERS = 10_000
RUNS = 15

ONE: Json = {"query": [{"key": "id", "value": "u9999@mycompany.example", "matchingMethod": "EXACT"}]}
SOME: Json = {"query": [{"key": "identifier", "value": "u99"}, {"key": "groups", "value": "alerts_management"}]}

REQUESTS: dict[str, tuple[str, str, Json]] = {
    "who am I asking": ("GET", "/api/v2/apitoken", None),
    "one user": ("GET", "/api/v2/account/user/u9999@mycompany.example", None),
    "user changed": ("POST", "/api/v2/account/user", {"emailAddress": "u1@mycompany.example", "userGroups": []}),
    "page of 100": ("GET", "/api/v2/account?offset=9000", None),
    "search for one": ("POST", "/api/v2/search/user", ONE),
    "search for many": ("POST", "/api/v2/search/user", SOME),
    "administrators": ("GET", "/api/v2/account/user/admin", None),
    "all users": ("GET", "/api/v2/account/user", None),
}


def fill(url: str) -> None:
    """Make the users."""
    engine = create_engine(url)
    with engine.begin() as connection:
        users = [
            {
                "uid": f"{number:032x}",
                "identifier": f"u{number}@mycompany.example",
                "folded": f"u{number}@mycompany.example",
                "caseless": f"u{number}@mycompany.example",
                "kind": "user",
                "active": 1,
                "created_us": 0,
                "version": 1,
            }
            for number in range(USERS)
        ]
        connection.execute(insert(ACCOUNT), users)
        held = [{"account_uid": user["uid"], "number": 0, "permission": "alerts_management"} for user in users]
        connection.execute(insert(ACCOUNT_PERMISSION), held)
    engine.dispose()


def measure(name: str, installation: Installation) -> None:
    """Print one line for each request."""
    services = app.make_services(installation.settings())
    migrations.upgrade(services.database)
    fill(installation.database_url)
    order = TokenOrder(
        "admin@mycompany.example", create=True, name="bench", permissions=("user_management", "token_management")
    )
    with services.database.transaction(AccountTokens, Author("bench", "bench", "bench-0001")) as tokens:
        token = tokens.create(order, services.settings)
    client = Client(app.assemble(services, app.FAMILIES.values()))
    for title, (method, path, body) in REQUESTS.items():
        times, status, size = [], 0, 0
        for number in range(RUNS):
            other: list[Json] = ["ingestion" if number % 2 else "embedded_charts"]
            permissions: dict[str, Json] = {"groups": other}
            sent = {**body, **permissions} if title == "user changed" and isinstance(body, dict) else body
            start = time.perf_counter()
            answer = client.open(path, method=method, json=sent, headers={"X-AUTH-TOKEN": token})
            times.append((time.perf_counter() - start) * 1000)
            status, size = answer.status_code, len(answer.data)
        times.sort()
        told = f"median {times[RUNS // 2]:6.1f} ms   longest {times[-1]:6.1f} ms"
        print(f"{name:11} {title:16} {told}   {status}, {size} bytes")
    services.database.dispose()


def main() -> None:
    """Measure both databases."""
    logs.configure("error")
    print(f"{USERS} users of Wavefront, Python {sys.version.split()[0]}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "accounts.db"
        SqliteDatabase.create(path)
        measure("sqlite", Installation(Path(folder) / "sqlite", f"sqlite:///{path}"))
        server = PostgresServer(durable=True)
        try:
            with create_engine(server.url, isolation_level="AUTOCOMMIT").connect() as connection:
                connection.execute(text("CREATE DATABASE bench"))
            url = make_url(server.url).set(database="bench").render_as_string(hide_password=False)
            measure("postgresql", Installation(Path(folder) / "postgresql", url))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
