"""What every test would make anew, and always alike, is made once a process.

A test has a service of its own, and starting one costs more than most questions
to it. Of a start these depend on nothing but what they are given, so that who
makes them again has the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from copy import copy, deepcopy
from threading import Lock
from typing import Any

from flask import Flask
from sqlalchemy import Compiled, Engine
from sqlalchemy.util import LRUCache
from werkzeug.routing import Rule

from accounts_service.access import snapshot
from accounts_service.access.configuration import Configuration
from accounts_service.access.snapshot import BuiltIns
from accounts_service.app import FAMILIES
from accounts_service.config import Settings
from accounts_service.faults import Json
from accounts_service.web import application, openapi, routing
from accounts_service.web.family import Family

_compile_builder = Rule._compile_builder
_builders: dict[tuple[object, ...], Callable[..., tuple[str, str]]] = {}


def _builder_of(rule: Rule, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:  # noqa: FBT001, FBT002  # werkzeug calls it so
    """Compile what builds a rule's URLs, which nothing here does, and which takes longest of all."""
    key = (rule.rule, append_unknown, rule.host, rule.subdomain, repr(rule.defaults))
    if key not in _builders:
        _builders[key] = _compile_builder(rule, append_unknown)
    return _builders[key]


class _OfAllEngines(LRUCache[tuple[object, ...], Compiled]):
    """Compiled statements, by the kind of database instead of by the engine, of which every test has its own."""

    def get(self, key: tuple[object, ...], default: object = None) -> Any:  # as LRUCache has it
        return super().get(_by_kind(key), default)

    def __getitem__(self, key: tuple[object, ...]) -> Compiled:
        return super().__getitem__(_by_kind(key))

    def __setitem__(self, key: tuple[object, ...], value: Compiled) -> None:
        super().__setitem__(_by_kind(key), value)


def _by_kind(key: tuple[object, ...]) -> tuple[object, ...]:
    dialect, *rest = key
    return type(dialect), *rest


_compiled = _OfAllEngines(2000)

_parse = snapshot.parse
_parsed: dict[tuple[tuple[str, str], ...], tuple[BuiltIns, Configuration]] = {}


def _parse_once(texts: Mapping[str, str], built_ins: BuiltIns) -> Configuration:
    """Read the files of a directory, which most tests have alike; what comes of them nobody can change."""
    if any("#{env:" in text for text in texts.values()):
        return _parse(texts, built_ins)  # What comes of them depends on the environment, too.
    key = tuple(sorted(texts.items()))
    if key not in _parsed or _parsed[key][0] != built_ins:
        _parsed[key] = (built_ins, _parse(texts, built_ins))
    return _parsed[key][1]


_routed = application.routed
_apps: dict[str, Flask] = {}
# CPython 3.11 fails if two threads compile syntax trees at once (https://github.com/python/cpython/issues/106905).
_compiling = Lock()


def _routed_once(family: Family) -> Flask:
    """Return a copy of an app that knows where the paths of one of our families lead."""
    if FAMILIES.get(family.name) is not family:
        return _routed(family)
    with _compiling:
        if family.name not in _apps:
            _apps[family.name] = _routed(family)
    return _copied(_apps[family.name])


def _copied(app: Flask) -> Flask:
    """Copy what is changed between the routes and the first request; the copies share the routes."""
    copied = copy(app)
    for name in ("before_request_funcs", "after_request_funcs", "teardown_request_funcs", "error_handler_spec"):
        setattr(copied, name, deepcopy(getattr(app, name)))
    copied.config = copy(app.config)
    copied.extensions = dict(app.extensions)
    copied.json = copied.json_provider_class(copied)
    return copied


_document = openapi.document
_documents: dict[tuple[str, ...], tuple[Settings, str]] = {}


def _document_once(families: Iterable[Family], settings: Settings) -> dict[str, Json]:
    """Return a new copy of the OpenAPI document of some of our families."""
    there = tuple(families)
    if any(FAMILIES.get(family.name) is not family for family in there):
        return _document(there, settings)
    key = tuple(family.name for family in there)
    if key not in _documents or _documents[key][0] != settings:
        _documents[key] = (settings, json.dumps(_document(there, settings)))
    made: dict[str, Json] = json.loads(_documents[key][1])
    return made


def install_routes() -> None:
    """Put the routes of all families together, for this process and those that are forked from it."""
    application.routed = _routed_once
    routing.routed = _routed_once  # type: ignore[attr-defined]  # for tests alone
    for family in FAMILIES.values():
        _routed_once(family)


def install() -> None:
    """Put all of it in force, in this process."""
    Rule._compile_builder = _builder_of  # type: ignore[method-assign, assignment]  # for tests alone
    # What an engine sets at its start goes nowhere.
    Engine._compiled_cache = property(lambda _: _compiled, lambda *_: None)  # type: ignore[assignment]  # for tests alone
    snapshot.parse = _parse_once
    install_routes()
    openapi.document = _document_once
