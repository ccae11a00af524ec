# SPDX-License-Identifier: Apache-2.0
"""An OpenAPI 3.1 document of an API service at one microversion, generated from its routes."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from typing import Any

from nova_lite.api.wsgi.request import Body
from nova_lite.api.wsgi.responses import Schema
from nova_lite.api.wsgi.routing import Route
from nova_lite.api.wsgi.rules import PUBLIC
from nova_lite.api.wsgi.service import ApiService
from nova_lite.api.wsgi.versions import Negotiation, Version

_TEXTS = {
    200: "OK", 201: "Created", 202: "Accepted: it is in progress", 204: "Done", 207: "Each part has its own status",
    300: "Several choices", 400: "The request does not match the schema, or cannot be fulfilled", 401: "No valid token",
    403: "A policy, a quota or a lock forbids it", 404: "It does not exist, or not for the caller",
    409: "Conflict with the present state", 410: "Removed for good", 413: "The body is too large",
    415: "The body is not of this media type", 501: "Not offered here", 503: "Try again shortly",
}
_ALWAYS = (400, 401, 403, 404, 409, 501, 503)
_CHANGING = (413, 415)


def document(service: ApiService, version: Version, url: str) -> Body:
    """What the service's routes take and answer at this microversion; `url` is what their paths follow."""
    paths: dict[str, dict[str, Any]] = {}
    negotiation = service.negotiation
    for (path, method), routes in _grouped(service.routes, version).items():
        entry = paths.setdefault(path, {"parameters": _path_parameters(path)} if "{" in path else {})
        entry[method] = _operation(service, routes, version)
    newest = f", microversion {version}" if negotiation else ""
    return {
        "openapi": "3.1.0",
        "info": {"title": f"nova_lite {service.name} API{newest}", "version": str(version),
                 "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}},
        "servers": [{"url": url}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"}},
            "schemas": {"Fault": _fault(service)},
            "responses": {str(status): _refusal(_TEXTS[status]) for status in (*_ALWAYS, *_CHANGING, 410)},
            "headers": _headers(negotiation),
        },
    }


def _grouped(routes: Iterable[Route], version: Version) -> dict[tuple[str, str], list[Route]]:
    """The routes that hold at this version, those of one method and path together: actions."""
    groups: dict[tuple[str, str], list[Route]] = {}
    for route in sorted(routes, key=lambda one: (one.path, one.method, one.action or "")):
        if route.versions.holds(version):
            groups.setdefault((route.path, route.method.lower()), []).append(route)
    return groups


def _operation(service: ApiService, routes: list[Route], version: Version) -> dict[str, Any]:
    first = routes[0]
    responses = [route.response_for(version) for route in routes]
    operation: dict[str, Any] = {
        "operationId": _operation_id(first), "tags": [first.handler.__module__.rpartition(".")[2]],
        "summary": first.summary if first.action is None else "One of: " + ", ".join(str(one.action) for one in routes),
        "description": "\n\n".join(dict.fromkeys(inspect.getdoc(route.handler) or route.summary for route in routes)),
        "parameters": [*_version_parameter(version, service.negotiation), *_query_parameters(first.query_for(version))],
        "responses": _responses(routes, responses),
        "x-nova-lite": [_rules(route, response) for route, response in zip(routes, responses, strict=True)],
    }
    if first.policy is PUBLIC:
        operation["security"] = []
    body = _request_body(routes, version)
    if body is not None:
        operation["requestBody"] = body
    return operation


def _operation_id(route: Route) -> str:
    return re.sub(r"\W+", "_", f"{route.method.lower()}{route.path}").strip("_")


def _rules(route: Route, response: Schema | None) -> dict[str, Any]:
    """What OpenAPI has no terms for: versions, policy, whether it is our own, and what each action of a path answers."""
    rules: dict[str, Any] = {"since": str(route.versions.since), "until": str(route.versions.until or "")}
    if route.policy is not PUBLIC:
        rules |= {"policy": route.policy.name, "least-role": route.policy.role or "any"}
    if route.additive:
        rules["additive"] = True
    if route.action is None:
        return rules
    return rules | {"action": route.action, "summary": route.summary} | ({"answer": response} if response else {})


def _request_body(routes: list[Route], version: Version) -> dict[str, Any] | None:
    first = routes[0]
    if first.raw_body:
        return {"required": True, "content": {"*/*": {}}}
    if not any(route.schemas or route.action for route in routes):
        return None
    bodies = [_body_schema(route, version) for route in routes]
    schema = bodies[0] if len(bodies) == 1 else {"anyOf": bodies}
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def _body_schema(route: Route, version: Version) -> Schema:
    schema = route.schema_for(version)
    if schema is not None:
        return dict(schema)
    return {"type": "object"} if route.action is None else {"type": "object", "required": [route.action]}


def _responses(routes: list[Route], responses: list[Schema | None]) -> dict[str, Any]:
    by_status: dict[str, Any] = {}
    for status in sorted({code for route in routes for code in (route.status, *route.also)}):
        if status >= 400:
            by_status[str(status)] = {"$ref": f"#/components/responses/{status}"}
            continue
        bodies = [body for route, body in zip(routes, responses, strict=True) if route.status == status and body is not None]
        by_status[str(status)] = _success(status, bodies, is_complete=len(bodies) == len(routes))
    for status in (*_ALWAYS, *(_CHANGING if routes[0].method not in ("GET", "HEAD") else ())):
        by_status[str(status)] = {"$ref": f"#/components/responses/{status}"}
    return by_status


def _success(status: int, bodies: list[Schema], *, is_complete: bool) -> dict[str, Any]:
    """`is_complete`: every route of the operation answers with one of these bodies."""
    response: dict[str, Any] = {"description": _TEXTS[status], "headers": {
        name: {"$ref": f"#/components/headers/{name}"} for name in ("X-Openstack-Request-Id",)}}
    if bodies and is_complete and status != 204:
        response["content"] = {"application/json": {"schema": bodies[0] if len(bodies) == 1 else {"anyOf": bodies}}}
    return response


def _path_parameters(path: str) -> list[dict[str, Any]]:
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string", "pattern": "^.+$" if name == "tag" else "^[^/]+$"}}
            for name in re.findall(r"{(\w+)}", path)]


