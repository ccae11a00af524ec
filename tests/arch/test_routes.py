# SPDX-License-Identifier: Apache-2.0
"""Every route of every API service: guarded, unambiguous, and tied to the history of microversions."""

from __future__ import annotations

import functools
import inspect
import re
from collections import defaultdict
from typing import NoReturn, get_type_hints

import pytest

from nova_lite import conf as options
from nova_lite import errors
from nova_lite.api.compute.microversions import HISTORY
from nova_lite.api.services import SERVICES
from nova_lite.api.wsgi.policy import Policy
from nova_lite.api.wsgi.routing import Route
from nova_lite.api.wsgi.rules import ANYONE, PUBLIC
from nova_lite.api.wsgi.versions import parse
from nova_lite.context import Context
from tests.support.paths import ROOT

ROUTES = [(name, route) for name, service in SERVICES.items() for route in service.routes]
IDS = [f"{name} {route.method} {route.path} {route.action or ''}" for name, route in ROUTES]
# Routes that need no token, and why.
PUBLIC_ROUTES = {"POST /auth/tokens": "it issues the token",
                 "POST /users/{user_id}/password": "the original password is the proof, also where it has expired"}


@pytest.mark.parametrize(("service", "route"), ROUTES, ids=IDS)
def test_a_route_is_public_only_by_name(service: str, route: Route) -> None:
    if route.policy is PUBLIC:
        assert f"{route.method} {route.path}" in PUBLIC_ROUTES


@functools.cache
def default_policy(service: str) -> Policy:
    """The service's, without an operator's file."""
    return Policy(options.load([], files=[]), SERVICES[service].rules)


@pytest.mark.parametrize(("service", "route"), ROUTES, ids=IDS)
def test_a_route_refuses_a_caller_without_roles(service: str, route: Route) -> None:
    if route.policy.role == ANYONE:
        return
    with pytest.raises(errors.PolicyForbids):
        default_policy(service).check(route.policy, Context(user_id="u", project_id="p"))


@pytest.mark.parametrize(("service", "route"), ROUTES, ids=IDS)
def test_a_handlers_docstring_states_its_statuses(service: str, route: Route) -> None:
    """The one of success; of a handler that always refuses, that of its refusal."""
    statuses = set(re.findall(r"\b[2-5]\d\d\b", route.handler.__doc__ or ""))
    if get_type_hints(route.handler)["return"] is NoReturn:
        is_stated = any(status.startswith(("4", "5")) for status in statuses)
    else:
        is_stated = str(route.status) in statuses
    assert is_stated, f"{service}: {route.handler.__qualname__}"


def test_no_two_routes_serve_the_same_request() -> None:
    ranges: dict[tuple[str, str, str, str | None], list[Route]] = defaultdict(list)
    for service, route in ROUTES:
        ranges[service, route.method, route.path, route.action].append(route)
    for key, routes in ranges.items():
        routes.sort(key=lambda route: route.versions.since)
        for earlier, later in zip(routes, routes[1:], strict=False):
            until = earlier.versions.until
            assert until is not None, key
            assert until < later.versions.since, key


def test_every_version_that_a_route_or_schema_names_is_in_the_history() -> None:
    history = {parse(version) for version, _ in HISTORY} | {parse("2.0")}
    for route in SERVICES["compute"].routes:
        versions = {route.versions.since, *(first for first, _ in (*route.schemas, *route.queries, *route.responses))}
        if route.versions.until is not None:
            versions.add(route.versions.until)
        assert versions <= history, f"{route.method} {route.path}"


def test_the_history_has_every_version_once_in_order() -> None:
    versions = [parse(version) for version, _ in HISTORY]
    assert versions == [(2, minor) for minor in range(1, len(versions) + 1)]
    assert all(line for _, line in HISTORY)


@pytest.mark.parametrize(("service", "route"), ROUTES, ids=IDS)
def test_a_reply_that_is_made_after_the_commit_is_declared(service: str, route: Route) -> None:
    assert route.waits or "Deferred" not in str(inspect.signature(route.handler).return_annotation)


def test_no_handler_commits_in_its_middle() -> None:
    found = [str(path.relative_to(ROOT)) for path in (ROOT / "nova_lite" / "api").rglob("*.py") if ".db.commit(" in path.read_text()]
    assert found == []
