"""The WSGI entry point: `gunicorn wsgi:app`, or any other WSGI server.

`accounts-service serve` does the same with this service's own server settings
(docs/settings.md); prefer it.
"""

from accounts_service.app import create_app

app = create_app()
