# SPDX-License-Identifier: Apache-2.0
"""Routes that carry their rules: path, policy, versions, and the schemas of request and response stand on the handler."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any, TypeVar

from nova_lite.api.wsgi.request import Body, Deferred, Reply
from nova_lite.api.wsgi.responses import Schema, Shape, schema_at
from nova_lite.api.wsgi.rules import Rule
from nova_lite.api.wsgi.versions import Range, Version, parse

_FIRST = "2.0"
_CLOSED = Range(parse("2.102"), parse("2.999"))  # of compute's microversions
_NO_QUERY: Schema = {"type": "object", "additionalProperties": False}
_VERSION = re.compile(r"\d+\.\d+")
_STATUS = re.compile(r"(?<=\.) (?=\d{3}\b)")
_SLASHES = re.compile("//+")
_F = TypeVar("_F", bound=Callable[..., Any])
Handler = Callable[..., Body | Reply | Deferred[Any] | None]
Schemas = Mapping[str, Mapping[str, Any] | None] | Mapping[str, Any] | None
ByVersion = tuple[tuple[Version, Any], ...]  # (first version, schema) ascending


@dataclasses.dataclass(frozen=True)
class Route:
    """One handler's rules. `schemas`, `queries`, `responses`: of the body, the query and what is answered; empty: none.

    `action`: the one key of the body that selects this handler among those of the path. `also`: other statuses
    of success that the handler may reply with. `additive`: a route of our own, which the OpenStack API lacks. `waits`: the
    request waits for a worker or for its turn (see request.Deferred and TurnTaken), as only so many may at once.
    `changes`: it is a GET, and changes rows nevertheless.
    """

    method: str
    path: str
    handler: Handler
    policy: Rule
    status: int
    versions: Range
    schemas: ByVersion
    queries: ByVersion
    responses: ByVersion
    action: str | None = None
    raw_body: bool = False
    also: tuple[int, ...] = ()
    additive: bool = False
    waits: bool = False
    changes: bool = False

    @property
    def is_read(self) -> bool:
        """Whether its handler only reads."""
        return self.method in ("GET", "HEAD") and not self.changes

    @property
    def summary(self) -> str:
        """What the request does: the first sentence of the handler's docstring, without the statuses after it."""
        text = (self.handler.__doc__ or self.handler.__name__.replace("_", " ")).strip().partition("\n")[0]
        return _STATUS.split(text)[0]

    def schema_for(self, version: Version) -> Mapping[str, Any] | None:
        """The body's schema at this version."""
        schema: Mapping[str, Any] | None = _newest(self.schemas, version)
        return schema

    def query_for(self, version: Version) -> Mapping[str, Any] | None:
        """The query's schema at this version; a GET of compute that declares none takes no parameters from 2.102 on."""
        declared: Mapping[str, Any] | None = _newest(self.queries, version)
        return _NO_QUERY if declared is None and self.method == "GET" and _CLOSED.holds(version) and self.status < 400 else declared

    def response_for(self, version: Version) -> Schema | None:
        """The schema of the body of a success at this version; None: there is no body."""
        schema: Schema | None = schema_at(_newest(self.responses, version), version)
        return schema


def route(
    method: str, path: str, *, policy: Rule, status: int = 200, since: str = _FIRST, until: str | None = None,
    body: Schemas = None, query: Schemas = None, response: Shape | Schemas = None, raw_body: bool = False,
    also: tuple[int, ...] = (), additive: bool = False, waits: bool = False, changes: bool = False,
) -> Callable[[_F], _F]:
    """Declare a handler `f(req, [body,] **path variables)`.

    `body` and `query`: {first version: JSON schema}; services without microversions use "2.0". `response`: the shape
    of the answer (see responses.py), or {first version: shape or None} where fields' own versions cannot say it.
    `raw_body`: the body is not JSON; the handler reads `req.http.body_file` itself. `also`, `additive`, `waits`, `changes`: see Route.
    """
    def declared(handler: Handler) -> Route:
        return Route(method, path, handler, policy, status, _range(since, until), _by_version(body), _by_version(query),
                     _by_version(response), raw_body=raw_body, also=also, additive=additive, waits=waits, changes=changes)

    return _mark(declared)


def action(
    name: str, *, policy: Rule, path: str = "/servers/{server_id}/action", status: int = 202, since: str = _FIRST,
    until: str | None = None, body: Schemas = None, response: Shape | Schemas = None, additive: bool = False,
    waits: bool = False,
) -> Callable[[_F], _F]:
    """Declare a handler for `POST path` with body `{name: …}`; `body` are schemas of the whole body, others as for `route`."""
    def declared(handler: Handler) -> Route:
        return Route("POST", path, handler, policy, status, _range(since, until), _by_version(body), (), _by_version(response),
                     action=name, additive=additive, waits=waits)

    return _mark(declared)


def _mark(declared: Callable[[Handler], Route]) -> Callable[[_F], _F]:
    def mark(handler: _F) -> _F:
        handler.__dict__.setdefault("routes", []).append(declared(handler))
        return handler

    return mark


def _range(since: str, until: str | None) -> Range:
    return Range(parse(since), parse(until) if until else None)


def _by_version(schemas: Shape | Schemas) -> ByVersion:
    if not schemas:
        return ()
    if isinstance(schemas, tuple) or not all(_VERSION.fullmatch(key) for key in schemas):
        return ((parse(_FIRST), schemas),)
    return tuple(sorted(((parse(key), value) for key, value in schemas.items()), key=lambda pair: pair[0]))


def _newest(schemas: ByVersion, version: Version) -> Any:
    return next((schema for first, schema in reversed(schemas) if first <= version), None)


def routes_of(resources: Iterable[ModuleType]) -> list[Route]:
    """All routes that the modules' handlers declare, in their order."""
    routes: list[Route] = []
    for module in resources:
        for member in vars(module).values():
            if callable(member) and getattr(member, "__module__", None) == module.__name__:
                routes += getattr(member, "routes", [])
    return routes


def single_slashes(path: str) -> str:
    """The path with one slash for several, as paste's urlmap makes it before routes are matched."""
    return _SLASHES.sub("/", path)
