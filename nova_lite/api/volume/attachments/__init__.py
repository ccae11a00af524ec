# SPDX-License-Identifier: Apache-2.0
"""Attachments of volumes, for compute services and for clients that attach volumes to hosts themselves."""

from types import ModuleType

from nova_lite.api.volume.attachments import attachments, complete, listing
from nova_lite.api.wsgi.rules import Rule

RESOURCES: tuple[ModuleType, ...] = (
    attachments,
    complete,
    listing,
)
EXTRA_RULES: tuple[Rule, ...] = attachments.EXTRA_RULES
