# SPDX-License-Identifier: Apache-2.0
"""Transfers of volumes between projects."""

from types import ModuleType

from nova_lite.api.volume.transfers import transfers
from nova_lite.api.wsgi.rules import Rule

RESOURCES: tuple[ModuleType, ...] = (transfers,)
EXTRA_RULES: tuple[Rule, ...] = ()
