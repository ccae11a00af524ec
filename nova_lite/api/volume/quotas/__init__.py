# SPDX-License-Identifier: Apache-2.0
"""Quotas, their classes, and limits."""

from types import ModuleType

from nova_lite.api.wsgi.rules import Rule

RESOURCES: tuple[ModuleType, ...] = ()
EXTRA_RULES: tuple[Rule, ...] = ()
