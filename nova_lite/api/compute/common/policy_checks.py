# SPDX-License-Identifier: Apache-2.0
"""Second questions to the policy, after the route's own: may this caller also do this?"""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.wsgi.request import Request
from nova_lite.api.wsgi.rules import Rule


def may(req: Request, rule: Rule) -> bool:
    """Whether the policy lets the caller, the operator's overrides included."""
    return req.policy.allows(rule, req.ctxt)


def require(req: Request, rule: Rule) -> None:
    """:raises errors.PolicyForbids: the policy does not let the caller."""
    if not may(req, rule):
        raise errors.PolicyForbids(rule=rule.name)
