"""Say what is missing before anything fails in a way that does not say it. Runs on any Python 3."""

import sys

problems = []
if sys.version_info < (3, 11):
    problems.append(
        "Python 3.11 or newer is needed; this is %s. Try: make PYTHON=python3.12 …" % sys.version.split()[0]
    )
try:
    import ensurepip  # noqa: F401  # only looked for
    import venv  # noqa: F401  # only looked for
except ImportError:
    problems.append("Python's venv module is missing; on Debian: apt-get install python3-venv")
if problems:
    sys.exit("\n".join(problems))
