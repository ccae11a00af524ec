# SPDX-License-Identifier: Apache-2.0
"""Policies of test clouds: the default rules of a service, to check and to compile which takes as long as a test, are loaded once."""

from __future__ import annotations

import functools

from oslo_policy import policy as oslo_policy

from nova_lite.api.wsgi.policy import Policy
from nova_lite.api.wsgi.rules import Rule
from tests.support.options import defaults


class SharedPolicy(Policy):
    """As Policy; without an operator's file it shares the rules that others of the same service have loaded."""

    def _load(self) -> oslo_policy.Enforcer:
        return super()._load() if self._stamp else _defaults(frozenset(self._rules.values()))


@functools.cache
def _defaults(rules: frozenset[Rule]) -> oslo_policy.Enforcer:
    conf = defaults()
    conf.set_override("policy_file", "/nonexistent/policy.yaml", group="oslo_policy")
    return Policy(conf, rules)._enforcer
