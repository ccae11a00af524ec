# SPDX-License-Identifier: Apache-2.0
"""Backups of volumes."""

from types import ModuleType

from nova_lite.api.wsgi.rules import Rule

RESOURCES: tuple[ModuleType, ...] = ()
EXTRA_RULES: tuple[Rule, ...] = ()
