# SPDX-License-Identifier: Apache-2.0
"""Routes that carry their rules: path, policy, schemas and versions stand on the handler."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any, TypeVar

from nova_lite import context
from nova_lite.api.wsgi.request import Body, Reply, Request
from nova_lite.api.wsgi.versions import Range, Version, parse

ANYONE, READER, MEMBER, MANAGER, ADMIN, SERVICE = (
    "", context.READER, context.MEMBER, context.MANAGER, context.ADMIN, context.SERVICE,
)
_FIRST = "2.0"
# Compute's; the faces without microversions never get there.
_CLOSED_SINCE = parse("2.102")
_NO_QUERY: Mapping[str, Any] = {"type": "object", "additionalProperties": False}
_F = TypeVar("_F", bound=Callable[..., Any])
Handler = Callable[..., Body | Reply | None]


@dataclasses.dataclass(frozen=True)
class Rule:
    """A policy: its name (Nova's where Nova has it) and the least role that it asks for by default.

    `role` "" (ANYONE): any valid token. An admin passes every rule. `check`: the default in oslo.policy's language,
    where a role cannot say it.
    """

    name: str
    role: str
    check: str = ""


PUBLIC = Rule("public", ANYONE)  # no token needed; an arch test lists who may use it


@dataclasses.dataclass(frozen=True)
class Route:
    """One handler's rules. `schemas`: (first version, JSON schema) ascending; None: takes no body.

    `action`: the one key of the body that selects this handler among those of the path. `also`: other statuses
    of success that the handler may reply with.
    """

    method: str
    path: str
    handler: Handler
    policy: Rule
    status: int
    versions: Range
    schemas: tuple[tuple[Version, Mapping[str, Any] | None], ...]
    queries: tuple[tuple[Version, Mapping[str, Any] | None], ...]
    action: str | None = None
    raw_body: bool = False
    also: tuple[int, ...] = ()

    def schema_for(self, version: Version) -> Mapping[str, Any] | None:
        """The body's schema at this version."""
        return _newest(self.schemas, version)

    def query_for(self, version: Version) -> Mapping[str, Any] | None:
        """The query's schema at this version; a GET that declares none takes no parameters from 2.102 on."""
        declared = _newest(self.queries, version)
        return _NO_QUERY if declared is None and self.method == "GET" and version >= _CLOSED_SINCE and self.status < 400 else declared


Schemas = Mapping[str, Mapping[str, Any] | None] | Mapping[str, Any] | None


def route(
    method: str, path: str, *, policy: Rule, status: int = 200, since: str = _FIRST, until: str | None = None,
    body: Schemas = None, query: Schemas = None, raw_body: bool = False, also: tuple[int, ...] = (),
) -> Callable[[_F], _F]:
    """Declare a handler `f(req, [body,] **path variables)`.

    `body` and `query`: {first version: JSON schema}; faces without microversions use "2.0".
    `raw_body`: the body is not JSON; the handler reads `req.http.body_file` itself. `also`: see Route.
    """
    return _declare(method, path, policy, status, since, until, body, query, raw_body=raw_body, also=also)


def action(
    name: str, *, policy: Rule, path: str = "/servers/{server_id}/action", status: int = 202, since: str = _FIRST,
    until: str | None = None, body: Schemas = None,
) -> Callable[[_F], _F]:
    """Declare a handler for `POST path` with body `{name: …}`; `body` are schemas of the whole body."""
    return _declare("POST", path, policy, status, since, until, body, None, action_name=name)


def _declare(
    method: str, path: str, policy: Rule, status: int, since: str, until: str | None, body: Schemas,
    query: Schemas, *, action_name: str | None = None, raw_body: bool = False, also: tuple[int, ...] = (),
) -> Callable[[_F], _F]:
    versions = Range(parse(since), parse(until) if until else None)

    def mark(handler: _F) -> _F:
        made = Route(method, path, handler, policy, status, versions, _by_version(body), _by_version(query),
                     action_name, raw_body, also)
        handler.__dict__.setdefault("routes", []).append(made)
        return handler

    return mark


def _by_version(schemas: Schemas) -> tuple[tuple[Version, Mapping[str, Any] | None], ...]:
    return tuple(sorted(((parse(key), value) for key, value in (schemas or {}).items()), key=lambda pair: pair[0]))


def _newest(
    schemas: tuple[tuple[Version, Mapping[str, Any] | None], ...], version: Version
) -> Mapping[str, Any] | None:
    return next((schema for first, schema in reversed(schemas) if first <= version), None)


def routes_of(resources: Iterable[ModuleType]) -> list[Route]:
    """All routes that the modules' handlers declare, in their order."""
    found: list[Route] = []
    for module in resources:
        for member in vars(module).values():
            if callable(member) and getattr(member, "__module__", None) == module.__name__:
                found += getattr(member, "routes", [])
    return found


@dataclasses.dataclass(frozen=True, eq=False)
class Field:
    """One field of an answer: `read(row)` gives its value; it is there from `since` to `until`.

    `role`: only for callers with it. Fields are themselves alone: tuples of them are keys on every request.
    """

    name: str
    read: Callable[[Any], Any]
    since: str = _FIRST
    until: str | None = None
    role: str = ANYONE
    versions: Range = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "versions", Range(parse(self.since), parse(self.until) if self.until else None))


def view(fields: Iterable[Field], row: Any, req: Request) -> Body:
    """The row as this request may see it: fields of its version and role."""
    version, roles = req.version, req.ctxt.roles
    return {
        field.name: field.read(row) for field in fields
        if field.versions.holds(version) and (not field.role or field.role in roles)
    }
