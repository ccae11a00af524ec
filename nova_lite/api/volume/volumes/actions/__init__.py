# SPDX-License-Identifier: Apache-2.0
"""Actions on volumes: one file for each, or for those that belong together."""

from types import ModuleType

from nova_lite.api.volume.volumes.actions import (
    attach,
    connections,
    extend,
    flags,
    image_metadata,
    migrate,
    reimage,
    reserve,
    retype,
    revert,
    status,
    unmanage,
    upload,
)
from nova_lite.api.wsgi.rules import Rule

RESOURCES: tuple[ModuleType, ...] = (
    attach,
    connections,
    extend,
    flags,
    image_metadata,
    migrate,
    reimage,
    reserve,
    retype,
    revert,
    status,
    unmanage,
    upload,
)
EXTRA_RULES: tuple[Rule, ...] = (
    *extend.EXTRA_RULES,
    *reimage.EXTRA_RULES,
    *upload.EXTRA_RULES,
)
