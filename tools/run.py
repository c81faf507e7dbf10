"""`make run`: a first installation if there is none, the migration, a line to try, the server."""

from __future__ import annotations

import os
import subprocess
import sys

from accounts_service.config import BadSettingsError, Settings

COMMAND = sys.argv[1]

LINE = """\
Once it listens, store an account from another terminal:

curl -i -u "admin{password}" -X PUT {address}/_signals/account/email/default \\
  -H 'Content-Type: application/json' \\
  -d '{{"host": "mail.mycompany.example", "port": 587, "enable_tls": true}}'
"""


def run(*words: str) -> None:
    """Run the service's command; end as it ends when it fails, which it has explained."""
    status = subprocess.run([COMMAND, *words], check=False).returncode
    if status:
        sys.exit(status)


def address(bind: str) -> str:
    """Write where curl finds the service."""
    socket = bind.removeprefix("unix:")
    return f"http://{bind}" if socket == bind else f"--unix-socket {socket} http://localhost"


try:
    settings = Settings.from_environment(os.environ)
except BadSettingsError as error:
    sys.exit("\n".join(error.problems))
new = not settings.keys_file.exists()
if new:
    run("init")
run("db", "upgrade")
# Where the password is not known any more, curl asks for it.
print(LINE.format(password=":$PASSWORD" if new else "", address=address(settings.bind)), flush=True)
os.execv(COMMAND, [COMMAND, "serve"])
