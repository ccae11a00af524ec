# SPDX-License-Identifier: Apache-2.0
"""Backups of volumes, and what is restored from them."""

from types import ModuleType

from nova_lite.api.volume.backups import actions, backups, create, listing, records, restore
from nova_lite.api.wsgi.rules import Rule

RESOURCES: tuple[ModuleType, ...] = (
    actions,
    backups,
    create,
    listing,
    records,
    restore,
)
EXTRA_RULES: tuple[Rule, ...] = ()
