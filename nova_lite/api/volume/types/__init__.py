# SPDX-License-Identifier: Apache-2.0
"""Volume types: extra specs, access, encryption, QoS specs and defaults."""

from types import ModuleType

from nova_lite.api.wsgi.rules import Rule

RESOURCES: tuple[ModuleType, ...] = ()
EXTRA_RULES: tuple[Rule, ...] = ()