def _query_parameters(schema: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Each parameter as the list of its values, as the schema has it."""
    parameters = (schema or {}).get("properties", {})
    return [{"name": name, "in": "query", "required": False, "explode": True,
             "schema": {"items": {"type": "string"}, **shape}} for name, shape in parameters.items()]


def _version_parameter(version: Version, negotiation: Negotiation | None) -> list[dict[str, Any]]:
    if negotiation is None:
        return []
    return [{"name": "OpenStack-API-Version", "in": "header", "required": True,
             "schema": {"const": f"{negotiation.service} {version}"},
             "description": f"This document describes one microversion of {negotiation.minimum} to {negotiation.maximum}."}]


def _fault(service: ApiService) -> Schema:
    """The shape of a refusal: the service's own, one key in it naming the kind, or the auth filter's."""
    inner = {"type": "object", "properties": {"code": {"type": "integer"}, "message": {"type": "string"}},
             "required": ["code", "message"]}
    is_wrapped = any(isinstance(value, dict) and "code" in value for value in service.fault_body(404, "").values())
    return {"type": "object", "minProperties": 1, **({"maxProperties": 1, "additionalProperties": inner} if is_wrapped else {})}


def _refusal(text: str) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Fault"}}}}


def _headers(negotiation: Negotiation | None) -> dict[str, Any]:
    headers: dict[str, Any] = {"X-Openstack-Request-Id": {"schema": {"type": "string", "pattern": "^req-"}}}
    if negotiation is not None:
        headers["OpenStack-API-Version"] = {"schema": {"type": "string"}, "description": "the microversion of this response"}
    return headers
