"""gunicorn with this service's settings."""

from __future__ import annotations

from collections import Counter
from typing import Any

from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]  # gunicorn has no types

from accounts_service.access.authenticators.jwt import LONGEST_TOKEN
from accounts_service.app import create_app
from accounts_service.config import Settings
from accounts_service.web.dispatcher import Dispatcher
from accounts_service.web.gate import REPEATED


class Server(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """`accounts-service serve`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        super().__init__()

    def load_config(self) -> None:
        """Set what differs from gunicorn's defaults, each for a reason."""
        options: dict[str, Any] = {
            "bind": self._settings.bind,
            "workers": self._settings.workers,
            "worker_class": "gthread",
            "threads": self._settings.threads,
            # The control socket would let anyone with this uid steer the server,
            # and fails where HOME cannot be written.
            "control_socket_disable": True,
            # No header may become SCRIPT_NAME, PATH_INFO or the scheme.
            "forwarder_headers": "",
            "forwarded_allow_ips": "",
            "header_map": "drop",
            # A token may be as long as its authenticator takes it, with the scheme before it.
            "limit_request_field_size": LONGEST_TOKEN + 256,
            # A connection or lock made before the fork would be shared.
            "preload_app": False,
            "umask": 0o117 if self._settings.bind.startswith("unix:") else 0o077,
            "loglevel": self._settings.log_level,
            "graceful_timeout": 30,
            "pre_request": mark_repeated_headers,
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Dispatcher:
        """Make the application, in the worker."""
        return create_app(self._settings)


def mark_repeated_headers(_: object, request: Any) -> None:  # noqa: ANN401  # gunicorn has no types
    """Say which headers came more than once; gunicorn joins them with a comma and forgets.

    Runs before gunicorn makes the environ. What a client sends under the mark's
    own name is dropped.
    """
    headers = [(name, value) for name, value in request.headers if name.lower() != REPEATED.lower()]
    counts = Counter(name.lower() for name, _ in headers)
    repeated = ",".join(sorted(name for name, count in counts.items() if count > 1))
    request.headers = [*headers, (REPEATED.upper(), repeated)] if repeated else headers
