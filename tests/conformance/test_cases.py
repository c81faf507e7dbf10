"""Every recorded case is met, or excepted by a rule that still holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import pytest

from tests.conformance import exceptions, mention, netbird, recorded, signals, wavefront
from tests.conformance.plugin import EXCEPTED
from tests.conformance.recorded import Case
from tests.conformance.wire import Wire

NewService = Callable[[Mapping[str, object], Mapping[str, str]], Wire]


class Conventions(Protocol):
    """How the cases of a family are to be read. Each family has its own."""

    def differences(self, case: Case, cases: Sequence[Case], new_service: NewService) -> list[str]:
        """Run a case of a file, with those of the file that it stands on; list what is not as expected."""
        ...


CONVENTIONS: dict[str, Conventions] = {
    "signals": signals,
    "wavefront": wavefront,
    "netbird": netbird,
    "mention": mention,
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a test of each case."""
    if "case" in metafunc.fixturenames:
        files = recorded.read(Path(metafunc.config.getoption("--cases")))
        parameters = [
            pytest.param(case, cases, id=identifier)
            for cases in files.values()
            for case, identifier in zip(cases, recorded.identifiers(cases), strict=True)
        ]
        metafunc.parametrize(("case", "cases"), parameters)


def test_case(
    case: Case, cases: Sequence[Case], new_service: NewService, record_property: Callable[[str, object], None]
) -> None:
    rule = exceptions.rule_of(case)
    conventions = CONVENTIONS[case.family]
    differences = conventions.differences(case, cases, new_service)
    if rule is None:
        assert not differences, "\n".join((case.name, *differences))
    elif differences:
        _except(rule, record_property)
    else:
        pytest.fail(f"this case passes: the exception “{rule.name}” must no longer cover it")


def _except(rule: exceptions.Rule, record_property: Callable[[str, object], None]) -> None:
    record_property(EXCEPTED, rule.name)
    pytest.xfail(rule.name)
