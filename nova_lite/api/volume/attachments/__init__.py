# SPDX-License-Identifier: Apache-2.0
"""Attachments of volumes, the connections of servers to them."""

from types import ModuleType

from nova_lite.api.wsgi.rules import Rule

RESOURCES: tuple[ModuleType, ...] = ()
EXTRA_RULES: tuple[Rule, ...] = ()
