# SPDX-License-Identifier: Apache-2.0
"""Checks each response that a test gets from a service against what its route declares."""

from __future__ import annotations

import functools
import json
import re
from typing import Any

import jsonschema

from nova_lite.api.services import SERVICES
from nova_lite.api.wsgi.routing import Route
from nova_lite.api.wsgi.service import UNVERSIONED
from nova_lite.api.wsgi.versions import Version, parse


def check(service: str, method: str, path: str, body: Any, version: str, response: Any) -> None:
    """`path`: below the service's root.

    :raises jsonschema.ValidationError: the response is not as declared.
    :raises AssertionError: it has a body, and none is declared.
    """
    negotiation = SERVICES[service].negotiation
    at = UNVERSIONED if negotiation is None else negotiation.maximum if version == "latest" else parse(version)
    number = _find(service, method, path.partition("?")[0], body, at)
    if number is None:
        return
    route, validator = _routes(service)[number][1], _validator(service, number, at)
    if validator is not None:
        validator.validate(response)
    else:
        text = json.dumps(response)[:200]
        assert response is None, f"{method} {route.path} {route.action or ''}: no response is declared, but the body is {text}"


@functools.cache
def _routes(service: str) -> list[tuple[re.Pattern[str], Route]]:
    """Those without variables first: `/servers/detail` is no id."""
    return [(re.compile(re.sub(r"{\w+}", "[^/]+", route.path)), route)
            for route in sorted(SERVICES[service].routes, key=lambda route: route.path.count("{"))]


def _find(service: str, method: str, path: str, body: Any, version: Version) -> int | None:
    """The route's place in `_routes`."""
    return next((number for number, (form, route) in enumerate(_routes(service))
                 if route.method == method and form.fullmatch(path) and route.versions.holds(version)
                 and (route.action is None or (isinstance(body, dict) and route.action in body))), None)


@functools.lru_cache(maxsize=1024)
def _validator(service: str, number: int, version: Version) -> Any:
    schema = _routes(service)[number][1].response_for(version)
    return None if schema is None else jsonschema.Draft202012Validator(schema)
