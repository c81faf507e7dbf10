"""One configuration file as a document: YAML read strictly, and a cursor that collects problems.

Strictly, because these files say who may do what. Keys and values are the
texts that were written, nothing may stand twice, and nothing may stand in for
something else (no aliases, no tags), so that a reader of the file sees what the
service sees. What a file may say is known to configuration.py and authc.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any, TypeVar

import yaml

from accounts_service.access.patterns import BadPatternError, Matcher, Template, expression, is_template
from accounts_service.access.roles import Network
from accounts_service.access.variables import Expanded, Node, Unresolved, Variables, spelled
from accounts_service.faults import Json

T = TypeVar("T")

INVALID = "Invalid value"
MISSING = "Required attribute is missing"
NO_EFFECT = "This has no effect here"
_UNSUPPORTED = "Unsupported attribute"
_A_PATTERN = "A regular expression pattern"

# Levels of a document, and of a key with dots. No file needs half of them, and
# libyaml follows a document down until the process dies.
_DEEPEST = 20


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """One thing wrong with a file, or of no effect in it.

    `path` names the attribute, `expected` what should be there.
    """

    file: str
    path: str
    error: str
    expected: str | None = None

    def __str__(self) -> str:
        """Write it on one line."""
        place = f"{self.file}: {self.path}: " if self.path else f"{self.file}: "
        return place + self.error + (f" (expected: {self.expected})" if self.expected else "")


@dataclass(frozen=True, slots=True)
class Findings:
    """What is found in the files: `problems` refuse them, `warnings` are about what has no effect."""

    problems: list[ConfigProblem]
    warnings: list[ConfigProblem]


def load(
    file: str, text: str, findings: Findings, *, undotted: bool = False, variables: Variables | None = None
) -> Cursor:
    """Enter the document in `text`, empty if it cannot be read; what is wrong is added to `findings`.

    `undotted`: whether `a.b: 1` is short for `a: {b: 1}`. `variables`: what `#{…}` stands for, if it is no text.
    """
    problems = findings.problems
    node = _parse(file, text)
    if not isinstance(node, dict):
        if node is not None:
            problems.append(node if isinstance(node, ConfigProblem) else ConfigProblem(file, "", INVALID, "A mapping"))
        node = {}
    if variables is not None:
        node = {name: variables.expand(value) for name, value in node.items()}
    return Cursor(file, "", _Undotted(file, problems).mapping(node) if undotted else node, findings)


def few(names: Iterable[str]) -> str:
    """List the first ten of `names`, in order, and how many more there are."""
    listed = sorted(names)
    first, rest = listed[:10], listed[10:]
    return ", ".join(first) + (f" and {len(rest)} more" if rest else "")


# -- YAML ---------------------------------------------------------------------


class _Loader(yaml.CSafeLoader):
    """YAML whose keys and values are texts as they are written, but for true, false and null.

    So the user 010 is not the user 8, and the user no is one. No key silently
    wins over its twin. libyaml's reader: ten thousand users take it a second,
    Python's own four.
    """

    yaml_implicit_resolvers = {  # noqa: RUF012  # PyYAML's attribute
        None: [
            ("tag:yaml.org,2002:bool", re.compile(r"(true|True|TRUE|false|False|FALSE)\Z")),
            ("tag:yaml.org,2002:null", re.compile(r"(~|null|Null|NULL|)\Z")),
        ]
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002  # PyYAML's signature
        result: dict[Hashable, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise _unaccepted("a key is no text", key_node.start_mark)
            if key_node.value in result:
                raise _unaccepted(f"the key {_shown(key_node.value)!r} stands twice", key_node.start_mark)
            result[key_node.value] = self.construct_object(value_node, deep=deep)
        return result


def _unaccepted(problem: str, mark: Any) -> yaml.MarkedYAMLError:  # noqa: ANN401  # libyaml's marks have a type of their own
    return yaml.MarkedYAMLError(problem=problem, problem_mark=mark)


def _shown(name: str) -> str:
    # Where the space after `hash:` was forgotten, the hash is part of a key.
    start = re.split(r"[^\w.-]", name, maxsplit=1)[0][:40]
    return name if start == name else f"{start}…"


def without_hash(name: str) -> str:
    """Return a name without what may be a hash in it; every kind of hash begins with a dollar."""
    before, dollar, _ = name.partition("$")
    return f"{before}…" if dollar else name


def _require_plain(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, yaml.CSafeLoader):
        match event:
            case yaml.AliasEvent():
                raise _unaccepted("aliases are not accepted", event.start_mark)
            case yaml.ScalarEvent(tag=str()) | yaml.CollectionStartEvent(tag=str()):
                raise _unaccepted("tags are not accepted", event.start_mark)
            case yaml.CollectionStartEvent():
                depth += 1
            case yaml.CollectionEndEvent():
                depth -= 1
            case _:
                pass
        if depth > _DEEPEST:
            raise _unaccepted(f"more than {_DEEPEST} levels", event.start_mark)


def _parse(file: str, text: str) -> Node | ConfigProblem:
    try:
        _require_plain(text)
        document: Node = yaml.load(text, _Loader)  # noqa: S506  # a SafeLoader
    except yaml.MarkedYAMLError as error:
        # The problem's words only: a context line would show what stands in the file.
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        return ConfigProblem(file, "", f"Invalid YAML document: {where}{error.problem}")
    except (yaml.YAMLError, ValueError):  # Also what is no Unicode text.
        return ConfigProblem(file, "", "Invalid YAML document")
    return document


# -- A cursor over a document that collects problems --------------------------


class Cursor:
    """A mapping being read; what nobody has read by the end is unsupported.

    A variable without a value is a problem wherever it is read, for without the
    value somebody might have more than is meant. `droppable` says that leaving
    it out gives nobody anything; then it is a warning.
    """

    def __init__(self, file: str, path: str, node: Mapping[str, Node], findings: Findings) -> None:
        self.path = path
        self._file = file
        self._node = node
        self._findings = findings
        self._read: set[str] = set()

    def problem(self, name: str, error: str, expected: str | None = None) -> None:
        """Report what is wrong with the attribute `name`."""
        self._findings.problems.append(ConfigProblem(self._file, self._place(name), error, expected))

    def warn(self, name: str, warning: str) -> None:
        """Report what has no effect in the attribute `name`."""
        self._findings.warnings.append(ConfigProblem(self._file, self._place(name), warning))

    def take(self, name: str) -> Node:
        """Read whatever stands under `name`."""
        self._read.add(name)
        return self._node.get(name)

    def has(self, name: str) -> bool:
        """Tell whether anything but null stands under `name`."""
        return self._node.get(name) is not None

    def ignore(self, *names: str) -> None:
        """Read past these."""
        self._read.update(names)

    def pass_over(self, names: Iterable[str], reason: str) -> None:
        """Read past these, with a warning for each that is there."""
        for name in names:
            if self.has(name):
                self.warn(name, reason)
            self.ignore(name)

    def unread(self) -> list[str]:
        """List what is here and was not read, as it may be shown, and read past it."""
        names = [name for name in self._node if name not in self._read]
        self.ignore(*names)
        return [without_hash(_shown(name)) for name in names]

    def unresolved(self) -> Unresolved | None:
        """Find a variable without a value anywhere in here."""
        return _unresolved([*self._node.values()])

    def text(self, name: str, *, droppable: bool = False) -> str | None:
        """Read a string."""
        value = self.take(name)
        if value is None or isinstance(value, str):
            return value
        self._refuse(name, value, "A string", droppable=droppable)
        return None

    def flag(self, name: str, default: bool) -> bool:  # noqa: FBT001  # named in every call
        """Read true or false."""
        value = self.take(name)
        if isinstance(value, Expanded) and value in ("true", "false"):
            return value == "true"  # A variable is always a text.
        if value is None or isinstance(value, bool):
            return default if value is None else value
        self._refuse(name, value, "true or false")
        return default

    def require(self, *names: str) -> None:
        """Report those of `names` under which nothing stands."""
        for name in names:
            if not self.has(name):
                self.problem(name, MISSING)

    def texts(self, name: str, *, droppable: bool = False) -> tuple[str, ...]:
        """Read a list of strings, or one string."""
        return tuple(text for _, text in self._listed(name, droppable=droppable))

    def _listed(self, name: str, *, droppable: bool) -> Iterator[tuple[str, str]]:
        value = self.take(name)
        if isinstance(value, str):
            yield name, value
        elif isinstance(value, list):
            yield from self._strings(name, value, droppable=droppable)
        elif value is not None:
            self._refuse(name, value, "A list of strings", droppable=droppable)

    def _strings(self, name: str, elements: list[Node], *, droppable: bool) -> Iterator[tuple[str, str]]:
        for number, element in enumerate(elements):
            if isinstance(element, str):
                yield f"{name}.{number}", element
            elif isinstance(element, list) and element and all(isinstance(text, Expanded) for text in element):
                # A variable that is a list, in a list.
                yield from self._strings(f"{name}.{number}", element, droppable=droppable)
            else:
                self._refuse(f"{name}.{number}", element, "A string", droppable=droppable)

    def parsed(self, name: str, parse: Callable[[str], T], expected: str, *, droppable: bool = False) -> tuple[T, ...]:
        """Read a list of strings, or one, and parse each; what `parse` refuses with ValueError is a problem."""
        return tuple(self._parse(self._listed(name, droppable=droppable), parse, expected))

    def _parse(self, listed: Iterable[tuple[str, str]], parse: Callable[[str], T], expected: str) -> Iterator[T]:
        for place, text in listed:
            try:
                yield parse(text)
            except BadPatternError as error:
                self.problem(place, f"{INVALID}: {error}", expected)
            except ValueError:
                self.problem(place, INVALID, expected)

    def patterns(self, name: str, *, templates: bool = False, droppable: bool = False) -> tuple[str, ...]:
        """Read patterns, as patterns.py has them; `templates` may also hold `${…}`."""
        return self.parsed(name, _template if templates else _pattern, _A_PATTERN, droppable=droppable)

    def matcher(self, name: str, *, droppable: bool = False) -> Matcher:
        """Read patterns of names, roles or hosts into one matcher; see `identifiers.normalized`."""
        return Matcher(self.parsed(name, _spelled_pattern, _A_PATTERN, droppable=droppable))

    def matchers(self, name: str) -> tuple[Matcher, ...]:
        """Read a list of patterns, or of lists of them, or one pattern: a matcher for each element.

        With a variable that has no value there is one more, which matches nothing.
        """
        value = self.take(name)
        matchers = []
        for number, element in enumerate(value) if isinstance(value, list) else [(None, value)]:
            place = name if number is None else f"{name}.{number}"
            if isinstance(element, str):
                listed: Iterable[tuple[str, str]] = [(place, element)]
            elif isinstance(element, list):
                listed = self._strings(place, element, droppable=True)
            elif element is None and number is None:
                continue
            else:
                self._refuse(place, element, "A string", droppable=True)
                listed = []
            matchers.append(Matcher(self._parse(listed, _spelled_pattern, _A_PATTERN)))
        return tuple(matchers)

    def networks(self, name: str, *, droppable: bool = False) -> tuple[Network, ...]:
        """Read addresses and networks."""
        return self.parsed(name, _network, "IP address or netmask in CIDR notation", droppable=droppable)

    def child(self, name: str) -> Cursor:
        """Enter the mapping under `name`, empty if there is none."""
        value = self.take(name)
        if isinstance(value, dict):
            return self._enter(name, value)
        if value is not None:
            self._refuse(name, value, "A mapping")
        return self._enter(name, None)

    def children(self, name: str, *, or_one: bool = False) -> Iterator[Cursor]:
        """Enter the mappings in the list under `name`; `or_one`: a mapping with something in it is a list of one."""
        value = self.take(name)
        if or_one and isinstance(value, dict) and value:
            yield self._enter(name, value)
            return
        if value is not None and not isinstance(value, list):
            self._refuse(name, value, "A list")
            return
        for number, element in enumerate(value or ()):
            if isinstance(element, dict):
                yield self._enter(f"{name}.{number}", element)
            else:
                self._refuse(f"{name}.{number}", element, "A mapping")

    def entries(self) -> Iterator[tuple[str, Cursor]]:
        """Enter all entries of the document; keys that begin with `_` are none."""
        for name, value in self._node.items():
            self._read.add(name)
            if name.startswith("_"):
                continue
            if value is None or isinstance(value, dict):
                yield name, self._enter(name, value)
            else:
                self._refuse(name, value, "A mapping")

    def names(self) -> Iterator[str]:
        """Name the entries, each for `child` or `text`."""
        return iter(self._node)

    def end(self) -> None:
        """Report what stands here and was not read."""
        for name in self._node:
            if name not in self._read:
                self.problem(_shown(name), _UNSUPPORTED)

    def _refuse(self, name: str, value: Node, expected: str, *, droppable: bool = False) -> None:
        if not isinstance(value, Unresolved):
            self.problem(name, INVALID, expected)
        elif droppable:
            self.warn(name, str(value))
        else:
            self.problem(name, str(value), expected)

    def _place(self, name: str) -> str:
        return ".".join(filter(None, (self.path, without_hash(name))))

    def _enter(self, name: str, node: Mapping[str, Node] | None) -> Cursor:
        return Cursor(self._file, self._place(name), node or {}, self._findings)


def resolved(node: Node) -> Json:
    """Return a node as JSON; a variable without a value is null."""
    if isinstance(node, list):
        return [resolved(element) for element in node]
    if isinstance(node, dict):
        return {name: resolved(value) for name, value in node.items()}
    return None if isinstance(node, Unresolved) else node


def _unresolved(nodes: Iterable[Node]) -> Unresolved | None:
    for node in nodes:
        inner = node if isinstance(node, list) else [*node.values()] if isinstance(node, dict) else ()
        found = node if isinstance(node, Unresolved) else _unresolved(inner)
        if found is not None:
            return found
    return None


def _pattern(text: str) -> str:
    expression(text)
    return text


def _spelled_pattern(text: str) -> str:
    # What is compiled is checked: in the normal form `=` and a combining stroke are another character.
    return _pattern(spelled(text))


def _template(text: str) -> str:
    if is_template(text):
        Template(text)
        return text
    return _pattern(text)


def _network(text: str) -> Network:
    return ip_network(text, strict=False)


# -- Dots in keys -------------------------------------------------------------


class _Undotted:
    """Mappings in which `a.b: 1` is written `a: {b: 1}`, as sg_authc.yml may have it.

    What then stands twice is a problem: an `accept` that gave way to another
    would let in whom it was to keep out.
    """

    def __init__(self, file: str, problems: list[ConfigProblem]) -> None:
        self._file = file
        self._problems = problems

    def mapping(self, node: Mapping[str, Node], path: tuple[str, ...] = ()) -> dict[str, Node]:
        result: dict[str, Node] = {}
        for key, value in node.items():
            steps = key.split(".")
            if not all(steps) or len(steps) > _DEEPEST:
                steps = [key]
            self._put(result, steps, self._node(value, (*path, key)), path)
        return result

    def _node(self, node: Node, path: tuple[str, ...]) -> Node:
        if isinstance(node, list):
            return [self._node(element, (*path, str(number))) for number, element in enumerate(node)]
        return self.mapping(node, path) if isinstance(node, dict) else node

    def _put(self, there: dict[str, Node], steps: list[str], value: Node, path: tuple[str, ...]) -> None:
        name, *inner = steps
        path = (*path, name)
        for step in reversed(inner):
            value = {step: value}
        if name not in there:
            there[name] = value
            return
        old = there[name]
        if not isinstance(old, dict) or not isinstance(value, dict):
            self._problems.append(ConfigProblem(self._file, ".".join(map(_shown, path)), "This stands twice"))
            return
        for step, deeper in value.items():
            self._put(old, [step], deeper, path)
