# SPDX-License-Identifier: Apache-2.0
"""Quotas, limits and usage."""

from nova_lite.api.compute.quotas import (
    instance_usage_audit_log,
    limits,
    quota_class_sets,
    quota_sets,
    simple_tenant_usage,
)

RESOURCES = (
    instance_usage_audit_log,
    limits,
    quota_class_sets,
    quota_sets,
    simple_tenant_usage,
)
# Rules that handlers check beside those of their routes.
EXTRA_RULES = (
    *limits.RULES,
)
