# SPDX-License-Identifier: Apache-2.0
"""Volumes, their metadata and actions."""

from types import ModuleType

from nova_lite.api.volume.volumes import actions, create, encryption, listing, manage, metadata, volumes
from nova_lite.api.wsgi.rules import Rule

RESOURCES: tuple[ModuleType, ...] = (
    create,
    encryption,
    listing,
    manage,
    metadata,
    volumes,
    *actions.RESOURCES,
)
EXTRA_RULES: tuple[Rule, ...] = (
    *actions.EXTRA_RULES,
    *create.EXTRA_RULES,
    *volumes.EXTRA_RULES,
)
