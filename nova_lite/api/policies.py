# SPDX-License-Identifier: Apache-2.0
"""The policy rules of all API services, documented for operators: what policy.yaml may override."""

from __future__ import annotations

from collections.abc import Iterable

from oslo_policy import policy as oslo_policy

from nova_lite.api.services import SERVICES
from nova_lite.api.wsgi.routing import Route
from nova_lite.api.wsgi.rules import PUBLIC, base_defaults, default_check


def list_rules(services: Iterable[str] = tuple(SERVICES)) -> list[oslo_policy.RuleDefault]:
    """The base rules, then those of the named services by name, each with the requests that it guards.

    The entry point `oslo.policy.policies`, by which `oslopolicy-sample-generator --namespace nova_lite` finds them.
    """
    routes: dict[str, list[Route]] = {}
    checks: dict[str, str] = {}
    for service in (SERVICES[name] for name in services):
        checks |= {rule.name: default_check(rule) for rule in service.rules if rule is not PUBLIC}
        for route in service.routes:
            routes.setdefault(route.policy.name, []).append(route)
    return base_defaults() + [_documented(name, checks[name], routes.get(name, [])) for name in sorted(checks)]


def _documented(name: str, check: str, routes: list[Route]) -> oslo_policy.RuleDefault:
    """A rule without routes guards a field or a filter, and its name says which."""
    if not routes:
        return oslo_policy.RuleDefault(name, check)
    effects = dict.fromkeys(route.summary for route in routes)
    requests = dict.fromkeys((route.method, route.path + (f" ({route.action})" if route.action else "")) for route in routes)
    return oslo_policy.DocumentedRuleDefault(
        name, check, "\n".join(effects), [{"method": method, "path": path} for method, path in requests])
