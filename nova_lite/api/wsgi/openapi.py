# SPDX-License-Identifier: Apache-2.0
"""An OpenAPI 3.1 document of a face at one microversion, generated from its routes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from nova_lite.api.wsgi.request import Body
from nova_lite.api.wsgi.routing import ANYONE, PUBLIC, Field, Route
from nova_lite.api.wsgi.versions import Negotiation, Version

Schema = dict[str, Any]
Answers = Callable[[Route, Version], Schema | None]  # the body of a route's success; None: none, or not told
FaultBody = Callable[[int, str], Body]

_TEXTS = {
    200: "OK", 201: "Created", 202: "Accepted: it is being done", 204: "Done", 207: "Each part has its own status",
    300: "Several choices", 400: "The request is not as the schema says, or cannot be", 401: "No valid token",
    403: "The policy, a quota or a lock forbids it", 404: "There is none, or not for the caller",
    409: "Not in the present state", 410: "Gone for good", 413: "The body is too large",
    415: "The body is not of this media type", 501: "Not offered here", 503: "Try again shortly",
}
_ALWAYS = (400, 401, 403, 404, 409, 501, 503)
_CHANGING = (413, 415)


def document(
    title: str, routes: Iterable[Route], version: Version, *, url: str, fault_body: FaultBody,
    negotiation: Negotiation | None = None, answers: Answers | None = None,
) -> Body:
    """What the routes take and give at this microversion; `url` is what their paths follow."""
    paths: dict[str, dict[str, Any]] = {}
    for (path, method), found in _grouped(routes, version).items():
        entry = paths.setdefault(path, {"parameters": _path_parameters(path)} if "{" in path else {})
        entry[method] = _operation(found, version, negotiation, answers)
    newest = f", microversion {version}" if negotiation else ""
    return {
        "openapi": "3.1.0",
        "info": {"title": f"nova_lite {title} API{newest}", "version": str(version),
                 "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}},
        "servers": [{"url": url}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"}},
            "schemas": {"Fault": _fault(fault_body)},
            "responses": {str(status): _refusal(_TEXTS[status]) for status in (*_ALWAYS, *_CHANGING, 410)},
            "headers": _headers(negotiation),
        },
    }


def _grouped(routes: Iterable[Route], version: Version) -> dict[tuple[str, str], list[Route]]:
    """The routes that hold at this version, those of one method and path together: actions."""
    found: dict[tuple[str, str], list[Route]] = {}
    for route in sorted(routes, key=lambda one: (one.path, one.method, one.action or "")):
        if route.versions.holds(version):
            found.setdefault((route.path, route.method.lower()), []).append(route)
    return found


def _operation(
    routes: list[Route], version: Version, negotiation: Negotiation | None, answers: Answers | None
) -> dict[str, Any]:
    first = routes[0]
    operation: dict[str, Any] = {
        "operationId": _operation_id(first), "tags": [first.handler.__module__.rpartition(".")[2]],
        "summary": _first_line(first) if first.action is None else "One of: " + ", ".join(str(one.action) for one in routes),
        "parameters": [*_version_parameter(version, negotiation), *_query_parameters(first.query_for(version))],
        "responses": _responses(routes, version, answers),
        "x-nova-lite": [_rules(route, answers(route, version) if answers else None) for route in routes],
    }
    if first.policy is PUBLIC:
        operation["security"] = []
    body = _request_body(routes, version)
    if body is not None:
        operation["requestBody"] = body
    return operation


def _operation_id(route: Route) -> str:
    return re.sub(r"\W+", "_", f"{route.method.lower()}{route.path}").strip("_")


def _first_line(route: Route) -> str:
    return (route.handler.__doc__ or route.handler.__name__.replace("_", " ")).strip().partition("\n")[0]


def _rules(route: Route, answer: Schema | None) -> dict[str, Any]:
    """What OpenAPI has no words for: the route's versions and policy, and which action of a path answers with what."""
    said: dict[str, Any] = {"since": str(route.versions.since), "until": str(route.versions.until or "")}
    if route.policy is not PUBLIC:
        said |= {"policy": route.policy.name, "least-role": route.policy.role or "any"}
    if route.action is None:
        return said
    return said | {"action": route.action, "summary": _first_line(route)} | ({"answer": answer} if answer else {})


