# SPDX-License-Identifier: Apache-2.0
"""Quotas, their classes, and limits."""

from nova_lite.api.volume.quotas import limits, quota_class_sets, quota_sets
from nova_lite.api.wsgi.rules import Rule

RESOURCES = (
    limits,
    quota_class_sets,
    quota_sets,
)
EXTRA_RULES: tuple[Rule, ...] = ()
