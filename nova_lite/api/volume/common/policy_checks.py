# SPDX-License-Identifier: Apache-2.0
"""Policy checks of block storage handlers, beside their route's own: of fields and filters that only some callers may use."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.wsgi.request import Request
from nova_lite.api.wsgi.rules import Rule


def may(req: Request, rule: Rule) -> bool:
    """Whether the policy allows it to the caller, with the operator's overrides."""
    return req.policy.allows(rule, req.ctxt)


def require(req: Request, rule: Rule) -> None:
    """:raises errors.PolicyForbids: the policy does not allow it to the caller."""
    if not may(req, rule):
        raise errors.PolicyForbids(rule=rule.name)