def _request_body(routes: list[Route], version: Version) -> dict[str, Any] | None:
    first = routes[0]
    if first.raw_body:
        return {"required": True, "content": {"*/*": {}}}
    if not any(route.schemas or route.action for route in routes):
        return None
    bodies = [_body_schema(route, version) for route in routes]
    whole = bodies[0] if len(bodies) == 1 else {"anyOf": bodies}
    return {"required": True, "content": {"application/json": {"schema": whole}}}


def _body_schema(route: Route, version: Version) -> Schema:
    schema = route.schema_for(version)
    if schema is not None:
        return dict(schema)
    return {"type": "object"} if route.action is None else {"type": "object", "required": [route.action]}


def _responses(routes: list[Route], version: Version, answers: Answers | None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for status in sorted({code for route in routes for code in (route.status, *route.also)}):
        if status >= 400:
            found[str(status)] = {"$ref": f"#/components/responses/{status}"}
            continue
        shapes = [shape for route in routes if route.status == status and answers is not None
                  for shape in [answers(route, version)] if shape is not None]
        found[str(status)] = _success(status, shapes, is_whole=len(shapes) == len(routes))
    for status in (*_ALWAYS, *(_CHANGING if routes[0].method not in ("GET", "HEAD") else ())):
        found[str(status)] = {"$ref": f"#/components/responses/{status}"}
    return found


def _success(status: int, shapes: list[Schema], *, is_whole: bool) -> dict[str, Any]:
    """`is_whole`: the shapes are those of all that may be answered."""
    made: dict[str, Any] = {"description": _TEXTS[status], "headers": {
        name: {"$ref": f"#/components/headers/{name}"} for name in ("X-Openstack-Request-Id",)}}
    if shapes and is_whole and status != 204:
        made["content"] = {"application/json": {"schema": shapes[0] if len(shapes) == 1 else {"anyOf": shapes}}}
    return made


def _path_parameters(path: str) -> list[dict[str, Any]]:
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string", "pattern": "^[^/]+$"}}
            for name in re.findall(r"{(\w+)}", path)]


def _query_parameters(schema: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Each parameter as the list of its values, as the schema has it."""
    known = (schema or {}).get("properties", {})
    return [{"name": name, "in": "query", "required": False, "explode": True,
             "schema": {"items": {"type": "string"}, **shape}} for name, shape in known.items()]


def _version_parameter(version: Version, negotiation: Negotiation | None) -> list[dict[str, Any]]:
    if negotiation is None:
        return []
    return [{"name": "OpenStack-API-Version", "in": "header", "required": True,
             "schema": {"const": f"{negotiation.service} {version}"},
             "description": f"This document is of one microversion of {negotiation.minimum} to {negotiation.maximum}."}]


def _fault(fault_body: FaultBody) -> Schema:
    """The shape of a refusal: the face's own, one key in it naming the kind, or the auth filter's."""
    inner = {"type": "object", "properties": {"code": {"type": "integer"}, "message": {"type": "string"}},
             "required": ["code", "message"]}
    is_wrapped = any(isinstance(value, dict) and "code" in value for value in fault_body(404, "").values())
    return {"type": "object", "minProperties": 1, **({"maxProperties": 1, "additionalProperties": inner} if is_wrapped else {})}


def _refusal(text: str) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Fault"}}}}


def _headers(negotiation: Negotiation | None) -> dict[str, Any]:
    known: dict[str, Any] = {"X-Openstack-Request-Id": {"schema": {"type": "string", "pattern": "^req-"}}}
    if negotiation is not None:
        known["OpenStack-API-Version"] = {"schema": {"type": "string"}, "description": "the microversion that was used"}
    return known


def shape(fields: Iterable[Field], version: Version, types: Mapping[str, Schema], **more: Schema) -> Schema:
    """The object that `routing.view` makes of these fields at this version, with `more` properties beside.

    A field for some roles only may be missing; one without an entry in `types` may be anything.
    """
    held = [field for field in fields if field.versions.holds(version)]
    properties = {field.name: types.get(field.name, {}) for field in held} | more
    required = sorted({field.name for field in held if field.role == ANYONE} | set(more))
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
