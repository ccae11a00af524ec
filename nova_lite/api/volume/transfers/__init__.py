# SPDX-License-Identifier: Apache-2.0
"""Transfers of volumes to other projects."""

from types import ModuleType

from nova_lite.api.wsgi.rules import Rule

RESOURCES: tuple[ModuleType, ...] = ()
EXTRA_RULES: tuple[Rule, ...] = ()
