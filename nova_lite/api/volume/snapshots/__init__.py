# SPDX-License-Identifier: Apache-2.0
"""Snapshots of volumes, their metadata and actions."""

from types import ModuleType

from nova_lite.api.volume.snapshots import actions, create, listing, manage, metadata, snapshots
from nova_lite.api.wsgi.rules import Rule

RESOURCES: tuple[ModuleType, ...] = (
    actions,
    create,
    listing,
    manage,
    metadata,
    snapshots,
)
EXTRA_RULES: tuple[Rule, ...] = ()
