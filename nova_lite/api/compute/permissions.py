# SPDX-License-Identifier: Apache-2.0
"""Second questions to the policy, after the route's own: may this caller also do this?"""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.wsgi.request import Request
from nova_lite.api.wsgi.routing import Rule


def may(req: Request, rule: Rule) -> bool:
    """Whether the caller has the role that the rule asks for."""
    return not rule.role or rule.role in req.ctxt.roles


def require(req: Request, rule: Rule) -> None:
    """:raises errors.PolicyForbids: the caller has not the role that the rule asks for."""
    if not may(req, rule):
        raise errors.PolicyForbids(rule=rule.name)
