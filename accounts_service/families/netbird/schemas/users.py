"""Users and tokens that are asked for, checked as a whole: kinds, and what fits."""

from __future__ import annotations

from dataclasses import dataclass

from accounts_service.families.netbird.privileges import OWNER, ROLE_NAMES
from accounts_service.families.netbird.schemas import bodies
from accounts_service.faults import (
    AgainstTheRules,
    InvalidBody,
    Json,
    Kind,
    Missing,
    NotA,
    Problem,
    RefusedError,
    Rule,
    TooLong,
    Unfit,
)
from accounts_service.validation import fields

_MOST_DAYS = 365

# How Go reads a flag out of a query.
_FLAGS = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}


@dataclass(frozen=True, slots=True)
class NewServiceUser:
    """A service user to be made."""

    name: str
    role: str
    auto_groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UserWish:
    """What a user is to be."""

    role: str
    auto_groups: tuple[str, ...]
    blocked: bool


def new_service_user(document: Json) -> NewServiceUser:
    """Check the body of a user to be made.

    Raises RefusedError: InvalidBody with every problem, or AgainstTheRules for
    somebody who is no service user.
    """
    wanted = bodies.NEW_USER.check(document)
    role = str(wanted.get("role", ""))
    problems = []
    if role.lower() not in ROLE_NAMES:
        problems.append(Problem(("role",), Unfit("unknown_role"), role))
    elif role.lower() == OWNER and wanted.get("is_service_user"):
        problems.append(Problem(("role",), Unfit("service_owner")))
    name = str(wanted.get("name", ""))
    problems += _of_name(name)
    _refuse(problems)
    if not wanted.get("is_service_user"):
        raise RefusedError(AgainstTheRules(Rule.NO_INVITATIONS))
    return NewServiceUser(name, role.lower(), tuple(wanted.get("auto_groups", ())))


def user(document: Json) -> UserWish:
    """Check the body of a user to be changed. Raises RefusedError(InvalidBody) with every problem."""
    wanted = bodies.USER.check(document)
    problems = []
    if "auto_groups" not in wanted:
        problems.append(Problem(("auto_groups",), Missing()))
    role = str(wanted.get("role", "")).lower()
    if role not in ROLE_NAMES:
        problems.append(Problem(("role",), Unfit("invalid_role"), role))
    _refuse(problems)
    return UserWish(role, tuple(wanted["auto_groups"]), bool(wanted.get("is_blocked", False)))


def token(document: Json) -> tuple[str, int]:
    """Check the body of a token to be made: its name, and its days. Raises RefusedError(InvalidBody)."""
    wanted = bodies.TOKEN.check(document)
    name, days = str(wanted.get("name", "")), int(wanted.get("expires_in", 0))
    problems = []
    if not name:
        problems.append(Problem(("name",), Unfit("token_name")))
    problems += _of_name(name)
    if not 1 <= days <= _MOST_DAYS:
        problems.append(Problem(("expires_in",), Unfit("token_days"), days))
    _refuse(problems)
    return name, days


def flag(text: str | None) -> bool | None:
    """Read the flag `service_user` of a query; None where there is none. Raises RefusedError(InvalidBody)."""
    if not text:
        return None
    if text not in _FLAGS:
        raise RefusedError(InvalidBody((Problem(("service_user",), Unfit("service_user_parameter"), text),)))
    return _FLAGS[text]


def _of_name(name: str) -> list[Problem]:
    if len(name) > fields.LONGEST_LINE:
        return [Problem(("name",), TooLong(fields.LONGEST_LINE))]
    return [] if fields.is_line(name) else [Problem(("name",), NotA(Kind.LINE), name)]


def _refuse(problems: list[Problem]) -> None:
    if problems:
        raise RefusedError(InvalidBody(tuple(problems)))
