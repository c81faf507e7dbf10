"""The option `--cases` and the closing line. Loaded by tests/conftest.py, so both are there for every run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.conformance import recorded

# The property with which a test says by which rule its case is excepted.
EXCEPTED = "conformance-exception"

_TESTS = "tests/conformance/test_cases.py::"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take the folder of recorded cases. A text, since pytest-xdist hands options on."""
    parser.addoption(
        "--cases", metavar="DIR", default=str(recorded.OWN), help="folder of recorded cases, <family>.jsonl each"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Count where the results come together: not in the processes of pytest-xdist."""
    if not Path(config.getoption("--cases")).is_dir():
        raise pytest.UsageError(f"--cases: {config.getoption('--cases')} is no folder")
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Tally())


class Tally:
    """What became of each case, by the reports about its test."""

    def __init__(self) -> None:
        self._outcomes: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a report. A failure, in whichever phase, stays one."""
        if not report.nodeid.startswith(_TESTS) or self._outcomes.get(report.nodeid) == "failed":
            return
        if report.failed:
            self._outcomes[report.nodeid] = "failed"
        elif EXCEPTED in dict(report.user_properties):
            self._outcomes[report.nodeid] = "excepted"
        elif report.skipped or report.when == "call":
            self._outcomes[report.nodeid] = report.outcome

    def line(self) -> str | None:
        """Sum up; None when no case was run. What is neither passed nor excepted nor skipped has failed."""
        if not self._outcomes:
            return None
        number = Counter(self._outcomes.values())
        return (
            f"conformance: {len(self._outcomes)} cases, {number['passed']} passed, "
            f"{number['excepted']} excepted, {number['skipped']} skipped"
        )

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, None, None]:
        """Write the line after everything that pytest itself writes."""
        yield
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        line = self.line()
        if reporter is not None and line is not None:
            reporter.write_line(line)
