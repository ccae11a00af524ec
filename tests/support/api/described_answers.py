# SPDX-License-Identifier: Apache-2.0
"""Holds each answer that a test gets from the compute face against what the OpenAPI document says of it."""

from __future__ import annotations

import functools
import json
import re
from typing import Any

import jsonschema

from nova_lite.api import compute
from nova_lite.api.compute.common import answers
from nova_lite.api.wsgi.routing import routes_of
from nova_lite.api.wsgi.versions import Version, parse

# Paths without variables first: `/servers/detail` is no id.
_ROUTES = [(re.compile(re.sub(r"{\w+}", "[^/]+", route.path)), route)
           for route in sorted(routes_of(compute.RESOURCES), key=lambda route: route.path.count("{"))]


def check(method: str, path: str, body: Any, version: str, told: Any) -> None:
    """:raises jsonschema.ValidationError: the answer is not as described. :raises AssertionError: a body, and none is described."""
    asked = parse("2.104" if version == "latest" else version)
    place = _find(method, path.partition("?")[0], body, asked)
    if place is None:
        return
    route, validator = _ROUTES[place][1], _validator(place, asked)
    if validator is None:
        assert told is None, f"{method} {route.path} {route.action or ''}: no body is described, but it says {json.dumps(told)[:200]}"
    else:
        validator.validate(told)


def _find(method: str, path: str, body: Any, version: Version) -> int | None:
    """The route's place in _ROUTES."""
    return next((place for place, (form, route) in enumerate(_ROUTES) if route.method == method and form.fullmatch(path) and route.versions.holds(version)
                 and (route.action is None or (isinstance(body, dict) and route.action in body))), None)


@functools.lru_cache(maxsize=1024)
def _validator(place: int, version: Version) -> Any:
    schema = answers.answers(_ROUTES[place][1], version)
    return None if schema is None else jsonschema.Draft202012Validator(schema)
