"""`make run`: a first installation if there is none, the migration, a line to try, the server."""

import os
import subprocess
import sys
from pathlib import Path

COMMAND = sys.argv[1]

LINE = """
Once it listens, store an account from another terminal:

{password}curl -i -u "admin{colon}" -X PUT http://127.0.0.1:8080/_signals/account/email/default \\
  -H 'Content-Type: application/json' \\
  -d '{{"host": "mail.mycompany.example", "port": 587, "enable_tls": true}}'
"""

if not Path("var").exists():
    made = subprocess.run([COMMAND, "init"], check=True, stdout=subprocess.PIPE, text=True).stdout
    print(made, end="")
    line = LINE.format(password=made.splitlines()[2] + "\n", colon=":$PASSWORD")
else:
    # Without a password in the line curl asks for it.
    line = LINE.format(password="", colon="")
subprocess.run([COMMAND, "db", "upgrade"], check=True)
print(line, flush=True)
os.execv(COMMAND, [COMMAND, "serve"])
