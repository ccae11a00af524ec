# SPDX-License-Identifier: Apache-2.0
"""Availability zones, services, hosts, pools and what operators do with them."""

from types import ModuleType

from nova_lite.api.wsgi.rules import Rule

RESOURCES: tuple[ModuleType, ...] = ()
EXTRA_RULES: tuple[Rule, ...] = ()
