"""`#{env:NAME}` and `#{file:PATH}` in the values of configuration files.

https://docs.search-guard.com/latest/configuration-password-handling — a
variable is a whole value, never a part of one. What it stands for may be a
secret: only its reference is ever shown. A variable that has no value is an
Unresolved in the document, and whoever reads it there decides whether it can
be left out without giving anybody more (documents.py); see docs/adr/0035.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self, TypeAlias

from accounts_service.access.authenticators.internal_users import hash_password
from accounts_service.access.functions import BCRYPT, FUNCTIONS, applied, as_text
from accounts_service.faults import Json
from accounts_service.identifiers import normalized

# Bytes of a file that a variable may name.
LARGEST_FILE = 1024 * 1024

_VARIABLE = re.compile(r"#\{\s*([A-Za-z]+):([^{}|]*?)(:-[^|]*?)?\s*((?:\|\s*[A-Za-z0-9]+\s*)*)\}", re.DOTALL)
_PART = re.compile(r"#\{(?:env|file|var):[^{}|:]*")
_FILE = re.compile(r"#\{\s*file:([^{}|\n]*?)(?::-[^|\n]*?)?\s*(?:\||\})")

# Passwords that were hashed already, so that a configuration that is read again
# costs nothing and keeps its hashes; past this many all are forgotten.
MOST_HASHED = 10_000
_KEY = secrets.token_bytes(32)
_HASHED: dict[bytes, str] = {}


@dataclass(frozen=True, slots=True)
class Unresolved:
    """A variable without a value. `reference`: how it is shown; `reason`: why it has none."""

    reference: str
    reason: str

    def __str__(self) -> str:
        """Format it as a clause."""
        return f"{self.reference} has no value: {self.reason}"


class Expanded(str):
    """The value of a variable; its repr is the reference that stands in the file."""

    __slots__ = ("reference",)

    reference: str

    def __new__(cls, text: str, reference: str) -> Self:
        """Make the text `text`, shown as `reference`."""
        value = super().__new__(cls, text)
        value.reference = reference
        return value

    def __repr__(self) -> str:
        """Return the reference."""
        return self.reference


Node: TypeAlias = "bool | str | Unresolved | list[Node] | dict[str, Node] | None"


def shown(text: str) -> str:
    """Return what may be shown of a text of the configuration: of a variable its reference."""
    return text.reference if isinstance(text, Expanded) else text


def spelled(text: str) -> str:
    """Return a text in the normal form of names; the value of a variable stays one."""
    form = normalized(text)
    return Expanded(form, text.reference) if isinstance(text, Expanded) else form


def file_key(path: str) -> str:
    """Return the name under which the content of a variable's file stands among the texts of a directory."""
    return f"#{{file:{path}}}"


def file_paths(text: str) -> frozenset[str]:
    """Find the paths of all files that variables in `text`, the text of a configuration file, may name."""
    return frozenset(path for match in _FILE.finditer(text) if (path := match[1].strip()))


@dataclass(frozen=True, slots=True)
class Variables:
    """Where variables get their values: `files` has contents by `file_key`."""

    environment: Mapping[str, str]
    files: Mapping[str, str]

    def expand(self, node: Node) -> Node:
        """Return `node` with the value of each variable in its place; keys are never variables."""
        if isinstance(node, str):
            return self._expand(node) if "#{" in node else node
        if isinstance(node, list):
            return [self.expand(element) for element in node]
        if isinstance(node, dict):
            return {name: self.expand(value) for name, value in node.items()}
        return node

    def _expand(self, text: str) -> Node:
        if not text.startswith("#{") or not text.endswith("}"):
            part = _PART.search(text)
            return text if part is None else Unresolved(f"{part[0].rstrip()}}}", "a variable must be the whole value")
        match = _VARIABLE.fullmatch(text)
        if match is None:
            return Unresolved("#{…}", "this has not the form of a variable")
        source, name, default, chain = match[1], match[2].strip(), match[3], match[4]
        reference = f"#{{{source}:{name}}}"
        functions = [function.strip() for function in chain.split("|")[1:]]
        unknown = [function for function in functions if function != BCRYPT and function not in FUNCTIONS]
        if unknown:
            return Unresolved(reference, f"there is no function {unknown[0]}")
        found = self._find(source, name, reference)
        if isinstance(found, Unresolved) and default is not None and source in ("env", "file"):
            found = default.removeprefix(":-")
        return found if isinstance(found, Unresolved) else _called(found, functions, reference)

    def _find(self, source: str, name: str, reference: str) -> str | Unresolved:
        match source:
            case "env":
                value = self.environment.get(name)
                return Unresolved(reference, "the environment variable is not set") if value is None else value
            case "file":
                content = self.files.get(file_key(name))
                reason = f"the file is not there, or cannot be read as UTF-8 text of at most {LARGEST_FILE} bytes"
                return Unresolved(reference, reason) if content is None else content
            case "var":
                return Unresolved(reference, "variables of sgctl are not supported; use #{env:…} or #{file:…}")
            case _:
                return Unresolved(reference, "a variable is #{env:…} or #{file:…}")


def _called(value: Json, functions: list[str], reference: str) -> Node:
    for function in functions:
        value = _hashed(value) if function == BCRYPT else applied(function, value)
    if value is None:
        reason = "bcrypt takes a password of 1 to 72 bytes" if BCRYPT in functions else "its functions give none"
        return Unresolved(reference, reason)
    if isinstance(value, list):
        return [Expanded(as_text(element), reference) for element in value]
    return Expanded(as_text(value), reference)


def _hashed(value: Json) -> Json:
    if value is None:
        return None
    password = as_text(value)
    digest = hmac.digest(_KEY, password.encode("utf-8", "surrogatepass"), "sha256")
    if digest not in _HASHED:
        try:
            hashed = hash_password(password)
        except ValueError:  # Too long, empty, or no Unicode text.
            return None
        if len(_HASHED) >= MOST_HASHED:
            _HASHED.clear()
        _HASHED[digest] = hashed
        return hashed
    return _HASHED[digest]
